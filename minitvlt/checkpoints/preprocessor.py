"""How clips become numbers, in the words of transformers: `preprocessor_config.json` and our Config.

One file there serves two processors, TvltFeatureExtractor for sound and TvltImageProcessor for frames.
"""

import warnings
from pathlib import Path
from typing import Any

from minitvlt.config import Config
from minitvlt.files import read_json

FILE_NAME = "preprocessor_config.json"
SAME_MEANING = {  # their name -> ours
    "sampling_rate": "sample_rate",
    "n_fft": "window_length",
    "spectrogram_length": "spectrogram_length",
    "padding_value": "audio_padding_value",
    "num_frames": "num_frames",
}
# What they cannot say stands under our names, which they pass over.
OURS_ALONE = ("remove_waveform_mean", "stft_padding", "drop_last_step", "frame_crop")
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # the numbers that Pillow gives them
HOPS_A_SECOND = 86  # where the file says nothing: the hop is the sample rate divided by this, rounded down


def read_preprocessor(path: Path, config: Config) -> Config:
    """Set the fields of a configuration that `preprocessor_config.json` speaks of.

    A warning names what our processing will do otherwise than theirs would with this file.

    Args:
        path: the file.
        config: what the model's own settings say.

    Raises:
        ValueError: a damaged file, values of the wrong kind, the file of another model's processor, or values
            that contradict the model's sizes.
    """
    values = read_json(path, "the settings of the processors")
    try:
        _check_model(values, config)
        changes = {ours: values[theirs] for theirs, ours in SAME_MEANING.items() if theirs in values}
        changes |= {name: values[name] for name in OURS_ALONE if name in values}
        if "hop_length" in values:  # what the file's writer used
            changes["hop_length"] = values["hop_length"]
        elif "sampling_rate" in values or "hop_length_to_sampling_rate" in values:
            changes["hop_length"] = _compute_their_hop(values)
        if _is_known(values.get("resample")):
            changes["frame_interpolation"] = INTERPOLATIONS[values["resample"]]
        result = config.replace(**changes)
        differences = list_differences(values, result)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if differences:
        text = "; ".join(differences)
        warnings.warn(f"What {path} says is not all done alike here: {text}.", stacklevel=3)
    return result


def _check_model(values: dict[str, Any], config: Config) -> None:
    """Raise a ValueError if these are settings for another model, or for another geometry."""
    for name in ("processor_class", "feature_extractor_type", "image_processor_type"):
        if not str(values.get(name) or "Tvlt").startswith("Tvlt"):
            raise ValueError(f"expected settings for processors of TVLT, but {name} is {values[name]!r}.")
    image, audio = list(config.image_patch_size), list(config.audio_patch_size)
    expected = {
        "patch_size": (audio, image),  # one name there for both: each processor reads it as its own
        "feature_size": (config.frequency_length,),
        "num_channels": (config.num_audio_channels,),
    }
    for name, allowed in expected.items():
        if name in values and values[name] not in allowed:
            wanted = " or ".join(str(each) for each in allowed)
            raise ValueError(f"{name} is {values[name]!r}, but the model's configuration asks for {wanted}.")
    if "crop_size" in values and values.get("do_center_crop", True):
        crop = _read_size(values, "crop_size")
        crop = (crop, crop) if isinstance(crop, int) else crop
        if crop != config.image_shape:
            raise ValueError(f"crop_size is {crop}, but the model takes frames of {config.image_shape}.")


def _read_size(values: dict[str, Any], name: str) -> int | tuple[int, int]:
    """Read one number for the shortest edge or a square, or height and width, in any way they write these."""
    value = values[name]
    if isinstance(value, dict) and set(value) == {"shortest_edge"}:
        value = value["shortest_edge"]
    elif isinstance(value, dict) and set(value) == {"height", "width"}:
        value = [value["height"], value["width"]]
    sizes = value if isinstance(value, list) else [value]
    if len(sizes) not in (1, 2) or any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"{name} must be a number of pixels, or height and width, not {values[name]!r:.60}.")
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])


def _compute_their_hop(values: dict[str, Any]) -> int:
    rate = values.get("sampling_rate", Config.sample_rate)
    hops = values.get("hop_length_to_sampling_rate", HOPS_A_SECOND)
    if any(type(number) is not int or number < 1 for number in (rate, hops)):
        raise ValueError(
            "sampling_rate and hop_length_to_sampling_rate must be positive whole numbers, not "
            f"{rate!r:.60} and {hops!r:.60}."
        )
    return rate // hops


def _is_known(interpolation: Any) -> bool:
    return type(interpolation) is int and interpolation in INTERPOLATIONS


def list_differences(values: dict[str, Any], config: Config) -> list[str]:
    """Say where our processing with a configuration differs from theirs with the values of their file."""
    differences = []
    their_hop = _compute_their_hop(values)
    if config.hop_length != their_hop:
        differences.append(f"the hop is {their_hop} samples in transformers, and {config.hop_length} here")
    if config.sample_rate != Config.sample_rate:
        differences.append("mel filters end at 22050 Hz in transformers, and at half the sample rate here")
    (H, W), C = config.image_shape, config.num_image_channels
    size = _read_size(values, "size") if "size" in values else None
    if size is not None and not H == W == size:
        differences.append(f"frames are resized to {size} in transformers, and to just cover {(H, W)} here")
    if "resample" in values and not _is_known(values["resample"]):
        differences.append(f"resample={values['resample']!r:.60}, which is {config.frame_interpolation} here")
    done_here = dict.fromkeys(("do_resize", "do_center_crop", "do_rescale", "do_normalize"), (True,))
    done_here |= {"rescale_factor": (1 / 255,)}
    done_here |= dict.fromkeys(("image_mean", "image_std"), ([0.5] * C, 0.5))
    for name, allowed in done_here.items():
        if name in values and values[name] not in allowed:
            differences.append(f"{name}={values[name]!r:.60}, which is {allowed[0]} here")
    return differences


def describe_preprocessor(config: Config) -> dict[str, Any]:
    """Give the content of a `preprocessor_config.json` that both processors, and we, read."""
    ours = {name: getattr(config, name) for name in OURS_ALONE}
    return {
        "processor_class": "TvltProcessor",
        **{theirs: getattr(config, ours) for theirs, ours in SAME_MEANING.items()},
        **_describe_sound(config),
        **_describe_frames(config),
        **{name: value for name, value in ours.items() if value != getattr(Config, name)},
    }


def _describe_sound(config: Config) -> dict[str, Any]:
    return {
        "feature_extractor_type": "TvltFeatureExtractor",
        "feature_size": config.frequency_length,
        "hop_length": config.hop_length,
        "hop_length_to_sampling_rate": max(1, config.sample_rate // config.hop_length),
        "num_channels": config.num_audio_channels,
        "patch_size": list(config.audio_patch_size),
        "return_attention_mask": True,
    }


def _describe_frames(config: Config) -> dict[str, Any]:
    (H, W), C = config.image_shape, config.num_image_channels
    return {
        "image_processor_type": "TvltImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": max(H, W)},
        "resample": {word: number for number, word in INTERPOLATIONS.items()}[config.frame_interpolation],
        "do_center_crop": True,
        "crop_size": {"height": H, "width": W},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * C,
        "image_std": [0.5] * C,
    }


def list_what_preprocessors_miss(config: Config) -> list[str]:
    """Say where their processors, with the file that we write for them, will differ from our processing."""
    values = describe_preprocessor(config)
    differences = list_differences(values, config)
    differences += [
        f"{name}={values[name]!r} is unknown to its processors" for name in OURS_ALONE if name in values
    ]
    image, audio = config.image_patch_size, config.audio_patch_size
    if image[0] != audio[0]:
        differences.append(
            f"one patch_size serves both processors, so the frames' masks are made for patches of {audio[0]} "
            f"pixels unless you hand TvltImageProcessor patch_size={list(image)}"
        )
    return differences
