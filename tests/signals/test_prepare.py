"""Lists of clips to padded batches: values and masks of the published processors, and what they cannot do."""

import numpy as np
import pytest

from minitvlt.config import Config
from minitvlt.signals import prepare
from minitvlt.signals.frames import transform_frames
from minitvlt.signals.prepare import prepare_audio, prepare_video, resample
from minitvlt.signals.spectrogram import log_mel_spectrogram
from tests.helpers.annotations import annotations_unchecked

TINY = Config.tiny(image_patch_size=(8, 8))


def make_waveforms(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in lengths]


def make_clips(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


# ---- sound


@pytest.mark.parametrize(
    ("lengths", "config"),
    [
        ((512 * 40, 512 * 16, 512 * 17 + 5, 600), Config()),
        ((512 * 40, 512 * 40), Config()),
        ((512 * 100, 512 * 31), Config(spectrogram_length=48)),  # the first one is cut
        ((512 * 11, 512 * 4, 512 * 3), Config(audio_patch_size=(2, 128))),
    ],
)
def test_audio_and_mask_are_those_of_the_published_processor(lengths, config):
    from transformers import TvltFeatureExtractor

    waveforms = make_waveforms(*lengths)
    processor = TvltFeatureExtractor(
        spectrogram_length=config.spectrogram_length, patch_size=list(config.audio_patch_size)
    )
    expected = processor(waveforms, sampling_rate=44100, return_tensors="np")
    audio, mask = prepare_audio(waveforms, 44100, config)
    assert (audio.dtype, mask.dtype) == (np.float32, bool)
    np.testing.assert_array_equal(mask, expected["audio_mask"].astype(bool))
    np.testing.assert_allclose(audio, expected["audio_values"], atol=1e-4)


def test_a_token_is_real_if_any_of_its_steps_is():
    waveforms = make_waveforms(
        256 * 9, 256 * 8, 1
    )  # 9, 8 and 1 steps in patches of 8 steps and 8 of 16 mel bins
    audio, mask = prepare_audio(waveforms, 8000, TINY)
    assert audio.shape == (3, 1, 16, 16)
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]])
    assert (audio[0, 0, 9:] == 0).all()
    assert (audio[1, 0, 8:] == 0).all()


def test_waveforms_of_equal_length_are_the_same_together_as_alone(monkeypatch):
    monkeypatch.setattr(prepare, "SAMPLES_AT_ONCE", 5000)  # two of the long ones at a time
    waveforms = make_waveforms(2000, 700, 2000, 2000, 700, 9000)
    audio, _ = prepare_audio(waveforms, 8000, TINY)
    for i, waveform in enumerate(waveforms):
        alone = log_mel_spectrogram(waveform, 8000, 16, 512, 256)[:24]
        np.testing.assert_allclose(audio[i, 0, : len(alone)], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44100, 16000), (8000, 44100), (48000, 44100), (4001, 7919)]
)
def test_a_tone_is_the_same_tone_at_another_rate(from_rate, to_rate):
    def tone(rate):
        return np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate)

    found, expected = resample(tone(from_rate), from_rate, to_rate), tone(to_rate)
    assert len(found) == -(-len(tone(from_rate)) * to_rate // from_rate)
    inner = slice(to_rate // 20, to_rate // 5)  # the filter needs both sides
    np.testing.assert_allclose(found[inner], expected[inner], atol=5e-3)


def test_what_the_lower_rate_cannot_hold_is_removed():
    hiss = np.sin(2 * np.pi * 15000 * np.arange(44100) / 44100).astype(np.float32)
    found = resample(hiss, 44100, 16000)
    assert found.dtype == np.float32
    assert np.abs(found[1000:-1000]).max() < 1e-2


def test_sound_of_another_rate_is_resampled_to_the_models():
    waveforms = make_waveforms(4410, 22050)
    audio, mask = prepare_audio(waveforms, 44100, TINY)
    expected, expected_mask = prepare_audio([resample(w, 44100, 8000) for w in waveforms], 8000, TINY)
    np.testing.assert_array_equal(audio, expected)
    np.testing.assert_array_equal(mask, expected_mask)


def test_double_precision_gives_the_same_as_single():
    waveforms = make_waveforms(3000)
    doubled, _ = prepare_audio([waveforms[0].astype(np.float64)], 8000, TINY)
    np.testing.assert_array_equal(doubled, prepare_audio(waveforms, 8000, TINY)[0])


# ---- frames


@pytest.mark.parametrize(("H", "W"), [(60, 80), (81, 61)])
def test_video_and_mask_are_those_of_the_published_processor(H, W):
    from transformers import TvltImageProcessor

    clips = make_clips((3, H, W, 3), (3, H, W, 3))
    config = Config(image_size=48, num_frames=3)
    processor = TvltImageProcessor(
        size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}, num_frames=3
    )
    expected = processor([list(clip) for clip in clips], return_tensors="np")
    video, mask = prepare_video(clips, config)
    np.testing.assert_array_equal(mask, expected["pixel_mask"].astype(bool))
    np.testing.assert_allclose(video / 2, expected["pixel_values"] / 2, atol=1 / 255 + 1e-6)


def test_mask_of_videos_of_different_lengths_is_that_of_the_published_processor():
    from transformers import TvltImageProcessor

    clips = make_clips((2, 50, 70, 3), (4, 50, 50, 3), (1, 90, 50, 3))
    processor = TvltImageProcessor(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})
    expected = processor([list(clip) for clip in clips])[
        "pixel_mask"
    ]  # it cannot stack the frames themselves
    video, mask = prepare_video(clips, Config(image_size=48))
    assert video.shape == (3, 4, 3, 48, 48)
    np.testing.assert_array_equal(mask, np.array(expected).astype(bool))
    for i, clip in enumerate(clips):
        np.testing.assert_allclose(video[i, : len(clip)], transform_frames(clip, 48, 48), atol=1e-6)
        assert (video[i, len(clip) :] == 0).all()


def test_an_image_is_a_video_of_one_frame():
    image, clip = make_clips((30, 40, 3), (2, 30, 40, 3))
    video, mask = prepare_video([image, clip], TINY)
    np.testing.assert_array_equal(video[0, :1], transform_frames(image[None], 24, 24))
    np.testing.assert_array_equal(mask, [[1] * 9 + [0] * 9, [1] * 18])


def test_of_too_many_frames_those_in_the_middle_of_equal_spans_are_chosen():
    (clip,) = make_clips((10, 24, 24, 3))
    video, mask = prepare_video([clip], TINY)
    np.testing.assert_array_equal(video[0], transform_frames(clip[[1, 5, 8]], 24, 24))
    assert mask.all()


def test_frames_and_patches_need_not_be_square():
    config = Config(image_size=(24, 40), image_patch_size=(8, 10), num_frames=2)
    video, mask = prepare_video(make_clips((2, 33, 44, 3), (1, 44, 33, 3)), config)
    assert video.shape == (2, 2, 3, 24, 40)
    np.testing.assert_array_equal(mask.sum(axis=1), [2 * 12, 12])


# ---- bad input


@pytest.mark.parametrize(
    ("waveforms", "complaint"),
    [
        ([], "empty"),
        ([[0.0, 1.0]], "NumPy arrays"),
        ([np.zeros(300, np.float32), np.zeros((2, 300), np.float32)], "waveform 1 has shape"),
        ([np.zeros(0, np.float32)], "waveform 0"),
        ([np.zeros(300, np.int16)], "waveform 0 of float32"),
        ([np.zeros(300), np.array([0, np.nan])], "waveform 1 holds NaN"),
    ],
)
def test_bad_sound_is_refused_by_number(waveforms, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        prepare_audio(waveforms, 8000, TINY)


@pytest.mark.parametrize("sample_rate", [0, -8000, 44100.5])
def test_a_sample_rate_that_is_none_is_refused(sample_rate):
    with annotations_unchecked(), pytest.raises(ValueError, match="whole hertz"):
        prepare_audio(make_waveforms(300), sample_rate, TINY)


@pytest.mark.parametrize(
    ("clips", "complaint"),
    [
        ([], "empty"),
        (["clip.mp4"], "NumPy arrays"),
        (make_clips((2, 24, 24, 3), (2, 24, 24, 1)), "clip 1 has"),
        (make_clips((24, 24)), "clip 0 has"),
        ([np.zeros((2, 24, 24, 3))], "pixels of uint8"),
        (make_clips((0, 24, 24, 3)), "at least one frame"),
        (make_clips((2, 0, 24, 3)), "at least one pixel"),
    ],
)
def test_a_bad_clip_is_refused_by_number(clips, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        prepare_video(clips, TINY)


def test_a_model_of_other_channels_is_refused():
    with annotations_unchecked(), pytest.raises(ValueError, match="config says 2"):
        prepare_audio(make_waveforms(300), 8000, TINY.replace(num_audio_channels=2))
    with annotations_unchecked(), pytest.raises(ValueError, match="config says 1"):
        prepare_video(make_clips((2, 24, 24, 3)), TINY.replace(num_image_channels=1))
