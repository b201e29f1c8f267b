"""Clips to be searched: those of a folder or of a label file, decoded as a whole."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import map_tree
from minitvlt.config import Config
from minitvlt.signals.media import inspect_media
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import join_examples
from minitvlt.training.evaluation import BATCH
from minitvlt.worlds.folder import AUDIO, IMAGES, FolderWorld, find_media_files
from minitvlt.worlds.labels import ROWS, MediaClip, Row, read_clip_of_row, read_rows


def list_clips(source: Path) -> tuple[list[MediaClip], list[Any] | None]:
    """List the clips of a folder or of a label file, and the labels if it has any."""
    if source.is_dir() or source.suffix.lower() not in ROWS:
        files = find_media_files(source)
        return [MediaClip(file=file, name=file.relative_to(source).as_posix()) for file in files], None
    rows = read_rows(source)
    clips = [replace(read_clip_of_row(row), name=name_row(row)) for row in rows]
    labels = [row.values.get("label") for row in rows]
    for row, label in zip(rows, labels, strict=True):
        if label is None and any(other is not None for other in labels):
            row.fail("label", "a label, as other rows have")
    return clips, None if labels[0] is None else labels


def name_row(row: Row) -> str:
    """Name a clip by its files, and where it begins in them."""
    files = " + ".join(
        str(row.values[column]) for column in ("file", "video", "audio") if column in row.values
    )
    return f"{files} from {row.values['start']} s" if "start" in row.values else files


def list_clips_of_sense(source: Path, sense: str) -> list[MediaClip]:
    """List the clips that have pictures, or sound; those of one file keep both, as they run together."""
    found = [take_sense(clip, sense) for clip in list_clips(source)[0]]
    found = [clip for clip in found if clip is not None]
    if not found:
        raise ValueError(f"{source} holds no {'videos' if sense == 'video' else 'sounds'} to search.")
    return found


def take_sense(clip: MediaClip, sense: str) -> MediaClip | None:
    """Take the pictures, or the sound, of a clip; None if it cannot have any, as its file's name says.

    A film with sound stays whole: the span that is read is one in which both are there.
    """
    file = clip.file or getattr(clip, sense)
    if file is None or file.suffix.lower() in (AUDIO if sense == "video" else IMAGES):
        return None
    if clip.file is not None and has_both(file):
        return clip
    return MediaClip(**{sense: file}, start=clip.start, stop=clip.stop, name=clip.name)


def has_both(file: Path) -> bool:
    """Tell whether a file is a film with sound; one that cannot be looked into will be found out later."""
    if file.suffix.lower() in (*AUDIO, *IMAGES):  # whatever picture may be on the cover of a sound
        return False
    try:
        return all(inspect_media(file)[:2])
    except (ValueError, OSError):
        return False


def read_clips(
    clips: list[MediaClip], config: Config, sense: str | None = None
) -> tuple[list[int], Examples]:
    """Decode all clips that can be used, in their order, and tell their numbers.

    Args:
        clips: if one sense is asked for, some may have the other one too.
        config: says how large and how long clips are.
        sense: "video" or "audio", where the other one is to be left out.

    Raises:
        ValueError: no clip can be used (with the reasons), or clips of different kinds.
    """
    kinds = [None if sense is None else clip.file is None for clip in clips]
    numbers: list[int] = []
    parts, skipped = [], {}
    for kind in dict.fromkeys(kinds):
        members = [i for i, other in enumerate(kinds) if other == kind]
        world = FolderWorld([clips[i] for i in members], config)
        for some, examples in world.read(BATCH):
            numbers += [members[i] for i in some]
            parts.append(leave_out(examples, sense))
        skipped |= world.skipped
    if not parts:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        raise ValueError(f"No clip is left that can be used:{reasons}")
    order, joined = np.argsort(numbers), join_examples(parts, config)
    return sorted(numbers), map_tree(lambda array: array[order], joined)


def leave_out(clips: Examples, sense: str | None) -> Examples:
    """Keep the pictures, or the sound, of clips alone; or both."""
    if sense == "video":
        return replace(clips, audio=None, audio_mask=None)
    return clips if sense is None else replace(clips, video=None, video_mask=None)


def read_query(file: Path, sense: str, config: Config) -> Examples:
    """Decode the pictures, or the sound, of one file."""
    clip = take_sense(MediaClip(file=file, name=str(file)), sense)
    if clip is None:
        raise ValueError(f"{file} is no {'video' if sense == 'video' else 'sound'}, as its name says.")
    with warnings.catch_warnings(action="ignore"):  # the error says it
        return read_clips([clip], config, sense)[1]


def take_real(clips: Examples, sense: str, i: int) -> Float[np.ndarray, "T C H W"] | Float[np.ndarray, "S F"]:
    """Frames or spectrogram of one clip, without padding."""
    array, mask = (
        (clips.video, clips.video_mask) if sense == "video" else (clips.audio[:, 0], clips.audio_mask)
    )
    share = 1.0 if mask is None else mask[i].mean()  # real tokens come first
    return array[i][: round(share * array.shape[1])]
