"""A simple relation between wrong and right values: a factor, an offset, the opposite, a function."""

import numpy as np

from .compare import find_scale
from .constants import name_constant
from .patterns import FEW, Pair, agree, count_values, hold_for_all


def explain_identity(pairs: list[Pair]) -> str | None:
    """A result that is a constant, an argument, or the opposite or inverse of the right one."""
    for rule in (_constant, _argument, _swapped_booleans, _inverse_order, _whole_numbers, _narrow):
        if text := rule(pairs):
            return text
    return None


def explain_relation(pairs: list[Pair]) -> str | None:
    """A factor, an offset or a function of the right result that holds everywhere."""
    for rule in (_factor, _offset, _added_argument, _function):
        if text := rule(pairs):
            return text
    return None


def _constant(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.size and np.all(p.got == p.got.flat[0])):
        return None
    if not any(p.expected.size > 1 and np.any(p.expected != p.expected.flat[0]) for p in pairs):
        return None
    values = {p.got.flat[0].item() for p in pairs}
    if len(values) == 1:
        return f"Every value is {values.pop()}: is the result ever filled in?"
    return (
        "All values of the result are the same number: the result is never filled in, or it is a mean of all."
    )


def _argument(pairs: list[Pair]) -> str | None:
    names = [name for name, value in pairs[0].arguments.items() if isinstance(value, np.ndarray)]
    for name in names:
        if hold_for_all(pairs, lambda p, name=name: agree(p.got, p.arguments.get(name))):
            return (
                f"The argument `{name}` comes back as it was: is the result of each step assigned and "
                "returned?"
            )
    return None


def _swapped_booleans(pairs: list[Pair]) -> str | None:
    if not any(p.expected.size > 1 for p in pairs):
        return None  # a single wrong answer is always the other one
    if hold_for_all(pairs, lambda p: p.got.dtype == p.expected.dtype == bool and agree(p.got, ~p.expected)):
        return "True and False are swapped: what should be True is False."
    return None


def _whole_numbers(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.dtype.kind in "iu" and p.expected.dtype.kind == "f"):
        return None
    if hold_for_all(pairs, lambda p: np.all(np.abs(p.got - p.expected) <= 1)):
        return "The values were rounded to whole numbers: by an integer array, or by .astype(int)."
    return None


def _narrow(pairs: list[Pair]) -> str | None:
    if not hold_for_all(pairs, lambda p: p.got.dtype.kind == p.expected.dtype.kind == "f"):
        return None
    if hold_for_all(pairs, lambda p: p.got.dtype.itemsize < p.expected.dtype.itemsize):
        limit = 1e-6 if pairs[0].got.dtype == np.float32 else 1e-2
        if hold_for_all(pairs, lambda p: agree(p.got.astype(float), p.expected, limit)):
            return (
                f"The values are right to the precision of {pairs[0].got.dtype} only, which the result has: "
                f"keep the dtype of the input, {pairs[0].expected.dtype}."
            )
    return None


def _inverse_order(pairs: list[Pair]) -> str | None:
    def is_permutation(p: Pair) -> bool:
        if p.expected.dtype.kind not in "iu" or p.got.dtype.kind not in "iu" or not p.expected.ndim:
            return False
        return np.array_equal(np.sort(p.expected, axis=-1) * 0 + np.arange(p.expected.shape[-1]),
                              np.sort(p.expected, axis=-1))  # fmt: skip

    if not hold_for_all(pairs, is_permutation):
        return None
    if hold_for_all(pairs, lambda p: agree(p.got, np.argsort(p.expected, axis=-1))):
        return "It is the inverse permutation of the right one: one argsort too many or too few."
    if hold_for_all(pairs, lambda p: agree(p.got, p.expected.shape[-1] - 1 - p.expected)):
        return "The order is reversed: the largest comes first where the smallest should."
    if hold_for_all(
        pairs, lambda p: agree(p.got, np.broadcast_to(np.arange(p.expected.shape[-1]), p.got.shape))
    ):
        return "It is 0, 1, 2, …: the permutation that changes nothing."
    return None


def find_factor(p: Pair) -> float | None:
    """The constant factor of a pair, if there is one."""
    if p.got.dtype.kind not in "fiuc" or p.expected.dtype.kind not in "fiuc" or not p.got.size:
        return None
    big = np.abs(p.expected) > 1e-6 * find_scale(p.expected)
    if not np.any(big):
        return None
    ratios = p.got[big] / p.expected[big]
    factor = np.median(ratios.real)
    is_constant = np.isfinite(factor) and abs(factor) > 1e-9 and agree(p.got, p.expected * factor)
    return float(factor) if is_constant else None


def _factor(pairs: list[Pair]) -> str | None:
    factors = [find_factor(p) for p in pairs]
    known = [factor for factor in factors if factor is not None]
    if len(known) < len(factors) or (count_values(pairs) < FEW and len(pairs) < FEW):
        return None
    different = [(p, f) for p, f in zip(pairs, known, strict=True) if abs(f - 1) > 1e-9]
    if not different:
        return None
    name = name_constant([p for p, _ in different], [f for _, f in different])
    if np.allclose(known, -1):
        return "Every value has the opposite sign."
    is_scalar = all(p.got.size <= 1 for p in pairs)
    same = np.ptp(known) <= 1e-6 * abs(known[0])
    if name is None and is_scalar and not (same and len(known) >= FEW):
        return None
    if all(abs(f) < 1 for _, f in different):
        inverse = name_constant([p for p, _ in different], [1 / f for _, f in different])
        if inverse:
            return (
                f"Each value is too small by the factor {inverse}: a factor is missing, or a division is "
                "too much."
            )
    if all(abs(f) > 1 for _, f in different):
        what = name or (f"{known[0]:.6g}" if same else "that differs from input to input")
        return (
            f"Each value is too large by the factor {what}: a division is missing, or a factor is too much."
        )
    return f"Each value is the right one times {name or f'a constant, {different[0][1]:.6g} here'}."


def find_offset(p: Pair) -> float | None:
    """The constant offset of a pair, if there is one."""
    if p.got.dtype.kind not in "fiu" or p.expected.dtype.kind not in "fiu" or not p.got.size:
        return None
    offset = np.median(p.got.astype(float) - p.expected)
    return float(offset) if np.isfinite(offset) and agree(p.got, p.expected + offset) else None


def _offset(pairs: list[Pair]) -> str | None:
    offsets = [find_offset(p) for p in pairs]
    known = [offset for offset in offsets if offset is not None]
    if len(known) < len(offsets) or (count_values(pairs) < FEW and len(pairs) < FEW):
        return None
    if any(abs(offset) < 1e-12 for offset in known):
        return None
    same = np.ptp(known) <= 1e-6 * abs(known[0])
    name = name_constant(pairs, known)
    if not same and name is None and all(p.got.size <= 1 for p in pairs):
        return None
    if same:
        return (
            f"Each value is too {'large' if known[0] > 0 else 'small'} by the constant {abs(known[0]):.6g}."
        )
    return f"Each value is shifted by a constant: {name or f'{known[0]:.6g} here'}."


def _added_argument(pairs: list[Pair]) -> str | None:
    for name in pairs[0].arguments:
        values = [p.arguments.get(name) for p in pairs]
        shapes = [value.shape if isinstance(value, np.ndarray) else None for value in values]
        if shapes != [p.expected.shape for p in pairs]:
            continue
        signs = [s for s in (1, -1) if all(agree(p.got, p.expected + s * p.arguments[name]) for p in pairs)]
        if signs:
            what = "plus `{}`: it is added once too often" if signs == [1] else "minus `{}`: it is not added"
            return f"The result is the right one {what.format(name)}."
    return None


FUNCTIONS = {
    "its exponential": np.exp,
    "its natural logarithm": np.log,
    "its logarithm to base 10": np.log10,
    "its square": np.square,
    "its square root": np.sqrt,
    "its reciprocal": lambda x: 1 / x,
    "its absolute value": np.abs,
    "1 minus it": lambda x: 1 - x,
    "its sine": np.sin,
    "log(1 + it)": np.log1p,
    "10 log10 of it": lambda x: 10 * np.log10(x),
    "20 log10 of it": lambda x: 20 * np.log10(x),
    "it, cut off below 0": lambda x: np.maximum(x, 0),
    "it, cut to [-1, 1]": lambda x: np.clip(x, -1, 1),
    "it, cut to [0, 1]": lambda x: np.clip(x, 0, 1),
    "it, rounded": np.round,
    "its sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "its running sum": lambda x: np.cumsum(x, axis=-1),
}


def _function(pairs: list[Pair]) -> str | None:
    if count_values(pairs) < FEW or any(p.got.dtype.kind not in "fiu" for p in pairs):
        return None
    if any(p.expected.dtype.kind not in "fiu" for p in pairs):
        return None
    with np.errstate(all="ignore"):
        for name, function in FUNCTIONS.items():
            if hold_for_all(pairs, lambda p, f=function: agree(p.got, f(p.expected.astype(float)))):
                return (
                    f"The result is {name}, `it` being the right result."
                    if "it" in name.split()
                    else (f"Instead of the right result comes {name}.")
                )
        for name, function in FUNCTIONS.items():
            if "cut" in name or "round" in name or "absolute" in name:
                continue
            if hold_for_all(pairs, lambda p, f=function: agree(f(p.got.astype(float)), p.expected)):
                return f"A last step is missing: the right result is {name}, `it` being what came."
    return None


def explain_constant(pairs: list[Pair]) -> str | None:
    """The same result for different inputs."""
    for shape in {pair.got.shape for pair in pairs}:
        first, *others = [pair for pair in pairs if pair.got.shape == shape]
        same = [np.array_equal(first.got, pair.got) for pair in others]
        wanted = [np.array_equal(first.expected, pair.expected) for pair in others]
        if same and all(same) and not all(wanted):
            return "Different inputs give the same result: are the arguments used, or is it the example's?"
    return None


def explain_exponent(pairs: list[Pair]) -> str | None:
    """A softmax of scores that are too large or too small: in each row the logarithms are proportional."""
    pairs = [p for p in pairs if p.got.ndim and p.got.shape[-1] > 1 and np.sum(p.expected > 1e-200) > 2]
    factors = [_find_exponent(p) for p in pairs]
    known = [factor for factor in factors if factor is not None]
    if not known or len(known) < len(factors) or all(abs(factor - 1) < 1e-6 for factor in known):
        return None
    name = name_constant(pairs, known)
    return (
        f"The exponents, or scores, are the right ones times {name or f'{known[0]:.4g} here'}: a factor is "
        "missing, too much, or another one, before the exponential."
    )


def _find_exponent(p: Pair) -> float | None:
    if p.got.dtype.kind != "f" or p.got.ndim < 1 or np.any(p.got < 0) or np.any(p.expected < 0):
        return None
    is_positive = (p.got > 1e-200) & (p.expected > 1e-200)
    if np.any((p.got > 0) != (p.expected > 0)) or is_positive.sum() < 3:
        return None
    logs = [np.where(is_positive, np.log(np.where(is_positive, x, 1)), np.nan) for x in (p.got, p.expected)]
    a, b = (x - np.nanmean(x, axis=-1, keepdims=True) for x in logs)
    a, b = a[is_positive], b[is_positive]
    if not np.any(np.abs(b) > 1e-9) or not agree(np.sum(p.got, axis=-1), np.sum(p.expected, axis=-1)):
        return None
    factor = float((a @ b) / (b @ b))
    return factor if np.allclose(a, factor * b, atol=1e-7 * np.abs(a).max()) else None
