"""Checkpoints of the released TVLT code, and of ViT MAE pre-training on images, from which the paper starts.

Both are named tensors in one file, written by torch.save or as safetensors, without a configuration. Shapes
say most of it; the rest is as in the published base models unless the caller gives it.
"""

import os
from collections.abc import Callable, Mapping
from math import isqrt, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import flatten, to_backend, unflatten
from minitvlt.checkpoints.names import (
    MAE,
    RELEASED,
    Layout,
    begins_with,
    check_exportable,
    find_parts,
    give_arrays,
    take_arrays,
    take_params,
)
from minitvlt.checkpoints.native import Arrays, outline_for, read_tensors, write_tensors
from minitvlt.config import Config
from minitvlt.model.parameters import Params, init

CLASSIFIERS = ("classifier", "vqa_classifier")
LONGEST = 1024  # steps: the released code cuts spectrograms there, although the table of times goes on
HEAD_WIDTHS = {"": 64, "decoder_": 32}  # of the published base models: no shape says how many heads there are

# Settings that shapes only suggest. A reader must be given the first three where the suggestion is wrong.
NEEDED = ("image_size", "num_attention_heads", "decoder_num_attention_heads")
SUGGESTED = (*NEEDED, "spectrogram_length", "task_mae", "task_matching", "loss_type")

# Of red, green and blue in [0, 1], over ImageNet: the inputs of the MAE were normalised with these.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225])


def from_original(path: str | os.PathLike[str], classifier: str | None = None, **settings: Any) -> Params:
    """Read a checkpoint of the released TVLT code, as float32 NumPy arrays.

    Shapes say widths, layers, patches, the size of frames, the number of mel bins and of labels. Everything
    else is as in the published base model: heads of 64 in the encoder and of 32 in the decoder, 8 frames,
    1024 steps of audio (11.9 s) or as many as the table has; the rest as in `Config.original`. Position
    tables keep their length (64 frames, 1020 times). A classifier of 1 number is a regression, one of 6
    independent labels, the one for visual questions takes soft labels. One warning names unused arrays.

    Args:
        path: a file that torch.save wrote, or a safetensors file; the names may have a common prefix.
        classifier: which one to read, "classifier" or "vqa_classifier", where the file has both.
        settings: fields of the configuration that shapes do not say, or that shall have another value.

    Raises:
        ValueError: no such file, one that is damaged or of another program, arrays that are missing or do not
            fit, settings that contradict the arrays.
    """
    source = str(path)
    theirs = strip_prefix(read_tensors(path), RELEASED, source)
    present = [each for each in CLASSIFIERS if any(begins_with(name, each) for name in theirs)]
    if (classifier is None and len(present) > 1) or classifier not in (None, *present):
        raise ValueError(
            f"{source}: expected classifier= (--classifier) to be one of {present}, got {classifier!r}."
        )
    classifier = classifier or (present or CLASSIFIERS)[0]
    values = deduce_original(theirs, classifier, source)
    config = make_config(Config.original, values, settings, source)
    return take_params(make_layout(classifier), config, theirs, source)


def make_layout(classifier: str) -> Layout:
    """Return the names of the released code, whose classifier has one of two names."""
    names = {ours: theirs.replace("classifier", classifier) for ours, theirs in RELEASED.names.items()}
    return Layout(names, RELEASED.block_names)


def to_original(params: Params, path: str | os.PathLike[str]) -> Path:
    """Write parameters under the names of the released TVLT code, in the precision that they have.

    The file holds arrays alone: `from_original` needs `lost_settings` to read them, and all other settings
    become those of `Config.original`.

    Args:
        params: on any backend.
        path: a safetensors file if it ends in `.safetensors`, which needs no torch; else torch.save's.

    Returns:
        The path.

    Raises:
        ValueError: a model that the released code cannot compute; the message says why.
    """
    params = to_backend(params, "numpy")
    classifier = CLASSIFIERS[params.config.loss_type == "soft-labels"]
    arrays = give_arrays(make_layout(classifier), params)
    values = deduce_original(arrays, classifier, "The model")
    back = make_config(Config.original, values, lost_settings(params), "The model")
    check_exportable(params, back, "The released code")
    return write_tensors(arrays, path)


def lost_settings(params: Params) -> dict[str, Any]:
    """Return the settings that `from_original` needs as arguments to read what `to_original` writes.

    >>> lost_settings(init(Config.tiny()))
    {'num_attention_heads': 4, 'decoder_num_attention_heads': 4}
    """
    values = deduce_original(give_arrays(RELEASED, to_backend(params, "numpy")), CLASSIFIERS[0], "The model")
    ours = {name: getattr(params.config, name) for name in NEEDED if name in values}
    return {name: value for name, value in ours.items() if value != values[name]}


def deduce_original(theirs: Arrays, classifier: str, source: str) -> dict[str, Any]:
    """Return the settings that names and shapes of the released code say or suggest; None: not even that."""
    parts = find_parts(make_layout(classifier), theirs)
    rows = get_shape(theirs, "pos_embed_v", 3, source)[1]
    values = deduce_vision(theirs, RELEASED, rows, "decoder" in parts, source)
    _, channels, step, bins = get_shape(theirs, "patch_embed_a.proj.weight", 4, source)
    frequencies, times = (get_shape(theirs, name, 3, source)[1] for name in ("freq_embed", "pos_embed_a"))
    values |= {"num_audio_channels": channels, "audio_patch_size": (step, bins)}
    values |= {"frequency_length": frequencies * bins}
    values |= {"spectrogram_length": min(times, max(LONGEST // step, 1)) * step}
    if {"decoder", "matching"} & parts:
        values |= {"task_mae": "decoder" in parts, "task_matching": "matching" in parts}
    if "classifier" in parts:
        labels = get_shape(theirs, f"{classifier}.4.weight", 2, source)[0]
        kinds = {1: "regression", 6: "labels"} if classifier == "classifier" else {labels: "soft-labels"}
        values |= {"num_labels": labels, "classifier_pooler": True}
        values |= {"loss_type": kinds.get(labels, "classification")}
    elif "ranking" in parts:
        values |= {"loss_type": "ranking"}
    return values


def deduce_vision(
    theirs: Arrays, layout: Layout, rows: int, has_decoder: bool, source: str
) -> dict[str, Any]:
    """Deduce the settings that the released code and MAE share; `rows` are the patches of a frame."""
    _, channels, *patch = get_shape(theirs, layout.anchor, 4, source)
    size = tuple(isqrt(rows) * length for length in patch)
    values = {"num_image_channels": channels, "image_patch_size": tuple(patch)}
    values |= {"qkv_bias": True, "final_norm": True, "image_size": size[0] if size[0] == size[1] else size}
    if isqrt(rows) ** 2 != rows:
        values["image_size"] = None
    widths = {"": get_shape(theirs, "cls_token", 3, source)[2]}
    if has_decoder:
        widths["decoder_"] = get_shape(theirs, "decoder_embed.weight", 2, source)[0]
    for prefix, D in widths.items():
        blocks, width = f"{prefix}blocks.", HEAD_WIDTHS[prefix]
        layers = {name.removeprefix(blocks).partition(".")[0] for name in theirs if name.startswith(blocks)}
        values[f"{prefix}hidden_size"] = D
        values[f"{prefix}num_hidden_layers"] = len(layers)
        values[f"{prefix}num_attention_heads"] = None if D % width else D // width
        values[f"{prefix}intermediate_size"] = get_shape(theirs, f"{blocks}0.mlp.fc1.weight", 2, source)[0]
    return values


def make_config(
    preset: Callable[..., Config], deduced: Mapping[str, Any], settings: Mapping[str, Any], source: str
) -> Config:
    """Make a configuration of what arrays say or suggest, and of what the caller gives.

    Raises:
        ValueError: settings that contradict the arrays or do not exist, or that have to be given.
    """
    values = {**deduced, **settings}
    unknown = [name for name, value in values.items() if value is None]
    if unknown:
        raise ValueError(
            f"{source}: {', '.join(unknown)} cannot be guessed from the shapes: give them as arguments "
            "(--heads, --decoder-heads)."
        )
    try:
        config = preset(**values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    for name, value in deduced.items():
        given = getattr(config, name)
        if given != value and name not in SUGGESTED:
            raise ValueError(f"{source}: {name}={given!r} contradicts its arrays, which say {value!r}.")
    return config


def strip_prefix(arrays: Arrays, layout: Layout, source: str) -> Arrays:
    """Remove a common prefix such as `transformer.` from names: what precedes the layout's anchor.

    Names without that prefix stay as they are.

    >>> arrays = {"net.patch_embed.proj.weight": np.ones(2), "step": np.ones(1)}
    >>> list(strip_prefix(arrays, MAE, "a file"))
    ['patch_embed.proj.weight', 'step']

    Raises:
        ValueError: no such name, the same one with several prefixes, or two names that become one.
    """
    anchor = layout.anchor
    prefixes = [name.removesuffix(anchor) for name in arrays if f".{name}".endswith(f".{anchor}")]
    if len(prefixes) != 1:
        some = prefixes or f"only {', '.join(arrays):.100}"
        raise ValueError(f"{source}: expected one {anchor}, with or without a prefix, got {some}.")
    bare = {name.removeprefix(prefixes[0]): array for name, array in arrays.items()}
    if len(bare) < len(arrays):
        raise ValueError(f"{source} has a name both with and without {prefixes[0]}: keep one of them.")
    return bare


def get_shape(arrays: Arrays, name: str, axes: int, source: str) -> tuple[int, ...]:
    """Return the shape of a named array, which must be present with that number of axes and not be empty."""
    if name not in arrays:
        raise ValueError(f"{source} lacks {name}.")
    shape = arrays[name].shape
    if len(shape) != axes or 0 in shape:
        raise ValueError(f"{source}: {name} has the shape {shape}: expected {axes} axes and no empty one.")
    return shape


def from_mae(path: str | os.PathLike[str], seed: int | np.random.Generator = 0, **settings: Any) -> Params:
    """Start from a ViT that was pre-trained as a masked autoencoder on images (He et al. 2021).

    Blocks, norms, the mask token of the video, the decoder's input projection and its video head are taken as
    they are; the head predicts normalised pixels until it is trained. Row 0 of the position table belongs to
    cls and is added to it; the other rows are the table of places. The patch projection takes over the
    normalisation by ImageNet's mean and deviation: pixels in [-1, 1] give the same tokens.

    Everything else is randomly initialised as in the paper's code: the audio projection (Xavier uniform
    weights, biases uniform within 1 / sqrt(inputs)); time tables of audio zero; the rest, and the decoder
    where the file has none, as in `init`. One warning names unused arrays.

    Args:
        path: a file that torch.save wrote, or a safetensors file; the names may have a common prefix.
        seed: a whole number, or the generator to draw from.
        settings: fields of the configuration, which is `Config.paper` with the sizes that the file says, that
            shapes do not say, such as `num_attention_heads`. A whole configuration that agrees with the file
            is given as `**config.to_dict()`.

    Returns:
        Float32 NumPy arrays.

    Raises:
        ValueError: no such file, one that is damaged or of another program, arrays that are missing or do not
            fit, images without three channels.
    """
    return read_mae(path, seed, **settings)[0]


def read_mae(
    path: str | os.PathLike[str], seed: int | np.random.Generator = 0, **settings: Any
) -> tuple[Params, list[str]]:
    """Do what `from_mae` does, and also return the names of the parameters that are randomly initialised."""
    source = str(path)
    theirs = strip_prefix(read_tensors(path), MAE, source)
    rows = get_shape(theirs, "pos_embed", 3, source)[1] - 1  # the first row is that of cls
    has_decoder = "decoder" in find_parts(MAE, theirs) and settings.get("task_mae", True)
    values = deduce_vision(theirs, MAE, rows, has_decoder, source) | {"num_image_channels": 3}
    config = make_config(Config.paper, values, settings, source)
    given = _take_mae(config, theirs, has_decoder, source)
    rng = np.random.default_rng(seed)
    start = init(config, rng)
    drawn = flatten(start) | draw_audio(start, rng)
    return unflatten(start, drawn | given), [name for name in drawn if name not in given]


def _take_mae(
    config: Config, theirs: Arrays, has_decoder: bool, source: str
) -> dict[str, Float[np.ndarray, "..."]]:
    """Take what the file gives to a model of this configuration, under our names and in our layout."""
    blanks = flatten(outline_for(theirs, config, ["decoder"] * has_decoder, source))
    blanks = {
        name: blank for name, blank in blanks.items() if any(begins_with(name, ours) for ours in MAE.names)
    }
    tables = [name for name in blanks if name.endswith("positions.space")]
    for name in tables:
        rows, D = blanks[name].shape
        blanks[name] = np.broadcast_to(blanks[name][:1], (rows + 1, D))
    given = take_arrays(MAE, config, blanks, theirs, source)
    given["encoder.cls"] = given["encoder.cls"] + given["encoder.video_positions.space"][0]
    patches = ("encoder.video_patches.weight", "encoder.video_patches.bias")
    given |= dict(zip(patches, fold_normalisation(*(given[name] for name in patches)), strict=True))
    return given | {name: given[name][1:] for name in tables}


def fold_normalisation(
    weight: Float[np.ndarray, "D values"], bias: Float[np.ndarray, "D"]
) -> tuple[Float[np.ndarray, "D values"], Float[np.ndarray, "D"]]:
    """Let the projection of patches include the normalisation of pixels x in [-1, 1].

    ((x + 1) / 2 - mean) / deviation = x / (2 deviation) + (1/2 - mean) / deviation
    """
    by_channel = weight.reshape(len(weight), -1, 3).astype(np.float64)
    scaled = (by_channel / (2 * IMAGENET_DEVIATION)).reshape(weight.shape)
    shift = by_channel.sum(axis=1) @ ((0.5 - IMAGENET_MEAN) / IMAGENET_DEVIATION)
    return scaled.astype(np.float32), (bias + shift).astype(np.float32)


def draw_audio(params: Params, rng: np.random.Generator) -> dict[str, Float[np.ndarray, "..."]]:
    """Draw the audio parameters whose initial values differ between the paper's code and `init`."""
    D, inputs = params.encoder.audio_patches.weight.shape
    xavier = sqrt(6 / (D + inputs))
    drawn = {
        "encoder.audio_patches.weight": rng.uniform(-xavier, xavier, (D, inputs)).astype(np.float32),
        "encoder.audio_patches.bias": rng.uniform(-1, 1, D).astype(np.float32) / np.float32(sqrt(inputs)),
    }
    tables = [name for name in flatten(params) if name.endswith("audio_positions.time")]
    return drawn | {name: np.zeros_like(flatten(params)[name]) for name in tables}
