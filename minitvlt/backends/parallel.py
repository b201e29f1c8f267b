"""Element-wise work on all cores.

NumPy's matrix products run on every core, its element-wise functions on one. They release the interpreter's
lock while they run, so plain threads on disjoint slices of an array run side by side.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

SMALLEST_SHARE = 1 << 16  # elements; below this, starting a thread costs more than it saves


@cache
def count_threads() -> int:
    """Number of threads for element-wise work: OMP_NUM_THREADS where it is set, else the cores we may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, count_threads() - 1))


def in_parallel(function: Callable[..., object], *arrays: np.ndarray) -> None:
    """Call `function` on matching slices of the arrays' first axis, one slice a core.

    The function writes its results into the arrays it is given.
    """
    rows = len(arrays[0])
    shares = min(count_threads(), rows, max(1, arrays[0].size // SMALLEST_SHARE))
    if shares <= 1:
        function(*arrays)
        return
    edges = [rows * share // shares for share in range(shares + 1)]
    slices = [slice(start, stop) for start, stop in pairwise(edges)]
    waiting = [_pool().submit(function, *(array[part] for array in arrays)) for part in slices[1:]]
    function(*(array[slices[0]] for array in arrays))
    for task in waiting:
        task.result()
