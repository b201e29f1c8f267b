"""Attention and its VJP in blocks of scores, so that memory grows with the tokens and not with their square.

In the base model that is half of the time of a forward pass and a third of the memory of a training step.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends.fast.threads import share
from minitvlt.backends.tree import Array

SCORES = 1 << 19  # in a block of several heads: 2 MiB in float32
ROWS = 256  # queries in a block of a single head that has more scores than that
LARGE = 1 << 22  # scores: some 20 ms on one core
PADDING, LOWEST = -1e30, -1e29  # what is added to the scores of padding, and the least maximum of a row

Part = tuple[slice, slice]  # some clips, some heads


def attend(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads N 1"]]:
    """Return the attention and, for every query, log Σ exp(score): from it `attend_vjp` gets the weights."""
    B, heads, N, d = query.shape
    output = np.empty((B, N, heads, d), value.dtype).transpose(0, 2, 1, 3)  # (B, heads, N, d)
    log_total = np.empty((B, heads, N, 1), value.dtype)

    def work(part: Part, rows: slice, scratch: np.ndarray) -> None:
        weights = compute_scores(query, key, is_real, part, rows, scratch[0])
        highest = np.max(weights, axis=-1, keepdims=True, initial=LOWEST)
        weights -= highest
        np.exp(weights, out=weights)
        total = weights @ np.ones((weights.shape[-1], 1), weights.dtype)  # faster than NumPy's sum of rows
        total += total == 0  # no real key: all weights are 0
        np.divide(weights @ value[part], total, out=output[part][:, :, rows])
        log_total[part][:, :, rows] = highest + np.log(total)

    for_each_block(work, B, heads, N, key.shape[2], output.dtype)
    return output, log_total


def widen(*arrays: Float[Array, "..."]) -> tuple[Float[Array, "..."], ...]:
    """Convert float16 to float32: scores of padding exceed its range."""
    return tuple(x.astype(np.promote_types(x.dtype, np.float32), copy=False) for x in arrays)


def compute_scores(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None,
    part: Part,
    rows: slice,
    scratch: Float[Array, "size"],
) -> Float[Array, "b h n M"]:
    """Return query keyᵀ / √d for some clips, heads and queries, with PADDING added to padding."""
    scale = np.asarray(query.shape[-1] ** -0.5, query.dtype)
    scores = multiply_transposed(query[part][:, :, rows] * scale, key[part], scratch)
    if is_real is not None and not is_real[part[0]].all():
        scores += np.where(is_real[part[0]], 0, PADDING).astype(scores.dtype)[:, None, None, :]
    return scores


def multiply_transposed(
    x: Float[Array, "b h n d"], y: Float[Array, "b h M d"], scratch: Float[Array, "size"]
) -> Float[Array, "b h n M"]:
    """Return x yᵀ in the memory of a scratch buffer: fresh memory for every block costs more page faults."""
    shape = (*x.shape[:3], y.shape[2])
    return np.matmul(x, np.swapaxes(y, 2, 3), out=scratch[: math.prod(shape)].reshape(shape))


def attend_vjp(
    g: Float[Array, "B heads N d"],
    output: Float[Array, "B heads N d"],
    log_total: Float[Array, "B heads N 1"],
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads M d"], Float[Array, "B heads M d"]]:
    """Return the cotangents of query, key and value: the formulas of the plain `attention_vjp`, in blocks.

    The weights P are computed again, as exp(score - log Σ exp(score)). The sum in softmax_vjp(G Vᵀ, P) is
    Σ_j P_j (g · v_j) = g · output for every query, so it does not need all keys at once.
    """
    g_query, g_key, g_value = np.empty_like(query), np.zeros_like(key), np.zeros_like(value)
    scale = np.asarray(query.shape[-1] ** -0.5, query.dtype)

    def work(part: Part, rows: slice, scratch: np.ndarray) -> None:
        some_g, some_query = g[part][:, :, rows], query[part][:, :, rows]
        weights = compute_scores(query, key, is_real, part, rows, scratch[0])
        weights -= log_total[part][:, :, rows]
        np.exp(weights, out=weights)
        r = multiply_transposed(some_g, value[part], scratch[1])
        r -= np.sum(some_g * output[part][:, :, rows], axis=-1, keepdims=True)
        r *= weights
        np.multiply(r @ key[part], scale, out=g_query[part][:, :, rows])
        g_key[part] += np.swapaxes(r, 2, 3) @ (some_query * scale)
        g_value[part] += np.swapaxes(weights, 2, 3) @ some_g

    for_each_block(work, *query.shape[:3], key.shape[2], query.dtype)
    return g_query, g_key, g_value


def for_each_block(work: Callable[..., None], B: int, heads: int, N: int, M: int, dtype: np.dtype) -> None:
    """Call `work(part, rows, scratch)` on blocks of about `SCORES` scores; a head stays on one thread."""
    each = max(1, N * M)  # scores of a head
    clips, some = max(1, SCORES // (each * max(1, heads))), max(1, SCORES // each)
    parts = [
        (slice(b, b + clips), slice(h, h + some)) for b in range(0, B, clips) for h in range(0, heads, some)
    ]
    step = max(1, N if each <= SCORES else ROWS)

    def run(some_parts: slice) -> None:
        scratch = np.empty((2, min(B, clips) * min(heads, some) * min(N, step) * M), dtype)
        for part in parts[some_parts]:
            for start in range(0, N, step):
                work(part, slice(start, start + step), scratch)

    if B * heads * each < LARGE:
        run(slice(None))
    else:
        share(run, len(parts))
