"""Where the paper's pre-training starts: a ViT that learnt images by masked autoencoding (He et al. 2021)."""

import os
from math import sqrt
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.learning.checkpoints import build_params, check_sizes
from minitvlt.learning.deduction import (
    Arrays,
    check_complete,
    check_settings,
    deduce_image_size,
    deduce_layers,
    get_shape,
    guess_heads,
    strip_prefix,
)
from minitvlt.learning.layouts import Layout, find_parts, lay_out_here, name_there
from minitvlt.learning.original import BLOCK_PARTS, HEAD_WIDTHS, warn_of_unused
from minitvlt.learning.tensor_files import read_tensors
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

    Encoder and decoder blocks, norms and the way into the decoder are taken as they are, and so is the video
    head, whose pixels run in the order used here; it goes on predicting normalised pixels until it learns
    otherwise. Row 0 of the file's position table belongs to cls and is added to it, once and for all; the other rows
    are the table of places. The projection of patches takes over the normalisation by ImageNet's mean and deviation:
    pixels in [-1, 1] give the tokens that normalised ones gave there.

    The one mask token starts both of ours: the decoder has learnt to read it as "hidden". (In the released
    code the names differ, a non-strict load skips it, and both start as noise.)

    Drawn anew, as the paper's code draws it: the projection of sound uniform after Xavier; tables of frames and of
    frequencies, the tokens that tell the modalities apart, head of sound and matching head normal with deviation
    `config.initializer_range`; tables of times zero. So is the decoder where the file has none. `read_mae`
    also returns the names of all that was drawn. Arrays of the file that have no place here are named in one warning.

    Args:
        path: a file that torch.save wrote, or a safetensors file with the same names, bare or behind a prefix.
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
    tensors = read_tensors(path)
    full_names = strip_prefix(tensors, ANCHOR, source)
    theirs = {bare: tensors[name] for bare, name in full_names.items()}
    config = _choose_config(theirs, config, settings, source)
    check_sizes(config, theirs, source)
    drawn = draw_as_released(config, seed)
    given = _take_given(theirs, drawn, source)
    params = build_params(config, drawn | given, source)
    warn_of_unused([full_names[name] for name in theirs], source)
    return params, [name for name in drawn if name not in given]


def _choose_config(theirs: Arrays, config: Config | None, settings: dict[str, Any], source: str) -> Config:
    has_decoder = "decoder" in find_parts(LAYOUT, theirs)
    if config is not None:
        if settings:
            raise ValueError(f"Give either a configuration or settings ({', '.join(settings)}), not both.")
        deduced = _deduce(theirs, has_decoder and config.task_mae, {"image_size": config.image_size}, source)
        check_settings(deduced, {name: getattr(config, name) for name in deduced}, source)
        return config
    deduced = _deduce(theirs, has_decoder, settings, source)
    heads = {}
    for beginning, head_width in HEAD_WIDTHS.items():
        field, width = f"{beginning}num_attention_heads", deduced.get(f"{beginning}hidden_size")
        if width is not None:
            heads[field] = guess_heads(width, head_width, field, settings, source)
    check_settings(deduced, settings, source)
    try:
        return Config.paper(**heads | deduced | settings)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _deduce(theirs: Arrays, has_decoder: bool, settings: dict[str, Any], source: str) -> dict[str, Any]:
    D, channels, *patch = get_shape(theirs, ANCHOR, 4, source)
    if channels != 3:
        raise ValueError(f"{source}: {ANCHOR} is for {channels} channels: expected red, green and blue.")
    rows = get_shape(theirs, "pos_embed", 3, source)[1] - 1
    size = deduce_image_size(rows, tuple(patch), settings, source)
    deduced = {
        "hidden_size": D,
        "image_patch_size": tuple(patch),
        "image_size": size,
        "num_image_channels": 3,
    }
    deduced |= {"qkv_bias": True, "final_norm": True, **deduce_layers(theirs, "", source)}
    if has_decoder:
        deduced["decoder_hidden_size"] = get_shape(theirs, "decoder_embed.weight", 2, source)[0]
        deduced |= deduce_layers(theirs, "decoder_", source)
    return deduced


def draw_as_released(config: Config, seed: int | np.random.Generator) -> dict[str, Float[np.ndarray, "..."]]:
    """Draw named parameters that start as in the released code, as far as they concern sound and time."""
    rng = np.random.default_rng(seed)
    drawn = flatten(init(config, rng))
    name = "encoder.audio_patches.weight"
    bound = sqrt(6 / sum(drawn[name].shape))  # Xavier: inputs and outputs count alike
    drawn[name] = rng.uniform(-bound, bound, drawn[name].shape).astype(np.float32)
    for name in ("encoder.audio_positions.time", "decoder.audio_positions.time"):
        if name in drawn:
            drawn[name] = np.zeros_like(drawn[name])
    return drawn


def _take_given(
    theirs: dict[str, np.ndarray], drawn: Arrays, source: str
) -> dict[str, Float[np.ndarray, "..."]]:
    """Take what a MAE can give out of `theirs`, laid out and named as here."""
    has_decoder = "decoder" in find_parts(LAYOUT, theirs)
    names = {
        name: name_there(LAYOUT, name)[0]
        for name in drawn
        if any(name == part or name.startswith(part + ".") for part in PARTS)
        and (has_decoder or not name.startswith("decoder."))
    }
    check_complete(names.values(), theirs, source)
    taken = {there: theirs.pop(there) for there in names.values()}
    _move_cls_position(taken, source)
    _fold_normalisation(taken, source)
    given = {name: lay_out_here(taken[there], drawn[name].ndim) for name, there in names.items()}
    if "decoder.video_mask_token" in given:
        given["decoder.audio_mask_token"] = given["decoder.video_mask_token"].copy()
    return given


def _move_cls_position(taken: dict[str, np.ndarray], source: str) -> None:
    """Add row 0 of the position table to cls, whose place it is; the decoder here has no cls."""
    D = get_shape(taken, "pos_embed", 3, source)[2]
    if taken["cls_token"].shape != (1, 1, D):
        raise ValueError(
            f"{source}: cls_token has the shape {taken['cls_token'].shape}: expected (1, 1, {D})."
        )
    taken["cls_token"] = taken["cls_token"] + taken["pos_embed"][:, :1]
    for name in {"pos_embed", "decoder_pos_embed"} & set(taken):
        get_shape(taken, name, 3, source)
        taken[name] = taken[name][:, 1:]


def _fold_normalisation(taken: dict[str, np.ndarray], source: str) -> None:
    """Let the projection of patches do to pixels x in [-1, 1] what was done to them before it.

    ((x + 1) / 2 - mean) / deviation = x / (2 deviation) + (1/2 - mean) / deviation
    """
    weight, bias = taken[ANCHOR].astype(np.float64), taken["patch_embed.proj.bias"].astype(np.float64)
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"{source}: patch_embed.proj.bias has the shape {bias.shape}: expected one axis.")
    shift = (0.5 - IMAGENET_MEAN) / IMAGENET_DEVIATION
    taken["patch_embed.proj.bias"] = bias + weight.sum((2, 3)) @ shift
    taken[ANCHOR] = weight / (2 * IMAGENET_DEVIATION)[:, None, None]
