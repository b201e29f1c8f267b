"""PyTorch: the waist, mapped to its fused kernels. Runs on whatever device its tensors live on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch.utils.checkpoint import checkpoint

from minitvlt.backends.tree import Array, map_tree

name = "torch"

# -------------------------------------------------------------------------------------------- differentiation


def differentiate(
    function: Callable[..., Any], params: Any, args: tuple, has_aux: bool
) -> tuple[Array, Any, Any]:
    """Compute a scalar function of parameters and its gradient with respect to them, by autograd.

    Returns:
        The value, what came beside it (None without `has_aux`), and the gradients: all of them detached.

    Raises:
        ValueError: a value that is not a scalar.
    """
    leaves: list[torch.Tensor] = []

    def record(x: torch.Tensor) -> torch.Tensor:
        x = x.detach()  # the caller's own tensor stays as it is
        if x.is_floating_point() or x.is_complex():
            leaves.append(x.requires_grad_())
        return x

    with torch.enable_grad():
        result = function(map_tree(record, params), *args)
        value, aux = result if has_aux else (result, None)
    if tuple(getattr(value, "shape", ())) != ():
        raise ValueError(f"Expected the value to be a scalar, got the shape {tuple(value.shape)}: sum it up.")
    found: Sequence[torch.Tensor | None] = [None] * len(leaves)
    if leaves and torch.is_tensor(value) and value.requires_grad:
        found = torch.autograd.grad(value, leaves, allow_unused=True)
    in_order = iter(found)

    def gradient(x: torch.Tensor) -> torch.Tensor:
        g = next(in_order) if x.is_floating_point() or x.is_complex() else None
        return torch.zeros_like(x) if g is None else g

    return map_tree(_detach, value), map_tree(_detach, aux), map_tree(gradient, params)


def recompute(function: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
    """Compute a function without keeping what happens inside; on the way back it is computed once more."""
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)  # nothing random inside


def _detach(x: Array) -> Array:
    return x.detach() if torch.is_tensor(x) else x


# ------------------------------------------------------------------------------------------ arrays in and out


def from_numpy(array: Array, device: str | None = None, dtype: str | None = None) -> torch.Tensor:
    """Take a NumPy array in, or move a tensor; only floating-point arrays are converted to `dtype`.

    Raises:
        ValueError: a device or a dtype that is not there.
    """
    x = array if torch.is_tensor(array) else torch.from_numpy(np.array(array))
    wanted = _dtype_named(dtype) if dtype is not None and x.is_floating_point() else x.dtype
    return x.to(_check_device(device), wanted)


def _dtype_named(dtype: str) -> torch.dtype:
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f"PyTorch has no floating-point dtype {dtype!r}: use float32, float64, bfloat16 or float16."
        )
    return found


def _check_device(device: str | None) -> str | None:
    if device is None:
        return None
    available = ["cpu"]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator().type
        available += [kind, *(f"{kind}:{i}" for i in range(torch.accelerator.device_count()))]
    if str(device) not in (*available, "cpu:0"):
        raise ValueError(f"There is no device {str(device)!r} here: choose one of {', '.join(available)}.")
    return device


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """Hand a tensor out to the host; bfloat16, which NumPy lacks, becomes float32."""
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def as_like(x: Array | float | list, like: torch.Tensor) -> torch.Tensor:
    """Bring a host constant to where `like` lives; a floating-point constant takes its precision."""
    x = torch.from_numpy(np.array(x))
    takes_precision = x.is_floating_point() and (like.is_floating_point() or like.is_complex())
    return x.to(like.device, like.dtype.to_real() if takes_precision else x.dtype)


def zeros(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Make an array of zeros with the dtype of `like`, where it lives."""
    return like.new_zeros(shape)


def arange(n: int, like: torch.Tensor) -> Int[Array, "n"]:
    """Make the integers 0 … n - 1 where `like` lives."""
    return torch.arange(n, device=like.device)


# ------------------------------------------------------------------------------ the Python array API standard
# Names and meaning: https://data-apis.org/array-api/

reshape = torch.reshape
permute_dims = torch.permute
broadcast_to = torch.broadcast_to
exp, log, sqrt, tanh, abs, matmul = torch.exp, torch.log, torch.sqrt, torch.tanh, torch.abs, torch.matmul
where, real, imag = torch.where, torch.real, torch.imag


def concat(arrays: Sequence[torch.Tensor], axis: int = 0) -> torch.Tensor:
    """Join arrays along an axis that they have."""
    return torch.cat(tuple(arrays), dim=axis)


def take(x: torch.Tensor, indices: Int[Array, "n"], axis: int) -> torch.Tensor:
    """Pick positions along one axis."""
    return torch.index_select(x, axis, indices)


def take_along_axis(x: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
    """Pick positions along one axis, others for every row; sizes on the other axes broadcast."""
    shape = list(x.shape)
    shape[axis] = indices.shape[axis]
    return torch.gather(x, axis, indices.broadcast_to(shape))


def argsort(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """Order of ascending values; equal values stay in their order."""
    return torch.argsort(x, dim=axis, stable=True)


def sum(x: torch.Tensor, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> torch.Tensor:
    """Add up."""
    return torch.sum(x, dim=axis, keepdim=keepdims)


def mean(x: torch.Tensor, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> torch.Tensor:
    """Average."""
    return torch.mean(x, dim=axis, keepdim=keepdims)


def max(x: torch.Tensor, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> torch.Tensor:
    """Find the largest; equally large elements share the gradient evenly."""
    return torch.amax(x, dim=() if axis is None else axis, keepdim=keepdims)


def maximum(x: torch.Tensor, y: torch.Tensor | float) -> torch.Tensor:
    """The larger of two; equal ones share the gradient evenly."""
    return torch.maximum(x, _beside(y, x))


def minimum(x: torch.Tensor, y: torch.Tensor | float) -> torch.Tensor:
    """The smaller of two; equal ones share the gradient evenly."""
    return torch.minimum(x, _beside(y, x))


def _beside(y: torch.Tensor | float, x: torch.Tensor) -> torch.Tensor:
    return y if torch.is_tensor(y) else torch.full((), y, dtype=x.dtype, device=x.device)


def astype(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Convert to another dtype."""
    return x.to(dtype)


def sliding_windows(x: Float[Array, "*batch n"], length: int, step: int) -> torch.Tensor:
    """Overlapping windows along the last axis, a view: window t begins at sample t * step."""
    return x.unfold(-1, length, step)


def rfft(x: Float[Array, "*batch n"]) -> torch.Tensor:
    """Fourier transform of real signals along the last axis: n samples to n//2 + 1 complex amplitudes."""
    return torch.fft.rfft(x)


def irfft(x: torch.Tensor, n: int) -> torch.Tensor:
    """Real signals of n samples from n//2 + 1 complex amplitudes; the way back from `rfft`."""
    return torch.fft.irfft(x, n)


# --------------------------------------------------------------------------------------- the neural network's


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """x @ weight.T + bias"""
    return F.linear(x, weight, bias)


def layer_norm(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> Float[Array, "*batch D"]:
    """Bring every row to mean 0 and variance 1, then scale and shift each feature."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x Φ(x), by erf."""
    return F.gelu(x)


def softmax(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """exp(x) of every row divided by its sum."""
    return torch.softmax(x, dim=-1)


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """softmax(query keyᵀ / √d) value over the real keys; a row without any gives 0.

    Such a row may look at all keys, so that nothing is divided by 0, and its answer is then replaced. The
    mask has one line for all heads and queries: torch's fused kernels stretch it and never fill it in.
    """
    if is_real is None:
        return F.scaled_dot_product_attention(query, key, value)
    has_any = is_real.any(dim=1)[:, None, None, None]
    mask = is_real[:, None, None, :] | ~has_any
    answer = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return torch.where(has_any, answer, 0.0)
