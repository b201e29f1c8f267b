"""How clips become numbers, in the words of transformers: `preprocessor_config.json` and our Config.

One file there serves two processors, TvltFeatureExtractor for sound and TvltImageProcessor for frames.
"""

import json
import math
import warnings
from pathlib import Path
from typing import Any

from minitvlt.config import Config

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
MEL_EDGE = 22050  # hertz: their mel filters end here, whatever the sample rate


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that holds named values; a ValueError that names it for any other."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"Expected {path} with {what} as JSON: {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"Expected {path} with {what} as named values, got {type(values).__name__}.")
    return values


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write named values as JSON, in the order of their names."""
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", "utf-8")


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
        changes |= _read_hop(values) | _read_interpolation(values)
        result = config.replace(**changes)
        differences = list_differences_in_sound(values) + list_differences_in_frames(values, config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if differences:
        text = "; ".join(differences)
        warnings.warn(f"What {path} says is not all done alike here: {text}.", stacklevel=2)
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


def _read_whole_number(values: dict[str, Any], name: str, default: int) -> int:
    value = values.get(name, default)
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a positive whole number, not {value!r:.60}.")
    return value


def _read_size(values: dict[str, Any], name: str) -> int | tuple[int, int]:
    """Read one number for the shortest edge or a square, or height and width, in any way they write these."""
    value = values[name]
    if isinstance(value, dict) and set(value) == {"shortest_edge"}:
        value = value["shortest_edge"]
    elif isinstance(value, dict) and set(value) == {"height", "width"}:
        value = [value["height"], value["width"]]
    sizes = value if isinstance(value, list) else [value]
    if len(sizes) > 2 or not sizes or any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"{name} must be a number of pixels, or height and width, not {values[name]!r:.60}.")
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])


def _read_hop(values: dict[str, Any]) -> dict[str, Any]:
    """Find the hop: what the file's writer used, or else what the sample rate gives."""
    if "hop_length" in values:
        return {"hop_length": values["hop_length"]}
    if "sampling_rate" in values or "hop_length_to_sampling_rate" in values:
        return {"hop_length": _compute_their_hop(values)}
    return {}


def _compute_their_hop(values: dict[str, Any]) -> int:
    rate = _read_whole_number(values, "sampling_rate", Config.sample_rate)
    return rate // _read_whole_number(values, "hop_length_to_sampling_rate", HOPS_A_SECOND)


def _read_interpolation(values: dict[str, Any]) -> dict[str, Any]:
    number = values.get("resample")
    is_known = type(number) is int and number in INTERPOLATIONS
    return {"frame_interpolation": INTERPOLATIONS[number]} if is_known else {}


def list_differences_in_sound(values: dict[str, Any]) -> list[str]:
    """Say where our spectrograms will differ from those that their processor makes with these settings."""
    differences = []
    if "hop_length" in values and values["hop_length"] != _compute_their_hop(values):
        theirs, ours = _compute_their_hop(values), values["hop_length"]
        differences.append(f"transformers computes a hop of {theirs} samples from it, and passes over {ours}")
    if values.get("sampling_rate", Config.sample_rate) != Config.sample_rate:
        differences.append(
            f"mel filters end at {MEL_EDGE} Hz in transformers, and at half the sample rate here"
        )
    return differences


def list_differences_in_frames(values: dict[str, Any], config: Config) -> list[str]:
    """Say where our frames will differ from those that their processor makes with these settings."""
    differences, (H, W) = [], config.image_shape
    if not values.get("do_resize", True):
        differences.append("frames are not resized in transformers, but here")
    elif "size" in values and not (H == W == _read_size(values, "size")):
        size = _read_size(values, "size")
        differences.append(
            f"frames are resized to {size} in transformers, and here until they just cover {(H, W)}"
        )
    if not values.get("do_center_crop", True):
        differences.append(f"frames are not cropped in transformers, and here to {(H, W)}")
    if "resample" in values and not _read_interpolation(values):
        differences.append(
            f"frames are interpolated by Pillow's method {values['resample']!r:.20} in transformers, and "
            f"{config.frame_interpolation} here"
        )
    low, high = find_pixel_range(values)
    if not (math.isclose(low, -1, rel_tol=1e-6) and math.isclose(high, 1, rel_tol=1e-6)):
        differences.append(
            f"pixels from 0 to 255 become {low:.4g} to {high:.4g} in transformers, and -1 to 1 here"
        )
    return differences


def find_pixel_range(values: dict[str, Any]) -> tuple[float, float]:
    """Compute what 0 and 255 become in their processor; of several channels, the one furthest from -1 and 1.

    >>> find_pixel_range({"do_normalize": False})
    (0.0, 1.0)
    """
    factor = _read_numbers(values, "rescale_factor", 1 / 255)[0] if values.get("do_rescale", True) else 1.0
    means, deviations = [0.0], [1.0]
    if values.get("do_normalize", True):
        means, deviations = _read_numbers(values, "image_mean", 0.5), _read_numbers(values, "image_std", 0.5)
    count = max(len(means), len(deviations))
    pairs = zip((means * count)[:count], (deviations * count)[:count], strict=True)
    ranges = [(-mean / deviation, (255 * factor - mean) / deviation) for mean, deviation in pairs]
    return max(ranges, key=lambda ends: abs(ends[0] + 1) + abs(ends[1] - 1))


def _read_numbers(values: dict[str, Any], name: str, default: float) -> list[float]:
    value = values.get(name, default)
    numbers = value if isinstance(value, list) and value else [value]
    if not all((type(each) in (int, float) and 1e-9 < abs(each) < 1e9) or each == 0.0 for each in numbers):
        raise ValueError(f"{name} must be numbers of ordinary size, not {value!r:.60}.")
    if name == "image_std" and 0.0 in numbers:
        raise ValueError(f"{name} must not be 0: pixels are divided by it.")
    return [float(each) for each in numbers]


def describe_preprocessor(config: Config) -> dict[str, Any]:
    """Give the content of a `preprocessor_config.json` that both processors, and we, read."""
    (H, W), C = config.image_shape, config.num_image_channels
    sound = {
        "feature_extractor_type": "TvltFeatureExtractor",
        "feature_size": config.frequency_length,
        "hop_length": config.hop_length,
        "hop_length_to_sampling_rate": max(1, config.sample_rate // config.hop_length),
        "num_channels": config.num_audio_channels,
        "patch_size": list(config.audio_patch_size),
        "return_attention_mask": True,
    }
    frames = {
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
    both = {theirs: getattr(config, ours) for theirs, ours in SAME_MEANING.items()}
    rest = {
        name: getattr(config, name) for name in OURS_ALONE if getattr(config, name) != getattr(Config, name)
    }
    return {"processor_class": "TvltProcessor", **both, **sound, **frames, **rest}


def list_what_preprocessors_miss(config: Config) -> list[str]:
    """Say where their processors, with the file that we write for them, will differ from our processing."""
    values = describe_preprocessor(config)
    differences = list_differences_in_sound(values) + list_differences_in_frames(values, config)
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
