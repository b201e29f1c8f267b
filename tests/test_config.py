"""The configuration: the published values, and a sentence for every value that cannot be."""

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
    ("name", "value", "said"),
    [
        ("image_size", 0, "positive whole number or"),
        ("image_size", (32, 0), "positive whole number or"),
        ("image_size", 32.0, "positive whole number or"),
        ("image_patch_size", 0, "pair of positive whole numbers"),
        ("image_patch_size", True, "pair of positive whole numbers"),
        ("image_patch_size", (16, 16, 3), "pair of positive whole numbers"),
        ("audio_patch_size", (-2, 128), "pair of positive whole numbers"),
        ("num_frames", 0, "positive whole number"),
        ("num_frames", True, "positive whole number"),
        ("hidden_size", "768", "positive whole number"),
        ("sample_rate", -44100, "positive whole number"),
        ("initializer_range", "small", "a number"),
        ("initializer_range", -0.1, "at least 0"),
        ("initializer_range", float("nan"), "finite"),
        ("layer_norm_eps", 0.0, "between 0 and 1"),
        ("qkv_bias", 1, "True or False"),
        ("audio_mask_type", 3, "a word"),
        ("audio_mask_type", "patch_level", "frame-level, patch-level, speech-span"),
        ("pixel_mask_ratio", 1.0, "at least 0 and below 1"),
        ("audio_mask_ratio", -0.01, "at least 0 and below 1"),
        ("audio_mask_ratio", float("nan"), "at least 0 and below 1"),
        ("matching_weight", -1.0, "at least 0"),
        ("mae_weight", float("inf"), "finite"),
        ("hidden_act", "relu", "'gelu' only"),
        ("hidden_dropout_prob", 0.1, "0.0 only"),
        ("attention_probs_dropout_prob", 0.1, "0.0 only"),
        ("image_size", (224, 225), "width.* 225 is not a multiple of .*16"),
        ("image_size", (225, 224), "height.* 225 is not a multiple of .*16"),
        ("spectrogram_length", 2050, "2050 is not a multiple of .*16"),
        ("frequency_length", 100, "100 is not a multiple of .*16"),
        ("hidden_size", 770, "770 is not a multiple of num_attention_heads 12"),
        ("decoder_hidden_size", 520, "520 is not a multiple of decoder_num_attention_heads 16"),
        ("hop_length", 4096, "hop_length 4096 is longer than window_length 2048"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name, value, said):
    with annotations_unchecked(), pytest.raises(ValueError, match=said) as error:
        Config(**{name: value})
    assert name.split("_")[0] in str(error.value)


def test_no_task_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Config(task_matching=False, task_mae=False)


def test_a_misspelt_name_is_answered_with_the_nearest_one():
    with pytest.raises(ValueError, match="'hiden_size': did you mean 'hidden_size'"):
        Config.from_dict({"hiden_size": 64})
    with pytest.raises(ValueError, match=r"'zzz'.*the fields are image_size, num_frames"):
        Config.from_dict({"zzz": 1})
    with pytest.raises(ValueError, match="num_frames"):
        Config().replace(num_frame=3)


@pytest.mark.parametrize("config", [Config(), Config.tiny(), Config.small(), Config.paper()])
def test_a_configuration_survives_json(config):
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_recipe_of_the_paper():
    paper = Config.paper()
    assert (paper.pixel_mask_ratio, paper.audio_mask_ratio, paper.audio_mask_type) == (
        0.75,
        0.75,
        "speech-span",
    )
    assert (paper.matching_weight, paper.mae_weight) == (1.0, 0.3)
    assert Config.paper(mae_weight=0.5).mae_weight == 0.5


def test_what_follows_from_the_sizes():
    config = Config(
        image_size=(48, 32), image_patch_size=(16, 8), audio_patch_size=(2, 128), spectrogram_length=862
    )
    assert config.image_shape == (48, 32)
    assert config.image_grid == (3, 4)
    assert config.audio_grid == (431, 1)
    assert config.clip_seconds == pytest.approx(10.0, abs=0.01)
    assert Config(image_size=32).image_shape == (32, 32)


def test_one_number_for_a_patch_size_means_a_square():
    config = Config.from_dict({"image_patch_size": 32, "audio_patch_size": 8})
    assert config == Config(image_patch_size=(32, 32), audio_patch_size=(8, 8))


def test_presets_may_be_changed_and_are_checked():
    assert Config.tiny(num_frames=5).num_frames == 5
    assert Config.small(hidden_size=192, num_attention_heads=3).hidden_size == 192
    with pytest.raises(ValueError, match="multiple"):
        Config.tiny(image_size=25)


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().num_frames = 3
    assert Config().replace(num_frames=3).num_frames == 3
