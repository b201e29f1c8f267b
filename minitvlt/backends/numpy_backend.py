"""The NumPy backend: the reference for every function of the array interface.

Most functions have the name and the meaning that the Python array API standard gives them
(https://data-apis.org/array-api/). A neural network adds `linear`, `layer_norm`, `gelu`, `softmax` and
`attention`, which a library may fuse; audio adds `rfft`, `irfft` and `sliding_windows`. Each is the formula,
written plainly. All other backends are tested against this one in float64; `fast/` has quicker versions.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from minitvlt.backends.tree import Array

name = "numpy"

# fmt: off
FUNCTIONS = (
    "from_numpy", "to_numpy", "as_like", "zeros", "arange",
    "reshape", "permute_dims", "broadcast_to", "concat", "take", "take_along_axis", "where", "argsort",
    "astype", "sum", "mean", "max", "exp", "log", "sqrt", "tanh", "abs", "real", "imag", "maximum", "minimum",
    "matmul", "rfft", "irfft", "sliding_windows",
    "linear", "layer_norm", "gelu", "softmax", "attention",
)
# fmt: on

# ---------------------------------------------------------------------------------- conversion and creation


def from_numpy(array: Array, device: str | None = None, dtype: str | None = None) -> Array:
    """Convert from NumPy; only floating-point arrays are converted to `dtype`.

    Raises:
        ValueError: a device other than "cpu", or a dtype that NumPy does not have.
    """
    if device not in (None, "cpu"):
        raise ValueError(f'NumPy runs on the CPU: expected device "cpu", got {device!r}.')
    if dtype is None or not np.issubdtype(array.dtype, np.floating):
        return array
    if dtype not in ("float16", "float32", "float64"):
        raise ValueError(f"NumPy has no floating-point dtype {dtype!r}: use float32 or float64.")
    return array.astype(dtype, copy=False)


def to_numpy(x: Array) -> Array:
    """Convert to NumPy."""
    return x


def as_like(x: Array | float | list, like: Array) -> Array:
    """Convert a constant to the library and device of `like`; a floating-point one takes its precision."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or like.dtype.kind not in "fc":
        return x
    return x.astype(np.finfo(like.dtype).dtype, copy=False)  # float32 where `like` is complex64


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Return zeros with the dtype of `like`."""
    return np.zeros(shape, like.dtype)


def arange(n: int, like: Array) -> Int[Array, "n"]:
    """Return the integers 0 … n - 1 on the device of `like`."""
    return np.arange(n)


# ------------------------------------------------------------------------------------ array API standard

reshape, permute_dims, broadcast_to, concat = np.reshape, np.transpose, np.broadcast_to, np.concatenate
take, take_along_axis, where, sum, mean, max = np.take, np.take_along_axis, np.where, np.sum, np.mean, np.max
exp, log, sqrt, tanh, abs, real, imag = np.exp, np.log, np.sqrt, np.tanh, np.abs, np.real, np.imag
maximum, minimum, matmul = np.maximum, np.minimum, np.matmul
has_numbers = np.size  # optional: whether checks can look at the numbers of an array at once
argsort = partial(np.argsort, kind="stable")  # equal values stay in their order


def astype(x: Array, dtype: np.dtype) -> Array:
    """Convert to another dtype."""
    return x.astype(dtype, copy=False)


# ------------------------------------------------------------------------------------------------- audio


def rfft(x: Float[Array, "*batch n"]) -> Complex[Array, "*batch n//2+1"]:
    """Return the Fourier transform of real signals along the last axis: y_k = Σ_m x_m e^(-2πi km/n)."""
    import scipy.fft  # imported here to keep `import minitvlt` fast; in float32 faster than numpy.fft

    return scipy.fft.rfft(x)


def irfft(x: Complex[Array, "*batch bins"], n: int) -> Float[Array, "*batch {n}"]:
    """Return real signals of n samples from their n//2 + 1 Fourier coefficients: the inverse of `rfft`."""
    import scipy.fft

    return scipy.fft.irfft(x, n)


def sliding_windows(
    x: Float[Array, "*batch n"], length: int, step: int
) -> Float[Array, "*batch (n-{length})//{step}+1 {length}"]:
    """Return overlapping windows along the last axis, window t from x[t * step] on: a view, no copy.

    >>> sliding_windows(np.arange(7.0), length=3, step=2)
    array([[0., 1., 2.],
           [2., 3., 4.],
           [4., 5., 6.]])
    """
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[..., ::step, :]


# ---------------------------------------------------------------------------------------- neural network


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Return x Wᵀ + b for every row of x."""
    y = x @ weight.T
    return y if bias is None else y + bias


def layer_norm(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> Float[Array, "*batch D"]:
    """Normalise every row to mean 0 and variance 1, then scale and shift each feature (Ba et al. 2016)."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)  # (*x.shape[:-1], 1)
    return centred / np.sqrt(variance + eps) * weight + bias


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return x Φ(x), Φ being the cumulative normal distribution (Hendrycks and Gimpel 2016)."""
    from scipy.special import ndtr  # imported here to keep `import minitvlt` fast

    return x * ndtr(x)


def softmax(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """Return exp(x) of every row, divided by its sum; the row's maximum is subtracted first: no overflow."""
    y = np.exp(x - np.max(x, axis=-1, keepdims=True, initial=-np.inf))  # initial: a row may be empty
    return y / np.sum(y, axis=-1, keepdims=True)


def attention_weights(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N M"]:
    """Return softmax(Q Kᵀ / √d) over the real keys; padding has weight 0."""
    (B, heads, N, d), M = query.shape, key.shape[2]
    scores = query @ np.swapaxes(key, -1, -2) * d**-0.5  # (B, heads, N, M)
    if is_real is None:
        return softmax(scores)
    is_real = is_real[:, None, None, :]  # (B, 1, 1, M)
    return np.where(is_real, softmax(np.where(is_real, scores, -1e30)), 0.0)


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """Return softmax(Q Kᵀ / √d) V over the real keys (Vaswani et al. 2017, section 3.2.1).

    A clip without any real key gets 0.
    """
    return attention_weights(query, key, is_real) @ value
