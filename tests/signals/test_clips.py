"""Media files in and out: what was decoded is believed, not what a header says; damage is never hidden."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.signals.clips import Clip, choose_frames_in_time, make_clip, read_clip, write_clip
from minitvlt.signals.frames import choose_frames
from minitvlt.signals.media import AAC_RATES
from minitvlt.signals.waveforms import write_wav
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.media import find_real_clip, make_frames, make_sweep, needs_av, write_media


def assert_frames_near(frames: np.ndarray, expected: np.ndarray, tolerance: float = 4.0) -> None:
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected).mean() < tolerance


def correlate(found: np.ndarray, expected: np.ndarray) -> float:
    count = min(len(found), len(expected))
    return float(np.corrcoef(found[:count], expected[:count])[0, 1])


# Choosing frames


@given(count=st.integers(1, 9), total=st.integers(1, 60), rate=st.sampled_from([5.0, 24.0, 25.0, 30.0]))
def test_at_a_constant_rate_even_in_time_is_even_in_number(count, total, rate):
    chosen = choose_frames_in_time(np.arange(total) / rate, 0.0, total / rate, count)
    np.testing.assert_array_equal(chosen, choose_frames(count, total))


@given(gaps=st.lists(st.floats(0.01, 2), min_size=1, max_size=20), count=st.integers(1, 7))
def test_chosen_frames_are_those_on_the_screen(gaps, count):
    times = np.cumsum(gaps)
    chosen = choose_frames_in_time(times, 0.5, 11.0, count)
    for k in range(count):
        moment = 0.5 + 10.5 * (k + 0.5) / count
        shown = [i for i in range(len(times)) if times[i] <= moment + 1e-9]
        assert chosen[k] == (shown[-1] if shown else 0)


# A clip


def test_frames_without_times_follow_at_the_rate():
    clip = Clip(make_frames(5, 6, 7), 10.0, None, 0)
    np.testing.assert_allclose(clip.times, [0, 0.1, 0.2, 0.3, 0.4])
    assert Clip(make_frames(1, 6, 7), 0.0, None, 0).times.tolist() == [0.0]
    with pytest.raises(ValueError, match="frame rate above 0 for 5 frames, got 0"):
        Clip(make_frames(5, 6, 7), 0, None, 0)


# Out and in again


@needs_av
@settings(max_examples=8)
@given(
    T=st.integers(1, 13), H=st.integers(8, 31), W=st.integers(8, 31),
    rate=st.sampled_from([5.0, 24.0, 25.0, 30.0, 30000 / 1001]), sample_rate=st.sampled_from(AAC_RATES[1:]),
)  # fmt: skip
def test_a_written_clip_comes_back(tmp_path_factory, T, H, W, rate, sample_rate):
    frames, sound = make_frames(T, H, W), make_sweep(1.1, sample_rate)
    path = write_clip(tmp_path_factory.mktemp("clip") / "clíp 1.mp4", Clip(frames, rate, sound, sample_rate))
    found = read_clip(path)
    assert_frames_near(found.frames, frames, 8.0)  # colours of even sizes have half the resolution
    np.testing.assert_allclose(found.times, np.arange(T) / rate, atol=1e-5)
    assert found.frame_rate == pytest.approx(rate if T > 1 else 0, rel=1e-3)
    assert (found.sample_rate, found.sound_start, found.path) == (sample_rate, 0.0, str(path))
    assert found.waveform.dtype == np.float32
    assert 0 <= len(found.waveform) - len(sound) < 1024  # AAC fills its last block up
    assert correlate(found.waveform, sound) > 0.98


@needs_av
def test_uneven_times_and_a_late_sound_come_back(tmp_path):
    times = np.array([0.0, 0.04, 0.5, 0.52, 1.7])
    clip = Clip(make_frames(5, 16, 18), 3.0, make_sweep(0.5, 16000), 16000, times=times, sound_start=0.25)
    found = read_clip(write_clip(tmp_path / "uneven.mp4", clip))
    np.testing.assert_allclose(found.times, times, atol=1e-5)
    assert found.frame_rate == pytest.approx(4 / 1.7)
    primer = round((0.25 - found.sound_start) * 16000)  # samples of silence with which AAC begins
    assert primer in (0, 1024)
    assert correlate(found.waveform[primer:], clip.waveform) > 0.98


@needs_av
def test_pictures_alone_and_sound_alone_come_back(tmp_path):
    pictures = read_clip(write_clip(tmp_path / "p.mp4", Clip(make_frames(3, 16, 18), 7.0, None, 0)))
    assert (pictures.waveform, pictures.sample_rate, len(pictures.frames)) == (None, 0, 3)
    sound = read_clip(write_clip(tmp_path / "s.mp4", Clip(None, 0.0, make_sweep(0.3, 8000), 8000)))
    assert (sound.frames, sound.times, sound.frame_rate) == (None, None, 0.0)
    assert sound.sample_rate == 8000


def film(**fields: Any) -> Callable[[], Clip]:
    """Make a silent film when it is asked for, with fields that may be of a wrong type."""
    return lambda: Clip(**{"frames": make_frames(2, 8, 8), "frame_rate": 2.0, **NO_SOUND, **fields})


def sound(waveform: Any = None, rate: Any = 8000, **fields: Any) -> Callable[[], Clip]:
    """Make a sound when it is asked for, with fields that may be of a wrong type."""
    samples = np.zeros(500) if waveform is None else waveform
    return film(frames=None, waveform=samples, sample_rate=rate, **fields)


NO_SOUND = {"waveform": None, "sample_rate": 0}


@needs_av
def test_loud_sound_is_clipped_when_written(tmp_path):
    found = read_clip(write_clip(tmp_path / "loud.mp4", Clip(None, 0.0, 50 * make_sweep(0.5, 16000), 16000)))
    assert np.abs(found.waveform).max() < 4  # and not 25; the codec overshoots a square wave


@needs_av
@pytest.mark.parametrize(
    ("name", "clip", "words"),
    [
        ("a.mp4", Clip(None, 0.0, None, 0), "neither frames nor sound"),
        ("a.mkv", Clip(make_frames(2, 8, 8), 2.0, None, 0), r"ends in \.mp4"),
        ("a.mp4", Clip(make_frames(2, 8, 8)[:0], 2.0, None, 0), "at least one frame"),
        ("a.mp4", Clip(make_frames(2, 8, 8), 2.0, None, 0, times=np.array([1.0, 1.0])), "must grow"),
        ("a.mp4", film(frames=np.zeros((2, 8, 8, 3))), "pixels of uint8, from 0 to 255, got float64"),
        ("a.mp4", film(frames=np.zeros((2, 8, 8), np.uint8)), r"shape \(T, H, W, 3\), got \(2, 8, 8\)"),
        ("a.mp4", film(frames=np.zeros((2, 8, 8, 4), np.uint8)), r"got \(2, 8, 8, 4\)"),
        ("a.mp4", film(frames=[[1, 2], [3, 4]]), "got list"),
        ("a.mp4", film(times=np.array([0.0, np.nan])), "must be seconds from 0"),
        ("a.mp4", film(times=np.array([-0.1, 1.0])), "must be seconds from 0"),
        ("a.mp4", film(times=np.array([0.0, 1e9])), "from 0 to 20000"),
        ("a.mp4", film(times=np.array([1.0, 0.5])), "must grow"),
        ("a.mp4", film(times=np.array([1.0, 1.000001])), "must grow, by 1/90000 s"),
        ("a.mp4", film(times=np.array([0.0, 1.0, 2.0])), "each of the 2 frames"),
        ("a.mp4", film(times=[0.0, 1.0]), "as a NumPy array"),
        ("a.mp4", sound(np.zeros((2, 500))), "mix its channels down to one"),
        ("a.mp4", sound(np.zeros(500, np.int16)), "divide by 32768"),
        ("a.mp4", sound(rate=8000.0), "whole hertz, at least 1, got 8000.0"),
        ("a.mp4", sound(rate="8000"), "whole hertz"),
        ("a.mp4", sound(sound_start=np.nan), "sound_start must be seconds"),
        ("a.mp4", sound(sound_start=-0.5), "sound_start must be seconds"),
        ("a.mp4", Clip(None, 0.0, np.zeros(0), 8000), "at least one sample"),
        ("a.mp4", Clip(None, 0.0, np.array([np.nan]), 8000), "NaN"),
        ("a.mp4", Clip(None, 0.0, np.zeros(5), 8001), "AAC has no 8001 Hz; resample the sound to 7350, 8000"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, name, clip, words):
    with annotations_unchecked(), pytest.raises(ValueError, match=words):
        write_clip(tmp_path / name, clip() if callable(clip) else clip)
    assert list(tmp_path.iterdir()) == []


@needs_av
@pytest.mark.parametrize("times", [[0.0, 1 / 90000], [0.0, 5000.0], [0.0, 20000.0]])
def test_the_nearest_and_the_farthest_times_that_are_taken_come_back(tmp_path, times):
    clip = Clip(make_frames(2, 16, 18), 1.0, None, 0, times=np.array(times))
    np.testing.assert_allclose(read_clip(write_clip(tmp_path / "a.mp4", clip)).times, times, atol=1e-6)


@needs_av
def test_a_failure_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", Clip(make_frames(2, 8, 8), 2.0, None, 0))
    old = path.read_bytes()
    monkeypatch.setattr("av.VideoFrame.from_ndarray", None)
    with pytest.raises(TypeError):
        write_clip(path, Clip(make_frames(3, 8, 8), 2.0, None, 0))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


# What real files are like


@needs_av
@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6)])
@pytest.mark.parametrize("codec", ["flac", "aac"])
def test_channels_become_one_by_their_mean(tmp_path, layout, channels, codec):
    loudness = np.linspace(1.0, 0.4, channels)[:, None]
    sound = loudness * make_sweep(0.6, 44100)
    path = write_media(tmp_path / "s.mkv", sound=sound, layout=layout, codecs=("", codec))
    found = read_clip(path).waveform
    count = min(len(found), sound.shape[1])
    error = np.abs(found[2000 : count - 2000] - sound.mean(axis=0)[2000 : count - 2000])
    # A low-frequency channel loses what is high in AAC, so only FLAC is held to the very values.
    assert error.max() < 1e-4 if codec == "flac" else correlate(found, sound.mean(axis=0)) > 0.95


@needs_av
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_samples_of_every_format_mean_the_same_sound(tmp_path, codec):
    sound = make_sweep(0.2, 16000)
    found = read_clip(write_media(tmp_path / "s.mkv", sound=sound, rate=16000, codecs=("", codec)))
    np.testing.assert_allclose(found.waveform, sound, atol=0.02 if codec == "pcm_u8" else 1e-4)


@needs_av
def test_a_sound_shorter_than_the_picture_is_not_filled_up(tmp_path):
    path = write_media(tmp_path / "s.mp4", make_frames(50, 16, 18), sound=make_sweep(0.5, 44100))
    clip = read_clip(path)
    assert len(clip.frames) == 50
    assert 0.5 <= len(clip.waveform) / 44100 < 0.55
    tail = read_clip(path, 1.0, 1.5)
    assert (tail.waveform, len(tail.frames)) == (None, 13)


@needs_av
def test_a_picture_shorter_than_the_sound_is_not_prolonged(tmp_path):
    path = write_media(tmp_path / "s.mp4", make_frames(10, 16, 18), sound=make_sweep(1.5, 44100))
    tail = read_clip(path, 1.0, 1.25)
    assert (tail.frames, tail.times, len(tail.waveform)) == (None, None, 11025)


@needs_av
def test_time_0_is_where_the_first_stream_begins(tmp_path):
    """MPEG-TS counts from anywhere; here AAC puts a block of 1,024 samples before the first picture."""
    path = write_media(tmp_path / "s.ts", make_frames(50, 16, 18), sound=make_sweep(2.0, 44100))
    clip = read_clip(path)
    assert clip.sound_start == 0
    assert clip.times[0] == pytest.approx(1024 / 44100, abs=1e-4)
    assert correlate(clip.waveform[1024:], make_sweep(2.0, 44100)) > 0.98


@needs_av
def test_a_track_that_begins_late_keeps_its_time(tmp_path):
    clip = Clip(make_frames(25, 16, 18), 25.0, make_sweep(0.5, 44100), 44100, sound_start=0.3)
    path = write_clip(tmp_path / "s.mp4", clip)
    begins = 0.3 - 1024 / 44100  # AAC begins with a block of silence
    assert read_clip(path).sound_start == pytest.approx(begins, abs=1e-4)
    late = read_clip(path, 0.2)
    assert late.sound_start == pytest.approx(begins - 0.2, abs=1e-4)
    assert late.times[0] == 0
    whole, inner = make_sweep(0.5, 44100), read_clip(path, 0.4)
    assert inner.sound_start == pytest.approx(0, abs=1e-4)
    assert correlate(inner.waveform, whole[4410:]) > 0.98


@needs_av
def test_frames_of_a_variable_rate_carry_their_times(tmp_path):
    times = np.array([0.0, 0.033, 0.066, 0.5, 0.9, 0.933, 2.0])
    path = write_media(tmp_path / "s.mkv", make_frames(7, 16, 18), times)
    np.testing.assert_allclose(read_clip(path).times, times)
    span = read_clip(path, 0.066, 0.933)
    np.testing.assert_allclose(span.times, times[2:5] - 0.066)
    assert_frames_near(span.frames, make_frames(7, 16, 18)[2:5])


@needs_av
@pytest.mark.parametrize("flip", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_and_mirrored_videos_come_upright(tmp_path, degrees, flip):
    import av

    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a turned video")
    frames = make_frames(2, 16, 24)
    found = read_clip(write_media(tmp_path / "s.mp4", frames, rotation=(degrees, *flip)))
    upright = np.rot90(frames, degrees // 90, axes=(1, 2))  # anticlockwise, then mirrored
    upright = upright[:, :: -1 if flip[1] else 1, :: -1 if flip[0] else 1]
    assert_frames_near(found.frames, upright)


@needs_av
@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_photographs_are_turned_as_their_exif_data_say(tmp_path, orientation, turns):
    from PIL import Image

    pixels = make_frames(1, 16, 24)[0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    assert_frames_near(read_clip(tmp_path / "photo.jpg").frames[0], np.rot90(pixels, turns))


@needs_av
@pytest.mark.parametrize("name", ["plain.png", "numbered %03d.png", "naïve 東京.png", "-x.png", "a:b.png"])
def test_a_still_picture_is_one_frame_whatever_its_name(tmp_path, monkeypatch, name):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (11, 13, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    clip = read_clip(name)
    np.testing.assert_array_equal(clip.frames, pixels[None])
    assert (clip.times.tolist(), clip.frame_rate, clip.waveform) == ([0.0], 0.0, None)


@needs_av
@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_pictures_of_other_kinds_become_rgb(tmp_path, mode):
    from PIL import Image

    Image.new(mode, (5, 7)).save(tmp_path / "picture.png")
    assert read_clip(tmp_path / "picture.png").frames.shape == (1, 7, 5, 3)


@needs_av
def test_a_header_that_lies_about_the_length_changes_nothing(tmp_path):
    path = write_media(tmp_path / "s.mp4", make_frames(25, 16, 18), sound=make_sweep(1.0, 44100))
    honest = read_clip(path)
    for factor in (0.1, 1000):
        lie = tmp_path / f"lie{factor}.mp4"
        lie.write_bytes(scale_claimed_duration(path.read_bytes(), factor))
        found = read_clip(lie)
        np.testing.assert_array_equal(found.frames, honest.frames)
        np.testing.assert_array_equal(found.times, honest.times)
        np.testing.assert_array_equal(found.waveform, honest.waveform)


def scale_claimed_duration(data: bytes, factor: float) -> bytes:
    """Change the durations in the mvhd and mdhd boxes (version 0: 12 bytes, then time scale and duration)."""
    changed = bytearray(data)
    for kind in (b"mvhd", b"mdhd"):
        at = data.find(kind)
        while at >= 0:
            place = slice(at + 20, at + 24)
            changed[place] = int(int.from_bytes(data[place], "big") * factor).to_bytes(4, "big")
            at = data.find(kind, at + 1)
    assert changed != data
    return bytes(changed)


# Spans


FORMATS = {
    "mp4": ("libx264", "aac"),
    "mov": ("mjpeg", "pcm_s24le"),
    "ts": ("libx264", "aac"),
    "avi": ("mjpeg", "libmp3lame"),
    "flac": ("", "flac"),
    "mp3": ("", "libmp3lame"),
    "m4a": ("", "aac"),
}


@needs_av
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_span_is_a_slice_of_the_whole(tmp_path, suffix):
    frames = make_frames(100, 16, 18) if FORMATS[suffix][0] else None
    path = write_media(tmp_path / f"s.{suffix}", frames, sound=make_sweep(4.0, 44100), codecs=FORMATS[suffix])
    whole = read_clip(path)
    for start, stop in [(0.0, 0.52), (0.3, 0.7), (2.04, 2.08), (1.7, 3.91), (3.0, 99.0)]:
        span = read_clip(path, start, stop)
        assert_same_slice(whole, span, start, stop)
        assert whole.path == span.path


def assert_same_slice(whole: Clip, span: Clip, start: float, stop: float) -> None:
    if whole.frames is not None:
        inside = (whole.times > start - 1e-9) & (whole.times < stop - 1e-9)
        np.testing.assert_array_equal(span.frames, whole.frames[inside])
        np.testing.assert_allclose(span.times, whole.times[inside] - start)
    rate = whole.sample_rate
    first = max(0, int(np.ceil((start - whole.sound_start) * rate - 1e-6)))
    last = int(np.ceil((stop - whole.sound_start) * rate - 1e-6))
    expected = whole.waveform[first:last]
    slack = int(span.path.endswith(".ts"))  # MPEG-TS counts time in 1/90,000 s: a sample is hit or missed
    assert abs(len(span.waveform) - len(expected)) <= slack
    # Decoders of AAC put noise where the coder left some, other noise after seeking: hence a mean.
    count = len(expected) - 2
    found = span.waveform[1:][:count]
    errors = [np.abs(found - expected[1 + s :][: len(found)]).mean() for s in range(-slack, slack + 1)]
    assert min(errors) < 1e-3


@needs_av
def test_a_span_in_a_container_that_rounds_times_is_off_by_less_than_a_thousandth(tmp_path):
    path = write_media(tmp_path / "s.mkv", make_frames(100, 16, 18), sound=make_sweep(4.0, 44100))
    span, expected = read_clip(path, 2.5, 3.0), make_sweep(4.0, 44100)[110250:132300]
    shifts = range(-44, 45)
    inner = expected[100:-200]
    scores = [np.corrcoef(span.waveform[100 + s :][: len(inner)], inner)[0, 1] for s in shifts]
    assert max(scores) > 0.98
    assert len(span.frames) == 12  # at 2.52, 2.56, ... 2.96 s


@needs_av
@pytest.mark.parametrize("span", [(2.0, 3.5), (3.3, 4.0), (1.04, 1.08)])
def test_spans_of_the_real_clip(span, real):
    path, whole = real
    found = read_clip(path, *span)
    inside = (whole.times > span[0] - 1e-9) & (whole.times < span[1] - 1e-9)
    np.testing.assert_array_equal(found.frames[:, ::16, ::16], whole.frames[inside])
    rate = whole.sample_rate
    expected = whole.waveform[round(span[0] * rate) : round(span[1] * rate)]
    np.testing.assert_allclose(found.waveform, expected, atol=1e-3)


@pytest.fixture(scope="module")
def real() -> tuple[Path, Clip]:
    path = find_real_clip()
    return path, read_clip(path, shrink=lambda pixels: pixels[::16, ::16])


@needs_av
def test_the_real_clip(real):
    _, clip = real
    assert clip.frames.shape == (132, 45, 80, 3)
    np.testing.assert_allclose(clip.times, np.arange(132) / 25)
    assert clip.frame_rate == pytest.approx(25)
    assert (clip.sample_rate, len(clip.waveform), clip.sound_start) == (48000, 249 * 1024, 0.0)
    assert 0.01 < np.abs(clip.waveform).max() <= 1


@needs_av
def test_only_what_is_needed_is_decoded(tmp_path, monkeypatch):
    """From the last key frame a second before the span, to its end: counted on a clip of 400 frames."""
    from minitvlt.signals import clips

    path = write_media(tmp_path / "s.mp4", make_frames(400, 16, 18), sound=make_sweep(16.0, 8000), rate=8000)
    decoded: list[float] = []
    decode_media = clips.decode_media

    def count(*arguments):
        for piece in decode_media(*arguments):
            decoded.append(piece.time)
            yield piece

    monkeypatch.setattr(clips, "decode_media", count)
    assert len(read_clip(path, 12.0, 12.4).frames) == 10
    assert 10 < min(decoded) < 12
    assert max(decoded) < 12.4


@needs_av
def test_frames_can_be_thinned_and_shrunk_while_they_are_decoded(tmp_path):
    path = write_media(tmp_path / "s.mp4", make_frames(25, 16, 18))
    clip = read_clip(path, 0.08, frame_gap=0.1, shrink=lambda pixels: pixels[::4, ::3])
    assert clip.frames.shape == (8, 4, 6, 3)
    np.testing.assert_allclose(clip.times, np.arange(8) * 0.12)


@needs_av
def test_neighbouring_spans_share_nothing_and_miss_nothing(tmp_path):
    path = write_media(tmp_path / "s.mp4", make_frames(60, 16, 18), sound=make_sweep(2.4, 44100))
    whole = read_clip(path)
    edges = [0.0, 0.52, 0.52001, 1.1, 1.4, 9.0]
    parts = [read_clip(path, *edges[i : i + 2]) for i in range(5)]
    assert sum(0 if part.frames is None else len(part.frames) for part in parts) == 60
    assert sum(0 if part.waveform is None else len(part.waveform) for part in parts) == len(whole.waveform)


# What is wrong with files and requests


@pytest.mark.parametrize(
    ("start", "stop", "words"),
    [
        (-1, None, "start must be a time in seconds, 0 or later, not -1.0"),
        (float("nan"), None, "start must be"),
        (1.0, 1.0, r"stop \(1.0 s\) must come after start \(1.0 s\)"),
        (2, 1, "must come after"),
        (0.0, float("nan"), "must come after"),
    ],
)
def test_a_span_that_is_none_is_refused(tmp_path, start, stop, words):
    path = write_wav(tmp_path / "s.wav", make_sweep(0.5, 8000), 8000)
    with pytest.raises(ValueError, match=words):
        read_clip(path, start, stop)


def test_no_file_a_folder_and_an_empty_file_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.mp4: there is no such file"):
        read_clip(tmp_path / "nowhere.mp4")
    with pytest.raises(ValueError, match="is a folder"):
        read_clip(tmp_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match=r"empty\.mp4 is empty \(0 bytes\)"):
        read_clip(tmp_path / "empty.mp4")


@needs_av
@pytest.mark.parametrize("content", [b"this is only text", bytes(1000), bytes(range(256)) * 20])
@pytest.mark.parametrize("name", ["s.mp4", "s.wav", "s.png"])
def test_what_is_no_media_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"s\.{name[2:]}.*(no media file|neither)"):
        read_clip(tmp_path / name)


@needs_av
def test_a_file_of_subtitles_has_nothing_to_decode(tmp_path):
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(ValueError, match="neither a video stream nor a sound stream"):
        read_clip(tmp_path / "s.srt")


@needs_av
def test_a_span_beyond_the_end_says_where_the_end_is(tmp_path):
    path = write_media(tmp_path / "s.mp4", make_frames(25, 16, 18), sound=make_sweep(1.0, 44100))
    with pytest.raises(ValueError, match=r"s\.mp4 holds nothing from 9.0 s to the end: .* ends at 1\.0"):
        read_clip(path, 9)


def test_a_span_beyond_the_end_of_a_wav_file_says_so_too(tmp_path):
    path = write_wav(tmp_path / "s.wav", make_sweep(0.5, 8000), 8000)
    with pytest.raises(ValueError, match=r"from 2\.0 s to 3\.0 s: what was decoded ends at 0\.500 s"):
        read_clip(path, 2.0, 3.0)


@pytest.fixture
def broken_halfway(tmp_path) -> Path:
    """Four seconds of which the index is whole and the second half is zeros."""
    path = write_media(
        tmp_path / "s.mp4",
        make_frames(100, 32, 34),
        sound=make_sweep(4.0, 44100),
        options={"movflags": "faststart"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    return path


@needs_av
def test_damage_is_an_error_and_what_lies_before_it_can_be_read(broken_halfway):
    with pytest.raises(ValueError, match=r"s\.mp4.*(damaged|hole)"):
        read_clip(broken_halfway)
    assert len(read_clip(broken_halfway, 0.0, 1.0).frames) == 25


@needs_av
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("index_first", [False, True])
def test_an_mp4_file_that_is_cut_off_is_an_error(tmp_path, keep, index_first):
    path = write_media(
        tmp_path / "s.mp4",
        make_frames(50, 32, 34),
        sound=make_sweep(2.0, 44100),
        options={"movflags": "faststart"} if index_first else {},
    )
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"s\.mp4.*(damaged|cut off)"):
        read_clip(path)


@needs_av
def test_a_matroska_file_just_ends_where_it_was_cut(tmp_path):
    path = write_media(tmp_path / "s.mkv", make_frames(50, 32, 34), sound=make_sweep(2.0, 44100))
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    assert 10 < len(read_clip(path).frames) < 50


@needs_av
def test_a_wav_file_that_is_cut_off_is_an_error(tmp_path):
    path = write_wav(tmp_path / "s.wav", make_sweep(0.5, 8000), 8000)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"s\.wav.*cut off"):
        read_clip(path)


@needs_av
def test_a_bare_stream_of_pictures_without_times_is_refused(tmp_path):
    path = write_media(tmp_path / "s.h264", make_frames(10, 32, 34))
    with pytest.raises(
        ValueError, match=r"s\.h264: its frames carry no times; put it into another container"
    ):
        read_clip(path)


@pytest.mark.parametrize(
    ("times", "heights", "words"),
    [
        ((0.1, 0.2, 0.15), (4, 4, 4), r"s\.mp4: the times of its frames run backwards"),
        ((0.1, 0.2, 0.2), (4, 4, 4), "run backwards"),
        ((0.1, 0.2, 0.3), (4, 4, 6), r"s\.mp4: the size of its pictures changes"),
    ],
)
def test_pictures_that_make_no_film_are_refused(times, heights, words):
    pictures = [
        (time, np.zeros((height, 5, 3), np.uint8)) for time, height in zip(times, heights, strict=True)
    ]
    with pytest.raises(ValueError, match=words):
        make_clip(Path("s.mp4"), 0.0, pictures, None)


# WAV files, with and without PyAV


def test_a_wav_file_is_a_clip_of_sound(tmp_path):
    sound = make_sweep(0.5, 8000)
    clip = read_clip(write_wav(tmp_path / "s.WAV", sound, 8000), 0.1, 0.3)
    assert (clip.frames, clip.times, clip.sample_rate, clip.sound_start) == (None, None, 8000, 0.0)
    np.testing.assert_allclose(clip.waveform, sound[800:2400], atol=1e-4)


@needs_av
def test_pyav_and_scipy_read_the_same_from_a_wav_file(tmp_path):
    path = write_wav(tmp_path / "s.wav", make_sweep(0.5, 8000), 8000)
    shutil.copy(path, tmp_path / "s.other")
    np.testing.assert_array_equal(read_clip(tmp_path / "s.other").waveform, read_clip(path).waveform)


@needs_av
def test_codings_that_scipy_does_not_know_are_read_by_pyav(tmp_path):
    path = write_media(tmp_path / "s.wav", sound=make_sweep(0.5, 8000), rate=8000, codecs=("", "pcm_alaw"))
    np.testing.assert_allclose(read_clip(path).waveform, make_sweep(0.5, 8000), atol=0.03)


def test_without_pyav_wav_files_are_read_and_others_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = write_wav(tmp_path / "s.wav", make_sweep(0.5, 8000), 8000)
    assert len(read_clip(path).waveform) == 4000
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="cannot be read as a WAV file"):
        read_clip(path)
    shutil.copy(path, tmp_path / "s.mp4")
    with pytest.raises(ImportError, match=r'pip install "minitvlt\[media\]"'):
        read_clip(tmp_path / "s.mp4")
    with pytest.raises(ImportError, match="need PyAV"):
        write_clip(tmp_path / "t.mp4", Clip(make_frames(2, 8, 8), 2.0, None, 0))
