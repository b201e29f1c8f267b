"""Causes that can be told from a single call: exceptions, changed inputs, the kind of result, its dtype."""

import itertools
from typing import Any

import numpy as np

from .blanks import Blank
from .compare import Difference, compare, describe_kind, is_number
from .evaluate import Trial
from .exceptions import explain_exception_text
from .patterns import CLOSE


def explain_problem(blank: Blank, failed: Trial) -> str:
    """Why there is no result."""
    problem = failed.outcome.problem
    if problem is None or problem.kind == "not written":
        return f"`{blank.name}` is not written yet: it has no code of its own so far."
    if problem.kind == "copied":
        return (
            f"This is the package's own `{blank.name}`, a call of it, or a copy of its source. Write it in "
            "your own words, without it."
        )
    if problem.kind == "timeout":
        return (
            f"No result after {blank.seconds:g} s: a loop that never ends (does its condition change?), or "
            "loops over single values where operations on whole arrays would do."
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
            "Right at first, wrong when it is called again: it depends on earlier calls (a global "
            "variable, or a default argument that is changed)."
        )
    if outcome.changed:
        return explain_changed(outcome.changed)
    text = outcome.problem.text if outcome.problem else ""
    if failed.layout == "read-only" and ("read-only" in text or "writeable" in text):
        return (
            "It writes into its argument in place, which fails here because the array is read-only: copy "
            "it first, or make a new array for the result."
        )
    if outcome.problem is not None:
        return explain_problem(blank, failed)
    what = "read-only" if failed.layout == "read-only" else "non-contiguous (a view of a larger array)"
    return (
        f"Wrong only where the input is {what}: it relies on the order in memory (strides, order='K' or "
        "'A', as_strided, a change of .shape)."
    )


def _explain_float32(failed: Trial) -> str:
    if failed.outcome.problem is not None:
        return "It fails for float32 alone: does it ask for float64 somewhere?"
    difference = failed.differences[0]
    name = f" of `{difference.path}`" if difference.path else ""
    if difference.kind == "dtype":
        came = np.asarray(difference.got).dtype
        return (
            f"The values are right, but the dtype{name} is {came}: something makes {came} of float32, such "
            "as an array by np.zeros, np.full, np.arange or np.array without dtype=x.dtype, or a NumPy "
            "scalar such as np.sqrt(2)."
        )
    if is_number(difference.got) and np.any(~np.isfinite(np.asarray(difference.got).astype(complex))):
        return (
            "In float32 the result overflows or becomes NaN: a constant is too large or too small for "
            "float32, or the exponential of a large number is taken."
        )
    return (
        "Right in float64, but not in float32: small differences of large numbers, or a constant too small "
        "for it."
    )


def explain_structure(failed: Trial, difference: Difference) -> str:
    """A list instead of an array, results in another order, and so on."""
    got, expected = difference.got, difference.expected
    if got is None:
        return "None is returned in place of a result: is something left out in the `return`?"
    if isinstance(got, str):
        return f"There is {got} where {describe_kind(expected)} is expected."
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
        return (
            "A list or tuple is returned where one array is expected: np.stack or np.concatenate make one "
            "of it."
        )
    if isinstance(expected, list) and isinstance(got, np.ndarray):
        try:
            entries = list(got)
        except TypeError:
            entries = []
        if len(entries) == len(expected) and not compare(entries, expected, CLOSE):
            return "The results are right, but stacked in one array: return them as a tuple."
        return f"One array is returned where a tuple of {len(expected)} results is expected."
    name = difference.path
    if isinstance(expected, list) and expected and isinstance(got, list) and not got and name.isidentifier():
        return (
            f"`{name}` stays empty: something has to be appended to it. (An empty list counts as False: "
            f"write `if {name} is not None`.)"
        )
    if isinstance(expected, dict):
        return f"Return an object with {', '.join(expected)}, in this order, as the docstring says."
    return "The kind of result is wrong: compare it with what the docstring says is returned."


def explain_dtype(difference: Difference) -> str:
    """The right values as the wrong kind of number."""
    came, wanted = np.asarray(difference.got).dtype, np.asarray(difference.expected).dtype
    name = f" of `{difference.path}`" if difference.path and not difference.path.isdigit() else ""
    if wanted.kind == "b":
        return (
            f"The values{name} are right, but {came} instead of True and False (bool): compare, or use "
            ".astype(bool)."
        )
    if wanted.kind in "iu":
        return (
            f"The values{name} are right, but {came} instead of whole numbers: use // for division, or an "
            "integer dtype."
        )
    if wanted.kind == "f":
        return (
            f"The values{name} are right, but {came} instead of floating-point numbers: an integer array "
            "was filled."
        )
    return f"The values{name} are right, but of the dtype {came} instead of {wanted}."


def find_permuted_results(failed: Trial) -> str | None:
    """Right results at each other's places."""
    got, expected = failed.outcome.value, failed.expected.value
    if isinstance(got, dict) and isinstance(expected, dict):
        return _find_permuted_names(got, expected)
    if not isinstance(got, list) or not isinstance(expected, list) or len(got) != len(expected):
        return None
    places = []
    for item in got:
        match = [i for i, wanted in enumerate(expected) if not compare(item, wanted, CLOSE)]
        places.append(match[0] + 1 if match else 0)
    if sorted(places) == list(range(1, len(got) + 1)) and places != sorted(places):
        return f"The results are right, but in another order: {places} instead of {sorted(places)}."
    return None


def _find_permuted_names(got: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """Two entries of an object at each other's places."""
    named = [name for name, value in expected.items() if not isinstance(value, bool)]  # which agree by chance
    for a, b in itertools.combinations(named, 2):
        is_wrong = a in got and b in got and compare(got[a], expected[a], CLOSE)
        if is_wrong and not compare([got[a], got[b]], [expected[b], expected[a]], CLOSE):
            return f"`{a}` has what belongs to `{b}`, and the other way round: mind the order of the fields."
    return None
