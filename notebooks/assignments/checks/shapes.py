"""What is wrong with a result of the wrong shape."""

import itertools

import numpy as np

from .patterns import Pair, agree, has_same_entries, hold_for_all, ordinal_axis


def explain_shape(pairs: list[Pair]) -> str | None:
    """What is wrong with a result of the wrong shape."""
    for rule in (
        _always_the_same,
        _transposed,
        _unit_axis,
        _batch_missing,
        _same_values,
        _part_of,
        _axis_counts,
        _sizes_swapped,
    ):
        if text := rule(pairs):
            return text
    return None


def _always_the_same(pairs: list[Pair]) -> str | None:
    if (
        len({p.got.shape for p in pairs}) == 1
        and len({p.expected.shape for p in pairs}) > 1
        and len(pairs) > 2
    ):
        return f"The shape is {pairs[0].got.shape} for every input: is it that of the example?"
    return None


def _transposed(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: p.expected.ndim > 1 and agree(p.got, np.swapaxes(p.expected, -1, -2))):
        return "The right values with the axes in another order: the last two are exchanged (transposed)."
    ndim = pairs[0].expected.ndim
    if not 2 <= ndim <= 5 or not hold_for_all(pairs, lambda p: p.got.ndim == p.expected.ndim == ndim):
        return None
    for axes in itertools.permutations(range(ndim)):
        if hold_for_all(pairs, lambda p, axes=axes: agree(p.got, p.expected.transpose(axes))):
            return (
                f"The right values with the axes in another order: it is the right result .transpose{axes}."
            )
    return None


def _unit_axis(pairs: list[Pair]) -> str | None:
    for axis in range(6):
        name = ordinal_axis(axis, 99)

        def is_surplus(p: Pair, axis: int = axis) -> bool:
            return axis <= p.expected.ndim and agree(p.got, np.expand_dims(p.expected, axis))

        def is_lost(p: Pair, axis: int = axis) -> bool:
            return axis <= p.got.ndim and agree(np.expand_dims(p.got, axis), p.expected)

        if hold_for_all(pairs, is_surplus):
            return (
                f"The right values with one axis of size 1 too many ({name}): index it away, or leave "
                "keepdims out."
            )
        if hold_for_all(pairs, is_lost):
            return (
                f"The right values, but {name} of size 1 is missing: keep it, for instance with "
                "keepdims=True."
            )
    return None


def _batch_missing(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: p.expected.ndim and p.got.shape == p.expected.shape[1:]):
        return "The first axis, the batch, is missing: keep the leading axes, also for a batch of 1."
    if hold_for_all(pairs, lambda p: p.expected.ndim and agree(p.got, p.expected[:1])):
        return "Only the first row of the batch is there: the other rows of the batch are missing."
    return None


def _same_values(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.size == p.expected.size):
        return None
    if hold_for_all(pairs, lambda p: agree(p.got.ravel(), p.expected.ravel())):
        return "The right values in the right order, but in another shape: only the last reshape is wrong."
    if hold_for_all(pairs, has_same_entries):
        return (
            "The right values, but in the wrong shape and order: an axis was moved too early, too late or "
            "wrongly."
        )
    return None


def _part_of(pairs: list[Pair]) -> str | None:
    """One axis, counted from the end, is longer or shorter by some entries, and what is there agrees."""
    for axis in range(-1, -1 - max(p.expected.ndim for p in pairs), -1):
        for side in ("last", "first"):
            filled = [p for p in pairs if p.got.size and p.expected.size]
            if hold_for_all(filled, lambda p, axis=axis, side=side: _agrees_cut(p, axis, side)):
                change = {p.got.shape[axis] - p.expected.shape[axis] for p in filled}
                count = str(abs(next(iter(change)))) if len(change) == 1 else "some"
                is_more = all(difference > 0 for difference in change)
                what = f"{count} too many at" if is_more else f"{count} missing at"
                end = "the end" if side == "last" else "the beginning"
                name = _name_axis(axis, pairs)
                return (
                    f"The right values, but there are {what} {end} of {name}: count how many there should be."
                )
    return None


def _name_axis(axis: int, pairs: list[Pair]) -> str:
    """An axis that is counted from the end; from the front, if all results have as many axes."""
    sizes = {p.expected.ndim for p in pairs}
    return f"axis {axis + sizes.pop() if len(sizes) == 1 else axis}"


def _agrees_cut(p: Pair, axis: int, side: str) -> bool:
    if p.got.ndim != p.expected.ndim or -axis > p.got.ndim:
        return False
    size = min(p.got.shape[axis], p.expected.shape[axis])
    if size == 0 or p.got.shape[axis] == p.expected.shape[axis]:
        return False
    index = slice(0, size) if side == "last" else slice(-size, None)
    rest = (slice(None),) * (-axis - 1)
    return agree(p.got[(..., index, *rest)], p.expected[(..., index, *rest)])


def _axis_counts(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.ndim == p.expected.ndim):
        if hold_for_all(pairs, lambda p: p.got.ndim < p.expected.ndim):
            return "An axis is missing: a sum, a mean or an index took it away, or a reshape merged two."
        if hold_for_all(pairs, lambda p: p.got.ndim > p.expected.ndim):
            return "There are too many axes: a last reshape is missing, or broadcasting has added one."
        return None
    changes = [np.subtract(p.got.shape, p.expected.shape).tolist() for p in pairs]
    wrong = {axis - len(change) for change in changes for axis, value in enumerate(change) if value}
    if len(wrong) != 1:
        return None
    axis = wrong.pop()
    counts, name = {change[axis] for change in changes}, _name_axis(axis, pairs)
    if len(counts) == 1:
        count = counts.pop()
        change = f"{abs(count)} {'more' if count > 0 else 'fewer'}"
        return f"{name.capitalize()} has {change} than it should: an off-by-one count?"
    sizes = f"{pairs[0].got.shape[axis]} instead of {pairs[0].expected.shape[axis]}"
    return f"The size of {name} is wrong, for instance {sizes}: what does it follow from?"


def _sizes_swapped(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: sorted(p.got.shape) == sorted(p.expected.shape)):
        return "The axes are in the wrong order: the shape has the right sizes at other places."
    return None
