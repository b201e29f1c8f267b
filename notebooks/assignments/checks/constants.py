"""Names for the numbers that a factor or an offset may be."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .patterns import Pair, ordinal_axis


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
    "√({})": lambda s: s**0.5,
    "1/√({})": lambda s: s**-0.5,
    "{}": lambda s: s,
    "1/({})": lambda s: 1 / s,
    "({})²": lambda s: s * s,
    "1/({})²": lambda s: 1 / (s * s),
    "n/(n - 1), n being {}": lambda s: s / (s - 1),
    "(n - 1)/n, n being {}": lambda s: (s - 1) / s,
    "√(n/(n - 1)), n being {}": lambda s: (s / (s - 1)) ** 0.5,
    "√((n - 1)/n), n being {}": lambda s: ((s - 1) / s) ** 0.5,
    "1 - {}": lambda s: 1 - s,
    "1/(1 - {})": lambda s: 1 / (1 - s),
    "2 · {}": lambda s: 2 * s,
    "n/(n + 1), n being {}": lambda s: s / (s + 1),
    "(n + 1)/n, n being {}": lambda s: (s + 1) / s,
}
NUMBERS = {
    2: "2",
    0.5: "1/2",
    -1: "-1",
    4: "4",
    0.25: "1/4",
    10: "10",
    0.1: "1/10",
    100: "100",
    0.01: "1/100",
    1000: "1000",
    np.log(10): "ln 10 (natural logarithm instead of log10?)",
    1 / np.log(10): "1/ln 10 (log10 instead of ln?)",
    np.log(2): "ln 2",
    1 / np.log(2): "1/ln 2 (log2 instead of ln?)",
    np.pi: "π",
    1 / np.pi: "1/π",
    2 * np.pi: "2π",
    0.5 / np.pi: "1/(2π)",
    2**0.5: "√2",
    0.5**0.5: "1/√2",
    3: "3",
    1 / 3: "1/3",
    -2: "-2",
    -0.5: "-1/2",
    np.pi**0.5: "√π",
    np.pi**-0.5: "1/√π",
    8: "8",
    0.125: "1/8",
    20: "20",
    0.05: "1/20",
}


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
