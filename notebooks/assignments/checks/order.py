"""The right values in another order."""

import itertools
from collections.abc import Callable

import numpy as np

from .patterns import FEW, Pair, agree, count_values, has_same_entries, hold_for_all, ordinal_axis


def explain_order(pairs: list[Pair]) -> str | None:
    """The right values in another order."""
    if count_values(pairs) <= FEW or not hold_for_all(pairs, has_same_entries):
        return _repeated(pairs)
    rules = (_flipped, _flipped_groups, _rolled, _swapped_axes, _sorted, _reshaped, _inside_rows, _rows_moved)
    for rule in rules:
        if text := rule(pairs):
            return text
    return "The right values in the wrong order."


def _each_axis(pairs: list[Pair], test: Callable[[Pair, int], bool]) -> str | None:
    for axis in range(pairs[0].got.ndim):
        if hold_for_all(pairs, lambda p, axis=axis: p.got.ndim > axis and test(p, axis)):
            return ordinal_axis(axis, pairs[0].got.ndim)
    return None


def _flipped(pairs: list[Pair]) -> str | None:
    axis = _each_axis(pairs, lambda p, axis: agree(p.got, np.flip(p.expected, axis)))
    return axis and f"The right values, but reversed along {axis}."


def _flipped_groups(pairs: list[Pair]) -> str | None:
    """An axis that was counted backwards before it was joined with another one."""

    def is_flipped(p: Pair, axis: int, position: int) -> bool:
        shape = p.expected.shape
        for part in range(2, shape[axis]):
            if shape[axis] % part == 0:
                split = p.expected.reshape(*shape[:axis], shape[axis] // part, part, *shape[axis + 1 :])
                if agree(p.got, np.flip(split, axis + position).reshape(shape)):
                    return True
        return False

    for position in (0, 1):
        axis = _each_axis(
            pairs,
            lambda p, axis, position=position: (
                is_flipped(p, axis, position) or agree(p.got, np.flip(p.expected, axis))
            ),
        )
        if axis:
            what = "groups are reversed" if position == 0 else "the order is reversed in each group"
            return (
                f"The right values in the wrong order: along {axis} {what}, as if an index counted backwards."
            )
    return None


def _repeated(pairs: list[Pair]) -> str | None:
    """Values of the right result, some of them several times."""
    if not hold_for_all(
        pairs, lambda p: p.got.size > FEW and p.got.dtype.kind == p.expected.dtype.kind == "f"
    ):
        return None
    if not hold_for_all(pairs, lambda p: np.all(np.isin(p.got, np.append(p.expected.ravel(), 0.0)))):
        return None
    if hold_for_all(pairs, lambda p: np.any((p.got == 0) & (p.expected != 0))):
        return "Parts of the result are 0: nothing was filled in there. The other values are right ones."
    return "Some of the right values occur several times, and others are missing: an index is wrong."


def _rolled(pairs: list[Pair]) -> str | None:
    for shift in (1, -1, 2, -2):
        axis = _each_axis(pairs, lambda p, axis, shift=shift: agree(p.got, np.roll(p.expected, shift, axis)))
        if axis:
            where = "late" if shift > 0 else "early"
            return (
                f"The right values, but {abs(shift)} too {where} along {axis}: an index is off by "
                f"{abs(shift)}."
            )
    axis = _each_axis(pairs, lambda p, axis: agree(p.got, np.roll(p.expected, p.got.shape[axis] // 2, axis)))
    return axis and f"The right values, but shifted by half the size of {axis}."


def _swapped_axes(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: p.got.ndim > 1 and agree(p.got, np.swapaxes(p.expected, -1, -2))):
        return "The right values, but the last two axes are exchanged (transposed)."
    for a, b in itertools.combinations(range(pairs[0].got.ndim), 2):
        if hold_for_all(
            pairs, lambda p, a=a, b=b: p.got.ndim > b and agree(p.got, np.swapaxes(p.expected, a, b))
        ):
            return f"The right values, but axes {a} and {b} are exchanged."
    return None


def _sorted(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: p.got.ndim and agree(p.got, np.sort(p.expected, axis=-1))):
        return "The right entries in each row, but sorted by size: keep them in the order in which they come."
    return None


def _reshaped(pairs: list[Pair]) -> str | None:
    """Two neighbouring axes that were exchanged before a reshape: a reshape where a transpose was needed."""

    def is_exchanged(p: Pair, a: int) -> bool:
        shape = list(p.expected.shape)
        shape[a], shape[a + 1] = shape[a + 1], shape[a]
        swapped = np.swapaxes(p.expected, a, a + 1)
        return agree(p.got, swapped.reshape(p.expected.shape)) or agree(
            p.got, np.swapaxes(p.expected.reshape(shape), a, a + 1)
        )

    for a in range(pairs[0].got.ndim - 1):
        if hold_for_all(pairs, lambda p, a=a: p.got.ndim > a + 1 and is_exchanged(p, a)):
            return (
                f"The right values in the wrong order: axes {a} and {a + 1} were mixed up by a reshape "
                "where a transpose is needed, or the other way round."
            )
    return None


def _inside_rows(pairs: list[Pair]) -> str | None:
    def rows(p: Pair) -> bool:
        return p.got.ndim > 1 and agree(np.sort(p.got, axis=-1), np.sort(p.expected, axis=-1))

    if hold_for_all(pairs, rows):
        return (
            "The right values in the wrong order: each row has the right values, but their order in it is "
            "wrong."
        )
    return None


def _sort_rows(array: np.ndarray) -> np.ndarray:
    rows = array.reshape(-1, array.shape[-1])
    return rows[np.lexsort(rows.T[::-1])]


def _rows_moved(pairs: list[Pair]) -> str | None:
    def is_moved(p: Pair) -> bool:
        return p.got.ndim > 1 and p.got.shape[-1] > 1 and agree(_sort_rows(p.got), _sort_rows(p.expected))

    if hold_for_all(pairs, is_moved):
        return (
            "The right values in the wrong order: each row is right in itself, but the rows come in a "
            "wrong order."
        )
    return None
