"""A contender's own process. It makes its work ready, does it when it is told to, and says how long it took.

Questions come on standard input and answers go to standard output, a line of JSON each; the end of the input
ends the process. What libraries print goes to the error stream. `turns.py` is the other side.
"""

import json
import multiprocessing
import os
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

import numpy as np

from minitvlt.bench.cases import Case, case_from_dict
from minitvlt.bench.contenders import ON_TORCH, Contender, parse_contender

PRODUCT_SIZE = {"cpu": 2048, "cuda": 8192}  # rows and columns: large enough for the full rate
PROCESSES = Path("/proc")  # Linux: what the kernel knows of each process
RATE_SECONDS = 0.2  # products are multiplied for at least so long


@dataclass
class Bench:
    """What the process has made ready; it is told who it is, and for what"""

    contender: Contender | None = None
    run: Callable[[], Any] | None = None
    multiply: Callable[[], None] | None = None

    def describe(self) -> dict[str, Any]:
        """Say which graphics card there is."""
        from minitvlt.bench.torch_tools import find_card

        return {"card": find_card()}

    def prepare(self, contender: str, case: dict[str, Any]) -> dict[str, Any]:
        """Make the work ready and do it once, to warm up; say how many clips there are at once."""
        self.contender, wanted = parse_contender(contender), case_from_dict(case)
        attempt = partial(prepare_batch, self.contender, wanted)
        if wanted.batch is None:
            from minitvlt.bench.torch_tools import fits

            wanted = replace(wanted, batch=find_largest(lambda batch: fits(partial(attempt, batch))))
        self.run = attempt(wanted.batch)
        return {"batch": wanted.batch}

    def work(self, at_least: float) -> dict[str, Any]:
        """Do the work, again and again until so many seconds are over; say how long once takes.

        The peak of the memory is that so far: before `measure_rate`, which needs memory of its own.
        """
        start, count = perf_counter(), 0
        while count == 0 or perf_counter() - start < at_least:
            self.run()
            count += 1
        return {"seconds": (perf_counter() - start) / count, "peak_bytes": measure_peak(self.contender)}

    def measure_rate(self) -> dict[str, Any]:
        """Multiply large square matrices by the contender's library; say the operations a second."""
        n = PRODUCT_SIZE[self.contender.device]
        if self.multiply is None:
            self.multiply = make_product(self.contender, n)
            self.multiply()
        with use_all_cores(self.contender):
            best, start = float("inf"), perf_counter()
            while perf_counter() - start < RATE_SECONDS:
                before = perf_counter()
                self.multiply()
                best = min(best, perf_counter() - before)
        return {"rate": 2 * n**3 / best}


def prepare_batch(contender: Contender, case: Case, batch: int) -> Callable[[], Any]:
    """Make the work ready for so many clips, and do it once."""
    case = replace(case, batch=batch)
    if contender.library == "librosa":
        from minitvlt.bench.spectrogram_peers import prepare_librosa

        run = prepare_librosa(case)
    elif contender.library == "transformers" and case.work == "spectrogram":
        from minitvlt.bench.spectrogram_peers import prepare_extractor

        run = prepare_extractor(case)
    elif contender.library == "transformers":
        from minitvlt.bench.transformers_peer import prepare_transformers

        run = prepare_transformers(contender, case)
    else:
        from minitvlt.bench.ours import prepare_ours

        run = prepare_ours(contender, case)
    run()
    return run


def find_largest(fits: Callable[[int], bool]) -> int:
    """Find the largest batch that fits, to within an eighth of it.

    >>> find_largest(lambda batch: batch <= 100)
    96

    Raises:
        MemoryError: not even one clip fits.
    """
    if not fits(1):
        raise MemoryError("not even one clip fits into the memory of the device")
    batch = 1
    while fits(2 * batch):
        batch *= 2
    step = batch // 2
    for _ in range(3):
        if step and fits(batch + step):
            batch += step
        step //= 2
    return batch


def make_product(contender: Contender, n: int) -> Callable[[], Any]:
    """Make two matrices of n rows and columns, and return what multiplies them."""
    if contender.library in ON_TORCH:
        from minitvlt.bench import torch_tools

        return torch_tools.make_product(contender, n)
    a, b, c = np.random.default_rng(0).random((3, n, n), dtype=np.float32)
    return partial(np.matmul, a, b, out=c)


def use_all_cores(contender: Contender) -> AbstractContextManager[Any]:
    """Let products use all threads, also where the work is done by a process for each core."""
    if contender.library != "numpy":
        return nullcontext()
    from threadpoolctl import threadpool_limits

    from minitvlt.backends.fast.threads import count_cores

    return threadpool_limits(count_cores(), user_api="blas")


def measure_peak(contender: Contender) -> int | None:
    """The most memory taken so far, in bytes: of the card, or of this process; None where nobody counts it.

    On Linux the kernel's own count is read, and that of each process that helps this one is added: what they
    share counts several times. (`getrusage` begins with the memory of the process that started this one.)
    """
    if contender.device == "cuda":
        from minitvlt.bench.torch_tools import measure_card_peak

        return measure_card_peak()
    numbers = [os.getpid(), *(helper.pid for helper in multiprocessing.active_children())]
    files = [PROCESSES / str(number) / "status" for number in numbers]
    if all(file.exists() for file in files):
        found = [re.search(r"VmHWM:\s+(\d+) kB", file.read_text()) for file in files]
        return 1024 * sum(int(peak[1]) for peak in found)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def answer(bench: Bench, line: str) -> dict[str, Any]:
    """Answer one question; what goes wrong is an answer, too."""
    question = json.loads(line)
    try:
        return getattr(bench, question.pop("ask"))(**question)
    except Exception as error:  # of whatever library: the other side shows it
        return {"error": f"{' '.join(f'{type(error).__name__}: {error}'.split()):.300}"}


def main() -> None:
    """Answer until the input ends."""
    answers = take_output()
    bench = Bench()
    for line in sys.stdin:
        print(json.dumps(answer(bench, line)), file=answers, flush=True)


def take_output() -> TextIO:
    """Keep standard output for the answers; whatever else is printed goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
