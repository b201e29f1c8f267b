"""Folders of transformers, on this disk or on the Hugging Face Hub, and the arrays in their files."""

import re
from pathlib import Path

from minitvlt.checkpoints.checks import Arrays, FilePath
from minitvlt.checkpoints.native import read_tensors
from minitvlt.files import read_json

SETTINGS_FILE, PROCESSING_FILE = "config.json", "preprocessor_config.json"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def find_folder(folder_or_name: FilePath) -> Path:
    """Return the folder of a checkpoint; a name "owner/name" that is no folder here is downloaded."""
    folder = Path(folder_or_name)
    if folder.is_dir():
        return folder
    text = f"Expected a folder with {SETTINGS_FILE} and {WEIGHT_FILES[0]}, got {folder}"
    if folder.exists() or not is_hub_name(folder_or_name):
        raise ValueError(f"{text}.")
    try:
        from huggingface_hub import snapshot_download

        patterns = [SETTINGS_FILE, PROCESSING_FILE, *WEIGHT_FILES, "*.index.json", "*-of-*"]
        return Path(snapshot_download(folder_or_name, allow_patterns=patterns))
    except Exception as error:  # no library, no network, no such repository, no space on the disk
        reason = " ".join(str(error).split()) or type(error).__name__
        hub = "which could not be downloaded from the Hugging Face Hub (pip install huggingface_hub)"
        raise ValueError(f"{text}, {hub}: {reason:.300}") from None


def is_folder(path: FilePath) -> bool:
    """Tell whether there is such a folder, or nothing of that name, which may then be a repository's."""
    file = Path(path)
    return file.is_dir() or (not file.exists() and not file.parent.exists() and is_hub_name(path))


def is_hub_name(name: FilePath) -> bool:
    """Tell whether a name can be that of a repository of the hub, and does not look like a path.

    >>> is_hub_name("somebody/tvlt-1.0"), is_hub_name("somebody/model.ckpt"), is_hub_name("./somebody/model")
    (True, False, False)
    """
    if not isinstance(name, str) or name.endswith((".safetensors", ".bin", ".ckpt", ".pt", ".pth")):
        return False
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*", name) is not None


def read_weights(folder: Path) -> tuple[Arrays, Path]:
    """Read the arrays of a folder of transformers, and return with them the file that holds or lists them.

    Raises:
        ValueError: neither file nor list, or one that is damaged.
    """
    names = [name for each in WEIGHT_FILES for name in (each, f"{each}.index.json")]
    path = folder / next((name for name in names if (folder / name).exists()), WEIGHT_FILES[0])
    return (read_shards(path) if path.suffix == ".json" else read_tensors(path)), path


def read_shards(index: Path) -> Arrays:
    """Read the arrays that a JSON file lists with the file of each, which is in the same folder.

    Raises:
        ValueError: no such list, a file outside the folder, one that is missing or lacks an array.
    """
    files = read_json(index, "the file of each array").get("weight_map")
    listed = files.values() if isinstance(files, dict) else ()
    if not listed or not all(isinstance(file, str) and Path(file).name == file[:255] for file in listed):
        raise ValueError(f"{index}: expected a weight_map from names of arrays to files in this folder.")
    arrays: Arrays = {}
    for file in sorted(set(listed)):
        found = read_tensors(index.parent / file)
        arrays |= {name: array for name, array in found.items() if files.get(name, file) == file}
    if files.keys() - arrays.keys():
        missing = ", ".join(sorted(files.keys() - arrays.keys()))
        raise ValueError(f"{index} lists arrays that its files lack: {missing:.500}.")
    return arrays
