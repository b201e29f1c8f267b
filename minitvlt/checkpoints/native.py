"""Files of named arrays, and the checkpoints of minitvlt: safetensors files that also hold a configuration.

No code in a file is ever executed: safetensors hold numbers and text, and pickles of torch are read with
`weights_only=True`.
"""

import argparse
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save_file

from minitvlt.backends import flatten, to_backend
from minitvlt.checkpoints.checks import Arrays, FilePath, fill, list_tasks, make_config, strip_prefix
from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.model.parameters import Params

METADATA_KEY = "minitvlt"  # one entry for everything: the format keeps several in no fixed order
PACKAGED = Path(__file__).parent  # models that are installed with the package
WRAPPERS = ("state_dict", "model")  # keys under which training programs store the tensors
ANCHOR = "encoder.video_patches.weight"  # an array that all our checkpoints have, and no other program's


def save(
    tree: Params, path: FilePath, metadata: dict[str, Any] | None = None, dtype: str | None = None
) -> Path:
    """Write parameters, or gradients with respect to them, and their configuration to one safetensors file.

    The file appears whole or not at all, and replaces an existing one.

    Args:
        tree: what `init`, `load` or `value_and_grad` return, on any backend.
        path: usually with the suffix `.safetensors`.
        metadata: anything else that JSON can hold; `load_arrays` returns it.
        dtype: the precision in the file, for instance "float16". None keeps that of the arrays.

    Returns:
        The path.

    Raises:
        ValueError: `tree` is not a tree of parameters.
    """
    if not isinstance(tree, Params):
        raise ValueError(f"Expected parameters or gradients of them, got {type(tree).__name__}.")
    arrays = flatten(to_backend(tree, "numpy", dtype=dtype))
    return save_arrays(arrays, path, {**(metadata or {}), "config": tree.config.to_dict()})


def load(path: FilePath, **settings: Any) -> Params:
    """Read what `save` wrote, as NumPy arrays of the precision in the file; bfloat16 becomes float32.

    The decoder and the heads are present if the file has them. Position tables keep their number of rows,
    also where the configuration says another one.

    A file without a configuration, such as the `state_dict` of `to_module` that torch.save wrote, gets that
    of the preset of the same width, `Config()`, `Config.small()` or `Config.tiny()`, and a warning says so.
    Its names may have a common prefix, such as `module.`.

    Args:
        path: a file, or the name of a model that is installed with the package, which is returned in float32:
            "shapes-small" was trained on `ShapesWorld` with the configuration `Config.tiny()`.
        settings: for a file without a configuration, the fields that differ from the preset; all of them are
            `**config.to_dict()`.

    Raises:
        ValueError: no such file, a damaged one, settings that are not needed, or arrays that do not fit the
            configuration: missing, unknown, of another shape, not floating-point, or not finite. The message
            names them.
    """
    packaged = PACKAGED / f"{Path(path).name}.safetensors"
    if os.fspath(path) == packaged.stem and packaged.is_file() and not Path(path).exists():
        return to_backend(load(packaged), "numpy", dtype="float32")
    (arrays, metadata), source = load_arrays(path), str(path)
    if "config" not in metadata:
        arrays = strip_prefix(arrays, ANCHOR, f"{source} (no configuration)")
        return fill(_choose_config(arrays, settings, source), arrays, source)
    if not isinstance(metadata["config"], dict):
        raise ValueError(f"{path} is damaged: expected a configuration, got {metadata['config']!r:.60}.")
    if settings:
        raise ValueError(f"{path} holds its own settings (minitvlt): leave out {', '.join(settings)}.")
    return fill(make_config(Config.huggingface, {}, metadata["config"], source), arrays, source)


def _choose_config(arrays: Arrays, settings: dict[str, Any], source: str) -> Config:
    said: dict[str, Any] = list_tasks({name.partition(".")[0] for name in arrays})
    if "classifier.output.bias" in arrays:
        said["num_labels"] = arrays["classifier.output.bias"].size
    presets = {(preset.hidden_size,): preset for preset in (Config.tiny(), Config.small())}
    config = make_config(presets.get(arrays[ANCHOR].shape[:1], Config()).replace, said, settings, source)
    if settings.keys() < config.to_dict().keys():
        text = f"{source} holds no configuration: settings are those of the preset of its width"
        warnings.warn(f"{text}. Give others as arguments, such as **config.to_dict().", stacklevel=4)
    return config


# ---- files of named arrays


def save_arrays(arrays: Arrays, path: FilePath, metadata: dict[str, Any] | None = None) -> Path:
    """Write named arrays as safetensors, and with them anything that JSON can hold.

    The file appears whole or not at all, and replaces an existing one. Equal content gives equal bytes.
    """
    text = json.dumps(metadata or {}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    return write_file(path, lambda temporary: save_file(contiguous, temporary, {METADATA_KEY: text}))


def write_file(path: FilePath, write: Callable[[Path], object]) -> Path:
    """Call `write_atomically`, and turn what safetensors and torch raise into an OSError.

    Raises:
        OSError: a full disk, for instance.
    """
    try:
        return write_atomically(path, write)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise OSError(f"{path} could not be written: {reason:.200}.") from None


def load_arrays(path: FilePath) -> tuple[Arrays, dict[str, Any]]:
    """Read named arrays that `save_arrays`, another program with safetensors, or torch.save wrote.

    In a file of torch (`.bin`, `.ckpt`, `.pth`), the tensors may stand under `state_dict` or `model`, where
    training programs store them; optimizer states and parsed command lines beside them are ignored. In
    bfloat16, which NumPy lacks, they become float32.

    Returns:
        The arrays, and the metadata, which are empty in files of other programs.

    Raises:
        ValueError: no such file, a folder, a file that is damaged, of another format or with more than plain
            data, tensors that are not dense, or torch is needed and not installed.
    """
    path = Path(path)
    if not os.path.isfile(path):  # Path.is_file has an error for some names
        state = "a folder" if os.path.isdir(path) else "not there"
        raise ValueError(f"Expected a file of named arrays, but {path} is {state}.")
    if not is_safetensors(path):
        return _load_pickle(path), {}
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (no dict)
            arrays = {n: None if dtype == "BF16" else file.get_tensor(n) for n, dtype in dtypes.items()}
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error!s:.300}.") from None
    except (TypeError, AttributeError) as error:  # where NumPy lacks a dtype, such as those of 8 bits
        raise ValueError(
            f"NumPy cannot read the numbers in {path}: {error!s:.99}. Save it in float32."
        ) from None
    for name, entry in deserialize(path.read_bytes()) if "BF16" in dtypes.values() else ():
        if arrays[name] is None:  # bfloat16 is the upper half of float32
            halves = np.frombuffer(entry["data"], "<u2").astype("<u4")
            arrays[name] = (halves << 16).view("<f4").reshape(entry["shape"])
    if not isinstance(metadata, dict):
        raise ValueError(f"The metadata of {path} are damaged: expected named values, got {metadata!r:.40}.")
    return arrays, metadata


def read_tensors(path: FilePath) -> Arrays:
    """Read the arrays of a file as `load_arrays` does."""
    return load_arrays(path)[0]


def is_safetensors(path: Path) -> bool:
    """Tell by the suffix, or by the first bytes: the length of a JSON object, then that object."""
    with open(path, "rb") as stream:
        return path.suffix == ".safetensors" or stream.read(9)[8:] == b"{"


def _load_pickle(path: Path) -> Arrays:
    torch = _import_torch()
    try:
        check_archive(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # a plain container of values
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can end in any exception of the unpickler
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {code[1]}, which is code: save tensors alone" if code else type(error).__name__
        raise ValueError(f"{path} is damaged, or holds more than tensors: {reason}.") from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise ValueError(f"Expected named tensors in {path}, got {type(content).__name__}.")
    size = sum(x.numel() * x.element_size() for x in content.values() if torch.is_tensor(x))
    if size > 2 * path.stat().st_size:  # they share numbers: copies of them might fill the memory
        raise ValueError(f"{path} has fewer numbers than the shapes of its tensors say: save copies of them.")
    return {name: _to_numpy(tensor, f"{path}: {name:.60}") for name, tensor in content.items()}


def check_archive(path: Path) -> None:
    """Raise a BadZipFile for a zip file whose entries are larger than it: torch.save compresses nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise zipfile.BadZipFile


def _to_numpy(tensor: Any, name: str) -> np.ndarray:
    try:
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # NumPy has no bfloat16
        return tensor.detach().resolve_conj().resolve_neg().numpy()
    except Exception as error:  # sparse, quantised, nested and meta tensors fail in various ways
        reason = str(error).partition("\n")[0]
        kind = type(tensor).__name__
        raise ValueError(f"{name}: expected a dense tensor, got {kind}: {reason:.200}") from None


def write_tensors(arrays: Arrays, path: FilePath) -> Path:
    """Write named arrays with torch.save, or as safetensors if the path ends so, which needs no torch.

    The file appears whole or not at all, and replaces an existing one.

    Raises:
        ValueError: torch is needed and not installed.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return save_arrays(arrays, path)
    torch, tensors = _import_torch(), to_backend(arrays, "torch", device="cpu")
    return write_file(path, lambda temporary: torch.save(tensors, temporary))


def _import_torch() -> Any:
    to_backend((), "torch")  # a ValueError where it is not installed
    import torch

    return torch
