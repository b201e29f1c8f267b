"""The PyTorch backend: the array interface in terms of torch's fused kernels, on any device."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch.utils.checkpoint import checkpoint

from minitvlt.backends.tree import Array, map_tree

name = "torch"

# -------------------------------------------------------------------------------------------- differentiation


def differentiate(function: Callable[..., Any], params: Any, args: tuple) -> tuple[Array, Any, Any]:
    """Compute a function of parameters that returns a scalar and anything, and its gradient by autograd.

    Returns:
        The value, the auxiliary result, and the gradients, all of them detached.
    """
    leaves: list[torch.Tensor] = []

    def record(x: torch.Tensor) -> torch.Tensor:
        x = x.detach()  # a new tensor: the caller's own is left as it is
        if x.is_floating_point() or x.is_complex():
            leaves.append(x.requires_grad_())
        return x

    try:
        with torch.enable_grad():
            value, aux = function(map_tree(record, params), *args)
    except RuntimeError as error:
        if "in-place" not in str(error):
            raise
        raise ValueError(f"A tensor with a gradient was changed in place: {error}. Make new ones.") from None
    found = map(torch.zeros_like, leaves)  # made when they are asked for
    if leaves and torch.is_tensor(value) and value.requires_grad:
        found = iter(torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True))

    def gradient_of(x: torch.Tensor) -> torch.Tensor:
        return next(found) if x.is_floating_point() or x.is_complex() else torch.zeros_like(x)

    return map_tree(_detach, value), map_tree(_detach, aux), map_tree(gradient_of, params)


def recompute(function: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
    """Compute a function without storing its activations; the backward pass computes it once more."""
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)  # nothing random inside


def _detach(x: Array) -> Array:
    return x.detach() if torch.is_tensor(x) else x


# ---------------------------------------------------------------------------------- conversion and creation


def from_numpy(array: Array, device: str | None = None, dtype: str | None = None) -> torch.Tensor:
    """Convert from NumPy, or move a tensor; only floating-point arrays are converted to `dtype`.

    Raises:
        ValueError: a device or a dtype that does not exist here, also for what is no number.
    """
    if not torch.is_tensor(array) and (array.dtype.kind not in "biufc" or array.dtype.char in "gG"):
        raise ValueError(f"PyTorch has no arrays of {array.dtype}: convert them to numbers first.")
    x = array if torch.is_tensor(array) else torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
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
    """Convert to NumPy; bfloat16, which NumPy lacks, becomes float32, and sparse tensors become dense."""
    if x.is_meta:
        raise ValueError("A tensor on the device meta has no numbers that NumPy could hold.")
    x = x.detach().cpu().to_dense().resolve_conj().resolve_neg()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def has_numbers(x: torch.Tensor) -> bool:
    """Return whether numbers can be looked at at once: on the CPU, but not in torch.compile or torch.func."""
    is_plain = not torch.compiler.is_compiling() and not torch._C._functorch.is_functorch_wrapped_tensor(x)
    return is_plain and x.device.type == "cpu" and x.numel() > 0


def as_like(x: Array | float | list, like: torch.Tensor) -> torch.Tensor:
    """Convert a constant to the device of `like`; a floating-point one takes its precision."""
    x = torch.from_numpy(np.array(x))
    takes_precision = x.is_floating_point() and (like.is_floating_point() or like.is_complex())
    return x.to(like.device, like.dtype.to_real() if takes_precision else x.dtype)


def zeros(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Return zeros with the dtype and device of `like`."""
    return like.new_zeros(shape)


def arange(n: int, like: torch.Tensor) -> Int[Array, "n"]:
    """Return the integers 0 … n - 1 on the device of `like`."""
    return torch.arange(n, device=like.device)


# --------------------------------------------------------------------------------------- array API standard

# torch's functions take NumPy's names of the arguments, axis and keepdims. `amax`, `maximum` and `minimum`
# share the gradient evenly between equal elements, as the tape does.
reshape, permute_dims, broadcast_to, concat = torch.reshape, torch.permute, torch.broadcast_to, torch.concat
where, take_along_axis, max, matmul = torch.where, torch.take_along_dim, torch.amax, torch.matmul
sqrt, tanh, abs, real, imag = torch.sqrt, torch.tanh, torch.abs, torch.real, torch.imag
argsort = partial(torch.argsort, stable=True)


def _in_float32(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Compute in float32 under autocast, as autocast on CUDA does by itself (but for `mean`)."""

    def compute(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        is_half = x.dtype in (torch.bfloat16, torch.float16)
        x = x.float() if is_half and torch.is_autocast_enabled(x.device.type) else x
        return function(x, *args, **kwargs)

    return compute


exp, log, sum, mean = map(_in_float32, (torch.exp, torch.log, torch.sum, torch.mean))


def take(x: torch.Tensor, indices: Int[Array, "n"], axis: int) -> torch.Tensor:
    """Select indices along one axis."""
    return torch.index_select(x, axis, indices)


def maximum(x: torch.Tensor, y: torch.Tensor | float) -> torch.Tensor:
    """Return the elementwise maximum; y may be a number."""
    return torch.maximum(x, _as_tensor(y, x))


def minimum(x: torch.Tensor, y: torch.Tensor | float) -> torch.Tensor:
    """Return the elementwise minimum; y may be a number."""
    return torch.minimum(x, _as_tensor(y, x))


def _as_tensor(y: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor:
    return y if torch.is_tensor(y) else torch.full((), y, dtype=like.dtype, device=like.device)


def astype(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Convert to another dtype."""
    return x.to(dtype)


# --------------------------------------------------------------------------------- audio and neural network

rfft, irfft = torch.fft.rfft, torch.fft.irfft
linear, gelu, softmax = F.linear, F.gelu, partial(torch.softmax, dim=-1)


def sliding_windows(x: Float[Array, "*batch n"], length: int, step: int) -> torch.Tensor:
    """Return overlapping windows along the last axis, window t from x[t * step] on: a view, no copy."""
    return x.unfold(-1, length, step)


def layer_norm(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> Float[Array, "*batch D"]:
    """Normalise every row to mean 0 and variance 1, then scale and shift each feature."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """Return softmax(Q Kᵀ / √d) V over the real keys; a clip without any real key gets 0.

    Such a clip attends to all keys first, so that nothing is divided by 0, and its output is then replaced.
    The mask is broadcast over heads and queries: torch's fused kernels take it without expanding it.
    """
    if is_real is None:
        return F.scaled_dot_product_attention(query, key, value)
    has_any = is_real.any(dim=1)[:, None, None, None]
    mask = is_real[:, None, None, :] | ~has_any
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return torch.where(has_any, output, 0.0)
