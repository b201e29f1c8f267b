"""Runs a student's code in a process of its own, with limits, and calls its functions from outside.

The process has a copy of the submission's folder as its working directory, one thread for matrix products,
no input, and limits of time, memory and file size. A cell or a call that hangs, or ends the process, costs
only its own blank: the process is started again without that cell, or for the next blank.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .blanks import Blank
from .finding import FUNCTION
from .handed_in import copy_folder, font_cache
from .outcomes import Outcome, Problem
from .replies import name_cell, read_cell_problem, read_outcome
from .submissions import Cell, Sheet, Submission, drop_magics, take_cells
from .wire import WireError, receive_reply, send_request

PACKAGE = __name__.rpartition(".")[0]
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {package}.child_main import main; main()"
)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "LD_LIBRARY_PATH", "MINITVLT_KERNELS")
LONGEST_START = 60  # seconds, to import NumPy and the package
MOST_STARTS = 12
MOST_TIMEOUTS = 2  # of calls: then a function is not called any more
MANY_TIMEOUTS = 3  # of a submission: then each function has one try of at most 1 s
EXTRA_SECONDS = 3  # a call is stopped inside the process first
ENDED = "the process ended: the function used up the memory, or called `exit`"
SLOW_CELL = "it did not end within {:g} s"
GIVEN_UP = "not tried: the time for this submission was used up by calls and cells that did not end"


@dataclass(frozen=True)
class Limits:
    """What a submission may use."""

    cell_seconds: float = 10
    total_seconds: float = 120
    memory: int = 3 * 2**30  # bytes of address space
    file: int = 64 * 2**20  # bytes of one file
    processor_seconds: int = 600

    def of_system(self) -> dict[str, int]:
        """As names of the module `resource`."""
        limits = {"RLIMIT_AS": self.memory, "RLIMIT_FSIZE": self.file}
        return limits | {"RLIMIT_CPU": self.processor_seconds, "RLIMIT_CORE": 0}


def describe_missing_limits() -> str:
    """What this system cannot limit, in one sentence; empty where it can."""
    if sys.platform.startswith("linux"):
        return ""
    return "This system does not limit the memory of a process: grade on Linux, or in a container."


class Runner:
    """A submission whose functions can be called.

    Use it as a context; `problems` lists what went wrong in cells, by their names.
    """

    def __init__(self, submission: Submission, sheet: Sheet, limits: Limits | None = None) -> None:
        self.sheet, self.limits = sheet, limits or Limits()
        self.submission = submission
        self.cells = take_cells(submission, sheet)
        self.problems: dict[str, Problem] = {}
        self.dropped: set[str] = set()  # cells that did not end, or ended the process
        self.lost: dict[str, Problem] = {}  # blanks whose calls do not end
        self.timeouts: Counter[str] = Counter()  # of calls, by blank
        self.process: subprocess.Popen | None = None
        self.starts = 0
        self.deadline = time.monotonic() + self.limits.total_seconds

    def __enter__(self) -> "Runner":
        self.room = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self.room.name, "work")
        copy_folder(self.submission, self.folder)
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        self.room.cleanup()

    def caller(self, blank: Blank) -> Callable[[dict[str, Any], str], Outcome]:
        """A function of arguments and layout that calls the student's function."""
        return lambda arguments, layout: self.call(blank, arguments, layout)

    def call(self, blank: Blank, arguments: dict[str, Any], layout: str) -> Outcome:
        """Call the student's function once."""
        if blank.name in self.lost:
            return Outcome(problem=self.lost[blank.name])
        if time.monotonic() > self.deadline or not (self.is_running() or self.start()):
            self.lost[blank.name] = Problem("timeout", GIVEN_UP)
            return Outcome(problem=self.lost[blank.name])
        seconds = blank.seconds if self.timeouts.total() < MANY_TIMEOUTS else min(blank.seconds, 1)
        request = {"blank": blank.name, "arguments": arguments, "layout": layout, "seconds": seconds}
        try:
            reply = self.ask(request, seconds + EXTRA_SECONDS)
            outcome = read_outcome(reply)
        except TimeoutError:
            self.lost[blank.name] = Problem("timeout")
            self.timeouts[blank.name] += 1
        except (WireError, OSError):
            self.lost[blank.name] = Problem("exception", f"SystemExit: {ENDED}")
        if blank.name in self.lost:
            self.stop()
            return Outcome(problem=self.lost[blank.name])
        if outcome.problem is not None and outcome.problem.kind == "timeout":
            self.timeouts[blank.name] += 1
            if self.timeouts[blank.name] >= MOST_TIMEOUTS or self.timeouts.total() > MANY_TIMEOUTS:
                self.lost[blank.name] = outcome.problem
        return self.explain_missing(blank, outcome)

    def explain_missing(self, blank: Blank, outcome: Outcome) -> Outcome:
        """Where there is no function because its cell failed, say why it failed."""
        if outcome.problem is None or outcome.problem.kind != "not written":
            return outcome
        for cell in self.cells:
            if name_cell(cell) in self.problems and blank.name in FUNCTION.findall(cell.source):
                return Outcome(problem=self.problems[name_cell(cell)])
        is_stub = all(blank.name not in FUNCTION.findall(cell.source) for cell in self.cells)
        has_cell = any(blank.name in FUNCTION.findall(cell.source) for cell in self.submission.code)
        return Outcome(problem=Problem("not written")) if is_stub and has_cell else outcome

    # ---- the process

    def is_running(self) -> bool:
        """Whether there is a process that takes calls."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> bool:
        """Start the process and run all cells but those that did not end; False if there is no time left."""
        while self.starts < MOST_STARTS and time.monotonic() < self.deadline:
            self.stop()
            self.starts += 1
            cells = [cell for cell in self.cells if name_cell(cell) not in self.dropped]
            self.open_process()
            setup = {"module": self.sheet.module, "limits": self.limits.of_system()}
            setup["cells"] = [(name_cell(cell), drop_magics(cell.source), not cell.number) for cell in cells]
            self.ask(setup, LONGEST_START)  # an error in here is not the student's
            if self.wait_for_cells(cells):
                return True
        self.stop()
        return False

    def wait_for_cells(self, cells: list[Cell]) -> bool:
        """Take in what each cell gave; False if one did not end."""
        for cell in cells:
            name = name_cell(cell)
            try:
                reply = self.receive(self.limits.cell_seconds)
                if reply is not None:
                    self.problems[name] = read_cell_problem(reply)
                continue
            except TimeoutError:
                self.problems[name] = Problem("timeout", SLOW_CELL.format(self.limits.cell_seconds))
            except (WireError, OSError):
                self.problems[name] = Problem("exception", f"SystemExit: {ENDED.replace('function', 'cell')}")
            self.dropped.add(name)
            return False
        return True

    def open_process(self) -> None:
        """Start a process that waits for its setup."""
        home = Path(self.room.name, "home")
        home.mkdir(exist_ok=True)
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environment |= dict.fromkeys(ONE_THREAD, "1")
        environment |= {
            "HOME": str(home),
            "TMPDIR": str(home),
            "MPLBACKEND": "Agg",
            "MPLCONFIGDIR": font_cache(),
        }
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM.format(package=PACKAGE), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
        )
        self.replies: queue.Queue[Any] = queue.Queue()
        start_thread(read_replies, self.process.stdout, self.replies)

    def ask(self, request: Any, seconds: float) -> Any:
        """Send a request and wait for its reply."""
        start_thread(write_request, self.process.stdin, request)
        return self.receive(seconds)

    def receive(self, seconds: float) -> Any:
        """Wait for the next reply."""
        try:
            reply = self.replies.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(reply, Exception):
            raise reply
        return reply

    def stop(self) -> None:
        """End the process and its children."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(
                    self.process.pid, signal.SIGKILL
                )  # also where it has ended: its children may not have
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        self.process = None


def start_thread(function: Callable[..., None], *arguments: Any) -> None:
    """Run a function that may wait for the process, without waiting for it."""
    threading.Thread(target=function, args=arguments, daemon=True).start()


def write_request(stream: Any, request: Any) -> None:
    """Send a request; where the process has ended, there will be no reply."""
    with contextlib.suppress(OSError, ValueError):
        send_request(stream, request)


def read_replies(stream: Any, replies: "queue.Queue[Any]") -> None:
    """Put all replies into a queue, at last the error that ends them."""
    while True:
        try:
            replies.put(receive_reply(stream))
        except (WireError, OSError, ValueError) as error:
            replies.put(WireError(str(error)))
            return
