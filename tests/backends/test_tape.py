"""The tape: every VJP against finite differences and torch's autograd, and the backward pass."""

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import Array, namespace, tape_backend, to_backend, value_and_grad
from minitvlt.backends.tape import TapeArray, sum_to_shape
from tests.backends.cases import CASES, IS_REAL, draw_inputs

torch = pytest.importorskip("torch")


def make_loss(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a scalar of a function's result in which every element has a weight of its own."""

    def loss(inputs: tuple[Any, ...]) -> Any:
        xp = namespace(*inputs)
        y = call(xp, *inputs)
        weights = np.cos(np.arange(np.prod(y.shape, dtype=int)) + 0.5).reshape(tuple(y.shape))
        total = xp.sum(xp.real(y) * xp.as_like(weights, y))
        if "complex" in str(y.dtype):
            total = total + xp.sum(xp.imag(y) * xp.as_like(np.sin(weights), y))
        return total

    return loss


def differentiate_along(
    loss: Callable[..., Any], inputs: tuple[np.ndarray, ...], direction: tuple[np.ndarray, ...]
) -> float:
    """Slope of the loss as all inputs move along one direction, by central differences."""
    step = 1e-5
    ahead, behind = (
        loss(tuple(x + sign * step * d for x, d in zip(inputs, direction, strict=True))) for sign in (1, -1)
    )
    return float(ahead - behind) / (2 * step)


def assert_equal_relatively(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Compare within a share of the largest element (and of 1, for gradients that vanish)."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max(initial=0))
    )


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8)
@given(data=st.data())
def test_gradient_is_that_of_finite_differences_and_of_torch(name: str, data: st.DataObject) -> None:
    loss, inputs = make_loss(CASES[name].call), data.draw(draw_inputs(name))
    value, gradients = value_and_grad(loss)(inputs)
    torch_value, torch_gradients = value_and_grad(loss)(to_backend(inputs, "torch"))
    assert_equal_relatively(np.asarray(value), np.asarray(loss(inputs)), 1e-13)
    assert_equal_relatively(np.asarray(value), torch_value.numpy(), 1e-12)
    for ours, theirs in zip(gradients, torch_gradients, strict=True):
        assert_equal_relatively(ours, theirs.numpy(), 1e-12)
    for seed in range(2):
        direction = tuple(np.random.default_rng(seed + x.size).normal(size=x.shape) for x in inputs)
        terms = [float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True)]
        scale = sum(
            float(np.linalg.norm(g) * np.linalg.norm(d)) for g, d in zip(gradients, direction, strict=True)
        )
        assert abs(sum(terms) - differentiate_along(loss, inputs, direction)) <= 1e-6 * max(0.1, scale)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name: str) -> None:
    loss, inputs = make_loss(CASES[name].call), CASES[name].draw(0, dtype="float32")
    value, gradients = value_and_grad(loss)(inputs)
    assert value.dtype == np.float32
    assert [g.dtype for g in gradients] == [np.float32] * len(inputs)
    _, exact = value_and_grad(loss)(tuple(x.astype(np.float64) for x in inputs))
    for gradient, reference in zip(gradients, exact, strict=True):
        assert_equal_relatively(gradient, reference, 2e-5)


def test_padding_gets_no_gradient_at_all() -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(3, 2, 5, 3)) for _ in range(3))
    loss = make_loss(lambda xp, q, k, v: xp.attention(q, k, v, IS_REAL))
    _, (for_query, for_key, for_value) = value_and_grad(loss)((query, key, value))
    assert (for_query[1] == 0).all(), "a row without any real key"
    for b, n in np.argwhere(~IS_REAL):
        assert (for_key[b, :, n] == 0).all() and (for_value[b, :, n] == 0).all()
    assert (for_value[0, :, 0] != 0).all()


def test_equal_largest_values_share_the_gradient() -> None:
    x, xp = np.array([3.0, 5.0, 5.0]), tape_backend
    assert value_and_grad(lambda x: xp.max(x))(x)[1].tolist() == [0, 0.5, 0.5]
    assert value_and_grad(lambda x: xp.sum(xp.maximum(x, 5.0)))(x)[1].tolist() == [0, 0.5, 0.5]
    assert value_and_grad(lambda x: xp.sum(xp.minimum(x, 5.0)))(x)[1].tolist() == [1, 0.5, 0.5]


def test_the_gradient_of_abs_at_zero_is_zero() -> None:
    xp = tape_backend
    assert value_and_grad(lambda x: xp.sum(xp.abs(x)))(np.zeros(3))[1].tolist() == [0, 0, 0]


# ------------------------------------------------------------------------------------------------ constants


def test_numpy_beside_the_tape_is_a_constant() -> None:
    x, constant = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    for call in (
        lambda x: constant * x,
        lambda x: x * constant,
        lambda x: tape_backend.concat([constant, x * constant]),
    ):
        assert value_and_grad(lambda x, call=call: tape_backend.sum(call(x)))(x)[1].tolist() == [3, 5]
    assert isinstance(constant + TapeArray(x), TapeArray)
    assert isinstance(np.float32(2) * TapeArray(x), TapeArray)


def test_what_depends_on_constants_alone_is_not_recorded() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert isinstance(tape_backend.exp(x), np.ndarray)
    assert isinstance(tape_backend.layer_norm(x, x[0], x[0], 1e-6), np.ndarray)
    assert isinstance(tape_backend.linear(x, x), np.ndarray)
    assert isinstance(tape_backend.as_like(1.0, TapeArray(x)), np.ndarray)


@pytest.mark.parametrize("compare", ["__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"])
def test_comparisons_are_plain_booleans(compare: str) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for other in (y, TapeArray(y), 2.0):
        result = getattr(TapeArray(x), compare)(other)
        assert isinstance(result, np.ndarray) and result.dtype == bool
        assert (result == getattr(x, compare)(y)).all()


def test_order_and_whole_numbers_are_not_recorded() -> None:
    x = TapeArray(np.array([3.0, 1.0, 1.0]))
    assert tape_backend.argsort(x).tolist() == [1, 2, 0]
    assert isinstance(tape_backend.astype(x, np.dtype("int64")), np.ndarray)
    assert tape_backend.arange(3, x).dtype == np.int64
    assert tape_backend.zeros((2, 1), x).dtype == np.float64


# ------------------------------------------------------------------------------------------- bookkeeping


@dataclass(frozen=True)
class Leaves:
    """A tree of parameters of all kinds"""

    weight: Array
    unused: Array
    steps: Array
    is_on: Array
    absent: None
    layers: tuple[Array, ...]


def make_leaves() -> Leaves:
    rng = np.random.default_rng(3)
    return Leaves(
        rng.normal(size=(3, 2)).astype(np.float32),
        np.ones((2, 5)),
        np.arange(3),
        np.array([True, False]),
        None,
        (rng.normal(size=(2,)), np.float64(3.0) * np.ones(())),
    )


def use_leaves(p: Leaves, factor: float) -> tuple[Any, Any]:
    xp = namespace(p.weight)
    y = xp.where(p.is_on, p.weight, 0.0) * p.layers[0] * factor + p.layers[1]
    picked = xp.take(y, p.steps, axis=0)
    return xp.sum(picked), (picked, p.steps, "a word", None)


def test_gradients_are_a_tree_like_the_parameters_with_zeros_where_nothing_depends() -> None:
    params = make_leaves()
    (value, aux), gradients = value_and_grad(use_leaves, has_aux=True)(params, 2.0)
    assert isinstance(gradients, Leaves) and gradients.absent is None
    assert isinstance(value, np.floating | np.ndarray) and value.shape == ()
    np.testing.assert_array_equal(gradients.unused, np.zeros((2, 5)))
    np.testing.assert_array_equal(gradients.steps, np.zeros(3, int))
    np.testing.assert_array_equal(gradients.is_on, np.zeros(2, bool))
    assert gradients.steps.dtype == np.int64 and gradients.is_on.dtype == bool
    np.testing.assert_allclose(gradients.weight, np.tile([params.layers[0][0] * 2, 0], (3, 1)), rtol=1e-6)
    assert gradients.layers[1] == 6
    assert [type(part) for part in aux] == [np.ndarray, np.ndarray, str, type(None)]
    assert not any(isinstance(part, TapeArray) for part in aux)


def test_gradients_are_arrays_of_their_own() -> None:
    x = np.ones((2, 3))
    value, gradients = value_and_grad(lambda p: tape_backend.sum(p[0] + p[1]))((x, x.copy()))
    gradients[0][:] = 7
    assert (gradients[1] == 1).all() and (x == 1).all() and value == 12
    assert all(g.flags.writeable and g.flags.owndata for g in gradients)


def test_the_parameters_may_be_one_array_and_the_value_may_be_a_parameter() -> None:
    assert value_and_grad(lambda x: x)(np.array(3.0)) == (3.0, 1.0)
    value, gradient = value_and_grad(lambda x: np.float64(2.0))(np.array(3.0))
    assert (value, gradient) == (2.0, 0.0)
    assert value_and_grad(lambda x: 2.0)(np.array([3.0]))[0] == 2.0


def test_a_value_that_is_no_scalar_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scalar.*\(3,\)"):
        value_and_grad(lambda x: x * 2)(np.ones(3))
    with pytest.raises(ValueError, match=r"scalar.*\(1,\)"):
        value_and_grad(lambda x: x * 2)(np.ones(1))


def test_indexing_by_an_array_is_refused() -> None:
    x = TapeArray(np.ones((3, 2)))
    for index in (np.array([0, 1]), [0, 1], (slice(None), np.array([True, False]))):
        with pytest.raises(ValueError, match="take"):
            x[index]
    assert x[np.int64(1), 0].shape == ()


def test_vectors_are_no_matrices() -> None:
    with pytest.raises(ValueError, match=r"matrices.*\(3,\)"):
        tape_backend.matmul(TapeArray(np.ones(3)), np.ones((3, 2)))


def test_a_computation_may_be_long() -> None:
    def count_up(x: Array) -> Array:
        for _ in range(2000):
            x = x + 1.0
        return x

    assert value_and_grad(count_up)(np.array(0.0)) == (2000.0, 1.0)


def test_a_value_used_often_is_summed_without_touching_anybody_elses_memory() -> None:
    def diamond(x: Array) -> Array:
        a = x + 0.0  # its cotangent is shared with x's
        b = a + a  # g twice
        c = tape_backend.reshape(b, (3, 2)) * 2.0
        d = tape_backend.reshape(b, (3, 2))
        return tape_backend.sum(c + d) + tape_backend.sum(a[0, :]) + tape_backend.sum(a * b)

    x = np.random.default_rng(0).normal(size=(2, 3))
    expected = 6 + 4 * x + np.array([[1], [0]])
    np.testing.assert_allclose(value_and_grad(diamond)(x)[1], expected)


def test_what_was_saved_is_freed_on_the_way_back() -> None:
    n, steps = 100_000, 40

    def run(x: Array) -> Array:
        for _ in range(steps):
            x = tape_backend.tanh(x)
        return tape_backend.sum(x)

    x = np.ones(n)
    gc.collect()
    tracemalloc.start()
    value_and_grad(run)(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (steps + 8) * 8 * n


def test_broadcasting_is_undone_in_shape_and_dtype() -> None:
    g = np.arange(30.0).reshape(2, 5, 3)
    assert sum_to_shape(g, np.empty((5, 1), np.float32)).dtype == np.float32
    np.testing.assert_array_equal(sum_to_shape(g, np.empty((5, 1))), g.sum((0, 2))[:, None])
    np.testing.assert_array_equal(sum_to_shape(g, np.empty(())), g.sum())
    assert sum_to_shape(g * 1j, np.empty((2, 5, 3))).dtype == np.float64


def test_a_tape_array_shows_its_value() -> None:
    assert repr(TapeArray(np.array([1.0, 2.0]))) == "TapeArray(array([1., 2.]))"
    assert TapeArray(np.ones((2, 3))).ndim == 2
