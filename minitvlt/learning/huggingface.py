"""Checkpoints of the transformers library (4.40.2, the last release that holds TVLT).

A checkpoint there is a folder: `config.json`, and the arrays as `model.safetensors` or `pytorch_model.bin`.
"""

import dataclasses
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.backends import walk
from minitvlt.config import Config
from minitvlt.learning.checkpoints import build_params, check_sizes, load_arrays
from minitvlt.model.parameters import Params, outline

# Our names and theirs, in which those of the encoder begin with `tvlt.`; a name is matched by its beginning.
PARTS = {
    "encoder.cls": "tvlt.cls_embedding",
    "encoder.video_patches": "tvlt.pixel_embeddings.patch_embeddings.projection",
    "encoder.video_positions.space": "tvlt.pixel_embeddings.pos_embed_v",
    "encoder.video_positions.time": "tvlt.pixel_embeddings.temporal_embed",
    "encoder.video_positions.modality": "tvlt.pixel_embeddings.type_embed_v",
    "encoder.audio_patches": "tvlt.audio_embeddings.patch_embeddings.projection",
    "encoder.audio_positions.time": "tvlt.audio_embeddings.pos_embed_a",
    "encoder.audio_positions.frequency": "tvlt.audio_embeddings.freq_embed",
    "encoder.audio_positions.modality": "tvlt.audio_embeddings.type_embed_a",
    "encoder.blocks": "tvlt.encoder.layer",
    "encoder.norm": "tvlt.layernorm",
    "decoder.entry": "encoder_to_decoder",
    "decoder.video_mask_token": "pixel_mask_token",
    "decoder.video_positions.space": "decoder_pixel_pos_embed",
    "decoder.video_positions.time": "decoder_temporal_embed",
    "decoder.video_positions.modality": "decoder_pixel_type_embed",
    "decoder.audio_mask_token": "audio_mask_token",
    "decoder.audio_positions.time": "decoder_audio_pos_embed",
    "decoder.audio_positions.frequency": "decoder_freq_embed",
    "decoder.audio_positions.modality": "decoder_audio_type_embed",
    "decoder.blocks": "decoder.decoder_layers",
    "decoder.norm": "decoder.layernorm",
    "decoder.video_head": "pixel_mae_head.decoder",
    "decoder.audio_head": "audio_mae_head.decoder",
    "matching.pooler": "matching_head.pooler.dense",
    "matching.score": "matching_head.fc",
}
BLOCK_PARTS = {
    "attention_norm": "layernorm_before",
    "attention.qkv": "attention.attention.{}",
    "attention.output": "attention.output.dense",
    "mlp_norm": "layernorm_after",
    "mlp.expand": "intermediate.dense",
    "mlp.contract": "output.dense",
}
QKV = ("query", "key", "value")  # what stands for {} above: three arrays there, one here


def from_huggingface(folder: str | os.PathLike[str]) -> Params:
    """Read a TvltModel or a TvltForPreTraining that transformers saved, as float32 NumPy arrays.

    Of a classification model the encoder is read. Arrays that have no place here are named in a warning.

    Args:
        folder: holds `config.json`, and `model.safetensors` or `pytorch_model.bin` (torch reads that one).

    Raises:
        ValueError: no such folder, files that are missing or damaged, a setting that this model does not
            have, or arrays that do not fit the configuration.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"Expected a folder with config.json and model.safetensors, but there is no folder {folder}."
        )
    config = read_config(folder / "config.json")
    theirs = {_complete_name(name): array for name, array in _read_arrays(folder).items()}
    check_sizes(config, theirs, str(folder))
    like = outline(config, _has_part("decoder.", theirs), _has_part("matching.", theirs))
    arrays = {name: _take_array(name, blank.ndim, theirs, folder) for name, blank in walk(like)}
    if theirs:
        warnings.warn(f"{folder} holds more than is read: {', '.join(sorted(theirs))}.", stacklevel=2)
    return build_params(config, arrays, str(folder))


def read_config(path: Path) -> Config:
    """Read a `config.json` of transformers; settings that do not concern the model's numbers are passed over.

    Their `use_mean_pooling` pools nothing: it leaves out the last norm, and cls is read all the same.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"Expected {path} with the model's settings as JSON: {error}.") from None
    if not isinstance(values, dict) or values.get("model_type", "tvlt") != "tvlt":
        raise ValueError(
            f'Expected {path} with the settings of a model of the type "tvlt", got {values!r:.200}.'
        )
    known = {field.name for field in dataclasses.fields(Config)}
    ours = {name: value for name, value in values.items() if name in known}
    if values.get("use_mean_pooling", False):
        ours["final_norm"] = False
    if ours.get("audio_mask_type") == "patch_level":  # the spelling that transformers accepts
        ours["audio_mask_type"] = "patch-level"
    try:
        return Config.from_dict(ours)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def name_in_huggingface(name: str) -> list[str]:
    """Translate a name of ours; queries, keys and values are three arrays there and one here.

    >>> name_in_huggingface("decoder.blocks.3.mlp.expand.bias")
    ['decoder.decoder_layers.3.intermediate.dense.bias']
    """
    ours = next(part for part in PARTS if name == part or name.startswith(part + "."))
    rest, theirs = name[len(ours) + 1 :], PARTS[ours]
    if ours.endswith(".blocks"):
        index, _, rest = rest.partition(".")
        part, _, rest = rest.rpartition(".")
        theirs = f"{theirs}.{index}.{BLOCK_PARTS[part]}"
    theirs = f"{theirs}.{rest}" if rest else theirs
    return [theirs.replace("{}", kind) for kind in QKV] if "{}" in theirs else [theirs]


def _has_part(part: str, theirs: dict[str, np.ndarray]) -> bool:
    """Tell whether any of their arrays belongs to a part of ours."""
    beginnings = tuple(name for ours, name in PARTS.items() if ours.startswith(part))
    return any(name.startswith(beginnings) for name in theirs)


def _take_array(
    name: str, axes: int, theirs: dict[str, np.ndarray], folder: Path
) -> Float[np.ndarray, "..."]:
    """Take the array of our name out of theirs, and lay it out as ours."""
    names = name_in_huggingface(name)
    missing = [each for each in names if each not in theirs]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}, which its configuration asks for.")
    parts = [theirs.pop(each) for each in names]
    shapes = [part.shape for part in parts]
    if len(set(shapes)) > 1 or shapes[0] == ():
        raise ValueError(f"{folder}: expected {', '.join(names)} with axes, alike in shape, got {shapes}.")
    return change_layout(np.concatenate(parts, axis=0), axes)


def change_layout(array: Shaped[np.ndarray, "..."], axes: int) -> Float[np.ndarray, "..."]:
    """Bring one of their arrays to float32 and to the number of axes that it has here.

    Weights of a convolution (D, C, p, q) become rows in the order in which patches are laid out, (p, q, C);
    tokens and tables lose their leading axes of size 1.
    """
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused later, by name
            array = array.astype(np.float32, copy=False)
    if array.ndim == 4 and axes == 2:
        return array.transpose(0, 2, 3, 1).reshape(array.shape[0], -1)
    while array.ndim > axes and array.shape[0] == 1:
        array = array[0]
    return array


def _complete_name(name: str) -> str:
    """Give the encoder of a bare TvltModel the names that it has within the larger models."""
    is_bare = name.startswith(
        ("pixel_embeddings.", "audio_embeddings.", "cls_embedding", "encoder.", "layernorm.")
    )
    return f"tvlt.{name}" if is_bare else name


def _read_arrays(folder: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    if (folder / "model.safetensors").exists():
        return load_arrays(folder / "model.safetensors")[0]
    if (folder / "pytorch_model.bin").exists():
        return read_pickle(folder / "pytorch_model.bin")
    raise ValueError(f"Expected model.safetensors or pytorch_model.bin in {folder}, found neither.")


def read_pickle(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read named tensors that torch.save wrote, with everything but plain data refused: no code runs.

    Raises:
        ValueError: torch is not installed, or a file that is damaged or holds something else.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError(f'Reading {path} takes PyTorch: pip install "minitvlt[torch]".') from None
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): _to_host(tensor) for name, tensor in tensors.items()}
    except Exception as error:  # a damaged or hostile file can end in any exception of the unpickler
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is damaged, or holds more than tensors: {reason}") from None


def _to_host(tensor: Any) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # NumPy has no bfloat16
