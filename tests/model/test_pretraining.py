"""Pre-training: the losses number by number, hidden and visible patches, sums over micro-batches."""

import dataclasses
import math

import numpy as np
import pytest

from minitvlt.backends import map_tree, to_backend, value_and_grad
from minitvlt.model.masking import random_masking
from minitvlt.model.pretraining import (
    autoencode,
    count_targets,
    pretraining_loss,
    score_matches,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import NA, NV, make_small
from tests.helpers.oracles import patchify_audio_by_loops, patchify_video_by_loops

PADDED = pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])


def mean_error_by_loops(prediction: np.ndarray, target: np.ndarray, is_hidden: np.ndarray) -> float:
    """Mean over the hidden patches of the whole batch of each one's mean squared error."""
    errors = []
    for b, n in np.argwhere(is_hidden):
        squares = [(prediction[b, n, i] - target[b, n, i]) ** 2 for i in range(target.shape[2])]
        errors.append(sum(squares) / len(squares))
    return sum(errors) / max(1, len(errors))


@PADDED
@pytest.mark.parametrize("joint", [False, True], ids=["separate decoder", "joint decoder"])
def test_the_losses_are_those_of_plain_loops(is_padded, joint):
    weights = {"matching_weight": 0.7, "mae_weight": 0.3}
    params, batch = make_small(is_padded=is_padded, joint_decoder=joint, **weights)
    out, match_loss = pretraining_loss(params, batch), 0.0
    for logit, is_match in zip(out.match_logits, batch.is_match, strict=True):
        probability = 1 / (1 + math.exp(-logit))
        match_loss -= math.log(probability if is_match else 1 - probability) / len(batch.is_match)
    rows = patchify_video_by_loops(batch.video, (3, 5))
    video_loss = mean_error_by_loops(out.video_prediction, rows, batch.video_masking.is_hidden)
    rows = patchify_audio_by_loops(batch.audio, (2, 7))
    audio_loss = mean_error_by_loops(out.audio_prediction, rows, batch.audio_masking.is_hidden)
    assert float(out.match_loss) == pytest.approx(match_loss)
    assert float(out.video_loss) == pytest.approx(video_loss)
    assert float(out.audio_loss) == pytest.approx(audio_loss)
    assert float(out.loss) == pytest.approx(0.7 * match_loss + 0.3 * (video_loss + audio_loss))


@PADDED
def test_losses_and_gradients_of_micro_batches_add_up_to_those_of_the_whole(is_padded):
    params, batch = make_small(is_padded=is_padded)
    counts = count_targets(batch)
    assert counts.match == 5
    assert counts.video == batch.video_masking.is_hidden.sum()
    assert counts.audio == batch.audio_masking.is_hidden.sum()
    differentiate = value_and_grad(lambda params, part: pretraining_loss(params, part, counts).loss)
    expected = differentiate(params, batch)
    for count in (2, 5):
        parts = [map_tree(lambda x, at=slice(first, None, count): x[at], batch) for first in range(count)]
        found = [differentiate(params, part) for part in parts]
        assert sum(float(value) for value, _ in found) == pytest.approx(float(expected[0]))
        total = map_tree(lambda *arrays: sum(arrays), *(gradient for _, gradient in found))
        assert_trees_close(total, expected[1], rtol=1e-9, atol=1e-12)


def test_nothing_hidden_is_a_loss_of_zero():
    params, batch = make_small()
    maskings = (random_masking(np.zeros((5, N)), 0.0) for N in (NV, NA))
    names = ("video_masking", "audio_masking")
    out = pretraining_loss(params, dataclasses.replace(batch, **dict(zip(names, maskings, strict=True))))
    assert float(out.video_loss) == float(out.audio_loss) == 0
    assert float(out.loss) == pytest.approx(float(out.match_loss))


def test_where_nothing_is_kept_there_is_still_a_prediction():
    params, batch = make_small()
    dark = dataclasses.replace(batch, audio_masking=random_masking(np.zeros((5, NA)), 0.99))
    assert dark.audio_masking.keep.shape == (5, 0)
    assert np.isfinite(float(pretraining_loss(params, dark).loss))


def test_the_prediction_does_not_see_what_is_hidden():
    params, batch = make_small()
    pixels = np.repeat(batch.video_masking.is_hidden.reshape(5, 3, 2, 2), 3, axis=2).repeat(5, axis=3)
    other = np.where(pixels[:, :, None], 0.123, batch.video)
    one, two = autoencode(params, batch), autoencode(params, dataclasses.replace(batch, video=other))
    assert_trees_close(one, two, rtol=0)


def test_a_separate_decoder_decodes_each_modality_alone():
    """The mask token of audio reaches the prediction of video through a joint decoder alone."""
    changes = []
    for joint in (False, True):
        params, batch = make_small(joint_decoder=joint)
        before, _ = autoencode(params, batch)
        params.decoder.audio_mask_token[:] += 1
        after, _ = autoencode(params, batch)
        changes.append(np.abs(before - after).max())
    assert changes[0] == 0 < changes[1]


NEEDLESS = {
    "task_mae": ("video", "video_mask", "video_masking", "audio_masking"),
    "task_matching": ("mixed_video", "mixed_video_mask", "is_match"),
}
GIVEN = {
    "task_mae": {"loss", "match_loss", "match_logits"},
    "task_matching": {"loss", "video_loss", "audio_loss", "video_prediction", "audio_prediction"},
}


@pytest.mark.parametrize("left_out", NEEDLESS)
def test_a_task_that_is_left_out_gives_none_and_needs_nothing(left_out):
    params, batch = make_small(**{left_out: False})
    reduced = dataclasses.replace(batch, **dict.fromkeys(NEEDLESS[left_out]))
    out = pretraining_loss(params, reduced)
    assert {name for name, value in vars(out).items() if value is not None} == GIVEN[left_out]
    assert_trees_close(out, pretraining_loss(params, batch), rtol=1e-12)


@on_every_backend
@pytest.mark.parametrize("is_joint", [False, True], ids=["separate", "joint"])
@pytest.mark.parametrize(("kept", "left_out"), [("video", "audio"), ("audio", "video")])
def test_a_decoder_with_one_head_predicts_one_modality_and_has_its_loss_alone(
    backend, is_joint, kept, left_out
):
    params, batch = make_small(is_padded=True, joint_decoder=is_joint)
    both = pretraining_loss(params, batch)
    decoder = dataclasses.replace(params.decoder, **{f"{left_out}_head": None})
    alone = backend.move(dataclasses.replace(params, decoder=decoder))
    out = pretraining_loss(alone, backend.move(batch))
    assert getattr(out, f"{left_out}_loss") is getattr(out, f"{left_out}_prediction") is None
    for name in (f"{kept}_loss", f"{kept}_prediction", "match_loss"):
        backend.assert_close(getattr(out, name), getattr(both, name))
    backend.assert_close(out.loss, both.match_loss + getattr(both, f"{kept}_loss"))


# ---- bad input

MISSING = ("mixed_video", "is_match", "video", "video_masking", "audio_masking", "audio")
BAD_BATCHES = [
    *(({name: None}, f"lacks {name}") for name in MISSING),
    ({"is_match": np.ones(4, bool)}, r"is_match as booleans of the shape \(5,\), got bool .* \(4,\)"),
    ({"is_match": np.ones(5)}, "is_match as booleans .* got float64"),
    ({"mixed_video": np.zeros((4, 3, 2, 6, 10))}, "as many videos as audios, got 4 and 5"),
    ({"mixed_video_mask": np.ones((5, 3), bool)}, "video_mask as booleans"),
    ({"audio_mask": np.ones((5, 3), bool)}, "audio_mask as booleans"),
    ({"video": np.zeros((5, 3, 2, 6, 9))}, "axis W of video"),
    (
        {"video_masking": random_masking(np.zeros((5, 7)), 0.5)},
        r"video_masking.is_hidden as booleans of the shape \(5, 12\), .* \(5, 7\)",
    ),
    ({"is_match": to_backend(np.ones(5, bool), "torch")}, "different libraries"),
]


@pytest.mark.parametrize(("changed", "expected"), BAD_BATCHES)
def test_a_batch_that_does_not_fit_is_refused(changed, expected):
    params, batch = make_small()
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        pretraining_loss(params, dataclasses.replace(batch, **changed))


def test_what_is_missing_is_named():
    params, batch = make_small()
    with pytest.raises(ValueError, match="no decoder: make them with task_mae=True"):
        pretraining_loss(dataclasses.replace(params, decoder=None), batch)
    with pytest.raises(ValueError, match="no matching head: make them with task_matching=True"):
        score_matches(dataclasses.replace(params, matching=None), batch.video, batch.audio)
    with annotations_unchecked(), pytest.raises(ValueError, match="needs both"):
        score_matches(params, None, batch.audio)
