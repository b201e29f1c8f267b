"""Media files in and out: every frame and sample at its time, damage counted, no other file opened."""

import gc
import os
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from minitvlt.signals import media
from minitvlt.signals.media import AAC_RATES, Clip, read_clip, write_clip
from minitvlt.signals.waveforms import write_wav
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.media import find_real_clip, make_frames, make_sweep, needs_av, write_media

pytestmark = needs_av


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def assert_frames_near(frames: np.ndarray, expected: np.ndarray, tolerance: float = 4.0) -> None:
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected).mean() < tolerance


def correlate(found: np.ndarray, expected: np.ndarray) -> float:
    count = min(len(found), len(expected))
    return float(np.corrcoef(found[:count], expected[:count])[0, 1])


# ---- out and in again


@settings(max_examples=6)
@given(
    T=st.integers(1, 13), H=st.integers(8, 31), W=st.integers(8, 31),
    rate=st.sampled_from([5.0, 24.0, 25.0, 30000 / 1001]), sample_rate=st.sampled_from(AAC_RATES[1:]),
)  # fmt: skip
def test_a_written_clip_comes_back(T, H, W, rate, sample_rate):
    frames, sweep = make_frames(T, H, W), make_sweep(1.1, sample_rate)
    path = write_clip("new/clíp 1.mp4", Clip(frames, rate, sweep, sample_rate))
    found = read_clip(path)
    assert_frames_near(found.frames, frames, 8.0)  # colours of even sizes have half the resolution
    np.testing.assert_allclose(found.times, np.arange(T) / rate, atol=1e-5)
    assert found.frame_rate == pytest.approx(rate if T > 1 else 0, rel=1e-3)
    assert (found.sample_rate, found.sound_start, found.path) == (sample_rate, 0.0, str(path))
    assert found.waveform.dtype == np.float32 and found.damage == ""
    assert 0 <= len(found.waveform) - len(sweep) < 1024  # AAC fills its last block up
    assert correlate(found.waveform, sweep) > 0.98


def test_uneven_times_and_late_audio_come_back():
    times = np.array([0.0, 0.04, 0.5, 0.52, 1.7])
    clip = Clip(make_frames(5, 16, 18), 3.0, make_sweep(0.5, 16000), 16000, times=times, sound_start=0.25)
    found = read_clip(write_clip("a.mp4", clip))
    np.testing.assert_allclose(found.times, times, atol=1e-5)
    primer = round((0.25 - found.sound_start) * 16000)  # samples of silence with which AAC begins
    assert primer in (0, 1024) and correlate(found.waveform[primer:], clip.waveform) > 0.98
    late = read_clip("a.mp4", 0.1)
    assert late.sound_start == pytest.approx(found.sound_start - 0.1, abs=1e-4)


def test_frames_alone_and_audio_alone_come_back_and_loud_audio_is_clipped():
    frames = read_clip(write_clip("p.mp4", Clip(make_frames(3, 16, 18), 7.0, None, 0)))
    assert (frames.waveform, frames.sample_rate, len(frames.frames)) == (None, 0, 3)
    audio = read_clip(write_clip("s.mp4", Clip(None, 0.0, 50 * make_sweep(0.3, 8000), 8000)))
    assert (audio.frames, audio.times, audio.frame_rate, audio.sample_rate) == (None, None, 0.0, 8000)
    assert np.abs(audio.waveform).max() < 4  # and not 25; the codec overshoots a square wave


def film(**fields: Any) -> Callable[[], Clip]:
    """Make a clip when it is asked for, with fields that may be of a wrong type."""
    given = {"frames": make_frames(2, 8, 8), "frame_rate": 2.0, "waveform": None, "sample_rate": 0}
    return lambda: Clip(**given | fields)


def audio(waveform: Any, rate: Any = 8000, **fields: Any) -> Callable[[], Clip]:
    return film(frames=None, waveform=waveform, sample_rate=rate, **fields)


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (film(frames=None), "a clip with frames or audio"),
        (film(frames=make_frames(2, 8, 8)[:0]), "not empty"),
        (film(frames=np.zeros((2, 8, 8), np.uint8)), r"uint8, \(T, H, W, 3\), .*\(2, 8, 8\)"),
        (film(frame_rate=0), "frame rate above 0 for 2 frames"),
        (film(times=np.array([0.0, np.nan])), "a later time for each of 2 frames"),
        (film(times=np.array([-0.1, 1.0])), "seconds from 0 to 20,000"),
        (film(times=np.array([1.0, 1.000001])), "grow by 1/90000"),
        (audio(np.zeros((2, 500))), "mix its channels"),
        (audio(np.zeros(500), 8000.0), "whole hertz, 1 to 1,000,000, got 8000.0"),
        (audio(np.zeros(500), sound_start=np.nan), "seconds from 0 to 20,000"),
        (audio(np.array([np.nan])), "NaN"),
        (audio(np.zeros(5), 8001), r"AAC has no 8001 Hz; resample to one of \(7350, 8000"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(clip, words):
    with annotations_unchecked(), pytest.raises(ValueError, match=words):
        write_clip("a.mp4", clip())
    with pytest.raises(ValueError, match=r"ends in \.mp4"):
        write_clip("a.mkv", film()())
    assert os.listdir() == []


# ---- what real files are like


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6)])
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_f64le", "flac"])
def test_channels_of_every_kind_of_sample_become_one_by_their_mean(layout, channels, codec):
    waveforms = np.linspace(1.0, 0.4, channels)[:, None] * make_sweep(0.3, 44100)
    found = read_clip(write_media(Path("s.mkv"), sound=waveforms, layout=layout, codecs=("", codec)))
    mean = waveforms.mean(axis=0)
    np.testing.assert_allclose(found.waveform, mean, atol=0.02 if codec == "pcm_u8" else 2e-4)
    assert found.channels == channels


def test_frames_of_a_variable_rate_carry_their_times_and_can_be_thinned_and_shrunk():
    times = np.array([0.0, 0.033, 0.066, 0.5, 0.9, 0.933, 2.0])
    path = write_media(Path("s.mkv"), make_frames(7, 16, 18), times)
    np.testing.assert_allclose(read_clip(path).times, times)
    span = read_clip(path, 0.066, 0.933)
    np.testing.assert_allclose(span.times, times[2:5] - 0.066)
    assert_frames_near(span.frames, make_frames(7, 16, 18)[2:5])
    small = read_clip(path, frame_gap=0.1, shrink=lambda pixels: pixels[::4, ::3])
    assert small.frames.shape == (4, 4, 6, 3)
    np.testing.assert_allclose(small.times, times[[0, 3, 4, 6]])


@pytest.mark.parametrize("flip", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_and_mirrored_videos_come_upright(degrees, flip):
    frames = make_frames(2, 16, 24)
    found = read_clip(write_media(Path("s.mp4"), frames, rotation=(degrees, *flip)))
    upright = np.rot90(frames, degrees // 90, axes=(1, 2))  # anticlockwise, then mirrored
    assert_frames_near(found.frames, upright[:, :: -1 if flip[1] else 1, :: -1 if flip[0] else 1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_images_are_turned_as_their_exif_data_say(suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(make_frames(1, 16, 24)[0]).save(f"photo.{suffix}", exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(f"photo.{suffix}")).convert("RGB")
    assert_frames_near(read_clip(f"photo.{suffix}").frames[0], np.asarray(upright))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
@pytest.mark.parametrize(
    "name", ["plain.png", "%03d.png", "東京 $HOME.png", "-x.png", "a:b.png", "concat:a|b.png"]
)
def test_an_image_is_one_frame_whatever_its_kind_and_name(name, mode):
    Image.new("L", (5, 7), 99).save("001.png")  # what %03d.png would mean
    Image.new(mode, (11, 13)).save(name)
    clip = read_clip(name)
    assert clip.frames.shape == (1, 13, 11, 3) and not clip.frames.any()
    assert (clip.times.tolist(), clip.frame_rate, clip.waveform) == ([0.0], 0.0, None)


# ---- time stamps

FORMATS = {
    "mp4": ("libx264", "aac"), "mov": ("mjpeg", "pcm_s24le"), "ts": ("libx264", "aac"), "flac": ("", "flac"),
    "avi": ("libx264", "libmp3lame"), "mpg": ("mpeg2video", "mp2"), "mp3": ("", "libmp3lame"),
    "mkv": ("libx264", "flac"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_span_is_a_slice_of_the_whole(suffix):
    frames = make_frames(100, 32, 34) if FORMATS[suffix][0] else None
    sweep, codecs = make_sweep(4.0, 44100), FORMATS[suffix]
    path = write_media(Path(f"s.{suffix}"), frames, sound=sweep, codecs=codecs, key_frame_every=50)
    whole = read_clip(path)
    rate = whole.sample_rate
    for start, stop in [(0.0, 0.52), (0.3, 0.7), (2.04, 2.08), (1.7, 3.7), (3.0, 99.0)]:
        span = read_clip(path, start, stop)
        if frames is not None:
            inside = (whole.times > start - 1e-9) & (whole.times < stop - 1e-9)
            np.testing.assert_array_equal(span.frames, whole.frames[inside])
            np.testing.assert_allclose(span.times, whole.times[inside] - start, atol=1e-9)
        expected = whole.waveform[round(start * rate) : round(stop * rate)]
        # others round times, to 1/1000 s at most
        slack = 0 if suffix in ("mp4", "mov", "flac", "mp3") else 45
        assert abs(len(span.waveform) - len(expected)) <= slack
        inner = expected[50:-50]
        errors = [
            np.abs(span.waveform[50 + s :][: len(inner)] - inner).mean() for s in range(-slack, slack + 1)
        ]
        assert min(errors) < 2e-3  # decoders of AAC put noise where the coder left some


EVENT_CODECS = {".webm": ("libvpx", "libopus"), ".mpg": ("mpeg2video", "mp2"), ".avi": ("mpeg4", "pcm_s16le")}


def write_events(path: Path, lost: int = 0, options: dict[str, str] | None = None) -> Path:
    """Four seconds with a flash and a beep at 3.0 s; every `lost`-th packet of the audio is left out."""
    import av

    grey = np.full((100, 48, 64, 3), 30, np.uint8)
    grey[75] = 255
    beep = np.zeros(192000, np.float32)
    beep[144000:148800] = 0.8 * np.sin(np.arange(4800) / 8)
    codecs = EVENT_CODECS.get(path.suffix, ("libx264", "aac"))
    if not lost and not options:
        return write_media(path, grey, sound=beep, rate=48000, codecs=codecs, key_frame_every=50)
    write_media(Path("whole.mkv"), grey, sound=beep, rate=48000, codecs=codecs)
    with av.open("whole.mkv") as source, av.open(str(path), "w", options=options or {}) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        count = 0
        for packet in source.demux():
            count += packet.stream.type == "audio"
            if packet.dts is None or (lost and packet.stream.type == "audio" and count % lost == 0):
                continue
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "lost", "options"),
    [
        ("a.mp4", 0, {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mp4", 0, {"movflags": "frag_keyframe+delay_moov"}),
        ("a.mp4", 7, None),
        ("a.webm", 0, None),
        ("a.webm", 10, None),
        ("a.webm", 3, None),
        ("a.ts", 0, None),
        ("a.ts", 7, None),
        ("a.mpg", 0, None),
        ("a.avi", 0, None),
        ("a.nut", 0, None),
    ],
)
@pytest.mark.filterwarnings("ignore:.*gaps in the audio")
def test_audio_lies_at_its_time_stamps(name, lost, options):
    write_events(Path(name), lost, options)
    for start in (0.0, 1.7, 2.5, 2.97):
        clip = read_clip(name, start)
        beep = clip.sound_start + np.argmax(np.abs(clip.waveform) > 0.3) / clip.sample_rate
        flash = clip.times[np.argmax(clip.frames.mean(axis=(1, 2, 3)) > 150)]
        assert beep == pytest.approx(flash, abs=0.025) and flash + start == pytest.approx(3.0, abs=0.1)
        np.testing.assert_allclose(np.diff(clip.times), 0.04, atol=2e-3)
        assert bool(lost) == ("filled with" in clip.damage)


def test_frames_without_time_stamps_follow_at_the_rate():
    frames = make_frames(30, 32, 34)
    bare = read_clip(write_media(Path("s.h264"), frames))
    np.testing.assert_allclose(bare.times, np.arange(30) / 25)
    np.testing.assert_array_equal(read_clip("s.h264", 0.4).frames, bare.frames[10:])
    avi = read_clip(write_media(Path("s.avi"), frames))  # stamped in the order in which they are decoded
    assert_frames_near(avi.frames, frames)
    np.testing.assert_allclose(np.diff(avi.times), 1 / 25)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0])
def test_a_wav_file_that_does_not_know_its_length_is_read_to_the_end(size):
    data = write_wav("s.wav", make_sweep(0.5, 8000), 8000).read_bytes()
    Path("s.wav").write_bytes(
        data[:4] + struct.pack("<I", size) + data[8:40] + struct.pack("<I", size) + data[44:]
    )
    clip = read_clip("s.wav", 0.1)
    np.testing.assert_allclose(clip.waveform, make_sweep(0.5, 8000)[800:], atol=1e-4)
    assert clip.damage == ""


# ---- the real clip


@pytest.fixture(scope="module")
def real() -> Clip:
    return read_clip(find_real_clip(), shrink=lambda pixels: pixels[::16, ::16])


@pytest.mark.parametrize("span", [(2.0, 3.5), (1.04, 1.08)])
def test_the_real_clip_and_spans_of_it(span, real):
    assert real.frames.shape == (132, 45, 80, 3) and real.frame_rate == pytest.approx(25)
    np.testing.assert_allclose(real.times, np.arange(132) / 25)
    assert (real.sample_rate, len(real.waveform)) == (48000, 249 * 1024)
    assert (real.sound_start, real.damage) == (0.0, "")
    found = read_clip(real.path, *span)
    inside = (real.times > span[0] - 1e-9) & (real.times < span[1] - 1e-9)
    np.testing.assert_array_equal(found.frames[:, ::16, ::16], real.frames[inside])
    expected = real.waveform[round(span[0] * 48000) : round(span[1] * 48000)]
    np.testing.assert_allclose(found.waveform, expected, atol=1e-3)


def measure_process() -> tuple[int, int, float]:
    """Threads, open files and MiB of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), pages / 256


def test_nothing_lives_on_after_reading():
    path = write_media(Path("s.mp4"), make_frames(20, 48, 64), sound=make_sweep(0.8, 44100))
    cut(write_media(Path("cut.ts"), make_frames(20, 48, 64)), 0.7)
    Image.fromarray(make_frames(1, 99, 99)[0]).save("half.png")
    cut(Path("half.png"), 0.5)
    Path("text.mp4").write_text("no film")

    def read_all() -> None:
        for name in (path, "cut.ts", "half.png", "text.mp4"):
            with suppress(ValueError), warnings.catch_warnings(action="ignore"):
                read_clip(name)

    read_all()
    gc.collect()
    gc.disable()
    before = measure_process()
    for _ in range(25):
        read_all()
    after = measure_process()
    gc.enable()
    assert after[:2] <= before[:2] and after[2] < before[2] + 20


# ---- damage is counted, and what remains is read


def cut(path: Path, part: float) -> None:
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])


def blank(path: Path, part: float) -> None:
    data = path.read_bytes()
    kept = int(part * len(data))
    path.write_bytes(data[:kept] + bytes(len(data) - kept))


def change_length(path: Path, seconds: float) -> None:
    """The length of a Matroska file, in ms, is a double behind 44 89 88."""
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3
    path.write_bytes(data[:at] + struct.pack(">d", 1000 * seconds) + data[at + 8 :])


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        ("s.mp4", lambda path: blank(path, 0.5), r"s\.mp4: .*packet"),
        ("s.mkv", lambda path: cut(path, 0.6), r"s\.mkv: the file is cut off; it ends at 1\..* states 2\."),
        ("s.mkv", lambda path: change_length(path, 36000), "but its header states 36000"),
        ("s.mkv", lambda path: change_length(path, 0.1), None),
    ],
)
def test_a_damaged_file_is_read_as_far_as_it_goes_and_one_warning_counts_what_is_missing(name, harm, words):
    path, sweep = Path(name), make_sweep(2.0, 44100)
    write_media(path, make_frames(50, 32, 34), sound=sweep, options={"movflags": "faststart"})
    harm(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = read_clip(path)
    assert len(clip.waveform) > 0.4 * 44100 and len(clip.frames) > 10
    assert correlate(clip.waveform[:10000], sweep) > 0.95
    assert [str(warning.message) for warning in caught] == ([f"{name}: {clip.damage}."] if words else [])
    if words:
        with pytest.warns(UserWarning, match=words):
            read_clip(path)
    first = read_clip(path, 0.0, 0.3)  # what lies before the damage is read without a word
    assert first.damage == ""


@pytest.mark.parametrize("seed", range(60))
def test_a_mutated_file_is_read_or_refused_with_a_sentence(seed):
    """No other error, no crash; of thousands only some, as each takes its time."""
    rng = np.random.default_rng(seed)
    suffix = list(FORMATS)[seed % len(FORMATS)]
    frames = make_frames(10, 32, 34) if FORMATS[suffix][0] else None
    path = write_media(Path(f"s.{suffix}"), frames, sound=make_sweep(0.4, 44100), codecs=FORMATS[suffix])
    data = bytearray(path.read_bytes())
    for place in rng.integers(len(data) if seed % 2 else 1000, size=rng.integers(1, 12)):
        data[place : place + 1] = rng.bytes(rng.integers(4))
    path.write_bytes(data)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        try:
            clip = read_clip(path)
        except ValueError as error:
            assert str(error).startswith(str(path))
        else:
            assert clip.frames is not None or clip.waveform is not None


# ---- what is no media file


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("film.mp4", "ffconcat version 1.0\nfile secret.mp4\n"),
        ("film.mp4", "ffconcat version 1.0\nfile list.m3u8\n"),
        ("film.ts", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\nsecret.mp4\n#EXT-X-ENDLIST\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\nsecret.mp4\n#EXT-X-ENDLIST\n"),
        ("film.mov", '<?xml version="1.0"?><MPD><Period><BaseURL>secret.mp4</BaseURL></Period></MPD>'),
        ("film.wav", "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
        ("film.wav", "[playlist]\nFile1=secret.mp4\nNumberOfEntries=1\n"),
        ("s.srt", "1\n00:00:00,000 --> 00:00:01,000\nHello\n"),
        ("s.png", "this is only text"),
        ("s.mp4", "\0" * 1000),
        ("s%d.png", ""),
    ],
)
def test_no_other_file_is_opened_for_a_disguised_playlist(name, text):
    write_clip("secret.mp4", Clip(make_frames(5, 16, 18), 5.0, make_sweep(1.0, 8000), 8000))
    Path("list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{Path('secret.mp4').resolve()}\n"
    )
    Image.new("L", (5, 7)).save("s1.png")
    Path(name).write_text(text)
    with pytest.raises(ValueError, match=r"(no media file|0 bytes|neither)"):
        read_clip(name)


def write_claims(path: Path, at: int, claim: bytes) -> Path:
    """A small image or sound whose header claims something else."""
    if path.suffix == ".wav":
        write_wav(path, make_sweep(0.5, 8000), 8000)
    else:
        Image.fromarray(make_frames(1, 16, 24)[0]).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:at] + claim + data[at + len(claim) :])
    return path


@pytest.mark.parametrize(
    ("path", "at", "claim", "words"),
    [
        ("s.png", 16, struct.pack(">II", 16000, 16000), "more than 64,000,000 pixels"),
        ("s.gif", 6, struct.pack("<HH", 30000, 30000), "more than 64,000,000 pixels"),
        ("s.wav", 24, struct.pack("<I", 0), "cannot be decoded"),
        ("s.wav", 24, struct.pack("<I", 1), "audio has 1 Hz, not 1,000 to 1,000,000"),
        ("s.wav", 24, struct.pack("<I", 1_000_003), "audio has 1000003 Hz"),
        ("s.wav", 22, struct.pack("<H", 0), "holds nothing"),
    ],
)
def test_what_a_header_claims_beyond_the_bounds_is_refused(path, at, claim, words):
    with pytest.raises(ValueError, match=words):
        read_clip(write_claims(Path(path), at, claim))


def test_many_large_frames_out_of_a_tiny_file_are_refused_and_can_be_shrunk(monkeypatch):
    monkeypatch.setattr(media, "MOST_BYTES", 5 << 20)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", 500, 500, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    Path("s.gif").write_bytes(head + 9 * (b"\x21\xf9\x04\x00\x0a\x00\x00\x00" + frame) + b";")
    with pytest.raises(ValueError, match=r"s\.gif: its frames take over 5 MiB: give `shrink` or a span"):
        read_clip("s.gif")
    assert read_clip("s.gif", shrink=lambda pixels: pixels[:2, :2]).frames.shape == (9, 2, 2, 3)


def test_audio_of_many_channels_becomes_one():
    import av

    waves = np.linspace(1.0, 0.1, 12)[:, None] * make_sweep(0.3, 48000)
    with av.open("s.mka", "w", format="matroska") as container:
        stream = container.add_stream("libopus", rate=48000, layout="12 channels")
        stream.codec_context.options = {"mapping_family": "255", "b": "1200000"}
        frame = av.AudioFrame.from_ndarray(waves.T.reshape(1, -1).astype(np.float32), "flt", "12 channels")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame) + stream.encode(None))
    found = read_clip("s.mka").waveform
    assert correlate(found, waves.mean(axis=0)) > 0.99
    assert found.std() == pytest.approx(waves.mean(axis=0).std(), rel=0.05)


def test_requests_that_cannot_be_met_are_refused():
    write_media(Path("s.mp4"), make_frames(25, 16, 18), sound=make_sweep(1.0, 44100))
    for start, stop in ((-1.0, None), (float("nan"), None), (1.0, 1.0), (2.0, 1.0), (0.0, float("nan"))):
        with pytest.raises(ValueError, match=r"expected seconds with 0 <= start < stop, got"):
            read_clip("s.mp4", start, stop)
    with pytest.raises(ValueError, match=r"s\.mp4 holds nothing from 9.0 s to the end: .* ends at 1\.0"):
        read_clip("s.mp4", 9)
    os.symlink("nowhere", "dangling.mp4")
    os.mkfifo("pipe.mp4")
    for name in ("nowhere.mp4", ".", "dangling.mp4", "pipe.mp4", 300 * "a" + ".mp4", "a\0b.mp4"):
        with pytest.raises(ValueError, match="there is no such file"):
            read_clip(name)
    Path("empty.mp4").touch()
    with pytest.raises(ValueError, match=r"empty\.mp4: .* empty \(0 bytes\)"):
        read_clip("empty.mp4")


def test_without_pyav_it_says_what_to_install(monkeypatch):
    write_wav("s.wav", make_sweep(0.1, 8000), 8000)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r'pip install "minitvlt\[media\]"'):
        read_clip("s.wav")
