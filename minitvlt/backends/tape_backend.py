"""The array interface on recorded NumPy arrays: each function with its vector-Jacobian product (VJP).

A function computes its value by the NumPy backend and records its VJP, which its docstring derives; `tape.py`
explains the mechanism. Letters: g, or G for a matrix, is the cotangent of the result; ⊙ is the elementwise
product; ⟨a⟩ is the mean of a row. The VJPs of the larger functions are functions of their own.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from minitvlt.backends import numpy_backend
from minitvlt.backends.numpy_backend import arange as arange
from minitvlt.backends.numpy_backend import as_like as as_like
from minitvlt.backends.numpy_backend import from_numpy as from_numpy
from minitvlt.backends.numpy_backend import zeros as zeros
from minitvlt.backends.tape import recompute as recompute
from minitvlt.backends.tape import record, value_of
from minitvlt.backends.tree import Array

name = "tape"

# ------------------------------------------------------ conversion and creation: the rest is as on NumPy


def to_numpy(x: Array) -> Array:
    """Return the value; no gradient flows back from it."""
    return value_of(x)


# ----------------------------------------------------------------------------------- shapes and selection


def reshape(x: Array, shape: Sequence[int]) -> Array:
    """The same elements in another shape: g is reshaped back."""
    a = value_of(x)
    return record(a.reshape(shape), (x, lambda g: g.reshape(a.shape)))


def permute_dims(x: Array, axes: Sequence[int]) -> Array:
    """Axis k of the result is axis axes[k] of x: g is permuted by the inverse, which argsort gives."""
    return record(value_of(x).transpose(axes), (x, lambda g: g.transpose(np.argsort(np.mod(axes, g.ndim)))))


def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """Elements are repeated: `sum_to_shape` adds up g over the copies of each."""
    return record(np.broadcast_to(value_of(x), shape), (x, lambda g: g))


def concat(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Arrays are joined: each gets its own part of g."""
    values = [value_of(x) for x in arrays]
    edges = np.cumsum([x.shape[axis] for x in values])[:-1]
    y = np.concatenate(values, axis)
    return record(y, (tuple(arrays), lambda g: tuple(np.split(g, edges, axis=axis))))


def take(x: Array, indices: Int[Array, "n"], axis: int) -> Array:
    """y_k = x_indices[k]: `take_along_axis` with the same indices for every row."""
    shape = [1] * x.ndim
    shape[axis] = len(indices)
    return take_along_axis(x, indices.reshape(shape), axis)


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    """y = x at other indices along one axis for every row: see `take_along_axis_vjp`."""
    a = value_of(x)
    y = np.take_along_axis(a, indices, axis)
    return record(y, (x, lambda g: take_along_axis_vjp(g, a, indices, axis)))


def take_along_axis_vjp(g: Array, x: Array, indices: Array, axis: int) -> Array:
    """Each element of g is added to the element of ∂L/∂x that was taken, as often as it was."""
    back, places = np.zeros(x.shape, g.dtype), list(np.indices(g.shape, sparse=True))
    places[axis] = indices
    np.add.at(back, tuple(places), g)
    return back


def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y: g goes to the one that was chosen."""
    z = np.where(condition, value_of(x), value_of(y))
    return record(z, (x, lambda g: np.where(condition, g, 0)), (y, lambda g: np.where(condition, 0, g)))


def argsort(x: Array, axis: int = -1) -> Array:
    """The order of elements is piecewise constant: no gradient."""
    return numpy_backend.argsort(value_of(x), axis)


def astype(x: Array, dtype: np.dtype) -> Array:
    """Another precision: `sum_to_shape` converts g back. Integers have no gradient."""
    y = value_of(x).astype(dtype, copy=False)
    return record(y, (x, lambda g: g)) if y.dtype.kind in "fc" else y


# ------------------------------------------------------------------------------------------- reductions

Axis = int | tuple[int, ...] | None


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = Σ x_i: every x_i gets g."""
    a = value_of(x)
    y = np.sum(a, axis=axis, keepdims=keepdims)
    return record(y, (x, lambda g: _restore_axes(g, a.shape, axis, keepdims)))


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = Σ x_i / n: every x_i gets g / n."""
    a = value_of(x)
    y = np.mean(a, axis=axis, keepdims=keepdims)
    return record(y, (x, lambda g: _restore_axes(g / (a.size // (y.size or 1)), a.shape, axis, keepdims)))


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = the largest x_i: see `max_vjp`."""
    a = value_of(x)
    y = np.max(a, axis=axis, keepdims=keepdims)
    return record(y, (x, lambda g: max_vjp(g, a, axis, keepdims)))


def max_vjp(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """The largest x_i gets g; several that are equally large share it evenly."""
    is_largest = x == np.max(x, axis=axis, keepdims=True)
    weights = is_largest / np.sum(is_largest, axis=axis, keepdims=True, dtype=x.dtype)
    return weights * _restore_axes(g, x.shape, axis, keepdims)


def _restore_axes(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """Repeat g along the axes that were reduced: a view, no copy."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)


# ------------------------------------------------------------------------------------------ elementwise


def _elementwise(y: Array, x: Array, derivative: Callable[[], Array]) -> Array:
    """Record y = f(x), computed element by element: ∂L/∂x = g · conj(f'(x))."""
    return record(y, (x, lambda g: g * derivative().conjugate()))


def exp(x: Array) -> Array:
    """y = eˣ: dy/dx = y."""
    y = np.exp(value_of(x))
    return _elementwise(y, x, lambda: y)


def log(x: Array) -> Array:
    """y = ln x: dy/dx = 1 / x."""
    a = value_of(x)
    return _elementwise(np.log(a), x, lambda: 1 / a)


def sqrt(x: Array) -> Array:
    """y = √x: dy/dx = 1 / (2 y)."""
    y = np.sqrt(value_of(x))
    return _elementwise(y, x, lambda: 0.5 / y)


def tanh(x: Array) -> Array:
    """y = tanh x: dy/dx = 1 - y²."""
    y = np.tanh(value_of(x))
    return _elementwise(y, x, lambda: 1 - y * y)


def abs(x: Array) -> Array:
    """y = |x|: dy/dx is the sign of x, and 0 at 0; for complex x it is x / |x|."""
    a = value_of(x)
    return record(np.abs(a), (x, lambda g: g * np.sign(a)))


def real(x: Array) -> Array:
    """y = Re z: ∂L/∂Re z = g and ∂L/∂Im z = 0."""
    return record(np.real(value_of(x)), (x, lambda g: g))


def imag(x: Array) -> Array:
    """y = Im z: ∂L/∂Re z = 0 and ∂L/∂Im z = g."""
    return record(np.imag(value_of(x)), (x, lambda g: 1j * g))


def maximum(x: Array, y: Array) -> Array:
    """z = max(x, y): the larger one gets g; where they are equal each gets half."""
    a, b = value_of(x), value_of(y)
    return record(np.maximum(a, b), (x, lambda g: g * _is_larger(a, b)), (y, lambda g: g * _is_larger(b, a)))


def minimum(x: Array, y: Array) -> Array:
    """z = min(x, y): the smaller one gets g; where they are equal each gets half."""
    a, b = value_of(x), value_of(y)
    return record(np.minimum(a, b), (x, lambda g: g * _is_larger(b, a)), (y, lambda g: g * _is_larger(a, b)))


def _is_larger(x: Array, y: Array) -> Array:
    """1 where x > y, 1/2 where x = y, else 0."""
    dtype = np.result_type(x, y)
    return 0.5 * (np.greater(x, y).astype(dtype) + np.greater_equal(x, y))


# ------------------------------------------------------------------- matrix products and Fourier transforms


def matmul(x: Array, y: Array) -> Array:
    """Z = X Y: see `matmul_vjp`.

    Raises:
        ValueError: an argument with less than two axes.
    """
    a, b = value_of(x), value_of(y)
    if a.ndim < 2 or b.ndim < 2:
        raise ValueError(f"Expected matrices, got the shapes {a.shape} and {b.shape}: reshape them.")
    return record(a @ b, ((x, y), lambda g: matmul_vjp(g, a, b)))


def matmul_vjp(g: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Z_ij = Σ_k X_ik Y_kj, so ∂L/∂X = G Yᵀ and ∂L/∂Y = Xᵀ G."""
    return g @ np.swapaxes(y, -1, -2).conjugate(), np.swapaxes(x, -1, -2).conjugate() @ g


def rfft(x: Array) -> Array:
    """y_k = Σ_m x_m e^(-2πi km/n) for k up to n/2: see `rfft_vjp`."""
    a = value_of(x)
    return record(numpy_backend.rfft(a), (x, lambda g: rfft_vjp(g, a.shape[-1])))


def rfft_vjp(g: Complex[Array, "*batch bins"], n: int) -> Float[Array, "*batch {n}"]:
    """∂L/∂x_m = Re Σ_k g_k e^(2πi km/n): n times the inverse transform of g.

    The inverse adds the mirror image n - k of a coefficient k to it. The sum has no mirror images, so g is
    halved first where there is one.
    """
    return n * numpy_backend.irfft(g / _count_mirrored(n, g), n)


def irfft(x: Array, n: int) -> Array:
    """y_m = 1/n Σ_k c_k Re(x_k e^(2πi km/n)), where c_k counts x_k and its mirror image: see `irfft_vjp`."""
    return record(numpy_backend.irfft(value_of(x), n), (x, lambda g: irfft_vjp(g, n)))


def irfft_vjp(g: Float[Array, "*batch {n}"], n: int) -> Complex[Array, "*batch {n}//2+1"]:
    """∂L/∂x_k = c_k/n Σ_m g_m e^(-2πi km/n): c_k/n times the transform of g."""
    return numpy_backend.rfft(g) * (_count_mirrored(n, g) / n)


def _count_mirrored(n: int, like: Array) -> Float[Array, "{n}//2+1"]:
    """Return 2 for each coefficient k of rfft with a mirror image n - k, and 1 for 0 and for n/2."""
    k = np.arange(n // 2 + 1)
    return np.where((k == 0) | (2 * k == n), 1, 2).astype(like.real.dtype)


def sliding_windows(x: Array, length: int, step: int) -> Array:
    """Window t is x[t * step : t * step + length]: see `sliding_windows_vjp`."""
    a = value_of(x)
    y = numpy_backend.sliding_windows(a, length, step)
    return record(y, (x, lambda g: sliding_windows_vjp(g, a, step)))


def sliding_windows_vjp(
    g: Float[Array, "*batch windows length"], x: Float[Array, "*batch n"], step: int
) -> Float[Array, "*batch n"]:
    """An element of x is in several windows: their cotangents are added where they overlap."""
    back = np.zeros(x.shape, g.dtype)
    for t in range(g.shape[-2]):
        back[..., t * step : t * step + g.shape[-1]] += g[..., t, :]
    return back


# ---------------------------------------------------------------------------------------- neural network


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Y = X Wᵀ + b: see `linear_vjp`."""
    a, w = value_of(x), value_of(weight)
    y = numpy_backend.linear(a, w, value_of(bias))
    return record(y, ((x, weight, bias), lambda g: linear_vjp(g, a, w)))


def linear_vjp(
    g: Float[Array, "*batch out"], x: Float[Array, "*batch in"], weight: Float[Array, "out in"]
) -> tuple[Float[Array, "*batch in"], Float[Array, "out in"], Float[Array, "out"]]:
    """∂L/∂X = G W, ∂L/∂W = Gᵀ X over all rows, and ∂L/∂b is the sum of the rows of G."""
    rows = g.reshape(-1, g.shape[-1])
    return g @ weight, rows.T @ x.reshape(-1, x.shape[-1]), np.sum(rows, axis=0)


def layer_norm(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> Float[Array, "*batch D"]:
    """y = w ⊙ z + b with z = (x - ⟨x⟩) / σ for every row: see `layer_norm_vjp`."""
    a, w = value_of(x), value_of(weight)
    y = numpy_backend.layer_norm(a, w, value_of(bias), eps)
    return record(y, ((x, weight, bias), lambda g: layer_norm_vjp(g, a, w, eps)))


def layer_norm_vjp(
    g: Float[Array, "*batch D"], x: Float[Array, "*batch D"], weight: Float[Array, "D"], eps: float
) -> tuple[Float[Array, "*batch D"], Float[Array, "*batch D"], Float[Array, "*batch D"]]:
    """The cotangent of z is h = g ⊙ w, and ∂L/∂x = (h - ⟨h⟩ - z ⟨h ⊙ z⟩) / σ.

    A step of x that shifts the whole row, or that is a multiple of z, does not change z (eps aside): so these
    two components are removed from h. For every row ∂L/∂w = g ⊙ z and ∂L/∂b = g; `sum_to_shape` adds them up.
    """
    z = x - np.mean(x, axis=-1, keepdims=True)
    sigma = np.sqrt(np.mean(z**2, axis=-1, keepdims=True) + eps)  # (*x.shape[:-1], 1)
    z = z / sigma
    h = g * weight
    mean_h, mean_hz = np.mean(h, axis=-1, keepdims=True), np.mean(h * z, axis=-1, keepdims=True)
    return (h - mean_h - z * mean_hz) / sigma, g * z, g


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """y = x Φ(x): see `gelu_vjp`."""
    a = value_of(x)
    return record(numpy_backend.gelu(a), (x, lambda g: gelu_vjp(g, a)))


def gelu_vjp(g: Float[Array, "*shape"], x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """dy/dx = Φ(x) + x φ(x), where φ(x) = exp(-x²/2) / √(2π) is the density of Φ."""
    from scipy.special import ndtr

    return g * (ndtr(x) + x * np.exp(-0.5 * x**2) * (2 * np.pi) ** -0.5)


def softmax(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """y_i = exp(x_i) / Σ exp(x_j): see `softmax_vjp`."""
    y = numpy_backend.softmax(value_of(x))
    return record(y, (x, lambda g: softmax_vjp(g, y)))


def softmax_vjp(g: Float[Array, "*batch n"], y: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """∂y_j/∂x_i = y_j (δ_ij - y_i), so ∂L/∂x = y ⊙ (g - Σ g ⊙ y) for every row."""
    return y * (g - np.sum(g * y, axis=-1, keepdims=True))


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """O = P V with P = softmax(S) and S = Q Kᵀ / √d for every head: see `attention_vjp`."""
    q, k, v = value_of(query), value_of(key), value_of(value)
    output = numpy_backend.attention(q, k, v, is_real)
    return record(output, ((query, key, value), lambda g: attention_vjp(g, q, k, v, is_real)))


def attention_vjp(
    g: Float[Array, "B heads N d"],
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads M d"], Float[Array, "B heads M d"]]:
    """∂L/∂V = Pᵀ G. The cotangent of P is G Vᵀ, and that of S is R = softmax_vjp(G Vᵀ, P).

    Then ∂L/∂Q = R K / √d and ∂L/∂K = Rᵀ Q / √d. P is computed again, rather than kept since the forward pass.
    Padding has P = 0, so it gets no gradient and gives none.
    """
    (B, heads, N, d), M = query.shape, key.shape[2]
    weights = numpy_backend.attention_weights(query, key, is_real)  # (B, heads, N, M)
    r = softmax_vjp(g @ np.swapaxes(value, -1, -2), weights) * d**-0.5  # (B, heads, N, M)
    return r @ key, np.swapaxes(r, -1, -2) @ query, np.swapaxes(weights, -1, -2) @ g
