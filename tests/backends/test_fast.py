"""Fast kernels against the plain ones: values and VJPs, over the table of cases and at large sizes."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import namespace
from minitvlt.backends.fast import attention
from minitvlt.backends.fast import numpy as fast
from minitvlt.backends.fast import tape as fast_tape
from minitvlt.backends.tape import TapeArray, backward
from tests.backends.cases import CASES
from tests.helpers.backends import using_kernels

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}  # of the largest value of a result and its cotangents
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES)


def run(kernels: str, call: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> list[list[np.ndarray]]:
    """Return the value on arrays and the value on recorded ones, then the cotangents of all arguments."""
    with using_kernels(kernels):
        value = call(namespace(*arrays), *arrays)
        recorded = [TapeArray(x) for x in arrays]
        result = call(namespace(*recorded), *recorded)
        g = np.random.default_rng(0).uniform(-2, 2, result.shape)
        backward(result, g.astype(result.dtype))
    return [
        [value, result.value],
        [np.zeros(1) if x.node.cotangent is None else x.node.cotangent for x in recorded],
    ]


def compare(call: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> None:
    """Compare fast and plain kernels: values together, cotangents together."""
    for found, expected in zip(run("fast", call, arrays), run("plain", call, arrays), strict=True):
        largest = max(np.max(np.abs(x), initial=0) for x in expected)
        for x, y in zip(found, expected, strict=True):
            assert x.shape == y.shape and x.dtype == y.dtype
            most = TOLERANCES[arrays[0].dtype.name] * largest
            np.testing.assert_allclose(x, y, rtol=0, atol=most)


@DTYPES
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_function_of_the_array_interface(name, dtype, seed):
    case, rng = CASES[name], np.random.default_rng(seed)
    compare(case.call, tuple(rng.uniform(case.low or -10, 10, s).astype(dtype) for s in case.shapes))


def draw(dtype: str, *shapes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, ...]:
    """Draw numbers within ±2: of long rows within ±10, float32 itself rounds scores by 1e-5."""
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(-2, 2, shape).astype(dtype) for shape in shapes)


def attend(is_masked: bool) -> Callable[..., Any]:
    def call(xp: Any, query: Any, key: Any, value: Any) -> Any:
        B, _, M, _ = key.shape
        is_real = np.arange(B * M).reshape(B, M) % 3 > 0
        is_real[1:2] = False  # the second clip is all padding
        return xp.attention(query, key, value, is_real if is_masked else None)

    return call


def heads(B: int, count: int, N: int, M: int, d: int) -> tuple[tuple[int, ...], ...]:
    return (B, count, N, d), (B, count, M, d), (B, count, M, d)


LARGE = {  # calls and shapes that cross the borders of blocks, of threads, or of nothing
    "attention, blocks of rows and threads": (attend(False), heads(2, 4, 700, 800, 17)),
    "attention, blocks of rows with padding": (attend(True), heads(2, 2, 1030, 1030, 8)),
    "attention, some heads at a time": (attend(True), heads(3, 7, 300, 300, 5)),
    "attention, some clips at a time": (attend(True), heads(70, 3, 60, 61, 3)),
    "attention, one query": (attend(True), heads(2, 3, 1, 5, 7)),
    "attention, no query": (attend(True), heads(2, 3, 0, 5, 7)),
    "attention, no key": (attend(True), heads(2, 3, 4, 0, 7)),
    "attention, no clip": (attend(True), heads(0, 3, 4, 5, 7)),
    "gelu, blocks and threads": (lambda xp, x: xp.gelu(x), ((1021, 1031),)),
    "gelu, no row": (lambda xp, x: xp.gelu(x), ((0, 3),)),
    "linear, threads": (lambda xp, x, w, b: xp.linear(x, w, b), ((3, 403, 501), (515, 501), (515,))),
    "rfft, threads": (lambda xp, x: xp.rfft(x), ((1030, 1019),)),
    "linear, no row": (lambda xp, x, w, b: xp.linear(x, w, b), ((0, 4, 3), (5, 3), (5,))),
}


@DTYPES
@pytest.mark.parametrize("name", LARGE)
def test_large_sizes_and_empty_ones(name, dtype):
    call, shapes = LARGE[name]
    compare(call, draw(dtype, *shapes))


@pytest.mark.parametrize("is_masked", [True, False])
def test_float16_is_computed_in_float32(is_masked):
    halves = draw("float16", *heads(2, 3, 4, 5, 7))
    found = run("fast", attend(is_masked), halves)
    expected = run("plain", attend(is_masked), tuple(x.astype("float32") for x in halves))
    for x, y in zip(*map(chain.from_iterable, (found, expected)), strict=True):
        assert x.dtype == np.float16
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-3)


def drop_last_row(work: Callable[[slice], Any], n: int) -> list[Any]:
    return [work(slice(0, n - 1))]


def spoil(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """Multiply one result of a function by 1.0001, in place: it may be a view."""

    def spoiled(*arguments: Any) -> Any:
        results = function(*arguments)
        results[which][...] *= 1.0001
        return results

    return spoiled


GELU, LINEAR = "gelu, blocks and threads", "linear, threads"
ATTENTION, CLIPS = "attention, blocks of rows and threads", "attention, some clips at a time"
PADDED = "attention, blocks of rows with padding"
ERRORS = {  # an error in each kernel, and the case above that must find it
    "a coefficient of Φ": (fast, "POLYNOMIAL", (0.7980, *fast.POLYNOMIAL[1:]), GELU),
    "a row of GELU": (fast, "share", drop_last_row, GELU),
    "the derivative of GELU": (fast, "gelu_and_derivative", spoil(fast.gelu_and_derivative, 1), GELU),
    "a row of a product": (fast, "share", drop_last_row, LINEAR),
    "a row of the cotangent of a weight": (fast_tape, "share", drop_last_row, LINEAR),
    "the cotangent of a bias": (fast_tape, "weight_vjp", spoil(fast_tape.weight_vjp, 1), LINEAR),
    "a Fourier transform": (fast, "rfft", lambda x: np.fft.rfft(-x).astype("complex64"), "rfft, threads"),
    "padding": (attention, "PADDING", -1.0, PADDED),
    "the maximum of padding": (attention, "LOWEST", -1e31, "attention, one query"),
    "the last head": (attention, "share", drop_last_row, ATTENTION),
    "the output of attention": (fast, "attend", spoil(attention.attend, 0), ATTENTION),
    "log Σ exp": (fast_tape, "attend", spoil(attention.attend, 1), ATTENTION),
    "the cotangent of the query": (fast_tape, "attend_vjp", spoil(attention.attend_vjp, 0), CLIPS),
    "the cotangent of the key": (fast_tape, "attend_vjp", spoil(attention.attend_vjp, 1), CLIPS),
    "the cotangent of the value": (fast_tape, "attend_vjp", spoil(attention.attend_vjp, 2), CLIPS),
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_a_kernel_is_found(error, monkeypatch):
    module, attribute, value, name = ERRORS[error]
    call, shapes = LARGE[name]
    monkeypatch.setattr(module, attribute, value)
    with pytest.raises(AssertionError):  # numbers of its own: memory that is not written holds earlier ones
        compare(call, draw("float32", *shapes, seed=1 + list(ERRORS).index(error)))
