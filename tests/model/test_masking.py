"""Masking: which tokens are kept and which are hidden, computed a second time with sorted lists."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import to_backend
from minitvlt.model.masking import Masking, find_speech, frame_masking, random_masking, span_masking
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.sources import Source


def count_kept(N: int, ratio: float) -> int:
    """⌊N (1 - ratio)⌋ in fractions, of the ratio as it is written."""
    return int(N * (1 - Fraction(str(ratio))))


def mask_by_sorting(
    noise: np.ndarray, ratio: float, mask: np.ndarray | None
) -> list[tuple[list[int], list[int]]]:
    """List for every row the tokens that are kept, in order, and those that are hidden."""
    rows = []
    for b in range(len(noise)):
        real = [n for n in range(noise.shape[1]) if mask is None or mask[b, n]]
        order = sorted(real, key=lambda n, b=b: noise[b, n])  # stable: ties stay in order
        kept = count_kept(len(real), ratio)
        rows.append((order[:kept], order[kept:]))
    return rows


def list_rows(masking: Masking) -> list[tuple[list[int], list[int]]]:
    """List kept and hidden tokens of a masking; the hidden ones as they come in the shuffled order."""
    rows = []
    for b in range(len(masking.keep)):
        hidden = [n for n in np.argsort(masking.restore[b]).tolist() if masking.is_hidden[b, n]]
        rows.append((masking.keep[b][masking.keep_is_real[b]].tolist(), hidden))
    return rows


def draw_arguments(data) -> tuple[np.ndarray, float, np.ndarray | None]:
    """Draw noise with ties, a ratio, and a mask that may leave a row without a real token."""
    s = Source(data.draw)
    B, N = s.size(1, 5), s.size(1, 13)
    ratio = s.choose(0.0, 0.15, 0.3, 0.5, 0.75, 0.9, 0.999)
    return s.noise(B, N), ratio, s.choose(None, s.rng.random((B, N)) < 0.6)


@given(data=st.data())
def test_masking_is_that_of_sorted_lists(data):
    noise, ratio, mask = draw_arguments(data)
    masking = random_masking(noise, ratio, mask)
    expected = mask_by_sorting(noise, ratio, mask)
    assert list_rows(masking) == expected
    B, K = masking.keep.shape
    assert max(len(kept) for kept, _ in expected) == K and masking.keep_is_real.shape == (B, K)
    for b in range(B):  # restoring undoes the shuffling
        assert sorted(masking.restore[b]) == list(range(noise.shape[1]))
        assert masking.restore[b, masking.keep[b]].tolist() == list(range(K))


def test_the_count_is_exact_where_that_of_transformers_is_one_less():
    """10 · (1 - 0.9) is 0.9999999999999998: `int` of it keeps nothing. With padding beside it, too."""
    rng, differ = np.random.default_rng(0), set()
    for ratio, N in itertools.product([tenth / 10 for tenth in range(1, 10)], range(1, 101)):
        noise, mask = rng.random((1, N + 3)), np.arange(N + 3)[None] < N
        for masking in (random_masking(noise[:, :N], ratio), random_masking(noise, ratio, mask)):
            assert masking.keep.shape[1] == count_kept(N, ratio)
        if int(N * (1 - ratio)) != count_kept(N, ratio):  # as in transformers' generate_pixel_mask_noise
            differ.add((ratio, N))
    expected = {(0.8, N) for N in range(5, 101, 5)} | {(0.9, N) for N in range(10, 101, 10)} | {(0.3, 90)}
    assert differ == expected


def test_padding_is_last_whatever_the_noise_is():
    noise, mask = np.array([[1, np.inf, 2, np.nan]]), np.array([[False, True, True, True]])
    masking = random_masking(noise, 0.0, mask)
    assert masking.keep.tolist() == [[2, 1, 3]] and not masking.is_hidden.any()


@given(data=st.data(), tokens=st.integers(1, 5))
def test_frames_are_hidden_as_a_whole(data, tokens):
    noise, ratio, steps_mask = draw_arguments(data)
    mask = None if steps_mask is None else np.repeat(steps_mask, tokens, axis=1)
    steps, masking = random_masking(noise, ratio, steps_mask), frame_masking(noise, ratio, tokens, mask)
    for b in range(len(noise)):
        for n in range(noise.shape[1] * tokens):
            step, place = divmod(n, tokens)
            assert masking.is_hidden[b, n] == steps.is_hidden[b, step]
            assert masking.restore[b, n] == steps.restore[b, step] * tokens + place
        for k in range(steps.keep.shape[1] * tokens):
            step, place = divmod(k, tokens)
            assert masking.keep[b, k] == steps.keep[b, step] * tokens + place
            assert masking.keep_is_real[b, k] == steps.keep_is_real[b, step]


@given(data=st.data())
def test_spans_hide_speech_before_anything_else(data):
    noise, ratio, mask = draw_arguments(data)
    is_speech = np.random.default_rng(0).random(noise.shape) < 0.4
    masking = span_masking(1e3 * noise - 200, ratio, is_speech, mask)  # of whatever scale
    expected = random_masking(noise, ratio, mask)
    np.testing.assert_array_equal(masking.is_hidden.sum(axis=1), expected.is_hidden.sum(axis=1))
    is_real = np.ones_like(is_speech) if mask is None else mask
    for b in range(len(noise)):
        visible = is_real[b] & ~masking.is_hidden[b]
        assert not (visible & is_speech[b]).any() or not (masking.is_hidden[b] & ~is_speech[b]).any()


def test_speech_is_where_it_is_louder_than_the_middle_of_the_quietest_and_the_loudest():
    p, q = 3, 2
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 1, 5 * p, 2 * q))
    loud = np.array([[False, True, True, False, False], [True, False, False, False, True], [False] * 5])
    audio += np.where(loud, 0.7, -0.7).repeat(p, axis=1)[:, None, :, None]
    audio[2] = -1.0  # equally loud everywhere: no speech
    expected = np.repeat(loud, 2, axis=1)
    np.testing.assert_array_equal(find_speech(audio, (p, q)), expected)
    padded = np.concatenate([audio, np.zeros_like(audio)], axis=2)  # padding changes nothing
    found = find_speech(padded, (p, q), np.arange(20) < np.full((3, 1), 10))
    np.testing.assert_array_equal(found, np.concatenate([expected, np.zeros_like(expected)], axis=1))


NOISE, MASK = np.zeros((2, 3)), np.ones((2, 3), bool)
SHAPE = r"as booleans of the shape \(2, 3\)"
BAD_INPUT = [
    (lambda: random_masking(NOISE, -0.1), "at least 0 and below 1"),
    (lambda: random_masking(NOISE, 1.0), "at least 0 and below 1"),
    (lambda: random_masking(NOISE, float("nan")), "at least 0 and below 1"),
    (lambda: random_masking(NOISE, 0.5, np.ones((2, 4), bool)), SHAPE),
    (lambda: random_masking(NOISE, 0.5, np.ones((2, 3))), SHAPE),
    (lambda: span_masking(NOISE, 0.5, np.ones((2, 3), np.int64)), SHAPE),
    (lambda: span_masking(NOISE, 0.5, MASK, MASK[0]), SHAPE),
    (lambda: frame_masking(NOISE, 0.5, 2, MASK), r"booleans .* shape \(2, 6\)"),
    (lambda: frame_masking(NOISE[:1, :2], 0.5, 2, np.arange(4)[None] < 3), "real as a whole or not at all"),
    (lambda: random_masking(np.zeros(3), 0.5), r"shape \(B, N\), one number a token, got \(3,\)"),
    (lambda: random_masking(NOISE, 0.5, to_backend(MASK, "torch")), "Convert one side first"),
]


@pytest.mark.parametrize(("call", "expected"), BAD_INPUT)
def test_bad_input_is_refused(call, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        call()
