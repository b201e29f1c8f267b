"""Contenders take turns: each has a process of its own, and only one of them works at a time."""

import math
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.benchmarks.cases import Case
from tests.benchmarks.contenders import Run, prepare

TURN_SECONDS = 0.3  # work that takes less is repeated within a turn
PAUSE = 0.1  # seconds between turns: the threads of a library spin for a moment before they sleep
PRODUCT_SECONDS = 0.2


@dataclass
class Result:
    """What was measured of a contender, one number for each turn"""

    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # of large matrix products, operations per second
    peak_bytes: int | None = None
    error: str | None = None  # why it takes no more turns

    @property
    def median(self) -> float:
        """Seconds that the work takes."""
        return median(self.seconds)


def race(case: Case, names: list[str], turns: int) -> dict[str, Result]:
    """Let contenders do the same work in turns; one that fails drops out."""
    results = {name: Result() for name in names}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(start_process()) for name in names}
        for turn in range(turns + 1):
            for name, result in results.items():
                if result.error:
                    continue
                time.sleep(PAUSE)
                try:
                    if turn == 0:
                        workers[name].submit(warm_up, name, case).result()
                    else:
                        add_turn(result, *workers[name].submit(take_turn, name).result())
                except Exception as error:  # of whatever library
                    result.error = f"{type(error).__name__}: {error}"
                    workers[name].shutdown()  # its memory is for the others
    return results


def start_process() -> ProcessPoolExecutor:
    """Make a process that has inherited nothing but the environment."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def add_turn(result: Result, seconds: float, peak_bytes: int | None, rate: float) -> None:
    """Note a turn. The peak is that before the first large products, which need memory of their own."""
    result.peak_bytes = result.peak_bytes or peak_bytes
    result.seconds.append(seconds)
    result.rates.append(rate)


worker_run: Run | None = None  # in the process of a contender: its work


def warm_up(name: str, case: Case) -> None:
    """Prepare the work, and do it once."""
    global worker_run
    worker_run = prepare(name, case)
    worker_run()


def take_turn(name: str) -> tuple[float, int | None, float]:
    """Measure the seconds that the work takes, peak memory so far, and the rate of matrix products."""
    start, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - start < TURN_SECONDS:
        worker_run()
        count += 1
    seconds = (time.perf_counter() - start) / count
    return seconds, measure_peak(name), measure_product_rate(name)


def measure_peak(name: str) -> int | None:
    """The most memory taken so far, in bytes, of the card or of this process; None outside Linux."""
    if "cuda" in name:
        import torch

        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) if status.exists() else None


def measure_product_rate(name: str) -> float:
    """Operations per second of the fastest product of large square matrices in the contender's library."""
    n = 8192 if "cuda" in name else 2048
    multiply = make_product(name, n)
    multiply()
    start, best = time.perf_counter(), math.inf
    while best == math.inf or time.perf_counter() - start < PRODUCT_SECONDS:
        before = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - before)
    return 2 * n**3 / best


def make_product(name: str, n: int) -> Callable[[], Any]:
    """Draw two square matrices, and return a function that multiplies them."""
    if not name.startswith(("torch", "transformers")):
        a, b, c = np.random.default_rng(0).random((3, n, n), np.float32)
        return lambda: np.matmul(a, b, out=c)
    import torch

    device = "cuda" if "cuda" in name else "cpu"
    dtype = torch.bfloat16 if "bfloat16" in name else torch.float32
    x, y, z = torch.rand(3, n, n, device=device).to(dtype)

    def multiply() -> None:
        torch.matmul(x, y, out=z)
        if device == "cuda":
            torch.cuda.synchronize()

    return multiply
