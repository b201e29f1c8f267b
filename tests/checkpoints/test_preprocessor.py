"""`preprocessor_config.json`: what it says is done here, what differs is named, and nonsense is refused."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.checkpoints.preprocessor import (
    FILE_NAME,
    describe_preprocessor,
    list_what_preprocessors_miss,
    read_preprocessor,
)
from minitvlt.config import Config
from minitvlt.files import write_json
from minitvlt.signals.prepare import prepare_audio, prepare_video
from tests.helpers.annotations import annotations_unchecked

CONFIG = Config()


def read(values: dict[str, Any], folder: Path, config: Config = CONFIG) -> Config:
    write_json(values, folder / FILE_NAME)
    return read_preprocessor(folder / FILE_NAME, config)


def find_changes(after: Config, before: Config = CONFIG) -> dict[str, Any]:
    values = before.to_dict()
    return {name: value for name, value in after.to_dict().items() if value != values[name]}


# ----------------------------------------------------------------------------------------------- what is read

READ: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "frames": ({"num_frames": 4}, {"num_frames": 4}),
    "length": ({"spectrogram_length": 1024}, {"spectrogram_length": 1024}),
    "window": ({"n_fft": 1024}, {"window_length": 1024}),
    "padding": ({"padding_value": -1.0}, {"audio_padding_value": -1.0}),
    "hop": ({"hop_length_to_sampling_rate": 100}, {"hop_length": 441}),
    "bicubic": ({"resample": 3}, {"frame_interpolation": "bicubic"}),
    "bilinear": ({"resample": 2}, {}),
    "mean": ({"remove_waveform_mean": True}, {"remove_waveform_mean": True}),
    "borders": ({"stft_padding": "constant"}, {"stft_padding": "constant"}),
    "last step": ({"drop_last_step": False}, {"drop_last_step": False}),
    "crop first": ({"frame_crop": "before-resizing"}, {"frame_crop": "before-resizing"}),
    "others": ({"padding_side": "right", "freq_len": 8, "return_attention_mask": True}, {}),
    "a number for each channel": ({"image_mean": [0.5] * 3, "image_std": 0.5}, {}),
    "sizes": ({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}, {}),
    "sizes as numbers": ({"size": 224, "crop_size": [224, 224]}, {}),
    "the frames' patches": ({"patch_size": [16, 16]}, {}),
}


@pytest.mark.parametrize(("values", "changes"), READ.values(), ids=READ)
def test_what_the_file_says_is_done_here(values, changes, tmp_path):
    assert find_changes(read(values, tmp_path)) == changes


def test_a_sample_rate_brings_its_hop(tmp_path):
    with pytest.warns(UserWarning, match="mel filters end at 22050 Hz in transformers"):
        config = read({"sampling_rate": 16000}, tmp_path)
    assert (config.sample_rate, config.hop_length) == (16000, 16000 // 86)


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "hop": ({"hop_length": 500}, "the hop is 512 samples in transformers, and 500 here"),
    "no resizing": ({"do_resize": False}, "do_resize=False, which is True here"),
    "size": (
        {"size": 256},
        r"frames are resized to 256 in transformers, and to just cover \(224, 224\) here",
    ),
    "both edges": (
        {"size": {"height": 200, "width": 300}},
        r"frames are resized to \(200, 300\) in transformers",
    ),
    "no crop": ({"do_center_crop": False, "crop_size": 7}, "do_center_crop=False, which is True here"),
    "Lanczos": ({"resample": 1}, "resample=1, which is bilinear here"),
    "a word": ({"resample": "bicubic"}, "resample='bicubic', which is bilinear here"),
    "no rescaling": ({"do_rescale": False}, "do_rescale=False, which is True here"),
    "rescaling": ({"rescale_factor": 0.5}, "rescale_factor=0.5, which is 0.0039"),
    "no normalisation": ({"do_normalize": False}, "do_normalize=False, which is True here"),
    "ImageNet": (
        {"image_mean": [0.485, 0.456, 0.406]},
        r"image_mean=\[0.485, 0.456, 0.406\], which is \[0.5, 0.5, 0.5\] here",
    ),
    "deviation": ({"image_std": 1.0}, r"image_std=1.0, which is \[0.5, 0.5, 0.5\] here"),
}


@pytest.mark.parametrize(("values", "message"), WARNED.values(), ids=WARNED)
def test_what_is_done_otherwise_here_is_named(values, message, tmp_path):
    with pytest.warns(UserWarning, match=rf"What .*{FILE_NAME} says is not all done alike here: {message}"):
        read(values, tmp_path)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another processor": ({"processor_class": "CLIPProcessor"}, "processor_class is 'CLIPProcessor'"),
    "another extractor": ({"feature_extractor_type": "WhisperFeatureExtractor"}, "is 'WhisperFeatureEx"),
    "another image processor": ({"image_processor_type": "ViTImageProcessor"}, "is 'ViTImageProcessor'"),
    "other patches": ({"patch_size": [8, 8]}, r"patch_size is \[8, 8\], .* asks for \[16, 16\]"),
    "other bins": ({"feature_size": 80}, "feature_size is 80, but the model's configuration asks for 128"),
    "other channels": ({"num_channels": 2}, "num_channels is 2, but .* asks for 1"),
    "another crop": ({"crop_size": 256}, r"crop_size is \(256, 256\), but the model takes frames of"),
    "no size": ({"size": {"longest_edge": 5}}, "size must be a number of pixels, .* not {'longest_edge': 5}"),
    "three sizes": ({"size": [1, 2, 3]}, r"size must be .* not \[1, 2, 3\]"),
    "no crop size": ({"crop_size": None}, "crop_size must be a number of pixels"),
    "a negative crop": ({"crop_size": [-3, 4]}, "crop_size must be a number of pixels"),
    "half a rate": ({"sampling_rate": 0.5}, "must be positive whole numbers, not 0.5 and 86"),
    "no rate": ({"sampling_rate": 0}, "must be positive whole numbers, not 0 and 86"),
    "no hops": ({"hop_length_to_sampling_rate": 0}, "not 44100 and 0"),
    "many hops": (
        {"hop_length_to_sampling_rate": 10**9},
        "hop_length must be a positive integer, not 0",
    ),
    "a hop in words": ({"hop_length": "512"}, "hop_length must be a positive integer, not '512'"),
    "no frames": ({"num_frames": 0}, "num_frames must be a positive integer"),
    "a broken length": ({"spectrogram_length": 1000}, "1000 is not a multiple of audio_patch_size"),
    "an odd window": ({"n_fft": 1023}, "window_length must be an even number"),
    "no padding": ({"padding_value": float("nan")}, "audio_padding_value must be a finite number"),
    "another crop order": ({"frame_crop": "never"}, "frame_crop must be one of after-resizing"),
}


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED)
def test_values_that_make_no_sense_are_refused(values, message, tmp_path):
    with annotations_unchecked(), pytest.raises(ValueError, match=message) as caught:
        read(values, tmp_path)
    assert str(tmp_path / FILE_NAME) in str(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(values=st.dictionaries(st.sampled_from(sorted(describe_preprocessor(CONFIG))), anything, max_size=4))
def test_any_values_give_a_configuration_or_a_clear_error(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    with annotations_unchecked(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read(values, folder)
        except ValueError as error:
            assert FILE_NAME in str(error)


# -------------------------------------------------------------------------------------------- what is written

CONFIGS = {
    "the port": Config(),
    "the released code": Config.original(),
    "tiny": Config.tiny(),
    "oblong": Config(image_size=(96, 64), num_frames=3, sample_rate=16000, hop_length=160),
    "bands": Config(audio_patch_size=(2, 128), audio_padding_value=-1.0),
}
FIELDS = (
    "num_frames",
    "spectrogram_length",
    "sample_rate",
    "window_length",
    "hop_length",
    "audio_padding_value",
    "remove_waveform_mean",
    "stft_padding",
    "drop_last_step",
    "frame_crop",
    "frame_interpolation",
)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_is_written_comes_back(config, tmp_path):
    """A configuration that says nothing about processing gets all of it back."""
    silent = config.replace(
        **{name: getattr(Config, name) for name in FIELDS if name != "spectrogram_length"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read(describe_preprocessor(config), tmp_path, silent) == config


MISSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "mean": ({"remove_waveform_mean": True}, ["remove_waveform_mean=True is unknown to its processors"]),
    "last step": ({"drop_last_step": False}, ["drop_last_step=False is unknown to its processors"]),
    "padding": ({"stft_padding": "constant"}, ["stft_padding='constant' is unknown to its processors"]),
    "crop": (
        {"frame_crop": "before-resizing"},
        ["frame_crop='before-resizing' is unknown to its processors"],
    ),
    "a hop that they can say": ({"hop_length": 441}, []),
    "a hop that they cannot": ({"hop_length": 511}, ["the hop is 512 samples in transformers, and 511 here"]),
    "oblong": (
        {"image_size": (32, 64)},
        ["frames are resized to 64 in transformers, and to just cover (32, 64) here"],
    ),
    "patches": (
        {"audio_patch_size": (2, 128)},
        [
            "one patch_size serves both processors, so the frames' masks are made for patches of 2 pixels "
            "unless you hand TvltImageProcessor patch_size=[16, 16]"
        ],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), MISSED.values(), ids=MISSED)
def test_what_their_processors_miss_is_named(changes, expected):
    assert list_what_preprocessors_miss(CONFIG.replace(**changes)) == expected


# ------------------------------------------------------------------------------------------- their processors


def load_processor(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
    return transformers.TvltProcessor.from_pretrained(folder)


def test_the_file_that_their_processors_write_is_read(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
    image, sound = transformers.TvltImageProcessor(num_frames=5), transformers.TvltFeatureExtractor()
    image.save_pretrained(tmp_path / "image")
    sound.save_pretrained(tmp_path / "sound")
    for name, changes in (("image", {"num_frames": 5}), ("sound", {})):
        assert find_changes(read_preprocessor(tmp_path / name / FILE_NAME, CONFIG)) == changes


def test_their_processors_make_the_same_clip_of_what_is_written(tmp_path):
    """Square frames, a short sound: numbers and masks, from the one file."""
    config = Config(image_size=32, num_frames=3, spectrogram_length=64, audio_padding_value=-1.0)
    write_json(describe_preprocessor(config), tmp_path / FILE_NAME)
    processor, rng = load_processor(tmp_path), np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
    waveform = rng.standard_normal(9000).astype(np.float32) / 9
    theirs = processor(images=list(frames), audio=waveform, sampling_rate=44100, return_tensors="np")
    video, _ = prepare_video([frames], config)
    audio, _ = prepare_audio([waveform], 44100, config)
    np.testing.assert_allclose(video / 2, theirs["pixel_values"] / 2, atol=1.01 / 255)
    np.testing.assert_allclose(audio, theirs["audio_values"][:, :, : audio.shape[2]], atol=1e-4)


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # theirs, at low rates
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_their_processors_take_every_file_of_ours(config, tmp_path):
    write_json(describe_preprocessor(config), tmp_path / FILE_NAME)
    processor = load_processor(tmp_path)
    H, W = config.image_shape
    assert processor.image_processor.num_frames == config.num_frames
    assert processor.image_processor.crop_size == {"height": H, "width": W}
    assert processor.feature_extractor.spectrogram_length == config.spectrogram_length
    assert processor.feature_extractor.feature_size == config.frequency_length
    assert processor.feature_extractor.n_fft == config.window_length
    assert json.loads((tmp_path / FILE_NAME).read_text())["hop_length"] == config.hop_length
