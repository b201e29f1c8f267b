"""Where a result of the right shape is wrong."""

from typing import Any

import numpy as np

from .compare import find_equal
from .patterns import CLOSE, Pair, agree, hold_for_all, ordinal_axis


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
        is_zero = all(
            not np.any(p.expected[~x]) for p in masked for x in _align(p.arguments[name], p.got.shape)
        )
        for truth in (False,) if is_zero else (False, True):
            if all(_is_wrong_only_where(p, p.arguments[name], truth) for p in masked):
                zeros = all(np.all(p.expected[find_wrong(p)] == 0) for p in masked)
                where = "padding: where" if not truth and "mask" in name + "real" else "where"
                more = "; they should be 0 there" if zeros and masked[0].expected.dtype.kind in "fc" else ""
                return f"Values are wrong only {where} `{name}` is {truth}{more}."
    return None


def explain_leak(pairs: list[Pair]) -> str | None:
    """Values at padding that should be 0 and are not, whatever the others are."""
    if any(p.got.dtype.kind != "f" for p in pairs):
        return None
    for name in pairs[0].arguments:
        masked = [p for p in pairs if isinstance(p.arguments.get(name), np.ndarray)]
        if not masked or np.asarray(masked[0].arguments[name]).dtype != bool:
            continue
        leaks = [_find_leak(p, p.arguments[name]) for p in masked]
        if all(leak is not None for leak in leaks) and any(leaks) and len(masked) == len(pairs):
            return (
                f"Where `{name}` is False the result should be 0, but it is for instance "
                f"{max(leaks, key=abs):.4g}: padding still has a weight."
            )
    return None


def _find_leak(p: Pair, mask: np.ndarray) -> float | None:
    for aligned in _align(mask, p.got.shape):
        if not aligned.all() and np.all(p.expected[~aligned] == 0):
            leak = p.got[~aligned]
            return float(leak[np.argmax(np.abs(leak))])
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
        if wrong.sum() < 2 or (~wrong).sum() < 2 or not values[~wrong].any():
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
            return (
                f"Values are wrong only where they should be {value:.6g}, the {name}: a limit is missing or "
                "wrong."
            )
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
            return (
                f"Only the first entry along {name} is right: what comes after it depends on an index or a "
                "count."
            )
    return None


def _triangle(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.ndim >= 2 and p.got.shape[-1] == p.got.shape[-2] > 1):
        return None
    if hold_for_all(pairs, lambda p: not np.any(find_wrong(p) & ~np.eye(p.got.shape[-1], dtype=bool))):
        return "Only the diagonal of the last two axes is wrong."
    if hold_for_all(pairs, lambda p: np.all(p.got[..., ~np.tri(p.got.shape[-1], dtype=bool)] == 0)):
        return "All above the diagonal is 0: is there a causal mask, which does not belong here?"
    return None
