"""The engine for small models on NumPy: each core works on some rows of a batch, in a process of its own.

The operations of a small model take microseconds. Threads cannot share them: only one thread of Python at a
time begins the next, and to hand over costs as much as the work itself. Processes have nothing to hand over
but rows and gradients. They read the parameters from shared memory, where AdamW updates them.
"""

import gc
import mmap
import multiprocessing
import operator
import pickle
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import map_tree, walk
from minitvlt.backends.fast.threads import count_cores, on_one_core, reserve_cores
from minitvlt.model.parameters import Params
from minitvlt.training.batches import count_clips, split_batch
from minitvlt.training.engine import Compute, Engine, Numbers, Pieces
from minitvlt.training.optimizer import AdamWState

SMALL = 1 << 22  # parameters: in larger models the operations are long enough for threads
MOST = 8  # processes: with more of them, each has too few clips of a usual batch
ROOM = 1 << 28  # bytes for the rows that a helper gets; as long as they are not used they cost nothing


def is_worth_helpers(params: Params) -> bool:
    """Whether a model is so small, and this machine so large, that several processes are faster than one."""
    is_allowed = sys.platform == "linux" and not multiprocessing.current_process().daemon
    return is_allowed and sum(array.size for _, array in walk(params)) <= SMALL and count_cores() > 1


class NumpyEngine(Engine):
    """This process and a helper for each further core. `Engine` says what each method is for."""

    def __init__(self, params: Params, state: AdamWState) -> None:
        super().__init__(params, state)
        self.state = replace(self.state, parameters=put_into_shared_memory(self.state.parameters))
        self.params = super().finish()  # views of the vector: they change with it
        self.gradient = np.empty_like(self.state.parameters)
        self.cores = min(count_cores(), MOST)
        self.function: Compute | None = None  # what the helpers compute
        self.helpers: list[Helper] = []
        # Not a method: an engine that is forgotten, and was never closed, must not leave helpers behind.
        self.close = weakref.finalize(self, release, self.helpers, reserve_cores())

    def differentiate(self, function: Compute, parts: list[Any], counts: Any) -> tuple[Numbers, Pieces]:
        """Add up the value, what comes beside it and the gradient, over parts and over processes."""
        if min(map(count_clips, parts)) < self.cores or not self.close.alive:
            return super().differentiate(function, parts, counts)  # no clip for each, or no helpers any more
        try:
            return self.differentiate_together(function, parts, counts)
        except BaseException:
            dismiss(self.helpers)  # what is still under way belongs to no step
            raise

    def differentiate_together(
        self, function: Compute, parts: list[Any], counts: Any
    ) -> tuple[Numbers, Pieces]:
        """Let every process compute with its rows of each part, at the same time."""
        self.employ(function)
        rows = zip(*(split_batch(part, self.cores) for part in parts), strict=True)
        own, *others = [list(parts) for parts in rows]
        for helper, share in zip(self.helpers, others, strict=True):
            helper.begin(share, counts)
        with on_one_core():
            numbers, pieces = super().differentiate(function, own, counts)
        np.concatenate(pieces, out=self.gradient)
        for helper in self.helpers:
            numbers = map_tree(operator.add, numbers, helper.finish())
            self.gradient += helper.gradient
        return numbers, np.split(self.gradient, [self.decaying])  # what decays is a piece of its own

    def finish(self) -> Params:
        """Hand out the parameters."""
        return self.params

    def employ(self, function: Compute) -> None:
        """Have helpers that compute this function: they know what they were started with, nothing later."""
        if self.helpers and function == self.function:
            return
        dismiss(self.helpers)
        self.function = function
        for _ in range(self.cores - 1):
            self.helpers.append(Helper(self, function))


class Helper:
    """A process that computes gradients with its rows of each batch"""

    def __init__(self, engine: NumpyEngine, function: Compute) -> None:
        self.gradient = put_into_shared_memory(np.zeros_like(engine.state.parameters))
        self.room = mmap.mmap(-1, ROOM)
        context = multiprocessing.get_context("fork")  # no other way hands any function over as it is
        self.connection, theirs = context.Pipe()
        ours = [helper.connection for helper in engine.helpers] + [self.connection]
        arguments = (engine, function, theirs, self.room, self.gradient, ours)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        with warnings.catch_warnings(), nothing_collected():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads stay behind: a helper needs none
            self.process.start()
        theirs.close()

    def begin(self, parts: list[Any], counts: Any) -> None:
        """Hand over the rows of a step."""
        with suppress(ConnectionError):  # `finish` says so
            self.connection.send(pack((parts, counts), self.room))

    def finish(self) -> Numbers:
        """Wait for the numbers; then the gradient is there too.

        Raises:
            ChildProcessError: the process has ended.
            Exception: what went wrong in it.
        """
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            raise ChildProcessError(
                f"A process that computed a part of the step has ended (exit code {self.process.exitcode}), "
                "as it does when memory runs out. What was saved is not touched: run again to go on."
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def dismiss(helpers: list[Helper]) -> None:
    """Let all helpers go."""
    while helpers:
        helpers.pop().end()


def release(helpers: list[Helper], free_cores: Callable[[], None]) -> None:
    """Let the helpers go, and this process have all cores again."""
    dismiss(helpers)
    free_cores()


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Collect no garbage, as long as this lasts: `serve` has to begin before a helper finds any."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def serve(
    engine: NumpyEngine,
    function: Compute,
    connection: Connection,
    room: mmap.mmap,
    gradient: Float[np.ndarray, "n"],
    ours: list[Connection],
) -> None:
    """Answer step after step, in a helper, as long as the process that started it is there."""
    gc.freeze()  # what came along is not this process's to free: a video decoder would wait for its threads
    gc.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that process decides when to end
    for one in ours:  # as long as anybody holds that process's end of a pipe, its end goes unnoticed
        one.close()
    with suppress(EOFError, ConnectionError), on_one_core():
        while True:
            parts, counts = unpack(*connection.recv(), room)
            connection.send(answer(engine, function, parts, counts, gradient))


def answer(
    engine: NumpyEngine,
    function: Compute,
    parts: list[Any],
    counts: Any,
    gradient: Float[np.ndarray, "n"],
) -> Numbers | Exception:
    """Compute a helper's share of a step, or what went wrong; the gradient goes into shared memory."""
    try:
        numbers, pieces = Engine.differentiate(engine, function, parts, counts)
    except Exception as error:
        return error
    np.concatenate(pieces, out=gradient)
    return numbers


def pack(tree: Any, room: mmap.mmap) -> tuple[bytes, list[slice]]:
    """Pickle a tree with its arrays left out: they go into shared memory, faster than through a pipe.

    Returns:
        The pickle, with the arrays that found no room any more; and where the others are.
    """
    places: list[slice] = []

    def stays_in_pickle(array: pickle.PickleBuffer) -> bool:
        numbers = array.raw()
        start = -(-places[-1].stop // 64) * 64 if places else 0  # arrays begin where a line of the cache does
        place = slice(start, start + numbers.nbytes)
        if place.stop > len(room):
            return True
        room[place] = numbers
        places.append(place)
        return False

    return pickle.dumps(tree, protocol=5, buffer_callback=stays_in_pickle), places


def unpack(message: bytes, places: list[slice], room: mmap.mmap) -> Any:
    """The way back from `pack`: a tree whose arrays are views of the shared memory."""
    return pickle.loads(message, buffers=[memoryview(room)[place] for place in places])


def put_into_shared_memory(vector: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Copy a vector to where processes that are started later find it too, changes included."""
    memory = mmap.mmap(-1, max(1, vector.nbytes))
    shared = np.frombuffer(memory, vector.dtype, vector.size)
    shared[:] = vector
    return shared
