"""Wrong results beside the right ones, and how to compare them.

The rules of `shapes`, `relations`, `order`, `places` and `sizes` look at all wrong results of one kind
together, and answer in a sentence, or None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .compare import find_equal

CLOSE = 1e-7  # relative to the largest value
FEW = 3  # values: so few agree by chance


@dataclass(frozen=True, eq=False)
class Pair:
    """A wrong array, the right one, and the arguments."""

    got: np.ndarray
    expected: np.ndarray
    arguments: dict[str, Any]


def agree(got: Any, expected: Any, tolerance: float = CLOSE) -> bool:
    """Whether two arrays have the same shape and values."""
    got, expected = np.asarray(got), np.asarray(expected)
    return got.shape == expected.shape and bool(np.all(find_equal(got, expected, tolerance)))


def hold_for_all(pairs: list[Pair], test: Callable[[Pair], Any]) -> bool:
    """Whether a test holds for every pair."""
    return bool(pairs) and all(bool(test(pair)) for pair in pairs)


def count_values(pairs: list[Pair]) -> int:
    """The number of values in all pairs."""
    return sum(pair.got.size for pair in pairs)


def ordinal_axis(axis: int, ndim: int) -> str:
    """Name an axis."""
    return "the last axis" if axis == ndim - 1 and ndim > 1 else f"axis {axis}"


def has_same_entries(p: Pair) -> bool:
    """Whether the values are the same, in any order."""
    if p.got.size != p.expected.size or not np.all(np.isfinite(p.got)):
        return False
    return agree(np.sort(p.got, axis=None), np.sort(p.expected, axis=None))
