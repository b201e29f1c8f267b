"""A failed check as a tutor would explain it, in at most eight lines."""

import textwrap
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .blanks import Blank
from .compare import Difference, find_equal
from .evaluate import FLOAT32_TITLE, FLOAT32_TOLERANCE, MEMORY_TITLE, Result, Trial

WIDTH = 110
MOST_LINES = 8
PROBLEMS = {
    "not written": "not written yet",
    "timeout": "no result in the time that it has",
    "memory": "the memory was not enough",
    "copied": "the package's own function",
}


def describe_results(blank: Blank, results: list[Result]) -> list[str]:
    """All checks of a blank: a line for each, and for the first failure of each cause its explanation."""
    earned, points = sum(r.earned for r in results), sum(r.points for r in results)
    lines = [f"{blank.name}: {earned:g} of {points:g} points"]
    if all(is_unwritten(result) for result in results):
        return [f"{lines[0]} (not written yet)"]
    if all(result.failure is None for result in results):
        return [f"✓ {lines[0]}: all {len(results)} checks pass"]
    told: set[str] = set()
    for result in results:
        if result.failure is None:
            lines.append(f"✓ {result.title} ({result.points:g})")
        elif result.failure.cause in told:
            lines.append(shorten(f"✗ {result.title} (0 of {result.points:g}): the same cause"))
        else:
            told.add(result.failure.cause)
            lines += describe_failure(blank, result)
    return lines


def is_unwritten(result: Result) -> bool:
    """Whether there was nothing to check."""
    problem = result.failure and result.failure.trial.outcome.problem
    return bool(problem) and problem.kind == "not written"


def describe_failure(blank: Blank, result: Result) -> list[str]:
    """One failed check in at most eight lines."""
    failure = result.failure
    if failure is None:
        return []
    trial = failure.trial
    head = f"✗ {result.title} (0 of {result.points:g})"
    problem = trial.outcome.problem
    if problem is not None and problem.kind in ("not written", "copied"):
        return fit([head], [f"  {failure.cause}"], [f"  Reread: {blank.reread}"])
    first = [head, f"  input:    {describe_arguments(trial)}", *describe_values(result.title, trial)]
    if trial.outcome.printed.strip():
        first.append(f"  printed:  {' '.join(trial.outcome.printed.split())}")
    return fit(first, wrap(f"  cause:    {failure.cause}"), [f"  reread:   {blank.reread}"])


def fit(first: list[str], cause: list[str], last: list[str]) -> list[str]:
    """Shorten lines, and leave out what is too much."""
    cause = cause[: MOST_LINES - 3]
    first = first[: MOST_LINES - len(cause) - len(last)]
    return [shorten(line) for line in first + cause + last]


def wrap(text: str) -> list[str]:
    """A long sentence as lines."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * 12) or [""]


def shorten(line: str) -> str:
    """A line of at most 110 characters, without control characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


# ---- the input


def describe_arguments(trial: Trial) -> str:
    """The arguments by name: values where they are tiny, else dtype and shape."""
    kind = {"read-only": " (read-only)", "strided": " (non-contiguous)"}.get(trial.layout, "")
    arguments = trial.case.arguments
    return ", ".join(f"{name} = {describe_argument(value)}" for name, value in arguments.items()) + kind


def describe_argument(value: Any) -> str:
    """One argument in a few words."""
    if isinstance(value, np.ndarray):
        values = f" {format_tiny(value)}" if value.size <= 6 else ""
        return f"{value.dtype} {value.shape}{values}"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(field.name for field in fields(value))})"
    if isinstance(value, (list, tuple)) and any(isinstance(item, np.ndarray) for item in value):
        return f"{type(value).__name__} of {len(value)} arrays"
    if callable(value):
        return f"a function `{getattr(value, '__name__', type(value).__name__)}`"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def format_tiny(array: np.ndarray) -> str:
    """All values of a tiny array."""
    return (
        str([format_number(item) for item in array.tolist()]).replace("'", "")
        if array.ndim == 1
        else "".join(np.array2string(array, precision=3, separator=", ").split("\n"))
    )


def format_number(value: Any) -> str:
    """A number with four digits."""
    return f"{value:.4g}" if isinstance(value, (float, complex)) else str(value)


# ---- what came and what was expected


def describe_values(title: str, trial: Trial) -> list[str]:
    """What came, and what was expected, around the first difference."""
    outcome, expected = trial.outcome, trial.expected
    if outcome.problem is not None:
        lines = [f"  came:     {describe_problem(trial)}"]
        if outcome.problem.line:
            lines.append(f"  in line:  {outcome.problem.line}")
        if outcome.problem.kind == "exception" and expected.problem is None:
            lines.append(f"  expected: {describe_result(expected.value)}")
        return lines
    if expected.problem is not None:
        return [
            f"  came:     {describe_result(outcome.value)}",
            f"  expected: the error {expected.problem.text}",
        ]
    if not trial.differences:
        return [f"  came:     the right result, but changed in place: {', '.join(outcome.changed)}"]
    return describe_difference(trial, trial.differences[0])


def describe_problem(trial: Trial) -> str:
    """An exception, or why there is no value."""
    problem = trial.outcome.problem
    if problem is None:
        return ""
    if problem.kind == "unreadable":
        return problem.text
    return PROBLEMS.get(problem.kind, problem.text) + (
        f" ({problem.text})" if problem.kind == "memory" and problem.text else ""
    )


def describe_result(value: Any) -> str:
    """A result in a few words."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {describe_result(item)}" for name, item in value.items())
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.dtype} {value.shape}"
    return format_number(value.item() if isinstance(value, np.ndarray) else value)[:60]


def describe_difference(trial: Trial, difference: Difference) -> list[str]:
    """Came and expected for one entry of the result."""
    name = f"{name_path(difference.path)}" if difference.path else ""
    if difference.kind == "judged":
        return [f"  came:     {describe_result(difference.got)}"]
    if difference.kind == "structure":
        return [
            f"  came:     {name}{difference.text}",
            f"  expected: {describe_result(trial.expected.value)}",
        ]
    a, b = difference.got, difference.expected
    if difference.kind == "shape":
        return [f"  came:     {name}shape {np.shape(a)}", f"  expected: {name}shape {np.shape(b)}"]
    if difference.kind == "dtype":
        return [f"  came:     {name}{np.asarray(a).dtype}", f"  expected: {name}{np.asarray(b).dtype}"]
    if not isinstance(b, np.ndarray):
        return [f"  came:     {name}{a!r}", f"  expected: {name}{b!r}"]
    tolerance = FLOAT32_TOLERANCE if trial.layout == "float32" else 1e-9
    return show_numbers(name, a, b, tolerance)


def name_path(path: str) -> str:
    """Say which entry of the result: `keep`, or the second one."""
    return f"result {int(path) + 1}: " if path.isdigit() else f"{path}: "


def show_numbers(name: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> list[str]:
    """A few numbers from the first difference on, along the last axis."""
    if expected.ndim == 0:
        return [
            f"  came:     {name}{format_number(got.item())}",
            f"  expected: {name}{format_number(expected.item())}",
        ]
    wrong = np.argwhere(~find_equal(got, expected, tolerance))
    first = tuple(int(i) for i in wrong[0])
    start = max(0, min(first[-1], expected.shape[-1] - 6))
    place = ", ".join([*(str(i) for i in first[:-1]), f"{start}:{min(start + 6, expected.shape[-1])}"])
    rows = [array[first[:-1]][start : start + 6].tolist() for array in (got, expected)]
    texts = [", ".join(format_number(item) for item in row) for row in rows]
    share = f"   ({len(wrong)} of {got.size} values differ)"
    return [f"  came:     {name}[{place}] = {texts[0]}{share}", f"  expected: {name}[{place}] = {texts[1]}"]


__all__ = ["FLOAT32_TITLE", "MEMORY_TITLE", "describe_failure", "describe_results"]
