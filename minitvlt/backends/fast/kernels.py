"""The functions on NumPy in which a network spends its time: linear maps, normalisation and GELU.

Their rows do not depend on each other, so all cores share them; within a core they work in place. GELU, which
takes the most steps, goes in blocks that stay in the core's cache. Attention has a file of its own.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from minitvlt.backends.fast.cores import share
from minitvlt.backends.tree import Array

BLOCK = 1 << 17  # numbers: a few arrays of so many fit the cache of a core; smaller ones cost more calls


def choose_base(is_fast: bool) -> tuple[np.ufunc, np.ufunc, float]:
    """Choose power, logarithm and unit, so that power(unit · score) is e^score.

    Where NumPy has powers of 2 for AVX-512 (`is_fast`), they take half as long as powers of e; elsewhere they
    take twice as long.
    """
    return (np.exp2, np.log2, math.log2(math.e)) if is_fast else (np.exp, np.log, 1.0)


def has_fast_powers() -> bool:
    """Whether NumPy has a way to compute powers of 2 in float32 that is made for a processor like this."""
    found = np.lib.introspect.opt_func_info("^exp2$", "float32")
    return bool(found) and not found["exp2"]["ff"]["current"].startswith("baseline")


POWER, LOGARITHM, UNIT = choose_base(has_fast_powers())


def linear(
    x: Float[Array, "*batch in"], weight: Float[Array, "out in"], bias: Float[Array, "out"] | None = None
) -> Float[Array, "*batch out"]:
    """Compute x @ weight.T + bias, as one matrix product over all rows of the batch."""
    rows = x.reshape(-1, x.shape[-1])
    y = np.empty((len(rows), len(weight)), np.result_type(x, weight))

    def work(some: slice) -> None:
        np.matmul(rows[some], weight.T, out=y[some])
        if bias is not None:
            y[some] += bias

    share(work, len(rows), estimate_product(len(rows), *weight.shape))
    return y.reshape(*x.shape[:-1], len(weight))


def estimate_product(*sizes: int) -> float:
    """About how many nanoseconds a core takes for a matrix product: 100 operations in each."""
    return 2 * math.prod(sizes) / 100


def layer_norm(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> Float[Array, "*batch D"]:
    """Bring every row to mean 0 and variance 1, then scale and shift each feature (Ba et al. 2016)."""
    return layer_norm_and_statistics(x, weight, bias, eps)[0]


def layer_norm_and_statistics(
    x: Float[Array, "*batch D"], weight: Float[Array, "D"], bias: Float[Array, "D"], eps: float
) -> tuple[Float[Array, "*batch D"], Float[Array, "rows 1"], Float[Array, "rows 1"]]:
    """Return the normalised rows, and what each was normalised by: its mean and 1 / its deviation."""
    rows, D = x.reshape(-1, x.shape[-1]), x.shape[-1]
    y = np.empty(rows.shape, x.dtype)
    mean, inverse = np.empty((2, len(rows), 1), x.dtype)

    def work(some: slice) -> None:  # not in blocks: at each call of NumPy cores may wait for each other
        z = y[some]
        np.matmul(rows[some], np.full((D, 1), 1 / D, x.dtype), out=mean[some])  # faster than NumPy's mean
        np.subtract(rows[some], mean[some], out=z)
        variance = np.einsum("nd,nd->n", z, z)[:, None] / D
        inverse[some] = 1 / np.sqrt(variance + eps)
        z *= inverse[some]
        z *= weight
        z += bias

    share(work, len(rows), 2 * y.size)
    return y.reshape(x.shape), mean, inverse


def cut_rows(some: slice, D: int) -> list[slice]:
    """Cut a stretch of rows of D numbers into blocks that stay in the cache."""
    step = max(1, BLOCK // D)
    return [slice(start, min(start + step, some.stop)) for start in range(some.start, some.stop, step)]


def map_rows(function: Callable[[slice], Array], n: int, size: int) -> Array:
    """Compute rows in blocks that stay in the cache, on all cores; `minitvlt.backends.map_rows` says more."""
    parts = share(lambda some: [function(block) for block in cut_rows(some, size)], n, 3 * n * size)
    return np.concatenate([block for part in parts for block in part], axis=-2)


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute x Φ(x), with the exact normal distribution function Φ (Hendrycks and Gimpel 2016)."""
    y = np.empty(x.shape, x.dtype)
    _gelu(x.reshape(-1), y.reshape(-1))
    return y


def gelu_and_slope(x: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Return x Φ(x) and its derivative Φ(x) + x φ(x), where φ is the bell curve, the derivative of Φ."""
    y, slope = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    _gelu(x.reshape(-1), y.reshape(-1), slope.reshape(-1))
    return y, slope


def _gelu(x: Array, y: Array, slope: Array | None = None) -> None:
    def work(some: slice) -> None:
        room = np.empty(BLOCK, x.dtype)
        for block in cut_rows(some, 1):
            cdf, square = y[block], room[: x[block].size]
            fill_cdf(x[block], cdf, square)
            if slope is not None:
                bell = slope[block]
                fill_bell(square, bell)
                bell *= x[block]
                bell += cdf
            cdf *= x[block]

    share(work, x.size, 2 * x.size)


# Φ(x) = (1 + tanh(x (c0 + c1 x² + … + c6 x¹²))) / 2, up to 1e-7: the coefficients were found by making the
# largest error over all x as small as it can be. SciPy's erf computes in double precision, and takes ten
# times as long.
COEFFICIENTS = (0.7978849972, 0.03633280784, -3.231295993e-5, -5.541260040e-5)
COEFFICIENTS += (3.981181342e-6, -1.332651785e-7, 1.775053865e-9)
# As arrays, because NumPy takes longer over numbers of Python, and other cores may have to wait for it.
POLYNOMIAL, HALF = [np.array(c, np.float32) for c in COEFFICIENTS], np.array(0.5, np.float32)


def fill_cdf(x: Float[Array, "n"], cdf: Float[Array, "n"], square: Float[Array, "n"]) -> None:
    """Write Φ(x) into `cdf`, and x² into `square`."""
    with np.errstate(over="ignore"):  # far out x² and the polynomial grow beyond all bounds, as they should
        np.square(x, out=square)
        if x.dtype != np.float32:
            from scipy.special import ndtr  # here, because importing it takes longer than all of this package

            ndtr(x, out=cdf)
            return
        np.multiply(square, POLYNOMIAL[-1], out=cdf)
        for coefficient in POLYNOMIAL[-2:0:-1]:
            cdf += coefficient
            cdf *= square
        cdf += POLYNOMIAL[0]
        cdf *= x
    np.tanh(cdf, out=cdf)
    cdf *= HALF
    cdf += HALF


def fill_bell(square: Float[Array, "n"], bell: Float[Array, "n"]) -> None:
    """Write φ(x) = exp(-x² / 2) / √(2π) into `bell`, given x²."""
    np.multiply(square, np.asarray(-0.5 * UNIT, square.dtype), out=bell)
    POWER(bell, out=bell)
    bell *= np.asarray((2 * np.pi) ** -0.5, square.dtype)
