"""The tiles of attention: everything is in one of them, once, and each fits its memory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import numpy_tiles
from tests.helpers.tiles import cut_into_tiles

SIZES = st.tuples(*[st.integers(1, 9)] * 2, st.integers(1, 90))  # rows of a pile, keys and scores of a tile


@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 30), st.integers(0, 30), SIZES)
def test_every_score_is_in_one_tile_and_each_tile_fits(
    B: int, heads: int, N: int, M: int, sizes: tuple[int, int, int]
) -> None:
    seen = np.zeros((B, heads, N, M), int)
    x = np.zeros((B, heads, N, 3))
    with pytest.MonkeyPatch.context() as patch:
        cut_into_tiles(patch, *sizes, width=3)
        room = numpy_tiles.make_room(x)
        for part in numpy_tiles.cut_heads(B, heads, N, M):
            piles = numpy_tiles.pile([x[part]])
            for some, rows in numpy_tiles.cut_piles(piles, N):
                for keys in numpy_tiles.cut_keys(M):
                    seen[(*part, rows, keys)] += 1
                    assert math.prod(piles[:, :, some].shape[:4]) * (keys.stop - keys.start) <= room.size
    assert (seen == 1).all()


@given(st.integers(0, 50), st.integers(1, 60))
def test_a_cut_covers_everything_once_in_parts_of_nearly_one_size(n: int, most: int) -> None:
    parts = numpy_tiles.cut(n, most)
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    sizes = {part.stop - part.start for part in parts}
    assert not sizes or (max(sizes) <= most and max(sizes) - min(sizes) <= 1)


@given(st.integers(0, 1000))
def test_keys_are_cut_at_whole_registers(M: int) -> None:
    parts = numpy_tiles.cut_keys(M)
    assert [i for part in parts for i in range(M)[part]] == list(range(M))
    assert all(part.start % numpy_tiles.REGISTER == 0 for part in parts)
    assert len(parts) == max(1, -(-M // numpy_tiles.KEYS))


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 2))
def test_piles_hold_the_rows_in_order_and_then_zeros(n: int, rows: int, more: int) -> None:
    rng = np.random.default_rng(n)
    columns = [rng.normal(size=(2, 3, n, width)) for width in [5, 1, 1][: 1 + more]]
    with pytest.MonkeyPatch.context() as patch:
        cut_into_tiles(patch, rows, keys=8, tile=1000, width=5)
        piles = numpy_tiles.pile(columns)
        parts = numpy_tiles.cut_piles(piles, n)
    assert piles.shape[3] <= rows
    np.testing.assert_array_equal(numpy_tiles.unpile(piles, n), np.concatenate(columns, axis=-1))
    assert not piles.reshape(2, 3, -1, 5 + more)[:, :, n:].any()
    for some, stretch in parts:
        count = stretch.stop - stretch.start
        np.testing.assert_array_equal(
            numpy_tiles.unpile(piles[:, :, some], count), numpy_tiles.unpile(piles, n)[:, :, stretch]
        )


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("sums_piles", [True, False])
def test_a_product_is_added_to_a_sum_or_begins_it(is_first: bool, sums_piles: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4, 5, 6)), rng.normal(size=(2, 3, 4, 6, 7))
    before = np.full((2, 3, 1 if sums_piles else 4, 5, 7), np.nan if is_first else 2.0)
    total = before.copy()
    numpy_tiles.add_product(x, y, total, is_first)
    product = np.einsum("bhpnm,bhpmd->bhnd" if sums_piles else "bhpnm,bhpmd->bhpnd", x, y)
    expected = product.reshape(before.shape) + (0 if is_first else 2.0)
    np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("d", [16, 32, 64, 128])
def test_piles_of_usual_heads_are_small_products_with_avx_512_and_elsewhere_fill_a_tile(
    d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for has_avx512 in (True, False):
        keys, most = numpy_tiles.choose_sizes(has_avx512)
        monkeypatch.setattr(numpy_tiles, "KEYS", keys)
        monkeypatch.setattr(numpy_tiles, "SMALL_PRODUCT", most)
        rows = numpy_tiles.pile([np.zeros((1, 1, 5000, d), np.float32)]).shape[3]
        size, limit = (rows * keys * (d + 2), most) if has_avx512 else (rows * keys, numpy_tiles.TILE)
        assert 0.9 * limit < size <= limit


def test_heads_wider_than_any_small_product_still_have_piles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_tiles, "SMALL_PRODUCT", 10**6)
    assert numpy_tiles.pile([np.zeros((1, 1, 3, 10**5), np.float32)]).shape == (1, 1, 3, 1, 10**5)
