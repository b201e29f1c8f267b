"""How attention is cut into tiles, and the products that make tiles and use them up.

A tile stays in the cache of a core from the product that makes it to the product that uses it up. Both have a
short side, the width of a head. OpenBLAS, which multiplies for NumPy, first copies matrices into an order of
its own, and for such products that takes a seventh of the time; small ones it takes as they lie, on
processors with AVX-512. So there the rows of a tile come in piles, small enough for that. One call of NumPy
multiplies all piles of a tile: at each call cores may have to wait for each other.
"""

import math
import sys

import numpy as np
from jaxtyping import Float

from minitvlt.backends.fast.kernels import has_fast_powers
from minitvlt.backends.tree import Array


def choose_sizes(has_avx512: bool) -> tuple[int, int]:
    """Choose the most keys of a tile, and the most multiplications with a pile.

    With AVX-512, OpenBLAS takes matrices of a million multiplications as they lie, and is fastest where the
    values of the keys stay in the inner cache. Elsewhere it copies all, and the fewer pieces the better.
    """
    return (128, 10**6) if has_avx512 else (512, sys.maxsize)


KEYS, SMALL_PRODUCT = choose_sizes(has_fast_powers())  # it is AVX-512 that NumPy has fast powers for
TILE = 2304 * 128  # scores: 1.1 MiB in float32
REGISTER = 16  # numbers in a register of the processor


def cut_heads(B: int, heads: int, N: int, M: int) -> list[tuple[slice, slice]]:
    """Cut a batch into what shares a tile: some clips with all heads, or some heads of one clip."""
    one = max(1, N) * max(1, min(M, KEYS))
    if heads * one <= TILE:
        return [(clips, slice(None)) for clips in cut(B, TILE // (heads * one))]
    return [(slice(b, b + 1), some) for b in range(B) for some in cut(heads, max(1, TILE // one))]


def cut(n: int, most: int) -> list[slice]:
    """Cut 0 … n - 1 into parts as equal as possible, of at most so many; nothing is one empty part."""
    count = max(1, -(-n // most))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def cut_keys(M: int) -> list[slice]:
    """Cut 0 … M - 1 into as few parts as possible, all but the last in whole registers."""
    registers = cut(-(-M // REGISTER), max(1, KEYS // REGISTER))
    return [slice(some.start * REGISTER, min(some.stop * REGISTER, M)) for some in registers]


def pile(columns: list[Float[Array, "b h n _"]]) -> Float[Array, "b h p r e"]:
    """Lay columns side by side, at most two beside those of a head, and the rows in equal piles.

    Each pile is small enough for a product to take it as it lies. In the last one zeros may fill up.
    """
    b, h, n, d = columns[0].shape
    width = sum(x.shape[3] for x in columns)
    most = max(1, min(SMALL_PRODUCT // (d + 2), TILE) // KEYS)
    rows = max(1, -(-n // len(cut(n, most))))
    count = max(1, -(-n // rows))
    piles = np.empty((b, h, count * rows, width), columns[0].dtype)
    np.concatenate(columns, axis=-1, out=piles[:, :, :n])
    piles[:, :, n:] = 0
    return piles.reshape(b, h, count, rows, width)


def unpile(piles: Float[Array, "b h p r e"], n: int) -> Float[Array, "b h n e"]:
    """View the first `n` rows of piles as a matrix."""
    b, h, count, rows, width = piles.shape
    return piles.reshape(b, h, count * rows, width)[:, :, :n]


def cut_piles(piles: Float[Array, "b h p r e"], n: int) -> list[tuple[slice, slice]]:
    """Cut piles into parts that fill a tile, or of one pile; tell the rows of each, `n` in all."""
    b, h, count, rows, _ = piles.shape
    parts = cut(count, max(1, TILE // max(1, b * h * rows * KEYS)))
    return [(part, slice(part.start * rows, min(part.stop * rows, n))) for part in parts]


def make_room(like: Float[Array, "..."]) -> Float[Array, "size"]:
    """Make memory for the scores of a tile, to be used for one tile after another."""
    return np.empty(TILE, like.dtype)


def score_tile(
    queries: Float[Array, "b h p r e"], keys: Float[Array, "b h 1 e m"], room: Float[Array, "size"]
) -> Float[Array, "b h p r m"]:
    """Multiply queries @ keys in the memory of `room`."""
    shape = (*queries.shape[:4], keys.shape[4])
    return np.matmul(queries, keys, out=room[: math.prod(shape)].reshape(shape))


def transpose(x: Float[Array, "b h n e"]) -> Float[Array, "b h 1 e n"]:
    """Transpose matrices in memory, ready to meet every pile."""
    return np.ascontiguousarray(np.swapaxes(x, 2, 3))[:, :, None]


def add_product(
    x: Float[Array, "b h p n m"], y: Float[Array, "..."], total: Float[Array, "b h q n d"], is_first: bool
) -> None:
    """Add x @ y to a sum, or begin the sum with it; where q is 1, it is itself summed over the piles."""
    if is_first and x.shape[2] == total.shape[2]:
        np.matmul(x, y, out=total)
        return
    product = x @ y
    if x.shape[2] > total.shape[2]:
        product = np.sum(product, axis=2, keepdims=True)
    if is_first:
        total[...] = product
    else:
        total += product
