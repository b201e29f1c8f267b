"""Measure how fast everything is: this package on each backend that is installed, and what others use.

Each contender works in a process of its own, and they take turns. The floor is the time that the matrix
products of the model would take at the rate of large square ones in the contender's own library, measured
between the turns; the share says how near to it the work comes.
"""

import argparse
import os
from pathlib import Path

from tqdm import tqdm

from minitvlt.bench.cases import SIZES, WORKS, Case, make_case
from minitvlt.bench.contenders import Contender, list_installed, parse_contender, why_missing
from minitvlt.bench.results import Row, describe_run, format_table, write_results
from minitvlt.bench.turns import find_card, race

EXAMPLE = """examples:
  minitvlt bench
  minitvlt bench --work inference --sizes base --json base.json --chart base.png
  minitvlt bench --work step --sizes base --frames 4 --steps 512 --batch 2 --backends numpy transformers
  minitvlt bench --work step --sizes base --batch max --backends torch-cuda-bfloat16-compiled"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--work", nargs="+", choices=WORKS, help=describe_works())
    add("--sizes", "--size", nargs="+", choices=SIZES, help=describe_sizes())
    add("--frames", type=int, help="of each clip, instead of what the size says")
    add("--steps", type=int, help="of each spectrogram, instead of what the size says")
    add("--batch", type=read_batch, help="clips at once, or max: as many as fit on the graphics card")
    add(
        "--backends",
        nargs="+",
        metavar="NAME",
        help="numpy, torch, transformers, librosa, pairwise (every pair through the whole model); torch and "
        "transformers also with -cuda, -bfloat16 and -compiled behind them (default: what is installed)",
    )
    add("--repeats", type=int, default=5, help="turns for each contender, after one to warm up (default: 5)")
    add("--threads", type=int, help="threads for each contender (default: one for each processor)")
    add("--timeout", type=float, default=1800.0, help="seconds to wait for one answer (default: 1800)")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--chart", type=Path, metavar="FILE.png", help="draw a bar chart there")


def describe_works() -> str:
    """Name each kind of work and what it is."""
    return "; ".join(f"{name}: {meaning}" for name, (meaning, _) in WORKS.items())


def describe_sizes() -> str:
    """Name each size and its clips."""
    return "; ".join(f"{name}: {size.frames} frames + {size.steps} steps" for name, size in SIZES.items())


def read_batch(text: str) -> int | str:
    """Read a number of clips, or "max"."""
    return text if text == "max" else int(text)


def run(arguments: argparse.Namespace) -> None:
    """Measure case by case; each table is printed and everything is written before the next case begins."""
    check_request(arguments)
    threads = arguments.threads or count_processors()
    needs_torch = arguments.backends is None or any("cuda" in name for name in arguments.backends)
    card = find_card(threads, arguments.timeout) if needs_torch else None
    plan = make_plan(arguments, card)
    about = describe_run(arguments.command_line, threads, arguments.repeats, card)
    rows: list[Row] = []
    for case, contenders in plan:
        rows += measure(case, contenders, threads, arguments)
        if arguments.json:
            write_results(arguments.json, about, rows)
    if arguments.chart:
        draw(rows, arguments.chart)
    failed = [f"{row.contender} ({row.case.title}): {row.error}" for row in rows if row.error]
    if failed:
        raise ValueError(f"{len(failed)} of {len(rows)} failed: {'; '.join(failed)}.")


def check_request(arguments: argparse.Namespace) -> None:
    """Refuse numbers and files that nothing can be done with, before any work."""
    for name in ("repeats", "threads", "timeout"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be above 0, not {value}.")
    for path in filter(None, (arguments.json, arguments.chart)):
        if path.exists():
            raise ValueError(f"{path} is there already, and nothing is overwritten: choose another name.")
    if arguments.chart and arguments.chart.suffix.lower() != ".png":
        raise ValueError(
            f"The chart is written as PNG, and {arguments.chart} ends otherwise: end it in .png."
        )


def count_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_plan(arguments: argparse.Namespace, card: str | None) -> list[tuple[Case, list[Contender]]]:
    """Settle all cases and who takes part in each.

    Raises:
        ValueError: a case that makes no sense, or one that nobody can do.
    """
    chosen = choose_contenders(arguments.backends, card)
    works = arguments.work or [work for work in WORKS if card or work != "raw-inference"]
    plan = []
    for work in works:
        sizes = WORKS[work][1] if work == "spectrogram" else arguments.sizes or WORKS[work][1]
        for size in sizes:
            case = make_case(work, size, arguments.frames, arguments.steps, arguments.batch)
            able = [one for one in chosen if one.can_do(work) and (case.batch or one.device == "cuda")]
            if not able and (arguments.work or arguments.batch == "max"):
                limit = " on a graphics card" if case.batch is None else ""
                names = ", ".join(one.name for one in chosen)
                raise ValueError(f"Nobody can do {case.title}{limit}: there are {names}.")
            plan += [(case, able)] if able else []
    return plan


def choose_contenders(names: list[str] | None, card: str | None) -> list[Contender]:
    """Take the contenders that were named, each once, or all that are installed.

    Raises:
        ValueError: one that does not exist, is not installed, or lacks its graphics card.
    """
    if names is None:
        return list_installed(card is not None)
    chosen = list(dict.fromkeys(map(parse_contender, names)))
    for one in chosen:
        missing = why_missing(one.library)
        if one.device == "cuda" and card is None:
            missing = missing or "PyTorch finds no graphics card here"
        if missing:
            raise ValueError(f"{one.name} cannot take part: {missing}.")
    return chosen


def measure(
    case: Case, contenders: list[Contender], threads: int, arguments: argparse.Namespace
) -> list[Row]:
    """Let the contenders of a case take their turns, and print the table."""
    turns = len(contenders) * (1 + arguments.repeats)
    with tqdm(total=turns, desc=case.title, unit="turn", leave=False, disable=None) as bar:

        def tell(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        rows = race(case, contenders, arguments.repeats, threads, arguments.timeout, tell=tell)
    print(format_table(rows), end="\n\n", flush=True)
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Write the chart; matplotlib is imported for it alone."""
    from minitvlt.bench.chart import plot_rows
    from minitvlt.drawing import save_figure

    save_figure(plot_rows(rows), path)
