"""Checkpoints of the released TVLT code: named tensors in one file, without a word about the configuration.

Written by torch.save, bare or by a training program that wraps them; or as safetensors, which need no torch.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minitvlt.backends import to_backend
from minitvlt.checkpoints.deduction import (
    HEAD_WIDTHS,
    Arrays,
    deduce_blocks,
    deduce_image_size,
    get_shape,
    make_config,
    strip_prefix,
)
from minitvlt.checkpoints.names import Layout, find_parts, give_arrays, take_params
from minitvlt.checkpoints.tensor_files import read_tensors, write_tensors
from minitvlt.config import Config
from minitvlt.model.parameters import Params

ANCHOR = "patch_embed_v.proj.weight"  # a name that every checkpoint of the released code has
CLASSIFIERS = ("classifier", "vqa_classifier")
LONGEST = 1024  # steps: the released code cuts spectrograms there, although the table of times goes on

PARTS = {
    "encoder.cls": "cls_token",
    "encoder.video_patches": "patch_embed_v.proj",
    "encoder.video_positions.space": "pos_embed_v",
    "encoder.video_positions.time": "temporal_embed",
    "encoder.video_positions.modality": "type_embed_v",
    "encoder.audio_patches": "patch_embed_a.proj",
    "encoder.audio_positions.time": "pos_embed_a",
    "encoder.audio_positions.frequency": "freq_embed",
    "encoder.audio_positions.modality": "type_embed_a",
    "encoder.blocks": "blocks",
    "encoder.norm": "norm",
    "decoder.entry": "decoder_embed",
    "decoder.video_mask_token": "mask_token_v",
    "decoder.video_positions.space": "decoder_pos_embed_v",
    "decoder.video_positions.time": "decoder_temporal_embed",
    "decoder.video_positions.modality": "decoder_type_embed_v",
    "decoder.audio_mask_token": "mask_token_a",
    "decoder.audio_positions.time": "decoder_pos_embed_a",
    "decoder.audio_positions.frequency": "decoder_freq_embed",
    "decoder.audio_positions.modality": "decoder_type_embed_a",
    "decoder.blocks": "decoder_blocks",
    "decoder.norm": "decoder_norm",
    "decoder.video_head": "mae_score_video.decoder",
    "decoder.audio_head": "mae_score_audio.decoder",
    "matching.pooler": "matching_score.pooler.dense",
    "matching.score": "matching_score.fc",
    "ranking.pooler": "rank_output.pooler.dense",
    "ranking.score": "rank_output.fc",
}
BLOCK_PARTS = {
    "attention_norm": "norm1",
    "attention.qkv": "attn.qkv",
    "attention.output": "attn.proj",
    "mlp_norm": "norm2",
    "mlp.expand": "mlp.fc1",
    "mlp.contract": "mlp.fc2",
}


def make_layout(classifier: str) -> Layout:
    """Lay out the names of the released code, whose classifier has one of two names."""
    steps = {"pooler": "0.dense", "expand": "1", "norm": "2", "output": "4"}
    return Layout(
        PARTS | {f"classifier.{ours}": f"{classifier}.{theirs}" for ours, theirs in steps.items()},
        BLOCK_PARTS,
    )


def from_original(path: str | os.PathLike[str], classifier: str | None = None, **settings: Any) -> Params:
    """Read a checkpoint of the released TVLT code, as float32 NumPy arrays.

    Shapes say widths, layers, patches, the size of frames, the number of mel bins and of labels. What they do
    not say is as in the published base model: heads of 64 in the encoder and of 32 in the decoder, 8 frames,
    1024 steps of sound (11.9 s) or as many as the table has; everything else as `Config.original` says.
    Position tables keep their length (64 frames, 1020 times). A classifier of 1 number is a regression, one
    of 6 independent labels, the one for visual questions takes soft labels. Arrays that have no place here
    are named in one warning.

    Args:
        path: a file that torch.save wrote, or a safetensors file, with names that are bare or have a prefix.
        classifier: which one to read, "classifier" or "vqa_classifier", where the file has both.
        settings: fields of the configuration that shapes cannot say, or that shall be other than guessed.

    Raises:
        ValueError: no such file, one that is damaged or of another program, arrays that are missing or do not
            fit, settings that contradict the arrays.
    """
    source = str(path)
    theirs = strip_prefix(read_tensors(path), ANCHOR, source)
    chosen = _choose_classifier(theirs, classifier, source)
    layout = make_layout(chosen or CLASSIFIERS[0])
    parts = find_parts(layout, theirs)
    deduced = _deduce_inputs(theirs, settings, source) | deduce_blocks(theirs, source, "decoder" in parts)
    if chosen is not None:
        labels = get_shape(theirs, f"{chosen}.4.weight", 2, source)[0]
        deduced |= {"num_labels": labels, "classifier_pooler": True}
    guessed = _guess_task(parts, chosen, deduced) | _guess_length(theirs, deduced, source)
    config = make_config(Config.original, guessed, deduced, settings, source)
    return take_params(layout, config, theirs, source)


def _choose_classifier(theirs: Arrays, chosen: str | None, source: str) -> str | None:
    there = [name for name in CLASSIFIERS if any(each.startswith(name + ".") for each in theirs)]
    if chosen is None and len(there) > 1:
        raise ValueError(
            f"{source} holds two classifiers, and a model has one: choose by classifier='classifier' or "
            "classifier='vqa_classifier' (--classifier)."
        )
    if chosen is not None and chosen not in there:
        raise ValueError(f"{source} holds no classifier {chosen!r}: it has {' and '.join(there) or 'none'}.")
    return chosen or (there[0] if there else None)


def _deduce_inputs(theirs: Arrays, settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    _, channels, *patch = get_shape(theirs, ANCHOR, 4, source)
    _, audio_channels, *audio_patch = get_shape(theirs, "patch_embed_a.proj.weight", 4, source)
    rows = get_shape(theirs, "pos_embed_v", 3, source)[1]
    bins = get_shape(theirs, "freq_embed", 3, source)[1]
    return {
        "num_image_channels": channels,
        "image_patch_size": tuple(patch),
        "image_size": deduce_image_size(rows, tuple(patch), settings, source),
        "num_audio_channels": audio_channels,
        "audio_patch_size": tuple(audio_patch),
        "frequency_length": bins * audio_patch[1],
    }


def _guess_task(parts: set[str], classifier: str | None, deduced: Mapping[str, Any]) -> dict[str, Any]:
    guessed: dict[str, Any] = {}
    if {"decoder", "matching"} & parts:
        guessed = {"task_mae": "decoder" in parts, "task_matching": "matching" in parts}
    if classifier == "vqa_classifier":
        guessed["loss_type"] = "soft-labels"
    elif classifier is not None:
        kinds = {1: "regression", 6: "labels"}  # of sentiment, and of emotions
        guessed["loss_type"] = kinds.get(deduced["num_labels"], "classification")
    elif "ranking" in parts:
        guessed["loss_type"] = "ranking"
    return guessed


def _guess_length(theirs: Arrays, deduced: Mapping[str, Any], source: str) -> dict[str, Any]:
    rows, step = get_shape(theirs, "pos_embed_a", 3, source)[1], deduced["audio_patch_size"][0]
    return {"spectrogram_length": min(rows, max(LONGEST // step, 1)) * step}


def to_original(params: Params, path: str | os.PathLike[str]) -> Path:
    """Write parameters under the names of the released TVLT code, bare, in the precision that they have.

    The file holds arrays alone: `list_untold` says which settings `from_original` must be told to read it
    back, and all other settings become those of `Config.original`.

    Args:
        params: on any backend.
        path: a safetensors file where it ends in `.safetensors`, which takes no torch; else torch.save's.

    Returns:
        The path.

    Raises:
        ValueError: a model that the released code cannot compute; the message says why.
    """
    check_expressible(params)
    name = CLASSIFIERS[params.config.loss_type == "soft-labels"]
    return write_tensors(give_arrays(make_layout(name), to_backend(params, "numpy")), path)


def check_expressible(params: Params) -> None:
    """Refuse a model whose numbers the released code would compute in another way."""
    config, has_classifier = params.config, params.classifier is not None
    reasons = {
        "its queries, keys and values have biases (qkv_bias=False)": not config.qkv_bias,
        "it always has the last LayerNorm (final_norm=False)": not config.final_norm,
        "its decoder runs on each modality alone (joint_decoder=True)": bool(
            params.decoder and config.joint_decoder
        ),
        f"its LayerNorms have eps 1e-06 (layer_norm_eps={config.layer_norm_eps})": config.layer_norm_eps
        != 1e-6,
        "its classifier begins with a pooler (classifier_pooler=False)": has_classifier
        and not config.classifier_pooler,
        "its classifier reads cls (pooling='mean')": has_classifier and config.pooling != "cls",
        f"its classifier's LayerNorm has eps 1e-05 (classifier_norm_eps={config.classifier_norm_eps})": (
            has_classifier and config.classifier_norm_eps != 1e-5
        ),
    }
    broken = [reason for reason, is_broken in reasons.items() if is_broken]
    if broken:
        raise ValueError(f"The released code cannot compute this model: {'; '.join(broken)}.")


def list_untold(params: Params) -> dict[str, Any]:
    """List the settings that `from_original` would not guess from the arrays of a model.

    >>> from minitvlt.model.parameters import init
    >>> list_untold(init(Config.tiny()))
    {'num_attention_heads': 4, 'decoder_num_attention_heads': 4}
    """
    config = params.config
    beginnings = HEAD_WIDTHS if params.decoder else [""]
    widths = {each: getattr(config, f"{each}hidden_size") for each in beginnings}
    heads = {each: getattr(config, f"{each}num_attention_heads") for each in beginnings}
    untold: dict[str, Any] = {
        f"{each}num_attention_heads": heads[each]
        for each in beginnings
        if heads[each] * HEAD_WIDTHS[each] != widths[each]
    }
    h, w = config.image_grid
    if h != w:
        untold["image_size"] = config.image_shape
    return untold
