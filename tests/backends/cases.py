"""What every backend and every VJP is tested on: each function of the array interface, on unequal sizes.

A case is a function of `xp`, the backend under test, and of floating-point arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

IS_REAL = np.array(
    [[True, True, False, True, False], [False] * 5, [True] * 5]
)  # the second clip is all padding


@dataclass(frozen=True)
class Case:
    """A function of arrays of the given shapes; from `low` to 2.5, or of both signs where `low` is None."""

    call: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    low: float | None = None

    def draw(
        self, seed: int, shapes: tuple[tuple[int, ...], ...] | None = None, dtype: str = "float64"
    ) -> tuple[np.ndarray, ...]:
        """Draw the arrays, of other shapes if wanted."""
        rng = np.random.default_rng(seed)
        shapes = self.shapes if shapes is None else shapes
        if self.low is None:
            return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)
        return tuple(rng.uniform(self.low, 2.5, size=shape).astype(dtype) for shape in shapes)


def _constant(xp: Any, values: Any, like: Any) -> Any:
    return xp.as_like(np.asarray(values), like)


def _pick_rows(indices: np.ndarray, axis: int) -> Callable[..., Any]:
    return lambda xp, x: xp.take_along_axis(x, _constant(xp, indices, x), axis=axis)


def _attention(is_real: np.ndarray | None) -> Callable[..., Any]:
    def call(xp: Any, query: Any, key: Any, value: Any) -> Any:
        return xp.attention(query, key, value, None if is_real is None else _constant(xp, is_real, query))

    return call


ONE, TWO, THREE_AXES = ((5, 3),), ((2, 1, 3), (5, 1)), ((2, 5, 3),)
ROWS = np.array([[[0], [4], [4]], [[1], [0], [1]]])  # (2, 3, 1): whole rows, some of them twice
ELEMENTS = np.array([[[0, 2, 2]], [[1, 1, 0]]])  # (2, 1, 3), for axis 2: one choice for all five rows

# Two arrays that are broadcast against each other, in shapes that Hypothesis draws
BROADCASTING = {
    "+": Case(lambda xp, x, y: x + y, TWO),
    "-": Case(lambda xp, x, y: x - y, TWO),
    "*": Case(lambda xp, x, y: x * y, TWO),
    "/": Case(lambda xp, x, y: x / y, TWO, low=0.5),
    "maximum": Case(lambda xp, x, y: xp.maximum(x, y), TWO),
    "minimum": Case(lambda xp, x, y: xp.minimum(x, y), TWO),
    "where": Case(lambda xp, x, y: xp.where(x + y > 0, x, y * y), TWO),
}
# One array, element by element, in shapes that Hypothesis draws
ELEMENTWISE = {
    "negative": Case(lambda xp, x: -x, ONE),
    "numbers on the left": Case(lambda xp, x: 2 - (3 + x) * (2.5 / x), ONE, low=0.5),
    "square": Case(lambda xp, x: x**2, ONE),
    "power": Case(lambda xp, x: x**-1.5, ONE, low=0.5),
    "exp": Case(lambda xp, x: xp.exp(x), ONE),
    "log": Case(lambda xp, x: xp.log(x), ONE, low=0.5),
    "sqrt": Case(lambda xp, x: xp.sqrt(x), ONE, low=0.5),
    "tanh": Case(lambda xp, x: xp.tanh(x), ONE),
    "abs": Case(lambda xp, x: xp.abs(x), ONE),
    "gelu": Case(lambda xp, x: xp.gelu(x), ONE),
    "where a number": Case(lambda xp, x: xp.where(x > 0.3, x, -1.0), ONE),
    "where another number": Case(lambda xp, x: xp.where(x > 0.3, 7.0, x), ONE),
    "used three times": Case(lambda xp, x: x * xp.tanh(x) + x, ONE),
}
SHAPED = {
    "reshape": Case(lambda xp, x: xp.reshape(x, (3, -1)), THREE_AXES),
    "permute_dims": Case(lambda xp, x: xp.permute_dims(x, (2, 0, 1)), THREE_AXES),
    "broadcast_to": Case(lambda xp, x: xp.broadcast_to(x, (2, 5, 3)), ((5, 1),)),
    "concat": Case(lambda xp, x, y: xp.concat([x, y, x], axis=1), ((2, 5, 3), (2, 1, 3))),
    "take": Case(lambda xp, x: xp.take(x, _constant(xp, [4, 0, 4, 4], x), axis=1), THREE_AXES),
    "take from behind": Case(lambda xp, x: xp.take(x, _constant(xp, [2, 0, 2, 1], x), axis=-1), THREE_AXES),
    "take_along_axis, rows": Case(_pick_rows(ROWS, 1), THREE_AXES),
    "take_along_axis, elements": Case(_pick_rows(ELEMENTS, 2), THREE_AXES),
    "take_along_axis, all different": Case(_pick_rows(np.array([[1, 0], [0, 2], [2, 2]]), -1), ((3, 3),)),
    "a part": Case(lambda xp, x: x[1:, 2, ::2], THREE_AXES),
    "two parts and the whole": Case(lambda xp, x: x[0, ...] * x[1, ...] + xp.sum(x), THREE_AXES),
    "a new axis": Case(lambda xp, x: x[:, None, ...] * x[None, ...], ONE),
    "sum": Case(lambda xp, x: xp.sum(x), THREE_AXES),
    "sum of an axis": Case(lambda xp, x: xp.sum(x, axis=1) * xp.sum(x, axis=-2, keepdims=True), THREE_AXES),
    "sum of two axes": Case(lambda xp, x: xp.sum(x, axis=(0, -1)), THREE_AXES),
    "mean": Case(lambda xp, x: xp.mean(x), THREE_AXES),
    "mean of an axis": Case(lambda xp, x: xp.mean(x, axis=-1, keepdims=True) * x, THREE_AXES),
    "max": Case(lambda xp, x: xp.max(x), THREE_AXES),
    "max of two axes": Case(lambda xp, x: x - xp.max(x, axis=(-2, -1), keepdims=True), THREE_AXES),
    "zeros": Case(lambda xp, x: x + xp.zeros((5, 1), x), ONE),
    "arange": Case(lambda xp, x: x * xp.astype(xp.arange(3, x), x.dtype), ONE),
    "argsort": Case(lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=1), axis=1), THREE_AXES),
    "matmul": Case(lambda xp, x, y: xp.matmul(x, y), ((2, 5, 3), (3, 7))),
    "matmul, broadcast": Case(lambda xp, x, y: xp.matmul(x, y), ((2, 1, 5, 3), (7, 3, 2))),
    "rfft, one sample": Case(lambda xp, x: xp.rfft(x), ((3, 1),)),
    "power spectrum": Case(lambda xp, x: xp.real(xp.rfft(x)) ** 2 + xp.imag(xp.rfft(x)) ** 2, ((3, 7),)),
    "abs of complex": Case(lambda xp, x: xp.abs(xp.rfft(x)), ((3, 7),)),
    "complex arithmetic": Case(
        lambda xp, x, y: xp.rfft(x) * y / xp.rfft(y) - xp.rfft(x) ** 2, ((3, 1), (3, 1))
    ),
    "complex exp and log": Case(lambda xp, x: xp.exp(xp.rfft(x) / 5) + xp.log(xp.rfft(x) + 9), ((3, 5),)),
    "complex matmul": Case(lambda xp, x, y: xp.matmul(xp.rfft(x), xp.rfft(y)), ((3, 4), (3, 8))),
    "irfft, even": Case(lambda xp, x: xp.irfft(xp.rfft(x) ** 2, 8), ((3, 8),)),
    "irfft, odd": Case(lambda xp, x: xp.irfft(xp.rfft(x) ** 2, 7), ((3, 7),)),
    "real of real": Case(lambda xp, x: xp.real(x) * x, ONE),
    "sliding_windows": Case(lambda xp, x: xp.sliding_windows(x, 3, 2), ((2, 8),)),
    "linear": Case(lambda xp, x, w, b: xp.linear(x, w, b), ((2, 5, 3), (7, 3), (7,))),
    "linear without bias": Case(lambda xp, x, w: xp.linear(x, w), ((5, 3), (7, 3))),
    "layer_norm": Case(lambda xp, x, w, b: xp.layer_norm(x, w, b, 1e-3), ((2, 5, 3), (3,), (3,))),
    "softmax": Case(lambda xp, x: xp.softmax(x), THREE_AXES),
    "softmax of nothing": Case(lambda xp, x: xp.softmax(x), ((2, 0),)),
    "attention": Case(_attention(None), ((3, 2, 7, 3), (3, 2, 5, 3), (3, 2, 5, 3))),
    "attention over nothing": Case(_attention(None), ((2, 1, 3, 5), (2, 1, 0, 5), (2, 1, 0, 5))),
    "attention, masked": Case(_attention(IS_REAL), ((3, 2, 7, 3), (3, 2, 5, 3), (3, 2, 5, 3))),
}
CASES = BROADCASTING | ELEMENTWISE | SHAPED


def draw_inputs(case_name: str) -> st.SearchStrategy[tuple[np.ndarray, ...]]:
    """Draw inputs of a case: shapes too, where they are free."""
    case, seeds = CASES[case_name], st.integers(0, 2**32 - 1)
    if case_name in BROADCASTING:
        shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)
        return st.builds(lambda seed, drawn: case.draw(seed, drawn.input_shapes), seeds, shapes)
    if case_name in ELEMENTWISE:
        shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)
        return st.builds(lambda seed, shape: case.draw(seed, (shape,)), seeds, shapes)
    return st.builds(case.draw, seeds)
