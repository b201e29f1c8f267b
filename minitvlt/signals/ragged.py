"""Things of unequal size on their way into one batch: listed, grouped by size, put in their rows, masked."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

NUMBERS_AT_ONCE = 1 << 18  # samples, or values of pixels, that are transformed together: memory stays bounded


def make_list(given: Any, kind: type | tuple[type, ...], what: str) -> list[Any]:
    """Make a list of one thing or of several; a ValueError unless there is one and all are of this kind."""
    items = [given] if isinstance(given, kind) else given
    if not isinstance(items, list | tuple) or not items:
        raise ValueError(f"Expected {what}, one or a list of at least one, got {given!r:.60}.")
    for i, item in enumerate(items):
        if not isinstance(item, kind):
            raise ValueError(f"Expected {what}, but number {i} of the list is of {type(item).__name__}.")
    return list(items)


def group_alike(arrays: Sequence[Shaped[np.ndarray, "..."]]) -> list[list[int]]:
    """Put the positions of arrays of one shape together, up to `NUMBERS_AT_ONCE` numbers in a group.

    >>> group_alike([np.zeros(5), np.zeros(3), np.zeros(5)])
    [[0, 2], [1]]
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, array in enumerate(arrays):
        alike.setdefault(array.shape, []).append(i)
    groups = []
    for shape, members in alike.items():
        count = max(1, NUMBERS_AT_ONCE // math.prod(shape))
        groups += [members[start : start + count] for start in range(0, len(members), count)]
    return groups


def place_rows(
    batch: Float[np.ndarray, "rows *rest"],
    mask: Bool[np.ndarray, "rows N"],
    places: Sequence[int],
    B: int,
    padding: float | int,
) -> tuple[Float[np.ndarray, "{B} *rest"], Bool[np.ndarray, "{B} N"] | None]:
    """Put rows where they belong among B, of which the others are padding; no mask where all is real."""
    if len(places) == B:
        return batch, None if mask.all() else mask
    placed = np.full((B, *batch.shape[1:]), padding, batch.dtype)
    placed_mask = np.zeros((B, mask.shape[1]), bool)
    placed[places], placed_mask[places] = batch, mask
    return placed, placed_mask


def mask_tokens(lengths: Sequence[int], tokens: int) -> Bool[np.ndarray, "B N"]:
    """Mark the tokens of the first `lengths[i]` frames, or patch rows, of clip i as real; each has `tokens`.

    >>> mask_tokens([2, 1], 3).astype(int)
    array([[1, 1, 1, 1, 1, 1],
           [1, 1, 1, 0, 0, 0]])
    """
    longest = max(lengths)
    is_real = np.arange(longest) < np.asarray(lengths)[:, None]
    return np.repeat(is_real, tokens, axis=1)
