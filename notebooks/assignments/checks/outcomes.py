"""What a call of the student's function gives: a plain value, or what went wrong."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

PLAIN_TYPES = (bool, int, float, complex, str, type(None))
LAYOUTS = ("plain", "read-only", "strided")
MOST_BYTES = 500_000_000  # of an array
LONGEST = 100_000  # entries of a result that is no array
make_array, make_empty, is_generic = np.array, np.empty, np.generic  # as they were when this was imported


@dataclass(frozen=True)
class Problem:
    """Why there is no value."""

    kind: str  # "not written", "exception", "timeout", "memory", "unreadable", "copied"
    text: str = ""
    line: str = ""  # of the student's own function, where an exception came from


@dataclass(frozen=True)
class Outcome:
    """One call: its value or problem, and what else it did."""

    value: Any = None  # arrays, numbers, strings, None, lists and dictionaries of these
    problem: Problem | None = None
    changed: tuple[str, ...] = ()  # names of the arguments that it changed in place
    printed: str = ""


class UnreadableError(Exception):
    """A result that is not made of arrays, numbers, strings, lists and dictionaries."""


def read_result(value: Any) -> Any:
    """Copy a result into plain arrays, numbers, strings, None, lists and dictionaries.

    Only objects of exactly these types are taken, and dataclasses: no method of the student's is asked.

    Raises:
        UnreadableError: anything else, in words.
    """
    budget = [LONGEST]
    return _read(value, budget, 0)


def _read(value: Any, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > 9:
        raise UnreadableError("nested lists of very many entries")
    kind = type(value)
    if kind in PLAIN_TYPES:
        return value
    if kind is np.ndarray:
        return _read_array(value)
    if issubclass(kind, is_generic) and kind.__module__ == "numpy":
        return _read_array(make_array(value))
    if issubclass(kind, np.ndarray):
        raise UnreadableError(f"a {kind.__name__}, which is no plain array (np.ndarray)")
    if issubclass(kind, (tuple, list)):
        return (
            [_read(item, budget, depth + 1) for item in tuple.__iter__(value)]
            if issubclass(kind, tuple)
            else [_read(item, budget, depth + 1) for item in list.__iter__(value)]
        )
    if issubclass(kind, dict):
        return {str(name): _read(item, budget, depth + 1) for name, item in dict.items(value)}
    if is_dataclass(kind):
        return {
            field.name: _read(getattr(value, field.name, None), budget, depth + 1) for field in fields(kind)
        }
    raise UnreadableError(_name_kind(value, kind))


def _name_kind(value: Any, kind: type) -> str:
    if kind is type or (callable(value) and hasattr(value, "__name__")):
        return f"{value.__name__} itself, without calling it"
    if kind.__name__ == "generator":
        return "a generator: make a list or an array of it"
    return f"an object of the type {kind.__name__}"


def _read_array(value: np.ndarray) -> np.ndarray:
    if value.dtype.kind not in "biufc":
        raise UnreadableError(f"an array of the dtype {value.dtype}")
    if value.nbytes > MOST_BYTES:
        raise UnreadableError(f"an array of the shape {value.shape}, which takes {value.nbytes / 1e9:.3g} GB")
    return make_array(value, order="C")


# ---- arguments


def map_arrays(change: Any, tree: Any) -> Any:
    """Apply a function to every array in lists, tuples, dictionaries and dataclasses; keep other things."""
    if isinstance(tree, np.ndarray):
        return change(tree)
    if isinstance(tree, dict):
        return {name: map_arrays(change, item) for name, item in tree.items()}
    if isinstance(tree, list):
        return [map_arrays(change, item) for item in tree]
    if isinstance(tree, tuple):
        items = [map_arrays(change, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if is_dataclass(tree) and not isinstance(tree, type):
        changed = {f.name: map_arrays(change, getattr(tree, f.name)) for f in fields(tree) if f.init}
        return replace(tree, **changed)
    return tree


def list_arrays(tree: Any) -> list[np.ndarray]:
    """List all arrays in lists, tuples, dictionaries and dataclasses."""
    found: list[np.ndarray] = []
    map_arrays(lambda array: found.append(array) or array, tree)
    return found


def copy_arguments(arguments: dict[str, Any], layout: str = "plain") -> dict[str, Any]:
    """Copy the arguments of a case: as plain, as read-only, or as non-contiguous ("strided") arrays."""
    return map_arrays(
        {"plain": _copy, "read-only": _copy_read_only, "strided": _copy_strided}[layout], arguments
    )


def _copy(array: np.ndarray) -> np.ndarray:
    return make_array(array, order="C")


def _copy_read_only(array: np.ndarray) -> np.ndarray:
    copied = make_array(array, order="C")
    copied.flags.writeable = False
    return copied


def _copy_strided(array: np.ndarray) -> np.ndarray:
    """Axes in reversed order in memory, and a gap after every element."""
    if array.ndim == 0:
        return make_array(array)
    room = make_empty((*array.shape[::-1], 2), array.dtype)
    view = room[..., 0].transpose()
    view[...] = array
    return view
