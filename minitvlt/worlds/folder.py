"""A folder of media files as a world: spans in which pictures and sound run together, ready for the model."""

import os
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
from jaxtyping import Float, UInt8

from minitvlt.config import Config
from minitvlt.signals.clips import Clip, check_request, choose_frames_in_time, read_clip
from minitvlt.signals.frames import find_picture, transform_frames
from minitvlt.signals.media import import_av, inspect_media
from minitvlt.signals.prepare import Examples, prepare_audio, prepare_video, resample
from minitvlt.worlds.media_files import find_media_files

STRETCH_SECONDS = 60.0  # long files are decoded, and forgotten, by stretches of at least this length
FRAMES_PER_CHOICE = 4  # frames kept for each one that a span needs: a quarter of a step is the largest error


@dataclass(frozen=True)
class Stretch:
    """A part of a file that is decoded as one, and what the file looked like when the world was made."""

    path: Path
    start: float  # seconds
    stop: float | None
    fingerprint: tuple[int, int]  # bytes, time of the last change in nanoseconds

    @property
    def name(self) -> str:
        """What to call it when it is reported."""
        if self.start == 0 and self.stop is None:
            return str(self.path)
        return f"{self.path} (from {self.start:g} s {'on' if self.stop is None else f'to {self.stop:g} s'})"


@dataclass(frozen=True, eq=False)
class Recording:
    """A decoded stretch at the model's frame size and sample rate; time 0 is that of the first sample."""

    frames: UInt8[np.ndarray, "T H W 3"]
    times: Float[np.ndarray, " T"]  # seconds
    waveform: Float[np.ndarray, " samples"]

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.frames.nbytes + self.times.nbytes + self.waveform.nbytes


class FolderWorld:
    """Clips as long as a full spectrogram, out of all media files in a folder and the folders in it.

    A clip is `config.num_frames` frames, even in time, and the sound of the same span. Spans lie where
    pictures and sound run together; where that is shorter than a span, the clip is as long as it can be,
    and masked.

    Files are decoded when they are first needed, once: frames of the model's size and sound of its sample
    rate are kept in `memory` bytes. What was not used for the longest time is forgotten first, and decoded
    again to the same numbers. A file that is broken, or lacks pictures or sound, is passed over: it is
    named once, with the reason, in a warning and in `skipped`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        config: Config,
        spans: Literal["random", "even"] = "random",
        memory: int = 1 << 30,
    ) -> None:
        """Look into every file, decoding none.

        Args:
            folder: media files are known by the ends of their names; others, and hidden ones, are left alone.
            config: says how large and how long clips are.
            spans: "random" for training; "even" for measurements: evenly over all files, without any chance.
            memory: bytes that decoded files may take, besides the one in use.

        Raises:
            ValueError: no such folder, no media file in it, or none that can be used (with the reasons).
            ImportError: PyAV is missing.
        """
        if spans not in ("random", "even"):
            raise ValueError(f'spans must be "random" or "even", not {spans!r}.')
        import_av()
        self.config, self.spans, self.memory = config, spans, memory
        self.skipped: dict[str, str] = {}  # name -> reason
        self._recordings: OrderedDict[int, Recording] = OrderedDict()  # by stretch, the last used one last
        self._stretches: list[Stretch] = []
        for path in find_media_files(Path(folder)):
            try:
                self._stretches += cut_into_stretches(path, config)
            except ValueError as error:
                self._skip(path, str(path), error)
        if not self._stretches:
            self._give_up()

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        """Draw `count` clips: the same state of `rng` and the same files give the same clips.

        Raises:
            ValueError: `count` is below 1; no usable file is left; a file has changed since the start.
        """
        if count < 1:
            raise ValueError(f"Expected a count of 1 clip or more, got {count}.")
        parts = rng.random(count) if self.spans == "random" else (np.arange(count) + 0.5) / count
        cuts = [self._cut(int(place), float(place % 1)) for place in parts * len(self._stretches)]
        as_they_are = self.config.replace(frame_crop="after-resizing")  # they have been cropped already
        video, video_mask = prepare_video([frames for frames, _ in cuts], as_they_are)
        audio, audio_mask = prepare_audio([sound for _, sound in cuts], self.config.sample_rate, self.config)
        masks = [None if mask.all() else mask for mask in (video_mask, audio_mask)]
        return Examples(video, audio, *masks, labels=None)

    def _cut(self, number: int, where: float) -> tuple[np.ndarray, np.ndarray]:
        """Frames and samples of one span, at `where` from 0 (the first possible) to 1 (the last)."""
        recording = self._find_recording(number)
        start, stop = choose_span(len(recording.waveform), where, self.config)
        rate = self.config.sample_rate
        chosen = choose_frames_in_time(recording.times, start / rate, stop / rate, self.config.num_frames)
        return recording.frames[chosen], recording.waveform[start:stop]

    def _find_recording(self, number: int) -> Recording:
        """Decode or remember a stretch; the next replaces one that cannot be used, on every draw."""
        for i in (*range(number, len(self._stretches)), *range(number)):
            if i in self._recordings:
                self._recordings.move_to_end(i)
                return self._recordings[i]
            stretch = self._stretches[i]
            if stretch.name in self.skipped:
                continue
            check_unchanged(stretch)
            try:
                return remember(self._recordings, i, record_stretch(stretch, self.config), self.memory)
            except ValueError as error:
                self._skip(stretch.path, stretch.name, error)
        self._give_up()

    def _skip(self, path: Path, name: str, error: ValueError) -> None:
        self.skipped[name] = str(error).removeprefix(str(path)).lstrip(": ")
        warnings.warn(f"Skipped {name}: {self.skipped[name]}", stacklevel=4)

    def _give_up(self) -> NoReturn:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in self.skipped.items())
        raise ValueError(f"No file is left that has both pictures and sound and can be decoded:{reasons}")


def remember(
    recordings: OrderedDict[int, Recording], key: int, recording: Recording, memory: int
) -> Recording:
    """Keep a recording as the last used one; forget those longest unused beyond so many bytes."""
    recordings[key] = recording
    while len(recordings) > 1 and sum(kept.size for kept in recordings.values()) > memory:
        recordings.popitem(last=False)
    return recording


def choose_span(samples: int, where: float, config: Config) -> tuple[int, int]:
    """Begin and end, in samples, of a full span, at `where` from 0 (the first possible) to 1 (the last)."""
    length = min(samples, config.spectrogram_length * config.hop_length)
    first = int(where * (samples - length + 1))
    return first, first + length


def cut_into_stretches(path: Path, config: Config) -> list[Stretch]:
    """Cut a file into stretches of a minute or some spans, by the length that its header claims.

    That length decides nothing else: the last stretch goes to the real end; stretches beyond it are skipped.
    """
    check_request(path, 0.0, 1.0)
    has_pictures, has_sound, seconds = inspect_media(path)
    if not has_sound:
        raise ValueError(f"{path} has pictures but no sound, and matching needs both.")
    if not has_pictures:
        raise ValueError(f"{path} has sound but no pictures, and matching needs both.")
    length = max(STRETCH_SECONDS, 4 * config.clip_seconds)
    starts = [i * length for i in range(max(1, int(seconds // length)))]
    fingerprint = take_fingerprint(path)
    return [
        Stretch(path, start, stop, fingerprint)
        for start, stop in zip(starts, [*starts[1:], None], strict=True)
    ]


def take_fingerprint(path: Path) -> tuple[int, int]:
    """What tells cheaply whether a file is still the same: its size and the time of its last change."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def check_unchanged(stretch: Stretch) -> None:
    """Raise a ValueError if a file is gone or has changed: it would give other numbers than before."""
    path = stretch.path
    if not path.exists() or take_fingerprint(path) != stretch.fingerprint:
        raise ValueError(f"{path} has been changed or removed while it was in use: start again.")


def record_stretch(stretch: Stretch, config: Config) -> Recording:
    """Decode a stretch where pictures and sound run together, at the model's frame size and sample rate.

    Of the frames only as many are kept as the choice of `num_frames` in a span can tell apart. Black borders,
    where they are to be cut off, are those of the whole stretch.
    """
    H, W = config.image_shape
    gap = config.clip_seconds / (config.num_frames * FRAMES_PER_CHOICE)
    rows = columns = slice(None)
    if config.frame_crop == "before-resizing":
        rows, columns = find_picture_of_stretch(stretch, gap)

    def shrink(pixels: np.ndarray) -> np.ndarray:
        whole = pixels[None, rows, columns]
        scaled = transform_frames(whole, H, W, config.frame_crop, config.frame_interpolation)[0]  # (3, H, W)
        return np.rint((scaled.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)  # (H, W, 3)

    clip = read_clip(stretch.path, stretch.start, stretch.stop, gap, shrink)
    start, stop = find_common_span(clip)
    first, last = (round((time - clip.sound_start) * clip.sample_rate) for time in (start, stop))
    waveform = resample(clip.waveform[first:last], clip.sample_rate, config.sample_rate)
    return Recording(clip.frames, clip.times - start, waveform)


def find_picture_of_stretch(stretch: Stretch, gap: float) -> tuple[slice, slice]:
    """The rows and columns inside the borders that are black in all frames; the stretch is decoded for it."""
    brightest: list[np.ndarray] = []

    def look(pixels: np.ndarray) -> np.ndarray:
        brightest[:] = [np.maximum(pixels, brightest[0]) if brightest else pixels]
        return pixels[:1, :1]

    read_clip(stretch.path, stretch.start, stretch.stop, gap, look)
    return find_picture(brightest[0][None]) if brightest else (slice(None), slice(None))


def find_common_span(clip: Clip) -> tuple[float, float]:
    """When both pictures and sound run, in seconds.

    The last picture stays as long as the mean one, or, if it is the only one, to the end of the sound.
    """
    if clip.frames is None or clip.waveform is None:
        missing = "are no pictures" if clip.frames is None else "is no sound"
        raise ValueError(f"{clip.path}: there {missing} in this part of it, and matching needs both.")
    sound_stop = clip.sound_start + len(clip.waveform) / clip.sample_rate
    picture_stop = clip.times[-1] + 1 / clip.frame_rate if clip.frame_rate else sound_stop
    start, stop = max(clip.times[0], clip.sound_start), min(picture_stop, sound_stop)
    if round((stop - start) * clip.sample_rate) < 1:
        raise ValueError(f"{clip.path}: its pictures and its sound are never there at the same time.")
    return float(start), float(stop)
