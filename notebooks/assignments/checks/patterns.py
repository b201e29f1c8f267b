"""How a wrong result relates to the right one: the same values in another order, a constant factor, an offset …

Each pattern looks at all wrong results of one kind together, and answers in a sentence, or None.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .compare import find_equal, find_scale

CLOSE = 1e-7  # relative to the largest value
FEW = 3  # values: so few agree by chance


@dataclass(frozen=True, eq=False)
class Pair:
    """A wrong array, the right one, and the arguments."""

    got: np.ndarray
    expected: np.ndarray
    arguments: dict[str, Any]


def agree(got: Any, expected: Any, tolerance: float = CLOSE) -> bool:
    """Whether two arrays have the same shape and values."""
    got, expected = np.asarray(got), np.asarray(expected)
    return got.shape == expected.shape and bool(np.all(find_equal(got, expected, tolerance)))


def hold_for_all(pairs: list[Pair], test: Callable[[Pair], Any]) -> bool:
    """Whether a test holds for every pair."""
    return bool(pairs) and all(bool(test(pair)) for pair in pairs)


def count_values(pairs: list[Pair]) -> int:
    """The number of values in all pairs."""
    return sum(pair.got.size for pair in pairs)


def ordinal_axis(axis: int, ndim: int) -> str:
    """Name an axis."""
    return "the last axis" if axis == ndim - 1 and ndim > 1 else f"axis {axis}"


# ---- shapes


def explain_shape(pairs: list[Pair]) -> str | None:
    """What is wrong with a result of the wrong shape."""
    for rule in (
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


def _transposed(pairs: list[Pair]) -> str | None:
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
            return f"The right values with one axis of size 1 too many ({name}): index it away, or leave keepdims out."
        if hold_for_all(pairs, is_lost):
            return f"The right values, but {name} of size 1 is missing: keep it, for instance with keepdims=True."
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
        return "The right values, but in the wrong shape and order: an axis was moved too early, too late or wrongly."
    return None


def _part_of(pairs: list[Pair]) -> str | None:
    """One axis, counted from the end, is longer or shorter by some entries, and what is there agrees."""
    for axis in range(-1, -1 - max(p.expected.ndim for p in pairs), -1):
        for side in ("last", "first"):
            found = [_agrees_cut(p, axis, side) for p in pairs]
            if any(found) and all(
                is_cut or not _has_values(p) for is_cut, p in zip(found, pairs, strict=True)
            ):
                changes = {p.got.shape[axis] - p.expected.shape[axis] for p in pairs if _has_values(p)}
                count = str(abs(next(iter(changes)))) if len(changes) == 1 else "some"
                is_more = all(difference > 0 for difference in changes)
                what = f"{count} too many at" if is_more else f"{count} missing at"
                end = "the end" if side == "last" else "the beginning"
                return (
                    f"The right values, but there are {what} {end} of {name_axis(axis, pairs)}: count how many there "
                    "should be."
                )
    return None


def name_axis(axis: int, pairs: list[Pair]) -> str:
    """Name an axis that is counted from the end: from the front, if all results have as many axes."""
    sizes = {p.expected.ndim for p in pairs}
    return f"axis {axis + sizes.pop() if len(sizes) == 1 else axis}"


def _has_values(p: Pair) -> bool:
    return p.got.size > 0 and p.expected.size > 0


def _agrees_cut(p: Pair, axis: int, side: str) -> bool:
    if p.got.ndim != p.expected.ndim or -axis > p.got.ndim or not _has_values(p):
        return False
    size = min(p.got.shape[axis], p.expected.shape[axis])
    if p.got.shape[axis] == p.expected.shape[axis]:
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
    changes = [tuple(np.subtract(p.got.shape, p.expected.shape).tolist()[::-1]) for p in pairs]
    wrong = {-1 - axis for change in changes for axis, value in enumerate(change) if value}
    if len(wrong) != 1:
        return None
    axis = wrong.pop()
    counts = {change[-1 - axis] for change in changes}
    name = name_axis(axis, pairs)
    if len(counts) == 1:
        count = counts.pop()
        return f"{name.capitalize()} has {abs(count)} {'more' if count > 0 else 'fewer'} than it should: an off-by-one count?"
    return f"The size of {name} is wrong: which sizes does it follow from?"


def _sizes_swapped(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: sorted(p.got.shape) == sorted(p.expected.shape)):
        return "The axes are in the wrong order: the shape has the right sizes at other places."
    return None


def has_same_entries(p: Pair) -> bool:
    """Whether the values are the same, in any order."""
    if p.got.size != p.expected.size or not np.all(np.isfinite(p.got)):
        return False
    return agree(np.sort(p.got, axis=None), np.sort(p.expected, axis=None))


# ---- values: simple relations of the whole result


def explain_relation(pairs: list[Pair]) -> str | None:
    """A simple relation between wrong and right values that holds everywhere."""
    rules = (_constant, _argument, _swapped_booleans, _inverse_order, _factor, _offset, _function)
    for rule in rules:
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
            return f"The argument `{name}` comes back as it was: is the result of each step assigned and returned?"
    return None


def _swapped_booleans(pairs: list[Pair]) -> str | None:
    if hold_for_all(pairs, lambda p: p.got.dtype == p.expected.dtype == bool and agree(p.got, ~p.expected)):
        return "True and False are swapped: what should be True is False."
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


def list_sizes(arguments: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers that a factor may come from, with their names."""
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            for axis, size in enumerate(value.shape):
                yield f"the size of {ordinal_axis(axis, value.ndim)} of `{name}`", size
            yield f"the number of values in `{name}`", value.size
            if value.ndim > 2:
                yield f"the product of the last two sizes of `{name}`", value.shape[-1] * value.shape[-2]
                yield f"the product of the first two sizes of `{name}`", value.shape[0] * value.shape[1]
            if value.dtype == bool:
                yield f"the number of True in `{name}`", int(value.sum())
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"`{name}`", value
        elif isinstance(value, (tuple, list)) and value and all(isinstance(item, int) for item in value):
            for index, item in enumerate(value):
                yield f"`{name}[{index}]`", item
            yield f"the product of `{name}`", int(np.prod(value))


POWERS = {  # of a size s: names and values of factors
    "√({})": lambda s: s**0.5, "1/√({})": lambda s: s**-0.5, "{}": lambda s: s, "1/({})": lambda s: 1 / s,
    "({})²": lambda s: s * s, "1/({})²": lambda s: 1 / (s * s),
    "n/(n - 1), n being {}": lambda s: s / (s - 1), "(n - 1)/n, n being {}": lambda s: (s - 1) / s,
    "√(n/(n - 1)), n being {}": lambda s: (s / (s - 1)) ** 0.5,
    "√((n - 1)/n), n being {}": lambda s: ((s - 1) / s) ** 0.5,
    "1 - {}": lambda s: 1 - s, "1/(1 - {})": lambda s: 1 / (1 - s), "2 · {}": lambda s: 2 * s,
    "n/(n + 1), n being {}": lambda s: s / (s + 1), "(n + 1)/n, n being {}": lambda s: (s + 1) / s,
}  # fmt: skip
NUMBERS = {
    2: "2", 0.5: "1/2", -1: "-1", 4: "4", 0.25: "1/4", 10: "10", 0.1: "1/10", 100: "100", 0.01: "1/100", 1000: "1000",
    np.log(10): "ln 10 (natural logarithm instead of log10?)", 1 / np.log(10): "1/ln 10 (log10 instead of ln?)",
    np.log(2): "ln 2", 1 / np.log(2): "1/ln 2 (log2 instead of ln?)", np.pi: "π", 1 / np.pi: "1/π", 2 * np.pi: "2π",
    0.5 / np.pi: "1/(2π)", 2**0.5: "√2", 0.5**0.5: "1/√2", 3: "3", 1 / 3: "1/3", -2: "-2", -0.5: "-1/2",
    np.pi**0.5: "√π", np.pi**-0.5: "1/√π", 8: "8", 0.125: "1/8", 20: "20", 0.05: "1/20",
}  # fmt: skip


def name_constant(pairs: list[Pair], values: list[float]) -> str | None:
    """Name a number that may differ from pair to pair, by the sizes and numbers among the arguments."""
    if np.ptp(values) <= 1e-6 * abs(values[0]):
        for number, name in NUMBERS.items():
            if abs(values[0] - number) <= 1e-6 * abs(number):
                return name
    sizes = [dict(list_sizes(pair.arguments)) for pair in pairs]
    with np.errstate(all="ignore"):
        for form, power in POWERS.items():
            for name in sizes[0]:
                if all(
                    _is_near(size.get(name), value, power) for size, value in zip(sizes, values, strict=True)
                ):
                    return form.format(name) + (f" (here {values[0]:.4g})" if "n being" not in form else "")
    return None


def _is_near(size: float | None, value: float, power: Callable[[float], float]) -> bool:
    if size is None or size == 0 or (size == 1 and abs(power(2.0) - 1) < 1e-9):
        return False
    try:
        wanted = power(float(size))
    except (ZeroDivisionError, OverflowError):
        return False
    return not isinstance(wanted, complex) and abs(wanted - value) <= 1e-6 * abs(value)


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
    if len(known) < len(factors) or count_values(pairs) < FEW and len(pairs) < FEW:
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
            return f"Each value is too small by the factor {inverse}: a factor is missing, or a division is too much."
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
    if len(known) < len(offsets) or count_values(pairs) < FEW and len(pairs) < FEW:
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


FUNCTIONS = {
    "its exponential": np.exp, "its natural logarithm": np.log, "its logarithm to base 10": np.log10,
    "its square": np.square, "its square root": np.sqrt, "its reciprocal": lambda x: 1 / x,
    "its absolute value": np.abs, "1 minus it": lambda x: 1 - x, "its sine": np.sin,
    "log(1 + it)": np.log1p, "10 log10 of it": lambda x: 10 * np.log10(x), "20 log10 of it": lambda x: 20 * np.log10(x),
    "it, cut off below 0": lambda x: np.maximum(x, 0), "it, cut to [-1, 1]": lambda x: np.clip(x, -1, 1),
    "it, cut to [0, 1]": lambda x: np.clip(x, 0, 1), "it, rounded": np.round, "its sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "its running sum": lambda x: np.cumsum(x, axis=-1),
}  # fmt: skip


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
