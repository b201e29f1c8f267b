"""One table of cases: the value and the VJP of every function of the array interface, on every backend.

The truth is plain NumPy in float64, whose VJPs are compared with finite differences. Fast kernels, which are
held to a closer tolerance, are compared in test_fast.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import namespace, numpy_backend, to_backend, value_and_grad
from tests.backends import array_api_strict_backend
from tests.backends.cases import CASES, IS_REAL, draw_inputs
from tests.helpers.backends import BACKENDS, Backend, on_every_backend, register_strict, using_kernels

TOLERANCES = {"float32": 2e-5, "float64": 1e-12}  # of the largest value, or of 1
ON_EVERY_CASE = pytest.mark.parametrize("name", CASES)


def make_loss(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a scalar of a function's result in which every element has a weight of its own."""

    def loss(inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        xp = namespace(*inputs)
        y = call(xp, *inputs)
        weights = np.cos(np.arange(np.prod(y.shape, dtype=int)) + 0.5).reshape(tuple(y.shape))
        total = xp.sum(xp.real(y) * xp.as_like(weights, y))
        if "complex" in str(y.dtype):
            total = total + xp.sum(xp.imag(y) * xp.as_like(np.sin(weights), y))
        return total, y

    return loss


def differentiate(name: str, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the value of a case and its gradients, with plain kernels where the inputs are NumPy's."""
    with using_kernels("plain"):
        (_, value), gradients = value_and_grad(make_loss(CASES[name].call), has_aux=True)(inputs)
    return value, gradients


def test_every_function_of_the_array_interface_has_a_case() -> None:
    used = {name for case in CASES.values() for name in case.call.__code__.co_names}
    used |= {"attention", "as_like", "take_along_axis"}  # by helpers of the cases
    assert set(numpy_backend.FUNCTIONS) - used == {"from_numpy", "to_numpy"}


@ON_EVERY_CASE
@settings(max_examples=5)
@given(data=st.data())
def test_plain_vjps_are_slopes(name: str, data: st.DataObject) -> None:
    inputs = data.draw(draw_inputs(name))
    value, gradients = differentiate(name, inputs)
    np.testing.assert_array_equal(value, CASES[name].call(numpy_backend, *inputs))
    loss, rng = make_loss(CASES[name].call), np.random.default_rng(0)
    direction = [rng.normal(size=x.shape) for x in inputs]
    ahead, behind = (
        loss(tuple(x + step * d for x, d in zip(inputs, direction, strict=True)))[0] for step in (1e-5, -1e-5)
    )
    pairs = list(zip(gradients, direction, strict=True))
    scale = sum(float(np.linalg.norm(g) * np.linalg.norm(d)) for g, d in pairs)
    expected = sum(float(np.sum(g * d)) for g, d in pairs)
    assert abs(float(ahead - behind) / 2e-5 - expected) <= 1e-6 * max(0.1, scale)


@pytest.mark.parametrize("backend", BACKENDS[:1] + BACKENDS[2:], ids=str)  # NumPy in float64 is the truth
@ON_EVERY_CASE
@settings(max_examples=3)
@given(data=st.data())
def test_values_and_gradients_are_those_of_plain_numpy(
    backend: Backend, name: str, data: st.DataObject
) -> None:
    inputs = data.draw(draw_inputs(name))
    value, gradients = differentiate(name, inputs)
    found, found_gradients = differentiate(name, backend.move(inputs))
    for x, expected in zip((found, *found_gradients), (value, *gradients), strict=True):
        dtype = backend.dtype if np.isrealobj(expected) else f"complex{2 * int(backend.dtype[-2:])}"
        assert str(x.dtype).removeprefix("torch.") == dtype
        largest = max(1, np.abs(expected).max(initial=0))
        x = to_backend(x, "numpy")
        assert x.shape == expected.shape
        np.testing.assert_allclose(x, expected, rtol=0, atol=TOLERANCES[backend.dtype] * largest)


@ON_EVERY_CASE
def test_values_on_the_strict_standard_are_those_of_plain_numpy(name: str) -> None:
    register_strict()
    inputs = CASES[name].draw(0)
    moved = to_backend(inputs, "array-api-strict")
    assert all(x.device == array_api_strict_backend.DEVICE for x in moved)
    found = to_backend(CASES[name].call(namespace(*moved), *moved), "numpy")
    np.testing.assert_allclose(found, CASES[name].call(numpy_backend, *inputs), rtol=1e-9, atol=1e-12)


@on_every_backend
def test_a_row_without_a_real_key_gives_zero_and_padding_gets_no_gradient(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    inputs = backend.move(tuple(rng.normal(size=(3, 2, 5, 3)) for _ in range(3)))
    is_real = backend.move(IS_REAL)

    def loss(inputs: tuple) -> tuple:
        xp = namespace(*inputs)
        answer = xp.attention(*inputs, is_real)
        return xp.sum(answer * answer), answer

    (_, answer), gradients = to_backend(value_and_grad(loss, has_aux=True)(inputs), "numpy")
    assert (answer[1] == 0).all()
    for gradient in gradients:
        assert np.isfinite(gradient).all() and (gradient[1] == 0).all()
    for of_keys in gradients[1:]:
        assert (of_keys.transpose(0, 2, 1, 3)[~IS_REAL] == 0).all()


@on_every_backend
def test_equal_values_stay_in_their_order_and_share_the_gradient(backend: Backend) -> None:
    repeated, x = np.array([2.0, 1, 2, 1, 2, 1] * 50), np.array([3.0, 5.0, 5.0])
    moved = backend.move(repeated)
    backend.assert_close(namespace(moved).argsort(moved), np.argsort(repeated, kind="stable"))
    expected = {"max": [0, 0.5, 0.5], "maximum": [0, 0.5, 0.5], "minimum": [1, 0.5, 0.5], "abs": [0, 0, 0]}
    calls = {
        "max": lambda xp, x: xp.max(x),
        "maximum": lambda xp, x: xp.sum(xp.maximum(x, 5.0)),
        "minimum": lambda xp, x: xp.sum(xp.minimum(x, 5.0)),
        "abs": lambda xp, x: xp.sum(xp.abs(x - x)) + xp.sum(xp.abs(0 * x)),
    }
    for name, call in calls.items():
        _, gradient = value_and_grad(lambda x, call=call: call(namespace(x), x))(backend.move(x))
        assert to_backend(gradient, "numpy").tolist() == expected[name], name


@on_every_backend
def test_constants_are_made_where_the_array_is_and_in_its_precision(backend: Backend) -> None:
    x = backend.move(np.ones((2, 3)))
    xp = namespace(x)
    for made, dtype in (
        (xp.as_like(0.5, x), backend.dtype),
        (xp.as_like([1, 2], x), "int64"),
        (xp.as_like(np.array([True]), x), "bool"),
        (xp.as_like(0.5, xp.rfft(x)), backend.dtype),
        (xp.as_like(0.5, xp.arange(2, x)), "float64"),
        (xp.zeros((2, 1), x), backend.dtype),
        (xp.arange(4, x), "int64"),
        (xp.astype(x > 0, x.dtype), backend.dtype),
    ):
        assert str(made.dtype).removeprefix("torch.") == dtype
        assert getattr(made, "device", None) == getattr(x, "device", None)
