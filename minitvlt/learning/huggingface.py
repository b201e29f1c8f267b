"""Checkpoints of the transformers library (4.40.2, the last release that holds TVLT).

A checkpoint there is a folder: `config.json`, and the arrays as `model.safetensors` or `pytorch_model.bin`.
"""

import dataclasses
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import Array, flatten
from minitvlt.config import Config
from minitvlt.learning.checkpoints import build_params, load_arrays
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
    "attention.qkv": "attention.attention.{}",  # query, key and value are arrays of their own there
    "attention.output": "attention.output.dense",
    "mlp_norm": "layernorm_after",
    "mlp.expand": "intermediate.dense",
    "mlp.contract": "output.dense",
}


def from_huggingface(folder: str | os.PathLike[str]) -> Params:
    """Read a TvltModel or a TvltForPreTraining that transformers saved, as float32 NumPy arrays.

    Of a classification model the encoder is read. Arrays that have no place here are named in a warning.

    Args:
        folder: holds `config.json`, and `model.safetensors` or `pytorch_model.bin` (which takes torch to read).

    Raises:
        ValueError: no such folder, files missing or damaged, a setting that this model does not have, or
            arrays that do not fit the configuration.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Expected a folder with config.json and model.safetensors, but {folder} is none.")
    config = read_config(folder / "config.json")
    theirs = {_complete_name(name): array for name, array in _read_arrays(folder).items()}
    arrays = {}
    for ours, shape in list_shapes(config, theirs).items():
        names = name_in_huggingface(ours)
        missing = [name for name in names if name not in theirs]
        if missing:
            raise ValueError(f"{folder} lacks {', '.join(missing)}, which its config.json asks for.")
        arrays[ours] = change_layout([theirs.pop(name) for name in names], len(shape))
    if theirs:
        warnings.warn(f"{folder}: not used are {', '.join(sorted(theirs))}.", stacklevel=2)
    return build_params(config, arrays, str(folder))
