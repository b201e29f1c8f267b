"""The configuration: published values, presets, and an error that names the field for every invalid value."""

import dataclasses
import json

import pytest

from minitvlt.config import Config
from tests.helpers.annotations import annotations_unchecked

PRESETS = [Config.huggingface(), Config.original(), Config.paper(), Config.small(), Config.tiny()]


def test_the_defaults_are_the_published_ones():
    theirs = pytest.importorskip("transformers").TvltConfig()
    shared = [field.name for field in dataclasses.fields(Config) if hasattr(theirs, field.name)]
    assert len(shared) >= 27
    for name in shared:
        ours, published = getattr(Config(), name), getattr(theirs, name)
        assert ours == (tuple(published) if isinstance(published, list) else published), name
    assert Config().final_norm is not theirs.use_mean_pooling


def test_the_pretraining_settings_of_the_paper():
    paper = Config.paper()
    assert (paper.pixel_mask_ratio, paper.audio_mask_ratio) == (0.75, 0.75)
    assert paper.audio_mask_type == "speech-span"
    assert (paper.matching_weight, paper.mae_weight) == (1.0, 0.3)
    assert Config.paper(mae_weight=0.5).mae_weight == 0.5


@pytest.mark.parametrize("config", PRESETS)
def test_a_configuration_is_equal_after_json(config):
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_grids_and_duration_follow_from_the_sizes():
    sizes = {"image_patch_size": (16, 8), "audio_patch_size": (2, 128), "spectrogram_length": 862}
    config = Config(image_size=(48, 32), **sizes)
    assert (config.image_shape, config.image_grid, config.audio_grid) == ((48, 32), (3, 4), (431, 1))
    assert config.clip_seconds == pytest.approx(10.0, abs=0.01)
    squares = Config.from_dict({"image_size": 64, "image_patch_size": 32, "audio_patch_size": 8})
    assert squares.image_shape == (64, 64)
    assert squares == Config(image_size=64, image_patch_size=(32, 32), audio_patch_size=(8, 8))


def test_a_configuration_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().num_frames = 3
    assert Config().replace(num_frames=3).num_frames == 3


# ---- bad input

PAIR = "a positive integer or a pair"
INVALID = [
    *(("image_size", value, PAIR) for value in (0, (32, 0), 32.0)),
    *(("image_patch_size", value, PAIR) for value in (True, (16, 16, 3), (-2, 8))),
    *(("num_frames", value, "a positive integer") for value in (0, True, "8")),
    *(("initializer_range", value, "finite and at least 0") for value in ("small", -0.1, float("nan"))),
    *(("layer_norm_eps", value, "between 0 and 1") for value in (0.0, 1)),
    *(("pixel_mask_ratio", value, "at least 0 and below 1") for value in (1.0, -0.01, float("nan"))),
    ("mae_weight", float("inf"), "finite"),
    ("qkv_bias", 1, "True or False"),
    ("audio_mask_type", "patch_level", "frame-level, patch-level, speech-span"),
    ("hidden_act", "relu", "must be gelu"),
    ("hidden_dropout_prob", 0.1, "must be 0.0"),
    ("image_size", (224, 225), r"\(224, 225\) is not a multiple of image_patch_size \(16, 16\)"),
    ("image_size", (225, 224), r"\(225, 224\) is not a multiple of image_patch_size"),
    ("spectrogram_length", 2050, r"\(2050, 128\) is not a multiple of audio_patch_size \(16, 16\)"),
    ("frequency_length", 100, r"\(2048, 100\) is not a multiple of audio_patch_size"),
    ("hidden_size", 10**30, "0 is not a multiple of num_attention_heads 12"),
    ("hidden_size", 770, "770 is not a multiple of num_attention_heads 12"),
    ("decoder_hidden_size", 520, "520 is not a multiple of decoder_num_attention_heads 16"),
    ("hop_length", 4096, r"at least 4 and hop_length \(4096\), not 2048"),
    *(("window_length", value, "window_length must be even and at least 4") for value in (2047, 2)),
    *((field.name, None, f"{field.name} must be .*, not None") for field in dataclasses.fields(Config)),
]


@pytest.mark.parametrize(("name", "value", "expected"), INVALID)
def test_an_invalid_value_is_refused_by_name(name, value, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected) as error:
        Config(**{name: value})
    assert name.split("_")[0] in str(error.value)


def test_contradictions_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        Config(task_matching=False, task_mae=False)
    with pytest.raises(ValueError, match="'hiden_size': did you mean 'hidden_size'"):
        Config.from_dict({"hiden_size": 64})
    with pytest.raises(ValueError, match=r"'zzz'.*the fields are image_size, num_frames"):
        Config.from_dict({"zzz": 1})
    with pytest.raises(ValueError, match="num_frames"):
        Config().replace(num_frame=3)
    with pytest.raises(ValueError, match="multiple"):
        Config.tiny(image_size=25)
