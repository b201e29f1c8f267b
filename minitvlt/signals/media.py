"""The one module that knows PyAV: files decoded piece by piece, and clips encoded as H.264 and AAC in mp4."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from minitvlt.signals.waveforms import Sound, mix_channels

LEAD = 1.0  # seconds decoded before a span: sound decoders need what came before to give the same samples
SAME_TIME = 1e-9  # seconds; two times nearer than this are one
TICKS = 90_000  # a second: 24, 25, 30 and 29.97 frames a second last whole numbers of them
LONGEST_CLIP = 20_000  # seconds: mp4 holds 2 ** 31 ticks between two frames
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class Picture(NamedTuple):
    """A decoded frame: its time in seconds, and what makes upright RGB pixels (H, W, 3) of it when wanted."""

    time: float
    convert: Callable[[], np.ndarray]


def import_av() -> Any:
    """PyAV, or an ImportError that says how to get it. It is imported only when a file is opened."""
    try:
        import av
    except ImportError as error:
        hint = 'pip install "minitvlt[media]" (WAV files can be read without it)'
        raise ImportError(f"Media files need PyAV: {hint}.") from error
    return av


def inspect_media(path: Path) -> tuple[bool, bool, float]:
    """Say whether a file holds pictures, whether it holds sound, and what length it claims in seconds.

    Nothing is decoded. The length is the header's, a hint that may lie; 0 if there is none.

    Raises:
        ValueError: no media file.
        ImportError: PyAV is missing.
    """
    av = import_av()
    with _name_errors(path, av), av.open(str(path.resolve()), metadata_errors="replace") as container:
        kinds = [stream.type for stream in _choose_streams(path, container)]
        return "video" in kinds, "audio" in kinds, (container.duration or 0) / av.time_base


def decode_media(path: Path, start: float, stop: float) -> Iterator[Picture | Sound]:
    """Give the pieces of a media file in the order of their times, from some time before `start` to `stop`.

    Time 0 is where the first of the streams begins. Decoded are the first video stream (cover pictures are
    none) and the first sound stream, from the last key frame that lies `LEAD` before `start`.

    Raises:
        ValueError: no media file, no stream to decode, damaged data, frames without times, or a cut-off
            packet.
        ImportError: PyAV is missing.
    """
    av = import_av()
    with _name_errors(path, av), av.open(str(path.resolve()), metadata_errors="replace") as container:
        yield from _decode_streams(path, container, start, stop)


@contextmanager
def _name_errors(path: Path, av: Any) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise ValueError(
            f"{path} cannot be decoded ({error.strerror}): it is damaged, cut off or no media file. "
            "Replace it, or read a part before the damage by start and stop."
        ) from error


def _decode_streams(path: Path, container: Any, start: float, stop: float) -> Iterator[Picture | Sound]:
    streams = _choose_streams(path, container)
    begins = [stream.start_time * stream.time_base for stream in streams if stream.start_time is not None]
    origin = min(begins, default=Fraction(0))
    if start > LEAD:
        target = (origin + Fraction(start - LEAD)) / streams[0].time_base
        container.seek(int(target), stream=streams[0])
    unfinished = {stream.index for stream in streams}
    for packet in container.demux(*streams):
        if packet.is_corrupt:
            raise ValueError(f"{path} is damaged or cut off: a packet is not whole. Replace it, or use stop.")
        for frame in packet.decode() if packet.stream.index in unfinished else ():
            time = _find_time(path, frame, origin)
            if time > stop - SAME_TIME:
                unfinished.discard(packet.stream.index)
                break
            yield _convert_sound(time, frame) if packet.stream.type == "audio" else _wrap_picture(time, frame)
        if not unfinished:
            return


def _choose_streams(path: Path, container: Any) -> list[Any]:
    videos = [s for s in container.streams.video if type(s.disposition).attached_pic not in s.disposition]
    streams = [*videos[:1], *container.streams.audio[:1]]
    if not streams:
        raise ValueError(f"{path} holds neither a video stream nor a sound stream: give a media file.")
    return streams


def _find_time(path: Path, frame: Any, origin: Fraction) -> float:
    ticks = frame.dts if frame.pts is None else frame.pts
    if ticks is None:
        raise ValueError(f"{path}: its frames carry no times; put it into another container, such as mp4.")
    return float(ticks * frame.time_base - origin)


def _convert_sound(time: float, frame: Any) -> Sound:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:  # one row: the channels of the first sample, those of the second, ...
        samples = samples.reshape(frame.samples, -1).T
    return Sound(time, frame.sample_rate, mix_channels(samples))


def _wrap_picture(time: float, frame: Any) -> Picture:
    return Picture(time, lambda: _turn_upright(frame))


def _turn_upright(frame: Any) -> UInt8[np.ndarray, "H W 3"]:
    """Carry out the display matrix (x, y) -> (a x + c y, b x + d y): one of four turns, mirrored or not."""
    pixels = frame.to_ndarray(format="rgb24")
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # Beside EXIF data, as in photographs, PyAV 18 gives the angle alone, without mirroring.
        return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90))
    if matrix is None:
        return pixels
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    if abs(b) > abs(a):  # columns become rows
        pixels, down, right = pixels.swapaxes(0, 1), b, c
    else:
        down, right = d, a
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])


def encode_media(
    path: Path,
    frames: UInt8[np.ndarray, "T H W 3"] | None,
    times: Float[np.ndarray, " T"] | None,
    sound: Sound | None,
) -> None:
    """Write frames (H.264) at their times and a sound (AAC) at its time into an mp4 file.

    Frames of even height and width are stored as yuv420p, which everything plays; odd ones as yuv444p, which
    keeps their size but which some browsers refuse.
    """
    av = import_av()
    options = {"movflags": "faststart"}
    options["movie_timescale"] = str(TICKS)  # or a late sound is placed to 1/1000 s
    with av.open(str(path), "w", format="mp4", options=options) as container:
        picture_stream = None if frames is None else _add_picture_stream(container, frames, times)
        sound_stream = None if sound is None else container.add_stream("aac", rate=sound.rate, layout="mono")
        if frames is not None:
            for pixels, time in zip(frames, times, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
                container.mux(picture_stream.encode(frame))
            container.mux(picture_stream.encode(None))
        if sound is not None:
            samples = np.clip(sound.samples, -1, 1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
            frame.pts = round(sound.time * sound.rate)
            container.mux(sound_stream.encode(frame))
            container.mux(sound_stream.encode(None))


def _add_picture_stream(container: Any, frames: UInt8[np.ndarray, "T H W 3"], times: np.ndarray) -> Any:
    T, H, W, _ = frames.shape
    rate = Fraction((T - 1) / (times[-1] - times[0]) if T > 1 else 25.0).limit_denominator(1001)
    rate = max(rate, Fraction(1, 1001))  # a hint for the coder, which takes none of 0
    stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
    stream.height, stream.width = H, W
    stream.pix_fmt = "yuv444p" if H % 2 or W % 2 else "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    return stream
