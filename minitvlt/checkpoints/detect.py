"""A checkpoint of any program that is known here: telling whose it is, and reading it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitvlt.checkpoints import mae
from minitvlt.checkpoints import released as original
from minitvlt.checkpoints.huggingface import from_huggingface, is_hub_name
from minitvlt.checkpoints.mae import read_mae
from minitvlt.checkpoints.native import load, load_arrays
from minitvlt.checkpoints.released import from_original
from minitvlt.checkpoints.tensor_files import is_safetensors, read_tensors
from minitvlt.model.parameters import Params

# What a format is called on the command line, and in sentences.
FORMATS = {
    "minitvlt": "minitvlt",
    "transformers": "transformers",
    "original": "the released TVLT code",
    "mae": "ViT MAE pre-training",
}
# By which name of an array, bare or behind a prefix, each is told.
ANCHORS = {
    "minitvlt": "encoder.video_patches.weight",
    "original": original.ANCHOR,
    "mae": mae.ANCHOR,
    "transformers": "pixel_embeddings.patch_embeddings.projection.weight",
}


@dataclass(frozen=True)
class Checkpoint:
    """What was read, whose format it has, and which parameters it does not hold"""

    params: Params
    format: str  # a key of FORMATS
    drawn: tuple[str, ...] = ()  # names of parameters that were drawn anew


def load_any(path: str | os.PathLike[str], **settings: Any) -> Params:
    """Read a checkpoint of minitvlt, of transformers, of the released code or of ViT MAE pre-training.

    Args:
        path: a file, a folder of transformers, or the name of a repository on the hub (`somebody/something`).
        settings: see `read_any`.

    Raises:
        ValueError: a file that is not there, not known or damaged, or settings that it contradicts.
    """
    return read_any(path, **settings).params


def read_any(path: str | os.PathLike[str], format: str | None = None, **settings: Any) -> Checkpoint:
    """Read a checkpoint, and say whose it is; what it holds beside is named in a warning.

    Args:
        path: see `load_any`.
        format: a key of FORMATS; None to guess it.
        settings: for files that hold arrays alone, "original" and "mae": see `from_original`, `from_mae`.
    """
    if format is None and (format := guess_format(path)) is None:
        names, known = ", ".join(sorted(read_tensors(path))) or "nothing", ", ".join(ANCHORS.values())
        raise ValueError(f"{path} is of no known program: it holds {names:.100}, and none of {known}.")
    if format not in FORMATS:
        raise ValueError(f"Unknown format {format!r}: expected one of {', '.join(FORMATS)}.")
    if format in ("minitvlt", "transformers") and settings:
        raise ValueError(
            f"{path} holds its own settings, as checkpoints of {format} do: leave out {', '.join(settings)}."
        )
    if format == "mae":
        params, drawn = read_mae(path, **settings)
        return Checkpoint(params, format, tuple(drawn))
    read = {"minitvlt": load, "transformers": from_huggingface, "original": from_original}[format]
    return Checkpoint(read(path, **settings), format)


def guess_format(path: str | os.PathLike[str]) -> str | None:
    """Tell whose checkpoint this is, a key of FORMATS, by what the file holds; None for another program's.

    Raises:
        ValueError: nothing there, or a damaged file.
    """
    file = Path(path)
    if file.is_dir():
        return "transformers"
    if not file.exists():
        if is_hub_name(path) and not file.parent.exists():
            return "transformers"
        raise ValueError(f"Expected a checkpoint, but {path} is not there.")
    names, metadata = load_arrays(file) if is_safetensors(file) else (read_tensors(file), {})
    if "config" in metadata:
        return "minitvlt"
    found = (
        format
        for format, anchor in ANCHORS.items()
        if any(f".{name}".endswith(f".{anchor}") for name in names)
    )
    return next(found, None)
