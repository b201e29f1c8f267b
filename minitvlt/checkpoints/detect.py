"""Reading a checkpoint of any known program, which is recognised by what the file holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minitvlt.backends import to_backend
from minitvlt.checkpoints.checks import FilePath
from minitvlt.checkpoints.hub import SETTINGS_FILE, find_folder, is_folder
from minitvlt.checkpoints.huggingface import from_huggingface
from minitvlt.checkpoints.names import MAE, RELEASED, TRANSFORMERS, VIT_MAE
from minitvlt.checkpoints.native import ANCHOR, PACKAGED, load, load_arrays, read_tensors
from minitvlt.checkpoints.released import from_original, read_mae
from minitvlt.files import read_json
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
    ANCHOR: "minitvlt",
    RELEASED.anchor: "original",
    MAE.anchor: "mae",
    VIT_MAE.anchor: "mae",
    TRANSFORMERS.anchor.removeprefix("tvlt."): "transformers",
}


@dataclass(frozen=True)
class Checkpoint:
    """Parameters, the format of their file, and which of them the file does not hold"""

    params: Params
    format: str  # a key of FORMATS
    drawn: tuple[str, ...] = ()  # names of parameters that were randomly initialised


def load_any(path: FilePath, **settings: Any) -> Params:
    """Read a checkpoint of minitvlt, of transformers, of the released code or of ViT MAE pre-training.

    Half precision becomes float32, in which models are trained and used.

    Args:
        path: a file, a folder of transformers, or the name of a repository on the hub (`somebody/something`).
        settings: see `read_any`.

    Raises:
        ValueError: a file that does not exist, is damaged or of an unknown format, or settings that
            contradict it.
    """
    params = read_any(path, **settings).params
    return to_backend(params, "numpy", dtype="float32") if params.encoder.cls.dtype.itemsize < 4 else params


def read_any(path: FilePath, format: str | None = None, **settings: Any) -> Checkpoint:
    """Read a checkpoint, and say which format it has. A warning names arrays that are not used.

    Args:
        path: see `load_any`.
        format: a key of FORMATS; None to recognise it.
        settings: for files that hold arrays alone, see `from_original`, `from_mae` and `load`.
    """
    if format is None and (format := guess_format(path)) is None:
        names, known = ", ".join(sorted(read_tensors(path))) or "nothing", ", ".join(ANCHORS)
        raise ValueError(f"{path} has no known format: expected one of {known}, got {names:.100}.")
    if format == "transformers" and settings:
        raise ValueError(f"{path} holds its own settings ({format}): leave out {', '.join(settings)}.")
    if format == "mae":
        params, drawn = read_mae(path, **settings)
        return Checkpoint(params, format, tuple(drawn))
    read = {"minitvlt": load, "transformers": from_huggingface, "original": from_original}[format]
    return Checkpoint(read(path, **settings), format)


def guess_format(path: FilePath) -> str | None:
    """Return the format of a checkpoint, a key of FORMATS, by what it holds; None for an unknown one.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    file = Path(path)
    if not file.exists() and (PACKAGED / f"{file}.safetensors").is_file():
        return "minitvlt"
    if is_folder(path):
        settings = read_json(find_folder(path) / SETTINGS_FILE, "settings of a model")
        return "mae" if settings.get("model_type") == "vit_mae" else "transformers"
    if not file.exists():
        raise ValueError(f"Expected a checkpoint, but {path} is not there.")
    arrays, metadata = load_arrays(file)
    if "config" in metadata:
        return "minitvlt"
    names = [f".{name}" for name in arrays]
    return next((key for it, key in ANCHORS.items() if any(name.endswith(f".{it}") for name in names)), None)
