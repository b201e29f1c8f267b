"""NumPy: the reference for every function of the waist.

Plain functions have the names and the meaning of the Python array API standard. Of the five that a neural
network adds, `linear`, `layer_norm` and `gelu` are in `numpy_kernels`, `attention` in `numpy_attention`.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from minitvlt.backends.numpy_attention import attention as attention
from minitvlt.backends.numpy_kernels import gelu as gelu
from minitvlt.backends.numpy_kernels import layer_norm as layer_norm
from minitvlt.backends.numpy_kernels import linear as linear
from minitvlt.backends.numpy_kernels import map_rows as map_rows
from minitvlt.backends.tree import Array

name = "numpy"

# fmt: off
FUNCTIONS = (
    "from_numpy", "to_numpy", "as_like", "zeros", "arange",
    "reshape", "permute_dims", "broadcast_to", "concat", "take", "take_along_axis", "where", "argsort",
    "sum", "mean", "max", "exp", "log", "sqrt", "tanh", "abs", "real", "imag", "maximum", "minimum", "astype",
    "matmul", "sliding_windows", "rfft", "irfft",
    "linear", "layer_norm", "gelu", "softmax", "attention",
)
# fmt: on

# ------------------------------------------------------------------------------------------ arrays in and out


def from_numpy(array: Array, device: str | None = None, dtype: str | None = None) -> Array:
    """Take a NumPy array in; only floating-point arrays are converted to `dtype`."""
    if device not in (None, "cpu"):
        raise ValueError(f'NumPy computes on the processor: the device must be "cpu", not {device!r}.')
    if dtype is None or not np.issubdtype(array.dtype, np.floating):
        return array
    if dtype not in ("float16", "float32", "float64"):
        raise ValueError(f"NumPy has no floating-point dtype {dtype!r}: use float32 or float64.")
    return array.astype(dtype, copy=False)


def to_numpy(x: Array) -> Array:
    """Hand an array out to the host as NumPy."""
    return x


def as_like(x: Array | float | list, like: Array) -> Array:
    """Bring a host constant to where `like` lives; a floating-point constant takes its precision."""
    x = np.asarray(x)
    return x.astype(like.real.dtype, copy=False) if x.dtype.kind == "f" and like.dtype.kind in "fc" else x


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Make an array of zeros with the dtype of `like`."""
    return np.zeros(shape, like.dtype)


def arange(n: int, like: Array) -> Int[Array, "n"]:
    """Make the integers 0 … n - 1 where `like` lives."""
    return np.arange(n)


# ------------------------------------------------------------------------------ the Python array API standard
# Names and meaning: https://data-apis.org/array-api/

reshape = np.reshape
permute_dims = np.transpose
broadcast_to = np.broadcast_to
concat = np.concatenate
where = np.where
exp, log, sqrt, tanh, abs = np.exp, np.log, np.sqrt, np.tanh, np.abs
real, imag, maximum, minimum, matmul = np.real, np.imag, np.maximum, np.minimum, np.matmul
sum, mean, max = np.sum, np.mean, np.max


def take(x: Array, indices: Int[Array, "n"], axis: int) -> Array:
    """Pick positions along one axis."""
    return np.take(x, indices, axis=axis)


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    """Pick positions along one axis, others for every row; sizes on the other axes broadcast."""
    places, moved = find_rows(x.shape, indices, axis)
    return x.reshape(-1, *moved)[places]


def find_rows(shape: tuple[int, ...], indices: Array, axis: int) -> tuple[Int[Array, "..."], tuple[int, ...]]:
    """Tell what `take_along_axis` does, as picking rows of x.reshape(-1, *moved).

    Indices that hold for all later axes move those as a whole, which is much faster than element by element.

    Returns:
        The number of the row to put in each place, and the shape of a row (of a single element it is ()).
    """
    axis %= len(shape)
    split = axis + 1 if math.prod(indices.shape[axis + 1 :]) == 1 else len(shape)
    numbers = np.arange(math.prod(shape[:split])).reshape(shape[:split])
    wanted = (*shape[:axis], indices.shape[axis], *shape[axis + 1 : split])
    indices = np.broadcast_to(indices.reshape(indices.shape[:split]), wanted)
    return np.take_along_axis(numbers, indices, axis), shape[split:]


def argsort(x: Array, axis: int = -1) -> Array:
    """Order of ascending values; equal values stay in their order."""
    return np.argsort(x, axis=axis, kind="stable")


def astype(x: Array, dtype: np.dtype) -> Array:
    """Convert to another dtype."""
    return x.astype(dtype, copy=False)


def sliding_windows(x: Float[Array, "*batch n"], length: int, step: int) -> Array:
    """Overlapping windows along the last axis, a read-only view: window t begins at sample t * step."""
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[..., ::step, :]


def rfft(x: Float[Array, "*batch n"]) -> Array:
    """Fourier transform of real signals along the last axis: n samples to n//2 + 1 complex amplitudes."""
    import scipy.fft  # here, to keep the package's import short; in float32 thrice as fast as numpy.fft

    return scipy.fft.rfft(x)


def irfft(x: Array, n: int) -> Array:
    """Real signals of n samples from n//2 + 1 complex amplitudes; the way back from `rfft`."""
    import scipy.fft

    return scipy.fft.irfft(x, n)


# --------------------------------------------------------------------------------------- the neural network's


def softmax(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """exp(x) of every row divided by its sum; the largest is taken off first: no overflow."""
    y = np.exp(x - np.max(x, axis=-1, keepdims=True, initial=-np.inf))  # a row may be empty
    y /= np.sum(y, axis=-1, keepdims=True)
    return y
