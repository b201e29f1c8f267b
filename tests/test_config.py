"""The configuration: published values, presets, and an error that names the field for every invalid value."""

import dataclasses
import json

import pytest

from minitvlt.config import Config
from tests.helpers.annotations import annotations_unchecked


def test_the_defaults_are_the_published_ones():
    transformers = pytest.importorskip("transformers")
    theirs = transformers.TvltConfig()
    shared = [field for field in dataclasses.fields(Config) if hasattr(theirs, field.name)]
    assert len(shared) >= 27
    for field in shared:
        ours, published = getattr(Config(), field.name), getattr(theirs, field.name)
        assert ours == (tuple(published) if isinstance(published, list) else published), field.name
    assert Config().final_norm is not theirs.use_mean_pooling


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("image_size", 0, "a positive integer or a pair"),
        ("image_size", (32, 0), "a positive integer or a pair"),
        ("image_size", 32.0, "a positive integer or a pair"),
        ("image_patch_size", 0, "a positive integer or a pair"),
        ("image_patch_size", True, "a positive integer or a pair"),
        ("image_patch_size", (16, 16, 3), "a positive integer or a pair"),
        ("audio_patch_size", (-2, 128), "a positive integer or a pair"),
        ("num_frames", 0, "a positive integer"),
        ("num_frames", True, "a positive integer"),
        ("hidden_size", "768", "a positive integer"),
        ("sample_rate", -44100, "a positive integer"),
        ("initializer_range", "small", "finite"),
        ("initializer_range", -0.1, "at least 0"),
        ("initializer_range", float("nan"), "finite"),
        ("layer_norm_eps", 0.0, "between 0 and 1"),
        ("qkv_bias", 1, "True or False"),
        ("audio_mask_type", 3, "one of frame-level"),
        ("audio_mask_type", "patch_level", "frame-level, patch-level, speech-span"),
        ("pixel_mask_ratio", 1.0, "at least 0 and below 1"),
        ("audio_mask_ratio", -0.01, "at least 0 and below 1"),
        ("audio_mask_ratio", float("nan"), "at least 0 and below 1"),
        ("matching_weight", -1.0, "at least 0"),
        ("mae_weight", float("inf"), "finite"),
        ("hidden_act", "relu", "must be gelu"),
        ("hidden_dropout_prob", 0.1, "must be 0.0"),
        ("attention_probs_dropout_prob", 0.1, "must be 0.0"),
        ("image_size", (224, 225), "width.* 225 is not a multiple of .*16"),
        ("image_size", (225, 224), "height.* 225 is not a multiple of .*16"),
        ("spectrogram_length", 2050, "2050 is not a multiple of .*16"),
        ("frequency_length", 100, "100 is not a multiple of .*16"),
        ("hidden_size", 770, "770 is not a multiple of num_attention_heads 12"),
        ("decoder_hidden_size", 520, "520 is not a multiple of decoder_num_attention_heads 16"),
        ("hop_length", 4096, "hop_length 4096 is longer than window_length 2048"),
    ],
)
def test_an_invalid_value_is_refused_by_name(name, value, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected) as error:
        Config(**{name: value})
    assert name.split("_")[0] in str(error.value)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config)])
def test_every_field_is_checked(name):
    with annotations_unchecked(), pytest.raises(ValueError, match=f"{name} must be .*, not None"):
        Config(**{name: None})


def test_a_model_without_pretraining_task_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Config(task_matching=False, task_mae=False)


def test_the_error_for_an_unknown_name_suggests_the_most_similar_field():
    with pytest.raises(ValueError, match="'hiden_size': did you mean 'hidden_size'"):
        Config.from_dict({"hiden_size": 64})
    with pytest.raises(ValueError, match=r"'zzz'.*the fields are image_size, num_frames"):
        Config.from_dict({"zzz": 1})
    with pytest.raises(ValueError, match="num_frames"):
        Config().replace(num_frame=3)


@pytest.mark.parametrize("preset", ["huggingface", "original", "paper", "small", "tiny"])
def test_a_configuration_is_equal_after_json(preset):
    config = getattr(Config, preset)()
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_pretraining_settings_of_the_paper():
    paper = Config.paper()
    assert (paper.pixel_mask_ratio, paper.audio_mask_ratio) == (0.75, 0.75)
    assert paper.audio_mask_type == "speech-span"
    assert (paper.matching_weight, paper.mae_weight) == (1.0, 0.3)
    assert Config.paper(mae_weight=0.5).mae_weight == 0.5


def test_grids_and_duration_follow_from_the_sizes():
    config = Config(
        image_size=(48, 32), image_patch_size=(16, 8), audio_patch_size=(2, 128), spectrogram_length=862
    )
    assert config.image_shape == (48, 32)
    assert config.image_grid == (3, 4)
    assert config.audio_grid == (431, 1)
    assert config.clip_seconds == pytest.approx(10.0, abs=0.01)
    assert Config(image_size=32).image_shape == (32, 32)


def test_a_single_number_for_a_patch_size_means_a_square():
    config = Config.from_dict({"image_patch_size": 32, "audio_patch_size": 8})
    assert config == Config(image_patch_size=(32, 32), audio_patch_size=(8, 8))


def test_presets_accept_changes_and_are_checked():
    assert Config.tiny(num_frames=5).num_frames == 5
    assert Config.small(hidden_size=192, num_attention_heads=3).hidden_size == 192
    with pytest.raises(ValueError, match="multiple"):
        Config.tiny(image_size=25)


def test_a_configuration_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().num_frames = 3
    assert Config().replace(num_frames=3).num_frames == 3
