"""The names and layouts of the parameters in other programs: one table, read in both directions.

Other programs store patch projections as convolutions (D, C, p, q); here they are rows of a linear map in the
order of the values of a patch, (p, q, C). They store tokens as (1, 1, D) and position tables as (1, rows, D);
here both have no axes of size 1.
"""

import warnings
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.backends import flatten, unflatten, walk
from minitvlt.checkpoints.checks import OF_ANY_LENGTH, Arrays, Shape, check_arrays, check_numbers, outline_for
from minitvlt.config import Config
from minitvlt.model.parameters import Params

# Our name, or its beginning: the name in transformers, in the released code, in ViT MAE pre-training.
NAMES: dict[str, tuple[str | None, ...]] = {
    "encoder.cls": ("tvlt.cls_embedding", "cls_token", "cls_token"),
    "encoder.video_patches": (
        "tvlt.pixel_embeddings.patch_embeddings.projection",
        "patch_embed_v.proj",
        "patch_embed.proj",
    ),
    "encoder.video_positions.space": ("tvlt.pixel_embeddings.pos_embed_v", "pos_embed_v", "pos_embed"),
    "encoder.video_positions.time": ("tvlt.pixel_embeddings.temporal_embed", "temporal_embed"),
    "encoder.video_positions.modality": ("tvlt.pixel_embeddings.type_embed_v", "type_embed_v"),
    "encoder.audio_patches": ("tvlt.audio_embeddings.patch_embeddings.projection", "patch_embed_a.proj"),
    "encoder.audio_positions.time": ("tvlt.audio_embeddings.pos_embed_a", "pos_embed_a"),
    "encoder.audio_positions.frequency": ("tvlt.audio_embeddings.freq_embed", "freq_embed"),
    "encoder.audio_positions.modality": ("tvlt.audio_embeddings.type_embed_a", "type_embed_a"),
    "encoder.blocks": ("tvlt.encoder.layer", "blocks", "blocks"),
    "encoder.norm": ("tvlt.layernorm", "norm", "norm"),
    "decoder.entry": ("encoder_to_decoder", "decoder_embed", "decoder_embed"),
    "decoder.video_mask_token": ("pixel_mask_token", "mask_token_v", "mask_token"),
    "decoder.video_positions.space": ("decoder_pixel_pos_embed", "decoder_pos_embed_v", "decoder_pos_embed"),
    "decoder.video_positions.time": ("decoder_temporal_embed", "decoder_temporal_embed"),
    "decoder.video_positions.modality": ("decoder_pixel_type_embed", "decoder_type_embed_v"),
    "decoder.audio_mask_token": ("audio_mask_token", "mask_token_a"),
    "decoder.audio_positions.time": ("decoder_audio_pos_embed", "decoder_pos_embed_a"),
    "decoder.audio_positions.frequency": ("decoder_freq_embed", "decoder_freq_embed"),
    "decoder.audio_positions.modality": ("decoder_audio_type_embed", "decoder_type_embed_a"),
    "decoder.blocks": ("decoder.decoder_layers", "decoder_blocks", "decoder_blocks"),
    "decoder.norm": ("decoder.layernorm", "decoder_norm", "decoder_norm"),
    "decoder.video_head": ("pixel_mae_head.decoder", "mae_score_video.decoder", "decoder_pred"),
    "decoder.audio_head": ("audio_mae_head.decoder", "mae_score_audio.decoder"),
    "matching.pooler": ("matching_head.pooler.dense", "matching_score.pooler.dense"),
    "matching.score": ("matching_head.fc", "matching_score.fc"),
    "ranking.pooler": (None, "rank_output.pooler.dense"),
    "ranking.score": (None, "rank_output.fc"),
    "classifier.pooler": (None, "classifier.0.dense"),
    "classifier.expand": ("classifier.0", "classifier.1"),
    "classifier.norm": ("classifier.1", "classifier.2"),
    "classifier.output": ("classifier.3", "classifier.4"),
}
# The same within a block, where MAE has the names of the released code. Transformers stores queries, keys and
# values in three arrays, which are one here: `{}` is "query", "key" or "value".
BLOCK_NAMES = {
    "attention_norm": ("layernorm_before", "norm1"),
    "attention.qkv": ("attention.attention.{}", "attn.qkv"),
    "attention.output": ("attention.output.dense", "attn.proj"),
    "mlp_norm": ("layernorm_after", "norm2"),
    "mlp.expand": ("intermediate.dense", "mlp.fc1"),
    "mlp.contract": ("output.dense", "mlp.fc2"),
}


class Layout(NamedTuple):
    """The names of one other program: from our beginning of a name to theirs."""

    names: Mapping[str, str]
    block_names: Mapping[str, str]  # the same within a block

    @property
    def anchor(self) -> str:
        """The name of an array that all checkpoints of this program have, and no other program's."""
        return self.names["encoder.video_patches"] + ".weight"


TRANSFORMERS, RELEASED, MAE = (
    Layout(
        {ours: row[column] for ours, row in NAMES.items() if row[column:] and row[column]},
        {ours: row[min(column, 1)] for ours, row in BLOCK_NAMES.items()},
    )
    for column in range(3)
)
VIT_MAE = Layout(
    {
        **{ours: f"decoder.{theirs}" for ours, theirs in MAE.names.items()},  # so it is in the decoder
        "decoder.blocks": "decoder.decoder_layers",
        "encoder.cls": "embeddings.cls_token",
        "encoder.video_patches": "embeddings.patch_embeddings.projection",
        "encoder.video_positions.space": "embeddings.position_embeddings",
        "encoder.blocks": "encoder.layer",
        "encoder.norm": "layernorm",
    },
    TRANSFORMERS.block_names,
)  # the ViTMAE of transformers, whose encoder may have the prefix `vit.`

# Settings that other programs do not have, and the part of a model that each of them concerns.
OURS_ALONE = {
    "token_order": "encoder",
    "joint_decoder": "decoder",
    "cls_in_autoencoding": "decoder",
    "mae_weight": "decoder",
    "matching_weight": "matching",
    "pooling": "classifier",
    "classifier_pooler": "classifier",
    "classifier_norm_eps": "classifier",
}
# Settings without which the arrays stand for another function.
ARCHITECTURE = ("qkv_bias", "final_norm", "layer_norm_eps", "joint_decoder")
ARCHITECTURE += ("pooling", "classifier_pooler", "classifier_norm_eps")


def check_exportable(params: Params, back: Config, program: str) -> list[str]:
    """Compare a model's configuration with the one that is read back from what another program can store.

    Returns:
        What differs, in words, for settings that concern a part that the model has.

    Raises:
        ValueError: the other program would compute something else with the same arrays.
    """
    values, there = params.config.to_dict(), back.to_dict()
    lost = {
        name: f"{name}={there[name]!r} there, {value!r} here"
        for name, value in values.items()
        if value != there[name] and getattr(params, OURS_ALONE.get(name, "encoder")) is not None
    }
    reasons = [text for name, text in lost.items() if name in ARCHITECTURE]
    if reasons:
        raise ValueError(f"{program} cannot compute this model: {'; '.join(reasons)}.")
    return list(lost.values())


def translate_name(layout: Layout, name: str) -> list[str]:
    """Translate a name of ours; several names where other programs keep several arrays for one here."""
    ours = next(ours for ours in layout.names if begins_with(name, ours))
    rest, theirs = name[len(ours) + 1 :], layout.names[ours]
    if ours.endswith(".blocks"):
        index, _, rest = rest.partition(".")
        part, _, rest = rest.rpartition(".")
        theirs = f"{theirs}.{index}.{layout.block_names[part]}"
    theirs = f"{theirs}.{rest}" if rest else theirs
    return [theirs.format(kind) for kind in (("query", "key", "value") if "{}" in theirs else ("",))]


def begins_with(name: str, beginning: str) -> bool:
    """Tell whether a dotted name is `beginning` or stands below it.

    >>> begins_with("blocks.10.norm", "blocks.10"), begins_with("blocks.10.norm", "blocks.1")
    (True, False)
    """
    return name == beginning or name.startswith(beginning + ".")


def find_parts(layout: Layout, names: Collection[str]) -> set[str]:
    """Return the parts (encoder, …) and their parts (encoder.norm, …) to which some of these names belong."""
    found = [o for o, theirs in layout.names.items() if any(begins_with(name, theirs) for name in names)]
    return {part for ours in found for part in (ours, ours.partition(".")[0])}


def take_params(layout: Layout, config: Config, theirs: Arrays, source: str) -> Params:
    """Make a float32 tree of the arrays of another program.

    Args:
        layout: their names.
        config: says which arrays there must be, and their shapes.
        theirs: their arrays. What is taken is removed; a warning names the rest.
        source: where the arrays come from, for messages.

    Raises:
        ValueError: a configuration far larger than the arrays, or what `take_arrays` refuses.
    """
    like = outline_for(theirs, config, find_parts(layout, theirs) | {"encoder"}, source)
    return unflatten(like, take_arrays(layout, config, flatten(like), theirs, source))


def take_arrays(
    layout: Layout,
    config: Config,
    blanks: Mapping[str, Float[np.ndarray, "..."]],
    theirs: Arrays,
    source: str,
) -> dict[str, Float[np.ndarray, "..."]]:
    """Take arrays out of theirs and return them under our names, in our layout, in float32.

    Args:
        layout: their names.
        config: says how large patches are.
        blanks: which arrays to take, with the shapes that they have here.
        theirs: their arrays. What is taken is removed; a warning names the rest.
        source: where the arrays come from, for error messages.

    Raises:
        ValueError: arrays that are missing, of another shape, or not finite floating-point numbers in
            float32. The message names them.
    """
    names = {name: translate_name(layout, name) for name in blanks}
    shapes: dict[str, Shape] = {}
    for name, blank in blanks.items():
        first, *rest = lay_out_there(config, name, blank).shape
        rest = [None, *rest[1:]] if name.endswith(OF_ANY_LENGTH) else rest
        shapes |= dict.fromkeys(names[name], (first // len(names[name]), *rest))
    check_arrays(theirs, shapes, source)
    single = {each: to_float32(theirs.pop(each), f"{source}: {each}") for each in shapes}
    if theirs:
        warnings.warn(f"{source} holds more than is read: {', '.join(sorted(theirs)):.1000}.", stacklevel=4)
    return {
        name: lay_out_here(np.concatenate([single.pop(each) for each in names[name]]), blank.ndim)
        for name, blank in blanks.items()
    }


def to_float32(array: Shaped[np.ndarray, "*shape"], name: str) -> Float[np.ndarray, "*shape"]:
    """Convert floats to float32, in which they must be finite; `name` is for the error message."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32, copy=False)
    check_numbers(single, f"{name}, in float32")
    return single


def lay_out_here(array: Float[np.ndarray, "..."], axes: int) -> Float[np.ndarray, "..."]:
    """Convert an array of another program to the number of axes that it has here."""
    if array.ndim == 4:
        return array.transpose(0, 2, 3, 1).reshape(array.shape[0], -1)
    return array.reshape(array.shape[array.ndim - axes :])  # without the first axes, which have size 1


def give_arrays(layout: Layout, params: Params) -> dict[str, Float[np.ndarray, "..."]]:
    """Return NumPy parameters under the names and in the layout of another program."""
    theirs: dict[str, Any] = {}
    for name, array in walk(params):
        names = translate_name(layout, name)
        parts = np.split(lay_out_there(params.config, name, array), len(names))
        theirs.update(zip(names, parts, strict=True))
    return theirs


def lay_out_there(config: Config, name: str, array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Convert an array of ours to the axes that other programs give it; the inverse of `lay_out_here`."""
    convolutions = {
        "encoder.video_patches.weight": (config.num_image_channels, *config.image_patch_size),
        "encoder.audio_patches.weight": (config.num_audio_channels, *config.audio_patch_size),
    }
    if name in convolutions:
        C, p, q = convolutions[name]
        return array.reshape(-1, p, q, C).transpose(0, 3, 1, 2)
    if name.endswith((".weight", ".bias")):
        return array
    return array.reshape(1, -1, array.shape[-1])  # a token or a table
