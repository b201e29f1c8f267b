"""Where a result of the right shape is wrong, and how its values are ordered."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .compare import find_equal, find_scale
from .patterns import CLOSE, FEW, Pair, agree, count_values, has_same_entries, hold_for_all, ordinal_axis


def explain_order(pairs: list[Pair]) -> str | None:
    """The right values in another order."""
    if count_values(pairs) <= FEW or not hold_for_all(pairs, has_same_entries):
        return None
    rules = (_flipped, _rolled, _swapped_axes, _sorted, _reshaped, _inside_rows, _rows_moved)
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


def _rolled(pairs: list[Pair]) -> str | None:
    for shift in (1, -1, 2, -2):
        axis = _each_axis(pairs, lambda p, axis, shift=shift: agree(p.got, np.roll(p.expected, shift, axis)))
        if axis:
            where = "late" if shift > 0 else "early"
            return f"The right values, but {abs(shift)} too {where} along {axis}: an index is off by {abs(shift)}."
    axis = _each_axis(pairs, lambda p, axis: agree(p.got, np.roll(p.expected, p.got.shape[axis] // 2, axis)))
    return axis and f"The right values, but shifted by half the size of {axis}."


def _swapped_axes(pairs: list[Pair]) -> str | None:
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
                f"The right values in the wrong order: axes {a} and {a + 1} were mixed up by a reshape where a "
                "transpose is needed, or the other way round."
            )
    return None


def _inside_rows(pairs: list[Pair]) -> str | None:
    def rows(p: Pair) -> bool:
        return p.got.ndim > 1 and agree(np.sort(p.got, axis=-1), np.sort(p.expected, axis=-1))

    if hold_for_all(pairs, rows):
        return "The right values in the wrong order: each row has the right values, but their order in it is wrong."
    return None


def _sort_rows(array: np.ndarray) -> np.ndarray:
    rows = array.reshape(-1, array.shape[-1])
    return rows[np.lexsort(rows.T[::-1])]


def _rows_moved(pairs: list[Pair]) -> str | None:
    def is_moved(p: Pair) -> bool:
        return p.got.ndim > 1 and p.got.shape[-1] > 1 and agree(_sort_rows(p.got), _sort_rows(p.expected))

    if hold_for_all(pairs, is_moved):
        return "The right values in the wrong order: each row is right in itself, but the rows come in a wrong order."
    return None


# ---- where


def find_wrong(p: Pair) -> np.ndarray:
    """True where a value is wrong."""
    return ~np.broadcast_to(find_equal(p.got, p.expected, CLOSE), p.got.shape)


def explain_place(pairs: list[Pair]) -> str | None:
    """Where the wrong values are, if they are not everywhere."""
    for rule in (
        _not_finite,
        _in_batch,
        _by_mask,
        _by_value_of_argument,
        _by_expected,
        _along_axes,
        _triangle,
    ):
        if text := rule(pairs):
            return text
    return None


def _not_finite(pairs: list[Pair]) -> str | None:
    odd = [
        p for p in pairs if p.got.dtype.kind in "fc" and np.any(~np.isfinite(p.got) & np.isfinite(p.expected))
    ]
    if not odd:
        return None
    has_nan = any(np.any(np.isnan(p.got)) for p in odd)
    what = "NaN" if has_nan else "infinity"
    place = _by_mask(odd) or ""
    large = any(np.max(np.abs(x), initial=0) > 50 for p in odd for x in _list_floats(p.arguments))
    why = (
        "the exponential of a large number overflows: subtract the maximum first"
        if large
        else "a division by 0, a logarithm of 0 or of a negative number, or -inf minus -inf"
    )
    return f"The result has {what} where it should be finite: {why}. {place}".strip()


def _list_floats(arguments: dict[str, Any]) -> list[np.ndarray]:
    return [x for x in arguments.values() if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size]


def _in_batch(pairs: list[Pair]) -> str | None:
    def first_alone_is_right(p: Pair) -> bool:
        wrong = find_wrong(p)
        return wrong.ndim > 1 and len(wrong) > 1 and not wrong[0].any() and wrong[1:].any()

    if not hold_for_all(pairs, first_alone_is_right):
        return None
    if hold_for_all(pairs, lambda p: agree(p.got, np.broadcast_to(p.got[:1], p.got.shape))):
        return "Only the first row of the batch is right: it was used for all rows of the batch."
    return "Only the first row of the batch is right: the other rows of the batch are mixed up or left out."


def _align(mask: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A mask (B, N) over results (B, N, …), (B, …, N) or (B, …, N, …)."""
    found = []
    if mask.ndim and mask.shape == shape[: mask.ndim]:
        found.append(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)))
    if mask.ndim == 2 and len(shape) > 2 and mask.shape[0] == shape[0]:
        for axis in range(len(shape) - 1, 1, -1):
            if mask.shape[1] == shape[axis]:
                found.append(
                    mask.reshape((len(mask), *(-1 if i == axis else 1 for i in range(1, len(shape)))))
                )
    return [np.broadcast_to(item, shape) for item in found]


def _by_mask(pairs: list[Pair]) -> str | None:
    for name, value in pairs[0].arguments.items():
        masked = [p for p in pairs if isinstance(p.arguments.get(name), np.ndarray)]
        if len(masked) < len(pairs) or not isinstance(value, np.ndarray) or value.dtype != bool:
            continue
        for truth in (False, True):
            if all(_is_wrong_only_where(p, p.arguments[name], truth) for p in masked):
                zeros = all(np.all(p.expected[find_wrong(p)] == 0) for p in masked)
                where = "padding: where" if not truth and "mask" in name + "real" else "where"
                more = "; they should be 0 there" if zeros and masked[0].expected.dtype.kind in "fc" else ""
                return f"Values are wrong only {where} `{name}` is {truth}{more}."
    return None


def _is_wrong_only_where(p: Pair, mask: np.ndarray, truth: bool) -> bool:
    wrong = find_wrong(p)
    return any(
        np.any(mask == truth) and np.any(mask != truth) and not np.any(wrong & (aligned != truth))
        for aligned in _align(mask, p.got.shape)
    )


def _by_value_of_argument(pairs: list[Pair]) -> str | None:
    """Only for values of an argument, of the shape of the result, above or below a limit."""
    for name, value in pairs[0].arguments.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            continue
        if not hold_for_all(pairs, lambda p, name=name: np.shape(p.arguments[name]) == p.got.shape):
            continue
        values = np.concatenate([p.arguments[name].ravel() for p in pairs])
        wrong = np.concatenate([find_wrong(p).ravel() for p in pairs])
        if wrong.sum() < 2 or (~wrong).sum() < 2:
            continue
        low, high = values[wrong].min(), values[wrong].max()
        if high < values[~wrong].min():
            return f"Values are wrong only where `{name}` is small, at most {high:.4g}."
        if low > values[~wrong].max():
            return f"Values are wrong only where `{name}` is large, at least {low:.4g}."
    return None


def _by_expected(pairs: list[Pair]) -> str | None:
    if any(p.expected.dtype.kind not in "f" for p in pairs):
        return None
    right = np.concatenate([p.expected[~find_wrong(p)].ravel() for p in pairs])
    wrong = np.concatenate([p.expected[find_wrong(p)].ravel() for p in pairs])
    if len(right) < 2 or len(wrong) < 2:
        return None
    if np.all(wrong == 0) and np.all(right != 0):
        return "Values are wrong only where they should be 0."
    for name, value in (("smallest", wrong.min()), ("largest", wrong.max())):
        is_extreme = value <= right.min() if name == "smallest" else value >= right.max()
        if np.all(wrong == value) and is_extreme and np.all(right != value):
            return f"Values are wrong only where they should be {value:.6g}, the {name}: a limit is missing or wrong."
    return None


def _along_axes(pairs: list[Pair]) -> str | None:
    """Only the first or the last entries along an axis."""
    for axis in range(pairs[0].got.ndim):
        if not hold_for_all(pairs, lambda p, axis=axis: p.got.ndim > axis and p.got.shape[axis] > 1):
            continue
        rows = []
        for p in pairs:
            others = tuple(i for i in range(p.got.ndim) if i != axis)
            rows.append(find_wrong(p).any(axis=others))
        name = ordinal_axis(axis, pairs[0].got.ndim)
        if all(row[0] and not row[1:].any() for row in rows):
            return f"Only the first entry along {name} is wrong."
        if all(row[-1] and not row[:-1].any() for row in rows):
            return f"Only the last entry along {name} is wrong."
        if all((row[0] or row[-1]) and not row[1:-1].any() for row in rows if len(row) > 2) and any(
            len(row) > 2 for row in rows
        ):
            return f"Only the first and the last entry along {name} are wrong: the edges."
        if all(not row[0] and row[1:].all() for row in rows):
            return f"Only the first entry along {name} is right: what comes after it depends on an index or a count."
    return None


def _triangle(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.ndim >= 2 and p.got.shape[-1] == p.got.shape[-2] > 1):
        return None
    if hold_for_all(pairs, lambda p: not np.any(find_wrong(p) & ~np.eye(p.got.shape[-1], dtype=bool))):
        return "Only the diagonal of the last two axes is wrong."
    if hold_for_all(pairs, lambda p: np.all(p.got[..., ~np.tri(p.got.shape[-1], dtype=bool)] == 0)):
        return "All above the diagonal is 0: is there a causal mask, which does not belong here?"
    return None


# ---- the sizes of errors


def explain_size(pairs: list[Pair]) -> str | None:
    """What the sizes of the errors say."""
    for rule in (_counts, _integers, _row_sums, _row_moments, _signs, _per_row, _scale_and_offset, _nearly):
        if text := rule(pairs):
            return text
    return None


def _counts(pairs: list[Pair]) -> str | None:
    if any(p.got.dtype != bool or p.expected.dtype != bool for p in pairs):
        return None
    changes = [(p.got.sum(axis=-1).astype(int) - p.expected.sum(axis=-1)).ravel() for p in pairs]
    change = np.concatenate(changes)
    if not change.any():
        return "Each row has the right number of True, but at wrong places."
    if np.all(change >= 0):
        return f"Too many are True: up to {change.max()} too many in a row."
    if np.all(change <= 0):
        return f"Too few are True: up to {-change.min()} missing in a row."
    return "The number of True is wrong: too many in some rows, too few in others."


def _integers(pairs: list[Pair]) -> str | None:
    if any(p.got.dtype.kind not in "iu" or p.expected.dtype.kind not in "iu" for p in pairs):
        return None
    change = np.concatenate([(p.got.astype(np.int64) - p.expected).ravel() for p in pairs])
    if np.max(np.abs(change)) == 1:
        return "Some whole numbers are off by one: rounding, or a count from 1 instead of 0."
    return None


def _row_sums(pairs: list[Pair]) -> str | None:
    """The right rows sum to 1, these do not."""
    if any(p.got.dtype.kind != "f" or p.got.ndim < 1 for p in pairs):
        return None
    if any(p.expected.shape[-1] < 2 or np.any(p.expected < 0) for p in pairs):
        return None
    sums = np.concatenate([p.expected.sum(axis=-1).ravel() for p in pairs])
    if not np.any(np.abs(sums - 1) < 1e-9) or not np.all((np.abs(sums - 1) < 1e-9) | (sums == 0)):
        return None
    for axis in range(pairs[0].got.ndim - 1):
        if hold_for_all(
            pairs, lambda p, axis=axis: np.allclose(p.got.sum(axis=axis), 1) and p.got.shape[axis] > 1
        ):
            return f"The values sum to 1 along axis {axis}, and not along the last axis: normalised over the wrong axis."
    came = np.concatenate([p.got.sum(axis=-1).ravel() for p in pairs])
    worst = came[np.argmax(np.abs(came - sums))]
    if np.abs(came - sums).max() > 1e-7:
        return f"The rows do not sum to 1, but for instance to {worst:.4g}: normalise last, after masking."
    return None


def _row_moments(pairs: list[Pair]) -> str | None:
    """Rows of mean 0 and variance 1 (LayerNorm without scale and shift)."""
    if any(p.got.dtype.kind != "f" or p.got.ndim < 2 or p.got.shape[-1] < 3 for p in pairs):
        return None

    def is_normal(x: np.ndarray, axis: int = -1) -> bool:
        return np.allclose(x.mean(axis=axis), 0, atol=1e-9) and np.allclose(x.std(axis=axis), 1, atol=0.05)

    if not hold_for_all(pairs, lambda p: is_normal(p.expected)):
        return None
    for axis in range(pairs[0].got.ndim - 1):
        if hold_for_all(pairs, lambda p, axis=axis: p.got.shape[axis] > 1 and is_normal(p.got, axis)):
            return f"Mean and variance were taken over axis {axis} instead of the last axis."
    return None


def _signs(pairs: list[Pair]) -> str | None:
    if any(p.got.dtype.kind not in "fi" or p.expected.dtype.kind not in "fi" for p in pairs):
        return None
    if hold_for_all(pairs, lambda p: agree(np.abs(p.got), np.abs(p.expected))):
        return "The magnitudes are right, but some signs are wrong."
    return None


def _per_row(pairs: list[Pair]) -> str | None:
    """A factor or an offset that is constant along an axis, but not everywhere."""
    if any(p.got.dtype.kind != "f" or p.expected.dtype.kind != "f" for p in pairs) or count_values(pairs) < 8:
        return None
    with np.errstate(all="ignore"):
        for axis in range(-1, -1 - pairs[0].got.ndim, -1):
            if not hold_for_all(pairs, lambda p, axis=axis: p.got.ndim >= -axis and p.got.shape[axis] > 2):
                continue
            name = ordinal_axis(pairs[0].got.ndim + axis, pairs[0].got.ndim)
            if hold_for_all(pairs, lambda p, axis=axis: _is_constant(p.got / p.expected, axis)):
                return (
                    f"Along {name} the values are right but for a factor, which differs from row to row: "
                    "they are divided by the wrong number (sum, root or variance), or over the wrong axis."
                )
            if hold_for_all(
                pairs, lambda p, axis=axis: _is_constant(p.got - p.expected, axis, find_scale(p.expected))
            ):
                return (
                    f"Along {name} the values are right but for an offset, which differs from row to row: "
                    "a mean or a maximum is missing, or was taken over the wrong axis."
                )
    return None


def _is_constant(x: np.ndarray, axis: int, scale: float = 0.0) -> bool:
    x = np.where(np.isfinite(x), x, np.nan)
    if np.isnan(x).mean() > 0.5:
        return False
    first = np.nanmedian(x, axis=axis, keepdims=True)
    spread = np.abs(x - first)
    return bool(np.nanmax(spread) <= 1e-6 * max(scale, float(np.nanmax(np.abs(x)))))


def _scale_and_offset(pairs: list[Pair]) -> str | None:
    if any(
        p.got.dtype.kind not in "fiu" or p.expected.dtype.kind not in "fiu" or p.got.size < 4 for p in pairs
    ):
        return None
    known = []
    for p in pairs:
        x, y = p.expected.ravel().astype(float), p.got.ravel().astype(float)
        if not np.all(np.isfinite(y)) or np.ptp(x) == 0:
            return None
        a, b = np.polyfit(x, y, 1)
        if not agree(y, a * x + b, 1e-6) or abs(a) < 1e-9:
            return None
        known.append((float(a), float(b)))
    a, b = known[0]
    if np.ptp(np.array(known), axis=0).max() < 1e-6:
        return f"What came is {a:.6g} times the right value {'+' if b >= 0 else '-'} {abs(b):.6g}: another scale."
    return f"What came is a constant times the right value plus another constant (here {a:.4g} and {b:.4g})."


def _nearly(pairs: list[Pair]) -> str | None:
    if any(p.got.dtype.kind not in "fc" for p in pairs):
        return None
    errors = [float(np.max(np.abs(p.got - p.expected), initial=0)) / find_scale(p.expected) for p in pairs]
    worst = max(errors)
    if worst < 3e-6:
        return f"Nearly right (error {worst:.1g}): computed in float32 somewhere, or an epsilon too much or elsewhere."
    if worst < 2e-2:
        return (
            f"Nearly right (error {worst:.1g}): an epsilon that is missing, too much or at another place, an "
            "approximation instead of the exact formula, or n instead of n - 1."
        )
    return None
