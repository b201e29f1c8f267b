"""The likely cause of a failed check.

Tried in turn: what the call itself says (an exception, no time, no memory, nothing returned); the known mistakes of
the blank; simple relations between what came and what was expected; the reference on changed arguments; the order
of the values; the place and the size of the errors; the tags of the inputs that fail.
"""

import time
from typing import Any

import numpy as np

from .blanks import Blank
from .compare import Difference, compare, is_number
from .counterfactuals import list_counterfactuals
from .evaluate import Call, Trial, name_error, run_reference
from .exceptions import explain_exception_text
from .outcomes import Outcome
from .patterns import CLOSE, Pair, explain_relation, explain_shape
from .places import explain_order, explain_place, explain_size

MOST_SECONDS = 4.0  # for the reference on changed arguments
MOST_MISTAKE_SECONDS = 6.0  # for known mistakes, of a blank whose calls take long


class Causes:
    """Finds the causes for the failed trials of one blank, and remembers what has been computed."""

    def __init__(self, blank: Blank, trials: list[Trial], call: Call) -> None:
        self.blank, self.trials, self.call = blank, trials, call
        self.plain = [trial for trial in trials if trial.layout == "plain"]
        self.wrong = [trial for trial in self.plain if not trial.is_right]
        self.known: dict[tuple[int, int], Outcome] = {}  # outputs of mistakes by (mistake, trial)
        self.mistake_seconds = 0.0  # that they took so far
        self.told: dict[int, str] = {}

    def find(self, failed: Trial, chosen: list[Trial]) -> str:
        """The cause of a failed trial of a check whose trials are `chosen`, in one to three sentences."""
        if failed.layout != "plain":
            failed = next((t for t in self.wrong if t.case.tags == failed.case.tags), failed)
        key = id(failed)
        if key not in self.told:
            self.told[key] = self._find(failed, [t for t in chosen if t in self.wrong] or [failed])
        return self.told[key]

    def _find(self, failed: Trial, chosen: list[Trial]) -> str:
        problem = failed.outcome.problem
        if problem is not None and problem.kind in ("not written", "copied", "timeout", "memory"):
            return explain_problem(self.blank, failed)
        if failed.layout == "plain" and failed.is_right and failed.outcome.changed:
            return explain_changed(failed.outcome.changed)
        if failed.differences and failed.differences[0].kind == "judged":
            return join("", failed.differences[0].text, self.find_tags())
        if cause := self.find_mistake(failed, chosen):
            return cause
        if failed.layout != "plain":
            return explain_layout(self.blank, failed)
        if failed.outcome.value is None and problem is None and failed.expected.value is not None:
            return "The function returns None: is the `return` missing, or not reached?"
        where = self.find_tags()
        if problem is not None:
            return " ".join(filter(None, (where, explain_problem(self.blank, failed))))
        if cause := self.explain_repetition(failed):
            return cause
        cause = self.explain_values(failed, where)
        if all(trial.outcome.changed for trial in self.wrong):
            cause += f" {explain_changed(failed.outcome.changed)}"
        return cause

    # ---- known mistakes

    def find_mistake(self, failed: Trial, chosen: list[Trial]) -> str | None:
        """A mistake with the same outputs: for all inputs, for those that fail, or for the largest of these."""
        if failed.layout != "plain":
            return None
        largest = max(self.wrong, key=measure) if failed in self.wrong else failed
        for scope in (self.plain, self.wrong, chosen, [largest]):
            if failed not in scope and scope is not chosen and scope != [largest]:
                continue
            if scope == [largest] and measure(largest) < 6:
                continue
            for index, mistake in enumerate(self.blank.mistakes):
                if self.is_like_all(index, scope):
                    return mistake.cause
        return None

    def is_like_all(self, index: int, scope: list[Trial]) -> bool:
        """Whether a mistake gives what came in all trials; an exception alone says little, but for its message."""
        if not all(self.is_like(index, trial) for trial in sorted(scope, key=lambda trial: trial.is_right)):
            return False
        wrong = [trial for trial in scope if not trial.is_right]
        if any(trial.outcome.problem is None for trial in wrong):
            return True
        return all(trial.outcome.problem.text == self.known[index, id(trial)].problem.text for trial in wrong)

    def is_like(self, index: int, trial: Trial) -> bool:
        """Whether a mistake gives what the student's function gave."""
        key = (index, id(trial))
        if key not in self.known:
            if self.mistake_seconds > MOST_MISTAKE_SECONDS:
                return False
            started = time.monotonic()
            self.known[key] = run_reference(
                self.blank, self.blank.mistakes[index].function, trial.case.arguments
            )
            self.mistake_seconds += time.monotonic() - started
        return is_same_outcome(trial.outcome, self.known[key])

    # ---- values

    def explain_values(self, failed: Trial, where: str) -> str:
        """Causes that can be seen from the values."""
        difference = failed.differences[0] if failed.differences else None
        if difference is None:
            return " ".join(
                filter(None, (where, "An error was expected: wrong arguments have to be refused."))
            )
        rest = self.name_right_parts(failed)
        if text := find_permuted_results(failed):
            return join("", text, where)
        if difference.kind == "structure":
            return join(rest, explain_structure(failed, difference), where)
        if difference.kind == "dtype":
            return join(rest, explain_dtype(difference), where)
        if not isinstance(difference.expected, np.ndarray):
            return join(rest, "Another value is expected here.", where)
        pairs = self.list_pairs(difference)
        if difference.kind == "shape":
            cause = self.find_counterfactual() or explain_shape(pairs)
            return join(rest, cause or "The shape is wrong.", where)
        cause = (
            explain_relation(pairs)
            or self.find_constant(pairs)
            or self.find_counterfactual()
            or explain_order(pairs)
            or explain_place(pairs)
            or explain_size(pairs)
        )
        return (
            join(rest, cause or "", where)
            or "The values differ everywhere: compare each step with its comment."
        )

    def list_pairs(self, difference: Difference) -> list[Pair]:
        """This entry of the result of all trials where it is wrong in the same way."""
        pairs = []
        for trial in self.wrong:
            for other in trial.differences:
                if other.path == difference.path and other.kind == difference.kind and is_number(other.got):
                    pairs.append(
                        Pair(np.asarray(other.got), np.asarray(other.expected), trial.case.arguments)
                    )
        return pairs

    def find_constant(self, pairs: list[Pair]) -> str | None:
        """The same result for different inputs."""
        shapes = {pair.got.shape for pair in pairs}
        for shape in shapes:
            results = [pair for pair in pairs if pair.got.shape == shape]
            if len(results) > 1 and all(np.array_equal(results[0].got, pair.got) for pair in results[1:]):
                if any(not np.array_equal(results[0].expected, pair.expected) for pair in results[1:]):
                    return (
                        "Different inputs give the same result: are the arguments used, or is it the result of "
                        "the example?"
                    )
        return None

    def name_right_parts(self, failed: Trial) -> str:
        """Which entries of a result of several are wrong, and which are right in all trials."""
        expected = failed.expected.value
        if not isinstance(expected, (dict, list)) or len(expected) < 2:
            return ""
        paths = [path for t in self.wrong for path in {d.path.partition(".")[0] for d in t.differences}]
        wrong = [str(name) for name in (expected if isinstance(expected, dict) else range(len(expected)))]
        right = [name for name in wrong if name not in paths]
        wrong = [name for name in wrong if name in paths]
        if not right or not wrong:
            return ""
        if isinstance(expected, dict):
            return (
                f"Wrong: {', '.join(f'`{n}`' for n in wrong)}. Right: {', '.join(f'`{n}`' for n in right)}."
            )
        return f"Wrong: result {', '.join(str(int(n) + 1) for n in wrong)} of {len(expected)}; the others are right."

    # ---- the reference on changed arguments

    def find_counterfactual(self) -> str | None:
        """Changed arguments with which the reference gives what came, for every input."""
        if getattr(self, "_counterfactual", ...) is ...:
            self._counterfactual = self._find_counterfactual()
        return self._counterfactual

    def _find_counterfactual(self) -> str | None:
        if any(trial.expected.problem for trial in self.wrong):
            return None
        start = time.monotonic()
        trials = sorted(self.plain, key=lambda trial: trial.is_right)
        cases = [trial.case.arguments for trial in self.plain]
        for text, change in list_counterfactuals(self.blank.reference, cases):
            if time.monotonic() - start > MOST_SECONDS:
                return None
            if all(self._fits(trial, change) for trial in trials):
                return text
        return None

    def _fits(self, trial: Trial, change: Any) -> bool:
        try:
            with np.errstate(all="ignore"):
                arguments = change(trial.case.arguments)
        except Exception:
            return trial.is_right
        outcome = run_reference(self.blank, self.blank.reference, arguments)
        return is_same_outcome(trial.outcome, outcome) and outcome.problem is None

    # ---- calls

    def explain_repetition(self, failed: Trial) -> str | None:
        """Whether a second call with the same arguments gives another result."""
        if "repetition" not in self.__dict__:
            again = self.call(failed.case.arguments, "plain")
            self.repetition = not is_same_outcome(again, failed.outcome)
        if self.repetition:
            return (
                "A second call with the same arguments gives another result: it depends on earlier calls (a global "
                "variable, a default argument that is changed) or on random numbers."
            )
        return None

    def find_tags(self) -> str:
        """Say which inputs fail if all others are right."""
        tags = []
        for trial in self.wrong:
            tags += [tag for tag in trial.case.tags if tag not in tags]
        right = {tag for trial in self.plain if trial.is_right for tag in trial.case.tags}
        only = [tag for tag in tags if tag not in right]
        covered = all(any(tag in trial.case.tags for tag in only) for trial in self.wrong)
        if not only or not covered or len(self.wrong) == len(self.plain) or len(only) > 3:
            return ""
        return f"Wrong only for inputs with {' or '.join(only)}."


def join(rest: str, cause: str, where: str) -> str:
    """Put sentences together."""
    return " ".join(filter(None, (where, rest, cause)))


def measure(trial: Trial) -> int:
    """The number of values of what was expected."""
    values = trial.expected.value
    values = (
        list(values.values())
        if isinstance(values, dict)
        else values
        if isinstance(values, list)
        else [values]
    )
    return sum(np.size(value) for value in values if is_number(value))


def is_same_outcome(a: Outcome, b: Outcome) -> bool:
    """Whether two calls gave the same: values, or exceptions of one type."""
    if a.problem is not None or b.problem is not None:
        if a.problem is None or b.problem is None or a.problem.kind != b.problem.kind:
            return False
        return name_error(a.problem) == name_error(b.problem)
    return not compare(a.value, b.value, CLOSE)


def explain_problem(blank: Blank, failed: Trial) -> str:
    """Why there is no result."""
    problem = failed.outcome.problem
    if problem is None or problem.kind == "not written":
        return f"`{blank.name}` is not written yet: it has no code of its own so far."
    if problem.kind == "copied":
        return (
            f"This is the package's own `{blank.name}`, a call of it, or a copy of its source. Write it in your own "
            "words, without it."
        )
    if problem.kind == "timeout":
        return (
            f"No result after {blank.seconds:g} s: a loop that never ends (does its condition change?), or loops over "
            "single values where operations on whole arrays would do."
        )
    if problem.kind == "memory":
        return "It asks for too much memory: an array has a size that it should not have. Print the shapes."
    if problem.kind == "unreadable":
        return f"It returns {problem.text}; a plain NumPy array, or a tuple of these, is expected."
    return explain_exception_text(problem)


def explain_changed(names: tuple[str, ...]) -> str:
    """The inputs were changed."""
    listed = ", ".join(f"`{name}`" for name in names)
    return (
        f"It changes its argument {listed} in place, which the caller still needs: copy it first, or write "
        "x = x - … instead of x -= … and of x[…] = …."
    )


def explain_layout(blank: Blank, failed: Trial) -> str:
    """What is wrong only for float32, or for read-only or non-contiguous arrays."""
    outcome = failed.outcome
    if failed.layout == "float32":
        return _explain_float32(failed)
    if failed.layout == "again":
        if failed.is_right and outcome.changed:
            return explain_changed(outcome.changed)
        return (
            "Right at first, wrong when it is called again: it depends on earlier calls (a global variable, or a "
            "default argument that is changed)."
        )
    if outcome.changed:
        return explain_changed(outcome.changed)
    text = outcome.problem.text if outcome.problem else ""
    if failed.layout == "read-only" and ("read-only" in text or "writeable" in text):
        return (
            "It writes into its argument in place, which fails here because the array is read-only: copy it first, "
            "or make a new array for the result."
        )
    if outcome.problem is not None:
        return explain_problem(blank, failed)
    what = "read-only" if failed.layout == "read-only" else "non-contiguous (a view of a larger array)"
    return (
        f"Wrong only where the input is {what}: it relies on the order in memory (strides, order='K' or 'A', "
        "as_strided, a change of .shape)."
    )


def _explain_float32(failed: Trial) -> str:
    if failed.outcome.problem is not None:
        return "It fails for float32 alone: does it ask for float64 somewhere?"
    difference = failed.differences[0]
    name = f" of `{difference.path}`" if difference.path else ""
    if difference.kind == "dtype":
        came = np.asarray(difference.got).dtype
        return (
            f"The values are right, but the dtype{name} is {came}: something makes {came} of float32, such as an array "
            "by np.zeros, np.arange or np.array without dtype=x.dtype, or a NumPy scalar of float64."
        )
    if is_number(difference.got) and np.any(~np.isfinite(np.asarray(difference.got).astype(complex))):
        return (
            "In float32 the result overflows or becomes NaN: a constant is too large or too small for float32, "
            "or the exponential of a large number is taken."
        )
    return "Right in float64, but not in float32: small differences of large numbers, or a constant too small for it."


def explain_structure(failed: Trial, difference: Difference) -> str:
    """A list instead of an array, results in another order, and so on."""
    got, expected = difference.got, difference.expected
    if got is None:
        return "None is returned in place of a result: is something left out in the `return`?"
    if is_number(expected) and isinstance(got, list):
        for index, item in enumerate(got):
            if not compare(item, expected, CLOSE):
                return (
                    f"A tuple or list is returned, of which entry {index} is the result: return that alone."
                )
        try:
            array = np.array(got)
        except Exception:
            array = None
        if array is not None and array.dtype.kind in "biufc":
            if not compare(array, expected, CLOSE):
                return "The values are right, but in a list: make an array of it, with np.array or np.stack."
            if array.shape == np.shape(expected):
                return (
                    "A list of numbers is returned where an array is expected, and its values are wrong too."
                )
        return "A list or tuple is returned where one array is expected: np.stack or np.concatenate make one of it."
    if isinstance(expected, list) and isinstance(got, np.ndarray):
        try:
            entries = list(got)
        except TypeError:
            entries = []
        if len(entries) == len(expected) and not compare(entries, expected, CLOSE):
            return "The results are right, but stacked in one array: return them as a tuple."
        return f"One array is returned where a tuple of {len(expected)} results is expected."
    if isinstance(expected, dict):
        return f"Return an object with {', '.join(expected)}, in this order, as the docstring says."
    return "The kind of result is wrong: compare it with what the docstring says is returned."


def explain_dtype(difference: Difference) -> str:
    """The right values as the wrong kind of number."""
    came, wanted = np.asarray(difference.got).dtype, np.asarray(difference.expected).dtype
    name = f" of `{difference.path}`" if difference.path and not difference.path.isdigit() else ""
    if wanted.kind == "b":
        return f"The values{name} are right, but {came} instead of True and False (bool): compare, or use .astype(bool)."
    if wanted.kind in "iu":
        return f"The values{name} are right, but {came} instead of whole numbers: use // for division, or an integer dtype."
    if wanted.kind == "f":
        return f"The values{name} are right, but {came} instead of floating-point numbers: an integer array was filled."
    return f"The values{name} are right, but of the dtype {came} instead of {wanted}."


def find_permuted_results(failed: Trial) -> str | None:
    """Right results at each other's places."""
    got, expected = failed.outcome.value, failed.expected.value
    if not isinstance(got, list) or not isinstance(expected, list) or len(got) != len(expected):
        return None
    places = []
    for item in got:
        match = [i for i, wanted in enumerate(expected) if not compare(item, wanted, CLOSE)]
        places.append(match[0] + 1 if match else 0)
    if sorted(places) == list(range(1, len(got) + 1)) and places != sorted(places):
        return f"The results are right, but in another order: {places} instead of {sorted(places)}."
    return None
