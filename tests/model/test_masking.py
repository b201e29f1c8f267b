"""Masking: which tokens are kept and which are hidden, said a second time with sorted lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import flatten, to_backend
from minitvlt.model.masking import Masking, find_speech, frame_masking, random_masking, span_masking
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import BACKENDS, on_every_backend
from tests.helpers.sources import Source

RATIOS = (0.0, 0.15, 0.3, 0.5, 0.75, 0.9, 0.999)


def mask_by_sorting(
    noise: np.ndarray, ratio: float, mask: np.ndarray | None
) -> list[tuple[list[int], list[int]]]:
    """Of every row the tokens that are kept, in order, and those that are hidden."""
    rows = []
    for b in range(len(noise)):
        real = [n for n in range(noise.shape[1]) if mask is None or mask[b, n]]
        order = sorted(real, key=lambda n, b=b: noise[b, n])  # stable: ties stay in order
        kept = int(len(real) * (1 - ratio))
        rows.append((order[:kept], order[kept:]))
    return rows


def list_rows(masking: Masking) -> list[tuple[list[int], list[int]]]:
    """Read kept and hidden tokens off a masking; the hidden ones as they come in the shuffled order."""
    rows = []
    for b in range(len(masking.keep)):
        hidden = [n for n in np.argsort(masking.restore[b]).tolist() if masking.is_hidden[b, n]]
        rows.append((masking.keep[b][masking.keep_is_real[b]].tolist(), hidden))
    return rows


def draw_arguments(data) -> tuple[np.ndarray, float, np.ndarray | None]:
    s = Source(data.draw)
    B, N = s.size(1, 5), s.size(1, 13)
    return s.noise(B, N), s.choose(*RATIOS), s.choose(None, s.rng.random((B, N)) < 0.6)


@given(data=st.data())
def test_masking_is_that_of_sorted_lists(data):
    noise, ratio, mask = draw_arguments(data)
    masking = random_masking(noise, ratio, mask)
    expected = mask_by_sorting(noise, ratio, mask)
    assert list_rows(masking) == expected
    assert masking.keep.shape[1] == max(len(kept) for kept, _ in expected)
    assert masking.keep.shape == masking.keep_is_real.shape


@given(data=st.data())
def test_restoring_undoes_the_shuffling(data):
    masking = random_masking(*draw_arguments(data))
    B, K = masking.keep.shape
    for b in range(B):
        assert sorted(masking.restore[b]) == list(range(masking.restore.shape[1]))
        assert [masking.restore[b, n] for n in masking.keep[b]] == list(range(K))


@pytest.mark.parametrize(
    ("N", "ratio"), [(10, 0.9), (7, 0.75), (13, 0.15), (20, 0.05), (3, 1 / 3), (1, 0.5), (5, 0.0)]
)
def test_the_count_is_pythons_own_to_the_last_bit(N, ratio):
    """10 · (1 - 0.9) is 0.9999999999999998, so nothing is kept; on every backend, whatever its precision."""
    noise = np.random.default_rng(0).random((2, N))
    assert random_masking(noise, ratio).keep.shape == (2, int(N * (1 - ratio)))
    mask = np.array([[True] * N + [False] * 3] * 2)
    longer = np.concatenate([noise, noise[:, :1].repeat(3, axis=1)], axis=1)
    assert random_masking(longer, ratio, mask).keep.shape == (2, int(N * (1 - ratio)))


def test_equal_noise_is_kept_in_order():
    masking = random_masking(np.zeros((1, 5)), 0.5)
    assert masking.keep.tolist() == [[0, 1]]
    assert masking.is_hidden.tolist() == [[False, False, True, True, True]]


def test_padding_is_neither_kept_nor_hidden_and_changes_nothing_for_the_others():
    noise = np.array([[0.5, 0.1, 0.9, 0.3, 0.7]])
    padded = np.concatenate([noise, [[0.0, 0.2]]], axis=1)  # padding with the smallest noise of all
    mask = np.array([[True] * 5 + [False] * 2])
    short, long = random_masking(noise, 0.4), random_masking(padded, 0.4, mask)
    assert list_rows(long) == list_rows(short)
    assert not long.is_hidden[0, 5:].any()


def test_a_shorter_clip_keeps_fewer_tokens_and_says_so():
    mask = np.array([[True] * 8, [True] * 4 + [False] * 4])
    masking = random_masking(np.random.default_rng(0).random((2, 8)), 0.5, mask)
    assert masking.keep_is_real.tolist() == [[True] * 4, [True, True, False, False]]
    assert masking.is_hidden.sum(axis=1).tolist() == [4, 2]


def test_a_clip_of_padding_alone_hides_nothing():
    masking = random_masking(np.random.default_rng(0).random((1, 3)), 0.5, np.zeros((1, 3), bool))
    assert not masking.is_hidden.any()
    assert masking.keep.shape == (1, 0)


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
    masking = span_masking(noise, ratio, is_speech, mask)
    expected = random_masking(noise, ratio, mask)
    np.testing.assert_array_equal(masking.is_hidden.sum(axis=1), expected.is_hidden.sum(axis=1))
    is_real = np.ones_like(is_speech) if mask is None else mask
    for b in range(len(noise)):
        visible = is_real[b] & ~masking.is_hidden[b]
        if (visible & is_speech[b]).any():  # then no other sound may be hidden
            assert not (masking.is_hidden[b] & ~is_speech[b]).any()


def test_speech_is_where_it_is_louder_than_the_middle_of_the_quietest_and_the_loudest():
    p, q = 3, 2
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 1, 5 * p, 2 * q))
    loud = [[False, True, True, False, False], [True, False, False, False, True]]
    for b in range(2):
        for s in range(5):
            audio[b, 0, s * p : (s + 1) * p] += 0.7 if loud[b][s] else -0.7
    np.testing.assert_array_equal(find_speech(audio, (p, q)), np.repeat(loud, 2, axis=1))


def test_there_is_no_speech_where_all_is_equally_loud():
    assert not find_speech(np.full((1, 1, 6, 4), -1.0), (2, 4)).any()


@on_every_backend
@given(data=st.data())
def test_every_backend_hides_the_same(backend, data):
    noise, ratio, mask = draw_arguments(data)
    moved = random_masking(*backend.move((noise, ratio, mask)))
    for name, array in flatten(random_masking(noise, ratio, mask)).items():
        np.testing.assert_array_equal(flatten(to_backend(moved, "numpy"))[name], array, err_msg=name)


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 2, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with annotations_unchecked(), pytest.raises(ValueError, match="at least 0 and below 1"):
        random_masking(np.zeros((2, 3)), ratio)


@pytest.mark.parametrize(
    "mask", [np.ones((2, 4), bool), np.ones(3, bool), np.ones((2, 3)), np.ones((2, 3), np.int64)]
)
def test_a_mask_of_another_shape_or_type_is_refused(mask):
    expected = r"as booleans of the shape \(2, 3\)"
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        random_masking(np.zeros((2, 3)), 0.5, mask)
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        span_masking(np.zeros((2, 3)), 0.5, mask)
    with annotations_unchecked(), pytest.raises(ValueError, match=r"booleans .* shape \(2, 6\)"):
        frame_masking(np.zeros((2, 3)), 0.5, 2, mask)


def test_noise_without_a_batch_is_refused():
    with (
        annotations_unchecked(),
        pytest.raises(ValueError, match=r"shape \(B, N\), one number a token, got \(3,\)"),
    ):
        random_masking(np.zeros(3), 0.5)


@pytest.mark.skipif(len(BACKENDS) < 3, reason="torch is not installed: nothing to mix NumPy with")
def test_noise_and_mask_of_two_libraries_are_refused():
    with annotations_unchecked(), pytest.raises(ValueError, match="Convert one side first"):
        random_masking(np.zeros((2, 3)), 0.5, to_backend(np.ones((2, 3), bool), "torch"))


def test_padding_is_last_whatever_the_noise_is():
    noise, mask = np.array([[1, np.inf, 2, np.nan]]), np.array([[False, True, True, True]])
    masking = random_masking(noise, 0.0, mask)
    assert masking.keep.tolist() == [[2, 1, 3]]
    assert not masking.is_hidden.any()


def test_speech_goes_first_whatever_the_scale_of_the_noise_is():
    is_speech = np.array([[True, True, False, False, False, False]])
    masking = span_masking(np.array([[-2, 0.5, 3, 1, 0, 200]]), 1 / 3, is_speech)
    assert masking.is_hidden.tolist() == is_speech.tolist()


def test_a_time_step_is_real_as_a_whole_or_not_at_all():
    with pytest.raises(ValueError, match="real as a whole or not at all"):
        frame_masking(np.array([[0.1, 0.9]]), 0.5, 2, np.array([[True, True, True, False]]))


def test_padding_does_not_change_where_speech_is():
    audio = np.random.default_rng(0).uniform(-1, 1, (3, 1, 8, 4))
    padded = np.concatenate([audio, np.zeros_like(audio)], axis=2)
    mask = np.arange(16) < np.array([[8], [4], [8]])
    expected = find_speech(audio, (2, 2), mask[:, :8])
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(
        find_speech(padded, (2, 2), mask), np.concatenate([expected, expected & False], 1)
    )
