"""The larger functions on the tape: matrix products, Fourier transforms, and the five of a neural network.

The rules are in `minitvlt.backends.tape_array`. Each function computes by the NumPy backend and keeps just
what its VJP needs. Letters: g, or G for a matrix, is the cotangent of the result; ⊙ is the product element by
element; ⟨a⟩ is the mean of a row.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from minitvlt.backends import numpy_backend, numpy_kernels
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
    y = numpy_backend.linear(a, w, value_of(bias))
    return record(
        y,
        (x, lambda g: (_rows(g) @ w).reshape(a.shape)),
        (weight, lambda g: _rows(g).T @ _rows(a)),
        (bias, lambda g: sum_rows(_rows(g))),
    )


def _rows(x: Float[Array, "*batch D"]) -> Float[Array, "rows D"]:
    return x.reshape(-1, x.shape[-1])


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
    w = value_of(weight)
    z, inverse = numpy_backend.standardise(value_of(x), eps)
    y = z * w
    y += value_of(bias)

    def vjp(g: Array) -> tuple[Array, Array, Array]:
        product, mean_weight = g * z, w / len(w)
        along_z = (product @ mean_weight)[..., None]  # ⟨h ⊙ z⟩ = ⟨(g ⊙ z) ⊙ w⟩
        shift = (g @ mean_weight)[..., None]
        back = g * w
        back -= shift
        back -= z * along_z
        back *= inverse
        return back, sum_rows(_rows(product)), sum_rows(_rows(g))

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
    output, log_total = numpy_kernels.attend(*arrays)
    return record(
        output, ((query, key, value), lambda g: _carry_back_attention(g, output, log_total, *arrays))
    )


def _carry_back_attention(
    g: Array, output: Array, log_total: Array, query: Array, key: Array, value: Array, is_real: Array | None
) -> tuple[Array, Array, Array]:
    B, heads, N, d = query.shape
    M = key.shape[2]
    for_query, for_key, for_value = np.empty_like(query), np.zeros_like(key), np.zeros_like(value)
    expected = np.einsum("bhnd,bhnd->bhn", g, output)[..., None]  # (B, heads, N, 1)
    room, key_t = numpy_kernels.make_room(query, key), numpy_kernels.transpose_keys(key)
    for block, of_keys in numpy_kernels.score_blocks(B, heads, N, M):
        weights = numpy_kernels.score_block(query[block], key_t[of_keys], is_real, of_keys[0], room)
        back = g[block] @ np.swapaxes(value[of_keys], -1, -2)
        weights -= log_total[block]
        np.exp(weights, out=weights)
        back -= expected[block]
        back *= weights
        for_value[of_keys] += np.swapaxes(weights, -1, -2) @ g[block]
        for_query[block] = back @ key[of_keys]
        for_key[of_keys] += np.swapaxes(back, -1, -2) @ query[block]
    for_query *= np.asarray(d**-0.5, query.dtype)
    for_key *= np.asarray(d**-0.5, query.dtype)
    return for_query, for_key, for_value
