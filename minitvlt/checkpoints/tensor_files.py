"""Named arrays out of files of other programs, whatever wrote them; no code in them ever runs."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.files import write_atomically

WRAPPERS = ("state_dict", "model")  # under which training programs put the tensors


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read a safetensors file, or one that torch.save wrote (`.bin`, `.ckpt`, `.pth`), as NumPy arrays.

    Raises:
        ValueError: no such file, a damaged one, one that holds more than plain data, tensors that are
            sparse or quantised or claim more numbers than they have, or torch is missing where it is needed.
    """
    path = Path(path)
    if not path.is_file() or is_safetensors(path):
        return load_arrays(path)[0]
    return {name: _to_host(tensor, f"{path}: {name}") for name, tensor in load_pickle(path).items()}


def is_safetensors(path: Path) -> bool:
    """Tell by the name or by the beginning, which is the length of a JSON object and then that object."""
    with open(path, "rb") as stream:
        return path.suffix == ".safetensors" or stream.read(9)[8:] == b"{"


def write_tensors(arrays: dict[str, Shaped[np.ndarray, "..."]], path: str | os.PathLike[str]) -> Path:
    """Write named arrays as torch.save does, or as safetensors where the path ends so: then without torch.

    The file appears at `path` whole or not at all; one that was there is replaced.

    Raises:
        ValueError: torch is missing where it is needed.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return save_arrays(arrays, path)
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError(
            f'Writing {path} takes PyTorch: pip install "minitvlt[torch]", or choose a name that ends in '
            ".safetensors."
        ) from None
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
    return write_atomically(path, lambda temporary: torch.save(tensors, temporary))


def load_pickle(path: Path) -> dict[str, Any]:
    """Read named tensors that torch.save wrote, with everything but plain data refused.

    Tensors may lie deeper, under `state_dict` or `model`, as training programs put them, beside optimizer
    states and the parsed arguments of a command line, which are passed over.

    Raises:
        ValueError: torch is not installed, or a file that is damaged or holds something else.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError(f'Reading {path} takes PyTorch: pip install "minitvlt[torch]".') from None
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # holds values and does nothing
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can end in any exception of the unpickler
        raise ValueError(f"{path} is damaged, or holds more than tensors: {explain(error)}.") from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds no named tensors, but {type(content).__name__}.")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{path} holds {name!r:.60}, which is {type(tensor).__name__} and no tensor.")
    return content


def explain(error: Exception) -> str:
    """Say in a few words why torch did not load a file. Its own advice, to trust the file, is not passed on.

    >>> explain(RuntimeError("Weights only load failed. … Unsupported global: GLOBAL os.system was not …"))
    'it asks for os.system, which is code; save its named tensors alone'
    """
    text = str(error)
    asked = re.search(r"GLOBAL ([\w.]+)", text)
    if asked:
        return f"it asks for {asked[1]}, which is code; save its named tensors alone"
    if "Weights only load failed" in text:
        return "its pickle does more than to describe tensors"
    return text.partition("\n")[0].partition(". ")[0].strip(".")[:200] or type(error).__name__


def _to_host(tensor: Any, name: str) -> np.ndarray:
    kinds = {"quantised": tensor.is_quantized, "nested": tensor.is_nested, "without values": tensor.is_meta}
    kind = next((kind for kind, is_so in kinds.items() if is_so), str(tensor.layout).removeprefix("torch."))
    if kind != "strided":
        raise ValueError(f"{name} is a tensor of an unusual kind ({kind}): save plain, dense ones.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{name} claims the shape {tuple(tensor.shape)}, but has fewer numbers.")
    if tensor.is_floating_point() and tensor.element_size() < 4:
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.detach().resolve_conj().resolve_neg().numpy()  # one may have been saved as a parameter
