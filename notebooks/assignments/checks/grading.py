"""Grades one submission: runs its code in a process of its own and evaluates every check of its blanks."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .blanks import Blank
from .child import Limits, Runner
from .evaluate import FLOAT32_TITLE, MEMORY_TITLE, Result, evaluate
from .feedback import describe_results
from .submissions import Sheet, Submission

VISIBLE_SEED = 0  # of the inputs that `checks.check` uses in a notebook
HIDDEN_ONLY = (
    "  Right on the inputs of the notebook, wrong on other values of the same shapes:"
    " compute the result from the arguments alone, and look for constants that fit one input."
)


@dataclass(frozen=True)
class GradedBlank:
    """Points of one blank, and what the student is told."""

    blank: Blank
    results: tuple[Result, ...]
    feedback: tuple[str, ...]

    @property
    def earned(self) -> float:
        """Points of its checks that passed."""
        return sum(result.earned for result in self.results)


@dataclass(frozen=True)
class Grade:
    """What a submission is worth."""

    sheet: Sheet
    blanks: tuple[GradedBlank, ...] = ()
    remarks: tuple[str, ...] = ()  # about cells that failed
    seconds: float = 0

    @property
    def earned(self) -> float:
        """Points of all blanks."""
        return sum(graded.earned for graded in self.blanks)

    @property
    def points(self) -> float:
        """The most that can be earned."""
        return sum(blank.points for blank in self.sheet.assignment.blanks)


def list_titles(blank: Blank) -> list[str]:
    """The titles of all checks of a blank, as `evaluate` gives them."""
    extra = [FLOAT32_TITLE] * bool(blank.float32_points) + [MEMORY_TITLE] * bool(blank.memory_points)
    return [check.tag for check in blank.checks] + extra


def grade_submission(
    submission: Submission,
    sheet: Sheet,
    seed: int = VISIBLE_SEED,
    names: Iterable[str] | None = None,
    limits: Limits | None = None,
) -> Grade:
    """Grade a submission.

    Args:
        submission: what the student handed in.
        sheet: the assignment that it is of.
        seed: of the values in the inputs.
        names: of the blanks; None for all.
        limits: of time and memory.
    """
    started = time.monotonic()
    chosen = set(names) if names is not None else None
    with Runner(submission, sheet, limits) as runner:
        graded = tuple(
            grade_blank(blank, runner.caller(blank), seed, str(runner.folder))
            for blank in sheet.assignment.blanks
            if chosen is None or blank.name in chosen
        )
        remarks = tuple(describe_cell(name, problem) for name, problem in runner.problems.items())
    return Grade(sheet, graded, remarks, time.monotonic() - started)


def grade_blank(blank: Blank, call: Callable, seed: int, folder: str) -> GradedBlank:
    """Evaluate the checks of a blank; the feedback shows inputs of the visible seed only."""
    results = evaluate(blank, call, seed, folder, is_explained=seed == VISIBLE_SEED)
    failed = [result for result in results if result.failure is not None]
    if seed == VISIBLE_SEED or not failed:
        return GradedBlank(blank, tuple(results), tuple(describe_results(blank, results)))
    shown = {result.title: result for result in evaluate(blank, call, VISIBLE_SEED, folder)}
    visible = [shown.get(result.title, result) if result in failed else result for result in results]
    hidden = [result for result in failed if shown[result.title].failure is None]
    lines = describe_results(
        blank, [result for result in visible if result.title not in {h.title for h in hidden}]
    )
    lines[0] = replace_head(lines[0], blank, results)
    for result in hidden:
        lines += [f"✗ {result.title} (0 of {result.points:g})", HIDDEN_ONLY]
    return GradedBlank(blank, tuple(results), tuple(lines))


def replace_head(line: str, blank: Blank, results: list[Result]) -> str:
    """The first line of a feedback with the points of these results."""
    earned, points = (sum(getattr(result, name) for result in results) for name in ("earned", "points"))
    unwritten = " (not written yet)" if line.endswith("(not written yet)") else ""
    return f"{blank.name}: {earned:g} of {points:g} points{unwritten}"


def describe_cell(name: str, problem: Any) -> str:
    """What went wrong in a cell, in one line."""
    line = f", in the line `{problem.line}`" if problem.line else ""
    return f"{name}: {problem.text if problem.kind == 'timeout' else f'it ended with {problem.text}{line}'}"
