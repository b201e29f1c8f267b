"""The NumPy backend with faster versions of the functions in which a network spends its time."""

import numpy as np
from jaxtyping import Bool, Complex, Float

from minitvlt.backends.fast.attention import attend, widen
from minitvlt.backends.fast.threads import count_free_cores, share
from minitvlt.backends.numpy_backend import *
from minitvlt.backends.tree import Array

LARGE_PRODUCT, LARGE_ARRAY = 1 << 28, 1 << 20  # multiplications, elements: some 5 ms on one core
BLOCK = 1 << 17  # elements of GELU at a time: they stay in the cache, and smaller blocks cost more calls

# Φ(x) = 1 / (1 + exp(-2u)) with u = x (c0 + c1 x² + … + c6 x¹²) and an error below 1e-7: a minimax fit.
# Three to ten times as fast as SciPy, which computes Φ in double precision. The same as (1 + tanh u) / 2,
# which takes 1.25 times as long without AVX-512.
POLYNOMIAL = (0.7978849972, 0.03633280784, -3.231295993e-5, -5.541260040e-5)
POLYNOMIAL += (3.981181342e-6, -1.332651785e-7, 1.775053865e-9)


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Return x Wᵀ + b as one product over all rows, which threads share if it is large."""
    rows = x.reshape(-1, x.shape[-1])
    y = np.empty((len(rows), len(weight)), np.result_type(x, weight))

    def work(some: slice) -> None:
        np.matmul(rows[some], weight.T, out=y[some])
        if bias is not None:
            y[some] += bias

    if x.size * len(weight) < LARGE_PRODUCT:
        work(slice(None))
    else:
        share(work, len(rows))
    return y.reshape(*x.shape[:-1], len(weight))


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return x Φ(x)."""
    y = np.empty(x.shape, x.dtype)
    fill_gelu(x.reshape(-1), y.reshape(-1), None)
    return y


def gelu_and_derivative(x: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Return x Φ(x) and its derivative Φ(x) + x φ(x), where φ(x) = exp(-x²/2) / √(2π)."""
    y, derivative = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    fill_gelu(x.reshape(-1), y.reshape(-1), derivative.reshape(-1))
    return y, derivative


def fill_gelu(x: Float[Array, "n"], y: Float[Array, "n"], derivative: Float[Array, "n"] | None) -> None:
    """Write GELU, and its derivative if wanted, block by block; threads share large arrays."""

    def work(some: slice) -> None:
        for start in range(some.start, some.stop, BLOCK):
            block = slice(start, min(start + BLOCK, some.stop))
            fill_cdf(x[block], y[block])
            if derivative is not None:
                density = np.square(x[block], out=derivative[block])
                density *= -0.5
                np.exp(density, out=density)
                density *= (2 * np.pi) ** -0.5
                density *= x[block]
                density += y[block]
            y[block] *= x[block]

    if x.size < LARGE_ARRAY:
        work(slice(0, x.size))
    else:
        share(work, x.size)


def fill_cdf(x: Float[Array, "n"], cdf: Float[Array, "n"]) -> None:
    """Write Φ(x)."""
    if x.dtype != np.float32:
        from scipy.special import ndtr  # imported here to keep `import minitvlt` fast

        ndtr(x, out=cdf)
        return
    with np.errstate(over="ignore"):  # infinity is right: Φ is 0 there
        square = x * x
        np.multiply(square, POLYNOMIAL[-1], out=cdf)
        for coefficient in POLYNOMIAL[-2:0:-1]:
            cdf += coefficient
            cdf *= square
        cdf += POLYNOMIAL[0]
        cdf *= x
        cdf *= -2
        np.exp(cdf, out=cdf)
    cdf += 1
    np.divide(1, cdf, out=cdf)


def rfft(x: Float[Array, "*batch n"]) -> Complex[Array, "*batch n//2+1"]:
    """Return the Fourier transform of real signals; threads share the signals if there are many."""
    import scipy.fft  # imported here to keep `import minitvlt` fast

    return scipy.fft.rfft(x, workers=1 if x.size < LARGE_ARRAY else count_free_cores())


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """Return softmax(Q Kᵀ / √d) V over the real keys, block by block."""
    output, _ = attend(*widen(query, key, value), is_real)
    return output.astype(query.dtype, copy=False)
