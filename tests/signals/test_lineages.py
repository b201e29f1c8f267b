"""Two lineages: what the released code and transformers do differently to sound and frames, a test a field.

Both are said a second time in tests/helpers/processing.py. What differs in the model is in
tests/model/test_lineages.py; from raw clips to logits it goes in tests/test_lineages.py.
"""

import dataclasses

import numpy as np
import pytest
import scipy.signal

from minitvlt.config import ORIGINAL, Config
from minitvlt.signals.media import Clip
from minitvlt.signals.prepare import prepare, prepare_audio, prepare_video
from tests.helpers.processing import (
    find_real_patches,
    make_film,
    make_frames_of_model,
    make_picture,
    make_sound,
    pad_pictures,
    resample_by_sinc,
)

SIZES = {"image_size": 32, "spectrogram_length": 320}
CONFIGS = {"transformers": Config.huggingface(**SIZES), "released code": Config.original(**SIZES)}
on_both_lineages = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)

SOUNDS = {
    "remove_waveform_mean": [make_sound(9000) + np.float32(0.2)],  # with a direct current
    "stft_padding": [make_sound(7000)],
    "drop_last_step": [make_sound(16 * 512 + 100)],  # one step more takes a patch of its own
    "audio_padding_value": [make_sound(9000), make_sound(30000)],
}
FILMS = {
    "frame_choice": make_film(11, 45, 61),
    "frame_crop": np.pad(make_film(3, 45, 61), ((0, 0), (7, 0), (0, 9), (0, 0))),  # in a black frame
    "frame_interpolation": 255 * (make_film(3, 45, 61) > 120).astype(np.uint8),  # hard edges
    "frame_antialias": make_film(3, 45, 61),
}
CLIPS = {
    "resampling_window": Clip(None, 0.0, make_sound(4000, 16000), 16000),
    "mono_gain": Clip(make_film(1, 40, 40), 0.0, make_sound(8000), 44100, channels=1),
}


def switch(config: Config, field: str) -> list[Config]:
    """The configuration with a field as each of the lineages has it."""
    return [config.replace(**{field: getattr(lineage, field)}) for lineage in CONFIGS.values()]


@on_both_lineages
@pytest.mark.parametrize("field", SOUNDS)
def test_each_difference_in_the_sound_is_switched_by_its_field(field, config):
    made = []
    for switched in switch(config, field):
        audio, mask = prepare_audio(SOUNDS[field], 44100, switched)
        pictures = [make_picture(sound, switched) for sound in SOUNDS[field]]
        np.testing.assert_allclose(audio, pad_pictures(pictures, switched), atol=1e-4)
        np.testing.assert_array_equal(mask.sum(axis=1), [8 * -(-len(picture) // 16) for picture in pictures])
        made.append(audio)
    assert made[0].shape != made[1].shape or np.abs(made[0] - made[1]).max() > 0.1


@on_both_lineages
@pytest.mark.parametrize("field", FILMS)
def test_each_difference_in_the_frames_is_switched_by_its_field(field, config):
    made = []
    for switched in switch(config, field):
        video, _ = prepare_video([FILMS[field]], switched)
        assert_same_levels(video[0], make_frames_of_model(FILMS[field], switched))
        made.append(video)
    assert np.abs(made[0] - made[1]).max() > 0.2


@on_both_lineages
def test_the_filter_of_resampling_is_switched_by_its_field(config):
    clip, made = CLIPS["resampling_window"], []
    for switched in switch(config, "resampling_window"):
        made.append(prepare(clip, switched).audio[0, 0])
        wave = clip.waveform.astype(np.float64)
        kaiser = scipy.signal.resample_poly(wave, 441, 160)
        wave = kaiser if switched.resampling_window == "kaiser" else resample_by_sinc(wave, 16000)
        picture = make_picture(wave, switched)
        np.testing.assert_allclose(made[-1][: len(picture)], picture, atol=5e-4)
    assert np.abs(made[0] - made[1]).max() > 0.1


@on_both_lineages
def test_the_gain_of_the_mono_sound_of_a_video_is_switched_by_its_field(config):
    mono = CLIPS["mono_gain"]
    for clip, is_softer in (
        (mono, True),
        (dataclasses.replace(mono, frames=None, times=None), False),  # of a sound file
        (dataclasses.replace(mono, channels=2), False),
        (dataclasses.replace(mono, channels=0), False),  # nobody knows
    ):
        for switched in switch(config, "mono_gain"):
            gain = 0.5**0.5 if is_softer and switched.mono_gain < 1 else 1.0
            made = prepare(clip, switched).audio[0, 0]
            picture = make_picture(mono.waveform.astype(np.float64) * gain, switched)
            np.testing.assert_allclose(made[: len(picture)], picture, atol=1e-4)


def test_masks_are_those_of_values_where_silence_is_padding_and_of_lengths_where_it_is_not():
    """A black frame, a black square in another; silence first, inside, and in some of the bins alone."""
    frames, sound = make_film(8, 40, 40), 0.05 * np.sin(np.arange(60000) / 20)
    frames[2], frames[3, :24, 16:] = 0, 0
    sound[:10000], sound[20000:45000] = 0, 0
    clips = [Clip(frames, 8.0, sound, 44100), Clip(frames[:1], 8.0, sound[:9000], 44100)]
    for config in (Config.original(**SIZES), Config.original(**SIZES, silence_is_padding=False)):
        made = prepare(clips, config)
        video, audio = find_real_patches(made.video, (16, 16)), find_real_patches(made.audio, (16, 16))
        if config.silence_is_padding:
            np.testing.assert_array_equal(made.video_mask, video)
            np.testing.assert_array_equal(made.audio_mask, audio)
        else:
            assert made.video_mask is None and made.audio_mask.sum(axis=1).tolist() == [8 * 8, 2 * 8]
    assert video[0].sum() == 7 * 4 - 1 and not audio[1].any()  # the second sound is silent throughout
    steps = audio[0].reshape(-1, 8)
    assert steps.any(axis=1).tolist() == [False, True, True, False, False, True, True, True]
    assert not steps[6].all()  # a tone leaves the high frequencies silent


def assert_same_levels(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to one grey level of 255, once rounded as Pillow rounds."""
    np.testing.assert_allclose(np.rint((found + 1) * 127.5), (expected + 1) * 127.5, atol=1 + 1e-6)


def test_every_difference_of_processing_has_a_test_here():
    of_model = {"token_order", "cls_in_autoencoding", "classifier_pooler", "classifier_norm_eps"}
    of_model |= {"audio_mask_ratio", "audio_mask_type", "spectrogram_length", "silence_is_padding"}
    assert ORIGINAL.keys() - of_model == {*SOUNDS, *FILMS, *CLIPS}
