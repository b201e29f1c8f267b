"""What came out of a comparison: figures, a table of them, and all of it as JSON."""

import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from minitvlt.bench.cases import Case
from minitvlt.bench.contenders import PEERS, find_versions, parse_contender
from minitvlt.files import write_atomically


@dataclass(frozen=True)
class Row:
    """What one contender did in a case"""

    case: Case
    contender: str
    batch: int | None = None  # clips at once, when it is known how many fit
    seconds: tuple[float, ...] = ()  # one measurement a turn
    rates: tuple[float, ...] = ()  # of large products in the same library, operations a second, one a turn
    peak_bytes: int | None = None
    error: str | None = None  # why there are no more turns

    @property
    def done(self) -> Case:
        """The case with the number of clips that it was done with."""
        return replace(self.case, batch=self.batch)

    @property
    def median(self) -> float | None:
        """Seconds that the work takes."""
        return median(self.seconds) if self.seconds and not self.error else None

    @property
    def quartiles(self) -> tuple[float, float] | None:
        """What a quarter and three quarters of the turns stayed below."""
        if self.median is None:
            return None
        if len(self.seconds) == 1:
            return self.seconds * 2
        low, _, high = quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def items_per_second(self) -> float | None:
        """Clips, or pairs of them, a second."""
        return None if self.median is None else self.done.items / self.median

    @property
    def flops_per_second(self) -> float | None:
        """Operations of the model's products a second."""
        return None if self.median is None or self.done.flops is None else self.done.flops / self.median

    @property
    def floor(self) -> float | None:
        """Seconds that the products alone would take at the rate of large ones."""
        return None if self.flops_per_second is None else self.done.flops / median(self.rates)

    @property
    def share_of_floor(self) -> float | None:
        """How near to that the work comes; 1 would be nothing but products."""
        return None if self.floor is None else self.floor / self.median


def compare_with_peers(row: Row, rows: Sequence[Row]) -> dict[str, float]:
    """How many times as fast a row is as each peer's of the same case, in clips or pairs a second."""
    if row.median is None:
        return {}
    same = [other for other in rows if other.case == row.case and other is not row and other.median]
    peers = [other for other in same if parse_contender(other.contender).library in PEERS]
    return {other.contender: row.items_per_second / other.items_per_second for other in peers}


COLUMNS = ("median", "quartiles", "{unit}/s", "memory", "GFLOP/s", "floor", "share", "as fast as")


def format_table(rows: Sequence[Row]) -> str:
    """Lay out the rows of one case, under its title."""
    first = max(len(row.contender) for row in rows)
    heads = [column.format(unit=rows[0].case.unit) for column in COLUMNS]
    lines = [("", *heads), *(format_row(row, rows) for row in rows if not row.error)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [rows[0].case.title]
    for name, *cells, ratios in lines:
        padded = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True))
        text.append(f"  {name:<{first}}  {padded}  {ratios}".rstrip())
    text += [f"  {row.contender:<{first}}  failed: {row.error}" for row in rows if row.error]
    return "\n".join(text)


def format_row(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """The cells of a row of the table; what is not known is a dash."""

    def show(value: float | int | None, text: str, unit: float | int = 1) -> str:
        return "–" if value is None else text.format(value / unit)

    ratios = [f"{ratio:.2f}× {name}" for name, ratio in compare_with_peers(row, rows).items()]
    batch = f" (batch {row.batch})" if row.case.batch is None else ""
    return (
        row.contender,
        format_seconds(row.median),
        " – ".join(map(format_seconds, row.quartiles)),
        show(row.items_per_second, "{:.4g}") + batch,
        show(row.peak_bytes, "{:,.0f} MiB", 2**20),
        show(row.flops_per_second, "{:.1f}", 1e9),
        "–" if row.floor is None else format_seconds(row.floor),
        show(row.share_of_floor, "{:.2f}"),
        ", ".join(ratios),
    )


def format_seconds(seconds: float) -> str:
    """At least three digits, in seconds or milliseconds.

    >>> format_seconds(12.3), format_seconds(0.0003), format_seconds(0.279)
    ('12.3 s', '0.300 ms', '279 ms')
    """
    value, unit = (seconds, "s") if seconds >= 1 else (1000 * seconds, "ms")
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f} {unit}"


def describe_run(command: str, threads: int, repeats: int, card: str | None) -> dict[str, Any]:
    """When, where and with what it was measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "processor": find_processor(),
        "processors": os.cpu_count(),
        "card": card,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": find_versions(),
        "threads": threads,
        "repeats": repeats,
    }


def find_processor() -> str:
    """Name the processor as well as the system can."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def row_to_dict(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """All figures of a row, measured and derived, as plain values."""
    derived = ("median", "quartiles", "items_per_second", "flops_per_second", "floor", "share_of_floor")
    case = {name: value for name, value in asdict(row.case).items() if name != "config"}
    measured = {name: value for name, value in vars(row).items() if name != "case"}
    return (
        case
        | measured
        | {"flops": row.done.flops}
        | {name: getattr(row, name) for name in derived}
        | {"times_as_fast_as": compare_with_peers(row, rows)}
    )


def write_results(path: str | os.PathLike[str], run: dict[str, Any], rows: Sequence[Row]) -> Path:
    """Write everything as JSON: how it was measured, and a list with an object for each row."""
    content = {**run, "rows": [row_to_dict(row, rows) for row in rows]}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
