"""The larger functions on the tape: matrix products, Fourier transforms, and the five of a neural network.

The rules are in `minitvlt.backends.tape_array`. Each function computes by the NumPy backend and keeps just
what its VJP needs. Letters: g, or G for a matrix, is the cotangent of the result; ⊙ is the product element by
element; ⟨a⟩ is the mean of a row.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from minitvlt.backends import numpy_backend, numpy_kernels
from minitvlt.backends.cores import share
from minitvlt.backends.numpy_attention import attend, carry_back_attention
from minitvlt.backends.tape_array import record, value_of
from minitvlt.backends.tree import Array


def scatter(rows: Array, places: Int[Array, "n"], count: int) -> Array:
    """Add row k of the given ones to row places[k] of `count` rows of zeros.

    That is a product with a matrix that has a single 1 in each column. As a sparse matrix it is thirty times
    as fast as NumPy's add.at.
    """
    from scipy.sparse import csc_array  # here, because importing it takes longer than all of this package

    n = len(places)
    ones = csc_array((np.ones(n, rows.dtype), places, np.arange(n + 1)), shape=(count, n))
    return ones @ rows


def matmul(x: Array, y: Array) -> Array:
    """Z = X Y: Z_ij = Σ_k X_ik Y_kj, so ∂L/∂X = G Yᵀ and ∂L/∂Y = Xᵀ G."""
    a, b = value_of(x), value_of(y)
    if a.ndim < 2 or b.ndim < 2:
        raise ValueError(f"Expected matrices, got the shapes {a.shape} and {b.shape}.")
    return record(
        a @ b,
        (x, lambda g: g @ np.swapaxes(b, -1, -2).conjugate()),
        (y, lambda g: np.swapaxes(a, -1, -2).conjugate() @ g),
    )


def rfft(x: Array) -> Array:
    """y_k = Σ_m x_m e^(-2πi km/n) for k up to n/2: ∂L/∂x_m = Re Σ_k g_k e^(2πi km/n).

    That is n times the inverse transform, but for the amplitudes that it counts twice: so halve them before.
    """
    a = value_of(x)
    n = a.shape[-1]
    return record(numpy_backend.rfft(a), (x, lambda g: n * numpy_backend.irfft(g / count_mirrored(n, g), n)))


def irfft(x: Array, n: int) -> Array:
    """y_m = 1/n Σ_k c_k Re(x_k e^(2πi km/n)), where c_k counts x_k and its mirror image.

    Each y_m pulls x_k towards c_k/n e^(-2πi km/n): ∂L/∂x_k = c_k/n Σ_m g_m e^(-2πi km/n), a transform of g.
    """
    y = numpy_backend.irfft(value_of(x), n)
    return record(y, (x, lambda g: numpy_backend.rfft(g) * (count_mirrored(n, g) / n)))


def count_mirrored(n: int, like: Array) -> Float[Array, "_"]:
    """How many of the n amplitudes of a real signal each of the n//2 + 1 stands for.

    Amplitudes k and n - k are mirror images: 2. Amplitude 0 and, where n is even, n/2 are their own: 1.
    """
    counts = np.full(n // 2 + 1, 2, like.real.dtype)
    counts[0] = 1
    if n % 2 == 0:
        counts[-1] = 1
    return counts


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Y = X Wᵀ + b over all rows: ∂L/∂X = G W, ∂L/∂W = Gᵀ X, ∂L/∂b = the sum of the rows of G."""
    a, w = value_of(x), value_of(weight)
    y = numpy_kernels.linear(a, w, value_of(bias))
    return record(
        y,
        (x, lambda g: numpy_kernels.linear(g, w.T)),
        ((weight, bias), lambda g: sum_products(_rows(g), _rows(a))),
    )


def _rows(x: Float[Array, "*batch D"]) -> Float[Array, "rows D"]:
    return x.reshape(-1, x.shape[-1])


def sum_products(
    g: Float[Array, "rows out"], x: Float[Array, "rows in"]
) -> tuple[Float[Array, "out in"], Float[Array, "out"]]:
    """Gᵀ X and the sum of the rows of G: all cores share the columns of G."""
    for_weight, for_bias = np.empty((g.shape[1], x.shape[1]), g.dtype), np.empty(g.shape[1], g.dtype)

    def work(some: slice) -> None:
        np.matmul(g[:, some].T, x, out=for_weight[some])
        for_bias[some] = sum_rows(g[:, some])

    share(work, g.shape[1], numpy_kernels.estimate_product(*g.shape, x.shape[1]))
    return for_weight, for_bias


def sum_rows(x: Float[Array, "rows D"]) -> Float[Array, "D"]:
    """Sum over the rows, as a product with ones: faster than NumPy's sum, and more exact."""
    return np.ones(len(x), x.dtype) @ x


def layer_norm(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> Float[Array, "*batch D"]:
    """y = w ⊙ z + b with z = (x - ⟨x⟩) / σ for every row.

    A step of x that shifts the whole row, or stretches it along z, leaves z as it is. So these two parts are
    taken out of h = g ⊙ w, the cotangent of z: ∂L/∂x = (h - ⟨h⟩ - z ⟨h ⊙ z⟩) / σ. Over all rows, ∂L/∂w = Σ g
    ⊙ z and ∂L/∂b = Σ g.
    """
    a, w = value_of(x), value_of(weight)
    y, mean, inverse = numpy_kernels.layer_norm_and_statistics(a, w, value_of(bias), eps)
    rows, D = _rows(a), len(w)
    mean_weight = w / D

    def vjp(g: Array) -> tuple[Array, Array, Array]:
        g, back = _rows(g), np.empty(rows.shape, a.dtype)

        def work(some: slice) -> tuple[Array, Array]:
            h = np.subtract(rows[some], mean[some], out=back[some])  # z σ
            product = g[some] * h
            for_weight, for_bias = inverse[some, 0] @ product, sum_rows(g[some])
            h *= (product @ mean_weight)[:, None] * inverse[some] ** 2  # z ⟨h ⊙ z⟩ = z ⟨(g ⊙ z) ⊙ w⟩
            h += (g[some] @ mean_weight)[:, None]
            np.multiply(g[some], w, out=product)
            np.subtract(product, h, out=h)
            h *= inverse[some]
            return for_weight, for_bias

        parts = share(work, len(rows), 4 * rows.size)
        for_weight, for_bias = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
        return back.reshape(a.shape), for_weight, for_bias

    return record(y, ((x, weight, bias), vjp))


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """y = x Φ(x): dy/dx = Φ(x) + x φ(x), where φ = Φ' is the bell curve."""
    y, slope = numpy_kernels.gelu_and_slope(value_of(x))

    def vjp(g: Array) -> Array:
        return np.multiply(slope, g, out=slope)  # its memory is free: the slope is needed just once

    return record(y, (x, vjp))


def softmax(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """y_i = exp(x_i) / Σ exp(x_j): ∂y_j/∂x_i = y_j (δ_ij - y_i), so ∂L/∂x = y ⊙ (g - Σ g ⊙ y)."""
    y = numpy_backend.softmax(value_of(x))
    return record(y, (x, lambda g: y * (g - np.sum(g * y, axis=-1, keepdims=True))))


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """O = P V with P = softmax(S), S = Q Kᵀ / √d, for every head.

    ∂L/∂V = Pᵀ G. The cotangent of P is G Vᵀ, and through the softmax that of S is
    R = P ⊙ (G Vᵀ - Σ (G Vᵀ) ⊙ P). The sum of a row is Σ_j P_j (g · v_j) = g · o, so it needs no P.
    Then ∂L/∂Q = R K / √d and ∂L/∂K = Rᵀ Q / √d.

    Only O and the logarithm of each row's Σ exp(S) are kept. From them the weights are made again on the way
    back, block by block, so that memory grows with the tokens and not with their square (Dao et al. 2022).
    """
    arrays = value_of(query), value_of(key), value_of(value), is_real
    output, log_total = attend(*arrays)
    return record(
        output, ((query, key, value), lambda g: carry_back_attention(g, output, log_total, *arrays))
    )
