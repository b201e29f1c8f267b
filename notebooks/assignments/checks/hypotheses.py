"""Other functions that give what came: known mistakes, and the reference on changed arguments."""

import ast
import itertools
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from .blanks import Blank, Text
from .calls import TooSlowError, limit_time
from .compare import compare
from .counterfactuals import list_counterfactuals, list_pairs_of_changes
from .edits import change_source, compile_text
from .evaluate import Trial, name_error, run_reference
from .outcomes import Outcome
from .patterns import CLOSE
from .trials import list_values, measure
from .variations import list_variations

MOST_SECONDS = 1.5  # of the processor, for the reference on changed arguments
MOST_CALL_SECONDS = 0.3  # for a changed text, whose loops may never end
MOST_MISTAKE_SECONDS = 4.0  # for known mistakes, of a blank whose calls take long
MOST_LOCAL = 100  # mistakes that are tried on the inputs of a single check; the others on all inputs only
MOST_PAIRED = 40  # mistakes of which two at once are tried
FEW = 6  # values: so few agree by chance
MOST_VARIATION_SECONDS = 2.5  # of the processor, for changes of the text


class Hypotheses:
    """Runs known mistakes and the reference on the inputs of all trials, and remembers the results."""

    def __init__(self, blank: Blank, plain: list[Trial]) -> None:
        self.blank, self.plain = blank, plain
        self.wrong = [trial for trial in plain if not trial.is_right]
        self.known: dict[tuple[int, int], Outcome] = {}  # outputs of mistakes by (mistake, trial)
        self.mistake_seconds = 0.0  # that they took so far
        self.counterfactuals: dict[bool, str | None] = {}

    # ---- known mistakes

    def find_mistake(self, failed: Trial) -> str | None:
        """A mistake with the same outputs for all inputs, or for all or most of those that fail."""
        return (
            self._find_mistake(self.plain)
            or self._find_yes_or_no(failed)
            or self._find_mistake(self.wrong)
            or self._find_in_entries()
            or self._find_most(failed)
        )

    def find_mistake_of(self, chosen: list[Trial]) -> str | None:
        """A mistake with the same outputs for some inputs that fail, or for the largest one of all."""
        largest = max(self.wrong, key=measure, default=None)
        is_enough = largest is not None and measure(largest) >= FEW
        on_largest = self._find_mistake([largest]) if is_enough else None
        return self._find_mistake(chosen, MOST_LOCAL) or on_largest

    def _find_yes_or_no(self, failed: Trial) -> str | None:
        """For yes or no: a mistake that is wrong here, and elsewhere only where this is wrong, alike."""
        if is_telling(failed.outcome):
            return None
        parts = [
            index
            for index in range(len(self.blank.mistakes[:MOST_LOCAL]))
            if self._is_like(index, failed) and all(self._is_part(index, trial) for trial in self.plain)
        ]
        if not parts:
            return None
        largest = max(parts, key=lambda index: sum(self._is_like(index, trial) for trial in self.wrong))
        return self.blank.mistakes[largest].cause

    def _is_part(self, index: int, trial: Trial) -> bool:
        if self._is_like(index, trial):
            return True
        known = self.known.get((index, id(trial)))
        return known is not None and is_same_outcome(known, trial.expected, self.blank.tolerance)

    def _find_in_entries(self) -> str | None:
        """A mistake with the same entries of the results, such as `restore`, wherever they are wrong."""
        if sum(map(measure, self.wrong)) >= FEW:
            for index, mistake in enumerate(self.blank.mistakes[:MOST_LOCAL]):
                if all(self._is_like_in_entries(index, trial) for trial in self.wrong):
                    return mistake.cause
        return None

    def _is_like_in_entries(self, index: int, trial: Trial) -> bool:
        self._is_like(index, trial)
        outcomes = (trial.outcome, self.known.get((index, id(trial)), trial.expected), trial.expected)
        came, made, wanted = (list_values(outcome.value) for outcome in outcomes)
        if not 1 < len(came) == len(made) == len(wanted):
            return False
        entries = zip(came, made, wanted, strict=True)
        return all(not compare(x, y, CLOSE) for x, y, z in entries if compare(x, z, self.blank.tolerance))

    def _find_most(self, failed: Trial) -> str | None:
        trials = [t for t in self.wrong if t.outcome.problem is None and is_telling(t.outcome)]
        for index, mistake in enumerate(self.blank.mistakes[:MOST_LOCAL]):
            if failed in trials and self._is_like(index, failed):
                count = sum(self._is_like(index, trial) for trial in trials)
                if count >= 3 and count >= 0.6 * len(self.wrong):
                    return mistake.cause
        return None

    def _find_mistake(self, scope: list[Trial], most: int | None = None) -> str | None:
        scope = sorted(scope, key=lambda trial: trial.is_right)
        if scope and not any(trial.is_right or is_telling(trial.outcome) for trial in scope):
            return None
        for index, mistake in enumerate(self.blank.mistakes[:most]):
            if scope and self._is_like_all(index, scope):
                return mistake.cause
        return None

    def _is_like_all(self, index: int, scope: list[Trial]) -> bool:
        """Whether a mistake gives what came in all trials; of an exception the message counts."""
        if not all(self._is_like(index, trial) for trial in scope):
            return False
        wrong = [trial for trial in scope if not trial.is_right]
        if any(trial.outcome.problem is None for trial in wrong):
            return True
        return all(trial.outcome.problem.text == self.known[index, id(trial)].problem.text for trial in wrong)

    def _is_like(self, index: int, trial: Trial) -> bool:
        key = (index, id(trial))
        if key not in self.known:
            if self.mistake_seconds > MOST_MISTAKE_SECONDS:
                return False
            started = time.process_time()
            function = self.blank.mistakes[index].function
            self.known[key] = run_reference(self.blank, function, trial.case.arguments)
            self.mistake_seconds += time.process_time() - started
        return self._explains(trial, self.known[key])

    def _explains(self, trial: Trial, outcome: Outcome) -> bool:
        """Whether another function gave what came, and is wrong where this is wrong."""
        if not is_same_outcome(trial.outcome, outcome):
            return False
        return trial.is_right or not is_same_outcome(trial.expected, outcome, self.blank.tolerance)

    # ---- the reference on changed arguments

    def find_counterfactual(self, is_likely: bool = False) -> str | None:
        """Changed arguments with which the reference gives what came, for every input.

        Args:
            is_likely: only changes that nothing else explains better, such as an argument that is ignored.
        """
        if is_likely not in self.counterfactuals:
            self.counterfactuals[is_likely] = self._find_counterfactual(is_likely)
        return self.counterfactuals[is_likely]

    def _find_counterfactual(self, is_likely: bool) -> str | None:
        has_values = any(trial.outcome.problem is None for trial in self.wrong)
        if not has_values or any(trial.expected.problem for trial in self.wrong):
            return None
        start = time.process_time()
        trials = sorted(self.plain, key=lambda trial: (trial.is_right, trial.outcome.problem is not None))
        cases = [trial.case.arguments for trial in self.plain]
        changes = list_counterfactuals(self.blank.reference, cases, is_likely)
        if not is_likely:
            changes = itertools.chain(changes, list_pairs_of_changes(self.blank.reference, cases))
        for text, change in changes:
            if time.process_time() - start > MOST_SECONDS:
                return None
            if all(self._fits(trial, change) for trial in trials):
                return text
        return None

    def _fits(self, trial: Trial, change: Any) -> bool:
        has_failed = trial.outcome.problem is not None
        try:
            arguments = change(trial.case.arguments)
        except Exception:
            return trial.is_right or has_failed
        outcome = run_reference(self.blank, self.blank.reference, arguments)
        if has_failed or outcome.problem is not None:
            return has_failed and outcome.problem is not None
        return self._explains(trial, outcome)

    # ---- changes of the reference's text

    @cached_property
    def variation(self) -> str | None:
        """One change of the reference, or two known mistakes, that give what came for every input.

        If none does, one that gives it for all inputs that fail.
        """
        text = self.blank.text
        is_judged = any(is_telling(trial.outcome) for trial in self.wrong)
        if text is None or not is_judged or sum(map(measure, self.plain)) < FEW:
            return None
        start, likely = time.process_time(), None
        is_enough = sum(map(measure, self.wrong)) >= FEW
        wrong = sorted(self.wrong, key=lambda trial: trial.outcome.problem is not None)
        right = [trial for trial in self.plain if trial.is_right]
        for source, words in itertools.chain(list_variations(text), self._list_pairs(text)):
            if time.process_time() - start > MOST_VARIATION_SECONDS:
                break
            if self._is_function_like(text, source, wrong):
                if self._is_function_like(text, source, right):
                    return words
                likely = likely or words
        return likely if is_enough else None

    def _list_pairs(self, text: Text) -> Iterator[tuple[str, str]]:
        for first, second in itertools.combinations(self.blank.mistakes[:MOST_PAIRED], 2):
            if first.changes and second.changes:
                source = change_source(text.source, first.changes + second.changes)
                if source is not None:
                    yield source, f"Two things at once: {first.cause} {second.cause}"

    def _is_function_like(self, text: Text, source: str | ast.Module, scope: list[Trial]) -> bool:
        try:
            function = compile_text(text, source)
            for trial in scope:
                with limit_time(MOST_CALL_SECONDS):
                    outcome = run_reference(self.blank, function, trial.case.arguments)
                if not self._explains(trial, outcome):
                    return False
        except (SyntaxError, TooSlowError):
            return False
        return True


def is_telling(outcome: Outcome) -> bool:
    """Whether another wrong function would hardly give the same by chance, as a single yes, 0 or 1."""
    values = [np.asarray(value) for value in list_values(outcome.value)]
    if outcome.problem is not None or sum(x.size for x in values) >= FEW:
        return True
    return any(x.dtype.kind not in "fb" or not np.isin(x, (0, 1)).all() for x in values)


def is_same_outcome(a: Outcome, b: Outcome, tolerance: float = CLOSE) -> bool:
    """Whether two calls gave the same: values, or exceptions of one type."""
    if a.problem is not None or b.problem is not None:
        if a.problem is None or b.problem is None or a.problem.kind != b.problem.kind:
            return False
        return name_error(a.problem) == name_error(b.problem)
    return not compare(a.value, b.value, tolerance)
