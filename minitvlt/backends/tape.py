"""The waist on the tape: NumPy that can be differentiated.

Each function computes by NumPy and records its VJP, which its docstring derives: how the cotangent g of the
result becomes that of the argument. Read `minitvlt.backends.tape_array` first, where the rules and the
arithmetic are, then `minitvlt.backends.tape_gradients`; the larger functions, from matrix products to
attention, are in `minitvlt.backends.tape_kernels`.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from minitvlt.backends import numpy_backend
from minitvlt.backends.numpy_backend import from_numpy as from_numpy
from minitvlt.backends.tape_array import TapeArray as TapeArray
from minitvlt.backends.tape_array import record, value_of
from minitvlt.backends.tape_gradients import differentiate as differentiate
from minitvlt.backends.tape_gradients import recompute as recompute
from minitvlt.backends.tape_kernels import attention as attention
from minitvlt.backends.tape_kernels import gelu as gelu
from minitvlt.backends.tape_kernels import irfft as irfft
from minitvlt.backends.tape_kernels import layer_norm as layer_norm
from minitvlt.backends.tape_kernels import linear as linear
from minitvlt.backends.tape_kernels import matmul as matmul
from minitvlt.backends.tape_kernels import rfft as rfft
from minitvlt.backends.tape_kernels import scatter
from minitvlt.backends.tape_kernels import softmax as softmax
from minitvlt.backends.tree import Array

name = "tape"

# ------------------------------------------------------------------------------------------ arrays in and out


def to_numpy(x: Array) -> Array:
    """Hand the value out to the host; no gradient comes back from there."""
    return value_of(x)


def as_like(x: Array | float | list, like: Array) -> Array:
    """Bring a host constant to the precision of `like`; constants have no gradient."""
    return numpy_backend.as_like(x, value_of(like))


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Make an array of zeros, a constant."""
    return numpy_backend.zeros(shape, like)


def arange(n: int, like: Array) -> Int[Array, "n"]:
    """Make the integers 0 … n - 1, constants."""
    return numpy_backend.arange(n, like)


# ------------------------------------------------------------------------- functions that move elements about


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """The same elements in another shape: g goes back in the old one."""
    a = value_of(x)
    return record(a.reshape(shape), (x, lambda g: g.reshape(a.shape)))


def permute_dims(x: Array, axes: Sequence[int]) -> Array:
    """Axis k of the result is axis axes[k] of x: g goes back by the inverse permutation."""
    return record(value_of(x).transpose(axes), (x, lambda g: g.transpose(np.argsort(np.mod(axes, g.ndim)))))


def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """Use elements several times: g goes back as it is, and `sum_to_shape` adds up what belongs together."""
    return record(np.broadcast_to(value_of(x), shape), (x, lambda g: g))


def concat(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Join arrays: each gets its own part of g."""
    values = [value_of(x) for x in arrays]
    edges = np.cumsum([x.shape[axis] for x in values])[:-1]
    return record(
        np.concatenate(values, axis), (tuple(arrays), lambda g: tuple(np.split(g, edges, axis=axis)))
    )


def take(x: Array, indices: Int[Array, "n"], axis: int) -> Array:
    """y_k = x_indices[k]: g_k is added to element indices[k] of x, as often as that was taken."""
    a = value_of(x)

    def vjp(g: Array) -> Array:
        first = np.moveaxis(g, axis, 0)
        back = scatter(first.reshape(len(indices), -1), indices % a.shape[axis], a.shape[axis])
        return np.moveaxis(back.reshape(-1, *first.shape[1:]), 0, axis)

    return record(np.take(a, indices, axis=axis), (x, vjp))


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    """The same as `take`, with other positions for every row."""
    a = value_of(x)

    def vjp(g: Array) -> Array:
        places, moved = numpy_backend.find_rows(a.shape, indices, axis)
        width = math.prod(moved)
        back = scatter(g.reshape(-1, width), places.reshape(-1), a.size // width)
        return back.reshape(a.shape)

    return record(numpy_backend.take_along_axis(a, indices, axis), (x, vjp))


def sliding_windows(x: Array, length: int, step: int) -> Array:
    """y_tk = x_(t step + k): every sample gets the sum of g over the windows that it is in."""
    a = value_of(x)

    def vjp(g: Array) -> Array:
        back = np.zeros(a.shape, g.dtype)
        for t in range(g.shape[-2]):
            back[..., t * step : t * step + length] += g[..., t, :]
        return back

    return record(numpy_backend.sliding_windows(a, length, step), (x, vjp))


def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y: g goes back to the one that was used."""
    return record(
        np.where(condition, value_of(x), value_of(y)),
        (x, lambda g: np.where(condition, g, 0)),
        (y, lambda g: np.where(condition, 0, g)),
    )


def argsort(x: Array, axis: int = -1) -> Array:
    """The order of elements: it jumps or stays, so it has no slope."""
    return numpy_backend.argsort(value_of(x), axis)


def astype(x: Array, dtype: np.dtype) -> Array:
    """Another precision: g goes back in the old one. Integers have no slope."""
    y = value_of(x).astype(dtype, copy=False)
    return record(y, (x, lambda g: g)) if y.dtype.kind in "fc" else y


# ------------------------------------------------------------------------------------------------- reductions


def sum(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """y = Σ x_i: every x_i gets g."""
    a = value_of(x)
    return record(np.sum(a, axis=axis, keepdims=keepdims), (x, lambda g: _spread(g, a.shape, axis, keepdims)))


def mean(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """y = Σ x_i / n: every x_i gets g / n."""
    a = value_of(x)
    y = np.mean(a, axis=axis, keepdims=keepdims)
    n = a.size // y.size
    return record(y, (x, lambda g: _spread(g / n, a.shape, axis, keepdims)))


def max(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """y = the largest x_i: that one gets g; several that are equally large share it evenly."""
    a = value_of(x)
    y = np.max(a, axis=axis, keepdims=True)

    def vjp(g: Array) -> Array:
        is_largest = a == y
        share = is_largest / np.sum(is_largest, axis=axis, keepdims=True, dtype=a.dtype)
        return share * _spread(g, a.shape, axis, keepdims)

    return record(np.max(a, axis=axis, keepdims=keepdims), (x, vjp))


def _spread(g: Array, shape: tuple[int, ...], axis: int | tuple[int, ...] | None, keepdims: bool) -> Array:
    """Repeat g along the axes that were reduced, without using memory for it."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)


# ----------------------------------------------------------------------------------------- element by element


def _bend(y: Array, x: Array, slope: Callable[[], Array]) -> Array:
    """Record y = f(x), computed element by element: g goes back as g f'(x)."""
    return record(y, (x, lambda g: g * slope().conjugate()))


def exp(x: Array) -> Array:
    """y = eˣ: dy/dx = y."""
    y = np.exp(value_of(x))
    return _bend(y, x, lambda: y)


def log(x: Array) -> Array:
    """y = ln x: dy/dx = 1 / x."""
    a = value_of(x)
    return _bend(np.log(a), x, lambda: 1 / a)


def sqrt(x: Array) -> Array:
    """y = √x: dy/dx = 1 / (2 y)."""
    y = np.sqrt(value_of(x))
    return _bend(y, x, lambda: 0.5 / y)


def tanh(x: Array) -> Array:
    """y = tanh x: dy/dx = 1 - y²."""
    y = np.tanh(value_of(x))
    return _bend(y, x, lambda: 1 - y * y)


def abs(x: Array) -> Array:
    """y = |x|: dy/dx is the sign of x, 0 at 0; for complex x that is x / |x|, the way in which |x| grows."""
    a = value_of(x)
    return record(np.abs(a), (x, lambda g: g * np.sign(a)))


def real(x: Array) -> Array:
    """y = Re z: ∂L/∂Re z = g, ∂L/∂Im z = 0."""
    return record(np.real(value_of(x)), (x, lambda g: g))


def imag(x: Array) -> Array:
    """y = Im z: ∂L/∂Re z = 0, ∂L/∂Im z = g."""
    return record(np.imag(value_of(x)), (x, lambda g: 1j * g))


def maximum(x: Array, y: Array) -> Array:
    """The larger of two: it gets g; where they are equal each gets half."""
    a, b = value_of(x), value_of(y)
    return record(np.maximum(a, b), (x, lambda g: g * _share(a, b)), (y, lambda g: g * _share(b, a)))


def minimum(x: Array, y: Array) -> Array:
    """The smaller of two: it gets g; where they are equal each gets half."""
    a, b = value_of(x), value_of(y)
    return record(np.minimum(a, b), (x, lambda g: g * _share(b, a)), (y, lambda g: g * _share(a, b)))


def _share(x: Array, y: Array) -> Array:
    """1 where x > y, 1/2 where x = y, else 0."""
    dtype = np.result_type(x, y)
    return 0.5 * (np.greater(x, y).astype(dtype) + np.greater_equal(x, y))
