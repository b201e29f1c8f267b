"""Checkpoints of the transformers library (4.40.2, the last release that has TVLT).

A checkpoint is a folder: `config.json` with the settings of the model, `preprocessor_config.json` with those
of TvltFeatureExtractor and TvltImageProcessor, and arrays in `model.safetensors` or `pytorch_model.bin`.
"""

import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from minitvlt.backends import flatten, to_backend
from minitvlt.checkpoints import names
from minitvlt.checkpoints.checks import FilePath, check_arrays, check_known
from minitvlt.checkpoints.hub import PROCESSING_FILE, SETTINGS_FILE, WEIGHT_FILES, find_folder, read_weights
from minitvlt.checkpoints.native import write_file
from minitvlt.config import Config
from minitvlt.files import read_json, write_folder, write_json
from minitvlt.model.parameters import Params, outline

# The parts that each class has beside the encoder. A bare TvltModel leaves out the prefix `tvlt.`.
CLASSES = {
    "TvltModel": set(),
    "TvltForPreTraining": {"decoder", "matching"},
    "TvltForAudioVisualClassification": {"classifier"},
}
BARE_BEGINNINGS = ("pixel_embeddings.", "audio_embeddings.", "cls_embedding", "encoder.", "layernorm.")

# Fields of Config in preprocessor_config.json: those with another name there, one that has a number for each
# value, and those that transformers does not read (it computes the hop length from two other values).
PROCESSING = {
    "sampling_rate": "sample_rate",
    "n_fft": "window_length",
    "spectrogram_length": "spectrogram_length",
    "padding_value": "audio_padding_value",
    "num_frames": "num_frames",
}
RESAMPLE = {2: "bilinear", 3: "bicubic"}
PROCESSING_OURS = ("hop_length", "remove_waveform_mean", "stft_padding", "drop_last_step", "frame_crop")
PROCESSING_OURS += ("resampling_window", "mono_gain", "frame_choice", "frame_antialias", "silence_is_padding")
SAID_OTHERWISE = ("frame_interpolation", "final_norm", "num_labels", "gradient_checkpointing")


def from_huggingface(folder_or_name: FilePath) -> Params:
    """Read a TvltModel, TvltForPreTraining or TvltForAudioVisualClassification, as float32 NumPy arrays.

    Position tables keep their length, which `num_frames` of `config.json` says. The number of frames that
    `prepare_video` selects, and all other settings of the processing, come from `preprocessor_config.json` if
    it exists. Warnings name arrays that are not used, and processing that differs here.

    Args:
        folder_or_name: a folder with `config.json`, and `model.safetensors` or `pytorch_model.bin` (which
            needs torch), or its parts and the list of them; or a repository "owner/name" of the Hugging Face
            Hub, which is downloaded if there is no such folder and huggingface_hub is installed.

    Raises:
        ValueError: no such folder, files that are missing or damaged, a setting that this model does not
            have, arrays that do not fit the configuration, or a download that failed.
    """
    folder = find_folder(folder_or_name)
    config = _read(folder / SETTINGS_FILE, parse_settings)
    arrays, path = read_weights(folder)
    theirs = {
        f"tvlt.{name}" if name.startswith(BARE_BEGINNINGS) else name: array for name, array in arrays.items()
    }
    params = names.take_params(names.TRANSFORMERS, config, theirs, str(path))
    path = folder / PROCESSING_FILE
    if path.exists():
        config, differences = _read(path, lambda values: parse_processing(values, config))
        if differences:
            warnings.warn(f"{path} asks for other processing: {'; '.join(differences)}.", stacklevel=2)
    return replace(params, config=config)


def _read(path: Path, parse: Callable[[dict[str, Any]], Any]) -> Any:
    values = read_json(path, "settings of TVLT")
    try:
        return parse(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_settings(values: dict[str, Any]) -> Config:
    """Build a configuration from the values of a `config.json`; unknown ones are ignored.

    `use_mean_pooling` of transformers pools nothing: it removes the last LayerNorm.
    """
    if values.get("model_type", "tvlt") != "tvlt":
        raise ValueError(f'expected the model_type "tvlt", got {values["model_type"]!r:.60}.')
    ours = {"classifier_norm_eps": values.get("layer_norm_eps", Config.layer_norm_eps)}
    ours |= {field.name: values[field.name] for field in fields(Config) if field.name in values}
    if isinstance(values.get("id2label"), dict):  # the names of the labels; their number is not stored
        ours["num_labels"] = len(values["id2label"])
    ours["final_norm"] = not values.get("use_mean_pooling", False)
    if ours.get("audio_mask_type") == "patch_level":  # the spelling that transformers accepts
        ours["audio_mask_type"] = "patch-level"
    return Config.from_dict(ours)


def describe_settings(params: Params) -> dict[str, Any]:
    """Return the `config.json` of a model, without settings that transformers does not have.

    There `num_frames` and `spectrogram_length` say how many rows the position tables have.
    """
    config, encoder = params.config, params.encoder
    not_theirs = {*names.OURS_ALONE, *PROCESSING.values(), *PROCESSING_OURS, *SAID_OTHERWISE}
    labels = [f"LABEL_{i}" for i in range(config.num_labels)]
    values = {name: value for name, value in config.to_dict().items() if name not in not_theirs} | {
        "model_type": "tvlt",
        "architectures": [choose_class(params)],
        "torch_dtype": "float32",
        "num_frames": encoder.video_positions.time.shape[0],
        "spectrogram_length": encoder.audio_positions.time.shape[0] * config.audio_patch_size[0],
        "use_mean_pooling": not config.final_norm,
        "audio_mask_type": "frame-level" if config.audio_mask_type == "frame-level" else "patch_level",
        "id2label": {str(i): name for i, name in enumerate(labels)},
        "label2id": {name: i for i, name in enumerate(labels)},
    }
    if choose_class(params) == "TvltForPreTraining":
        values |= {"task_mae": params.decoder is not None, "task_matching": params.matching is not None}
    return values


def choose_class(params: Params) -> str:
    """Return the name of the class of transformers that has the parts of a model.

    Raises:
        ValueError: no class has them together.
    """
    parts = {part for part in ("decoder", "matching", "classifier", "ranking") if getattr(params, part)}
    for name, parts_there in CLASSES.items():
        if parts <= parts_there:
            return name
    raise ValueError(f"No class of transformers has all of {sorted(parts)}: drop one (dataclasses.replace).")


def parse_processing(values: dict[str, Any], config: Config) -> tuple[Config, list[str]]:
    """Change a configuration as the values of a `preprocessor_config.json` say.

    Returns:
        The configuration, and what the processors of transformers do differently with these values, in words.

    Raises:
        ValueError: values of the wrong kind, or that contradict the sizes of the model.
    """
    changes = {ours: values[theirs] for theirs, ours in PROCESSING.items() if theirs in values}
    rate = values.get("sampling_rate", Config.sample_rate)
    hops = values.get("hop_length_to_sampling_rate", 86)  # the defaults of transformers
    is_valid = all(type(number) is int and number > 0 for number in (rate, hops))
    changes["hop_length"] = rate // hops if is_valid else hops  # the latter is refused below
    if values.get("resample") in list(RESAMPLE):
        changes["frame_interpolation"] = RESAMPLE[values["resample"]]
    changes |= {name: values[name] for name in PROCESSING_OURS if name in values}
    config = config.replace(**changes)
    (H, W), of_frames = config.image_shape, ("patch_size", list(config.image_patch_size))
    differences = [
        f"{name} is {values[name]!r:.60} there, {here!r} here"
        for name, here in describe_processing(config).items()
        if values.get(name) not in (None, here) and (name, values[name]) != of_frames
    ]
    if config.sample_rate != Config.sample_rate:
        differences.append("mel filters end at 22050 Hz there, at half the sample rate here")
    if H != W:
        differences.append(f"frames get a shortest edge of {max(H, W)} there, and cover {H}×{W} here")
    return config, differences


def describe_processing(config: Config) -> dict[str, Any]:
    """Return the `preprocessor_config.json` of both processors, without settings that they do not have."""
    (H, W), C = config.image_shape, config.num_image_channels
    return {
        "processor_class": "TvltProcessor",
        "feature_extractor_type": "TvltFeatureExtractor",
        "image_processor_type": "TvltImageProcessor",
        **{theirs: getattr(config, ours) for theirs, ours in PROCESSING.items()},
        "hop_length_to_sampling_rate": max(1, config.sample_rate // config.hop_length),
        "feature_size": config.frequency_length,
        "num_channels": config.num_audio_channels,
        "patch_size": list(config.audio_patch_size),
        "return_attention_mask": True,
        "do_resize": True,
        "size": {"shortest_edge": max(H, W)},
        "resample": next(code for code, name in RESAMPLE.items() if name == config.frame_interpolation),
        "do_center_crop": True,
        "crop_size": {"height": H, "width": W},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * C,
        "image_std": [0.5] * C,
    }


def to_huggingface(params: Params, folder: FilePath) -> Path:
    """Write a folder that transformers 4.40.2 loads: settings, float32 weights, settings of the processors.

    With a classifier it is a TvltForAudioVisualClassification; with a decoder or a matching head a
    TvltForPreTraining, with the tasks whose parts exist; else a TvltModel. Settings that
    transformers does not have are written under our names, so that `from_huggingface` reads them, and a
    warning lists what transformers does differently. `audio_mask_type="speech-span"` becomes "patch_level".

    Args:
        params: the model, on any backend.
        folder: a new or an empty one; it appears whole or not at all.

    Returns:
        The folder.

    Raises:
        ValueError: a folder that is not empty; parameters that no class of transformers has, that do not fit
            their configuration, or that are not finite in float32.
    """
    params = to_backend(params, "numpy")
    settings, processing, differences = describe(params)
    arrays = _name_arrays(params, parse_settings(settings))

    def write(new: Path) -> None:
        write_json(settings, new / SETTINGS_FILE)
        write_json(processing, new / PROCESSING_FILE)
        # safetensors makes files that only their owner can read; write_file does not
        write_file(new / WEIGHT_FILES[0], lambda path: save_file(arrays, path, {"format": "pt"}))

    target = write_folder(folder, write)
    if differences:
        text = f"transformers behaves differently with {folder}: {'; '.join(differences)}."
        warnings.warn(text, stacklevel=2)
    return target


def describe(params: Params) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the content of both settings files, and what transformers does differently with them.

    The latter is found by reading the settings of transformers back and comparing them with ours.
    """
    config = params.config
    settings, processing = describe_settings(params), describe_processing(config)
    model = parse_settings(settings)
    back, differences = parse_processing(processing, model)
    longest = ("num_frames", "spectrogram_length")  # transformers does not interpolate position tables
    back = back.replace(**{name: min(getattr(back, name), getattr(model, name)) for name in longest})
    back = back.replace(task_mae=config.task_mae, task_matching=config.task_matching)  # said by the parts
    differences += names.check_exportable(params, back, "transformers")
    (p, q), (a, _) = config.image_patch_size, config.audio_patch_size
    if params.decoder is not None and p != q:
        raise ValueError(f"The decoder of transformers predicts square patches, not {p}×{q} pixels.")
    if p != a:
        differences.append(f"masks of frames are for patches of {a} pixels there, of {p} here")
    unsaid = {name: value for name, value in config.to_dict().items() if value != getattr(back, name)}
    settings |= {name: unsaid[name] for name in names.OURS_ALONE if name in unsaid}
    processing |= {name: unsaid[name] for name in PROCESSING_OURS if name in unsaid}
    return settings, processing | {"hop_length": config.hop_length}, differences


def _name_arrays(params: Params, config: Config) -> dict[str, np.ndarray]:
    """Return the arrays under the names of their class, in float32, if they are as `config` says."""
    parts = [part for part in ("decoder", "matching", "classifier") if getattr(params, part) is not None]
    like = outline(config, parts)
    shapes = {name: array.shape for name, array in flatten(like).items()}
    check_arrays(flatten(params), shapes, "For transformers, the model")
    check_known(flatten(params), like, "The model")
    prefix = "tvlt." if choose_class(params) == "TvltModel" else ""
    named = {
        name.removeprefix(prefix): array
        for name, array in names.give_arrays(names.TRANSFORMERS, params).items()
    }
    return {name: np.ascontiguousarray(names.to_float32(array, name)) for name, array in named.items()}
