"""Pre-training: the losses number by number, hidden and pasted patches, parts that add up to the whole."""

import dataclasses
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import to_backend, value_and_grad, walk
from minitvlt.config import Config
from minitvlt.model.masking import Masking, random_masking
from minitvlt.model.parameters import Params, init
from minitvlt.model.pretraining import (
    PretrainingBatch,
    autoencode,
    count_targets,
    keep_tokens,
    paste_visible,
    pretraining_loss,
    restore_tokens,
    score_matches,
    sum_squared_error,
)
from minitvlt.training.batches import split_batch
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close
from tests.helpers.models import draw_batch, draw_params
from tests.helpers.oracles import patchify_audio_by_loops, patchify_video_by_loops
from tests.helpers.sources import Source

CONFIG = Config(
    image_size=(6, 10),
    image_patch_size=(3, 5),
    num_frames=3,
    num_image_channels=2,
    spectrogram_length=10,
    frequency_length=21,
    audio_patch_size=(2, 7),
    hidden_size=14,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=11,
    decoder_hidden_size=10,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=13,
    audio_mask_ratio=0.5,
    matching_weight=0.7,
    mae_weight=0.3,
)
NV, NA = 3 * 2 * 2, 5 * 3


def make_case(
    is_padded: bool = False, B: int = 5, config: Config = CONFIG
) -> tuple[Params, PretrainingBatch]:
    rng = np.random.default_rng(0)
    return draw_params(config, rng), draw_batch(config, rng, B, 3, 5, is_padded)


def mean_error_by_loops(prediction: np.ndarray, target: np.ndarray, is_hidden: np.ndarray) -> float:
    """Mean over the hidden patches of the whole batch of each one's mean squared error."""
    errors = []
    for b, n in np.argwhere(is_hidden):
        squares = [(prediction[b, n, i] - target[b, n, i]) ** 2 for i in range(target.shape[2])]
        errors.append(sum(squares) / len(squares))
    return sum(errors) / max(1, len(errors))


@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
@pytest.mark.parametrize("joint", [False, True], ids=["separate decoder", "joint decoder"])
def test_the_losses_are_those_of_plain_loops(is_padded, joint):
    params, batch = make_case(is_padded, config=CONFIG.replace(joint_decoder=joint))
    out = pretraining_loss(params, batch)
    match_loss = 0.0
    for logit, is_match in zip(out.match_logits, batch.is_match, strict=True):
        probability = 1 / (1 + math.exp(-logit))
        match_loss -= math.log(probability if is_match else 1 - probability) / len(batch.is_match)
    video_rows, audio_rows = (
        patchify_video_by_loops(batch.video, (3, 5)),
        patchify_audio_by_loops(batch.audio, (2, 7)),
    )
    video_loss = mean_error_by_loops(out.video_prediction, video_rows, batch.video_masking.is_hidden)
    audio_loss = mean_error_by_loops(out.audio_prediction, audio_rows, batch.audio_masking.is_hidden)
    assert float(out.match_loss) == pytest.approx(match_loss)
    assert float(out.video_loss) == pytest.approx(video_loss)
    assert float(out.audio_loss) == pytest.approx(audio_loss)
    assert float(out.loss) == pytest.approx(0.7 * match_loss + 0.3 * (video_loss + audio_loss))


def test_only_hidden_patches_count():
    rng = np.random.default_rng(0)
    prediction, target = rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 3, 5))
    is_hidden = np.array([[True, False, False], [False, True, True]])
    elsewhere = np.where(is_hidden[:, :, None], prediction, 100.0)
    expected = sum_squared_error(prediction, target, is_hidden)
    assert float(sum_squared_error(elsewhere, target, is_hidden)) == float(expected)
    assert float(sum_squared_error(prediction, target, np.zeros((2, 3), bool))) == 0


@given(data=st.data())
def test_kept_tokens_return_to_their_places_and_the_mask_token_fills_all_others(data):
    s = Source(data.draw)
    B, N = s.size(1, 4), s.size(1, 9)
    mask = s.choose(None, s.rng.random((B, N)) < 0.7)
    masking, tokens, mask_token = (
        random_masking(s.noise(B, N), s.choose(0.0, 0.5, 0.8), mask),
        s.array(B, N, 2),
        s.array(2),
    )
    kept = keep_tokens(tokens, masking)
    for b in range(B):
        for k, n in enumerate(masking.keep[b]):
            np.testing.assert_array_equal(kept[b, k], tokens[b, n])
    restored = restore_tokens(kept, mask_token, masking)
    for b in range(B):
        seen = set(masking.keep[b][masking.keep_is_real[b]].tolist())
        for n in range(N):
            if mask is None or mask[b, n]:  # what padding holds is nobody's business
                np.testing.assert_array_equal(restored[b, n], tokens[b, n] if n in seen else mask_token)


def test_a_picture_is_completed_with_what_was_visible():
    prediction, target = np.zeros((1, 3, 2)), np.arange(6.0).reshape(1, 3, 2)
    pasted = paste_visible(prediction, target, np.array([[True, False, True]]))
    assert pasted.tolist() == [[[0, 0], [2, 3], [0, 0]]]


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("is_padded", [False, True], ids=["unpadded", "padded"])
def test_the_losses_and_gradients_of_the_parts_add_up_to_those_of_the_whole(parts, is_padded):
    params, batch = make_case(is_padded)
    counts = count_targets(batch)

    def differentiate(part: PretrainingBatch) -> tuple:
        return value_and_grad(lambda p: pretraining_loss(p, part, counts).loss)(params)

    loss, gradient = differentiate(batch)
    found = [differentiate(part) for part in split_batch(batch, parts)]
    assert sum(float(value) for value, _ in found) == pytest.approx(float(loss))
    for name, expected in walk(gradient):
        total = sum(dict(walk(part))[name] for _, part in found)
        np.testing.assert_allclose(total, expected, atol=1e-12, err_msg=name)


def test_targets_are_counted_over_real_hidden_patches():
    _, batch = make_case(is_padded=True)
    counts = count_targets(batch)
    assert counts.match == 5
    assert counts.video == batch.video_masking.is_hidden.sum()
    assert counts.audio == batch.audio_masking.is_hidden.sum()
    assert not (batch.video_masking.is_hidden & ~batch.video_mask).any()


def hide_nothing(masking: Masking) -> Masking:
    return random_masking(np.zeros(masking.is_hidden.shape), 0.0)


def test_nothing_hidden_is_a_loss_of_zero():
    params, batch = make_case()
    whole = dataclasses.replace(
        batch,
        video_masking=hide_nothing(batch.video_masking),
        audio_masking=hide_nothing(batch.audio_masking),
    )
    out = pretraining_loss(params, whole)
    assert float(out.video_loss) == float(out.audio_loss) == 0
    assert float(out.loss) == pytest.approx(0.7 * float(out.match_loss))


def test_so_high_a_ratio_that_nothing_is_kept_still_gives_a_prediction():
    params, batch = make_case()
    dark = dataclasses.replace(batch, audio_masking=random_masking(np.zeros((5, NA)), 0.99))
    out = pretraining_loss(params, dark)
    assert dark.audio_masking.keep.shape == (5, 0)
    assert np.isfinite(float(out.loss))


def test_the_prediction_does_not_see_what_is_hidden():
    params, batch = make_case()
    pixels = np.repeat(batch.video_masking.is_hidden.reshape(5, 3, 2, 2), 3, axis=2).repeat(5, axis=3)
    other = np.where(pixels[:, :, None], 0.123, batch.video)
    one, two = autoencode(params, batch), autoencode(params, dataclasses.replace(batch, video=other))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_a_separate_decoder_gives_each_modality_its_own_sequence():
    config = CONFIG.replace(joint_decoder=True)
    params, batch = make_case(config=config)
    joint = autoencode(params, batch)
    separate = autoencode(dataclasses.replace(params, config=CONFIG), batch)
    assert np.abs(joint[0] - separate[0]).max() > 1e-6


@pytest.mark.parametrize(
    ("left_out", "given"),
    [
        ("task_mae", {"match_loss", "match_logits"}),
        ("task_matching", {"video_loss", "audio_loss", "video_prediction", "audio_prediction"}),
    ],
)
def test_a_task_that_is_left_out_leaves_none_and_asks_for_nothing(left_out, given):
    config = CONFIG.replace(**{left_out: False})
    params, batch = make_case(config=config)
    needless = {
        "task_mae": {"video": None, "video_mask": None, "video_masking": None, "audio_masking": None},
        "task_matching": {"mixed_video": None, "mixed_video_mask": None, "is_match": None},
    }[left_out]
    out = pretraining_loss(params, dataclasses.replace(batch, **needless))
    present = {field.name for field in dataclasses.fields(out) if getattr(out, field.name) is not None}
    assert present == given | {"loss"}
    assert_trees_close(
        pretraining_loss(params, dataclasses.replace(batch, **needless)),
        pretraining_loss(params, batch),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "missing", ["mixed_video", "is_match", "video", "video_masking", "audio_masking", "audio"]
)
def test_a_part_that_a_task_needs_is_asked_for_by_name(missing):
    params, batch = make_case()
    with annotations_unchecked(), pytest.raises(ValueError, match=f"lacks {missing}"):
        pretraining_loss(params, dataclasses.replace(batch, **{missing: None}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
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
        (
            {"audio_masking": random_masking(np.zeros((4, NA)), 0.5)},
            r"audio_masking.is_hidden as booleans of the shape \(5, 15\), .* \(4, 15\)",
        ),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(changed, said):
    params, batch = make_case()
    with annotations_unchecked(), pytest.raises(ValueError, match=said):
        pretraining_loss(params, dataclasses.replace(batch, **changed))


def test_parameters_without_the_part_that_is_needed_are_refused():
    params, batch = make_case()
    with pytest.raises(ValueError, match="no decoder: make them with task_mae=True"):
        pretraining_loss(dataclasses.replace(params, decoder=None), batch)
    with pytest.raises(ValueError, match="no matching head: make them with task_matching=True"):
        score_matches(init(CONFIG.replace(task_matching=False)), batch.video, batch.audio)


def test_a_batch_of_another_library_is_refused():
    pytest.importorskip("torch", reason="nothing to mix NumPy with")
    params, batch = make_case()
    with annotations_unchecked(), pytest.raises(ValueError, match="different libraries"):
        pretraining_loss(params, to_backend(batch, "torch"))


def test_matching_needs_both_senses():
    params, batch = make_case()
    with annotations_unchecked(), pytest.raises(ValueError, match="needs both"):
        score_matches(params, None, batch.audio)


def test_a_batch_is_checked_once():
    params, batch = make_case(is_padded=True)
    calls = []

    def count(frame, event, _):
        code = frame.f_code
        if event == "call" and "minitvlt/model/" in code.co_filename and "check_" in code.co_name:
            calls.append(code.co_name)

    with annotations_unchecked():
        sys.setprofile(count)
        try:
            pretraining_loss(params, batch)
        finally:
            sys.setprofile(None)
    assert calls.count("check_batch") == 1 and calls.count("check_clips") == 2
    assert len(calls) <= 48, calls  # of them 12 are those of `patchify_video`, which is public, too
