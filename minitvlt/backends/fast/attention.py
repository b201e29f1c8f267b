"""Attention on NumPy, and its way back: tile by tile, so that the scores are never there as a whole.

A tile is the scores of some queries with some keys; `minitvlt.backends.fast.tiles` cuts them. The softmax
over all keys is taken along the way (the online softmax: Milakov and Gimelshein 2018; Dao et al. 2022): a row
keeps the sum of its weights and the weighted sum of the values so far, both relative to its highest score so
far, and whenever a tile brings a higher one, both shrink to fit. So memory grows with the tokens and not with
their square.
"""

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends.fast.cores import share
from minitvlt.backends.fast.kernels import LOGARITHM, POWER, UNIT, estimate_product
from minitvlt.backends.fast.tiles import (
    add_product,
    cut_heads,
    cut_keys,
    cut_piles,
    make_room,
    pile,
    score_tile,
    transpose,
    unpile,
)
from minitvlt.backends.tree import Array

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
    parts = cut_heads(B, heads, N, M)

    def work(stretch: slice) -> None:
        room = make_room(query)
        for part in parts[stretch]:
            queries, keys = extend(query[part], key[part], is_real, part[0])
            is_safe = bound_scores(queries[..., :d], keys[..., :d]) < SAFE_SCORE * UNIT
            keys, values = transpose(keys), append(value[part], 1)[:, :, None]
            for piles, rows in cut_piles(queries, N):
                found = sum_values(queries[:, :, piles], keys, values, is_safe, room)
                sums, total, highest = (unpile(x, rows.stop - rows.start) for x in found)
                place = (*part, rows)
                np.divide(sums, np.where(total == 0, 1, total), out=output[place])
                with np.errstate(divide="ignore"):
                    logarithm = (highest + LOGARITHM(total)) / UNIT
                    log_total[place] = np.where(total == 0, -PADDING, logarithm)

    share(work, len(parts), 2 * estimate_product(B, heads, N, M, d) + B * heads * N * M)
    return output, log_total


def bound_scores(queries: Float[Array, "b h p r d"], keys: Float[Array, "b h M d"]) -> float:
    """Bound the scores without computing them, by the longest query and the longest key (Cauchy-Schwarz)."""
    squares = [np.max(np.einsum("...d,...d->...", x, x), initial=0) for x in (queries, keys)]
    return float(squares[0] * squares[1]) ** 0.5


def extend(
    query: Float[Array, "b h n d"],
    key: Float[Array, "b h M d"],
    is_real: Bool[Array, "B M"] | None,
    clips: slice,
    addend: Float[Array, "b h n 1"] | None = None,
) -> tuple[Float[Array, "b h p r e"], Float[Array, "b h M e"]]:
    """Scale the queries by `UNIT` / √d, and give both one more coordinate for all that is added to a score.

    Then queries @ keysᵀ are the scores times `UNIT`, and 1 · `PADDING` is added to those of padding, and
    `addend` · 1 to a row. Both come in memory of their own: rows that lie apart are slow to multiply.
    """
    d = query.shape[-1]
    queries, keys = [query], [key]
    if is_real is not None and not is_real[clips].all():
        queries.append(np.ones((*query.shape[:3], 1), query.dtype))
        said = np.where(is_real[clips], 0, PADDING).astype(key.dtype)[:, None, :, None]
        keys.append(np.broadcast_to(said, (*key.shape[:3], 1)))
    if addend is not None:
        queries.append(addend)
        keys.append(np.ones((*key.shape[:3], 1), key.dtype))
    piles = pile(queries)
    piles[..., :d] *= np.asarray(UNIT * d**-0.5, query.dtype)
    return piles, np.concatenate(keys, axis=-1)


def append(x: Float[Array, "*rows d"], number: float | int) -> Float[Array, "*rows {x.shape[-1]+1}"]:
    """Give every row one more coordinate."""
    return np.concatenate([x, np.full((*x.shape[:-1], 1), number, x.dtype)], axis=-1)


def sum_values(
    queries: Float[Array, "b h p r e"],
    keys: Float[Array, "b h 1 e M"],
    values: Float[Array, "b h 1 M wider"],
    is_safe: bool,
    room: Float[Array, "size"],
) -> tuple[Float[Array, "b h p r d"], Float[Array, "b h p r 1"], Float[Array, "b h p r 1"]]:
    """Sum exp(score - highest) value over all keys, tile by tile, and exp(score - highest) alone.

    Where no score can overflow (`is_safe`), the highest counts as 0, and nothing need be looked for.

    Returns:
        Both sums and the highest score of every row. The values end with a 1, so one product makes both.
    """
    shape, kind = queries.shape[:4], values.dtype
    sums = np.empty((*shape, values.shape[4]), kind)
    highest = np.full((*shape, 1), 0 if is_safe else LOWEST, kind)
    for some in cut_keys(keys.shape[4]):
        weights = score_tile(queries, keys[..., some], room)  # scores, until POWER makes weights of them
        is_first = some.start == 0
        if not is_safe:
            higher = np.maximum(highest, np.max(weights, axis=-1, keepdims=True, initial=LOWEST))
            if not is_first:
                sums *= POWER(highest - higher)
            weights -= higher
            highest = higher
        POWER(weights, out=weights)
        add_product(weights, values[..., some, :], sums, is_first)
    return sums[..., :-1], sums[..., -1:], highest


def carry_back_attention(
    g: Float[Array, "B heads N d"],
    output: Float[Array, "B heads N d"],
    log_total: Float[Array, "B heads N 1"],
    query: Float[Array, "B heads N d"],
    key: Float[Array, "B heads M d"],
    value: Float[Array, "B heads M d"],
    is_real: Bool[Array, "B M"] | None,
) -> tuple[Float[Array, "B heads N d"], Float[Array, "B heads M d"], Float[Array, "B heads M d"]]:
    """Return the cotangents of query, key and value; `minitvlt.backends.fast.tape` derives them.

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
            changes, values = pile([g[part], -expected[part]]), transpose(append(value[part], 1))
            carry_back_heads(queries, keys, changes, values, rooms, *(x[part] for x in gradients))

    share(work, len(parts), 5 * estimate_product(B, heads, N, M, d) + 2 * B * heads * N * M)
    return gradients


def carry_back_heads(
    queries: Float[Array, "b h p r e"],
    keys: Float[Array, "b h M e"],
    changes: Float[Array, "b h p r wider"],
    values: Float[Array, "b h 1 wider M"],
    rooms: tuple[Float[Array, "size"], Float[Array, "size"]],
    for_query: Float[Array, "b h n d"],
    for_key: Float[Array, "b h M d"],
    for_value: Float[Array, "b h M d"],
) -> None:
    """Make the weights again, tile by tile, and write the sums of what the tiles give back."""
    n, d = for_query.shape[2:]
    as_columns, without_ones = transpose(keys), keys[:, :, None, :, :d]
    for_key, for_value = for_key[:, :, None], for_value[:, :, None]
    for piles, rows in cut_piles(queries, n):
        some_queries, some_changes = queries[:, :, piles], changes[:, :, piles]
        total = np.empty((*some_queries.shape[:4], d), keys.dtype)
        for few in cut_keys(keys.shape[2]):
            weights = score_tile(some_queries, as_columns[..., few], rooms[0])
            POWER(weights, out=weights)
            back = score_tile(some_changes, values[..., few], rooms[1])
            back *= weights
            add_product(back, without_ones[..., few, :], total, few.start == 0)
            is_first = piles.start == 0
            add_product(np.swapaxes(weights, -1, -2), some_changes[..., :d], for_value[..., few, :], is_first)
            add_product(np.swapaxes(back, -1, -2), some_queries[..., :d], for_key[..., few, :], is_first)
        scale = np.asarray(d**-0.5, keys.dtype)
        np.multiply(unpile(total, rows.stop - rows.start), scale, out=for_query[:, :, rows])
    for_key /= np.asarray(UNIT, keys.dtype)  # it is in the queries
