"""What differs in the model between the released code and the port in transformers: one test a setting.

What differs in the processing of clips is in tests/signals/test_lineages.py.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from minitvlt.backends import map_tree
from minitvlt.config import ORIGINAL, Config
from minitvlt.model.parameters import Params, add_classifier
from minitvlt.model.pretraining import PretrainingBatch, autoencode, keep_tokens, pretraining_loss
from minitvlt.model.tasks import classify
from minitvlt.model.transformer import run_blocks, run_norm
from minitvlt.model.tvlt import embed_audio, embed_video, encode, forward
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import make_batch
from tests.helpers.models import draw_batch, draw_clips, draw_params

SETTINGS: dict[str, Any] = {
    "image_size": (6, 9),
    "image_patch_size": (3, 3),
    "num_frames": 3,
    "spectrogram_length": 10,
    "frequency_length": 6,
    "audio_patch_size": (2, 3),
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 11,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 13,
    "pixel_mask_ratio": 0.5,
    "audio_mask_ratio": 0.4,
}
NV, NA = 3 * 6, 5 * 2


@pytest.fixture
def params() -> Params:
    return draw_params(Config(**SETTINGS), np.random.default_rng(0))


@pytest.fixture
def batch(params: Params) -> PretrainingBatch:
    return draw_batch(params.config, np.random.default_rng(1), 3, 3, 5, is_padded=True)


def change(params: Params, **settings: Any) -> Params:
    return dataclasses.replace(params, config=params.config.replace(**settings))


def test_the_presets_name_every_setting_in_which_the_lineages_differ():
    port, released = Config.huggingface(), Config.original()
    assert port == Config()
    different = {name for name, value in released.to_dict().items() if value != getattr(port, name)}
    assert different == set(ORIGINAL)
    of_processing = {"frame_crop", "frame_interpolation", "remove_waveform_mean", "stft_padding"}
    of_processing |= {"drop_last_step", "audio_padding_value"}  # in tests/signals/test_lineages.py
    of_model = {"token_order", "cls_in_autoencoding", "classifier_pooler", "classifier_norm_eps"}
    assert different == of_processing | of_model | {"audio_mask_ratio", "audio_mask_type"}
    assert Config.original(hidden_size=384, num_attention_heads=6).token_order == "audio-first"


def test_token_order_moves_the_tokens_and_nothing_else(params, batch):
    clips = (batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    port = forward(params, *clips, return_hidden=True, return_attention=True)
    released = forward(change(params, token_order="audio-first"), *clips, True, True)
    order = [0, *range(1 + NV, 1 + NV + NA), *range(1, 1 + NV)]  # cls, audio, video
    np.testing.assert_allclose(released.sequence, port.sequence[:, order], atol=1e-12)
    for ours, theirs in zip(released.hidden, port.hidden, strict=True):
        np.testing.assert_allclose(ours, theirs[:, order], atol=1e-12)
    for ours, theirs in zip(released.attention, port.attention, strict=True):
        np.testing.assert_allclose(ours, theirs[:, :, order][:, :, :, order], atol=1e-12)
    for name in ("cls", "video", "audio"):
        np.testing.assert_allclose(getattr(released, name), getattr(port, name), atol=1e-12)
    losses = [pretraining_loss(p, batch).loss for p in (params, change(params, token_order="audio-first"))]
    np.testing.assert_allclose(*losses, rtol=1e-12)


@pytest.mark.parametrize("order", ["video-first", "audio-first"])
@pytest.mark.parametrize("left_out", ["video", "audio"])
def test_one_modality_alone_stands_right_behind_cls(params, batch, order, left_out):
    clips = {"video": batch.video, "audio": batch.audio, left_out: None}
    out = forward(change(params, token_order=order), clips["video"], clips["audio"])
    there = out.video if left_out == "audio" else out.audio
    np.testing.assert_array_equal(out.sequence, np.concatenate([out.cls[:, None], there], axis=1))


def test_cls_in_autoencoding_is_one_more_token_to_attend_to(params, batch):
    """The kept tokens alone run through the blocks where cls is left out, and behind cls where it is not."""
    config, encoder = params.config, params.encoder
    video = keep_tokens(embed_video(encoder, config, batch.video), batch.video_masking)
    audio = keep_tokens(embed_audio(encoder, config, batch.audio), batch.audio_masking)
    is_real = np.concatenate([batch.video_masking.keep_is_real, batch.audio_masking.keep_is_real], axis=1)
    x = run_blocks(np.concatenate([video, audio], axis=1), encoder.blocks, 2, 1e-6, is_real)
    expected = run_norm(x, encoder.norm, 1e-6)
    masks = (batch.video_masking.keep_is_real, batch.audio_masking.keep_is_real)
    found = encode(params, video, audio, *masks, has_cls=False)
    assert found.cls is None
    np.testing.assert_array_equal(found.sequence, expected)
    np.testing.assert_array_equal(found.audio, expected[:, video.shape[1] :])

    predictions = [autoencode(change(params, cls_in_autoencoding=there), batch) for there in (True, False)]
    for with_cls, without in zip(*predictions, strict=True):
        assert np.abs(with_cls - without).max() > 1e-3
    matching = [pretraining_loss(change(params, cls_in_autoencoding=there), batch) for there in (True, False)]
    np.testing.assert_array_equal(matching[0].match_logits, matching[1].match_logits)


def test_the_autoencoding_pass_of_the_lineages_differs_by_cls_alone(params, batch):
    released = change(params, **{name: ORIGINAL[name] for name in ("token_order", "cls_in_autoencoding")})
    port_without_cls = change(params, cls_in_autoencoding=False)
    for ours, theirs in zip(autoencode(released, batch), autoencode(port_without_cls, batch), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def run_head(head: Any, x: np.ndarray, eps: float) -> np.ndarray:
    """The classifier in plain NumPy; with the pooler if there is one."""
    if head.pooler is not None:
        x = np.tanh(x @ head.pooler.weight.T + head.pooler.bias)
    x = x @ head.expand.weight.T + head.expand.bias
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    x = x * head.norm.weight + head.norm.bias
    return x * (1 + erf(x / np.sqrt(2))) / 2 @ head.output.weight.T + head.output.bias


@pytest.mark.parametrize("lineage", [Config.huggingface, Config.original])
def test_the_classifier_has_a_pooler_in_the_released_code_and_none_in_transformers(lineage, batch):
    params = draw_params(lineage(**SETTINGS), np.random.default_rng(2), "classifier")
    assert (params.classifier.pooler is not None) == (lineage == Config.original)
    made = add_classifier(params, seed=3)
    assert (made.classifier.pooler is None) == (params.classifier.pooler is None)
    clips = (batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    expected = run_head(params.classifier, forward(params, *clips).cls, params.config.classifier_norm_eps)
    np.testing.assert_allclose(classify(params, *clips), expected, rtol=1e-9)


def test_the_eps_of_the_classifier_is_that_of_the_lineage(batch):
    """On answers so small that the eps is seen; the LayerNorms of the encoder keep theirs."""
    params = draw_params(Config(**SETTINGS), np.random.default_rng(2), "classifier")
    small = dataclasses.replace(
        params.classifier, expand=map_tree(lambda array: 1e-3 * array, params.classifier.expand)
    )
    params = dataclasses.replace(params, classifier=small)
    clips = (batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    logits = []
    for eps in (1e-6, ORIGINAL["classifier_norm_eps"]):
        logits.append(classify(change(params, classifier_norm_eps=eps), *clips))
        np.testing.assert_allclose(logits[-1], run_head(small, forward(params, *clips).cls, eps), rtol=1e-9)
    assert np.abs(logits[0] - logits[1]).max() > 0.1


def test_by_default_transformers_hides_a_few_whole_steps_of_sound_and_the_released_code_most_patches():
    settings = {name: SETTINGS[name] for name in SETTINGS if not name.endswith("mask_ratio")}
    hidden = []
    for config in (Config.huggingface(**settings), Config.original(**settings)):
        clips = Examples(*draw_clips(config, np.random.default_rng(4), 20, 3, 5))
        batch = make_batch(clips, config, np.random.default_rng(5))
        hidden.append(batch.audio_masking.is_hidden.reshape(20, 5, 2))
        assert (batch.video_masking.is_hidden.sum(axis=1) == NV - int(NV * 0.25)).all()
    assert (hidden[0].all(axis=2) == hidden[0].any(axis=2)).all()
    assert (hidden[0].sum(axis=(1, 2)) == 2 * (5 - int(5 * 0.85))).all()
    assert (hidden[1].all(axis=2) != hidden[1].any(axis=2)).any()
    assert (hidden[1].sum(axis=(1, 2)) == NA - int(NA * 0.25)).all()
