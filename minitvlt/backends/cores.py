"""All cores of the processor for one operation on NumPy arrays.

NumPy computes element by element on one core, and hands matrix products alone to several. Where the rows of
an operation do not depend on each other, each core here takes a stretch of them through all of it, products
included: no core waits for another, and what it has just computed is still in its cache.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from threading import Lock, local
from typing import Any

from minitvlt.backends.memory import keep_some_memory

WORTH = 1e6  # nanoseconds: to hand work to another core and hear of its end takes a tenth of this


def share(work: Callable[[slice], Any], n: int, nanoseconds: float | int) -> list[Any]:
    """Cut the rows 0 … n - 1 into a stretch for each core and let all cores work at once.

    As many cores take part as the library of matrix products may use threads (OPENBLAS_NUM_THREADS and its
    kin). Where the stretches begin depends on that number alone, so the same machine gives the same bits.

    Args:
        work: what to do for a stretch of rows. What it would share in its turn, its core does alone.
        n: the number of rows.
        nanoseconds: about how long one core would take; too little work is done at once by the caller.

    Returns:
        What `work` returned for each stretch, in order.
    """
    crew = gather(os.getpid())
    if crew.place.is_inside:
        return [work(slice(0, n))]
    with crew.take_turn() as cores:
        count = max(1, min(cores, n)) if nanoseconds > WORTH else 1
        first, *others = [slice(n * i // count, n * (i + 1) // count) for i in range(count)]
        waiting = [crew.pool.submit(crew.enter, work, stretch) for stretch in others]
        try:
            done = crew.enter(work, first)
        finally:
            wait(waiting)  # even after an error: nobody may go on writing into the arrays
        return [done, *(future.result() for future in waiting)]


def count_cores() -> int:
    """How many cores take part in shared work: as many as matrix products may use threads."""
    return max((library.num_threads or 1 for library in gather(os.getpid()).libraries), default=1)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Share nothing, as long as this lasts: where each core has a process, it has no others to share with."""
    crew = gather(os.getpid())
    with crew.take_turn():
        crew.place.is_inside = True
        try:
            yield
        finally:
            crew.place.is_inside = False


class Place(local):
    """Where a thread is, itself alone: inside shared work or not"""

    is_inside = False


class Crew:
    """The threads of this process that work beside the caller's, and how many its matrix products use"""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController  # here, to keep the package's import short

        keep_some_memory()  # the first sign that NumPy has much to do
        self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self.pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="minitvlt")
        self.turn = Lock()  # one operation at a time, because that number holds for the whole process
        self.place = Place()

    def enter(self, work: Callable[[slice], Any], stretch: slice) -> Any:
        """Work on a stretch, knowing that this is shared work already."""
        self.place.is_inside = True
        try:
            return work(stretch)
        finally:
            self.place.is_inside = False

    @contextmanager
    def take_turn(self) -> Iterator[int]:
        """Let matrix products use one thread; give the number they had, 1 where nobody can say.

        Small work takes its turn too: the threads of a product stay awake for a while after it, looking for
        more to do, in the way of ours.
        """
        with self.turn:
            before = [library.num_threads or 1 for library in self.libraries]
            self.set_threads([1] * len(before))
            try:
                yield max(before, default=1)
            finally:
                self.set_threads(before)

    def set_threads(self, counts: list[int]) -> None:
        """Set how many threads each library of matrix products may use."""
        for library, count in zip(self.libraries, counts, strict=True):
            library.set_num_threads(count)


@cache
def gather(process: int) -> Crew:
    """Make the crew of a process; after a fork the child needs one of its own, since threads stay behind."""
    return Crew()
