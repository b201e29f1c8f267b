"""Two lineages: what the released code and transformers do differently to sound and frames, a test a field.

Both are said a second time in tests/helpers/processing.py. What differs in the model is in
tests/model/test_lineages.py; from raw clips to logits it goes in tests/test_lineages.py.
"""

import numpy as np
import pytest

from minitvlt.config import ORIGINAL, Config
from minitvlt.signals.media import Clip
from minitvlt.signals.prepare import prepare, prepare_audio, prepare_video
from tests.helpers.processing import (
    make_film,
    make_frames_of_model,
    make_picture,
    make_sound,
    pad_pictures,
    resample_plainly,
)

SIZES = {"image_size": 32, "spectrogram_length": 320}
CONFIGS = {"transformers": Config.huggingface(**SIZES), "released code": Config.original(**SIZES)}
on_both_lineages = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)

SOUNDS = {
    "remove_waveform_mean": [make_sound(9000) + np.float32(0.2)],  # with a direct current
    "stft_padding": [make_sound(7000)],
    "drop_last_step": [make_sound(16 * 512 + 100)],  # one step more takes a patch of its own
    "audio_padding_value": [make_sound(9000), make_sound(30000)],
    "resampling_window": [make_sound(4000, 16000)],
}
FILMS = {
    "frame_choice": make_film(11, 45, 61),
    "frame_crop": np.pad(make_film(3, 45, 61), ((0, 0), (7, 0), (0, 9), (0, 0))),  # in a black frame
    "frame_interpolation": 255 * (make_film(3, 45, 61) > 120).astype(np.uint8),  # hard edges
    "frame_antialias": make_film(3, 45, 61),
}


def switch(config: Config, field: str) -> list[Config]:
    """The configuration with a field as each of the lineages has it."""
    return [config.replace(**{field: getattr(lineage, field)}) for lineage in CONFIGS.values()]


@on_both_lineages
@pytest.mark.parametrize("field", SOUNDS)
def test_each_difference_in_the_sound_is_switched_by_its_field(field, config):
    made = []
    for switched in switch(config, field):
        rate = 16000 if field == "resampling_window" else 44100
        audio, mask = prepare_audio(SOUNDS[field], rate, switched)
        pictures = [make_picture(resample_plainly(x, rate, switched), switched) for x in SOUNDS[field]]
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
@pytest.mark.parametrize("channels", [0, 1, 2])  # 0: nobody knows
def test_the_gain_of_the_mono_sound_of_a_video_is_switched_by_its_field(channels, config):
    sound = make_sound(8000)
    video, file = (Clip(x, 0.0, sound, 44100, channels=channels) for x in (make_film(1, 40, 40), None))
    for switched in switch(config, "mono_gain"):
        for clip, gain in ((video, switched.mono_gain if channels == 1 else 1), (file, 1)):
            picture = make_picture(sound * gain, switched)
            np.testing.assert_allclose(
                prepare(clip, switched).audio[0, 0][: len(picture)], picture, atol=1e-4
            )


def assert_same_levels(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to one grey level of 255, once rounded as Pillow rounds."""
    np.testing.assert_allclose(np.rint((found + 1) * 127.5), (expected + 1) * 127.5, atol=1 + 1e-6)


def test_every_difference_of_processing_has_a_test_here():
    of_model = {"token_order", "cls_in_autoencoding", "classifier_pooler", "classifier_norm_eps"}
    of_model |= {"audio_mask_ratio", "audio_mask_type", "spectrogram_length", "silence_is_padding"}
    assert ORIGINAL.keys() - of_model == {*SOUNDS, *FILMS, "mono_gain"}
