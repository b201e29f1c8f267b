"""Threads for large operations.

NumPy runs a matrix product on several threads, and everything else on one. Where the rows or heads of an
operation do not depend on each other, it is faster if every thread computes some of them from start to end,
with products on one thread each: a tenth of a forward pass of the base model. The number of threads of
products holds for the whole process, so only operations of some milliseconds change it. Small ones do not
come here.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

_lock = Lock()  # held while the next two change
_limits = 0  # how many callers need products on one thread now
_before: list[int] = []  # the numbers of threads before the first of them


def share(work: Callable[[slice], Any], n: int) -> list[Any]:
    """Call `work` on slices of 0 … n - 1 at the same time, one for each core; return the results in order.

    There is a single slice, and no thread of ours, if this is called inside `work`, while another thread is
    sharing, or while cores are reserved.
    """
    count = max(1, min(n, count_free_cores()))
    if count == 1:
        return [work(slice(0, n))]
    first, *others = [slice(n * i // count, n * (i + 1) // count) for i in range(count)]
    with on_one_core():
        futures = [_pool().submit(work, some) for some in others]
        try:
            result = work(first)
        finally:
            wait(futures)
        return [result, *(future.result() for future in futures)]


def count_cores() -> int:
    """Return how many threads products may use, apart from limits that are set here."""
    return max(_before if _limits else [library.num_threads for library in _libraries()], default=1)


def count_free_cores() -> int:
    """Return how many threads an operation may use now: 1 while another one shares, or cores are reserved."""
    return 1 if _limits else count_cores()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Run products on one thread, and share nothing, inside the `with` block."""
    global _limits, _before
    with _lock:
        if not _limits:
            _before = [library.num_threads for library in _libraries()]
        _limits += 1  # before the numbers are lowered: others must not take 1 for the user's choice
        if _limits == 1:
            _set_threads([1] * len(_before))
    try:
        yield
    finally:
        with _lock:
            if _limits == 1:
                _set_threads(_before)
            _limits -= 1


def _set_threads(counts: list[int]) -> None:
    """Set the number of threads for each library of products.

    For OpenBLAS, threadpoolctl from 3.8 on obeys one thread of the process and ignores the others silently:
    whichever has that role loses it, and it is not kept.
    """
    for library, count in zip(_libraries(), counts, strict=True):
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(count)
        release(force=True)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())  # kept: to start threads takes half a millisecond


@cache
def _libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController  # imported here to keep `import minitvlt` fast

    return ThreadpoolController().select(user_api="blas").lib_controllers


def _begin_child() -> None:
    _lock.release()
    _pool.cache_clear()  # threads do not survive a fork


if hasattr(os, "register_at_fork"):  # a child process must not begin with a lock that nobody will release
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_begin_child)
