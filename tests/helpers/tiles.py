"""Attention cut into small tiles, so that small arrays have many."""

import pytest

from minitvlt.backends import numpy_tiles


def cut_into_tiles(patch: pytest.MonkeyPatch, rows: int, keys: int, tile: int, width: int) -> None:
    """Let a pile have so many rows, and a tile so many keys and, where that is more, scores.

    Args:
        patch: what undoes it.
        rows, keys, tile: the most there may be.
        width: of a head.
    """
    patch.setattr(numpy_tiles, "KEYS", keys)
    patch.setattr(numpy_tiles, "REGISTER", min(2, keys))
    patch.setattr(numpy_tiles, "TILE", max(tile, keys))
    patch.setattr(numpy_tiles, "SMALL_PRODUCT", rows * keys * (width + 2))
