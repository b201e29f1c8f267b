"""What an assignment consists of: blanks, the inputs that try them, and the points for each check.

A blank is a function that the student writes: a function of the package, with its name, signature, shapes
and docstring. The package's own function is its reference. Checks compare the two on awkward inputs,
smallest first.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

SUBMISSION_FOLDER = "<folder of the submission>"  # as an argument of a case: replaced by the folder's path


@dataclass(frozen=True)
class Case:
    """One input of a blank."""

    arguments: dict[str, Any]  # by name, in the order of the signature; float arrays are float64
    tags: tuple[str, ...]  # what it tries, in words that complete "wrong only for inputs with …"


@dataclass(frozen=True)
class Check:
    """Points for all cases that carry a tag."""

    tag: str
    points: float


def make_checks(
    make_cases: Callable[[np.random.Generator], list[Case]], points: dict[str, float]
) -> tuple[Check, ...]:
    """One check for each tag of the cases, of one point where nothing else is said."""
    tags = dict.fromkeys(tag for case in make_cases(np.random.default_rng(0)) for tag in case.tags)
    return tuple(Check(tag, points.get(tag, 1)) for tag in tags)


@dataclass(frozen=True)
class Mistake:
    """A wrong solution that students write, and what a tutor would say about it."""

    function: Callable[..., Any]  # with the signature of the blank
    cause: str  # one or two sentences: what is wrong, and where to look
    changes: tuple[tuple[str, str], ...] = ()  # of the blank's text that lead to it: (old, new)


@dataclass(frozen=True)
class Text:
    """The source of a right solution, to be changed."""

    source: str
    name: str  # of the function in it that is the blank
    names: dict[str, Any]  # what the source needs


def call_by_name(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Run the student's function on the arguments of a case."""
    return function(**arguments)


@dataclass(frozen=True)
class Blank:
    """A function that the student writes."""

    name: str
    reference: Callable[..., Any]  # correct for float64 and float32 NumPy arrays
    make_cases: Callable[[np.random.Generator], list[Case]]  # the same for every seed, with other values
    checks: tuple[Check, ...]
    reread: str  # where it is explained: "notebook 02, 'Cutting frames into patches'"
    mistakes: tuple[Mistake, ...] = ()
    text: Text | None = None  # of the reference: single changes of it are tried as well
    float32_points: float = 1  # for float32 in, float32 out; 0: there are no float arrays in or out
    memory_points: float = 1  # for read-only and strided inputs, and inputs left unchanged; 0: no arrays
    call: Callable[[Callable[..., Any], dict[str, Any]], Any] = call_by_name  # may build objects first
    tolerance: float = 1e-9  # of float64 results, relative to the largest expected value
    seconds: float = 5  # that one call may take
    judge: Callable[[dict[str, Any], Any], str] | None = None
    # Where many results are right: called in the grader's process with the arguments and the plain result,
    # instead of the comparison with the reference; returns what is wrong in one or two sentences, or "".
    is_given: bool = False  # the function stands in the notebook; what is judged is a file of the submission

    @property
    def points(self) -> float:
        """The points of all its checks."""
        return sum(check.points for check in self.checks) + self.float32_points + self.memory_points


@dataclass(frozen=True)
class Assignment:
    """Blanks in the order in which a student writes them."""

    name: str  # of the notebook, without suffix
    title: str
    blanks: tuple[Blank, ...]


def to_plain(value: Any) -> Any:
    """A result as arrays, numbers, strings, None, and lists and dictionaries of these."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(name): to_plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value
