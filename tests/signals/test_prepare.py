"""Lists of clips to padded batches: values and masks of the published processors, and what they cannot do."""

from dataclasses import replace

import numpy as np
import pytest

from minitvlt.backends import to_backend
from minitvlt.config import ORIGINAL, Config
from minitvlt.model.tvlt import forward
from minitvlt.signals.frames import transform_frames
from minitvlt.signals.media import Clip
from minitvlt.signals.prepare import prepare, prepare_audio, prepare_video
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import on_every_backend
from tests.helpers.models import draw_params


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


# ---- frames


def test_mask_of_videos_of_different_lengths_is_that_of_the_published_processor():
    from transformers import TvltImageProcessor

    clips = make_clips((2, 50, 70, 3), (4, 50, 50, 3), (1, 90, 50, 3))
    processor = TvltImageProcessor(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})
    # it cannot stack the frames themselves
    expected = processor([list(clip) for clip in clips])["pixel_mask"]
    video, mask = prepare_video(clips, Config(image_size=48))
    assert video.shape == (3, 4, 3, 48, 48)
    np.testing.assert_array_equal(mask, np.array(expected).astype(bool))
    for i, clip in enumerate(clips):
        np.testing.assert_allclose(video[i, : len(clip)], transform_frames(clip, 48, 48), atol=1e-6)
        assert (video[i, len(clip) :] == 0).all()


# ---- both at once

SMALL = Config.tiny(num_frames=3, image_patch_size=(8, 8))
SECOND = SMALL.sample_rate


def make_film(T: int, samples: int, rate: int = SECOND, seed: int = 0, **fields: object) -> Clip:
    """A film of noise, of which either part may be missing: T or samples is 0."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (T, 30, 40, 3), dtype=np.uint8) if T else None
    waveform = (0.1 * rng.standard_normal(samples)).astype(np.float32) if samples else None
    return Clip(frames, 10.0 if T > 1 else 0.0, waveform, rate if samples else 0, **fields)


def test_what_no_clip_has_is_none():
    silent = prepare([make_film(3, 0), make_film(2, 0)], SMALL)
    assert (silent.audio, silent.audio_mask) == (None, None)
    assert silent.video_mask.shape == (2, 27)
    blind = prepare([make_film(0, 700), make_film(0, 900)], SMALL)
    assert (blind.video, blind.video_mask, blind.audio_mask) == (None, None, None)
    assert blind.audio.shape[0] == 2


@pytest.mark.parametrize("padding", [0.0, -1.0])
def test_what_a_clip_lacks_is_padding_in_its_row(padding):
    clips = [make_film(3, 0), make_film(0, 5000, 16000), make_film(1, 6000), make_film(2, 700)]
    config = SMALL.replace(audio_padding_value=padding)
    found = prepare(clips, config)
    video, video_mask = prepare_video([clips[i].frames for i in (0, 2, 3)], config)
    audio, audio_mask = prepare_audio([clips[i].waveform for i in (1, 2, 3)], [16000, SECOND, SECOND], config)
    np.testing.assert_array_equal(found.video[[0, 2, 3]], video)
    np.testing.assert_array_equal(found.video_mask[[0, 2, 3]], video_mask)
    np.testing.assert_array_equal(found.audio[1:], audio)
    np.testing.assert_array_equal(found.audio_mask[1:], audio_mask)
    assert (found.video[1] == 0).all()
    assert (found.audio[0] == padding).all()
    assert not found.video_mask[1].any()
    assert not found.audio_mask[0].any()


@pytest.mark.parametrize("lineage", [{}, ORIGINAL], ids=["transformers", "released code"])
@on_every_backend
def test_a_clip_in_a_mixed_batch_gives_what_it_gives_alone(backend, lineage):
    """Whether it lacks sound or pictures, is shorter than the others or a single image.

    Where silence is padding, a clip without sound is in a batch what a silent one is.
    """
    config = SMALL.replace(**lineage)
    clips = [
        make_film(3, 0),
        make_film(0, 5000, 16000),
        make_film(1, 6000),
        make_film(2, 700),
        make_film(1, 0),
    ]
    params = backend.move(draw_params(config, np.random.default_rng(0)))

    def run(clips):
        made = prepare(clips, config)
        return forward(params, *backend.move((made.video, made.audio, made.video_mask, made.audio_mask))).cls

    silence = {"waveform": np.zeros(500, np.float32), "sample_rate": SECOND}
    is_silent = [config.silence_is_padding and clip.waveform is None for clip in clips]
    whole = [replace(clip, **silence) if it else clip for clip, it in zip(clips, is_silent, strict=True)]
    expected = [to_backend(run(clip), "numpy")[0] for clip in whole]
    backend.assert_close(run(clips), np.stack(expected), atol=1e-4)


# ---- mixed videos

FILMS = [make_film(3, 6000), make_film(1, 2000, seed=1), make_film(2, 700, seed=2)]
OTHERS = [make_film(2, 0, seed=3), None, make_film(3, 4000, 16000, seed=4)]


def test_mixed_videos_are_chosen_clips_with_masks_of_their_own():
    found = prepare(FILMS, SMALL, mixed=OTHERS)
    shown = [OTHERS[0], FILMS[1], OTHERS[2]]
    video, mask = prepare_video([clip.frames for clip in shown], SMALL)
    np.testing.assert_array_equal(found.mixed_video, video)
    np.testing.assert_array_equal(found.mixed_video_mask, mask)
    np.testing.assert_array_equal(found.is_match, [False, True, False])
    unmixed = prepare(FILMS, SMALL)
    assert (unmixed.mixed_video, unmixed.mixed_video_mask, unmixed.is_match) == (None, None, None)
    for name in ("video", "audio", "video_mask", "audio_mask"):
        np.testing.assert_array_equal(getattr(found, name), getattr(unmixed, name))


# ---- which frames


def test_frames_are_chosen_evenly_in_time_and_not_in_number():
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9])
    clip = make_film(6, 0, times=times)  # the last picture stays a tenth of a second
    found = prepare(clip, SMALL)
    np.testing.assert_array_equal(found.video, prepare_video([clip.frames[[1, 4, 4]]], SMALL)[0])


def test_of_a_film_longer_than_the_spectrogram_the_frames_are_those_that_go_with_the_sound():
    film = make_film(40, 4 * SECOND)  # of 4 s, 0.768 are heard
    found = prepare(film, SMALL)
    np.testing.assert_array_equal(found.video, prepare_video([film.frames[[1, 3, 6]]], SMALL)[0])
    silent = prepare(make_film(40, 0), SMALL)
    np.testing.assert_array_equal(silent.video, prepare_video([film.frames[[6, 20, 33]]], SMALL)[0])


def test_the_first_frames_of_shares_are_chosen_from_all_frames_and_of_few_some_repeat_but_no_still_image():
    config, film = SMALL.replace(frame_choice="first"), make_film(40, 4 * SECOND)  # 0.768 s are heard
    for clip, numbers in ((film, [0, 13, 26]), (make_film(2, 700), [0, 0, 1])):
        expected, _ = prepare_video(clip.frames[numbers], SMALL)
        np.testing.assert_array_equal(prepare(clip, config).video, expected)
        np.testing.assert_array_equal(prepare_video(clip.frames, config)[0], expected)
    assert prepare_video(film.frames[:1], config)[1].shape == (1, 27)
    assert prepare_video(film.frames[0], config)[1].shape == (1, 9)
    assert prepare(make_film(1, 0), config).video.shape[1] == 1


# ---- bad input


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: prepare([], SMALL), r"clips as read_clip gives them, .* got \[\]"),
        (lambda: prepare([FILMS[0], np.zeros(3)], SMALL), "clips as read_clip gives them"),
        (lambda: prepare([FILMS[0], make_film(0, 0)], SMALL), "but clip 1 holds neither"),
        (lambda: prepare(FILMS, SMALL, OTHERS[:2]), "each of 3 clips, got 2"),
        (lambda: prepare(FILMS, SMALL, "abc"), "mixed as clips, .* got 'abc'"),
        (lambda: prepare(FILMS, SMALL, [None, make_film(0, 300), None]), "audio in clip 1 and frames in its"),
        (lambda: prepare(make_film(2, 0), SMALL, FILMS[1]), "audio in clip 0 and frames in its"),
        (lambda: prepare_audio([np.zeros(300), np.zeros(300, np.int16)], 8000, SMALL), "waveform 1 .*32768"),
        (lambda: prepare_audio("film.wav", 8000, SMALL), "NumPy arrays, one or a list .* got 'film.wav'"),
        (lambda: prepare_audio(make_waveforms(300, 400), [8000] * 3, SMALL), "of 2 waveforms, got 3"),
        (lambda: prepare_video(["clip.mp4"], SMALL), "clips of shape .* NumPy arrays"),
        (lambda: prepare_video(make_clips((2, 24, 24, 3), (2, 24, 24, 1)), SMALL), "Expected clip 1 as"),
        (lambda: prepare_video(make_clips((0, 24, 24, 3)), SMALL), "not empty"),
    ],
)
def test_what_cannot_be_prepared_is_refused_by_number(call, complaint):
    with annotations_unchecked(), pytest.raises(ValueError, match=complaint):
        call()
