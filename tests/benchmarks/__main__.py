"""Measure this package beside transformers and librosa: `python -m tests.benchmarks [case ...]`."""

import argparse
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from tests.benchmarks.cases import CASES, Case
from tests.benchmarks.turns import Result, race

SETTINGS = ("OMP_NUM_THREADS", "MINITVLT_KERNELS")  # of the environment, which contenders inherit
PEERS = ("transformers", "librosa")  # what the others are compared with
HEADS = ("contender", "median", "fastest – slowest", "peak memory", "GFLOP/s", "share", "times as fast as")


def main() -> None:
    """Measure case by case, and print a table after each."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--turns", type=int, default=5, help="of each contender (default: 5)")
    parser.add_argument("--contenders", nargs="+", help="others, such as torch-cuda-bfloat16")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.case if name not in CASES]:
        parser.error(f"expected cases among {', '.join(CASES)}, got {', '.join(unknown)}")
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))  # the same for every library
    print(describe_machine(), end="\n\n", flush=True)
    for name in chosen.case or CASES:
        case = CASES[name]
        results = race(case, chosen.contenders or list(case.contenders), chosen.turns)
        print(format_table(case, results), flush=True)


def describe_machine() -> str:
    """When, where and with what it is measured."""
    processors = Path("/proc/cpuinfo")  # Linux
    text = processors.read_text() if processors.exists() else ""
    found = [f"{datetime.now(UTC):%d %B %Y}", *re.findall(r"model name\s*: (.*)", text)[:1]]
    found += [f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    for name in ("numpy", "scipy", "torch", "transformers", "librosa"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found + [f"{name}={os.environ[name]}" for name in SETTINGS if name in os.environ])


def format_table(case: Case, results: dict[str, Result]) -> str:
    """The figures of a case in Markdown."""
    rows = [HEADS, ["---"] * len(HEADS)]
    rows += [format_row(case, name, results) for name in results]
    return "\n".join([case.title, "", *("| " + " | ".join(row) + " |" for row in rows), ""])


def format_row(case: Case, name: str, results: dict[str, Result]) -> list[str]:
    """The cells of a contender; ratios are of medians of this run."""
    result = results[name]
    if result.error:
        return [name, f"failed: {result.error:.200}".replace("\n", " "), *[""] * (len(HEADS) - 2)]
    spread = " – ".join(format_seconds(end(result.seconds)) for end in (min, max))
    memory = f"{result.peak_bytes / 2**20:,.0f} MiB" if result.peak_bytes else "–"
    rate, share = "–", "–"
    if case.flops:
        rate = f"{case.flops / result.median / 1e9:.1f}"
        share = f"{case.flops / result.median / median(result.rates):.2f}"
    peers = [peer for peer in results if peer.startswith(PEERS) and peer != name and not results[peer].error]
    ratios = [f"{results[peer].median / result.median:.2f} × {peer}" for peer in peers]
    return [name, format_seconds(result.median), spread, memory, rate, share, ", ".join(ratios)]


def format_seconds(seconds: float) -> str:
    """At least three digits, in seconds or milliseconds."""
    value, unit = (seconds, "s") if seconds >= 1 else (1000 * seconds, "ms")
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


if __name__ == "__main__":
    main()
