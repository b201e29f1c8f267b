"""Checkpoints of the transformers library (4.40.2, the last release that holds TVLT).

A checkpoint there is a folder: `config.json`, and the arrays as `model.safetensors` or `pytorch_model.bin`.
"""

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save_file

from minitvlt.backends import flatten, to_backend
from minitvlt.checkpoints.huggingface_config import choose_class, describe_config, read_config
from minitvlt.checkpoints.huggingface_limits import check_sayable, list_differences
from minitvlt.checkpoints.names import Layout, give_arrays, take_params, to_single
from minitvlt.checkpoints.native import check_shapes
from minitvlt.checkpoints.preprocessor import (
    FILE_NAME,
    describe_preprocessor,
    list_what_preprocessors_miss,
    read_preprocessor,
)
from minitvlt.checkpoints.tensor_files import read_tensors
from minitvlt.files import write_atomically, write_folder, write_json
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

PARTS_BESIDE_ENCODER = ("decoder", "matching", "classifier", "ranking")
BARE_BEGINNINGS = ("pixel_embeddings.", "audio_embeddings.", "cls_embedding", "encoder.", "layernorm.")
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
FILE_SUFFIXES = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")
HUB_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")


def from_huggingface(folder_or_name: str | os.PathLike[str]) -> Params:
    """Read a TvltModel, TvltForPreTraining or TvltForAudioVisualClassification, as float32 NumPy arrays.

    Tables of positions keep their length, which `num_frames` of `config.json` says. The number of frames that
    `prepare_video` chooses, and all else about processing, comes from `preprocessor_config.json` if it is
    there. Arrays that have no place here are named in a warning, and so is processing that is done otherwise.

    Args:
        folder_or_name: a folder with `config.json`, and `model.safetensors` or `pytorch_model.bin` (torch
            reads that one); or a repository "owner/name" of the Hugging Face Hub, which is downloaded if
            there is no such folder and huggingface_hub is installed.

    Raises:
        ValueError: no such folder, files that are missing or damaged, a setting that this model does not
            have, arrays that do not fit the configuration, or a download that failed.
    """
    folder = find_folder(folder_or_name)
    config = read_config(folder / "config.json")
    path = _find_weights(folder)
    theirs = {_complete_name(name): array for name, array in read_tensors(path).items()}
    params = take_params(LAYOUT, config, theirs, str(path))
    if (folder / FILE_NAME).exists():
        params = replace(params, config=read_preprocessor(folder / FILE_NAME, config))
    return params


def find_folder(folder_or_name: str | os.PathLike[str]) -> Path:
    """Find the folder of a checkpoint; only what reads "owner/name" and is not here is downloaded."""
    folder = Path(folder_or_name)
    if folder.is_dir():
        return folder
    if folder.exists() or not is_hub_name(folder_or_name):
        state = "that is a file" if folder.exists() else f"there is no folder {folder}"
        raise ValueError(f"Expected a folder with config.json and model.safetensors, but {state}.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(
            f"Expected a folder with config.json and model.safetensors, but there is no folder {folder}. If "
            "it is a repository of the Hugging Face Hub: pip install huggingface_hub."
        ) from None
    try:
        for weights in WEIGHT_FILES:  # the second only if the first is not there: they hold the same
            found = snapshot_download(folder_or_name, allow_patterns=["config.json", FILE_NAME, weights])
            if (Path(found) / weights).exists():
                break
        return Path(found)
    except Exception as error:  # of the network, of the hub, of the disk: all mean the same here
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"There is no folder {folder}, and it could not be downloaded from the hub: {reason:.300}"
        ) from None


def is_hub_name(name: str | os.PathLike[str]) -> bool:
    """Tell whether a word can name a repository of the hub, and reads like no path to a file.

    >>> is_hub_name("somebody/tvlt-1.0"), is_hub_name("somebody/model.ckpt"), is_hub_name("./somebody/model")
    (True, False, False)
    """
    is_name = isinstance(name, str) and HUB_NAME.fullmatch(name) is not None
    return is_name and Path(name).suffix not in FILE_SUFFIXES


def _find_weights(folder: Path) -> Path:
    for name in WEIGHT_FILES:
        if (folder / name).exists():
            return folder / name
    raise ValueError(f"Expected {' or '.join(WEIGHT_FILES)} in {folder}, found neither.")


def _complete_name(name: str) -> str:
    """Give the encoder of a bare TvltModel the names that it has within the larger models."""
    return f"tvlt.{name}" if name.startswith(BARE_BEGINNINGS) else name


def to_huggingface(params: Params, folder: str | os.PathLike[str]) -> Path:
    """Write a folder that transformers 4.40.2 loads: settings, float32 weights, settings of the processors.

    With a classifier it is a TvltForAudioVisualClassification; with a decoder or a matching head a
    TvltForPreTraining, with the tasks of the parts that there are; else a TvltModel. Settings that
    transformers does not know are written under our names, come back with `from_huggingface`, and are named
    in a warning where transformers will do otherwise than we do. `audio_mask_type="speech-span"` has no
    counterpart and becomes "patch_level", as it spells it.

    Args:
        params: the model, on any backend.
        folder: a new or an empty one; it appears whole or not at all.

    Returns:
        The folder.

    Raises:
        ValueError: a folder that holds something; parameters that no class of transformers has, that do not
            fit their configuration, or that are not finite in float32.
    """
    params = to_backend(params, "numpy")
    present = [part for part in PARTS_BESIDE_ENCODER if getattr(params, part) is not None]
    check_sayable(params)
    check_shapes(flatten(params), outline(params.config, present), "The tree of parameters")
    arrays = _give_arrays(params)
    settings, processing = describe_config(params), describe_preprocessor(params.config)

    def write(new: Path) -> None:
        write_json(settings, new / "config.json")
        write_json(processing, new / FILE_NAME)
        # safetensors makes files that only their owner can read; write_atomically does not
        write_atomically(new / WEIGHT_FILES[0], lambda path: save_file(arrays, path, {"format": "pt"}))

    target = write_folder(folder, write)
    differences = list_differences(params) + list_what_preprocessors_miss(params.config)
    if differences:
        text = "; ".join(differences)
        warnings.warn(f"transformers will not do all with {folder} as it is done here: {text}.", stacklevel=2)
    return target


def _give_arrays(params: Params) -> dict[str, Float[np.ndarray, "..."]]:
    """Lay out the arrays under the names that the class of transformers has, in float32."""
    prefix = "tvlt." if choose_class(params) == "TvltModel" else ""
    named = {name.removeprefix(prefix): array for name, array in give_arrays(LAYOUT, params).items()}
    return {name: np.ascontiguousarray(to_single(array, name)) for name, array in named.items()}
