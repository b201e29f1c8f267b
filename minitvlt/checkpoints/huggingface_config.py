"""`config.json` of transformers and our Config, both ways, and what the one can say and the other cannot."""

import dataclasses
from pathlib import Path
from typing import Any

from minitvlt.config import Config
from minitvlt.files import read_json
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
