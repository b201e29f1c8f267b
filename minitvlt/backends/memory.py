"""Freed memory is kept for the next arrays, where the C library would hand it back to the system.

What comes from the system comes filled with zeros, page by page. The arrays of one call or one training step
are as large as those of the one before; to fetch them anew each time takes a tenth of an inference and a
quarter of a training step of the base model.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the numbers of these settings in malloc.h of the GNU C library
KEPT = 256 << 20  # bytes that may stay unused
LARGE = 32 << 20  # bytes: arrays from this size on are always fetched and handed back on their own
EVERYTHING = -1


def keep_some_memory() -> None:
    """Let the C library keep up to `KEPT` bytes of freed memory; without GNU's nothing happens."""
    library = find_library()
    if library is not None:
        library.mallopt(MMAP_THRESHOLD, LARGE)
        library.mallopt(TRIM_THRESHOLD, KEPT)


@contextmanager
def keep_all_memory() -> Iterator[None]:
    """Let it keep all freed memory as long as this lasts; then most of it goes back to the system."""
    library = find_library()
    if library is None:
        yield
        return
    keep_some_memory()
    library.mallopt(TRIM_THRESHOLD, EVERYTHING)
    try:
        yield
    finally:
        keep_some_memory()
        library.malloc_trim(KEPT)


@cache
def find_library() -> ctypes.CDLL | None:
    """The C library that this process runs on, if it is GNU's."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
