"""A checkpoint of any program that is known here: telling whose it is, and reading it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitvlt.learning import mae, original
from minitvlt.learning.checkpoints import load, load_arrays
from minitvlt.learning.huggingface import from_huggingface
from minitvlt.learning.mae import read_mae
from minitvlt.learning.original import from_original
from minitvlt.learning.tensor_files import read_tensors
from minitvlt.model.parameters import Params

# What a format is called on the command line, and in sentences.
FORMATS = {
    "minitvlt": "minitvlt",
    "transformers": "transformers",
    "original": "the released TVLT code",
    "mae": "ViT MAE pre-training",
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
    if format is None:
        format = guess_format(path)
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


def guess_format(path: str | os.PathLike[str]) -> str:
    """Tell whose checkpoint this is, a key of FORMATS, by what the file holds.

    Raises:
        ValueError: nothing there, a damaged file, or names that no known program gives.
    """
    file = Path(path)
    if file.is_dir():
        return "transformers"
    if not file.exists():
        if len(file.parts) == 2 and not file.is_absolute() and not file.suffix and not file.parent.exists():
            return "transformers"  # somebody/something on the hub
        raise ValueError(f"Expected a checkpoint, but {path} is not there.")
    if is_safetensors(file):
        names, metadata = load_arrays(file)
        if "config" in metadata:
            return "minitvlt"
    else:
        names = read_tensors(file)
    endings = {"encoder.video_patches.weight": "minitvlt", original.ANCHOR: "original", mae.ANCHOR: "mae"}
    for name in names:
        for ending, format in endings.items():
            if name == ending or name.endswith("." + ending):
                return format
    if any("pixel_embeddings." in name for name in names):
        raise ValueError(f"{path} is of transformers, which keeps settings beside it: give their folder.")
    some = ", ".join(sorted(names)[:3])
    raise ValueError(f"{path} is of no known format: expected {', '.join(endings)} or so, it holds {some} …")


def is_safetensors(file: Path) -> bool:
    """Tell by the name or by the beginning, which is the length of a JSON object and then that object."""
    with open(file, "rb") as stream:
        return file.suffix == ".safetensors" or stream.read(9)[8:] == b"{"
