"""Media files to clips and back, by PyAV (FFmpeg): frames with their times, and one channel of audio.

What FFmpeg decodes is read, in the formats of `FORMATS`. Every frame and every sample is put at its time
stamp; gaps in the audio are filled with silence. What is damaged or missing is left out and reported in one
warning for each file. Lengths and sizes that a header claims decide nothing.
"""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from minitvlt.files import write_atomically
from minitvlt.signals.containers import MOST_PIXELS, decode_images, find_orientation, is_cut_off, make_pixels
from minitvlt.signals.frames import SAME_TIME, check_pixels
from minitvlt.signals.waveforms import HIGHEST_RATE, check_channel, check_rates, find_samples, mix_channels

# Formats that hold media and nothing else: playlists and image sequences would make FFmpeg open other files.
FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,mp3,aac,flac,aiff,au,caf,amr,ac3,eac3,wv,"
    "tta,h264,hevc,m4v,ivf,mjpeg,dv,mxf,nut,gif,apng,avif,jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe"
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
# Formats that state their length; of others FFmpeg estimates it.
LENGTH_IS_STORED = ("mov", "matroska", "avi", "flv", "asf", "mxf", "ogg")
LEAD = 1.0  # seconds decoded before a span: audio decoders need what came before to give the same samples
SHORTEST_GAP = 0.002  # seconds; containers round times, most of them to 1/1000 s
LOWEST_RATE = 1000  # Hz
MOST_BYTES, MOST_RATIO = 1 << 29, 2000  # of the frames of a clip: one of them may be exceeded
MOST_SILENCE = 1 << 26  # samples of gaps in a clip that are filled
TICKS = 90_000  # a second: 24, 25, 30 and 29.97 frames a second last whole numbers of them
LAST_TICK = 20_000 * TICKS  # mp4 holds 2 ** 31 ticks between two frames
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames, audio or both. Time 0 is where the span that was read begins.

    `frames` are upright, RGB, row by row; frame i is shown from `times[i]` (seconds) until the next one,
    and no constant rate is promised. `frame_rate` is the mean rate, 0 if there are fewer than two frames.
    `waveform` is the mean of all channels, in [-1, 1] unless the file exceeds that; its first sample is at
    `sound_start` seconds. A track that begins late, or ends before the other, is not filled up. What a file
    lacks is None. Without `times`, frames follow at `frame_rate` from 0 on. `damage` says what of the file
    could not be decoded as it was meant; it is empty for a healthy file. `channels` of the file were mixed; 0
    where nobody knows.
    """

    frames: UInt8[np.ndarray, "T H W 3"] | None
    frame_rate: float | int
    waveform: Float[np.ndarray, " samples"] | None
    sample_rate: int
    path: str = ""
    times: Float[np.ndarray, " T"] | None = None
    sound_start: float = 0.0
    damage: str = ""
    channels: int = 0

    def __post_init__(self) -> None:
        name = self.path or "a clip"
        if self.frames is not None:
            check_pixels(self.frames, f"the frames of {name}")
            T = len(self.frames)
            if self.times is None and T > 1 and not self.frame_rate > 0:
                raise ValueError(f"Expected a frame rate above 0 for {T} frames, got {self.frame_rate}.")
            times = np.arange(T) / (self.frame_rate or 1.0) if self.times is None else np.asarray(self.times)
            if times.shape != (T,) or not (np.diff(times, append=inf) > 0).all():
                raise ValueError(f"Expected a later time for each of {T} frames of {name}, got {times!r:.40}")
            object.__setattr__(self, "times", times)
        if self.waveform is not None:
            check_channel(self.waveform, f"the waveform of {name}")
            check_rates(self.sample_rate)


def read_clip(
    path: str | os.PathLike[str],
    start: float | int = 0.0,
    stop: float | int | None = None,
    frame_gap: float = 0.0,
    shrink: Callable[[UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "h w 3"]] | None = None,
) -> Clip:
    """Read a video with or without audio, audio alone or an image (one frame at time 0).

    Frames with start <= time < stop (seconds) are returned, and the samples of the same span; only that part
    of the file is decoded, from the last key frame at least a second before it. Time 0 of a file is where
    its first stream begins. MKV and WebM round times to 1/1000 s, so there a cut in the audio is as exact
    as that. Rotation and mirroring that the file asks for are carried out; pixels are taken to be square.
    Channels are mixed by their mean. Of several streams the first of each kind is read.

    A file that is damaged or cut off is read as far as FFmpeg decodes it; a UserWarning then counts what is
    missing, and `Clip.damage` holds the same text.

    A long video of large frames need not fit into memory: a frame less than `frame_gap` seconds after the
    last one that was kept is dropped, and `shrink` makes a smaller one of each kept (H, W, 3) of uint8 at
    once.

    Raises:
        ValueError: there is no such file; it is no media file; nothing of it can be decoded in the span;
            frames of more than 64 million pixels, which are not decoded; frames that take over 512 MiB out of
            a file of less than 1/2000 of that; audio of less than 1,000 or more than 1,000,000 Hz.
        ImportError: PyAV is missing.
    """
    file, begin, end = Path(path), float(start), inf if stop is None else float(stop)
    if not 0 <= begin < min(end, inf):
        raise ValueError(f"{file}: expected seconds with 0 <= start < stop, got {begin} and {end}.")
    settings = {"lead": LEAD, "is_strict": True}
    while True:
        try:
            clip = Attempt(file, begin, end, frame_gap, shrink, **settings).run()
            break
        except RetryError as error:
            settings |= error.args[0]
    if clip.damage:
        warnings.warn(f"{file}: {clip.damage}.", stacklevel=2)
    return clip


def import_av() -> Any:
    """PyAV, or an ImportError that says how to get it. It is imported only when a file is opened."""
    try:
        import av
    except ImportError as error:
        raise ImportError('Media files need PyAV: pip install "minitvlt[media]".') from error
    return av


@contextmanager
def open_media(path: Path) -> Iterator[tuple[Any, list[Any], Fraction]]:
    """Open a media file: the container, its first video and first audio stream, and when the first begins.

    Raises:
        ValueError: no file, no media file, or no stream of frames or audio.
    """
    av = import_av()
    if not os.path.isfile(path):
        raise ValueError(f"{path}: there is no such file. Folders: FolderWorld.")
    if os.path.getsize(path) == 0:
        raise ValueError(f"{path}: it is empty (0 bytes).")
    # FFmpeg gets an open file without a name: in a name, % or : would make it open others.
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as raw, av.open(raw, options=OPTIONS, metadata_errors="replace") as container:
            cover = av.stream.Disposition.attached_pic
            known = [stream for stream in container.streams if stream.codec_context is not None]
            videos = [s for s in known if s.type == "video" and cover not in s.disposition]
            streams = [*videos[:1], *[s for s in known if s.type == "audio"][:1]]
            if not streams:
                raise ValueError(f"{path} holds neither a video stream nor an audio stream.")
            starts = [s.start_time * s.time_base for s in streams if s.start_time is not None]
            yield container, streams, min(starts, default=Fraction(0))
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path} cannot be decoded: {error.strerror}; damaged or no media file.") from error


def demux(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Give the packets of some streams, then an empty one for each, which makes its decoder give the rest."""
    with suppress(IndexError):  # by PyAV, at the end of a file in which another stream has begun
        yield from container.demux(*streams)


def inspect_media(path: Path) -> tuple[bool, bool, float]:
    """Tell whether a file holds frames, whether it holds audio, and its length in seconds.

    The length is where its last packet begins, found by a seek to the end that the header claims. Nothing
    is decoded.

    Raises:
        ValueError: no media file.
        ImportError: PyAV is missing.
    """
    with open_media(path) as (container, streams, origin):
        kinds = [stream.type for stream in streams]
        last = 0.0
        with suppress(import_av().FFmpegError):  # `read_clip` reports what cannot be read
            if (container.duration or 0) > 10_000_000:  # microseconds
                container.seek(container.duration - 5_000_000 + (container.start_time or 0))
            for packet in demux(container, streams):
                if packet.pts is not None:
                    last = max(last, float(packet.pts * packet.time_base - origin))
    return "video" in kinds, "audio" in kinds, last


class RetryError(Exception):
    """The span must be decoded again, with other settings of the attempt: its first argument."""


class Attempt:
    """One attempt to decode the span [start, stop) of a file.

    The first attempt is strict: the decoders stop at damage instead of concealing it. If they do, the second
    takes what they make of it, and says so.
    """

    def __init__(
        self, file: Path, start: float, stop: float, gap: float, shrink: Any, lead: float, is_strict: bool
    ) -> None:
        self.file, self.start, self.stop, self.lead = file, start, stop, lead
        self.frame_gap, self.shrink, self.is_strict = gap, shrink, is_strict
        self.pictures: list[tuple[float, np.ndarray]] = []  # time, pixels
        self.audio: list[np.ndarray] = []  # pieces that follow each other without a gap
        self.samples = self.silence = self.sample_rate = self.channels = 0  # silence: samples of it in gaps
        self.audio_start = self.last = 0.0  # seconds; `last` is the end of what was decoded
        self.ends: dict[int, float] = {}  # of the last frame of each stream: when the next is expected
        self.faults: Counter[str] = Counter()

    def run(self) -> Clip:
        """Decode from the last key frame `lead` seconds before the span, to its end.

        Raises:
            RetryError: a stream was first met after the beginning of the span, and a longer lead is needed;
                or the attempt is strict, and there is damage.
            ValueError: no media file, or nothing can be decoded in the span.
        """
        with open_media(self.file) as (container, streams, self.origin):
            self.format = container.format.name.split(",")[0]
            # At low rates frames share packs of MPEG-PS, and after a seek FFmpeg guesses their stamps wrong.
            is_guessed = self.format == "mpeg" and container.bit_rate < 1_000_000
            self.has_sought = self.start > self.lead and not is_guessed
            if self.has_sought:
                target = (self.origin + Fraction(self.start - self.lead)) / streams[0].time_base
                with suppress(import_av().FFmpegError):  # then frames have no times
                    container.seek(int(target), stream=streams[0])
            unknown = {s.type for s in container.streams if s.codec_context is None} & {"video", "audio"}
            self.faults["a stream of an unknown kind is left out"] += len(unknown)
            for stream in streams:
                errors = "crccheck+explode" if self.is_strict else "0"
                stream.codec_context.options = OPTIONS | {"err_detect": errors}
            self.reformatter = import_av().video.reformatter.VideoReformatter()
            if self.format != "tiff_pipe":  # of which FFmpeg decodes some kinds wrongly
                self.decode(container, streams)
        if not self.pictures and self.format.endswith("_pipe"):
            self.decode_by_pillow()
        return self.make_clip()

    def decode_by_pillow(self) -> None:
        """Decode what FFmpeg does not: TIFF, animated WebP, what is left of an image that is cut off."""
        data, self.faults, self.is_strict = self.file.read_bytes(), Counter(), True
        for padding in (0, 1 << 24) if self.format == "webp_pipe" else (0,):  # for WebP that is cut off
            with warnings.catch_warnings(action="ignore"):
                for time, image, lacks_some in decode_images(data + bytes(padding)):
                    if time < self.stop - SAME_TIME:
                        self.add_picture(time, make_pixels(image))
                        self.faults["a part of the image cannot be decoded"] += lacks_some or padding > 0
            if self.pictures:
                return

    def decode(self, container: Any, streams: list[Any]) -> None:
        """Decode packet by packet, to the end of the span or of the file."""
        unfinished = {stream.index for stream in streams}
        try:
            for packet in demux(container, streams):
                index, is_video = packet.stream.index, packet.stream.type == "video"
                for frame in self.decode_packet(packet) if index in unfinished else ():
                    if is_video and self.has_sought and not frame.key_frame and index not in self.ends:
                        continue  # what it refers to has not been decoded
                    time = self.find_time(packet.stream, frame)
                    if time > self.stop - SAME_TIME:
                        unfinished.discard(index)
                        break
                    (self.add_picture if is_video else self.add_audio)(time, frame)
                if not unfinished:
                    return
        except import_av().FFmpegError as error:
            self.faults[f"the rest cannot be read ({error.strerror})"] += 1
        if self.has_sought and len(self.ends) < len(streams):
            raise RetryError({"lead": 20 * self.lead})
        self.faults["the file is cut off"] += bool(self.ends) and is_cut_off(self.file, self.format)
        length = (container.duration or 0) / import_av().time_base if self.format in LENGTH_IS_STORED else 0
        if max(self.last, self.last + self.origin) < min(length, self.stop) - 0.5:
            self.faults[f"it ends at {self.last:.3f} s, but its header states {length:.3f} s"] += 1

    def decode_packet(self, packet: Any) -> list[Any]:
        """Decode a packet; one that cannot be decoded is counted, or ends a strict attempt."""
        if self.pictures and self.format.endswith("_pipe"):
            return []  # what is behind an image is no part of it
        index, is_video = packet.stream.index, packet.stream.type == "video"
        time = None if packet.pts is None else packet.pts * packet.time_base - self.origin
        # Frames of a video are made from those before them. The first packets after a seek may be incomplete.
        is_within = is_video or time is None or time >= self.start
        is_within &= index in self.ends or not self.has_sought
        self.faults["a packet is incomplete"] += packet.is_corrupt and self.format != "wav" and is_within
        try:
            return packet.decode()
        except import_av().FFmpegError:
            if is_within and self.is_strict:
                raise RetryError({"is_strict": False}) from None
            self.faults["a packet cannot be decoded"] += is_within
            return []

    def find_time(self, stream: Any, frame: Any) -> float:
        """The time of a frame in seconds: that of its time stamp, or the end of the frame before it."""
        is_video, index, context = stream.type == "video", stream.index, stream.codec_context
        step = 1 / (stream.guessed_rate or 25) if is_video else Fraction(frame.samples, frame.sample_rate)
        ticks, delay, end = frame.pts, 0, self.ends.get(index, 0.0)
        if ticks is None or (is_video and self.format == "avi" and context.has_b_frames):
            # Only packets are stamped, and the frame that comes out with one is that of some packets before.
            ticks, delay = frame.dts, getattr(context, "reorder_depth", 1) * step if is_video else 0
        time = end if ticks is None else float(ticks * frame.time_base - self.origin - delay)
        if is_video and self.format in ("avi", "mpeg") and end - 0.25 < time < end:
            time = end  # where packs of MPEG-PS hold several frames, FFmpeg gives some of them earlier stamps
        if self.has_sought and index not in self.ends and (ticks is None or time > self.start):
            raise RetryError({"lead": 20 * self.lead})
        self.ends[index] = time + float(step)
        self.last = max(self.last, self.ends[index])
        return time

    def add_picture(self, time: float, frame: Any) -> None:
        """Take a frame of the span: upright RGB pixels of the size of the first one."""
        last = self.pictures[-1][0] if self.pictures and self.frame_gap else -inf
        if time <= max(self.start, last + self.frame_gap) - SAME_TIME:
            return
        pixels = frame if isinstance(frame, np.ndarray) else self.make_upright(frame)
        self.pictures.append((time, np.array(self.shrink(pixels)) if self.shrink else pixels))
        raw = len(self.pictures) * self.pictures[-1][1].nbytes
        if raw > max(MOST_BYTES, MOST_RATIO * self.file.stat().st_size):
            raise ValueError(f"{self.file}: its frames take over {raw >> 20} MiB: give `shrink` or a span.")

    def make_upright(self, frame: Any) -> np.ndarray:
        """The pixels of a frame, turned as the first one asks for, and scaled to its size."""
        if not self.pictures:
            # The side data hold on to their frame, in a reference cycle: take those of a small copy.
            copy = import_av().video.reformatter.VideoReformatter().reformat(frame, 16, 16, "gray")
            self.orientation, self.size = find_orientation(self.file, copy), (frame.width, frame.height)
        self.faults["a frame of another size is scaled"] += (frame.width, frame.height) != self.size
        pixels = self.reformatter.reformat(frame, *self.size, "rgb24").to_ndarray()
        is_turned, down, right = self.orientation
        return np.ascontiguousarray((pixels.swapaxes(0, 1) if is_turned else pixels)[::down, ::right])

    def add_audio(self, time: float, frame: Any) -> None:
        """Put samples at their time; gaps are filled with silence, of an overlap the earlier samples stay."""
        if time + frame.samples / frame.sample_rate <= self.start:
            return
        if frame.format.is_planar and frame.layout.nb_channels > 8:  # where PyAV would read beyond the end
            (frame,) = import_av().AudioResampler(frame.format.packed).resample(frame)
        samples, rate = frame.to_ndarray(), frame.sample_rate
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ValueError(f"{self.file}: audio has {rate} Hz, not {LOWEST_RATE:,} to {HIGHEST_RATE:,}.")
        if not frame.format.is_planar:  # one row: the channels of each sample side by side
            samples = samples.reshape(frame.samples, -1).T
        if not self.audio:
            self.audio_start, self.sample_rate, self.channels = time, rate, len(samples)
        gap = round((time - self.audio_start) * rate) - self.samples
        if abs(gap) <= max(1.5 * float(frame.time_base), SHORTEST_GAP) * rate:
            gap = 0
        if rate != self.sample_rate or self.silence + gap > MOST_SILENCE:
            self.faults["audio at another rate, or after hours of gaps, is left out"] += 1
            return
        self.faults["audio overlaps"] += gap < 0
        # Fragmented mp4 states a hole behind the packet with which a coder begins: nothing is lost there.
        self.silence += max(gap, 0) if self.format != "mov" or len(self.audio) != 2 else 0
        self.audio += [np.zeros(max(gap, 0), np.float32), mix_channels(samples)[max(-gap, 0) :]]
        self.samples += max(gap + frame.samples, 0)

    def make_clip(self) -> Clip:
        """Put what was decoded into a clip; a ValueError if there is nothing."""
        waveform = np.concatenate([np.zeros(0, np.float32), *self.audio])
        part = find_samples(self.audio_start, self.sample_rate, len(waveform), self.start, self.stop)
        has_audio, times = part.start < part.stop, np.array([time for time, _ in self.pictures]) - self.start
        if not self.pictures and not has_audio:
            span = f"from {self.start} s to {'the end' if self.stop == inf else f'{self.stop} s'}"
            raise ValueError(
                f"{self.file} holds nothing {span}: what is decoded ends at {self.last:.3f} s. "
                f"Frames of more than {MOST_PIXELS:,} pixels are not decoded."
            )
        if np.any(np.diff(times) <= 0):
            self.faults["a frame has no time of its own"] += len(times) - len(set(times))
            steps = 0.001 * np.arange(len(times))
            times = np.maximum.accumulate(np.sort(times) - steps) + steps
        return Clip(
            frames=np.stack([pixels for _, pixels in self.pictures]) if self.pictures else None,
            frame_rate=float((len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else 0.0,
            waveform=waveform[part] if has_audio else None,
            sample_rate=self.sample_rate if has_audio else 0,
            path=str(self.file),
            times=times if self.pictures else None,
            sound_start=max(0.0, self.audio_start + part.start / (self.sample_rate or 1) - self.start),
            damage=self.describe_faults(),
            channels=self.channels,
        )

    def describe_faults(self) -> str:
        """Say what was wrong, and how often."""
        silence = self.silence / (self.sample_rate or 1)
        self.faults[f"gaps in the audio are filled with {silence:.3f} s of silence"] += silence > 0
        if not self.is_strict and not any(self.faults.values()):
            self.faults["damaged data are concealed by the decoder"] = 1
        return "; ".join(what + f" ({n} times)" * (n > 1) for what, n in self.faults.items() if n)


def write_clip(path: str | os.PathLike[str], clip: Clip) -> Path:
    """Write a clip as mp4 (H.264 and AAC), atomically. Missing folders are made.

    Frames keep their times to 1/90,000 s and their size, odd ones too (stored with full colour resolution,
    which some browsers do not play). The audio keeps its time; what lies outside [-1, 1] is clipped. Both
    are coded with small losses; AAC fills its last block of 1,024 samples up, and puts one of silence
    before a late beginning.

    Raises:
        ValueError: neither frames nor audio; a name that does not end in .mp4; frames that are not uint8 or
            have no pixels; times that do not grow; audio of several channels; NaN or infinity; a sample rate
            that AAC does not have. Nothing is written then.
        ImportError: PyAV is missing.
    """
    check_writable(Path(path), clip)
    return write_atomically(path, lambda temporary: encode_clip(temporary, clip))


def check_writable(target: Path, clip: Clip) -> None:
    """Raise a ValueError that says why a clip cannot be written, before anything is."""
    if target.suffix.lower() != ".mp4" or (clip.frames is None and clip.waveform is None):
        raise ValueError(f"{target}: expected a name that ends in .mp4, and a clip with frames or audio.")
    times = [] if clip.frames is None else np.rint(clip.times * TICKS)
    if np.any(np.diff([-1, *times, LAST_TICK + 1]) < 1) or not 0 <= clip.sound_start * TICKS <= LAST_TICK:
        raise ValueError(f"{target}: times must be seconds from 0 to 20,000 that grow by 1/{TICKS} at least.")
    if clip.waveform is not None and clip.sample_rate not in AAC_RATES:
        raise ValueError(f"{target}: AAC has no {clip.sample_rate} Hz; resample to one of {AAC_RATES}.")


def encode_clip(path: Path, clip: Clip) -> None:
    """Write frames (H.264) at their times and audio (AAC) at its time into an mp4 file."""
    options = {"movflags": "faststart", "movie_timescale": str(TICKS)}  # or late audio is placed to 1/1000 s
    with import_av().open(str(path), "w", format="mp4", options=options) as container:
        tracks = []
        if clip.frames is not None:
            tracks.append((add_video_stream(container, clip), make_video_frames(clip)))
        if clip.waveform is not None:
            rate, samples = int(clip.sample_rate), np.clip(clip.waveform, -1, 1).astype(np.float32)
            whole = import_av().AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            whole.sample_rate, whole.time_base = rate, Fraction(1, rate)
            whole.pts = round(clip.sound_start * rate)
            tracks.append((container.add_stream("aac", rate, layout="mono"), [whole]))
        for stream, frames in tracks:
            for frame in chain(frames, [None]):
                container.mux(stream.encode(frame))


def add_video_stream(container: Any, clip: Clip) -> Any:
    """Add an H.264 stream: yuv420p, which everything plays; yuv444p for odd sizes, which some refuse."""
    T, H, W, _ = clip.frames.shape
    rate = Fraction((T - 1) / (clip.times[-1] - clip.times[0]) if T > 1 else 25.0).limit_denominator(1001)
    # The rate is a hint for the coder, which takes none of 0.
    stream = container.add_stream("libx264", max(rate, Fraction(1, 1001)), options={"crf": "16"})
    stream.height, stream.width = H, W
    stream.pix_fmt = "yuv444p" if H % 2 or W % 2 else "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    return stream


def make_video_frames(clip: Clip) -> Iterator[Any]:
    """Give the frames of a clip to the coder, with their times."""
    for pixels, time in zip(clip.frames, clip.times, strict=True):
        frame = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
        yield frame
