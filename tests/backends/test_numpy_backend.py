"""The plain NumPy backend, compared with nested loops and with SciPy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import erf

from minitvlt.backends import numpy_backend as xp
from minitvlt.backends import tape_backend
from tests.backends.cases import CASES, IS_REAL

DTYPES = ("float32", "float64")


def test_every_function_of_the_array_interface_exists_and_has_a_case() -> None:
    used = {name for case in CASES.values() for name in case.call.__code__.co_names}
    used |= {"attention", "as_like", "take_along_axis"}  # by helpers of the cases
    assert set(xp.FUNCTIONS) - used == {"from_numpy", "to_numpy"}
    assert [name for name in xp.FUNCTIONS if not callable(getattr(xp, name))] == []


def test_the_tape_computes_the_same_values() -> None:
    for name, case in CASES.items():
        inputs = case.draw(1)
        np.testing.assert_array_equal(case.call(xp, *inputs), case.call(tape_backend, *inputs), err_msg=name)


# ---------------------------------------------------------------------------------- conversion and creation


def test_only_floating_point_arrays_change_their_dtype() -> None:
    assert xp.from_numpy(np.ones(2), None, "float32").dtype == np.float32
    assert xp.from_numpy(np.arange(2), "cpu", "float32").dtype == np.int64
    assert xp.from_numpy(np.array([True]), None, "float32").dtype == bool
    x = np.ones(2)
    assert xp.from_numpy(x) is x and xp.to_numpy(x) is x


@pytest.mark.parametrize("dtype", ["float31", "bfloat16", ""])
def test_an_unknown_dtype_is_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match="float32 or float64"):
        xp.from_numpy(np.ones(2), None, dtype)


def test_another_device_is_refused() -> None:
    with pytest.raises(ValueError, match=r'expected device "cpu", got .cuda'):
        xp.from_numpy(np.ones(2), "cuda")


def test_constants_take_the_precision_of_the_other_array() -> None:
    single = np.ones(2, np.float32)
    assert xp.as_like(0.5, single).dtype == np.float32
    assert xp.as_like([0.5, 1.0], single.astype(np.complex64)).dtype == np.float32
    assert xp.as_like([1, 2], single).dtype == np.int64
    assert xp.as_like([True], single).dtype == bool
    assert xp.as_like([0.5], np.arange(3)).tolist() == [0.5]
    assert xp.zeros((2, 3), single).dtype == np.float32
    assert xp.arange(3, single).tolist() == [0, 1, 2]


# -------------------------------------------------------------------------------------------- selection


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


def test_equal_values_stay_in_their_order() -> None:
    assert xp.argsort(np.array([2.0, 1, 2, 1, 2, 1] * 5)).tolist() == [*range(1, 30, 2), *range(0, 30, 2)]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 9))
def test_sliding_windows_are_slices(length: int, step: int, more: int) -> None:
    x = np.arange(2.0 * (length + more)).reshape(2, length + more)
    windows = xp.sliding_windows(x, length, step)
    assert windows.shape == (2, more // step + 1, length)
    for t in range(windows.shape[1]):
        np.testing.assert_array_equal(windows[:, t], x[:, t * step : t * step + length])


# ---------------------------------------------------------------------------------------- neural network


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3)])
def test_linear_is_a_sum_of_products(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=s).astype(dtype) for s in (shape, (7, 3), (7,)))
    expected = np.empty((*shape[:-1], 7))
    for place in np.ndindex(*expected.shape):
        expected[place] = sum(x[(*place[:-1], i)] * weight[place[-1], i] for i in range(3))
    y = xp.linear(x, weight)
    assert y.dtype == dtype and y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xp.linear(x, weight, bias), expected + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_normalises_every_row(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2, 5, 7)) * 3 + 10).astype(dtype)
    weight, bias = rng.normal(size=(2, 7)).astype(dtype)
    y = xp.layer_norm(x, weight, bias, 1e-2)
    assert y.dtype == dtype
    for b, n in itertools.product(range(2), range(5)):
        row = x[b, n].astype(float)
        deviation = np.sqrt(np.mean((row - row.mean()) ** 2) + 1e-2)
        expected = (row - row.mean()) / deviation * weight + bias
        np.testing.assert_allclose(y[b, n], expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_of_a_constant_row_is_the_bias() -> None:
    x, ones = np.full((3, 5), 1e4, np.float32), np.ones(5, np.float32)
    np.testing.assert_array_equal(xp.layer_norm(x, ones, ones / 2, 1e-6), np.full((3, 5), 0.5))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 5), (0, 3)])
def test_gelu_is_x_times_the_normal_distribution_function(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    assert xp.gelu(x).shape == shape
    np.testing.assert_allclose(xp.gelu(x), x * (0.5 + 0.5 * erf(x / np.sqrt(2))), rtol=1e-13, atol=1e-15)


def test_gelu_of_large_values() -> None:
    x = np.array([40, -40, 3e18, -3e18, 0], np.float32)
    np.testing.assert_array_equal(xp.gelu(x), np.maximum(x, 0))


def test_softmax_does_not_overflow() -> None:
    x = np.array([[1e4, 1e4 + np.log(3)], [-1e4, -1e4], [-np.inf, 0]])
    np.testing.assert_allclose(xp.softmax(x), [[0.25, 0.75], [0.5, 0.5], [0, 1]], rtol=1e-9)


def attend_by_loops(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, is_real: np.ndarray | None
) -> np.ndarray:
    """Attention, one query at a time, with one number for every key."""
    B, heads, N, d = query.shape
    output = np.zeros((B, heads, N, d))
    for b, h, n in itertools.product(range(B), range(heads), range(N)):
        keys = [m for m in range(key.shape[2]) if is_real is None or is_real[b, m]]
        weights = [np.exp(np.dot(query[b, h, n], key[b, h, m]) / np.sqrt(d)) for m in keys]
        for m, weight in zip(keys, weights, strict=True):
            output[b, h, n] += weight / sum(weights) * value[b, h, m]
    return output


@pytest.mark.parametrize("is_real", [None, IS_REAL], ids=["all real", "padding"])
def test_attention_is_a_loop_over_queries_and_keys(is_real: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(3, 2, n, 3)) for n in (7, 5, 5))
    output = xp.attention(query, key, value, is_real)
    np.testing.assert_allclose(output, attend_by_loops(query, key, value, is_real), rtol=1e-9)
    if is_real is not None:
        assert (output[1] == 0).all(), "a clip without a real key gives exactly 0"


@pytest.mark.parametrize(("N", "M"), [(0, 3), (2, 0), (0, 0)])
def test_attention_without_queries_or_without_keys(N: int, M: int) -> None:
    query, key = np.ones((2, 3, N, 5)), np.ones((2, 3, M, 5))
    np.testing.assert_array_equal(xp.attention(query, key, key), np.zeros((2, 3, N, 5)))


def test_attention_of_large_scores_does_not_overflow() -> None:
    query = np.full((1, 1, 2, 3), 100, np.float32)
    key = np.stack([np.full(3, 100), np.full(3, -100)]).astype(np.float32)[None, None]
    value = np.array([[1, 2, 3], [7, 7, 7]], np.float32)[None, None]
    np.testing.assert_allclose(xp.attention(query, key, value)[0, 0], [[1, 2, 3], [1, 2, 3]])
