"""Recorded arrays with faster versions of the functions in which a network spends its time."""

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends.fast import kernels
from minitvlt.backends.fast.attention import attend, carry_back_attention
from minitvlt.backends.fast.cores import share
from minitvlt.backends.tape import record, value_of
from minitvlt.backends.tape_backend import *
from minitvlt.backends.tree import Array


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Y = X Wᵀ + b over all rows: ∂L/∂X = G W, ∂L/∂W = Gᵀ X, ∂L/∂b = the sum of the rows of G."""
    a, w = value_of(x), value_of(weight)
    y = kernels.linear(a, w, value_of(bias))
    return record(
        y,
        (x, lambda g: kernels.linear(g, w.T)),
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

    share(work, g.shape[1], kernels.estimate_product(*g.shape, x.shape[1]))
    return for_weight, for_bias


def sum_rows(x: Float[Array, "rows D"]) -> Float[Array, "D"]:
    """Sum over the rows, as a product with ones: faster than NumPy's sum, and more exact."""
    return np.ones(len(x), x.dtype) @ x


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """y = x Φ(x): dy/dx = Φ(x) + x φ(x), where φ = Φ' is the bell curve."""
    y, slope = kernels.gelu_and_slope(value_of(x))

    def vjp(g: Array) -> Array:
        return np.multiply(slope, g, out=slope)  # its memory is free: the slope is needed just once

    return record(y, (x, vjp))


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
