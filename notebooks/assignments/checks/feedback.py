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
ROOM = WIDTH - len("  input:    ")
MOST_OF_MASK = 24  # values
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
    text = list_arguments(arguments) + kind
    if len(text) <= ROOM:
        return text
    small = {name: value for name, value in arguments.items() if is_small(value)}
    large = {name: value for name, value in arguments.items() if name not in small}
    text = list_arguments(small | large, has_values=False) + kind
    if len(text) <= ROOM or not large:
        return text
    return f"{list_arguments(small)}{'; ' if small else ''}{list_shapes(large)}{kind}"


def list_shapes(arguments: dict[str, Any]) -> str:
    """Large arguments in the fewest words: the dtype once, where it is that of all arrays."""
    dtypes = {str(value.dtype) for value in arguments.values() if isinstance(value, np.ndarray)}
    texts = []
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            dtype = "" if len(dtypes) == 1 else f"{value.dtype} "
            texts.append(f"{name} {dtype}{value.shape}")
        elif is_dataclass(value) and not isinstance(value, type):
            texts.append(f"{name} ({type(value).__name__})")
        else:
            texts.append(f"{name} = {describe_argument(value, False)}")
    return f"{dtypes.pop()}: {', '.join(texts)}" if len(dtypes) == 1 else ", ".join(texts)


def list_arguments(arguments: dict[str, Any], has_values: bool = True) -> str:
    """Arguments by name, with or without the values of arrays other than masks."""
    texts = (describe_argument(value, has_values) for value in arguments.values())
    return ", ".join(f"{name} = {text}" for name, text in zip(arguments, texts, strict=True))


def is_small(value: Any) -> bool:
    """Whether an argument is a number, a word or a mask with few values: shown first where room is short."""
    if isinstance(value, np.ndarray):
        return value.dtype == bool and value.size <= MOST_OF_MASK
    return value is None or value == [] or isinstance(value, (bool, int, float, str))


def describe_argument(value: Any, has_values: bool = True) -> str:
    """One argument in a few words."""
    if isinstance(value, np.ndarray):
        is_mask = value.dtype == bool
        values = ""
        if is_mask and value.size <= MOST_OF_MASK:
            values = f" {format_mask(value)}"
        elif has_values and not is_mask and value.size <= 6:
            values = f" {format_tiny(value)}"
        return f"{value.dtype} {value.shape}{values}"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(field.name for field in fields(value))})"
    if isinstance(value, (list, tuple)) and any(isinstance(item, np.ndarray) for item in value):
        return f"{type(value).__name__} of {len(value)} arrays"
    if callable(value):
        return f"a function `{getattr(value, '__name__', type(value).__name__)}`"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def format_mask(mask: np.ndarray) -> str:
    """All values of a small mask: T for True, F for False."""
    return str(np.where(mask, "T", "F").tolist()).replace("'", "").replace("T, ", "T ").replace("F, ", "F ")


def format_tiny(array: np.ndarray) -> str:
    """All values of a tiny array."""
    return (
        str([format_number(item) for item in array.tolist()]).replace("'", "")
        if array.ndim == 1
        else "".join(np.array2string(array, precision=3, separator=", ").split("\n"))
    )


def format_number(value: Any, digits: int = 4) -> str:
    """A number with four digits, or as many as are asked for."""
    return f"{value:.{digits}g}" if isinstance(value, (float, complex)) else str(value)


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
        digits = find_digits(got.item(), expected.item())
        return [
            f"  came:     {name}{format_number(got.item(), digits)}",
            f"  expected: {name}{format_number(expected.item(), digits)}",
        ]
    wrong = np.argwhere(~find_equal(got, expected, tolerance))
    first = tuple(int(i) for i in wrong[0])
    digits = find_digits(got[first].item(), expected[first].item())
    count = 6 if digits == 4 else 2
    start = max(0, min(first[-1], expected.shape[-1] - count))
    place = ", ".join([*(str(i) for i in first[:-1]), f"{start}:{min(start + count, expected.shape[-1])}"])
    rows = [array[first[:-1]][start : start + count].tolist() for array in (got, expected)]
    texts = [", ".join(format_number(item, digits) for item in row) for row in rows]
    share = f"   ({len(wrong)} of {got.size} values differ)"
    return [f"  came:     {name}[{place}] = {texts[0]}{share}", f"  expected: {name}[{place}] = {texts[1]}"]


def find_digits(got: Any, expected: Any) -> int:
    """As many digits as show that two numbers differ, at least four."""
    return next((n for n in (4, 6, 8, 10, 13) if format_number(got, n) != format_number(expected, n)), 17)


__all__ = ["FLOAT32_TITLE", "MEMORY_TITLE", "describe_failure", "describe_results"]
