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
from threading import RLock, local
from typing import Any

from minitvlt.backends.fast.memory import keep_some_memory

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
    crew = gather()
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
    """How many cores there are to work on: as many as matrix products may use threads."""
    return max(gather().count_threads(), default=1)


def reserve_cores() -> Callable[[], None]:
    """Leave all cores but one to other processes, until the function that is returned is called, once.

    Until then nothing is shared, and matrix products use one thread: others would stay awake for a while
    after each, in the way of those processes.
    """
    crew = gather()
    crew.reserve()
    return crew.free


@contextmanager
def on_one_core() -> Iterator[None]:
    """Share nothing, as long as this lasts, without asking for each operation whether it would pay."""
    crew = gather()
    with crew.take_turn(), crew.step_inside():
        yield


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
        self.turn = RLock()  # one operation at a time, because that number holds for the whole process
        self.place = Place()
        self.reservations, self.counts = 0, []  # how many hold now; the threads of products before them

    def enter(self, work: Callable[[slice], Any], stretch: slice) -> Any:
        """Work on a stretch, knowing that this is shared work already."""
        with self.step_inside():
            return work(stretch)

    @contextmanager
    def step_inside(self) -> Iterator[None]:
        """Let this thread know that it is inside shared work."""
        self.place.is_inside = True
        try:
            yield
        finally:
            self.place.is_inside = False

    @contextmanager
    def take_turn(self) -> Iterator[int]:
        """Let matrix products use one thread; give the number they had, 1 where nobody can say.

        Small work takes its turn too: the threads of a product stay awake for a while after it, looking for
        more to do, in the way of ours.
        """
        with self.turn:
            before, is_reserved = self.count_threads(), self.reservations > 0
            self.set_threads([1] * len(before))
            try:
                yield 1 if is_reserved else max(before, default=1)
            finally:
                if not self.reservations:
                    self.set_threads(before)

    def reserve(self) -> None:
        """Let matrix products use one thread from now on."""
        with self.turn:
            self.counts = self.count_threads()
            self.reservations += 1
            self.set_threads([1] * len(self.counts))

    def free(self) -> None:
        """Let them have their threads again, unless others hold a reservation."""
        with self.turn:
            self.reservations -= 1
            if not self.reservations:
                self.set_threads(self.counts)

    def count_threads(self) -> list[int]:
        """How many threads each library of matrix products may use, reservations aside."""
        return self.counts if self.reservations else [one.num_threads or 1 for one in self.libraries]

    def set_threads(self, counts: list[int]) -> None:
        """Set how many threads each library of matrix products may use."""
        for library, count in zip(self.libraries, counts, strict=True):
            let_any_thread_control(library)
            library.set_num_threads(count)
            let_any_thread_control(library)


def let_any_thread_control(library: Any) -> None:
    """Let whichever thread is next set how many threads a library of matrix products may use.

    For OpenBLAS, threadpoolctl from 3.8 on listens to one thread alone and ignores the others, in silence.
    Here threads take turns already, and each leaves the number as it was.
    """
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)


@cache
def gather() -> Crew:
    """Make the crew of this process, once."""
    return Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gather.cache_clear)  # threads stay behind: a child needs its own crew
