"""Compares results with what was expected: structure, shape, kind of number, values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "float", "c": "complex"}


@dataclass(frozen=True)
class Difference:
    """One array, number or entry that is not what it should be."""

    path: str  # which entry of the result: "", "keep", "1"
    kind: str  # "structure", "shape", "values", "dtype"
    got: Any
    expected: Any
    text: str = ""  # what is wrong with the structure


ORDER = ("structure", "shape", "values", "dtype")


def compare(got: Any, expected: Any, tolerance: float, is_dtype_exact: bool = False) -> list[Difference]:
    """List what differs, worst kind first; an empty list where all is right."""
    found = _compare(got, expected, "", tolerance, is_dtype_exact)
    return sorted(found, key=lambda difference: ORDER.index(difference.kind))


def _compare(got: Any, expected: Any, path: str, tolerance: float, is_exact: bool) -> list[Difference]:
    if isinstance(expected, dict):
        pairs = _match_names(got, expected)
    elif isinstance(expected, list):
        pairs = _match_entries(got, expected)
    else:
        return _compare_leaf(got, expected, path, tolerance, is_exact)
    if isinstance(pairs, str):
        return [Difference(path, "structure", got, expected, pairs)]
    parts = [
        _compare(a, b, f"{path}.{name}" if path else name, tolerance, is_exact)
        for name, (a, b) in pairs.items()
    ]
    return [difference for part in parts for difference in part]


def _match_names(got: Any, expected: dict) -> dict | str:
    names = ", ".join(expected)
    if not isinstance(got, dict):
        return f"{describe_kind(got)} came instead of an object with {names}"
    if got.keys() != expected.keys():
        missing = [name for name in expected if name not in got]
        surplus = [name for name in got if name not in expected]
        what = f"{', '.join(missing)} missing" if missing else f"{', '.join(surplus[:5])} too much"
        return f"the result should have {names}: {what}"
    return {name: (got[name], expected[name]) for name in expected}


def _match_entries(got: Any, expected: list) -> dict | str:
    if not isinstance(got, list):
        return f"{describe_kind(got)} came instead of {len(expected)} results"
    if len(got) != len(expected):
        return f"{len(got)} results came instead of {len(expected)}"
    return {str(i): pair for i, pair in enumerate(zip(got, expected, strict=True))}


def describe_kind(value: Any) -> str:
    """Name the kind of a result: "None", "a list", "an array", "a number"."""
    if value is None:
        return "None"
    if isinstance(value, list):
        return f"a list or tuple of {len(value)}"
    if isinstance(value, dict):
        return "a dictionary or object"
    if isinstance(value, np.ndarray):
        return "an array" if value.ndim else "a number"
    return "a text" if isinstance(value, str) else "a number"


def is_number(value: Any) -> bool:
    """Whether this is an array or a number."""
    return isinstance(value, (np.ndarray, bool, int, float, complex))


def _compare_leaf(got: Any, expected: Any, path: str, tolerance: float, is_exact: bool) -> list[Difference]:
    if not is_number(expected):
        same = type(got) is type(expected) and got == expected
        return [] if same else [Difference(path, "values", got, expected)]
    if not is_number(got):
        what = "an array" if np.ndim(expected) else "a number"
        text = f"{describe_kind(got)} came instead of {what}"
        return [Difference(path, "structure", got, expected, text)]
    a, b = np.asarray(got), np.asarray(expected)
    if a.shape != b.shape:
        return [Difference(path, "shape", a, b)]
    if not np.all(find_equal(a, b, tolerance)):
        return [Difference(path, "values", a, b)]
    if not _has_right_kind(a, b, is_exact and isinstance(got, np.ndarray)):
        return [Difference(path, "dtype", a, b)]
    return []


def _has_right_kind(got: np.ndarray, expected: np.ndarray, is_exact: bool) -> bool:
    kinds = KINDS[got.dtype.kind], KINDS[expected.dtype.kind]
    if got.ndim == 0 and kinds == ("integer", "float"):
        return True  # 0 for 0.0
    return kinds[0] == kinds[1] and (not is_exact or kinds[0] == "integer" or got.dtype == expected.dtype)


def find_equal(got: np.ndarray, expected: np.ndarray, tolerance: float) -> np.ndarray:
    """Which entries agree: exactly, or to the tolerance times the largest expected value, or both are NaN."""
    exact = got.dtype.kind in "biu" and expected.dtype.kind in "biu"
    if exact or got.size == 0:
        return got == expected
    if got.dtype.kind not in "fc" and got.dtype.kind == "b":
        got = got.astype(np.int8)
    if expected.dtype.kind == "b":
        expected = expected.astype(np.int8)
    with np.errstate(all="ignore"):
        is_close = np.abs(got - expected) <= tolerance * find_scale(expected)
    return is_close | (got == expected) | ((got != got) & (expected != expected))


def find_scale(expected: np.ndarray) -> float:
    """The largest finite magnitude; 1 where there is none."""
    magnitudes = np.abs(expected[np.isfinite(expected)].astype(complex))
    largest = float(np.max(magnitudes)) if magnitudes.size else 0.0
    return largest or 1.0
