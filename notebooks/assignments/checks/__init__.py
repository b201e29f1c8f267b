"""The checks of the assignments: `checks.check(function)` in a notebook, and the autograder outside it."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .blanks import Assignment, Blank
from .calls import call_function
from .evaluate import evaluate
from .feedback import describe_results
from .outcomes import Outcome

NAMES = {  # of an assignment: its module here
    "a1_spectrogram": "a1",
    "a2_patches_and_masks": "a2",
    "a3_transformer": "a3",
    "a4_backpropagation": "a4",
    "a5_pretraining": "a5",
    "a6_project": "a6",
}


class _Assignments(Mapping[str, Assignment]):
    """All assignments by name; each is imported when it is asked for."""

    def __getitem__(self, name: str) -> Assignment:
        return import_module(f".{NAMES[name]}", __package__).ASSIGNMENT

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


ASSIGNMENTS = _Assignments()


def list_names() -> list[str]:
    """The assignments that there are; a course may leave some out."""
    return [name for name, short in NAMES.items() if (Path(__file__).parent / f"{short}.py").exists()]


def find_assignment(name: str) -> Assignment:
    """The assignment of this name, such as "a2_patches_and_masks" or "a2".

    Raises:
        ValueError: there is none.
    """
    for full, short in NAMES.items():
        if name in (full, short):
            return ASSIGNMENTS[full]
    raise ValueError(f"No assignment {name!r}: choose one of {', '.join(NAMES)}.")


def find_blank(name: str) -> tuple[Assignment, Blank]:
    """The blank of this name, and its assignment.

    Raises:
        ValueError: there is none.
    """
    for full in list_names():
        assignment = ASSIGNMENTS[full]
        for blank in assignment.blanks:
            if blank.name == name:
                return assignment, blank
    raise ValueError(f"No blank is called {name!r}: keep the name of the function as it was given.")


def check(function: Any) -> float:
    """Check one function, print what is right and what is wrong, and return its points."""
    try:
        assignment, blank = find_blank(find_name(function))
    except ValueError as error:
        print(error)
        return 0
    results = evaluate(blank, make_call(function, assignment, blank))
    print("\n".join(describe_results(blank, results)))
    return round(sum(result.earned for result in results), 6)


def are_written(*functions: Any) -> bool:
    """Whether these functions give results for their smallest input; if not, print which to write first.

    For pictures: they are drawn only with functions that can be called.
    """
    missing = []
    for function in functions:
        outcome = try_function(function)
        if outcome.problem is not None:
            missing.append(find_name(function))
    if missing:
        print(f"Write {', '.join(missing)} first: the picture needs {'it' if len(missing) == 1 else 'them'}.")
    return not missing


def try_function(function: Any) -> Outcome:
    """Run a student's function on its smallest input."""
    assignment, blank = find_blank(find_name(function))
    case = blank.make_cases(np.random.default_rng(0))[0]
    return make_call(function, assignment, blank)(case.arguments, "plain")


def make_call(function: Any, assignment: Assignment, blank: Blank) -> Callable[..., Outcome]:
    """The function that runs the student's in this process, for `evaluate`."""
    references = {other.name: other.reference for other in assignment.blanks if other.name != blank.name}

    def call(arguments: dict[str, Any], layout: str = "plain") -> Outcome:
        return call_function(function, blank, references, arguments, layout)

    return call


def find_name(function: Any) -> str:
    """The name under which a function was written."""
    return str(getattr(inspect.unwrap(function), "__name__", type(function).__name__))
