"""The record of a run: a line of metrics for each step, in a file and behind a progress bar."""

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from minitvlt.files import write_atomically


class Journal:
    """The metrics file of a run and its progress bar, written one step late.

    What computes may still be at work on a step when the next one begins: its line is asked for when the next
    one comes, or when the run is saved.
    """

    def __init__(self, path: Path | None, steps_done: int, steps: int, show_progress: bool) -> None:
        """Go on after so many steps. Without a path, where another process writes, lines are only checked."""
        self.file = open_metrics(path, steps_done) if path else None
        self.bar = start_bar(steps_done, steps, show_progress and path is not None)
        self.steps = steps_done  # that have their line
        self.pending: Callable[[], dict[str, Any]] | None = None

    def add(self, read_line: Callable[[], dict[str, Any]]) -> None:
        """Take note of a step's line, to be read later, and write that of the step before."""
        self.flush()
        self.pending = read_line

    def flush(self) -> None:
        """Write the line that is pending.

        Raises:
            ValueError: a loss or gradient that is not finite.
        """
        if self.pending is None:
            return
        read_line, self.pending = self.pending, None
        line = read_line()
        check_finite(line)
        if self.file:
            write_line(self.file, line)
        self.steps += 1
        self.bar.set_postfix(loss=f"{line['loss']:.3f}", refresh=False)
        self.bar.update()

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        if self.file:
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the file and leave the bar as it stands."""
        self.bar.close()
        if self.file:
            self.file.close()


def open_metrics(path: Path, steps_done: int) -> BinaryIO:
    """Open the metrics file to append; what is newer than the saved state, or half written, is cut off.

    Raises:
        ValueError: lines of steps that were done are missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_bytes() if path.exists() else b""
    lines = text.splitlines(keepends=True)[:steps_done]
    if len(lines) < steps_done or not all(line.endswith(b"\n") for line in lines):
        raise ValueError(
            f"{path} lacks lines: the state beside it was saved after {steps_done} steps. "
            "Bring the file back, or start another run."
        )
    write_atomically(path, lambda temporary: temporary.write_bytes(b"".join(lines)))
    return path.open("ab")


def start_bar(steps_done: int, steps: int, show: bool) -> tqdm:
    """Draw a progress bar: lively on a terminal; in a log, where each new state is a line, twice a minute."""
    interval = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(
        total=steps,
        initial=steps_done,
        unit="step",
        disable=not show,
        dynamic_ncols=True,
        mininterval=interval,
        maxinterval=30.0,
    )


def write_line(metrics: BinaryIO, line: dict[str, Any]) -> None:
    """Append a line and hand it to the operating system, so that killing this process does not lose it."""
    metrics.write(json.dumps(line).encode() + b"\n")
    metrics.flush()


def check_finite(line: dict[str, Any]) -> None:
    """Raise a ValueError if training has diverged."""
    if not (math.isfinite(line["loss"]) and math.isfinite(line["gradient_norm"])):
        raise ValueError(
            f"The loss at step {line['step']} is {line['loss']}, its gradient's norm "
            f"{line['gradient_norm']}: training has diverged. "
            "Lower the learning rate, or look for values outside [-1, 1] in the data."
        )
