"""The traps of the released code and of transformers 4.40.2, one after the other: none of them is here.

Where it is cheap, a test first falls into the trap over there, so that it is known to exist.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minitvlt as mt
from minitvlt.model.masking import find_speech
from minitvlt.model.tasks import TaskBatch, pool_tokens, task_loss
from minitvlt.signals.spectrogram import make_mel_filters
from minitvlt.training.metrics import compute_ranks, compute_recall
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close
from tests.helpers.media import make_frames, make_sweep, needs_av, write_media
from tests.helpers.models import draw_batch, draw_clips, draw_params
from tests.helpers.peers import make_pair, make_theirs, transformers

SIZES: dict[str, Any] = {
    "image_size": 8,
    "image_patch_size": (4, 4),
    "num_frames": 3,
    "spectrogram_length": 12,
    "frequency_length": 8,
    "audio_patch_size": (2, 4),
    "hidden_size": 12,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 11,
    "decoder_hidden_size": 10,
    "decoder_num_attention_heads": 2,
    "decoder_num_hidden_layers": 2,
    "decoder_intermediate_size": 9,
}
CONFIG = mt.Config(**SIZES)
B, NV, NA = 5, 3 * 4, 6 * 2  # clips, tokens
SECOND = 44100


def draw_model(*parts: str, **changes: Any) -> mt.Params:
    return draw_params(CONFIG.replace(**changes), np.random.default_rng(0), *parts)


def draw(config: mt.Config = CONFIG, is_padded: bool = False) -> mt.PretrainingBatch:
    return draw_batch(config, np.random.default_rng(1), B, 3, 6, is_padded)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float32)


VIDEO, AUDIO = draw_clips(CONFIG, np.random.default_rng(1), B, 3, 6)
CLIPS = tensor(VIDEO), tensor(AUDIO)
IS_MATCH = torch.tensor([1.0, 0, 1, 0, 0])


def pretrain_theirs(theirs: Any, seed: int = 0, **arguments: Any) -> Any:
    torch.manual_seed(seed)  # of what it hides
    return theirs.train()(*CLIPS, **({"labels": IS_MATCH, "pixel_values_mixed": CLIPS[0]} | arguments))


# ---- pre-training


def test_trap_01_audio_patches_are_masked_under_the_documented_name():
    with pytest.raises(ValueError, match="patch-level"):
        transformers.TvltConfig(audio_mask_type="patch-level")
    with pytest.raises(UnboundLocalError):
        pretrain_theirs(make_theirs("TvltForPreTraining", SIZES | {"audio_mask_type": "patch_level"}, 0))

    config = CONFIG.replace(audio_mask_type="patch-level", audio_mask_ratio=0.75)
    batch = mt.make_batch(mt.Examples(VIDEO, AUDIO), config, np.random.default_rng(0))
    assert np.isfinite(mt.pretraining_loss(draw_model(), batch).loss)
    is_hidden = batch.audio_masking.is_hidden.reshape(B, 6, 2)
    assert (is_hidden.any(axis=2) != is_hidden.all(axis=2)).any()  # parts of a step
    expected = "must be one of frame-level, patch-level, speech-span"
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        CONFIG.replace(audio_mask_type="patch_level")


def test_trap_02_gradient_checkpointing_changes_no_number_of_the_decoder():
    theirs = make_theirs("TvltForPreTraining", SIZES, 0)
    plain = pretrain_theirs(theirs)
    theirs.gradient_checkpointing_enable()
    saving = pretrain_theirs(theirs)
    assert (saving.pixel_logits - plain.pixel_logits).abs().max() > 0.01

    batch, found = draw(), []
    for saves_memory in (False, True):
        params = draw_model(gradient_checkpointing=saves_memory)
        gradients = mt.value_and_grad(lambda p: mt.pretraining_loss(p, batch).loss)(params)
        found.append((mt.autoencode(params, batch), gradients))
    assert_trees_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_trap_03_masked_patches_are_predicted_in_every_mode():
    theirs = make_theirs("TvltForPreTraining", SIZES, 0)
    assert theirs.eval()(*CLIPS, labels=IS_MATCH, pixel_values_mixed=CLIPS[0]).pixel_logits is None

    batch = dataclasses.replace(draw(), mixed_video=None, mixed_video_mask=None, is_match=None)
    video, audio = mt.autoencode(draw_model(), batch)  # there are no modes, and it asks for no labels
    assert (video.shape, audio.shape) == ((B, NV, 48), (B, NA, 8))


def test_trap_04_one_task_alone_can_be_trained():
    with pytest.raises(UnboundLocalError):
        pretrain_theirs(make_theirs("TvltForPreTraining", SIZES | {"task_matching": False}, 0))

    whole = mt.pretraining_loss(draw_model(), draw())
    matching, mae = (
        mt.pretraining_loss(draw_model(**{left_out: False}), draw())
        for left_out in ("task_mae", "task_matching")
    )
    assert matching.video_loss is None and mae.match_loss is None
    full = dataclasses.replace(draw_model(), config=CONFIG.replace(task_mae=False))
    assert mt.pretraining_loss(full, draw()).loss == whole.match_loss


def test_trap_05_a_short_clip_in_a_long_batch_gives_the_numbers_that_it_gives_alone():
    """One frame of three and one step of six are real: what is hidden lies there and nowhere else."""
    real = np.arange(NV) < 4, np.arange(NA) < 2
    masks = [np.broadcast_to(mask, (B, len(mask))) for mask in real]
    theirs = make_theirs("TvltForPreTraining", SIZES, 0)
    given = {"pixel_mask": tensor(masks[0]), "audio_mask": tensor(masks[1])}
    losses = [
        pretrain_theirs(theirs, seed, **given, pixel_mask_mixed=given["pixel_mask"]).loss for seed in range(9)
    ]
    assert any(torch.isnan(loss) for loss in losses)  # whenever nothing real of one sense is hidden

    params, noise = draw_model(task_matching=False), np.random.default_rng(2).random((2, B, NV))
    maskings = [mt.random_masking(n, 0.5, mask) for n, mask in zip(noise, masks, strict=True)]
    long = mt.PretrainingBatch(VIDEO, AUDIO, *masks, None, None, None, *maskings)
    maskings = [mt.random_masking(n[:, : sum(mask)], 0.5) for n, mask in zip(noise, real, strict=True)]
    short = mt.PretrainingBatch(VIDEO[:, :1], AUDIO[:, :, :2], None, None, None, None, None, *maskings)
    losses = [mt.pretraining_loss(params, batch).loss for batch in (long, short)]
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_trap_06_a_time_step_is_hidden_as_a_whole_or_not_at_all():
    theirs = make_theirs("TvltModel", SIZES | {"audio_mask_ratio": 0.4}, 0)  # keeps 7 of 12
    torch.manual_seed(0)
    steps = theirs(*CLIPS, mask_pixel=True, mask_audio=True).audio_label_masks.view(B, 6, 2)
    assert (steps[..., 0] != steps[..., 1]).any(dim=1).all()

    noise = np.random.default_rng(0).random((B, 6))
    for ratio in (0.0, 0.15, 0.4, 0.5, 0.75, 0.99):
        masking = mt.frame_masking(noise, ratio, 2)
        steps = masking.is_hidden.reshape(B, 6, 2)
        np.testing.assert_array_equal(steps[..., 0], steps[..., 1])
        assert (steps[..., 0].sum(axis=1) == 6 - int(6 * (1 - ratio))).all()


# ---- masks


def test_trap_07_one_mask_alone_counts_and_a_fractional_one_is_refused():
    mask = np.repeat(np.arange(3) < 1, 4)[None].repeat(B, axis=0)
    theirs = make_theirs("TvltModel", SIZES, 0).eval()
    with torch.no_grad():
        plain, masked = theirs(*CLIPS)[0], theirs(*CLIPS, pixel_mask=tensor(mask))[0]
        halved = theirs(*CLIPS, tensor(np.where(mask, 1, 0.5)), torch.ones(B, NA))[0]
        hidden = theirs(*CLIPS, tensor(mask), torch.ones(B, NA))[0]
    assert torch.equal(plain, masked)
    assert torch.equal(halved[:, :5], hidden[:, :5])

    params = draw_model()
    masked = mt.forward(params, VIDEO, AUDIO, mask).cls
    np.testing.assert_allclose(masked, mt.forward(params, VIDEO[:, :1], AUDIO).cls, rtol=1e-9)
    assert np.abs(masked - mt.forward(params, VIDEO, AUDIO).cls).max() > 0.01
    with annotations_unchecked(), pytest.raises(ValueError, match="video_mask as booleans"):
        mt.forward(params, VIDEO, AUDIO, np.where(mask, 1, 0.5))


def test_trap_08_mean_pooling_is_a_mean_and_their_checkpoints_are_read_as_what_they_compute():
    theirs, ours = make_pair("TvltForAudioVisualClassification", SIZES | {"use_mean_pooling": True}, 0)
    with torch.no_grad():
        out = theirs.eval()(*CLIPS, output_hidden_states=True)
        assert torch.equal(out.logits, theirs.classifier(out.hidden_states[-1][:, 0]))  # cls, and no mean
    assert (ours.config.final_norm, ours.config.pooling) == (False, "cls")
    np.testing.assert_allclose(mt.classify(ours, VIDEO, AUDIO), out.logits, rtol=1e-4, atol=1e-5)

    params, mask = draw_model(pooling="mean"), np.arange(NV) < np.array([[4], [8], [12], [4], [12]])
    made, pooled = mt.forward(params, VIDEO, AUDIO, mask), pool_tokens(params, (VIDEO, AUDIO), (mask, None))
    for b in range(B):
        tokens = np.concatenate([made.video[b, mask[b]], made.audio[b]])
        np.testing.assert_allclose(pooled[b], tokens.mean(axis=0), rtol=1e-9)


# ---- losses


def test_trap_09_labels_are_checked_and_every_loss_has_its_name():
    regression = SIZES | {"num_labels": 1, "loss_type": "regression"}
    theirs = make_theirs("TvltForAudioVisualClassification", regression, 0).eval()
    labels = np.array([0.5, -2.0, 1.0, 3.0, 0.0])
    with pytest.warns(UserWarning, match="target size"):
        stretched = theirs(*CLIPS, labels=tensor(labels))
    differences = stretched.logits[:, :1] - tensor(labels)[None]
    assert torch.allclose(stretched.loss, (differences**2).mean())  # B × B of them
    theirs = make_theirs("TvltForAudioVisualClassification", SIZES | {"loss_type": "mean-squared"}, 0)
    assert theirs(*CLIPS, labels=IS_MATCH).loss is None
    with pytest.raises(RuntimeError, match="Long"):
        pretrain_theirs(make_theirs("TvltForPreTraining", SIZES, 0), labels=IS_MATCH.long())

    params = draw_model("classifier", num_labels=1, loss_type="regression")
    clips = (VIDEO, AUDIO, None, None)
    out = task_loss(params, TaskBatch(*clips, labels))
    np.testing.assert_allclose(out.loss, np.mean((out.logits[:, 0] - labels) ** 2))
    with annotations_unchecked(), pytest.raises(ValueError, match=r"of the shape \(5, 1\) or \(5,\)"):
        task_loss(params, TaskBatch(*clips, labels[None]))
    expected = "loss_type must be one of classification, regression"
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        CONFIG.replace(loss_type="mean-squared")
    with annotations_unchecked(), pytest.raises(ValueError, match="is_match as booleans"):
        mt.pretraining_loss(draw_model(), dataclasses.replace(draw(), is_match=np.array([1, 0, 1, 0, 0])))


# ---- processing


def draw_frames(T: int, H: int = 40, W: int = 50) -> np.ndarray:
    return np.random.default_rng(T).integers(0, 256, (T, H, W, 3), dtype=np.uint8)


def draw_noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)


def test_trap_10_the_number_of_frames_is_obeyed_and_videos_of_unequal_length_are_batched():
    square = {"crop_size": {"height": 32, "width": 32}}
    processor = transformers.TvltImageProcessor(size={"shortest_edge": 48})
    assert len(processor([list(draw_frames(8))], num_frames=4, **square)["pixel_values"][0]) == 8
    with pytest.raises(ValueError, match="Unable to create tensor"):
        processor([list(draw_frames(8)), list(draw_frames(2))], return_tensors="pt", **square)
    assert len(processor([list(draw_frames(2))], **square)["pixel_mask"][0]) == 2 * 9  # of frames of 2 × 2

    config = mt.Config(image_size=32)
    video, mask = mt.prepare_video([draw_frames(8)], config.replace(num_frames=4))
    assert video.shape == (1, 4, 3, 32, 32)
    assert mask.shape == (1, 4 * 4)
    video, mask = mt.prepare_video([draw_frames(8), draw_frames(2, 37, 90)], config)
    assert video.shape == (2, 8, 3, 32, 32)
    np.testing.assert_array_equal(mask.sum(axis=1), [8 * 4, 2 * 4])


def test_trap_11_audio_is_resampled_channels_are_no_batch_and_the_shortest_audio_has_a_token():
    processor, wave = transformers.TvltFeatureExtractor(), draw_noise(SECOND)
    with pytest.raises(ValueError, match="set to support sampling rate"):
        processor(wave, sampling_rate=16000, resample=True)
    stereo = np.stack([wave, wave / 2])
    assert len(processor(stereo, sampling_rate=SECOND)["audio_values"]) == 2
    assert processor(wave[:500], sampling_rate=SECOND)["audio_values"].shape == (1, 1, 0, 128)

    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    audio, mask = mt.prepare_audio(tone, 16000, mt.Config())
    assert audio.shape == (1, 1, 96, 128)  # 86 steps a second
    expected, _ = mt.prepare_audio(np.sin(2 * np.pi * 1000 * np.arange(SECOND) / SECOND), SECOND, mt.Config())
    assert audio[0, 0].mean(axis=0).argmax() == expected[0, 0].mean(axis=0).argmax()
    with annotations_unchecked(), pytest.raises(ValueError, match=r"\(2, 44100\): mix its channels down"):
        mt.prepare_audio(stereo, SECOND, mt.Config())
    audio, mask = mt.prepare_audio(wave[:500], SECOND, mt.Config())
    assert audio.shape == (1, 1, 16, 128)
    assert mask.all() and audio[0, 0, 0].max() > 0


def test_trap_12_at_every_sample_rate_no_mel_filter_is_zero():
    with pytest.warns(UserWarning, match="all zero values"):
        processor = transformers.TvltFeatureExtractor(sampling_rate=16000)
    assert (processor.mel_filters.max(axis=1) <= 0).sum() == 30

    for rate in (8000, 16000, 22050, SECOND, 48000):
        assert (make_mel_filters(rate, 128, 2048).max(axis=1) > 0).all()
        audio = mt.log_mel_spectrogram(draw_noise(rate), rate)
        assert audio.mean(axis=0).min() > -0.5


def test_trap_13_what_is_documented_runs_and_returns_what_a_reconstruction_needs():
    """The example of their documentation, and what it shows done here; the README's own is run beside it."""
    processor = transformers.TvltProcessor(
        transformers.TvltImageProcessor(), transformers.TvltFeatureExtractor()
    )
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="PIL image"):
        images, sound = list(rng.standard_normal((8, 3, 224, 224))), list(rng.standard_normal(10000))
        processor(images, sound, sampling_rate=SECOND, return_tensors="pt")
    told = dataclasses.fields(pretrain_theirs(make_theirs("TvltForPreTraining", SIZES, 0)))
    assert not any("mask" in field.name or "restore" in field.name for field in told)

    clip = mt.Clip(draw_frames(8), 25.0, draw_noise(10000), SECOND)
    config = CONFIG.replace(spectrogram_length=32, frequency_length=128, audio_patch_size=(16, 16))
    params = mt.init(config, seed=0)
    made = mt.prepare(clip, config, mixed=mt.Clip(draw_frames(5), 25.0, None, 0))
    batch = mt.make_batch(made, config, np.random.default_rng(0))
    out = mt.pretraining_loss(params, batch)
    assert np.isfinite(out.loss)
    rows, is_hidden = mt.patchify_video(batch.video, config.image_patch_size), batch.video_masking.is_hidden
    picture = mt.paste_visible(out.video_prediction, rows, is_hidden)
    np.testing.assert_array_equal(picture[~is_hidden], rows[~is_hidden])
    np.testing.assert_array_equal(picture[is_hidden], out.video_prediction[is_hidden])
    assert mt.unpatchify_video(picture, config.image_patch_size, (3, 8, 8)).shape == batch.video.shape


# ---- the model


def test_trap_14_attention_maps_are_those_of_the_whole_clip():
    theirs = make_theirs("TvltForPreTraining", SIZES, 0)
    maps = pretrain_theirs(theirs, output_attentions=True).attentions
    assert maps[0].shape[-1] == 1 + 3 + 10  # a quarter of the one and 85% of the other

    params = draw_model()
    out = mt.forward(params, VIDEO, AUDIO, return_attention=True)
    assert len(out.attention) == CONFIG.num_hidden_layers
    for weights in out.attention:
        assert weights.shape == (B, 2, 1 + NV + NA, 1 + NV + NA)
        np.testing.assert_allclose(weights.sum(axis=-1), 1)


def test_trap_15_patches_need_not_be_square_one_number_means_a_square_and_labels_are_counted(tmp_path):
    for patch in ((4, 2), 4):
        with pytest.raises((RuntimeError, TypeError)):
            pretrain_theirs(make_theirs("TvltForPreTraining", SIZES | {"image_patch_size": patch}, 0))
    assert "num_labels" not in transformers.TvltConfig(num_labels=5).to_dict()

    oblong = CONFIG.replace(image_patch_size=(4, 2))
    out = mt.pretraining_loss(draw_params(oblong, np.random.default_rng(0)), draw(oblong))
    assert out.video_prediction.shape == (B, 3 * 8, 4 * 2 * 3)
    assert CONFIG.replace(image_patch_size=4) == CONFIG
    params = mt.add_classifier(mt.init(CONFIG.replace(audio_patch_size=4)), num_labels=5)
    folder = mt.to_huggingface(dataclasses.replace(params, decoder=None, matching=None), tmp_path / "new")
    assert len(json.loads((folder / "config.json").read_text())["id2label"]) == 5
    assert mt.from_huggingface(folder).config.num_labels == 5
    assert transformers.TvltForAudioVisualClassification.from_pretrained(folder).config.num_labels == 5


# ---- the released code


def test_trap_16_black_frames_and_silent_stretches_are_no_padding():
    frames, sound = draw_frames(3), 0.01 * draw_noise(SECOND)
    frames[1], sound[SECOND // 3 :] = 0, 0
    config = mt.Config(image_size=32)
    video, video_mask = mt.prepare_video(frames, config)
    audio, audio_mask = mt.prepare_audio(sound, SECOND, config)
    assert (video[0, 1] == -1).all() and (audio[0, 0, 48:80] == -1).all()
    assert video_mask.all() and audio_mask.all()
    made = mt.prepare(mt.Clip(frames, 3.0, sound, SECOND), config)
    assert made.video_mask is None and made.audio_mask is None


def test_trap_16_a_first_patch_of_silence_or_of_padding_hides_no_cls():
    silent = np.where(np.arange(12)[:, None] < 2, -1.0, AUDIO)
    mask = np.arange(NA) >= 2  # not even real
    for audio_mask in (None, np.broadcast_to(mask, (B, NA))):
        out = mt.forward(draw_model(), VIDEO, silent, None, audio_mask, return_attention=True)
        for weights in out.attention:
            assert (weights[:, :, :, 0] > 0).all()


def test_trap_16_masking_of_speech_runs():
    config = CONFIG.replace(audio_mask_type="speech-span", audio_mask_ratio=0.5)
    level = np.where((np.arange(12) >= 4) & (np.arange(12) < 8), 0.8, -0.8)  # steps 2 and 3 of 6
    audio = level[:, None] + 0.1 * AUDIO
    batch = mt.make_batch(mt.Examples(VIDEO, audio), config, np.random.default_rng(0))
    is_speech = find_speech(audio, config.audio_patch_size)
    np.testing.assert_array_equal(is_speech, np.tile(np.repeat(np.arange(6) // 2 == 1, 2), (B, 1)))
    assert batch.audio_masking.is_hidden[is_speech].all()
    assert (batch.audio_masking.is_hidden.sum(axis=1) == NA // 2).all()
    assert np.isfinite(mt.pretraining_loss(draw_model(), batch).loss)


def test_trap_16_recall_is_over_all_videos_however_many():
    params, n = draw_model(), 13
    video, audio = draw_clips(CONFIG, np.random.default_rng(4), n, 3, 6)
    batch = mt.PretrainingBatch(video, audio, None, None, None, None, None, None, None)
    scores = mt.score_all_pairs(params, batch)
    assert scores.shape == (n, n)
    places = [sorted(range(n), key=lambda i: -scores[sound, i]).index(sound) for sound in range(n)]
    ranks = compute_ranks(scores)
    np.testing.assert_array_equal(ranks, np.array(places) + 1)
    assert max(places) >= 10 > min(places)
    assert compute_recall(ranks, 10) == np.mean(np.array(places) < 10)


@needs_av
def test_trap_16_a_file_that_cannot_be_decoded_is_an_error_and_never_silence(tmp_path: Path):
    broken = write_media(tmp_path / "broken.mp4", make_frames(25, 32, 34), sound=make_sweep(1.0, 44100))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"broken\.mp4"):
        mt.read_clip(broken)
    write_media(tmp_path / "whole.mp4", make_frames(25, 32, 34), sound=make_sweep(1.0, 44100))
    with pytest.warns(UserWarning, match=r"Skipped .*broken\.mp4"):
        world = mt.FolderWorld(tmp_path, mt.Config.tiny())
    assert list(world.skipped) == [str(broken)]
    clips = world.sample(np.random.default_rng(0), 4)
    assert (clips.audio.max(axis=(1, 2, 3)) > 0).all()  # each of them sounds
