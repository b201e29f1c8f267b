"""Media files to clips and back: frames with the times at which they are shown, and one channel of sound.

Only what was decoded is believed: times come from the decoded frames, and no length that a header claims is
used. WAV files need nothing beyond SciPy (`waveforms.py`); PyAV reads and writes all others (`media.py`).
"""

import importlib.util
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from minitvlt.files import write_atomically
from minitvlt.signals.media import (
    AAC_RATES,
    LONGEST_CLIP,
    SAME_TIME,
    TICKS,
    Picture,
    decode_media,
    encode_media,
    import_av,
)
from minitvlt.signals.waveforms import Sound, check_channel, check_rates, join_sounds, read_wav, write_wav

__all__ = ["Clip", "choose_frames_in_time", "read_clip", "write_clip", "write_wav"]


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures, sound or both. Time 0 is where the span that was read begins.

    `frames` are upright, RGB, row by row; frame i is shown from `times[i]` (seconds) until the next one,
    and no constant rate is promised. `frame_rate` is the mean rate, 0 if there are fewer than two frames.
    `waveform` is the mean of all channels, in [-1, 1] unless the file exceeds that; its first sample sounds
    at `sound_start` seconds. It is as long as the sound that there is: a track that begins late, or ends
    before the picture, is not filled up. What a file lacks is None. Without `times`, frames follow at
    `frame_rate` from 0 on.
    """

    frames: UInt8[np.ndarray, "T H W 3"] | None
    frame_rate: float | int
    waveform: Float[np.ndarray, " samples"] | None
    sample_rate: int
    path: str = ""
    times: Float[np.ndarray, " T"] | None = None
    sound_start: float = 0.0

    def __post_init__(self) -> None:
        if self.frames is None or self.times is not None:
            return
        T = len(self.frames)
        if T > 1 and not self.frame_rate > 0:
            raise ValueError(f"Expected a frame rate above 0 for {T} frames, got {self.frame_rate}.")
        object.__setattr__(self, "times", np.arange(T) / (self.frame_rate or 1.0))


def choose_frames_in_time(
    times: Float[np.ndarray, " T"], start: float, stop: float, count: int
) -> Int[np.ndarray, " {count}"]:
    """Choose the frames that are on the screen in the middle of each of `count` equal parts of [start, stop).

    Even in time, whatever the frame rate does; at a constant rate the same as `choose_frames`. A frame that
    stays on the screen is chosen as often as it is seen; before the first frame there is only the first.

    >>> choose_frames_in_time(np.array([0.0, 0.1, 0.2, 0.3, 4.0]), 0.0, 6.0, 3)
    array([3, 3, 4])
    """
    middles = start + (stop - start) * (np.arange(count) + 0.5) / count
    return np.maximum(np.searchsorted(times, middles + SAME_TIME, side="right") - 1, 0)


def read_clip(
    path: str | os.PathLike[str],
    start: float | int = 0.0,
    stop: float | int | None = None,
    frame_gap: float = 0.0,
    shrink: Callable[[UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "h w 3"]] | None = None,
) -> Clip:
    """Read a video with or without sound, a sound alone or a still picture (one frame at time 0).

    Frames with start <= time < stop (seconds) are given, and the samples of the same span; only that part
    of the file is decoded, from the last key frame at least a second before it. Time 0 of a file is where
    its first stream begins. MKV and WebM round times to 1/1000 s, so there a cut in the sound is as exact
    as that. Rotation and mirroring that the file asks for are carried out; pixels are taken to be square.
    Channels of any number are mixed by their mean. Of several streams the first of each kind is read.

    A long video of large frames need not fit into memory: a frame less than `frame_gap` seconds after the
    last one that was kept is dropped, and `shrink` makes a smaller one of each kept (H, W, 3) of uint8 at
    once.

    Raises:
        ValueError: there is no such file; it is no media file; the span lies beyond the end; the data are
            damaged, or known to be cut off, within the span. Nothing is shortened or silenced instead, and
            what lies before the damage can be read with `stop`. Formats made to be cut anywhere (TS, MP3,
            MKV) just end early.
        ImportError: PyAV is missing, and the file is not a WAV file.
    """
    file, start, end = Path(path), float(start), inf if stop is None else float(stop)
    check_request(file, start, end)
    pictures: list[tuple[float, UInt8[np.ndarray, "_ _ 3"]]] = []
    sounds: list[Sound] = []
    last, next_time = 0.0, -inf  # the latest time met; when the next frame is wanted
    for piece in decode_file(file, start, end):
        if isinstance(piece, Sound):
            sounds.append(piece)
            last = max(last, piece.time + len(piece.samples) / piece.rate)
            continue
        last = max(last, piece.time)
        if piece.time > max(start, next_time) - SAME_TIME:
            pictures.append((piece.time, shrink(piece.convert()) if shrink else piece.convert()))
            next_time = piece.time + frame_gap
    sound = join_sounds(file, sounds, start, end)
    if not pictures and sound is None:
        known = f"what was decoded ends at {last:.3f} s" if last else "nothing could be decoded there"
        where = f"from {start} s to {'the end' if stop is None else f'{end} s'}"
        raise ValueError(f"{file} holds nothing {where}: {known}. Ask for an earlier span.")
    return make_clip(file, start, pictures, sound)


def check_request(file: Path, start: float, stop: float) -> None:
    """Raise a ValueError unless [start, stop) is a span and there is a file to read it from."""
    if not 0 <= start < inf:
        raise ValueError(f"{file}: start must be a time in seconds, 0 or later, not {start}.")
    if not stop > start:
        raise ValueError(f"{file}: stop ({stop} s) must come after start ({start} s).")
    if file.is_dir():
        raise ValueError(f"{file} is a folder: give one media file; FolderWorld reads folders.")
    if not file.exists():
        raise ValueError(f"{file}: there is no such file; check the name and the folder.")
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty (0 bytes): copy or download it again.")


def decode_file(file: Path, start: float, stop: float) -> Iterable[Picture | Sound]:
    """Decode a WAV file with SciPy if that can read it, and anything else with PyAV."""
    if file.suffix.lower() == ".wav":
        try:
            return [read_wav(file, start, stop)]
        except ValueError:
            if importlib.util.find_spec("av") is None:
                raise
    return decode_media(file, start, stop)


def make_clip(
    file: Path,
    start: float | int,
    pictures: list[tuple[float, UInt8[np.ndarray, "_ _ 3"]]],
    sound: Sound | None,
) -> Clip:
    """Put decoded pictures and sound (times from the file's beginning) into a clip that begins at `start`."""
    times = np.array([time - start for time, _ in pictures])
    if np.any(np.diff(times) <= 0):
        raise ValueError(f"{file}: the times of its frames run backwards; it is damaged, encode it again.")
    if len({pixels.shape for _, pixels in pictures}) > 1:
        raise ValueError(f"{file}: the size of its pictures changes; encode it with one size.")
    return Clip(
        frames=np.stack([pixels for _, pixels in pictures]) if pictures else None,
        frame_rate=float((len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else 0.0,
        waveform=sound.samples if sound else None,
        sample_rate=sound.rate if sound else 0,
        path=str(file),
        times=times if pictures else None,
        sound_start=max(0.0, sound.time - start) if sound else 0.0,
    )


def write_clip(path: str | os.PathLike[str], clip: Clip) -> Path:
    """Write a clip as mp4 (H.264 and AAC), in one step: nobody meets half a file. Missing folders are made.

    Frames keep their times to 1/90,000 s and their size, odd ones too (stored with full colour resolution,
    which some browsers do not play). The sound keeps its place; what lies outside [-1, 1] is clipped. Both
    are coded with small losses; AAC fills its last block of 1,024 samples up, and puts one of silence
    before a late sound.

    Raises:
        ValueError: neither frames nor sound; a name that does not end in .mp4; frames that are not uint8 or
            have no pixels; times that do not grow; sound of several channels; NaN or infinity; a sample rate
            that AAC does not have. Nothing is written then.
        ImportError: PyAV is missing.
    """
    target = Path(path)
    check_writable(target, clip)
    import_av()
    sound = None if clip.waveform is None else Sound(clip.sound_start, clip.sample_rate, clip.waveform)
    return write_atomically(target, lambda temporary: encode_media(temporary, clip.frames, clip.times, sound))


def check_writable(target: Path, clip: Clip) -> None:
    """Raise a ValueError that says why a clip cannot be written, before anything is."""
    if target.suffix.lower() != ".mp4":
        raise ValueError(f"{target}: clips are written as mp4; give a name that ends in .mp4.")
    if clip.frames is None and clip.waveform is None:
        raise ValueError(f"{target}: the clip holds neither frames nor sound, so there is nothing to write.")
    if clip.frames is not None:
        check_frames(clip.frames, f"the frames for {target}")
        _check_times(target, clip.times, len(clip.frames))
    if clip.waveform is not None:
        _check_sound(target, clip)


def check_frames(frames: np.ndarray, name: str) -> None:
    """Raise a ValueError unless these are frames of RGB pixels, at least one of at least one pixel."""
    shape = getattr(frames, "shape", None)
    if not isinstance(frames, np.ndarray) or len(shape) != 4 or shape[-1] != 3:
        what = type(frames).__name__ if shape is None else tuple(shape)
        raise ValueError(f"Expected {name} as a NumPy array of shape (T, H, W, 3), got {what}.")
    if frames.dtype != np.uint8:
        raise ValueError(
            f"Expected {name} with pixels of uint8, from 0 to 255, got {frames.dtype}: "
            "bring floating-point ones to [0, 255], round and convert them."
        )
    if frames.size == 0:
        raise ValueError(f"Expected {name} to be at least one frame of one pixel, got {shape}.")


def _check_times(target: Path, times: np.ndarray | None, T: int) -> None:
    if not isinstance(times, np.ndarray) or times.shape != (T,) or times.dtype.kind not in "fiu":
        raise ValueError(f"{target}: expected a time in seconds for each of the {T} frames as a NumPy array.")
    if not (np.isfinite(times).all() and times.min() >= 0 and times.max() <= LONGEST_CLIP):
        raise ValueError(f"{target}: the times of the frames must be seconds from 0 to {LONGEST_CLIP}.")
    if np.any(np.diff(np.rint(times * TICKS)) < 1):
        raise ValueError(
            f"{target}: the times of the frames must grow, by 1/{TICKS} s at least: they are written in such "
            "steps."
        )


def _check_sound(target: Path, clip: Clip) -> None:
    check_channel(clip.waveform, f"the waveform for {target}")
    check_rates(clip.sample_rate)
    if clip.sample_rate not in AAC_RATES:
        rates = ", ".join(map(str, AAC_RATES))
        raise ValueError(f"{target}: AAC has no {clip.sample_rate} Hz; resample the sound to {rates}.")
    if not 0 <= clip.sound_start <= LONGEST_CLIP:
        raise ValueError(
            f"{target}: sound_start must be seconds from 0 to {LONGEST_CLIP}, not {clip.sound_start}."
        )
