"""Files that are cut off are read as far as they go, with a warning; whole ones are read without."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitvlt.signals.media import Clip, read_clip
from tests.helpers.media import make_frames, make_sweep, needs_av, write_media

pytestmark = needs_av


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cut(path: Path, part: float) -> None:
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])


def read(path: Path) -> tuple[Clip, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = read_clip(path)
    return clip, [str(warning.message) for warning in caught]


MEDIA = {
    "s.wav": ("", "pcm_s16le"), "rf64.wav": ("", "pcm_s24le"), "s.aiff": ("", "pcm_s16be"),
    "s.au": ("", "pcm_s16be"), "s.caf": ("", "pcm_s16be"), "s.w64": ("", "pcm_s16le"),
    "s.flac": ("", "flac"), "s.mp3": ("", "libmp3lame"), "s.opus": ("", "libopus"), "s.oga": ("", "flac"),
    "s.mka": ("", "flac"), "s.m4a": ("", "aac"), "s.mkv": ("libx264", "flac"),
    "s.webm": ("libvpx", "libopus"),
    "s.mp4": ("libx264", "aac"), "s.mov": ("mjpeg", "pcm_s16le"), "s.avi": ("mpeg4", "libmp3lame"),
    "s.ts": ("mpeg2video", "mp2"), "s.mpg": ("mpeg2video", "mp2"), "s.flv": ("libx264", "aac"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEDIA)
def test_a_film_that_is_cut_off_anywhere_is_read_with_a_warning(name):
    codecs, rate = MEDIA[name], 48000 if "libopus" in MEDIA[name] else 44100
    options = {"rf64": "always"} if name == "rf64.wav" else {"movflags": "faststart"}
    frames = make_frames(65, 32, 34) if codecs[0] else None
    path = write_media(
        Path(name), frames, sound=make_sweep(2.6, rate), rate=rate, codecs=codecs, options=options
    )
    whole, said = read(path)
    assert (whole.damage, said) == ("", [])
    data = path.read_bytes()
    for part in (0.93, 0.71, 0.52):
        path.write_bytes(data[: int(part * len(data)) // 188 * 188 - 7])
        clip, said = read(path)
        assert said == [f"{name}: {clip.damage}."] and clip.damage
        assert len(clip.waveform) <= len(whole.waveform)
        sure = len(clip.waveform) - 3000  # the last packet may be half
        np.testing.assert_allclose(clip.waveform[:sure], whole.waveform[:sure], atol=1e-5)


IMAGES = {
    "s.jpg": {}, "progressive.jpg": {"progressive": True}, "s.png": {}, "s.gif": {"interlace": 0},
    "s.bmp": {}, "s.tif": {}, "s.webp": {"quality": 90}, "lossless.webp": {"lossless": True},
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_half_an_image_is_read_with_a_warning(name):
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(9, 200, (25, 30, 3)), np.ones((8, 8, 1))) + rng.integers(
        50, size=(200, 240, 3)
    )
    Image.fromarray(pixels.astype(np.uint8)).save(name, **IMAGES[name])
    whole, said = read(Path(name))
    assert said == []
    cut(Path(name), 0.6)
    clip, said = read(Path(name))
    assert said == [f"{name}: {clip.damage}."] and clip.damage
    is_right = np.abs(clip.frames[0].astype(int) - whole.frames[0]).mean(axis=(1, 2)) < 12  # each row
    assert clip.frames.shape == whole.frames.shape
    assert 0.3 < is_right.mean() < 0.7 or name == "progressive.jpg"  # which is coarse everywhere


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animated_image_is_a_film(suffix):
    frames = make_frames(6, 32, 48)
    first, *others = map(Image.fromarray, frames)
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(f"s.{suffix}", save_all=True, append_images=others, duration=200, **options)
    clip, said = read(Path(f"s.{suffix}"))
    assert said == [] and clip.frames.shape == frames.shape
    np.testing.assert_allclose(clip.times, 0.2 * np.arange(6), atol=1e-6)
    assert np.abs(clip.frames.astype(int) - frames).mean() < 8  # GIF has 256 colours
    np.testing.assert_array_equal(read_clip(f"s.{suffix}", 0.4, 0.9).frames, clip.frames[2:5])


def test_an_image_with_nothing_left_is_refused():
    Image.fromarray(make_frames(1, 99, 99)[0]).save("s.png")
    cut(Path("s.png"), 0.02)
    with pytest.raises(ValueError, match=r"s\.png (holds nothing|cannot be decoded)"):
        read_clip("s.png")
