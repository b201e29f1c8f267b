"""What the sizes of the errors say."""

import numpy as np

from .compare import find_scale
from .patterns import Pair, agree, count_values, hold_for_all, ordinal_axis


def explain_size(pairs: list[Pair]) -> str | None:
    """What the sizes of the errors say."""
    for rule in (
        _counts,
        _integers,
        _row_sums,
        _row_moments,
        _signs,
        _per_row,
        _standardised,
        _scale_and_offset,
        _nearly,
    ):
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


def explain_sums(pairs: list[Pair]) -> str | None:
    """The right rows sum to 1; what does here?"""
    if not _are_weights(pairs):
        return None
    several = [p for p in pairs if p.got[..., 0].size > 1]
    if hold_for_all(several, lambda p: abs(p.got.sum() - 1) < 1e-9):
        return "All values together sum to 1: it is normalised over the whole array instead of each row."
    for axis in range(pairs[0].got.ndim - 1):
        long = [p for p in several if p.got.ndim > axis and p.got.shape[axis] > 1]
        if hold_for_all(long, lambda p, axis=axis: np.any(p.got) and _is_one_or_zero(p.got.sum(axis=axis))):
            return f"The values sum to 1 along axis {axis}, not along the last axis: the axis is wrong."
    return None


def _are_weights(pairs: list[Pair]) -> bool:
    """Whether the right rows sum to 1, or to 0."""
    if any(p.got.dtype.kind != "f" or p.got.ndim < 1 or p.got.shape[-1] < 2 for p in pairs):
        return False
    return all(np.all(p.expected >= 0) and _is_one_or_zero(p.expected.sum(axis=-1)) for p in pairs)


def _is_one_or_zero(sums: np.ndarray) -> bool:
    return bool(np.any(sums) and np.all((np.abs(sums - 1) < 1e-9) | (sums == 0)))


def _row_sums(pairs: list[Pair]) -> str | None:
    """The right rows sum to 1, these do not."""
    if not _are_weights(pairs):
        return None
    sums = np.concatenate([p.expected.sum(axis=-1).ravel() for p in pairs])
    came = np.concatenate([p.got.sum(axis=-1).ravel() for p in pairs])
    index = np.argmax(np.abs(came - sums))
    if sums[index] == 0:
        return f"A row that should be 0 everywhere, as nothing in it is real, sums to {came[index]:.4g}."
    if np.abs(came - sums).max() > 1e-7:
        return (
            f"The rows do not sum to 1, but for instance to {came[index]:.4g}: normalise last, after masking."
        )
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
                    f"Along {name} the values are right but for an offset, which differs from row to row: a "
                    "mean or a maximum is missing, or was taken over the wrong axis."
                )
    return None


def _standardised(pairs: list[Pair]) -> str | None:
    """Rows that agree but for a factor and an offset of each row."""
    if any(p.got.dtype.kind != "f" or p.expected.dtype.kind != "f" or p.got.ndim < 2 for p in pairs):
        return None

    def standardise(x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    large = [p for p in pairs if p.got.shape[-1] > 2]
    if hold_for_all(large, lambda p: agree(standardise(p.got), standardise(p.expected), 1e-6)):
        return (
            "Each row is right but for an offset and a factor, which differ from row to row: is it "
            "normalised where it should not be, or by a wrong mean and variance?"
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
        return (
            f"What came is {a:.6g} times the right value {'+' if b >= 0 else '-'} {abs(b):.6g}: another "
            "scale."
        )
    return f"What came is a constant times the right value plus another constant (here {a:.4g} and {b:.4g})."


def explain_tiny(pairs: list[Pair]) -> str | None:
    """Errors that are as small as those of float32."""
    text = _nearly(pairs)
    return text if text and "float32" in text else None


def _nearly(pairs: list[Pair]) -> str | None:
    if any(p.got.dtype.kind not in "fc" for p in pairs):
        return None
    errors = [float(np.max(np.abs(p.got - p.expected), initial=0)) / find_scale(p.expected) for p in pairs]
    worst = max(errors)
    if worst < 3e-6:
        return (
            f"Nearly right (error {worst:.1g}): computed in float32 somewhere, a small difference of large "
            "numbers, or an epsilon too much or elsewhere."
        )
    if worst < 2e-2:
        return (
            f"Nearly right (error {worst:.1g}): an epsilon that is missing, too much or at another place, "
            "an approximation instead of the exact formula, or n instead of n - 1."
        )
    return None
