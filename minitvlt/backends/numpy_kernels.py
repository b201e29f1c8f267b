"""GELU and attention on NumPy: the two functions that a network spends its time in beside the matrix
products.

Both work in blocks that stay in the cache, in place where the memory is their own.
"""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends.tree import Array


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute x Φ(x), with the exact normal distribution function Φ (Hendrycks and Gimpel 2016)."""
    y = np.empty(x.shape, x.dtype)
    _gelu(x.reshape(-1), y.reshape(-1))
    return y


def gelu_and_slope(x: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Return x Φ(x) and its derivative Φ(x) + x φ(x); both come from one exponential."""
    y, slope = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    _gelu(x.reshape(-1), y.reshape(-1), slope.reshape(-1))
    return y, slope


GELU_BLOCK = 1 << 16  # elements: the block and its work space stay in the cache of one core
# Φ(-a) = poly(t) exp(-a²/2) with t = 1 / (1 + SLANT a): Abramowitz and Stegun 7.1.26 in a = √2 z, halved.
# SciPy's erf computes in double precision and takes five times as long; the error here is below 4e-7.
SLANT = 0.3275911 / 2**0.5
POLYNOMIAL = [0.5 * c for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]


def _gelu(x: Array, y: Array, slope: Array | None = None) -> None:
    room = np.empty((3, min(x.size, GELU_BLOCK)), x.dtype)  # made once, for all blocks
    for start in range(0, x.size, GELU_BLOCK):
        block = slice(start, start + GELU_BLOCK)
        bell, t, cdf = room[:, : x[block].size]
        fill_bell_and_cdf(x[block], bell, t, cdf)
        np.multiply(x[block], cdf, out=y[block])
        if slope is not None:
            bell *= x[block]
            bell *= np.asarray((2 * np.pi) ** -0.5, x.dtype)
            np.add(cdf, bell, out=slope[block])


def fill_bell_and_cdf(
    x: Float[Array, "n"], bell: Float[Array, "n"], t: Float[Array, "n"], cdf: Float[Array, "n"]
) -> None:
    """Write exp(-x²/2) and Φ(x) into `bell` and `cdf`; `t` is work space."""
    np.multiply(x, x, out=bell)
    bell *= np.asarray(-0.5, x.dtype)
    np.exp(bell, out=bell)
    if x.dtype != np.float32:
        from scipy.special import ndtr  # here, because importing it takes longer than all of this package

        ndtr(x, out=cdf)
        return
    np.abs(x, out=t)
    t *= np.float32(SLANT)
    t += np.float32(1)
    np.reciprocal(t, out=t)
    np.multiply(t, np.float32(POLYNOMIAL[0]), out=cdf)
    for coefficient in POLYNOMIAL[1:]:
        cdf += np.float32(coefficient)
        cdf *= t
    cdf *= bell  # Φ(-|x|), from which Φ(x) = 1/2 ± (1/2 - Φ(-|x|))
    np.subtract(np.float32(0.5), cdf, out=cdf)
    np.copysign(cdf, x, out=cdf)
    cdf += np.float32(0.5)


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """softmax(query keyᵀ / √d) value over the real keys (Vaswani et al. 2017); a row without any gives 0."""
    return attend(query, key, value, is_real)[0]


def attend(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads N 1"]]:
    """Return the attention and, for every row, log Σ exp(score), from which the weights can be made again.

    Scores are made and used up block by block, so the memory does not grow with the square of the tokens.
    """
    B, heads, N, d = query.shape
    output = np.empty((B, N, heads, d), query.dtype).transpose(0, 2, 1, 3)  # (B, heads, N, d)
    log_total = np.empty((B, heads, N, 1), query.dtype)
    # A column of ones beside the values: one product gives the weighted values and the sum of the weights.
    value_and_one = np.concatenate([value, np.ones((*value.shape[:3], 1), value.dtype)], axis=-1)
    is_safe = bound_scores(query, key) < SAFE_SCORE
    room, key_t = make_room(query, key), transpose_keys(key)
    for block, of_keys in score_blocks(B, heads, N, key.shape[2]):
        scores = score_block(query[block], key_t[of_keys], is_real, of_keys[0], room)
        maximum = 0 if is_safe else subtract_maximum(scores)
        np.exp(scores, out=scores)
        sums = scores @ value_and_one[of_keys]
        total = sums[..., d:]
        np.divide(sums[..., :d], np.where(total == 0, 1, total), out=output[block])
        with np.errstate(divide="ignore"):
            log_total[block] = np.where(total == 0, np.inf, maximum + np.log(total))
    return output, log_total


SAFE_SCORE = 60  # e^60 is 1e26: the sum of a trillion such weights still fits into float32


def bound_scores(query: Float[Array, "B heads N d"], key: Float[Array, "B heads M d"]) -> float:
    """Bound the scores without computing them, by the longest query and the longest key (Cauchy-Schwarz)."""
    lengths = [np.max(np.einsum("bhnd,bhnd->bhn", x, x), initial=0) for x in (query, key)]
    return float(lengths[0] * lengths[1] / query.shape[-1]) ** 0.5


SCORE_BLOCK = 1 << 21  # scores: 8 MiB in float32, made and used up inside the last cache


def score_blocks(B: int, heads: int, N: int, M: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Cut the scores into blocks: whole clips while they are small, else rows of one head.

    Yields the slices of a block in the queries (batch, heads, rows) and in the keys (batch, heads).
    """
    clips = SCORE_BLOCK // (heads * N * M)
    rows = SCORE_BLOCK // M + 1
    if clips:
        for b in range(0, B, clips):
            yield (slice(b, b + clips), slice(None), slice(None)), (slice(b, b + clips), slice(None))
        return
    for b in range(B):
        for h in range(heads):
            for n in range(0, N, rows):
                of_keys = (slice(b, b + 1), slice(h, h + 1))
                yield (*of_keys, slice(n, n + rows)), of_keys


def make_room(query: Float[Array, "B heads N d"], key: Float[Array, "B heads M d"]) -> Float[Array, "n"]:
    """Make work space for one block of scores, to be used for all of them."""
    blocks = score_blocks(*query.shape[:3], key.shape[2])
    largest = max((query[block][..., 0].size * key.shape[2] for block, _ in blocks), default=0)
    return np.empty(largest, query.dtype)


def transpose_keys(key: Float[Array, "B heads M d"]) -> Float[Array, "B heads d M"]:
    """Lay out keyᵀ / √d in memory of its own: products with it are a quarter faster than with a view."""
    return np.ascontiguousarray(np.swapaxes(key, -1, -2)) * np.asarray(key.shape[-1] ** -0.5, key.dtype)


def score_block(
    query: Float[Array, "b h n d"],
    key_t: Float[Array, "b h d M"],
    is_real: Bool[Array, "B M"] | None,
    batch: slice,
    room: Float[Array, "size"],
) -> Float[Array, "b h n M"]:
    """Multiply queries and keyᵀ / √d in the work space; keys that are padding get minus infinity."""
    shape = (*query.shape[:3], key_t.shape[3])
    scores = room[: math.prod(shape)].reshape(shape)
    np.matmul(query, key_t, out=scores)
    if is_real is not None and not is_real[batch].all():
        np.copyto(scores, -np.inf, where=~is_real[batch, None, None, :])
    return scores


def subtract_maximum(scores: Float[Array, "b h n M"]) -> Float[Array, "b h n 1"]:
    """Take the maximum off every row, in place, so that no exponential overflows; return the maxima."""
    maximum = np.max(scores, axis=-1, keepdims=True)
    maximum[np.isneginf(maximum)] = 0  # a row of padding alone: exp(-inf - 0) = 0
    scores -= maximum
    return maximum
