"""Named arrays out of files of other programs, whatever wrote them; no code in them ever runs."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from minitvlt.learning.checkpoints import load_arrays


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read a safetensors file, or one that torch.save wrote (`.bin`, `.ckpt`, `.pth`), as NumPy arrays.

    Raises:
        ValueError: no such file, a damaged one, one that holds more than named tensors, or torch is missing
            where it is needed.
    """
    path = Path(path)
    if path.suffix == ".safetensors" or not path.is_file():
        return load_arrays(path)[0]
    return {name: _to_host(tensor) for name, tensor in load_pickle(path).items()}


def load_pickle(path: Path) -> dict[str, Any]:
    """Read named tensors that torch.save wrote, with everything but plain data refused.

    Tensors may lie deeper, under `state_dict` or `model`, as training programs put them.

    Raises:
        ValueError: torch is not installed, or a file that is damaged or holds something else.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError(f'Reading {path} takes PyTorch: pip install "minitvlt[torch]".') from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can end in any exception of the unpickler
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is damaged, or holds more than tensors: {reason}") from None
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds no named tensors, but {type(content).__name__}.")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{path} holds {name!r:.60}, which is {type(tensor).__name__} and no tensor.")
    return content


def _to_host(tensor: Any) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # NumPy has no bfloat16
