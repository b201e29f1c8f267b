"""What a configuration may say: types, ranges, and sizes that fit each other.

Every check raises a ValueError that names the field, what was expected and what came.
"""

import dataclasses
from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

# The words that a field may be set to.
CHOICES = {
    "audio_mask_type": ("frame-level", "patch-level", "speech-span"),
    "loss_type": ("classification", "regression", "labels", "soft-labels", "ranking"),
    "pooling": ("cls", "mean"),
    "token_order": ("video-first", "audio-first"),
    "stft_padding": ("reflect", "constant"),
    "frame_crop": ("after-resizing", "before-resizing"),
    "frame_interpolation": ("bilinear", "bicubic"),
}

# What the published configuration can say and this model does not do: field -> the one value it has.
FIXED_VALUES = {
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}

NON_NEGATIVE = ("initializer_range", "matching_weight", "mae_weight")
EPSILONS = ("layer_norm_eps", "classifier_norm_eps")
RATIOS = ("pixel_mask_ratio", "audio_mask_ratio")
PAIRS = ("image_patch_size", "audio_patch_size")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise a ValueError unless a word is one of those that there are."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def check_config(config: Any) -> None:
    """Check every field by itself, then sizes that must fit each other."""
    _check_types(config)
    _check_ranges(config)
    _check_geometry(config)


def _check_types(config: Any) -> None:
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), field.name
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        is_pair = (
            isinstance(value, tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)
        )
        if name == "image_size":
            valid, wanted = is_pair or (is_whole and value > 0), "a positive whole number or (height, width)"
        elif name in PAIRS:
            valid, wanted = is_pair, "a pair of positive whole numbers"
        elif field.type is bool:
            valid, wanted = isinstance(value, bool), "True or False"
        elif field.type is int:
            valid, wanted = is_whole and value > 0, "a positive whole number"
        elif field.type is float:
            valid, wanted = is_whole or isinstance(value, float), "a number"
        else:
            valid, wanted = isinstance(value, str), "a word"
        if not valid:
            raise ValueError(f"{name} must be {wanted}, not {value!r}.")


def _check_ranges(config: Any) -> None:
    for name, value in FIXED_VALUES.items():
        if getattr(config, name) != value:
            raise ValueError(
                f"{name}={getattr(config, name)!r} is not supported: this model has {name}={value!r} only, "
                "as the published checkpoints do."
            )
    for name, allowed in CHOICES.items():
        check_choice(name, getattr(config, name), allowed)
    for name in RATIOS:
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(config, name)!r}.")
    for name in NON_NEGATIVE:
        if not 0 <= getattr(config, name) < inf:
            raise ValueError(f"{name} must be a finite number of at least 0, not {getattr(config, name)!r}.")
    for name in EPSILONS:
        if not 0 < getattr(config, name) < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {getattr(config, name)!r}.")
    if not isfinite(config.audio_padding_value):
        raise ValueError(f"audio_padding_value must be a finite number, not {config.audio_padding_value!r}.")
    if not (config.task_matching or config.task_mae):
        raise ValueError(
            "task_matching and task_mae are both False: pre-training needs at least one of them."
        )


def _check_geometry(config: Any) -> None:
    (H, W), (p, q) = config.image_shape, config.image_patch_size
    S, F = config.spectrogram_length, config.frequency_length
    a, b = config.audio_patch_size
    divisions = (
        ("image_size (height)", H, "image_patch_size (height)", p),
        ("image_size (width)", W, "image_patch_size (width)", q),
        ("spectrogram_length", S, "audio_patch_size (steps)", a),
        ("frequency_length", F, "audio_patch_size (mel bins)", b),
        ("hidden_size", config.hidden_size, "num_attention_heads", config.num_attention_heads),
        (
            "decoder_hidden_size",
            config.decoder_hidden_size,
            "decoder_num_attention_heads",
            config.decoder_num_attention_heads,
        ),
    )
    for whole_name, whole, part_name, part in divisions:
        if whole % part:
            raise ValueError(f"{whole_name} {whole} is not a multiple of {part_name} {part}.")
    if config.window_length % 2 or config.window_length < 4:
        raise ValueError(f"window_length must be an even number of at least 4, not {config.window_length}.")
    if config.hop_length > config.window_length:
        raise ValueError(
            f"hop_length {config.hop_length} is longer than window_length {config.window_length}: "
            "samples between two windows would be lost."
        )
