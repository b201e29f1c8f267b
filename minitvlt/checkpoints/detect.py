"""Reading a checkpoint of any known program, which is recognised by what the file holds."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitvlt.checkpoints.huggingface import from_huggingface, is_hub_name
from minitvlt.checkpoints.names import MAE, RELEASED, TRANSFORMERS
from minitvlt.checkpoints.native import PACKAGED, is_safetensors, load, load_arrays, read_tensors
from minitvlt.checkpoints.released import from_original, read_mae
from minitvlt.model.parameters import Params

# What a format is called on the command line, and in sentences.
FORMATS = {
    "minitvlt": "minitvlt",
    "transformers": "transformers",
    "original": "the released TVLT code",
    "mae": "ViT MAE pre-training",
}
# The name of an array, with or without a prefix, that only files of this format have.
ANCHORS = {
    "minitvlt": "encoder.video_patches.weight",
    "original": RELEASED.anchor,
    "mae": MAE.anchor,
    "transformers": TRANSFORMERS.anchor.removeprefix("tvlt."),
}


@dataclass(frozen=True)
class Checkpoint:
    """Parameters, the format of their file, and which of them the file does not hold"""

    params: Params
    format: str  # a key of FORMATS
    drawn: tuple[str, ...] = ()  # names of parameters that were randomly initialised


def load_any(path: str | os.PathLike[str], **settings: Any) -> Params:
    """Read a checkpoint of minitvlt, of transformers, of the released code or of ViT MAE pre-training.

    Args:
        path: a file, a folder of transformers, or the name of a repository on the hub (`somebody/something`).
        settings: see `read_any`.

    Raises:
        ValueError: a file that does not exist, is damaged or of an unknown format, or settings that
            contradict it.
    """
    return read_any(path, **settings).params


def read_any(path: str | os.PathLike[str], format: str | None = None, **settings: Any) -> Checkpoint:
    """Read a checkpoint, and say which format it has. A warning names arrays that are not used.

    Args:
        path: see `load_any`.
        format: a key of FORMATS; None to recognise it.
        settings: for files that hold arrays alone, "original" and "mae": see `from_original`, `from_mae`.
    """
    if format is None and (format := guess_format(path)) is None:
        names, known = ", ".join(sorted(read_tensors(path))) or "nothing", ", ".join(ANCHORS.values())
        raise ValueError(f"{path} has no known format: expected one of {known}, got {names:.100}.")
    if format in ("minitvlt", "transformers") and settings:
        raise ValueError(f"{path} holds its own settings ({format}): leave out {', '.join(settings)}.")
    if format == "mae":
        params, drawn = read_mae(path, **settings)
        return Checkpoint(params, format, tuple(drawn))
    read = {"minitvlt": load, "transformers": from_huggingface, "original": from_original}[format]
    return Checkpoint(read(path, **settings), format)


def guess_format(path: str | os.PathLike[str]) -> str | None:
    """Return the format of a checkpoint, a key of FORMATS, by what it holds; None for an unknown one.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    file = Path(path)
    if not file.exists() and (PACKAGED / f"{file}.safetensors").is_file():
        return "minitvlt"
    if file.is_dir() or (not file.exists() and is_hub_name(path) and not file.parent.exists()):
        return "transformers"
    if not file.exists():
        raise ValueError(f"Expected a checkpoint, but {path} is not there.")
    names, metadata = load_arrays(file) if is_safetensors(file) else (read_tensors(file), {})
    if "config" in metadata:
        return "minitvlt"
    names = [f".{name}" for name in names]
    return next((key for key, it in ANCHORS.items() if any(name.endswith(f".{it}") for name in names)), None)
