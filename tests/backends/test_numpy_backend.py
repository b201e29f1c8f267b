"""The NumPy backend: the reference, so it is held to plain loops and to libraries that compute otherwise."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import erf

from minitvlt.backends import map_rows, numpy_attention, numpy_kernels, tape
from minitvlt.backends import numpy_backend as xp
from minitvlt.backends.numpy_kernels import choose_base, has_fast_powers
from tests.backends.cases import CASES, IS_REAL
from tests.helpers.tiles import cut_into_tiles

DTYPES = ("float32", "float64")


def test_every_function_of_the_waist_is_there_and_has_a_case() -> None:
    used = {name for case in CASES.values() for name in case.call.__code__.co_names}
    used |= {"attention", "as_like", "take_along_axis"}  # by helpers of the cases
    assert set(xp.FUNCTIONS) - used == {"from_numpy", "to_numpy"}
    assert [name for name in xp.FUNCTIONS if not callable(getattr(xp, name))] == []


# ------------------------------------------------------------------------------------- arrays in and out


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
    with pytest.raises(ValueError, match=r'must be "cpu", not .cuda'):
        xp.from_numpy(np.ones(2), "cuda")


def test_constants_take_the_precision_of_what_they_meet() -> None:
    single = np.ones(2, np.float32)
    assert xp.as_like(0.5, single).dtype == np.float32
    assert xp.as_like([0.5, 1.0], single.astype(np.complex64)).dtype == np.float32
    assert xp.as_like([1, 2], single).dtype == np.int64
    assert xp.as_like([True], single).dtype == bool
    assert xp.as_like([0.5], np.arange(3)).tolist() == [0.5]
    assert xp.zeros((2, 3), single).dtype == np.float32
    assert xp.arange(3, single).tolist() == [0, 1, 2]


# --------------------------------------------------------------------------------------------- moving


@given(st.data())
def test_take_along_axis_is_a_loop_over_the_places(data: st.DataObject) -> None:
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


def test_take_along_axis_takes_arrays_that_are_views() -> None:
    x = np.arange(30).reshape(2, 5, 3).transpose(0, 2, 1)
    indices = np.array([[2, 0], [1, 1]])[:, :, None]
    np.testing.assert_array_equal(xp.take_along_axis(x, indices, 1), [x[0, [2, 0]], x[1, [1, 1]]])


def test_equal_values_stay_in_their_order() -> None:
    assert xp.argsort(np.array([2.0, 1, 2, 1, 2, 1] * 5)).tolist() == [
        *range(1, 30, 2),
        *range(0, 30, 2),
    ]


# ---------------------------------------------------------------------------------- the neural network's


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
        np.testing.assert_allclose(
            y[b, n], (row - row.mean()) / deviation * weight + bias, rtol=1e-4, atol=1e-5
        )


def test_layer_norm_of_a_constant_row_is_the_bias() -> None:
    y = xp.layer_norm(
        np.full((3, 5), 1e4, np.float32), np.ones(5, np.float32), np.full(5, 0.5, np.float32), 1e-6
    )
    np.testing.assert_array_equal(y, np.full((3, 5), 0.5))


def test_gelu_is_exact_to_the_precision_of_float32() -> None:
    x = np.concatenate(
        [np.linspace(-12, 12, 100_003), [0.0, -0.0, 1e-30, -1e-30, 40.0, -40.0, 3e18, -3e18]]
    ).astype(np.float32)
    wide = x.astype(np.float64)
    y, slope = numpy_kernels.gelu_and_slope(x)
    assert y.dtype == slope.dtype == np.float32
    exact = wide * (0.5 + 0.5 * erf(wide / np.sqrt(2)))
    assert (np.abs(y - exact) <= 4e-7 * np.maximum(1, np.abs(wide))).all()
    exact_slope = 0.5 + 0.5 * erf(wide / np.sqrt(2)) + wide * np.exp(-0.5 * wide**2) / np.sqrt(2 * np.pi)
    assert (np.abs(slope - exact_slope) <= 1e-6).all()
    np.testing.assert_array_equal(xp.gelu(x), y)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 5), (0, 3)])
def test_gelu_in_double_precision_and_any_shape(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    assert xp.gelu(x).shape == shape
    np.testing.assert_allclose(xp.gelu(x), x * (0.5 + 0.5 * erf(x / np.sqrt(2))), rtol=1e-13, atol=1e-15)


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


def use_base(patch: pytest.MonkeyPatch, is_fast: bool) -> None:
    """Take the powers that are the faster ones here, or those that are on other machines."""
    for module in (numpy_attention, numpy_kernels):
        for name, value in zip(("POWER", "LOGARITHM", "UNIT"), choose_base(is_fast), strict=True):
            patch.setattr(module, name, value)


@pytest.mark.parametrize("is_fast", [True, False], ids=["powers of 2", "powers of e"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("safe", [0, 60], ids=["online", "bounded"])
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.sampled_from([None, IS_REAL]))
def test_attention_is_plain_loops_whatever_the_tiles(
    safe: int, dtype: str, is_fast: bool, rows: int, keys: int, tile: int, is_real: np.ndarray | None
) -> None:
    rng = np.random.default_rng(rows)
    query, key, value = (rng.normal(size=(3, 2, n, 3)).astype(dtype) for n in (7, 5, 5))
    with pytest.MonkeyPatch.context() as patch:
        use_base(patch, is_fast)
        cut_into_tiles(patch, rows, keys, tile, width=3)
        patch.setattr(numpy_attention, "SAFE_SCORE", safe)
        output, log_total = numpy_attention.attend(query, key, value, is_real)
    assert output.dtype == log_total.dtype == dtype
    expected = attend_by_loops(query, key, value, is_real)
    np.testing.assert_allclose(
        output, expected, **({"rtol": 1e-4, "atol": 1e-6} if dtype == "float32" else {})
    )
    scores = np.einsum("bhnd,bhmd->bhnm", query, key) / np.sqrt(3)
    weights = np.exp(scores - log_total) * (1 if is_real is None else is_real[:, None, None, :])
    is_any = np.ones(3) if is_real is None else is_real.any(axis=1)
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(is_any[:, None, None], (3, 2, 7)), rtol=1e-4)
    if is_real is not None:
        assert (output[1] == 0).all(), "no real key: exactly 0"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"exp2": {"ff": {"current": "AVX512_SKX", "available": "AVX512_SKX baseline(SSE)"}}}, True),
        ({"exp2": {"ff": {"current": "baseline(SSE)", "available": "AVX512_SKX baseline(SSE)"}}}, False),
        ({}, False),
    ],
)
def test_powers_of_2_are_taken_where_numpy_is_fast_with_them(found, expected, monkeypatch) -> None:
    monkeypatch.setattr(np.lib.introspect, "opt_func_info", lambda *_: found)
    assert has_fast_powers() is expected


def test_powers_of_2_and_of_e_give_the_same_derivatives() -> None:
    rng = np.random.default_rng(0)
    query, key, value, g = (rng.normal(size=(3, 2, n, 3)) for n in (7, 5, 5, 7))
    found = []
    for is_fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            use_base(patch, is_fast)
            output, log_total = numpy_attention.attend(query, key, value, IS_REAL)
            back = numpy_attention.carry_back_attention(g, output, log_total, query, key, value, IS_REAL)
            found.append((output, log_total, *back, *numpy_kernels.gelu_and_slope(query.astype(np.float32))))
    for two, e in zip(*found, strict=True):
        np.testing.assert_allclose(two, e, rtol=1e-6 if two.dtype == np.float32 else 1e-12, atol=1e-7)


@pytest.mark.parametrize(("N", "M"), [(0, 3), (2, 0), (0, 0)])
def test_attention_of_nothing_or_to_nothing(N: int, M: int) -> None:
    query, key = np.ones((2, 3, N, 5)), np.ones((2, 3, M, 5))
    np.testing.assert_array_equal(xp.attention(query, key, key), np.zeros((2, 3, N, 5)))


def test_attention_has_no_nan_where_nothing_is_real() -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(3, 2, n, 3)) for n in (7, 5, 5))
    expected = attend_by_loops(query, key, value, IS_REAL)
    np.testing.assert_allclose(xp.attention(query, key, value, IS_REAL), expected, rtol=1e-9)


def test_attention_in_float16_stays_within_its_range() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 5, 7)).astype(np.float16)
    padded = np.array([[True] * 5, [True, False, True, False, False], [False] * 5])
    answer = xp.attention(30 * x, 30 * x, x, padded)  # scores up to 7 · 90² / √7
    assert answer.dtype == np.float16
    np.testing.assert_allclose(answer, xp.attention(*(30 * x.astype(np.float32),) * 2, x, padded), atol=2e-3)


def test_attention_of_large_scores_does_not_overflow() -> None:
    query = np.full((1, 1, 2, 3), 100, np.float32)
    key = np.stack([np.full(3, 100), np.full(3, -100)]).astype(np.float32)[None, None]
    value = np.array([[1, 2, 3], [7, 7, 7]], np.float32)[None, None]
    np.testing.assert_allclose(xp.attention(query, key, value)[0, 0], [[1, 2, 3], [1, 2, 3]])


@given(st.integers(1, 40), st.integers(1, 9 * numpy_kernels.BLOCK // 20), st.booleans())
def test_rows_are_asked_for_in_blocks_that_fit_the_cache_and_joined_in_order(n, size, is_batched) -> None:
    asked = []

    def compute(rows: slice) -> np.ndarray:
        asked.append(rows)
        values = np.arange(n)[rows, None] * [1, 10]
        return np.stack([values, -values]) if is_batched else values

    x = np.zeros(1)
    joined = map_rows(compute, n, size, x)
    np.testing.assert_array_equal(joined[0] if is_batched else joined, np.arange(n)[:, None] * [1, 10])
    assert sorted(row for rows in asked for row in range(n)[rows]) == list(range(n)), "each row once"
    assert all((rows.stop - rows.start) * size <= numpy_kernels.BLOCK for rows in asked)


def test_a_library_without_blocks_is_asked_for_all_rows_at_once() -> None:
    import torch

    asked = []
    map_rows(lambda rows: asked.append(rows) or torch.zeros(7, 2), 7, 1 << 40, torch.zeros(1))
    assert asked == [slice(0, 7)]


def test_numpy_and_the_tape_have_the_same_values() -> None:
    for name, case in CASES.items():
        inputs = case.draw(1)
        np.testing.assert_array_equal(case.call(xp, *inputs), case.call(tape, *inputs), err_msg=name)
