"""Patches: the order of tokens, and of the values inside one, by nested loops; and the inverse."""

import numpy as np
import pytest

from minitvlt.model.patches import patchify_audio, patchify_video, unpatchify_audio, unpatchify_video
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.oracles import patchify_audio_by_loops, patchify_video_by_loops

VIDEO = patchify_video, unpatchify_video, patchify_video_by_loops
AUDIO = patchify_audio, unpatchify_audio, patchify_audio_by_loops
CASES = [
    (VIDEO, (2, 3, 5, 6, 14), (3, 7)),
    (VIDEO, (3, 1, 1, 5, 22), (1, 11)),
    (AUDIO, (2, 1, 6, 128), (2, 128)),
    (AUDIO, (3, 2, 15, 14), (5, 2)),
]


@pytest.mark.parametrize(("functions", "shape", "patch"), CASES)
def test_patches_are_those_of_nested_loops_and_can_be_put_together_again(functions, shape, patch):
    patchify, unpatchify, by_loops = functions
    clip = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)  # no two values are equal
    rows = by_loops(clip, patch)
    np.testing.assert_array_equal(patchify(clip, patch), rows)
    size = shape[-2:] if len(shape) == 4 else (shape[1], *shape[-2:])
    np.testing.assert_array_equal(unpatchify(rows, patch, size), clip)


BAD_CLIPS = [
    (patchify_video, (2, 3, 4, 6), r"5 axes \(B, T, C, H, W\), .* got the shape \(2, 3, 4, 6\)"),
    (patchify_video, (2, 3, 1, 5, 6), r"axis H of video has the size 5, which the patch 2 .* to 4 or 6"),
    (patchify_video, (2, 0, 1, 4, 6), "none of the size 0"),
    (patchify_audio, (4, 6), r"4 axes \(B, C, S, F\), .* got the shape \(4, 6\)"),
    (patchify_audio, (2, 1, 1, 6), r"axis S of audio has the size 1, which the patch 2 .* to 2"),
    (patchify_audio, (2, 1, 4, 8), r"axis F of audio has the size 8, which the patch 3 .* to 6 or 9"),
]


@pytest.mark.parametrize(("patchify", "shape", "expected"), BAD_CLIPS)
def test_a_clip_that_the_patches_do_not_divide_is_refused(patchify, shape, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        patchify(np.zeros(shape), (2, 3))


@pytest.mark.parametrize("patch", [(2, 0), (2,), 2, (2.0, 3.0)])
def test_a_patch_is_two_whole_numbers(patch):
    with annotations_unchecked(), pytest.raises(ValueError, match="a patch as two whole numbers above 0"):
        patchify_video(np.zeros((2, 3, 1, 4, 6)), patch)


BAD_ROWS = [
    (unpatchify_video, (12, 12), (2, 4, 6)),
    (unpatchify_video, (1, 8, 12), (2, 5, 6)),
    (unpatchify_audio, (4, 6), (4, 6)),
    (unpatchify_audio, (1, 5, 6), (4, 6)),
]


@pytest.mark.parametrize(("unpatchify", "shape", "size"), BAD_ROWS)
def test_rows_that_do_not_fill_the_clip_are_refused(unpatchify, shape, size):
    with annotations_unchecked(), pytest.raises(ValueError, match="size of whole patches"):
        unpatchify(np.zeros(shape), (2, 3), size)
