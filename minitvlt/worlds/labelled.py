"""Media files with labels as a world: each clip is a file, or a picture or film and a sound apart."""

import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from minitvlt.config import Config
from minitvlt.signals.clips import choose_frames_in_time, read_clip
from minitvlt.signals.media import import_av
from minitvlt.signals.prepare import Examples, prepare_audio, prepare_video, resample
from minitvlt.worlds.folder import (
    FRAMES_PER_CHOICE,
    Recording,
    Stretch,
    check_unchanged,
    choose_span,
    record_stretch,
    remember,
    take_fingerprint,
)

STILL_PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class LabelledClip:
    """Where a clip is found: in one file, or its pictures and its sound each in their own, or one alone.

    `start` and `stop` are seconds of all of its files; a still picture is there at every time.
    """

    file: Path | None = None  # pictures and sound that run together
    video: Path | None = None
    audio: Path | None = None
    start: float = 0.0
    stop: float | None = None
    name: str = ""  # what to call it when it is reported

    @property
    def has_video(self) -> bool:
        """Whether the clip has pictures"""
        return self.file is not None or self.video is not None

    @property
    def has_audio(self) -> bool:
        """Whether the clip has sound"""
        return self.file is not None or self.audio is not None


class LabelledWorld:
    """Labelled clips, at most as long as a full spectrogram.

    Of one file, frames and sound are those of the same span. Of two, the sound is a span, and the frames lie
    evenly over all pictures: nothing says that the two run at the same time. A still picture is a film of
    one frame. Shorter clips are masked. In `sample` spans lie at random, in `read` in the middle.

    Files are decoded when they are first needed, once: the last used ones are kept in `memory` bytes. A clip
    that cannot be used is passed over: it is named once, with the reason, in a warning and in `skipped`.
    """

    def __init__(
        self,
        clips: Sequence[LabelledClip],
        labels: Shaped[np.ndarray, "clips *labels"] | None,
        config: Config,
        memory: int = 1 << 30,
    ) -> None:
        """Remember where the clips are; none is decoded.

        Args:
            clips: at least one; either all have pictures or none has, and the same for sound.
            labels: one row for each clip; None where there is nothing to tell, as for ranking.
            config: says how large and how long clips are.
            memory: bytes that decoded files may take, besides the one in use.

        Raises:
            ValueError: no clip, a file that is not there, clips of different kinds, labels for others.
            ImportError: PyAV is missing.
        """
        check_clips(clips, labels)
        import_av()
        self.clips, self.labels, self.config, self.memory = list(clips), labels, config, memory
        self.skipped: dict[str, str] = {}  # name -> reason
        self._broken: set[int] = set()
        self._recordings: OrderedDict[int, Recording] = OrderedDict()
        self._sources = [[make_stretch(clip, path) for path in list_files(clip)] for clip in clips]

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        """Draw `count` clips, each with the same chance; the next replaces one that cannot be used.

        Raises:
            ValueError: `count` is below 1; no clip is left; a file has changed since the start.
        """
        if count < 1:
            raise ValueError(f"Expected a count of 1 clip or more, got {count}.")
        n = len(self.clips)
        numbers, places = rng.integers(n, size=count), rng.random(count)
        found = []
        for number in numbers:
            usable = (i for i in (*range(number, n), *range(number)) if self._find(int(i)) is not None)
            found.append(next(usable, None))
            if found[-1] is None:
                reasons = "".join(f"\n  {name}: {reason}" for name, reason in self.skipped.items())
                raise ValueError(f"No labelled clip is left that can be decoded:{reasons}")
        return self._prepare(np.array(found), places)

    def read(self, batch_size: int) -> Iterator[tuple[Int[np.ndarray, " B"], Examples]]:
        """Give all clips that can be used, in their order, by batches, with their numbers."""
        usable = []
        for number in range(len(self.clips)):
            if self._find(number) is not None:
                usable.append(number)
            if usable and (len(usable) == batch_size or number == len(self.clips) - 1):
                yield np.array(usable), self._prepare(np.array(usable), np.full(len(usable), 0.5))
                usable = []

    def _prepare(self, numbers: np.ndarray, places: np.ndarray) -> Examples:
        first = self.clips[0]
        cuts = [self._cut(int(i), float(place)) for i, place in zip(numbers, places, strict=True)]
        video = audio = video_mask = audio_mask = None
        if first.has_video:
            as_they_are = self.config.replace(frame_crop="after-resizing")  # they have been cropped already
            video, video_mask = prepare_video([frames for frames, _ in cuts], as_they_are)
        if first.has_audio:
            sounds = [sound for _, sound in cuts]
            audio, audio_mask = prepare_audio(sounds, self.config.sample_rate, self.config)
        masks = [None if mask is None or mask.all() else mask for mask in (video_mask, audio_mask)]
        labels = None if self.labels is None else {"label": self.labels[numbers]}
        return Examples(video, audio, *masks, labels=labels)

    def _cut(self, number: int, where: float) -> tuple[np.ndarray, np.ndarray]:
        """Frames and samples of one span, at `where` from 0 (the first possible) to 1 (the last)."""
        recording, T = self._find(number), self.config.num_frames
        times = recording.times
        start, stop = choose_span(len(recording.waveform), where, self.config)
        if self.clips[number].file is not None:
            begin, end = start / self.config.sample_rate, stop / self.config.sample_rate
        elif len(times):
            T = min(T, len(times))
            begin, end = times[0], times[-1] + (times[-1] - times[0]) / max(1, len(times) - 1)
        chosen = choose_frames_in_time(times, begin, end, T) if len(times) else slice(0)
        return recording.frames[chosen], recording.waveform[start:stop]

    def _find(self, number: int) -> Recording | None:
        """Decode or remember a clip; None if it cannot be used."""
        if number in self._broken:
            return None
        if number in self._recordings:
            self._recordings.move_to_end(number)
            return self._recordings[number]
        for source in self._sources[number]:
            check_unchanged(source)
        try:
            recording = record_clip(self.clips[number], self._sources[number], self.config)
        except ValueError as error:
            name = self.clips[number].name or str(self._sources[number][0].path)
            self._broken.add(number)
            self.skipped[name] = str(error)
            warnings.warn(f"Skipped {name}: {error}", stacklevel=4)
            return None
        return remember(self._recordings, number, recording, self.memory)


def check_clips(clips: Sequence[LabelledClip], labels: np.ndarray | None) -> None:
    """Raise a ValueError unless all clips are of one kind and there are as many labels."""
    if not clips:
        raise ValueError("Expected at least one labelled clip, got none.")
    if labels is not None and len(labels) != len(clips):
        raise ValueError(f"Expected a label for each of {len(clips)} clips, got {len(labels)}.")
    for clip in clips:
        if (clip.has_video, clip.has_audio) != (clips[0].has_video, clips[0].has_audio):
            name = clip.name or str(list_files(clip)[0])
            raise ValueError(
                f"{name} names other kinds of files than {clips[0].name or 'the first clip'}: "
                "either all clips have pictures or none has, and the same for sound."
            )


def list_files(clip: LabelledClip) -> list[Path]:
    """The files of a clip: at least one."""
    files = [path for path in (clip.file, clip.video, clip.audio) if path is not None]
    if not files:
        raise ValueError(f"{clip.name or 'A clip'} names no file: give file, video or audio.")
    return files


def make_stretch(clip: LabelledClip, path: Path) -> Stretch:
    """Tell which part of a file belongs to a clip, and what the file looks like now."""
    if not path.is_file():
        raise ValueError(f"{clip.name + ': ' if clip.name else ''}there is no file {os.fspath(path)}.")
    is_still = path.suffix.lower() in STILL_PICTURES
    start, stop = (0.0, None) if is_still else (clip.start, clip.stop)
    return Stretch(path, start, stop, take_fingerprint(path))


def record_clip(clip: LabelledClip, sources: Sequence[Stretch], config: Config) -> Recording:
    """Decode a clip at the model's frame size and sample rate; a sense that it lacks is empty."""
    if clip.file is not None:
        return record_stretch(sources[0], config)
    frames, times = np.zeros((0, *config.image_shape, 3), np.uint8), np.zeros(0)
    waveform = np.zeros(0, np.float32)
    if clip.video is not None:
        gap = config.clip_seconds / (config.num_frames * FRAMES_PER_CHOICE)
        seen = read_clip(
            sources[0].path, sources[0].start, sources[0].stop, gap, lambda pixels: shrink(pixels, config)
        )
        if seen.frames is None:
            raise ValueError(f"{sources[0].path} holds no pictures there: name it as audio.")
        frames, times = seen.frames, seen.times
    if clip.audio is not None:
        heard = read_clip(sources[-1].path, sources[-1].start, sources[-1].stop, float("inf"))
        if heard.waveform is None or len(heard.waveform) == 0:
            raise ValueError(f"{sources[-1].path} holds no sound there: name it as video.")
        waveform = resample(heard.waveform, heard.sample_rate, config.sample_rate)
    return Recording(frames, times, waveform)


def shrink(pixels: UInt8[np.ndarray, "_ _ 3"], config: Config) -> UInt8[np.ndarray, "H W 3"]:
    """Bring one frame to the size that the model sees."""
    frame = prepare_video([pixels], config)[0][0, 0]
    return np.rint((frame.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
