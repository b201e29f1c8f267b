"""How the result answers to changes of the arguments, and how it should: what has no effect, or too much."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .blanks import Blank
from .evaluate import Call, Trial, run_reference
from .hypotheses import is_same_outcome
from .outcomes import Outcome, list_arrays, map_arrays
from .trials import list_values

Arguments = dict[str, Any]
MOST_SIZE = 10**6  # values of a result
MOST_SECONDS = 3.0  # for all calls


class Prober:
    """Calls the student's function and the reference with changed arguments."""

    def __init__(self, blank: Blank, call: Call, trial: Trial) -> None:
        self.blank, self.call, self.trial = blank, call, trial
        self.random = np.random.default_rng(0)

    def explain(self) -> str | None:
        """The first difference in how the results answer, in a sentence."""
        if self.trial.outcome.problem is not None or self.trial.expected.problem is not None:
            return None
        start = time.monotonic()
        for text, arguments, read, is_effect in self._list_probes():
            if time.monotonic() - start > MOST_SECONDS:
                return None
            wanted = run_reference(self.blank, self.blank.reference, arguments)
            if wanted.problem is not None or self._is_same(self.trial.expected, wanted, read) is is_effect:
                continue
            came = self.call(arguments, "plain")
            if came.problem is None and self._is_same(self.trial.outcome, came, read) is is_effect:
                return text
        return None

    def _is_same(self, before: Outcome, after: Outcome, read: Callable[[Any], Any]) -> bool:
        try:
            return is_same_outcome(Outcome(read(before.value)), Outcome(read(after.value)), 1e-9)
        except (IndexError, TypeError):
            return False

    def _list_probes(self) -> Iterator[tuple[str, Arguments, Callable[[Any], Any], bool]]:
        """A sentence, changed arguments, the part of the result to look at, and whether it should change."""
        arguments = self.trial.case.arguments
        for name, value in arguments.items():
            changed = self._disturb(value)
            if changed is not None:
                text = (
                    f"`{name}` has no effect on the result: it is never used, or what is made of it is lost."
                )
                yield text, {**arguments, name: changed}, _whole, True
        arrays = {name: value for name, value in arguments.items() if _is_float(value) and value.ndim}
        for name, value in arrays.items():
            yield from self._list_invariances(name, value)
        yield from self._list_paddings(arrays)

    def _list_invariances(
        self, name: str, value: np.ndarray
    ) -> Iterator[tuple[str, Arguments, Callable, bool]]:
        arguments = self.trial.case.arguments
        for axis in range(min(value.ndim - 1, 2)):
            if value.shape[axis] < 2:
                continue
            changed = value.copy()
            rows = np.moveaxis(changed, axis, 0)
            rows[-1] = rows[-1] * 1.5 + self.random.normal(size=rows[-1].shape)
            where = "clips of the batch, rows of axis 0," if axis == 0 else f"rows of axis {axis}"
            text = (
                f"The result of one row depends on other {where} of `{name}`, and should not: a sum, mean or "
                "maximum runs over too many axes, or a reshape mixes them."
            )
            yield text, {**arguments, name: changed}, _first_along(axis), False
        text = (
            f"Adding one number to all of `{name}` changes the result, and should not: is the mean, or the "
            "maximum, subtracted, over the right axis?"
        )
        yield text, {**arguments, name: value + 1.75}, _whole, False

    def _list_paddings(
        self, arrays: dict[str, np.ndarray]
    ) -> Iterator[tuple[str, Arguments, Callable, bool]]:
        arguments = self.trial.case.arguments
        for mask_name, mask in arguments.items():
            if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.all():
                continue
            for name, value in arrays.items():
                for padding in _align(mask, value.shape):
                    changed = np.where(padding, value, value * 1.5 + self.random.normal(size=value.shape))
                    text = (
                        f"What `{name}` has where `{mask_name}` is False changes the result, and should not: "
                        "padding still has an influence."
                    )
                    yield text, {**arguments, name: changed}, _whole, False

    def _disturb(self, value: Any) -> Any:
        if _is_float(value):
            return value * 1.25 + 0.5 * self.random.normal(size=value.shape)
        if isinstance(value, np.ndarray):
            return ~value if value.dtype == bool and not value.all() else None
        if isinstance(value, float):
            return value * 1.25
        if not isinstance(value, (int, str, bool)) and not callable(value) and list_arrays(value):
            return map_arrays(lambda x: x * 1.25 + 0.5 if _is_float(x) else x, value)
        return None


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and 0 < value.size <= MOST_SIZE


def _whole(value: Any) -> Any:
    return value


def _first_along(axis: int) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        return [np.take(np.asarray(item), 0, axis=axis) for item in list_values(value)]

    return read


def _align(mask: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A mask (B, N) over arrays (B, N, …) and (B, heads, N, d)."""
    if mask.ndim != 2 or len(shape) < 2 or mask.shape[0] != shape[0]:
        return []
    if mask.shape[1] == shape[1]:
        return [mask.reshape(*mask.shape, *(1,) * (len(shape) - 2))]
    if len(shape) == 4 and mask.shape[1] == shape[2]:
        return [mask[:, None, :, None]]
    return []
