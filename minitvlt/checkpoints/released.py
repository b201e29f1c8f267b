"""Checkpoints of the released TVLT code, and of ViT MAE pre-training on images, from which the paper starts.

Both are named tensors in one file, written by torch.save or as safetensors, without a configuration. Shapes
say most of it; the rest is as in the published base models unless the caller gives it.
"""

from math import isqrt, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import flatten, to_backend, unflatten
from minitvlt.checkpoints import names
from minitvlt.checkpoints.checks import (
    NEEDED,
    Arrays,
    FilePath,
    list_tasks,
    make_config,
    outline_for,
    strip_prefix,
)
from minitvlt.checkpoints.hub import SETTINGS_FILE, find_folder, is_folder, read_weights
from minitvlt.checkpoints.native import read_tensors, write_tensors
from minitvlt.config import Config
from minitvlt.files import read_json
from minitvlt.model.parameters import Params, init

CLASSIFIERS = ("classifier", "vqa_classifier")
EMOTIONS = ("happy", "sad", "angry", "fear", "disgust", "surprise")  # of a classifier of six labels
LONGEST = 1024  # steps: the released code cuts spectrograms there, although the table of times goes on
HEAD_WIDTHS = {"": 64, "decoder_": 32}  # of the published base models: no shape says how many heads there are
MAE_HEADS = {"": {768: 12, 1024: 16, 1280: 16}, "decoder_": {512: 16}}  # of the published sizes, by width
# What `config.json` of a ViTMAE says, and shapes do not.
SAID = ("num_attention_heads", "decoder_num_attention_heads", "layer_norm_eps", "hidden_act", "qkv_bias")

# Of red, green and blue in [0, 1], over ImageNet: the inputs of the MAE were normalised with these.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225])


def from_original(path: FilePath, classifier: str | None = None, **settings: Any) -> Params:
    """Read a checkpoint of the released TVLT code, as float32 NumPy arrays.

    Shapes say widths, layers, patches, the size of frames, the number of mel bins and of labels. Everything
    else is as in the published base model: heads of 64 in the encoder and of 32 in the decoder, 8 frames,
    1024 steps of audio (11.9 s) or as many as the table has; the rest as in `Config.original`. Position
    tables keep their length (64 frames, 1020 times). A classifier of 1 number is a regression, one of 6
    independent labels (`EMOTIONS`), the one for visual questions takes soft labels. `task_mae` and
    `task_matching` say which heads there are; with neither, `task_matching` stays True. One warning names
    unused arrays.

    Args:
        path: a file that torch.save wrote, or a safetensors file; the names may have a common prefix.
        classifier: which one to read, "classifier" or "vqa_classifier", where the file has both.
        settings: fields of the configuration that shapes do not say, or that shall have another value.

    Raises:
        ValueError: no such file, one that is damaged or of another program, arrays that are missing or do not
            fit, settings that contradict the arrays; a text model of the released code.
    """
    source = str(path)
    theirs = strip_prefix(read_tensors(path), names.RELEASED.anchor, source)
    begun = {name.partition(".")[0] for name in theirs}
    if "text_embeddings" in begun and "patch_embed_a" not in begun:
        text = "it has text_embeddings and no patch_embed_a, but a model of video and audio is expected"
        raise ValueError(f"{source} is a text model of the released code: {text}.")
    present = [each for each in CLASSIFIERS if any(names.begins_with(name, each) for name in theirs)]
    if (classifier is None and len(present) > 1) or classifier not in (None, *present):
        text = f"expected classifier= (--classifier) to be one of {present}, got {classifier!r}"
        raise ValueError(f"{source}: {text}.")
    classifier = classifier or (present or CLASSIFIERS)[0]
    values = deduce_original(theirs, classifier, source)
    config = make_config(Config.original, values, settings, source)
    return names.take_params(make_layout(classifier), config, theirs, source)


def make_layout(classifier: str) -> names.Layout:
    """Return the names of the released code, whose classifier has one of two names."""
    table = {ours: theirs.replace("classifier", classifier) for ours, theirs in names.RELEASED.names.items()}
    return names.RELEASED._replace(names=table)


def to_original(params: Params, path: FilePath) -> Path:
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
    arrays = names.give_arrays(make_layout(classifier), params)
    values = deduce_original(arrays, classifier, "The model")
    back = make_config(Config.original, values, lost_settings(params), "The model")
    names.check_exportable(params, back, "The released code")
    return write_tensors(arrays, path)


def lost_settings(params: Params) -> dict[str, Any]:
    """Return the settings that `from_original` needs as arguments to read what `to_original` writes.

    >>> lost_settings(init(Config.tiny()))
    {'num_attention_heads': 4, 'decoder_num_attention_heads': 4}
    """
    arrays = names.give_arrays(names.RELEASED, to_backend(params, "numpy"))
    values = deduce_original(arrays, CLASSIFIERS[0], "The model")
    ours = {name: getattr(params.config, name) for name in NEEDED if name in values}
    return {name: value for name, value in ours.items() if value != values[name]}


def deduce_original(theirs: Arrays, classifier: str, source: str) -> dict[str, Any]:
    """Return the settings that names and shapes of the released code say or suggest; None: not even that."""
    parts = names.find_parts(make_layout(classifier), theirs)
    values = deduce_vision(theirs, names.RELEASED, "decoder" in parts, source)
    _, channels, step, bins = get_shape(theirs, "patch_embed_a.proj.weight", 4, source)
    frequencies, times = (get_shape(theirs, name, 3, source)[1] for name in ("freq_embed", "pos_embed_a"))
    values |= {"num_audio_channels": channels, "audio_patch_size": (step, bins)} | list_tasks(parts)
    values |= {"frequency_length": frequencies * bins}
    values |= {"spectrogram_length": min(times, max(LONGEST // step, 1)) * step}
    if "classifier" in parts:
        labels = get_shape(theirs, f"{classifier}.4.weight", 2, source)[0]
        kinds = {1: "regression", 6: "labels"} if classifier == "classifier" else {labels: "soft-labels"}
        loss_type = kinds.get(labels, "classification")
        values |= {"num_labels": labels, "classifier_pooler": True, "loss_type": loss_type}
    elif "ranking" in parts:
        values |= {"loss_type": "ranking"}
    return values


def deduce_vision(theirs: Arrays, layout: names.Layout, has_decoder: bool, source: str) -> dict[str, Any]:
    """Deduce the settings that the released code and MAE share."""
    is_mae = "encoder.audio_patches" not in layout.names
    _, channels, *patch = get_shape(theirs, layout.anchor, 4, source)
    rows = (
        get_shape(theirs, layout.names["encoder.video_positions.space"], 3, source)[1] - is_mae
    )  # cls's row
    size = tuple(isqrt(rows) * length for length in patch)
    values = {"num_image_channels": channels, "image_patch_size": tuple(patch)}
    values |= {"qkv_bias": True, "final_norm": True, "image_size": size[0] if size[0] == size[1] else size}
    if isqrt(rows) ** 2 != rows:
        values["image_size"] = None
    widths = {"encoder": get_shape(theirs, layout.names["encoder.cls"], 3, source)[2]}
    if has_decoder:
        widths["decoder"] = get_shape(theirs, layout.names["decoder.entry"] + ".weight", 2, source)[0]
    for part, D in widths.items():
        prefix, blocks = "decoder_" * (part == "decoder"), layout.names[f"{part}.blocks"] + "."
        layers = {name.removeprefix(blocks).partition(".")[0] for name in theirs if name.startswith(blocks)}
        (mlp,) = names.translate_name(layout, f"{part}.blocks.0.mlp.expand.weight")
        heads = None if D % HEAD_WIDTHS[prefix] else D // HEAD_WIDTHS[prefix]
        values[f"{prefix}hidden_size"] = D
        values[f"{prefix}num_hidden_layers"] = len(layers)
        values[f"{prefix}num_attention_heads"] = MAE_HEADS[prefix].get(D) if is_mae else heads
        values[f"{prefix}intermediate_size"] = get_shape(theirs, mlp, 2, source)[0]
    return values


def get_shape(arrays: Arrays, name: str, axes: int, source: str) -> tuple[int, ...]:
    """Return the shape of a named array, which must be present with that number of axes and not be empty."""
    if name not in arrays:
        raise ValueError(f"{source} lacks {name}.")
    shape = arrays[name].shape
    if len(shape) != axes or 0 in shape:
        raise ValueError(f"{source}: {name} has the shape {shape}: expected {axes} axes and no empty one.")
    return shape


def from_mae(path: FilePath, seed: int | np.random.Generator = 0, **settings: Any) -> Params:
    """Start from a ViT that was pre-trained as a masked autoencoder on images (He et al. 2021).

    Blocks, norms, the mask token of the video, the decoder's input projection and its video head are taken as
    they are. Row 0 of the position table belongs to cls and is added to it; the other rows are the table of
    places. The published sizes are known (widths 768, 1024, 1280; decoder 512); of others the numbers of
    attention heads must be given, unless `config.json` says them.

    What differs from the MAE: its inputs are normalised by ImageNet's mean and deviation, which the patch
    projection takes over, so frames in [-1, 1] give the same tokens. The decoder has no cls here, so what
    belongs to cls in it, row 0 of its position table among it, is dropped, and its predictions differ
    somewhat. Its video head predicts the targets of the MAE, pixels normalised by ImageNet's mean and
    deviation, or within each patch if it was trained with norm_pix_loss, until it is trained on those of
    TVLT, pixels in [-1, 1].

    Everything else is randomly initialised as in the paper's code: the audio projection (Xavier uniform
    weights, biases uniform within 1 / sqrt(inputs)); time tables of audio zero; the rest, and the decoder
    where the file has none, as in `init`. One warning names unused arrays.

    Args:
        path: a file that torch.save wrote, or a safetensors file; the names may have a common prefix. Or a
            folder of transformers with a ViTMAEForPreTraining or a ViTMAEModel, or its name on the hub.
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
    path: FilePath, seed: int | np.random.Generator = 0, **settings: Any
) -> tuple[Params, list[str]]:
    """Do what `from_mae` does, and also return the names of the parameters that are randomly initialised."""
    theirs, layout, said, source = _read_mae_file(path)
    has_decoder = "decoder" in names.find_parts(layout, theirs) and settings.get("task_mae", True)
    values = deduce_vision(theirs, layout, has_decoder, source) | {"num_image_channels": 3}
    values |= {name: value for name, value in said.items() if has_decoder or "decoder" not in name}
    config = make_config(Config.paper, values, settings, source)
    given = _take_mae(layout, config, theirs, has_decoder, source)
    rng = np.random.default_rng(seed)
    start = init(config, rng)
    drawn = flatten(start) | draw_audio(start, rng)
    return unflatten(start, drawn | given), [name for name in drawn if name not in given]


def _read_mae_file(path: FilePath) -> tuple[Arrays, names.Layout, dict[str, Any], str]:
    """Read a file, or a folder of transformers; return arrays, their names, and what `config.json` says."""
    if is_folder(path):
        values = read_json(find_folder(path) / SETTINGS_FILE, "settings of ViTMAE")
        theirs, path = read_weights(find_folder(path))
    else:
        values, theirs = {}, read_tensors(path)
    layout = names.MAE if any(name.endswith(names.MAE.anchor) for name in theirs) else names.VIT_MAE
    said = {name: values[name] for name in SAID if name in values}
    return strip_prefix(theirs, layout.anchor, str(path)), layout, said, str(path)


def _take_mae(
    layout: names.Layout, config: Config, theirs: Arrays, has_decoder: bool, source: str
) -> dict[str, Float[np.ndarray, "..."]]:
    """Take what the file gives to a model of this configuration, under our names and in our layout."""
    blanks = flatten(outline_for(theirs, config, ["encoder", *["decoder"] * has_decoder], source))
    blanks = {n: x for n, x in blanks.items() if any(names.begins_with(n, ours) for ours in layout.names)}
    tables = [name for name in blanks if name.endswith("positions.space")]
    for name in tables:
        rows, D = blanks[name].shape
        blanks[name] = np.broadcast_to(blanks[name][:1], (rows + 1, D))
    given = names.take_arrays(layout, config, blanks, theirs, source)
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
