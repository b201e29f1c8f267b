"""`config.json` of transformers and our Config, both ways, and what the one can say and the other cannot."""

import dataclasses
from pathlib import Path
from typing import Any

from minitvlt.config import Config
from minitvlt.learning.preprocessor import read_json
from minitvlt.model.parameters import Params

# What TvltConfig does not know; it passes over names that it does not know, so here they come back.
OURS_ALONE = (
    "joint_decoder",
    "matching_weight",
    "mae_weight",
    "pooling",
    "token_order",
    "cls_in_autoencoding",
    "classifier_pooler",
    "classifier_norm_eps",
)
# What preprocessor_config.json says, what is said in other words, and what changes no number.
SAID_ELSEWHERE = (
    "sample_rate",
    "window_length",
    "hop_length",
    "remove_waveform_mean",
    "stft_padding",
    "drop_last_step",
    "audio_padding_value",
    "frame_crop",
    "frame_interpolation",
    "final_norm",
    "num_labels",
    "gradient_checkpointing",
)


def read_config(path: Path) -> Config:
    """Read a `config.json` of transformers; settings that do not concern the model's numbers are passed over.

    Their `use_mean_pooling` pools nothing: it leaves out the last norm, and cls is read all the same.
    """
    values = read_json(path, "the model's settings")
    if values.get("model_type", "tvlt") != "tvlt":
        raise ValueError(
            f'Expected {path} with the settings of a model of the type "tvlt", got {values!r:.200}.'
        )
    return translate_config(values, path)


def translate_config(values: dict[str, Any], source: str | Path) -> Config:
    """Make a configuration of the values that a `config.json` of theirs holds."""
    known = {field.name for field in dataclasses.fields(Config)}
    ours = {"classifier_norm_eps": values.get("layer_norm_eps", Config.layer_norm_eps)}
    ours |= {name: value for name, value in values.items() if name in known}
    if isinstance(values.get("id2label"), dict):  # they keep the names of the labels, not their number
        ours["num_labels"] = len(values["id2label"])
    if values.get("use_mean_pooling", False):
        ours["final_norm"] = False
    if ours.get("audio_mask_type") == "patch_level":  # the spelling that transformers accepts
        ours["audio_mask_type"] = "patch-level"
    try:
        return Config.from_dict(ours)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def describe_config(params: Params) -> dict[str, Any]:
    """Give the content of a `config.json` for these parameters.

    Their `num_frames` and `spectrogram_length` say how long the tables of positions are.
    """
    config, encoder = params.config, params.encoder
    names = [f"LABEL_{i}" for i in range(config.num_labels)]
    shared = {
        name: value
        for name, value in config.to_dict().items()
        if name not in OURS_ALONE and name not in SAID_ELSEWHERE
    }
    values = shared | {
        "model_type": "tvlt",
        "architectures": [choose_class(params)],
        "torch_dtype": "float32",
        "num_frames": encoder.video_positions.time.shape[0],
        "spectrogram_length": encoder.audio_positions.time.shape[0] * config.audio_patch_size[0],
        "use_mean_pooling": not config.final_norm,
        "audio_mask_type": "frame-level" if config.audio_mask_type == "frame-level" else "patch_level",
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }
    if choose_class(params) == "TvltForPreTraining":
        values |= {"task_mae": params.decoder is not None, "task_matching": params.matching is not None}
    back = translate_config(values, "config.json")
    return values | {
        name: getattr(config, name) for name in OURS_ALONE if getattr(config, name) != getattr(back, name)
    }


def choose_class(params: Params) -> str:
    """Name the class of transformers that has the parts of these parameters."""
    if params.classifier is not None:
        return "TvltForAudioVisualClassification"
    if params.decoder is not None or params.matching is not None:
        return "TvltForPreTraining"
    return "TvltModel"


def check_sayable(params: Params) -> None:
    """Raise a ValueError that says why no class of transformers computes what these parameters do."""
    reasons = [reason for is_so, reason in _list_obstacles(params) if is_so]
    if reasons:
        raise ValueError(f"No class of transformers holds this model: {'; '.join(reasons)}.")


def _list_obstacles(params: Params) -> list[tuple[bool, str]]:
    config, has_classifier, has_decoder = (
        params.config,
        params.classifier is not None,
        params.decoder is not None,
    )
    has_task = has_decoder or params.matching is not None
    rows = params.encoder.audio_positions.frequency.shape[0]
    p, q = config.image_patch_size
    return [
        (
            has_classifier and has_task,
            "it has a classifier as well as parts for pre-training; drop one kind with "
            "dataclasses.replace(params, classifier=None) or (params, decoder=None, matching=None)",
        ),
        (
            params.ranking is not None,
            "it has a ranking head; drop it with dataclasses.replace(params, ranking=None)",
        ),
        (has_classifier and config.pooling != "cls", f"its classifier reads the {config.pooling} of tokens"),
        (has_classifier and config.classifier_pooler, "its classifier has a pooler"),
        (
            has_classifier and config.classifier_norm_eps != config.layer_norm_eps,
            f"classifier_norm_eps {config.classifier_norm_eps} and layer_norm_eps {config.layer_norm_eps} "
            "are one there",
        ),
        (has_decoder and config.joint_decoder, "its decoder runs on both modalities jointly"),
        (has_decoder and p != q, f"its decoder gives patches of {p}×{q} pixels, and theirs squares alone"),
        (has_decoder and not _are_tables_alike(params), "encoder and decoder have tables of unlike lengths"),
        (
            rows != config.audio_grid[1],
            f"it has {rows} frequency positions, and {config.audio_grid[1]} rows of patches",
        ),
    ]


def _are_tables_alike(params: Params) -> bool:
    return all(
        getattr(getattr(params.encoder, positions), table).shape[0]
        == getattr(getattr(params.decoder, positions), table).shape[0]
        for positions, table in (
            ("video_positions", "time"),
            ("audio_positions", "time"),
            ("audio_positions", "frequency"),
        )
    )


def list_what_models_miss(params: Params) -> list[str]:
    """Say where a model of transformers with these weights will do otherwise than ours does."""
    return [difference for is_so, difference in _list_differences(params) if is_so]


def _list_differences(params: Params) -> list[tuple[bool, str]]:
    config, encoder, has_decoder = params.config, params.encoder, params.decoder is not None
    weights = [config.mae_weight] * has_decoder + [config.matching_weight] * (params.matching is not None)
    frames, steps = encoder.video_positions.time.shape[0], encoder.audio_positions.time.shape[0]
    return [
        (
            config.token_order != "video-first",
            "it puts the tokens of video before those of sound (their values are the same)",
        ),
        (
            has_decoder and not config.cls_in_autoencoding,
            "it has cls among the tokens when hidden patches are filled in",
        ),
        (any(weight != 1 for weight in weights), "it adds the losses without weights"),
        (
            has_decoder and config.audio_mask_type == "speech-span",
            'it knows no "speech-span" masking of sound: "patch_level" is written for it',
        ),
        (
            has_decoder and config.audio_mask_type != "frame-level",
            'its training fails with "patch_level" masking of sound (use "frame-level" there)',
        ),
        (
            params.classifier is not None and config.loss_type not in ("classification", "regression"),
            f'it computes no loss for loss_type="{config.loss_type}"',
        ),
        (
            config.num_frames > frames,
            f"it takes {frames} frames at most, as many as there are positions, not {config.num_frames}",
        ),
        (
            config.audio_grid[0] > steps,
            f"it takes {steps} steps of sound patches at most, not {config.audio_grid[0]}",
        ),
    ]
