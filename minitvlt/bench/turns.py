"""Contenders take turns: one process each, and only one of them works at a time."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from threading import Thread
from types import TracebackType
from typing import Any

from minitvlt.bench.cases import Case, case_to_dict
from minitvlt.bench.contenders import Contender
from minitvlt.bench.results import Row

COMMAND = [sys.executable, "-m", "minitvlt.bench.worker"]
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
THREAD_SETTINGS += ("VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")
TURN_SECONDS = 0.3  # work that takes less is done several times in a turn
PAUSE = 0.1  # seconds between turns: the threads of a library spin for a moment before they sleep
FAREWELL = 10.0  # seconds that a process has to end by itself


class WorkerError(Exception):
    """A contender failed, died or gave no answer; the text says so without naming it"""


class Worker:
    """A process that answers questions, as `worker.py` says. It ends with the `with` block that it is for."""

    def __init__(self, threads: int, timeout: float) -> None:
        self._timeout = timeout
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (`__exit__` closes it)
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | dict.fromkeys(THREAD_SETTINGS, str(threads)),
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for this process alone, which then ends the others
        )
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put(None)  # it has ended

    def ask(self, question: str, **values: Any) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Raises:
            WorkerError: there is none, or it says what went wrong. The process is ended, so that it takes
                neither time nor memory from the others.
        """
        with suppress(OSError):  # a process that has ended: that there is no answer says more
            self._process.stdin.write(json.dumps({"ask": question, **values}) + "\n")
            self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=self._timeout)
            found = {"error": self._explain_end()} if line is None else json.loads(line)
        except queue.Empty:
            found = {"error": f"no answer within {self._timeout:g} s: --timeout gives it more"}
        if "error" in found:
            self._process.kill()
            raise WorkerError(found["error"])
        return found

    def _explain_end(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        if code == -9:
            return "the process was killed, as happens when memory runs out"
        return f"the process ended with status {code}" + f": {last:.300}" * bool(last)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process: by the end of its input, and by force where that does not help or time presses."""
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=FAREWELL if kind is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._errors.close()


def find_card(threads: int, timeout: float) -> str | None:
    """Name the graphics card that PyTorch can use; None where there is none, or no PyTorch.

    Another process looks, so that this one stays small.
    """
    with Worker(threads, timeout) as worker:
        try:
            return worker.ask("describe")["card"]
        except WorkerError:
            return None


def race(
    case: Case,
    contenders: Sequence[Contender],
    repeats: int,
    threads: int,
    timeout: float = 1800.0,
    turn_seconds: float = TURN_SECONDS,
    tell: Callable[[str], object] = lambda name: None,
) -> list[Row]:
    """Let contenders do the same work in turns.

    Args:
        case: the work.
        contenders: who takes part. One that fails drops out, and its row says why.
        repeats: turns for each, after one to warm up.
        threads: that each may use.
        timeout: seconds for one answer.
        turn_seconds: a turn goes on for at least so long.
        tell: is called with the name of a contender before each of its turns.
    """
    rows: dict[str, Row] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for contender in contenders:
            name = contender.name
            tell(name)
            workers[name] = stack.enter_context(Worker(threads, timeout))
            rows[name] = Row(case, name)
            rows[name] = attempt(rows[name], start, workers[name])
        for _ in range(repeats):
            for name, worker in workers.items():
                tell(name)
                rows[name] = attempt(rows[name], take_turn, worker, turn_seconds)
    return list(rows.values())


def attempt(row: Row, step: Callable[..., Row], *args: Any) -> Row:
    """Go one step on, unless the contender has dropped out; if it fails, its row says why."""
    if row.error:
        return row
    time.sleep(PAUSE)
    try:
        return step(row, *args)
    except WorkerError as error:
        return replace(row, error=str(error))


def start(row: Row, worker: Worker) -> Row:
    """Let a contender make its work ready and do it once."""
    found = worker.ask("prepare", contender=row.contender, case=case_to_dict(row.case))
    return replace(row, batch=found["batch"])


def take_turn(row: Row, worker: Worker, turn_seconds: float) -> Row:
    """One measurement of the work, and one of the product rate where products are counted."""
    found = worker.ask("work", at_least=turn_seconds)
    row = replace(
        row,
        seconds=(*row.seconds, found["seconds"]),
        peak_bytes=found["peak_bytes"] if row.peak_bytes is None else row.peak_bytes,
    )
    if row.done.flops is None:
        return row
    return replace(row, rates=(*row.rates, worker.ask("measure_rate")["rate"]))
