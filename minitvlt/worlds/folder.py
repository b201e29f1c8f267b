"""Media files as a world: spans of clips, with labels or without, ready for the model."""

import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from math import inf
from pathlib import Path
from typing import Any, NoReturn
from zlib import crc32

import numpy as np
from jaxtyping import Int

from minitvlt.config import Config
from minitvlt.signals.frames import choose_frames, find_picture, transform_frames
from minitvlt.signals.media import Clip, import_av, inspect_media, read_clip
from minitvlt.signals.prepare import Examples, prepare, read_first_frames, take_waveform
from minitvlt.signals.waveforms import resample
from minitvlt.worlds.labels import ROWS, MediaClip, read_labels
from minitvlt.worlds.shapes import check_draw

AUDIO = (".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav")
IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv")
STRETCH_SECONDS = 60.0  # long files are decoded, and forgotten, by stretches of at least this length
STRETCH_BYTES = 1 << 14  # of the file; even the smallest films take more for a minute
FRAMES_PER_CHOICE = 4  # frames kept for each one that a span needs: a quarter of a step is the largest error


class FolderWorld:
    """Clips as long as a full spectrogram, out of a folder (files with both modalities) or of a label file.

    A clip is `config.num_frames` frames, evenly chosen, and the audio of the same span. (The released code
    shows frames of 15 s, or of the whole file, beside the beginning of their audio: that is what `read_clip`
    and `prepare` give with its settings.) Spans lie where
    frames and audio run together; where that is shorter than a span, the clip is as long as it can be, and
    masked. A label file may also name a video, or an image, and audio apart, or one of them alone: then the
    frames lie evenly over the whole video.

    Files are decoded when they are first needed, once: frames of the model's size and audio of its sample
    rate are kept in `memory` bytes. What was not used for the longest time is forgotten first, and decoded
    again to the same numbers. A file that cannot be used is passed over: it is named once, with the reason,
    in a warning and in `skipped`. One that is damaged is used as far as it can be decoded; `damaged` says
    what is missing.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Sequence[MediaClip],
        config: Config,
        memory: int = 1 << 30,
        task: str = "ranking",
        split: str = "train",
    ) -> None:
        """Look for the files, decoding none.

        Args:
            source: a folder, with the folders in it: media files are known by the ends of their names; hidden
                ones are left alone. Or a label file (.csv, .jsonl, .ndjson), or a list of clips.
            config: says how large and how long clips are.
            memory: bytes that decoded files may take, besides the one in use.
            task: for a label file, the `loss_type` that its labels are for; then `names` are the names of
                classes, labels or answers.
            split: for a label file, which of its rows: "train" or "test".

        Raises:
            ValueError: no such folder or file, no media file in it, or none that can be used (with the
                reasons); clips of different kinds; a label file that is wrong, or another split.
            ImportError: PyAV is missing.
        """
        import_av()
        self.config, self.memory, self.labels, self.names = config, memory, None, ()
        self.skipped: dict[str, str] = {}  # name -> reason
        self.damaged: dict[str, str] = {}  # name -> what is missing
        self._unusable: set[int] = set()
        self._decoded: OrderedDict[int, Clip] = OrderedDict()  # by number, the last used one last
        if not isinstance(source, str | os.PathLike):
            self.clips, top = list(source), Path(os.path.abspath(os.sep))
        elif Path(source).suffix.lower() in ROWS:
            table, top = read_labels(source, task), Path(source).parent
            (self.clips, self.labels), self.names = table.select(split), table.names
        else:
            self.clips, top = [], Path(source)
            for path in find_media_files(top):
                try:
                    self.clips += cut_into_stretches(path, config)
                except ValueError as error:
                    self._skip(str(path), error)
            self.clips = self.clips or self._give_up()
        for clip in self.clips:
            if not clip.files or clip.modalities != self.clips[0].modalities:
                raise ValueError(f"{clip.name or clip.files}: expected frames in all or none, audio too.")
        self._fingerprints = {path: take_fingerprint(path) for clip in self.clips for path in clip.files}
        self.fingerprints = self._describe(top)

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        """Draw `count` clips: the same state of `rng` and the same files give the same clips.

        Raises:
            ValueError: `rng` is no generator; `count` is below 1; no usable file is left; a file has changed
                since the start.
        """
        check_draw(rng, count)
        n, found = len(self.clips), []
        for place in rng.random(count) * n:  # the next clip replaces one that cannot be used, on every draw
            order = (*range(int(place), n), *range(int(place)))
            spans = (self._cut(i, place % 1) for i in order if self._find(i))
            found += [next(spans, None) or self._give_up()]
        return self._prepare(found)

    def read(self, batch_size: int) -> Iterator[tuple[Int[np.ndarray, " B"], Examples]]:
        """Give all clips that can be used, in their order, by batches, with their numbers.

        Of a clip that is longer than a full spectrogram the middle is taken.

        Raises:
            ValueError: no usable file is left; a file has changed since the start.
        """
        spans = (self._cut(number, 0.5) for number in range(len(self.clips)) if self._find(number))
        while found := list(islice(spans, batch_size)):
            yield np.array([number for number, _ in found]), self._prepare(found)
        if len(self._unusable) == len(self.clips):
            self._give_up()

    def _describe(self, top: Path) -> dict[str, dict[str, Any]]:
        """What decides the clips, under names that stay when all files move with `top`: see `World`."""
        names = {path: os.path.relpath(path, top) for path in self._fingerprints}
        data = {f"the size of {names[path]}": size for path, (size, _) in self._fingerprints.items()}
        for number, clip in enumerate(self.clips):
            label = b"" if self.labels is None else self.labels[number].tobytes()
            name = f"clip {number + 1}, {' and '.join(names[path] for path in clip.files)}: span and label"
            data[name] = crc32(f"{clip.start} {clip.stop} ".encode() + label)
        times = {f"the time of {names[path]}": time for path, (_, time) in self._fingerprints.items()}
        return {"data": data | {"the names of the labels": list(self.names)}, "times": times}

    def _prepare(self, found: list[tuple[int, Clip]]) -> Examples:
        numbers, spans = map(list, zip(*found, strict=True))
        examples = prepare(spans, self.config.replace(frame_crop="after-resizing"))  # they have been cropped
        labels = None if self.labels is None else {"label": self.labels[numbers]}
        return replace(examples, labels=labels)

    def _cut(self, number: int, where: float) -> tuple[int, Clip]:
        """Number and one span of a usable clip, at `where` from 0 (the first possible) to 1 (the last)."""
        clip, rate, T = self._find(number), self.config.sample_rate, self.config.num_frames
        samples = 0 if clip.waveform is None else len(clip.waveform)
        length = min(samples, self.config.spectrogram_length * self.config.hop_length)
        first = int(where * (samples - length + 1))
        waveform = None if clip.waveform is None else clip.waveform[first : first + length]
        if clip.frames is None:
            return number, Clip(None, 0.0, waveform, rate)
        start, stop = first / rate, (first + length) / rate
        if self.clips[number].file is None:  # nothing says that frames and audio are of the same time
            T = min(T, len(clip.frames))
            start, stop = clip.times[0], clip.times[-1] + (1 / clip.frame_rate if clip.frame_rate else 0)
        elif self.config.frame_choice == "first" and length == samples:
            start, stop = -inf, inf  # of a whole clip all frames
        chosen = choose_frames(clip.times, float(start), float(stop), T, self.config.frame_choice)
        return number, Clip(clip.frames[chosen], float(T > 1), waveform, rate)  # or a still image

    def _find(self, number: int) -> Clip | None:
        """Decode or remember a clip; None if it cannot be used."""
        clip = self.clips[number]
        name = clip.name or str(clip.files[0])
        if number in self._decoded:
            self._decoded.move_to_end(number)
        elif number not in self._unusable:
            for path in clip.files:
                if take_fingerprint(path) != self._fingerprints[path]:
                    raise ValueError(f"{path} has been changed while it was in use: start again.")
            try:
                self._decoded[number] = decoded = decode(clip, self.config)
                self.damaged |= {name: decoded.damage} if decoded.damage else {}
            except ValueError as error:
                self._unusable.add(number)
                self._skip(name, error)
            while len(self._decoded) > 1 and sum(map(measure, self._decoded.values())) > self.memory:
                self._decoded.popitem(last=False)
        return self._decoded.get(number)

    def _skip(self, name: str, error: ValueError) -> None:
        self.skipped[name] = str(error).removeprefix(name).lstrip(": ")
        warnings.warn(f"Skipped {name}: {self.skipped[name]}", stacklevel=4)

    def _give_up(self) -> NoReturn:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in self.skipped.items())
        raise ValueError(f"No file is left that has what is needed and can be decoded:{reasons}")


def measure(clip: Clip) -> int:
    """Bytes of the arrays of a clip in memory."""
    return sum(array.nbytes for array in (clip.frames, clip.waveform) if array is not None)


def find_media_files(folder: Path) -> list[Path]:
    """All media files in a folder and the folders in it, linked ones too, by name, without hidden ones."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give the folder that holds the media files.")
    found, visited, ends = [], set(), VIDEOS + AUDIO + IMAGES
    for parent, folders, names in os.walk(folder, onerror=warn_of_folder, followlinks=True):
        is_new = os.path.realpath(parent) not in visited  # links may go round in circles
        visited.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if is_new and name[0] != "."]
        names = [name for name in names if is_new and name[0] != "." and name.lower().endswith(ends)]
        found += [Path(parent, name) for name in names]
    if not found:
        raise ValueError(f"{folder} holds no media file: none whose name ends in {', '.join(ends)}.")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def warn_of_folder(error: OSError) -> None:
    """Say that a folder cannot be searched."""
    warnings.warn(f"Skipped the folder {error.filename}: {error.strerror}.", stacklevel=2)


def cut_into_stretches(path: Path, config: Config) -> list[MediaClip]:
    """Cut a file with frames and audio into stretches of a minute, or of some spans if they are longer."""
    has_video, has_audio, seconds = inspect_media(path)
    if not (has_video and has_audio):
        raise ValueError(f"{path} has no {'audio' if has_video else 'frames'}, and matching needs both.")
    least = seconds * STRETCH_BYTES / path.stat().st_size  # time stamps may claim that a short file is long
    length = max(STRETCH_SECONDS, 4 * config.clip_seconds, least)
    edges = [*(i * length for i in range(max(1, int(seconds // length)))), None]
    clips = [MediaClip(file=path, start=start, stop=stop) for start, stop in pairwise(edges)]
    return [replace(clip, name=f"{path} from {clip.start:g} s") for clip in clips] if clips[1:] else clips


def take_fingerprint(path: Path) -> tuple[int, int]:
    """What tells cheaply whether a file is still the same: its size and the time of its last change."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}, or no longer.")
    return path.stat().st_size, path.stat().st_mtime_ns


def decode(clip: MediaClip, config: Config) -> Clip:
    """Decode a clip at the model's frame size and sample rate.

    Of one file with both, the part is taken where frames and audio run together; time 0 is its begin.
    """
    rate, nothing, (has_frames, has_audio) = config.sample_rate, Clip(None, 0.0, None, 0), clip.modalities
    seen = read_small_frames(clip, config) if has_frames else nothing
    heard = read_clip(clip.audio, clip.start, clip.stop, inf) if clip.audio else nothing
    if has_frames and seen.frames is None:
        raise ValueError(f"{clip.files[0]} holds no frames in this part of it.")
    if has_audio and (heard if clip.audio else seen).waveform is None:
        raise ValueError(f"{clip.files[-1]} holds no audio in this part of it.")
    if clip.file is not None:
        start, stop = find_common_span(seen)
        first, last = (round((time - seen.sound_start) * seen.sample_rate) for time in (start, stop))
        heard = replace(seen, waveform=seen.waveform[first:last], damage="")
        seen = replace(seen, times=seen.times - start)
    sound, window = take_waveform(heard, config), config.resampling_window
    waveform = resample(sound, heard.sample_rate, rate, window) if has_audio else None
    damage = "; ".join(filter(None, (seen.damage, heard.damage)))
    return replace(seen, waveform=waveform, sample_rate=rate, sound_start=0.0, damage=damage, channels=0)


def read_small_frames(clip: MediaClip, config: Config) -> Clip:
    """Decode frames at the model's size, as many as the choice of `num_frames` in a span can tell apart.

    Black borders, where they are to be cut off, are what is black in every frame of the whole clip, also
    under "bright-part" where the clip is longer than a spectrogram.
    """
    path, (H, W) = clip.file or clip.video, config.image_shape
    resizing = config.frame_interpolation, config.frame_antialias
    span = (0.0, None) if path.suffix.lower() in IMAGES else (clip.start, clip.stop)
    if config.frame_choice == "first" and (chosen := read_first_frames(path, span, config)) is not None:
        return chosen
    read = partial(read_clip, path, *span, config.clip_seconds / (config.num_frames * FRAMES_PER_CHOICE))
    brightest: list[np.ndarray] = []

    def look(pixels: np.ndarray) -> np.ndarray:
        brightest[:] = [np.maximum(pixels, *brightest) if brightest else pixels]
        return pixels[:1, :1]

    def shrink(pixels: np.ndarray) -> np.ndarray:
        scaled = transform_frames(pixels[None, rows, columns], H, W, config.frame_crop, *resizing)[0]
        return np.rint((scaled.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)  # (H, W, 3)

    rows = columns = slice(None)
    if config.frame_crop != "after-resizing":
        read(look)
        rows, columns = find_picture(brightest[0][None]) if brightest else (rows, columns)
    return read(shrink)


def find_common_span(clip: Clip) -> tuple[float, float]:
    """When both frames and audio run, in seconds.

    The last frame stays as long as the mean one, or, if it is the only one, to the end of the audio.
    """
    audio_stop = clip.sound_start + len(clip.waveform) / clip.sample_rate
    video_stop = clip.times[-1] + 1 / clip.frame_rate if clip.frame_rate else audio_stop
    start, stop = max(clip.times[0], clip.sound_start), min(video_stop, audio_stop)
    if round((stop - start) * clip.sample_rate) < 1:
        raise ValueError(f"{clip.path}: its frames and its audio are never there at the same time.")
    return float(start), float(stop)
