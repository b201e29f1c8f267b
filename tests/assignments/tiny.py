"""A small blank to try the engine on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from assignments.checks.blanks import Blank, Case, Check, Mistake
from assignments.checks.calls import call_function
from assignments.checks.evaluate import Result, evaluate
from assignments.checks.feedback import describe_failure


def centre(x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The reference: rows minus their means, times a scale."""
    return (x - x.mean(axis=-1, keepdims=True)) * scale


def make_cases(random: np.random.Generator) -> list[Case]:
    def case(tag: str, *shape: int, scale: float = 1.0) -> Case:
        return Case({"x": random.normal(size=shape), "scale": scale}, (tag,))

    return [
        case("the smallest input", 1, 3),
        case("the smallest input", 1, 5),
        case("a batch of 2", 2, 3),
        case("a batch of 2", 2, 7),
        case("another scale", 1, 4, scale=3.0),
    ]


CHECKS = (Check("the smallest input", 2), Check("a batch of 2", 1), Check("another scale", 1))
MISTAKES = (Mistake(lambda x, scale=1.0: (x - x.mean()) * scale, "The mean is taken over the whole batch."),)
BLANK = Blank("centre", centre, make_cases, CHECKS, "notebook 99, 'Means'", MISTAKES, seconds=0.5)


def run(function: Any, blank: Blank = BLANK, references: dict[str, Callable] | None = None) -> list[Result]:
    """The results of a function."""

    def call(arguments: dict[str, Any], layout: str) -> Any:
        return call_function(function, blank, references or {}, arguments, layout)

    return evaluate(blank, call, seed=1)


def earned(function: Any, blank: Blank = BLANK) -> float:
    """The points of a function."""
    return sum(result.earned for result in run(function, blank))


def lost(function: Any, blank: Blank = BLANK) -> list[str]:
    """The titles of the checks that fail."""
    return [result.title for result in run(function, blank) if result.failure]


def explain(function: Any, blank: Blank = BLANK) -> str:
    """The messages of all checks that fail, which are short and without traceback."""
    texts = []
    for result in run(function, blank):
        lines = describe_failure(blank, result)
        assert len(lines) <= 8, lines
        assert all(len(line) <= 110 for line in lines), lines
        assert not any("Traceback" in line or "checks/" in line for line in lines), lines
        texts += lines
    return " ".join("\n".join(texts).split())
