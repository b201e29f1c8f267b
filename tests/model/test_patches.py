"""Patches: the order of tokens, and of the values inside one, by nested loops; and the way back."""

import numpy as np
import pytest

from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.oracles import patchify_audio_by_loops, patchify_video_by_loops

VIDEOS = [
    ((2, 3, 5, 6, 14), (3, 7)),
    ((1, 2, 3, 4, 6), (2, 2)),
    ((3, 1, 1, 5, 22), (1, 11)),
    ((2, 2, 3, 5, 7), (5, 7)),
]
SOUNDS = [
    ((2, 1, 6, 128), (2, 128)),
    ((3, 2, 15, 14), (5, 2)),
    ((1, 1, 7, 11), (1, 1)),
    ((2, 3, 4, 26), (4, 13)),
]


def make_picture(shape: tuple[int, ...]) -> np.ndarray:
    """No two values are equal, so a wrong order cannot hide."""
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


@pytest.mark.parametrize(("shape", "patch"), VIDEOS)
def test_video_patches_are_those_of_nested_loops(shape, patch):
    video = make_picture(shape)
    np.testing.assert_array_equal(patchify_video(video, patch), patchify_video_by_loops(video, patch))


@pytest.mark.parametrize(("shape", "patch"), SOUNDS)
def test_audio_patches_are_those_of_nested_loops(shape, patch):
    audio = make_picture(shape)
    np.testing.assert_array_equal(patchify_audio(audio, patch), patchify_audio_by_loops(audio, patch))


@pytest.mark.parametrize(("shape", "patch"), VIDEOS)
def test_video_is_laid_back(shape, patch):
    video = make_picture(shape)
    _, T, _, H, W = shape
    np.testing.assert_array_equal(
        unpatchify_video(patchify_video_by_loops(video, patch), patch, (T, H, W)), video
    )


@pytest.mark.parametrize(("shape", "patch"), SOUNDS)
def test_audio_is_laid_back(shape, patch):
    audio = make_picture(shape)
    rows = patchify_audio_by_loops(audio, patch)
    np.testing.assert_array_equal(unpatchify_audio(rows, patch, shape[-2:]), audio)


def test_the_first_token_of_a_frame_is_its_upper_left_corner():
    video = make_picture((1, 2, 3, 4, 6))
    tokens = patchify_video(video, (2, 3))
    assert tokens[0, 4, :3].tolist() == video[0, 1, :, 0, 0].tolist()  # channels last inside a token
    assert tokens[0, 5, 0] == video[0, 1, 0, 0, 3]  # the next one is to the right


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 3, 4, 6), r"5 axes \(B, T, C, H, W\), got the shape \(2, 3, 4, 6\)"),
        ((2, 3, 1, 5, 6), r"axis H of video has the size 5, which the patch 2 .* to 4 or 6"),
        ((2, 3, 1, 4, 7), r"axis W of video has the size 7, which the patch 3 .* to 6 or 9"),
        ((2, 0, 1, 4, 6), "without an axis of size 0"),
    ],
)
def test_a_video_that_cannot_be_cut_is_refused(shape, said):
    with annotations_unchecked(), pytest.raises(ValueError, match=said):
        patchify_video(np.zeros(shape), (2, 3))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((4, 6), r"4 axes \(B, C, S, F\), got the shape \(4, 6\)"),
        ((2, 1, 1, 6), r"axis S of audio has the size 1, which the patch 2 .* to 2"),
        ((2, 1, 4, 8), r"axis F of audio has the size 8, which the patch 3 .* to 6 or 9"),
    ],
)
def test_a_spectrogram_that_cannot_be_cut_is_refused(shape, said):
    with annotations_unchecked(), pytest.raises(ValueError, match=said):
        patchify_audio(np.zeros(shape), (2, 3))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((12, 12), (2, 4, 6)), ((1, 11, 12), (2, 4, 6)), ((1, 12, 13), (2, 4, 6)), ((1, 12, 12), (2, 5, 6))],
)
def test_rows_that_do_not_fill_the_frames_are_refused(shape, size):
    with annotations_unchecked(), pytest.raises(ValueError, match="size of whole patches"):
        unpatchify_video(np.zeros(shape), (2, 2), size)


@pytest.mark.parametrize(
    ("shape", "size"), [((4, 6), (4, 6)), ((1, 5, 6), (4, 6)), ((1, 4, 7), (4, 6)), ((1, 4, 6), (5, 6))]
)
def test_rows_that_do_not_fill_the_spectrogram_are_refused(shape, size):
    with annotations_unchecked(), pytest.raises(ValueError, match="size of whole patches"):
        unpatchify_audio(np.zeros(shape), (2, 3), size)
