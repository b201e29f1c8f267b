"""Clips to be searched: those of a folder or of a label file, decoded as a whole."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.config import Config
from minitvlt.learning.batches import join_examples
from minitvlt.learning.evaluation import BATCH
from minitvlt.learning.label_files import read_clip_of_row
from minitvlt.learning.label_rows import Row, read_rows
from minitvlt.signals.prepare import Examples
from minitvlt.worlds.folder import SOUNDS, find_media_files
from minitvlt.worlds.labelled import STILL_PICTURES, LabelledClip, LabelledWorld

LABEL_FILES = (".csv", ".jsonl", ".ndjson")


def list_clips(source: Path) -> tuple[list[LabelledClip], list[Any] | None]:
    """List the clips of a folder or of a label file, and the labels if it has any."""
    if source.is_dir() or source.suffix.lower() not in LABEL_FILES:
        files = find_media_files(source)
        return [LabelledClip(file=file, name=file.relative_to(source).as_posix()) for file in files], None
    rows = read_rows(source)
    clips = [replace(read_clip_of_row(row), name=name_row(row)) for row in rows]
    labels = [row.values.get("label") for row in rows]
    for row, label in zip(rows, labels, strict=True):
        if label is None and any(other is not None for other in labels):
            row.fail("label", "the label is missing, which other rows have")
    return clips, None if labels[0] is None else labels


def name_row(row: Row) -> str:
    """Name a clip by its files, and where it begins in them."""
    files = " + ".join(
        str(row.values[column]) for column in ("file", "video", "audio") if column in row.values
    )
    return f"{files} from {row.values['start']} s" if "start" in row.values else files


def list_clips_of_sense(source: Path, sense: str) -> list[LabelledClip]:
    """List the pictures, or the sounds, of all clips that may have them by the names of their files."""
    others = SOUNDS if sense == "video" else STILL_PICTURES
    found = []
    for clip in list_clips(source)[0]:
        file = clip.file or getattr(clip, sense)
        if file is not None and file.suffix.lower() not in others:
            found.append(LabelledClip(**{sense: file}, start=clip.start, stop=clip.stop, name=clip.name))
    if not found:
        raise ValueError(f"{source} holds no {'videos' if sense == 'video' else 'sounds'} to search.")
    return found


def read_clips(clips: list[LabelledClip], config: Config) -> tuple[list[int], Examples]:
    """Decode all clips that can be used, and tell their numbers; what cannot is named in a warning."""
    world = LabelledWorld(clips, None, config)
    numbers: list[int] = []
    parts = []
    for some, examples in world.read(BATCH):
        numbers += some.tolist()
        parts.append(examples)
    if not parts:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in world.skipped.items())
        raise ValueError(f"No clip is left that can be used:{reasons}")
    return numbers, join_examples(parts, config)


def take_real(clips: Examples, sense: str, i: int) -> Float[np.ndarray, "T C H W"] | Float[np.ndarray, "S F"]:
    """Frames or spectrogram of one clip, without padding."""
    array, mask = (
        (clips.video, clips.video_mask) if sense == "video" else (clips.audio[:, 0], clips.audio_mask)
    )
    share = 1.0 if mask is None else mask[i].mean()  # real tokens come first
    return array[i][: round(share * array.shape[1])]
