"""Where the paper's pre-training starts: a ViT that learnt images by masked autoencoding (He et al. 2021)."""

import os
from math import sqrt
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import flatten, unflatten
from minitvlt.checkpoints.deduction import (
    Arrays,
    check_settings,
    deduce_blocks,
    deduce_image_size,
    get_shape,
    make_config,
    strip_prefix,
)
from minitvlt.checkpoints.names import Layout, begins_with, find_parts, take_arrays, warn_of_unused
from minitvlt.checkpoints.native import lay_out
from minitvlt.checkpoints.released import BLOCK_PARTS
from minitvlt.checkpoints.tensor_files import read_tensors
from minitvlt.config import Config
from minitvlt.model.parameters import Params, init

ANCHOR = "patch_embed.proj.weight"
PARTS = {
    "encoder.cls": "cls_token",
    "encoder.video_patches": "patch_embed.proj",
    "encoder.video_positions.space": "pos_embed",
    "encoder.blocks": "blocks",
    "encoder.norm": "norm",
    "decoder.entry": "decoder_embed",
    "decoder.video_mask_token": "mask_token",
    "decoder.video_positions.space": "decoder_pos_embed",
    "decoder.blocks": "decoder_blocks",
    "decoder.norm": "decoder_norm",
    "decoder.video_head": "decoder_pred",
}
LAYOUT = Layout(PARTS, BLOCK_PARTS)

# Of red, green and blue in [0, 1], over ImageNet: what the inputs of the MAE were normalised by.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225])


def from_mae(
    path: str | os.PathLike[str],
    config: Config | None = None,
    seed: int | np.random.Generator = 0,
    **settings: Any,
) -> Params:
    """Start from a ViT that was pre-trained as a masked autoencoder on images: float32 NumPy arrays.

    Encoder and decoder blocks, norms, the token of hidden patches and the way into the decoder are taken as
    they are, and so is the video head, whose pixels run in the order used here; it goes on predicting
    normalised pixels until it learns otherwise. Row 0 of the file's position table belongs to cls and is
    added to it, once and for all; the other rows are the table of places. The projection of patches takes
    over the normalisation by ImageNet's mean and deviation: pixels in [-1, 1] give the same tokens.

    Drawn anew, as the paper's code draws it: the projection of sound (weights uniform after Xavier, biases
    uniform within 1 / sqrt(inputs)); tables of frames and of frequencies, the tokens that tell the modalities
    apart, that of hidden sound, the head of sound and the matching head normal with deviation
    `config.initializer_range`; tables of times zero. So is the decoder where the file has none. `read_mae`
    also returns the names of all that was drawn. Arrays that have no place here are named in one warning.

    Args:
        path: a file that torch.save wrote, or a safetensors file, with names that are bare or have a prefix.
        config: must agree with the file; None is `Config.paper` with the sizes that the file says.
        seed: a whole number, or the generator to draw from.
        settings: fields for `Config.paper` that shapes cannot say, such as `num_attention_heads`.

    Raises:
        ValueError: no such file, one that is damaged or of another program, arrays that are missing or do not
            fit, images without three channels.
    """
    return read_mae(path, config, seed, **settings)[0]


def read_mae(
    path: str | os.PathLike[str],
    config: Config | None = None,
    seed: int | np.random.Generator = 0,
    **settings: Any,
) -> tuple[Params, list[str]]:
    """Do what `from_mae` does, and also return the names of the parameters that were drawn anew."""
    source = str(path)
    theirs = strip_prefix(read_tensors(path), ANCHOR, source)
    config = _choose_config(theirs, config, settings, source)
    given = _take_given(config, theirs, source)
    warn_of_unused(theirs, source)
    rng = np.random.default_rng(seed)
    start = init(config, rng)
    drawn = flatten(start) | draw_sound_as_released(start, rng)
    return unflatten(start, drawn | given), [name for name in drawn if name not in given]


def _choose_config(theirs: Arrays, config: Config | None, settings: dict[str, Any], source: str) -> Config:
    if config is not None and settings:
        raise ValueError(f"Give either a configuration or settings ({', '.join(settings)}), not both.")
    said = settings if config is None else config.to_dict()
    _, channels, *patch = get_shape(theirs, ANCHOR, 4, source)
    if channels != 3:
        raise ValueError(f"{source}: {ANCHOR} is for {channels} channels: expected red, green and blue.")
    rows = get_shape(theirs, "pos_embed", 3, source)[1] - 1  # the first row is that of cls
    deduced = {
        "num_image_channels": 3,
        "image_patch_size": tuple(patch),
        "image_size": deduce_image_size(rows, tuple(patch), said, source),
        **deduce_blocks(theirs, source, _has_decoder(theirs) and said.get("task_mae", True)),
    }
    if config is None:
        return make_config(Config.paper, {}, deduced, settings, source)
    check_settings(deduced, said, source)
    return config


def _has_decoder(theirs: Arrays) -> bool:
    return "decoder" in find_parts(LAYOUT, theirs)


def _take_given(config: Config, theirs: Arrays, source: str) -> dict[str, Float[np.ndarray, "..."]]:
    """Take out of `theirs` what it can give to a model of this configuration, laid out and named as here."""
    parts = ["decoder"] if _has_decoder(theirs) and config.task_mae else []
    blanks = flatten(lay_out(config, parts, theirs, source))
    blanks = {name: blank for name, blank in blanks.items() if any(begins_with(name, part) for part in PARTS)}
    tables = [name for name in blanks if name.endswith("positions.space")]
    for name in tables:
        rows, D = blanks[name].shape
        blanks[name] = np.broadcast_to(blanks[name][:1], (rows + 1, D))
    given = take_arrays(LAYOUT, config, blanks, theirs, source)
    given["encoder.cls"] = given["encoder.cls"] + given["encoder.video_positions.space"][0]
    patches = [f"encoder.video_patches.{name}" for name in ("weight", "bias")]
    given |= dict(zip(patches, fold_normalisation(*(given[name] for name in patches)), strict=True))
    return given | {name: given[name][1:] for name in tables}


def fold_normalisation(
    weight: Float[np.ndarray, "D values"], bias: Float[np.ndarray, "D"]
) -> tuple[Float[np.ndarray, "D values"], Float[np.ndarray, "D"]]:
    """Let the projection of patches do to pixels x in [-1, 1] what was done to them before it.

    ((x + 1) / 2 - mean) / deviation = x / (2 deviation) + (1/2 - mean) / deviation
    """
    D = weight.shape[0]
    by_channel = weight.reshape(D, -1, 3).astype(np.float64)
    scaled = (by_channel / (2 * IMAGENET_DEVIATION)).reshape(D, -1)
    shift = by_channel.sum(axis=1) @ ((0.5 - IMAGENET_MEAN) / IMAGENET_DEVIATION)
    return scaled.astype(np.float32), (bias + shift).astype(np.float32)


def draw_sound_as_released(params: Params, rng: np.random.Generator) -> dict[str, Float[np.ndarray, "..."]]:
    """Draw the parameters that start in another way in the released code than here, all of them for sound."""
    weight = params.encoder.audio_patches.weight
    D, inputs = weight.shape
    xavier = sqrt(6 / (D + inputs))
    drawn = {
        "encoder.audio_patches.weight": rng.uniform(-xavier, xavier, (D, inputs)).astype(np.float32),
        "encoder.audio_patches.bias": rng.uniform(-1, 1, D).astype(np.float32) / np.float32(sqrt(inputs)),
        "encoder.audio_positions.time": np.zeros_like(params.encoder.audio_positions.time),
    }
    if params.decoder is not None:
        drawn["decoder.audio_positions.time"] = np.zeros_like(params.decoder.audio_positions.time)
    return drawn
