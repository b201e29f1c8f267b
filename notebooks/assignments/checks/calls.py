"""Runs a student's function on the arguments of a case, and puts back whatever it changed on the way."""

import builtins
import contextlib
import functools
import inspect
import io
import itertools
import linecache
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from .blanks import Blank
from .copies import CopiedError, guard_package, is_copy
from .outcomes import Outcome, Problem, UnreadableError, copy_arguments, list_arrays, read_result

PRISTINE = [(module, dict(vars(module))) for module in (builtins, np, np.linalg, np.fft, np.random)]
SEEDS = itertools.count(1)
MOST_PRINTED = 2000  # characters


class TooSlowError(BaseException):
    """Raised in the student's function when its time is over."""


def restore_modules() -> None:
    """Put back the functions of Python and NumPy that were replaced since this module was imported."""
    for module, names in PRISTINE:
        now = vars(module)
        for name, value in names.items():
            if name != "_" and now.get(name) is not value:
                now[name] = value


def call_function(
    function: Any,
    blank: Blank,
    references: dict[str, Callable],
    arguments: dict[str, Any],
    layout: str = "plain",
) -> Outcome:
    """Run the function once, on copies of the arguments.

    Args:
        function: the student's; None where there is none.
        blank: what it should be.
        references: by name, what the other blanks of the assignment are replaced by.
        arguments: of a case.
        layout: of the copies' memory: one of `LAYOUTS`.
    """
    if function is None or not callable(function):
        return Outcome(problem=Problem("not written", f"There is no function `{blank.name}`."))
    if is_copy(function, blank):
        return Outcome(problem=Problem("copied"))
    handed = copy_arguments(arguments, layout)
    printed = LimitedText()
    with (
        put_back(),
        replace_names(function, references),
        guard_package(function, blank, sys._getframe()) as caught,
    ):
        try:
            with silence(printed), limit_time(blank.seconds):
                value, problem = read_result(blank.call(function, handed)), None
        except BaseException as error:  # also SystemExit, KeyboardInterrupt and TooSlowError
            value, problem = None, explain_exception(error, function)
    if caught:
        value, problem = None, Problem("copied")
    return Outcome(value, problem, find_changed(arguments, handed), printed.getvalue())


def explain_exception(error: BaseException, function: Any) -> Problem:
    """What an exception says, in one sentence, and the student's line that it came from."""
    if isinstance(error, CopiedError):
        return Problem("copied")
    if isinstance(error, TooSlowError):
        return Problem("timeout")
    if isinstance(error, UnreadableError):
        return Problem("unreadable", str(error))
    name, line = type.__getattribute__(type(error), "__name__"), find_line(error, function)
    if isinstance(error, NotImplementedError):
        return Problem("not written", "", line)
    try:
        message = BaseException.__str__(error) if not isinstance(error, (KeyError, OSError)) else str(error)
    except BaseException:
        message = ""
    message = " ".join(str(message)[:400].split())
    kind = "memory" if isinstance(error, MemoryError) else "exception"
    return Problem(kind, f"{name}: {message}" if message else name, line)


def find_line(error: BaseException, function: Any) -> str:
    """The line of the student's code where an exception was raised."""
    code, trace, line = getattr(find_function(function), "__code__", None), error.__traceback__, ""
    for _ in range(5000):
        if trace is None or code is None:
            break
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            line = (
                linecache.getline(code.co_filename, trace.tb_lineno, trace.tb_frame.f_globals).strip() or line
            )
        trace = trace.tb_next
    return line


def find_function(function: Any) -> Any:
    """The plain function inside wrappers; of a class, its first method."""
    with contextlib.suppress(BaseException):
        function = inspect.unwrap(function)
        function = getattr(function, "func", function)  # functools.partial
        if isinstance(function, type):
            methods = [item for item in vars(function).values() if inspect.isfunction(item)]
            return methods[0] if methods else function
    return function


def find_changed(arguments: dict[str, Any], handed: dict[str, Any]) -> tuple[str, ...]:
    """Names of the arguments whose arrays, or lists, are no longer what they were."""
    return tuple(name for name, value in arguments.items() if _is_changed(value, handed.get(name)))


def _is_changed(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        same_shape = before.shape == after.shape and before.dtype == after.dtype
        return not same_shape or before.tobytes() != after.tobytes()
    if isinstance(before, (list, tuple)):
        return len(before) != len(after) or any(map(_is_changed, before, after))
    if isinstance(before, dict):
        return before.keys() != after.keys() or any(_is_changed(before[name], after[name]) for name in before)
    arrays = list_arrays(before), list_arrays(after)
    return any(map(_is_changed, *arrays))


# ---- what is put back


class LimitedText(io.StringIO):
    """Keeps the first characters that are printed."""

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        room = MOST_PRINTED - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


@contextlib.contextmanager
def silence(printed: LimitedText) -> Iterator[None]:
    """Catch what is printed, and drop what goes to the error stream."""
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(LimitedText()):
        yield


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """Restore random states, NumPy's error state, recursion limit, and replaced functions."""
    states = np.random.get_state(), random.getstate(), sys.getrecursionlimit()  # noqa: NPY002
    np.random.seed(next(SEEDS) % 2**32)  # noqa: NPY002 - so that random results differ from call to call
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        restore_modules()
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])
        sys.setrecursionlimit(states[2])


@contextlib.contextmanager
def replace_names(function: Any, references: dict[str, Callable]) -> Iterator[None]:
    """Let the names of the other blanks mean the references, in the function's module."""
    names = getattr(find_function(function), "__globals__", {})
    missing = object()
    before = {name: names.get(name, missing) for name in references}
    names.update({name: let_write(value) for name, value in references.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                names.pop(name, None)
            else:
                names[name] = value


def let_write(reference: Any) -> Any:
    """A function whose results can be written into, as those of a student's function can."""
    if not isinstance(reference, FunctionType):
        return reference

    @functools.wraps(reference)
    def call(*args: Any, **named: Any) -> Any:
        result = reference(*args, **named)
        is_fixed = isinstance(result, np.ndarray) and not result.flags.writeable
        return result.copy() if is_fixed else result

    return call


@contextlib.contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the main thread when the time is over; elsewhere there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
    elif hasattr(signal, "setitimer"):
        yield from _limit_by_signal(seconds)
    else:
        yield from _limit_by_thread(seconds)


def _limit_by_signal(seconds: float) -> Iterator[None]:
    is_running = True

    def interrupt(*_: Any) -> None:
        if is_running:
            raise TooSlowError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # and again, where the student's code caught it
        yield
    finally:
        is_running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _limit_by_thread(seconds: float) -> Iterator[None]:
    import _thread

    is_over = threading.Event()

    def interrupt() -> None:
        is_over.set()
        _thread.interrupt_main()

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if is_over.is_set():
            raise TooSlowError from None
        raise
    finally:
        timer.cancel()
