"""The tape backend with faster versions of the functions in which a network spends its time.

Derivations of the VJPs are with the plain ones. These keep what the forward pass has computed already.
"""

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends.fast import numpy as fast
from minitvlt.backends.fast.attention import attend, attend_vjp, widen
from minitvlt.backends.fast.threads import share
from minitvlt.backends.tape import record, value_of
from minitvlt.backends.tape_backend import *
from minitvlt.backends.tree import Array


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Y = X Wᵀ + b: ∂L/∂X = G W is a linear map, too."""
    a, w = value_of(x), value_of(weight)
    y = fast.linear(a, w, value_of(bias))
    return record(y, (x, lambda g: fast.linear(g, w.T)), ((weight, bias), lambda g: weight_vjp(g, a)))


def weight_vjp(
    g: Float[Array, "*batch out"], x: Float[Array, "*batch in"]
) -> tuple[Float[Array, "out in"], Float[Array, "out"]]:
    """∂L/∂W = Gᵀ X, whose rows threads share if it is large, and ∂L/∂b: the sum of the rows of G."""
    g, x = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    g_weight = np.empty((g.shape[1], x.shape[1]), g.dtype)

    def work(some: slice) -> None:
        np.matmul(g[:, some].T, x, out=g_weight[some])

    if g.size * x.shape[1] < fast.LARGE_PRODUCT:
        work(slice(None))
    else:
        share(work, g.shape[1])
    return g_weight, np.ones(len(g), g.dtype) @ g  # as a product: NumPy's sum over rows is slower


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """y = x Φ(x)."""
    y, derivative = fast.gelu_and_derivative(value_of(x))
    return record(y, (x, lambda g: g * derivative))


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """O = P V with P = softmax(Q Kᵀ / √d)."""
    arrays = *widen(value_of(query), value_of(key), value_of(value)), is_real
    output, log_total = attend(*arrays)
    y = output.astype(query.dtype, copy=False)
    return record(y, ((query, key, value), lambda g: attend_vjp(g, output, log_total, *arrays)))
