"""Checkpoints: one safetensors file with the arrays of a tree under dotted names, and its configuration.

The format holds numbers and text, never code: reading a file from anywhere is safe. It works without torch.
"""

import json
import os
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

METADATA_KEY = "minitvlt"  # one entry for everything: the format keeps several in no fixed order

PACKAGED = Path(__file__).parents[1] / "checkpoints"  # models that come with the package, each under its name

# Tables that serve clips of any length, so their own length is not the configuration's business.
OF_ANY_LENGTH = ("positions.time", "positions.frequency")


def save(
    tree: Params,
    path: str | os.PathLike[str],
    metadata: dict[str, Any] | None = None,
    dtype: str | None = None,
) -> Path:
    """Write parameters, or gradients of them, and their configuration to one file, on any backend.

    The file appears whole or not at all, and replaces one that was there.

    Args:
        tree: what `init`, `load` or `value_and_grad` return.
        path: usually with the suffix `.safetensors`.
        metadata: anything else that JSON can hold; `load_arrays` gives it back.
        dtype: the precision in the file; "float16" halves it. None keeps that of the arrays.

    Returns:
        The path.
    """
    if not isinstance(tree, Params):
        raise ValueError(f"Expected parameters or gradients of them, got {type(tree).__name__}.")
    return save_arrays(
        flatten(to_backend(tree, "numpy", dtype=dtype)),
        path,
        {**(metadata or {}), "config": tree.config.to_dict()},
    )


def load(path: str | os.PathLike[str]) -> Params:
    """Read what `save` wrote, as NumPy arrays of the precision that they had.

    Decoder and matching head are there if the file has them. Position tables of another length than the
    configuration's are kept as they are.

    Args:
        path: of the file, or the name of a model that comes with the package, given in float32:
            "shapes-small" has learnt the embedded world, with the configuration `Config.tiny()`.

    Raises:
        ValueError: no such file, a damaged one, one without a configuration, or arrays that do not fit it:
            missing, unknown, of another shape, not floating-point, or not finite. The message names them.
    """
    packaged = PACKAGED / f"{Path(path).name}.safetensors"
    if os.fspath(path) == packaged.stem and packaged.is_file() and not Path(path).exists():
        return to_backend(load(packaged), "numpy", dtype="float32")
    arrays, metadata = load_arrays(path)
    if not isinstance(metadata.get("config"), dict):
        raise ValueError(
            f"{path} holds no configuration of minitvlt: expected a file that minitvlt.save wrote."
        )
    try:
        config = Config.from_dict(metadata["config"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return build_params(config, arrays, str(path))


def build_params(config: Config, arrays: Mapping[str, Shaped[np.ndarray, "..."]], source: str) -> Params:
    """Make a tree of named NumPy arrays, which may lack every part but the encoder as a whole.

    Args:
        config: says which arrays there must be, and their shapes.
        arrays: under the names that `flatten` gives.
        source: where they come from, for error messages.

    Raises:
        ValueError: arrays that do not fit the configuration, see `load`.
    """
    like = lay_out(config, {name.partition(".")[0] for name in arrays}, arrays, source)
    check_shapes(arrays, like, source)
    for name, array in arrays.items():
        check_numbers(array, f"{source}: {name}")
    return unflatten(like, dict(arrays))


def lay_out(
    config: Config, parts: Collection[str], arrays: Mapping[str, Shaped[Array, "..."]], source: str
) -> Params:
    """Lay out the tree of a configuration, as `outline` does, unless these arrays are too few to fill it.

    Raises:
        ValueError: a configuration that no memory holds, or far more layers than numbers.
    """
    widths = [(config.num_hidden_layers, config.hidden_size, config.intermediate_size)]
    if "decoder" in parts:
        decoder = (config.decoder_num_hidden_layers, config.decoder_hidden_size)
        widths.append((*decoder, config.decoder_intermediate_size))
    numbers = sum(array.size for array in arrays.values())
    for layers, *each in widths:
        if layers * sum(each) > numbers:
            raise ValueError(
                f"{source} holds {numbers} numbers, too few for {layers} layers of the widths "
                f"{each[0]} and {each[1]}, as its configuration says."
            )
    try:
        return outline(config, parts)
    except (MemoryError, OverflowError, ValueError) as error:
        raise ValueError(f"{source} cannot hold what its configuration asks for: {error}.") from None


def check_shapes(arrays: Mapping[str, Array], like: Params, source: str) -> None:
    """Compare names and shapes of arrays with those of a tree; some tables may have any number of rows."""
    expected = flatten(like)
    missing = [name for name in expected if name not in arrays]
    unknown = [name for name in arrays if name not in expected]
    if missing or unknown:
        found = [
            f"{kind} {_shorten(names)}" for kind, names in (("lacks", missing), ("has", unknown)) if names
        ]
        raise ValueError(f"{source} does not fit its configuration: {', and, unexpectedly, '.join(found)}.")
    for name, blank in expected.items():
        rows = 0 if name.endswith(OF_ANY_LENGTH) else None
        check_shape(arrays[name], blank.shape, rows, f"{source}: {name}")


def check_shape(array: Array, wanted: tuple[int, ...], rows: int | None, name: str) -> None:
    """Compare the shape of an array with the one wanted, where the axis `rows` may have any length but 0."""
    shape = tuple(array.shape)
    if rows is not None and len(shape) == len(wanted) and shape[rows] > 0:
        wanted = (*wanted[:rows], shape[rows], *wanted[rows + 1 :])
    if shape != wanted:
        raise ValueError(f"{name} has the shape {shape}, but its configuration says {wanted}.")


def check_numbers(array: Array, name: str) -> None:
    """Raise a ValueError unless an array holds finite floating-point numbers."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} is {array.dtype}: expected floating-point numbers.")
    count = array.size - int(np.isfinite(array).sum())
    if count:
        raise ValueError(f"{name}: {count} of {array.size} values are NaN or infinite.")


def _shorten(names: list[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def save_arrays(
    arrays: dict[str, Shaped[np.ndarray, "..."]],
    path: str | os.PathLike[str],
    metadata: dict[str, Any] | None = None,
) -> Path:
    """Write named arrays, and beside them anything that JSON can hold; the same content gives the same bytes.

    The file appears at `path` whole or not at all; one that was there is replaced.
    """
    text = json.dumps(metadata or {}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    return write_atomically(path, lambda temporary: save_file(contiguous, temporary, {METADATA_KEY: text}))


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Shaped[np.ndarray, "..."]], dict[str, Any]]:
    """Read what `save_arrays` wrote: named arrays, and the metadata, empty in files of other programs.

    Raises:
        ValueError: no such file, a folder, or a file that is damaged or of another format.
    """
    path = Path(path)
    if not path.is_file():
        state = "a folder" if path.is_dir() else "not there"
        raise ValueError(f"Expected a safetensors file, but {path} is {state}.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}.") from None
    except (TypeError, AttributeError) as error:  # of safetensors, where NumPy lacks a dtype such as bfloat16
        raise ValueError(
            f"{path} holds numbers that NumPy cannot read: {error}. Save it in float32."
        ) from None
    if not isinstance(metadata, dict):
        raise ValueError(f"The metadata of {path} are damaged: {metadata!r:.40} instead of named values.")
    return arrays, metadata
