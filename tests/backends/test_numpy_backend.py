"""The plain NumPy backend, compared with nested loops and with SciPy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import erf

from minitvlt.backends import numpy_backend as xp
from tests.backends.cases import IS_REAL
from tests.helpers.backends import using_kernels
from tests.helpers.oracles import attend_by_loops
from tests.helpers.tracing import count_functions


@given(st.data())
def test_take_along_axis_is_a_loop_over_the_elements(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    wanted = [data.draw(st.sampled_from([1, n])) for n in shape]
    wanted[axis] = data.draw(st.integers(1, 5))
    indices = data.draw(hnp.arrays(int, tuple(wanted), elements=st.integers(0, shape[axis] - 1)))
    x = np.arange(np.prod(shape)).reshape(shape)
    result_shape = list(shape)
    result_shape[axis] = wanted[axis]
    expected = np.empty(result_shape, int)
    for place in np.ndindex(*result_shape):
        source = list(place)
        source[axis] = indices[tuple(0 if n == 1 else i for i, n in zip(place, indices.shape, strict=True))]
        expected[place] = x[tuple(source)]
    np.testing.assert_array_equal(xp.take_along_axis(x, indices, axis), expected)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 9))
def test_sliding_windows_are_slices(length: int, step: int, more: int) -> None:
    x = np.arange(2.0 * (length + more)).reshape(2, length + more)
    windows = xp.sliding_windows(x, length, step)
    assert windows.shape == (2, more // step + 1, length)
    for t in range(windows.shape[1]):
        np.testing.assert_array_equal(windows[:, t], x[:, t * step : t * step + length])


@pytest.mark.parametrize("shape", [(3,), (2, 5, 3)])
def test_linear_is_a_sum_of_products(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=s) for s in (shape, (7, 3), (7,)))
    expected = np.empty((*shape[:-1], 7))
    for place in np.ndindex(*expected.shape):
        expected[place] = sum(x[(*place[:-1], i)] * weight[place[-1], i] for i in range(3))
    np.testing.assert_allclose(xp.linear(x, weight), expected, rtol=1e-12)
    np.testing.assert_allclose(xp.linear(x, weight, bias), expected + bias, rtol=1e-12)


def test_layer_norm_normalises_every_row() -> None:
    rng = np.random.default_rng(0)
    x, (weight, bias) = rng.normal(size=(2, 5, 7)) * 3 + 10, rng.normal(size=(2, 7))
    y = xp.layer_norm(x, weight, bias, 1e-2)
    for b, n in itertools.product(range(2), range(5)):
        deviation = np.sqrt(np.mean((x[b, n] - x[b, n].mean()) ** 2) + 1e-2)
        expected = (x[b, n] - x[b, n].mean()) / deviation * weight + bias
        np.testing.assert_allclose(y[b, n], expected, rtol=1e-9)
    constant, ones = np.full((3, 5), 1e4, np.float32), np.ones(5, np.float32)
    np.testing.assert_array_equal(xp.layer_norm(constant, ones, ones / 2, 1e-6), np.full((3, 5), 0.5))


@pytest.mark.parametrize("shape", [(), (2, 3, 5), (0, 3)])
def test_gelu_is_x_times_the_normal_distribution_function(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    assert xp.gelu(x).shape == shape
    np.testing.assert_allclose(xp.gelu(x), x * (0.5 + 0.5 * erf(x / np.sqrt(2))), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("is_real", [None, IS_REAL], ids=["all real", "padding"])
@pytest.mark.parametrize(("N", "M"), [(7, 5), (0, 5)])
def test_attention_is_a_loop_over_queries_and_keys(is_real: np.ndarray | None, N: int, M: int) -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(3, 2, n, 3)) for n in (N, M, M))
    expected = attend_by_loops(query, key, value, is_real)
    np.testing.assert_allclose(xp.attention(query, key, value, is_real), expected, rtol=1e-9)


def test_large_values_do_not_overflow() -> None:
    x = np.array([40, -40, 3e18, -3e18, 0], np.float32)
    np.testing.assert_array_equal(xp.gelu(x), np.maximum(x, 0))
    x = np.array([[1e4, 1e4 + np.log(3)], [-1e4, -1e4], [-np.inf, 0]])
    np.testing.assert_allclose(xp.softmax(x), [[0.25, 0.75], [0.5, 0.5], [0, 1]], rtol=1e-9)
    query = np.full((1, 1, 2, 3), 100, np.float32)
    key = np.stack([np.full(3, 100), np.full(3, -100)]).astype(np.float32)[None, None]
    value = np.array([[1, 2, 3], [7, 7, 7]], np.float32)[None, None]
    np.testing.assert_allclose(xp.attention(query, key, value)[0, 0], [[1, 2, 3], [1, 2, 3]])


def test_attention_passes_through_three_functions_and_other_kernels_through_one() -> None:
    x, heads = np.ones((2, 5, 3)), np.ones((3, 2, 5, 7))
    with using_kernels("plain"):
        attending = count_functions(lambda: xp.attention(heads, heads, heads, IS_REAL))
        others = count_functions(lambda: xp.gelu(xp.linear(xp.layer_norm(x, x[0, 0], x[0, 0], 1e-6), x[0])))
    assert ("backends/numpy_backend.py", "attention") in attending
    assert len(attending) <= 3 and len(others) <= 3, sorted(attending | others)
