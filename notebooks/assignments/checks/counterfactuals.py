"""What the reference gives for changed arguments: for an argument that is ignored, reversed, transposed …"""

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from .outcomes import list_arrays, map_arrays

LIKELY = ("is ignored", "exchanged", "squared", "square root", "wrong order", "way round", "square)", "1 - ")
Change = Callable[[dict[str, Any]], dict[str, Any]]


class NotPossibleError(Exception):
    """The change does not apply to these arguments."""


def list_counterfactuals(
    function: Any, cases: list[dict[str, Any]], is_likely: bool = False
) -> Iterator[tuple[str, Change]]:
    """Changes of arguments, with what would explain a result that fits them.

    Args:
        function: the reference, for its default values.
        cases: the arguments of all cases.
        is_likely: only arguments that are ignored, exchanged, or of which a simple function is taken.
    """
    defaults = find_defaults(function)
    names = list(cases[0])
    for name in names:
        values = [case[name] for case in cases if case.get(name) is not None]
        if not values:
            continue
        default = defaults.get(name)
        is_optional = any(case.get(name, default) is None for case in cases) or defaults.get(name, 0) is None
        if is_optional:
            yield f"`{name}` is ignored: the result is that without `{name}`.", _set(name, None)
        elif name in defaults and any(not _is_same(value, defaults[name]) for value in values):
            yield f"`{name}` is ignored: it is always taken as {default!r}.", _set(name, default)
        for text, change in _list_changes(name, values[0]):
            if not is_likely or any(word in text for word in LIKELY):
                yield text, change
    yield from _list_swaps(names, cases)


def list_pairs_of_changes(function: Any, cases: list[dict[str, Any]]) -> Iterator[tuple[str, Change]]:
    """Two changes at once, of different arguments."""
    words = ("is ignored: the result is that without", "opposite sign", "way round", "1 - ", "wrong order")
    singles = [
        (text, change)
        for text, change in list_counterfactuals(function, cases)
        if any(word in text for word in words)
    ]
    for (a, first), (b, second) in itertools.combinations(singles[:14], 2):
        if a.split("`")[1] != b.split("`")[1]:
            yield f"Two things at once: {a} {b}", lambda x, f=first, g=second: g(f(x))


def find_defaults(function: Any) -> dict[str, Any]:
    """The default values of a function's arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _is_same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and not isinstance(a, np.ndarray) and a == b


def _set(name: str, value: Any) -> Change:
    return lambda arguments: {**arguments, name: value}


def _apply(name: str, function: Callable[[Any], Any]) -> Change:
    def change(arguments: dict[str, Any]) -> dict[str, Any]:
        value = arguments[name]
        return arguments if value is None else {**arguments, name: function(value)}

    return change


def _list_changes(name: str, value: Any) -> Iterator[tuple[str, Change]]:
    if isinstance(value, np.ndarray):
        rules = {"b": _BOOLEANS, "f": _ARRAYS, "c": _COMPLEX}.get(value.dtype.kind, _WHOLE)
    elif isinstance(value, bool):
        rules = {"`{}` is taken the wrong way round: True as False.": lambda x: not x}
    elif isinstance(value, int):
        rules = _INTEGERS
    elif isinstance(value, float):
        rules = _FLOATS
    elif isinstance(value, (tuple, list)) and all(isinstance(item, int) for item in value) and len(value) > 1:
        rules = _TUPLES
    elif list_arrays(value):
        yield from _list_parts(name, value)
        return
    else:
        return
    for text, function in rules.items():
        yield text.replace("{}", name), _apply(name, function)


def _list_parts(name: str, value: Any) -> Iterator[tuple[str, Change]]:
    """One array inside a list, a dictionary or a dataclass set to 0, or transposed."""
    paths = [path for path, _ in _walk(value, "")]
    for index, path in enumerate(paths[:12]):
        for text, function in _PARTS.items():
            yield (
                text.replace("{}", f"{name}{path}"),
                _apply(name, lambda x, i=index, f=function: _change_part(x, i, f)),
            )


def _change_part(tree: Any, index: int, function: Callable[[Any], Any]) -> Any:
    counter = itertools.count()
    return map_arrays(lambda array: function(array) if next(counter) == index else array, tree)


def _walk(tree: Any, path: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, np.ndarray):
        yield path, tree
    elif isinstance(tree, dict):
        for name, item in tree.items():
            yield from _walk(item, f"{path}[{name!r}]")
    elif isinstance(tree, (list, tuple)):
        for index, item in enumerate(tree):
            yield from _walk(item, f"{path}[{index}]")
    elif is_dataclass(tree):
        for name, item in vars(tree).items():
            yield from _walk(item, f"{path}.{name}")


def _list_swaps(names: list[str], cases: list[dict[str, Any]]) -> Iterator[tuple[str, Change]]:
    for a, b in itertools.combinations(names, 2):
        if all(_are_alike(case.get(a), case.get(b)) for case in cases):
            yield (
                f"`{a}` and `{b}` are exchanged: each is used where the other belongs.",
                lambda x, a=a, b=b: {**x, a: x[b], b: x[a]},
            )
            yield f"`{a}` is used where `{b}` belongs.", lambda x, a=a, b=b: {**x, b: x[a]}
            yield f"`{b}` is used where `{a}` belongs.", lambda x, a=a, b=b: {**x, a: x[b]}


def _are_alike(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.ndim == b.ndim and a.dtype == b.dtype
    return type(a) is type(b) and isinstance(a, (int, float, tuple))


def _need(condition: Any) -> None:
    if not condition:
        raise NotPossibleError


def _transpose(x: np.ndarray, a: int, b: int) -> np.ndarray:
    _need(x.ndim > max(a if a >= 0 else -a - 1, b if b >= 0 else -b - 1))
    return np.swapaxes(x, a, b)


def _first_row(x: np.ndarray) -> np.ndarray:
    _need(x.ndim > 1)
    return np.repeat(x[:1], len(x), axis=0)


def _flip(x: np.ndarray, axis: int) -> np.ndarray:
    _need(x.ndim >= -axis)
    return np.flip(x, axis)


def _standardise(x: np.ndarray, axis: int) -> np.ndarray:
    _need(x.ndim >= -axis)
    return x - x.mean(axis=axis, keepdims=True)


_BOOLEANS = {
    "`{}` is taken the wrong way round: True as False, and False as True.": lambda x: ~x,
    "`{}` is ignored: all entries are taken as True.": np.ones_like,
    "`{}` is ignored: all entries are taken as False.": np.zeros_like,
    "`{}`: only its first row is used, for all rows of the batch.": _first_row,
    "`{}`: its rows are mixed; True if it is in any row of the batch.": lambda x: np.broadcast_to(
        x.any(axis=0, keepdims=True), x.shape
    ).copy(),
    "`{}`: its rows are mixed; True if it is in all rows of the batch.": lambda x: np.broadcast_to(
        x.all(axis=0, keepdims=True), x.shape
    ).copy(),
    "`{}` is used in reversed order.": lambda x: _flip(x, -1),
    "`{}` is used one place too late.": lambda x: np.roll(x, 1, axis=-1),
    "`{}` is used one place too early.": lambda x: np.roll(x, -1, axis=-1),
    "`{}`: real entries are taken to come first in every row, whatever their places are.": lambda x: (
        -np.sort(-x.astype(int), axis=-1) == -1
    ),
}
_ARRAYS = {
    "`{}` is used with the opposite sign: the largest where the smallest should be.": np.negative,
    "`{}`: only its first row is used, for all rows of the batch.": _first_row,
    "`{}` is ignored: the result is that of zeros.": np.zeros_like,
    "`{}` is ignored: the result is that of ones.": np.ones_like,
    "`{}` is used with its last two axes exchanged (transposed).": lambda x: _transpose(x, -1, -2),
    "`{}` is used with axes 1 and 2 exchanged.": lambda x: _transpose(x, 1, 2),
    "`{}` is used with its first two axes exchanged.": lambda x: _transpose(x, 0, 1),
    "`{}` is used in reversed order along its last axis.": lambda x: _flip(x, -1),
    "`{}` is used in reversed order along its last axis but one.": lambda x: _flip(x, -2),
    "the absolute value of `{}` is used instead of `{}`.": np.abs,
    "`{}` is squared before it is used.": np.square,
    "the square root of `{}` is used.": np.sqrt,
    "`{}` is used through its exponential.": np.exp,
    "`{}` is used through its logarithm.": np.log,
    "`{}` is used with its mean subtracted.": lambda x: _standardise(x, -1),
    "`{}` is sorted before it is used.": lambda x: np.sort(x, axis=-1),
    "`{}` is rounded before it is used.": np.round,
    "`{}` is used one place too late along its last axis.": lambda x: np.roll(x, 1, axis=-1),
    "`{}` is used one place too early along its last axis.": lambda x: np.roll(x, -1, axis=-1),
    "`{}` is doubled before it is used.": lambda x: 2 * x,
    "`{}` is halved before it is used.": lambda x: x / 2,
    "the ranks of `{}` are used: argsort once instead of twice, or the other way round.": lambda x: (
        np.argsort(x, axis=-1).astype(x.dtype)
    ),
}
_COMPLEX = {
    "the absolute value of `{}` is used: its phase is dropped.": np.abs,
    "the real part of `{}` is used: its imaginary part is dropped.": np.real,
    "the conjugate of `{}` is used: its imaginary part has the opposite sign.": np.conj,
    "`{}` is used in reversed order along its last axis.": lambda x: _flip(x, -1),
    "`{}` is used in reversed order along its last axis but one.": lambda x: _flip(x, -2),
}
_WHOLE = {
    "`{}` is used one too large.": lambda x: x + 1,
    "`{}` is used one too small.": lambda x: x - 1,
    "the inverse permutation of `{}` is used: argsort is missing or too much.": lambda x: np.argsort(
        x, axis=-1
    ),
    "`{}`: only its first row is used, for all rows of the batch.": _first_row,
    "`{}` is used in reversed order.": lambda x: _flip(x, -1),
    "`{}` is ignored: the result is that of zeros.": np.zeros_like,
}
_INTEGERS = {
    "`{}` is used one too large: an off-by-one.": lambda x: x + 1,
    "`{}` is used one too small: an off-by-one.": lambda x: x - 1,
    "`{}` is used twice as large.": lambda x: 2 * x,
    "`{}` is used half as large.": lambda x: x // 2,
    "`{}` is ignored: it is always taken as 1.": lambda x: 1,
    "`{}` is ignored: it is always taken as 2.": lambda x: 2,
    "`{}` is ignored: it is always taken as 0.": lambda x: 0,
    "the square root of `{}` is used.": lambda x: int(x**0.5),
    "`{}` is squared.": lambda x: x * x,
}
_FLOATS = {
    "1 - `{}` is used where `{}` belongs: kept and hidden, or the two shares, are exchanged.": lambda x: (
        1 - x
    ),
    "`{}` is ignored: it is always taken as 0.": lambda x: 0.0,
    "`{}` is ignored: it is always taken as 1.": lambda x: 1.0,
    "`{}` is ignored: it is always taken as 0.5.": lambda x: 0.5,
    "`{}` is squared.": lambda x: x * x,
    "the square root of `{}` is used.": lambda x: x**0.5,
    "`{}` is used with the opposite sign.": lambda x: -x,
    "1 / `{}` is used.": lambda x: 1 / x,
    "`{}` is used twice as large.": lambda x: 2 * x,
    "`{}` is used half as large.": lambda x: x / 2,
    "10 times `{}` is used.": lambda x: 10 * x,
    "`{}` is ignored: it is always taken as 1e-5.": lambda x: 1e-5,
    "`{}` is ignored: it is always taken as 1e-6.": lambda x: 1e-6,
    "`{}` is ignored: it is always taken as 1e-8.": lambda x: 1e-8,
    "`{}` is ignored: it is always taken as 1e-12.": lambda x: 1e-12,
}
_TUPLES = {
    "`{}` is used in the wrong order: its entries are exchanged.": lambda x: type(x)(x[::-1]),
    "`{}`: its first entry is used for both, as if they were equal (square).": lambda x: (x[0],) * len(x),
    "`{}`: its second entry is used for both, as if they were equal (square).": lambda x: (x[1],) * len(x),
    "`{}`: its last two entries are exchanged.": lambda x: (*x[:-2], x[-1], x[-2]),
    "`{}`: its first two entries are exchanged.": lambda x: (x[1], x[0], *x[2:]),
}
_PARTS = {
    "`{}` is ignored: the result is that without it (zeros).": np.zeros_like,
    "`{}` is ignored: the result is that of ones.": np.ones_like,
    "`{}` is used with its last two axes exchanged (transposed).": lambda x: _transpose(x, -1, -2),
    "`{}` is used with the opposite sign.": np.negative,
    "`{}` is doubled before it is used: is it added, or does it multiply, twice?": lambda x: 2 * x,
}
