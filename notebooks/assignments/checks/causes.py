"""The likely cause of a failed check.

Tried in turn: what the call itself says (an exception, no time, no memory, nothing returned); the known
mistakes of the blank; simple relations between what came and what was expected; the reference on changed
arguments, and with single changes of its text; the order of the values; the place of the errors; calls with
changed arguments; the size of the errors; the tags of the inputs that fail.
"""

import warnings
from typing import Any

import numpy as np

from .blanks import Blank
from .evaluate import Call, Trial
from .explanations import (
    explain_changed,
    explain_dtype,
    explain_layout,
    explain_problem,
    explain_structure,
    find_permuted_results,
)
from .hypotheses import Hypotheses, is_same_outcome
from .order import explain_order
from .patterns import Pair
from .places import explain_leak, explain_place
from .probes import Prober
from .relations import explain_constant, explain_exponent, explain_identity, explain_relation
from .shapes import explain_shape
from .sizes import explain_size, explain_sums, explain_tiny
from .trials import join, list_pairs, measure, name_wrong_inputs, name_wrong_parts

FINAL = ("not written", "copied", "timeout", "memory")  # problems that say it all
UNKNOWN = (
    "The values differ everywhere: compute the example of the text, and print each step, to find the first "
    "one that is wrong."
)
UNKNOWN_SHAPE = "The shape is wrong: print the shape after each step for an input of this shape."


class Causes:
    """Finds the causes for the failed trials of one blank."""

    def __init__(self, blank: Blank, trials: list[Trial], call: Call) -> None:
        self.blank, self.call = blank, call
        self.plain = [trial for trial in trials if trial.layout == "plain"]
        self.wrong = [trial for trial in self.plain if not trial.is_right]
        self.hypotheses = Hypotheses(blank, self.plain)
        self.told: dict[int, str] = {}
        self.cached: dict[str, Any] = {}

    def find(self, failed: Trial, chosen: list[Trial]) -> str:
        """The cause of a failed trial of a check whose trials are `chosen`, in one to three sentences."""
        if failed.layout != "plain":
            failed = next((t for t in self.wrong if t.case.tags == failed.case.tags), failed)
        key = id(failed)
        if key not in self.told:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.told[key] = self._find(failed, [t for t in chosen if t in self.wrong] or [failed])
        return self.told[key]

    def _find(self, failed: Trial, chosen: list[Trial]) -> str:
        problem = failed.outcome.problem
        if problem is not None and problem.kind in FINAL:
            return explain_problem(self.blank, failed)
        if failed.layout == "plain" and failed.is_right and failed.outcome.changed:
            return explain_changed(failed.outcome.changed)
        if failed.differences and failed.differences[0].kind == "judged":
            return failed.differences[0].text
        if failed.layout != "plain":
            return explain_layout(self.blank, failed)
        if cause := self.hypotheses.find_mistake(failed):
            return cause
        if failed.outcome.value is None and problem is None and failed.expected.value is not None:
            return "The function returns None: is the `return` missing, or not reached?"
        if problem is not None:
            return self.explain_exception(failed, chosen)
        if cause := self.explain_repetition(failed):
            return cause
        cause = self.explain_values(failed, chosen)
        if all(trial.outcome.changed for trial in self.wrong):
            cause += f" {explain_changed(failed.outcome.changed)}"
        return cause

    def explain_exception(self, failed: Trial, chosen: list[Trial]) -> str:
        """An exception, by what other inputs show, or by itself."""
        return (
            self.hypotheses.find_counterfactual(is_likely=True)
            or self.hypotheses.find_mistake_of(chosen)
            or join(name_wrong_inputs(self.plain), explain_problem(self.blank, failed))
        )

    def explain_repetition(self, failed: Trial) -> str | None:
        """Whether a second call with the same arguments gives another result."""
        if "repetition" not in self.cached:
            again = self.call(failed.case.arguments, "plain")
            self.cached["repetition"] = not is_same_outcome(again, failed.outcome)
        if self.cached["repetition"]:
            return (
                "A second call with the same arguments gives another result: it depends on earlier calls (a "
                "global variable, a default argument that is changed) or on random numbers."
            )
        return None

    # ---- values

    def explain_values(self, failed: Trial, chosen: list[Trial]) -> str:
        """Causes that can be seen from the values."""
        where = name_wrong_inputs(self.plain)
        if not failed.differences:
            return join(where, "An error was expected: wrong arguments have to be refused.")
        difference = failed.differences[0]
        parts = name_wrong_parts(self.wrong, failed.expected.value)
        if text := find_permuted_results(failed):
            return join(where, text)
        if difference.kind == "structure":
            return join(where, parts, explain_structure(failed, difference))
        if difference.kind == "dtype":
            return join(where, parts, explain_dtype(difference))
        if not isinstance(difference.expected, np.ndarray) or is_yes_or_no(difference.expected):
            return self.hypotheses.variation or join(where, parts, "Another value is expected here.")
        if cause := self.explain_strongly(difference.kind, list_pairs(self.wrong, difference)):
            return join(where, parts, cause)
        if cause := self.hypotheses.find_mistake_of(chosen):
            return cause
        return join(where, parts, self.explain_parts(failed) or UNKNOWN)

    def explain_parts(self, failed: Trial) -> str | None:
        """The first cause that is found for an entry of the result."""
        for difference in failed.differences:
            name = f"`{difference.path}`: " if difference.path and not difference.path.isdigit() else ""
            pairs = list_pairs(self.wrong, difference)
            if difference.kind == "shape":
                return name + (explain_shape(pairs) or UNKNOWN_SHAPE)
            if difference.kind == "values" and (cause := self.explain_weakly(pairs)):
                return name + cause
        return None

    def explain_strongly(self, kind: str, pairs: list[Pair]) -> str | None:
        """Causes that hold for all wrong results alike."""
        if kind == "shape":
            return self.hypotheses.find_counterfactual() or self.hypotheses.variation
        return (
            explain_identity(pairs)
            or self.hypotheses.find_counterfactual(is_likely=True)
            or explain_tiny(pairs)
            or explain_relation(pairs)
            or explain_exponent(pairs)
            or explain_constant(pairs)
            or self.hypotheses.find_counterfactual()
            or self.hypotheses.variation
            or explain_leak(pairs)
        )

    def explain_weakly(self, pairs: list[Pair]) -> str:
        """Where the values are wrong, and how the result answers to changes."""
        return (
            explain_order(pairs)
            or explain_sums(pairs)
            or explain_place(pairs)
            or self.probe()
            or explain_size(pairs)
            or ""
        )

    def probe(self) -> str | None:
        """What calls with changed arguments show."""
        if "probe" not in self.cached:
            trials = [trial for trial in self.wrong if trial.outcome.problem is None]
            largest = max(reversed(trials), key=measure)  # of several, that with the largest input
            self.cached["probe"] = Prober(self.blank, self.call, largest).explain()
        return self.cached["probe"]


def is_yes_or_no(value: np.ndarray) -> bool:
    """Whether this is a single True or False: a wrong one is always the other."""
    return value.dtype == bool and value.ndim == 0
