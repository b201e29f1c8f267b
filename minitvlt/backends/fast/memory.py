"""Freed memory is kept for the next arrays, where the C library would hand it back to the system.

What comes from the system comes filled with zeros, page by page. The arrays of one call or one training step
are as large as those of the one before; to fetch them anew each time takes a tenth of an inference and a
quarter of a training step of the base model. What is kept comes in large pages where the system has them: a
processor finds its way about in them faster, which saves a thirtieth of a step of a small model.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the numbers of these settings in malloc.h of the GNU C library
KEPT = 256 << 20  # bytes that may stay unused
LARGE = 32 << 20  # bytes: arrays from this size on are always fetched and handed back on their own
EVERYTHING = -1


@cache
def keep_some_memory() -> None:
    """Keep as much as inference needs, from now on: up to `KEPT` bytes."""
    keep_memory(KEPT)
    ask_for_large_pages(KEPT)


@contextmanager
def keep_all_memory() -> Iterator[None]:
    """Keep whatever training needs, as long as this lasts; then most of it goes back to the system."""
    keep_some_memory()  # now, and not within: it would end what this begins
    keep_memory(EVERYTHING)
    try:
        yield
    finally:
        keep_memory(KEPT)
        if (library := find_library()) is not None:
            library.malloc_trim(KEPT)


def keep_memory(most: int) -> None:
    """Let the C library keep up to so many bytes of freed memory; without GNU's nothing happens."""
    if (library := find_library()) is not None:
        library.mallopt(MMAP_THRESHOLD, LARGE)
        library.mallopt(TRIM_THRESHOLD, most)


def ask_for_large_pages(size: int) -> None:
    """Let the next `size` bytes that are used for the first time come in large pages.

    For every array of 4 MiB and more NumPy asks the system for that. So such arrays are made here and, not
    having been used, freed again: they cost nothing, and their place in memory goes to others.
    """
    if find_library() is not None:
        each = LARGE - 4096  # below `LARGE`, with all that the library adds to it
        side_by_side = [np.empty(each, np.uint8) for _ in range(size // LARGE - 1)]
        side_by_side.clear()


@cache
def find_library() -> ctypes.CDLL | None:
    """The C library that this process runs on, if it is GNU's."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
