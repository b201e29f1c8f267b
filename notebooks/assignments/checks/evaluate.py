"""Runs the checks of a blank, wherever the student's code runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .blanks import SUBMISSION_FOLDER, Blank, Case
from .calls import explain_exception, restore_modules
from .compare import Difference, compare
from .outcomes import Outcome, Problem, copy_arguments, list_arrays, map_arrays, read_result

Call = Callable[[dict[str, Any], str], Outcome]  # of the arguments and the layout of their copies
FLOAT32_TITLE = "float32 in, float32 out"
MEMORY_TITLE = "inputs left as they were; read-only and non-contiguous arrays"
FLOAT32_TOLERANCE = 1e-4
NO_CAUSE = "The result differs from what is expected: compare each step with its comment."
MOST_TIMEOUTS = 2  # then the function is not called any more


@dataclass(frozen=True, eq=False)
class Trial:
    """One call of the student's function, and what was expected of it."""

    case: Case
    layout: str
    outcome: Outcome
    expected: Outcome
    differences: tuple[Difference, ...]

    @property
    def is_right(self) -> bool:
        """Whether the right result came, or the right error."""
        wanted, problem = self.expected.problem, self.outcome.problem
        if wanted is not None:
            is_error = problem is not None and problem.kind == "exception"
            return is_error and name_error(problem) == name_error(wanted)
        return problem is None and not self.differences


@dataclass(frozen=True)
class Failure:
    """The smallest trial that failed, and why."""

    trial: Trial
    cause: str


@dataclass(frozen=True)
class Result:
    """Points of one check."""

    title: str
    points: float
    earned: float
    failure: Failure | None = None


def name_error(problem: Problem) -> str:
    """The type of an exception."""
    return problem.text.partition(":")[0]


def evaluate(
    blank: Blank, call: Call, seed: int = 0, folder: str = ".", is_explained: bool = True
) -> list[Result]:
    """Run all checks of a blank.

    Args:
        blank: what is checked.
        call: `call(arguments, layout)` copies the arguments and runs the student's function on them.
        seed: of the values of the cases.
        folder: of the submission, for cases that name it.
        is_explained: whether causes are looked for, which takes longer than the checks.

    Returns:
        One result for each check, then "float32" and "memory" where they have points.
    """
    from .causes import Causes  # which builds on the trials of this module

    restore_modules()
    trials = run_trials(blank, call, seed, folder)
    causes, results = Causes(blank, trials, call), []
    for title, points, chosen in choose_trials(blank, trials):
        failed = next((trial for trial in chosen if not is_passed(title, trial)), None)
        if failed is None and chosen:
            results.append(Result(title, points, points))
            continue
        cause = find_cause(causes, failed, chosen) if failed and is_explained else ""
        failure = Failure(failed, cause) if failed else None
        results.append(Result(title, points, 0, failure))
    return results


def find_cause(causes: Any, failed: Trial, chosen: list[Trial]) -> str:
    """The cause; a plain sentence where looking for it fails, for a result that nobody has thought of."""
    try:
        return causes.find(failed, chosen)
    except Exception:
        return NO_CAUSE


def choose_trials(blank: Blank, trials: list[Trial]) -> list[tuple[str, float, list[Trial]]]:
    """For each check its title, its points and its trials, smallest first."""
    plain = [trial for trial in trials if trial.layout == "plain"]
    chosen = [
        (check.tag, check.points, [trial for trial in plain if check.tag in trial.case.tags])
        for check in blank.checks
    ]
    if blank.float32_points:
        float32 = [trial for trial in trials if trial.layout == "float32"]
        chosen.append((FLOAT32_TITLE, blank.float32_points, float32))
    if blank.memory_points:
        memory = [trial for trial in trials if trial.layout in ("read-only", "strided", "again")]
        is_any_changed = [trial for trial in plain if trial.outcome.changed]
        chosen.append((MEMORY_TITLE, blank.memory_points, is_any_changed + memory))
    if any(is_copied(trial.outcome) for trial in trials):
        copied = [trial for trial in trials if is_copied(trial.outcome)]
        chosen = [(title, points, copied) for title, points, _ in chosen]
    return chosen


def is_copied(outcome: Outcome) -> bool:
    """Whether the package's own function was found instead of the student's."""
    return outcome.problem is not None and outcome.problem.kind == "copied"


def is_passed(title: str, trial: Trial) -> bool:
    """Whether the trial earns the points of a check; changed inputs cost those of memory only."""
    return trial.is_right and not (title == MEMORY_TITLE and trial.outcome.changed)


# ---- trials


def run_trials(blank: Blank, call: Call, seed: int, folder: str) -> list[Trial]:
    """Run all cases, then the first ones as float32, as read-only and as non-contiguous arrays, and again."""
    cases = [set_folder(case, folder) for case in blank.make_cases(np.random.default_rng(seed))]
    runner = Runner(blank, call)
    trials = [runner.run(case, "plain") for case in cases]
    first = [case for case in cases if set(case.tags) & set(cases[0].tags)][:2]
    if blank.float32_points:
        trials += [runner.run(to_float32(case), "float32") for case in first]
    if blank.memory_points:
        with_arrays = [case for case in first if list_arrays(case.arguments)] or cases[:1]
        for layout in ("read-only", "strided"):
            trials += [runner.run(case, layout) for case in with_arrays]
        trials.append(runner.run(cases[0], "again"))
    return trials


class Runner:
    """Calls the student's function, but not again and again where it is missing, copied or endless."""

    def __init__(self, blank: Blank, call: Call) -> None:
        self.blank, self.call = blank, call
        self.final: Outcome | None = None
        self.timeouts = 0

    def run(self, case: Case, layout: str) -> Trial:
        """Run one case, and compare."""
        judge = self.blank.judge
        expected = Outcome()
        if judge is None:
            expected = run_reference(self.blank, self.blank.reference, case.arguments)
        outcome = self.final or self.call(
            case.arguments, layout if layout in ("read-only", "strided") else "plain"
        )
        restore_modules()
        kind = outcome.problem.kind if outcome.problem else ""
        self.timeouts += kind == "timeout"
        if kind in ("not written", "copied") or self.timeouts >= MOST_TIMEOUTS:
            self.final = outcome
        differences: list[Difference] = []
        if judge and outcome.problem is None:
            text = judge(case.arguments, outcome.value)
            differences = [Difference("", "judged", outcome.value, None, text)] if text else []
        elif outcome.problem is None and expected.problem is None:
            tolerance = self.blank.tolerance if layout != "float32" else FLOAT32_TOLERANCE
            tolerance = max(tolerance, self.blank.tolerance)
            differences = compare(outcome.value, expected.value, tolerance, layout == "float32")
        return Trial(case, layout, outcome, expected, tuple(differences))


def run_reference(blank: Blank, function: Callable, arguments: dict[str, Any]) -> Outcome:
    """Run the reference, or a known mistake: code that is trusted."""
    handed = copy_arguments(arguments)
    try:
        with np.errstate(all="ignore"):
            value = read_result(blank.call(function, handed))
    except Exception as error:
        return Outcome(problem=explain_exception(error, function))
    return Outcome(map_arrays(lambda array: array.copy(), value))


def to_float32(case: Case) -> Case:
    """The case with all float64 arrays as float32, and complex128 as complex64."""

    def convert(array: np.ndarray) -> np.ndarray:
        narrow = {"d": np.float32, "D": np.complex64}.get(array.dtype.char)
        return array if narrow is None else array.astype(narrow)

    return replace(case, arguments=map_arrays(convert, case.arguments))


def set_folder(case: Case, folder: str) -> Case:
    """The case with the submission's folder where it is named."""
    arguments = {
        name: folder if isinstance(value, str) and value == SUBMISSION_FOLDER else value
        for name, value in case.arguments.items()
    }
    return replace(case, arguments=arguments)
