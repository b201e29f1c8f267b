"""Attention on NumPy, and its way back: tile by tile, so that the scores are never there as a whole.

A tile is the scores of some queries with some keys, small enough to stay in the cache of a core from the
product that makes it to the product that uses it up. The softmax over all keys is taken along the way (the
online softmax: Milakov and Gimelshein 2018; Dao et al. 2022): a row keeps the sum of its weights and the
weighted sum of the values so far, both relative to its highest score so far, and whenever a tile brings a
higher one, both shrink to fit. So memory grows with the tokens and not with their square.
"""

import math

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends.cores import share
from minitvlt.backends.numpy_kernels import LOGARITHM, POWER, UNIT, estimate_product
from minitvlt.backends.tree import Array

QUERIES, KEYS = 1024, 512  # the largest tile of one head: 2 MiB in float32
SMALL = 1 << 18  # scores: clips that have fewer in all their heads share a tile
PADDING = -1e30  # what is added to the score of a key that is padding: its weight becomes 0
LOWEST = -1e29  # the highest score so far before there is any
SAFE_SCORE = 60  # e^60 is 1e26: the sum of a trillion such weights still fits into float32


def attention(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B heads N d"]:
    """softmax(query keyᵀ / √d) value over the real keys (Vaswani et al. 2017); a row without any gives 0."""
    wide = np.promote_types(query.dtype, np.float32)  # scores go beyond the range of float16
    query_key_value = (x.astype(wide, copy=False) for x in (query, key, value))
    return attend(*query_key_value, is_real)[0].astype(query.dtype, copy=False)


def attend(
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None = None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads N 1"]]:
    """Return the attention and, for every row, log Σ exp(score), from which the weights can be made again."""
    B, heads, N, d = query.shape
    M = key.shape[2]
    output = np.empty((B, N, heads, d), query.dtype).transpose(0, 2, 1, 3)  # (B, heads, N, d)
    log_total = np.empty((B, heads, N, 1), query.dtype)
    is_safe = bound_scores(query, key) < SAFE_SCORE
    parts = cut_heads(B, heads, N, M)

    def work(stretch: slice) -> None:
        room = make_room(query)
        for part in parts[stretch]:
            queries, keys = extend(query[part], key[part], is_real, part[0])
            values = np.ascontiguousarray(value[part])
            for rows in cut(N, QUERIES):
                place = (*part, rows)
                sums, total, highest = sum_values(queries[:, :, rows], keys, values, is_safe, room)
                np.divide(sums, np.where(total == 0, 1, total), out=output[place])
                with np.errstate(divide="ignore"):
                    logarithm = (highest + LOGARITHM(total)) / UNIT
                    log_total[place] = np.where(total == 0, -PADDING, logarithm)

    share(work, len(parts), 2 * estimate_product(B, heads, N, M, d) + B * heads * N * M)
    return output, log_total


def cut_heads(B: int, heads: int, N: int, M: int) -> list[tuple[slice, slice]]:
    """Cut a batch into what is worked on together: some clips with all heads, or one head of one clip."""
    if heads * N * M <= SMALL:
        return [(clips, slice(None)) for clips in cut(B, SMALL // max(1, heads * N * M))]
    return [(slice(b, b + 1), slice(h, h + 1)) for b in range(B) for h in range(heads)]


def cut(n: int, most: int) -> list[slice]:
    """Cut 0 … n - 1 into parts as equal as possible, of at most so many; nothing is one empty part."""
    count = max(1, -(-n // most))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def make_room(like: Float[Array, "..."]) -> Float[Array, "size"]:
    """Make memory for the scores of a tile, to be used for one tile after another."""
    return np.empty(max(SMALL, QUERIES * KEYS), like.dtype)


def score_tile(
    queries: Float[Array, "b h n e"], keys: Float[Array, "b h m e"], room: Float[Array, "size"]
) -> Float[Array, "b h n m"]:
    """Multiply queries @ keysᵀ in the memory of `room`."""
    shape = (*queries.shape[:3], keys.shape[2])
    scores = room[: math.prod(shape)].reshape(shape)
    return np.matmul(queries, np.swapaxes(keys, -1, -2), out=scores)


def bound_scores(query: Float[Array, "B heads N d"], key: Float[Array, "B heads M d"]) -> float:
    """Bound the scores without computing them, by the longest query and the longest key (Cauchy-Schwarz)."""
    lengths = [np.max(np.einsum("bhnd,bhnd->bhn", x, x), initial=0) for x in (query, key)]
    return float(lengths[0] * lengths[1] / query.shape[-1]) ** 0.5


def extend(
    query: Float[Array, "b h n d"],
    key: Float[Array, "b h M d"],
    is_real: Bool[Array, "B M"] | None,
    clips: slice,
    addend: Float[Array, "b h n 1"] | None = None,
) -> tuple[Float[Array, "b h n e"], Float[Array, "b h M e"]]:
    """Scale the queries by `UNIT` / √d, and give both one more coordinate for all that is added to a score.

    Then queries @ keysᵀ are the scores times `UNIT`, and 1 · `PADDING` is added to those of padding, and
    `addend` · 1 to a row. Both come in memory of their own: rows that lie apart are slow to multiply.
    """
    queries, keys = [query * np.asarray(UNIT * query.shape[-1] ** -0.5, query.dtype)], [key]
    if is_real is not None and not is_real[clips].all():
        queries.append(np.ones((*query.shape[:3], 1), query.dtype))
        said = np.where(is_real[clips], 0, PADDING).astype(key.dtype)[:, None, :, None]
        keys.append(np.broadcast_to(said, (*key.shape[:3], 1)))
    if addend is not None:
        queries.append(addend)
        keys.append(np.ones((*key.shape[:3], 1), key.dtype))
    return tuple(np.concatenate(each, axis=-1) for each in (queries, keys))


def append(x: Float[Array, "*rows d"], number: float | int) -> Float[Array, "*rows {x.shape[-1]+1}"]:
    """Give every row one more coordinate."""
    return np.concatenate([x, np.full((*x.shape[:-1], 1), number, x.dtype)], axis=-1)


def sum_values(
    queries: Float[Array, "b h n e"],
    keys: Float[Array, "b h M e"],
    values: Float[Array, "b h M d"],
    is_safe: bool,
    room: Float[Array, "size"],
) -> tuple[Float[Array, "b h n d"], Float[Array, "b h n 1"], Float[Array, "b h n 1"]]:
    """Sum exp(score - highest) value over all keys, tile by tile, and exp(score - highest) alone.

    Where no score can overflow (`is_safe`), the highest counts as 0, and nothing need be looked for.

    Returns:
        Both sums and the highest score of every row.
    """
    shape = queries.shape[:3]
    sums, total = np.zeros((*shape, values.shape[-1]), values.dtype), np.zeros((*shape, 1), values.dtype)
    highest = np.full((*shape, 1), 0 if is_safe else LOWEST, values.dtype)
    for some in cut(keys.shape[2], KEYS):
        weights = score_tile(queries, keys[:, :, some], room)  # scores, until POWER makes weights of them
        if not is_safe:
            higher = np.maximum(highest, np.max(weights, axis=-1, keepdims=True))
            shrink = POWER(highest - higher)
            sums *= shrink
            total *= shrink
            weights -= higher
            highest = higher
        POWER(weights, out=weights)
        sums += weights @ values[:, :, some]
        total += weights @ np.ones((weights.shape[3], 1), weights.dtype)
    return sums, total, highest


def carry_back_attention(
    g: Float[Array, "B heads N d"],
    output: Float[Array, "B heads N d"],
    log_total: Float[Array, "B heads N 1"],
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads M d"], Float[Array, "B heads M d"]]:
    """Return the cotangents of query, key and value; `minitvlt.backends.tape_kernels` derives them.

    Two subtractions are done by the products: log Σ exp(score) is taken off a score, and g · o off g · v, by
    one more coordinate, which is 1 for the keys and values.
    """
    B, heads, N, d = query.shape
    M = key.shape[2]
    gradients = tuple(np.empty(x.shape, x.dtype) for x in (query, key, value))
    expected = np.einsum("bhnd,bhnd->bhn", g, output)[..., None]  # (B, heads, N, 1)
    parts = cut_heads(B, heads, N, M)

    def work(stretch: slice) -> None:
        rooms = make_room(query), make_room(query)
        for part in parts[stretch]:
            queries, keys = extend(query[part], key[part], is_real, part[0], -UNIT * log_total[part])
            changes = np.concatenate([g[part], -expected[part]], axis=-1)
            values = append(value[part], 1)
            carry_back_heads(queries, keys, changes, values, rooms, *(x[part] for x in gradients))

    share(work, len(parts), 5 * estimate_product(B, heads, N, M, d) + 2 * B * heads * N * M)
    return gradients


def carry_back_heads(
    queries: Float[Array, "b h n e"],
    keys: Float[Array, "b h M e"],
    changes: Float[Array, "b h n wider"],
    values: Float[Array, "b h M wider"],
    rooms: tuple[Float[Array, "size"], Float[Array, "size"]],
    for_query: Float[Array, "b h n d"],
    for_key: Float[Array, "b h M d"],
    for_value: Float[Array, "b h M d"],
) -> None:
    """Make the weights again, tile by tile, and write the sums of what the tiles give back."""
    d = for_query.shape[-1]
    for few in cut(keys.shape[2], KEYS):
        for rows in cut(queries.shape[2], QUERIES):
            weights = score_tile(queries[:, :, rows], keys[:, :, few], rooms[0])
            POWER(weights, out=weights)
            back = score_tile(changes[:, :, rows], values[:, :, few], rooms[1])
            back *= weights
            is_first_row, is_first_key = rows.start == 0, few.start == 0
            add_product(
                np.swapaxes(weights, -1, -2), changes[:, :, rows, :d], for_value[:, :, few], is_first_row
            )
            add_product(back, keys[:, :, few, :d], for_query[:, :, rows], is_first_key)
            add_product(np.swapaxes(back, -1, -2), queries[:, :, rows, :d], for_key[:, :, few], is_first_row)
    for_query *= np.asarray(d**-0.5, keys.dtype)
    for_key /= np.asarray(UNIT, keys.dtype)  # it is in the queries


def add_product(
    x: Float[Array, "b h n m"], y: Float[Array, "b h m d"], total: Float[Array, "b h n d"], is_first: bool
) -> None:
    """Add x @ y to a sum, or begin the sum with it."""
    if is_first:
        np.matmul(x, y, out=total)
    else:
        total += x @ y
