"""Checkpoints of the transformers library (4.40.2, the last release that holds TVLT).

A checkpoint there is a folder: `config.json`, and the arrays as `model.safetensors` or `pytorch_model.bin`.
"""

import dataclasses
import json
import os
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from minitvlt.config import Config
from minitvlt.learning.checkpoints import build_params, check_sizes
from minitvlt.learning.layouts import Layout, find_parts, take_arrays
from minitvlt.learning.tensor_files import read_tensors
from minitvlt.model.parameters import Params, outline

# In names of theirs the encoder begins with `tvlt.`; a bare TvltModel has no such beginning.
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
    "classifier.expand": "classifier.0",
    "classifier.norm": "classifier.1",
    "classifier.output": "classifier.3",
}
BLOCK_PARTS = {
    "attention_norm": "layernorm_before",
    "attention.qkv": "attention.attention.{}",
    "attention.output": "attention.output.dense",
    "mlp_norm": "layernorm_after",
    "mlp.expand": "intermediate.dense",
    "mlp.contract": "output.dense",
}
LAYOUT = Layout(PARTS, BLOCK_PARTS, kinds=("query", "key", "value"))


def from_huggingface(folder: str | os.PathLike[str]) -> Params:
    """Read a TvltModel or a TvltForPreTraining that transformers saved, as float32 NumPy arrays.

    Arrays that have no place here are named in a warning.

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
    arrays = take_arrays(LAYOUT, outline(config, find_parts(LAYOUT, theirs)), theirs, str(folder))
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
    if isinstance(values.get("id2label"), dict):  # they keep the names of the labels, not their number
        ours["num_labels"] = len(values["id2label"])
    ours["classifier_norm_eps"] = values.get("layer_norm_eps", Config.layer_norm_eps)
    if values.get("use_mean_pooling", False):
        ours["final_norm"] = False
    if ours.get("audio_mask_type") == "patch_level":  # the spelling that transformers accepts
        ours["audio_mask_type"] = "patch-level"
    try:
        return Config.from_dict(ours)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _complete_name(name: str) -> str:
    """Give the encoder of a bare TvltModel the names that it has within the larger models."""
    is_bare = name.startswith(
        ("pixel_embeddings.", "audio_embeddings.", "cls_embedding", "encoder.", "layernorm.")
    )
    return f"tvlt.{name}" if is_bare else name


def _read_arrays(folder: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).exists():
            return read_tensors(folder / name)
    raise ValueError(f"Expected model.safetensors or pytorch_model.bin in {folder}, found neither.")
