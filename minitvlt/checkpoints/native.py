"""Files of named arrays, and the checkpoints of minitvlt: safetensors files that also hold a configuration.

No code in a file is ever executed: safetensors hold numbers and text, and pickles of torch are read with
`weights_only=True`.
"""

import argparse
import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from minitvlt.backends import Array, flatten, to_backend, unflatten
from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.model.parameters import Params, outline

Arrays = dict[str, Shaped[np.ndarray, "..."]]
Shape = tuple[int | None, ...]  # None: an axis of any length but 0

METADATA_KEY = "minitvlt"  # one entry for everything: the format keeps several in no fixed order
PACKAGED = Path(__file__).parent  # models that are installed with the package
WRAPPERS = ("state_dict", "model")  # keys under which training programs store the tensors

# Position tables may have any number of rows: shorter clips use the first rows, longer ones interpolate.
OF_ANY_LENGTH = ("positions.time", "positions.frequency")


def save(
    tree: Params,
    path: str | os.PathLike[str],
    metadata: dict[str, Any] | None = None,
    dtype: str | None = None,
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


def load(path: str | os.PathLike[str]) -> Params:
    """Read what `save` wrote, as NumPy arrays of the precision in the file.

    The decoder and the heads are present if the file has them. Position tables keep their number of rows,
    also where the configuration says another one.

    Args:
        path: a file, or the name of a model that is installed with the package, which is returned in float32:
            "shapes-small" was trained on `ShapesWorld` with the configuration `Config.tiny()`.

    Raises:
        ValueError: no such file, a damaged one, one without a configuration, or arrays that do not fit it:
            missing, unknown, of another shape, not floating-point, or not finite. The message names them.
    """
    packaged = PACKAGED / f"{Path(path).name}.safetensors"
    if os.fspath(path) == packaged.stem and packaged.is_file() and not Path(path).exists():
        return to_backend(load(packaged), "numpy", dtype="float32")
    arrays, metadata = load_arrays(path)
    if not isinstance(metadata.get("config"), dict):
        raise ValueError(f"{path} has no configuration of minitvlt: expected a file that mt.save wrote.")
    try:
        config = Config.from_dict(metadata["config"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    like = outline_for(arrays, config, {name.partition(".")[0] for name in arrays}, str(path))
    check_arrays(arrays, list_shapes(like), str(path))
    check_known(arrays, like, str(path))
    return unflatten(like, arrays)


def outline_for(
    arrays: Mapping[str, Shaped[Array, "..."]], config: Config, parts: Collection[str], source: str
) -> Params:
    """Call `outline`, unless the arrays that shall fill the tree are far too few.

    Raises:
        ValueError: a configuration that would not fit into memory, or that has more layers than numbers.
    """
    numbers = sum(array.size for array in arrays.values())
    for prefix in ("", "decoder_") if "decoder" in parts else ("",):
        layers, D = getattr(config, f"{prefix}num_hidden_layers"), getattr(config, f"{prefix}hidden_size")
        if layers * D > numbers:
            raise ValueError(f"{source} holds {numbers} numbers, too few for {layers} layers of width {D}.")
    try:
        return outline(config, parts)
    except (MemoryError, OverflowError, ValueError) as error:
        raise ValueError(f"{source}: no memory can hold what its configuration says: {error}.") from None


def list_shapes(params: Params) -> dict[str, Shape]:
    """Return the shape of each named array that a file must have to be read into `params`."""
    return {
        name: (None, *array.shape[1:]) if name.endswith(OF_ANY_LENGTH) else array.shape
        for name, array in flatten(params).items()
    }


def check_arrays(arrays: Mapping[str, Array], shapes: Mapping[str, Shape], source: str) -> None:
    """Raise a ValueError unless all of `shapes` are present with that shape and hold finite floats."""
    missing = [name for name in shapes if name not in arrays]
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing):.1000}.")
    for name, wanted in shapes.items():
        shape = tuple(arrays[name].shape)
        is_met = len(shape) == len(wanted) and all(n in (m, None) for n, m in zip(wanted, shape, strict=True))
        if not is_met or 0 in shape:
            expected = str(wanted).replace("None", "any")
            raise ValueError(
                f"{source}: {name} has the shape {shape}, but its configuration says {expected}."
            )
        check_numbers(arrays[name], f"{source}: {name}")


def check_known(arrays: Mapping[str, Array], like: Params, source: str) -> None:
    """Raise a ValueError if there are arrays that a tree of the same configuration does not have."""
    unknown = [name for name in arrays if name not in flatten(like)]
    if unknown:
        raise ValueError(f"{source} has arrays that its configuration does not: {', '.join(unknown):.500}.")


def check_numbers(array: Array, name: str) -> None:
    """Raise a ValueError unless an array holds finite floating-point numbers."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} is {array.dtype}: expected floating-point numbers.")
    count = array.size - int(np.isfinite(array).sum())
    if count:
        raise ValueError(f"{name}: {count} of {array.size} values are NaN or infinite.")


def save_arrays(arrays: Arrays, path: str | os.PathLike[str], metadata: dict[str, Any] | None = None) -> Path:
    """Write named arrays as safetensors, and with them anything that JSON can hold.

    The file appears whole or not at all, and replaces an existing one. Equal content gives equal bytes.
    """
    text = json.dumps(metadata or {}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    return write_atomically(path, lambda temporary: save_file(contiguous, temporary, {METADATA_KEY: text}))


def load_arrays(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read what `save_arrays` wrote: named arrays, and the metadata, empty in files of other programs.

    Raises:
        ValueError: no such file, a folder, or a file that is damaged or of another format.
    """
    path = Path(path)
    if not path.is_file():
        state = "a folder" if path.is_dir() else "not there"
        raise ValueError(f"Expected a file of named arrays, but {path} is {state}.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}.") from None
    except (TypeError, AttributeError) as error:  # where NumPy lacks a dtype such as bfloat16
        raise ValueError(f"NumPy cannot read the numbers in {path}: {error}. Save it in float32.") from None
    if not isinstance(metadata, dict):
        raise ValueError(f"The metadata of {path} are damaged: expected named values, got {metadata!r:.40}.")
    return arrays, metadata


def is_safetensors(path: Path) -> bool:
    """Tell by the suffix, or by the first bytes: the length of a JSON object, then that object."""
    with open(path, "rb") as stream:
        return path.suffix == ".safetensors" or stream.read(9)[8:] == b"{"


def read_tensors(path: str | os.PathLike[str]) -> Arrays:
    """Read a safetensors file, or one that torch.save wrote (`.bin`, `.ckpt`, `.pth`), as NumPy arrays.

    In the latter, the tensors may stand under `state_dict` or `model`, where training programs store them;
    optimizer states and parsed command lines beside them are ignored.

    Raises:
        ValueError: no such file, a damaged one, one that holds more than plain data, tensors that are not
            dense or have fewer numbers than their shape, or torch is needed and not installed.
    """
    path = Path(path)
    if not path.is_file() or is_safetensors(path):
        return load_arrays(path)[0]
    torch = _import_torch()
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # a plain container of values
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can end in any exception of the unpickler
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = (
            f"it asks for {code[1]}, which is code: save its tensors alone" if code else type(error).__name__
        )
        raise ValueError(f"{path} is damaged, or holds more than tensors: {reason}.") from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"Expected named tensors in {path}, got {type(content).__name__}.")
    return {str(name): _to_numpy(tensor, f"{path}: {name!s:.60}") for name, tensor in content.items()}


def _to_numpy(tensor: Any, name: str) -> np.ndarray:
    try:
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"it has fewer numbers than its shape {tuple(tensor.shape)}")
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # NumPy has no bfloat16
        return tensor.detach().resolve_conj().resolve_neg().numpy()
    except Exception as error:  # sparse, quantised, nested and meta tensors fail in various ways
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name}: expected a dense tensor, got {type(tensor).__name__}: {reason:.200}"
        ) from None


def write_tensors(arrays: Arrays, path: str | os.PathLike[str]) -> Path:
    """Write named arrays with torch.save, or as safetensors if the path ends so, which needs no torch.

    The file appears whole or not at all, and replaces an existing one.

    Raises:
        ValueError: torch is needed and not installed.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return save_arrays(arrays, path)
    torch, tensors = _import_torch(), to_backend(arrays, "torch", device="cpu")
    return write_atomically(path, lambda temporary: torch.save(tensors, temporary))


def _import_torch() -> Any:
    to_backend((), "torch")  # a ValueError where it is not installed
    import torch

    return torch
