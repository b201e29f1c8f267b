"""A folder of transformers becomes parameters, and parameters a folder that transformers loads."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from minitvlt.backends import flatten, map_tree, to_backend
from minitvlt.checkpoints.huggingface import (
    PROCESSING_FILE,
    from_huggingface,
    parse_processing,
    to_huggingface,
)
from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import score_matches
from minitvlt.model.tasks import classify
from minitvlt.model.tvlt import forward
from minitvlt.signals.prepare import prepare_audio, prepare_video
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import draw_clips, draw_mask, draw_params
from tests.helpers.peers import make_theirs, transformers
from tests.helpers.released import CONFIG, list_changes

SIZES = list_changes(CONFIG)
MODEL, PRETRAINING, CLASSIFIER = KINDS = (
    "TvltModel",
    "TvltForPreTraining",
    "TvltForAudioVisualClassification",
)
on_every_class = pytest.mark.parametrize("kind", KINDS)


def save_theirs(kind: str, folder: Path, is_safe: bool = True, **changes: Any) -> Any:
    theirs = make_theirs(kind, SIZES | changes, 7)
    theirs.save_pretrained(folder, safe_serialization=is_safe)
    return theirs


def make_ours(kind: str = PRETRAINING, **changes: Any) -> Params:
    """Make random parameters with the parts that a class of transformers has."""
    parts = ("classifier",) if kind == CLASSIFIER else ()
    params = draw_params(CONFIG.replace(**changes), np.random.default_rng(3), *parts)
    params = to_backend(params, "numpy", dtype="float32")
    return params if kind == PRETRAINING else replace(params, decoder=None, matching=None)


def load_theirs(kind: str, folder: Path) -> Any:
    """Load a folder with transformers, which must find every array that it needs and no other."""
    theirs, report = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return theirs.eval()


def assert_same(ours: Params, theirs: Params) -> None:
    assert ours.config == theirs.config
    assert_trees_close(ours, theirs, rtol=0, atol=0)
    assert {array.dtype for array in flatten(ours).values()} == {np.dtype(np.float32)}


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ----------------------------------------------------------------------------------------- arrays and outputs


def compute_theirs(theirs: Any, *inputs: np.ndarray | None) -> np.ndarray:
    """Compute what a model of transformers gives for clips: tokens, matching scores or logits."""
    tensors = [None if each is None else torch.from_numpy(each) for each in inputs]
    with torch.no_grad():
        if isinstance(theirs, transformers.TvltModel):
            return theirs.eval()(*tensors).last_hidden_state[:, 0].numpy()
        if isinstance(theirs, transformers.TvltForPreTraining):
            return theirs.eval().matching_head(theirs.tvlt(*tensors).last_hidden_state)[:, 0].numpy()
        return theirs.eval()(*tensors).logits.numpy()


def compute_ours(ours: Params, *inputs: np.ndarray | None) -> np.ndarray:
    if ours.classifier is not None:
        return classify(ours, *inputs)
    return forward(ours, *inputs).cls if ours.matching is None else score_matches(ours, *inputs)


ROUND_TRIPS = {
    "plain": {},
    "long tables": {"num_frames": 64, "spectrogram_length": 46},
    "no norm, no bias": {"use_mean_pooling": True, "qkv_bias": False, "layer_norm_eps": 1e-3},
}


@on_every_class
@pytest.mark.parametrize("changes", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_a_model_of_transformers_gives_the_same_here_and_comes_back_with_the_same_bytes(
    kind, changes, tmp_path
):
    theirs = save_theirs(kind, tmp_path / "theirs", **changes)
    ours = from_huggingface(tmp_path / "theirs")
    rng = np.random.default_rng(2)
    inputs = [each.astype(np.float32) for each in draw_clips(CONFIG, rng, 3, 3, 5)]
    inputs += [draw_mask(rng, 3, 3, 9), draw_mask(rng, 3, 5, 4)]
    found, expected = compute_ours(ours, *inputs), compute_theirs(theirs, *inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    back = load_theirs(kind, to_huggingface(ours, tmp_path / "ours"))
    first, second = theirs.state_dict(), back.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    again, before = back.config.to_dict(), load_theirs(kind, tmp_path / "theirs").config.to_dict()
    assert {name for name in again if again[name] != before.get(name)} <= {"_name_or_path", "torch_dtype"}
    assert again["architectures"] == [kind]


@on_every_class
@on_every_backend
def test_ours_come_back_from_every_backend(kind, backend, tmp_path):
    params = make_ours(kind, num_labels=3)
    folder = to_huggingface(to_backend(params, backend.name, device=backend.device), tmp_path / "folder")
    assert_same(from_huggingface(folder), params)
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
    assert load_theirs(kind, folder).config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


@pytest.mark.parametrize("is_safe", [True, False], ids=["safetensors", "torch"])
@on_every_class
def test_weights_in_parts_and_in_half_precision_are_read_as_float32(kind, is_safe, tmp_path):
    theirs = save_theirs(kind, tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", safe_serialization=is_safe, max_shard_size="2KB")
    assert len(list((tmp_path / "parts").glob("*-of-*"))) > 2
    assert_same(from_huggingface(tmp_path / "parts"), from_huggingface(tmp_path / "whole"))
    exact = from_huggingface(tmp_path / "whole")
    for half in (theirs.bfloat16, theirs.half):
        half().save_pretrained(tmp_path / "half", safe_serialization=is_safe)
        found = from_huggingface(tmp_path / "half")
        assert_trees_close(found, exact, rtol=2**-8, atol=1e-3)
        assert {array.dtype for array in flatten(found).values()} == {np.dtype(np.float32)}


def split_folder(folder: Path) -> dict[str, str]:
    """Write a model in two files of arrays; return which array is in which."""
    save_theirs(MODEL, folder)
    arrays, _ = load_arrays(folder / "model.safetensors")
    files = {name: f"{'ab'[i % 2]}.safetensors" for i, name in enumerate(arrays)}
    for file in set(files.values()):
        save_arrays({name: arrays[name] for name in arrays if files[name] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    return files


INDEXES: dict[str, tuple[Callable[[dict[str, str]], Any], str]] = {
    "outside": (lambda files: files | {"layernorm.bias": "../secret.safetensors"}, "files in this folder"),
    "of a list": (lambda files: list(files), "files in this folder"),
    "empty": (lambda files: {}, "files in this folder"),
    "endless": (lambda files: files | {"layernorm.bias": 300 * "a"}, "files in this folder"),
    "a part is missing": (
        lambda files: files | {"layernorm.bias": "c.safetensors"},
        "c.safetensors is not there",
    ),
    "the folder above": (lambda files: files | {"layernorm.bias": ".."}, "is a folder"),
    "another name": (lambda files: files | {"norm.bias": "a.safetensors"}, "its files lack: norm.bias"),
    "another file": (
        lambda files: {name: "ab"[file[0] == "a"] + file[1:] for name, file in files.items()},
        "its files lack: audio_embeddings.*",
    ),
}


@pytest.mark.parametrize(("change", "message"), INDEXES.values(), ids=INDEXES)
def test_a_list_of_parts_that_is_wrong_is_refused(change, message, tmp_path):
    files = split_folder(tmp_path / "model")
    index = tmp_path / "model" / "model.safetensors.index.json"
    save_arrays({"layernorm.bias": np.ones(10, np.float32)}, tmp_path / "secret.safetensors")
    index.write_text(json.dumps({"weight_map": files}))
    assert from_huggingface(tmp_path / "model").config == CONFIG
    index.write_text(json.dumps({"weight_map": change(files)}))
    with pytest.raises(ValueError, match=message) as caught:
        from_huggingface(tmp_path / "model")
    assert str(tmp_path / "model") in str(caught.value)


def test_of_an_array_in_two_parts_the_listed_one_is_taken(tmp_path):
    files = split_folder(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    first = from_huggingface(tmp_path)
    other = "ab"[files["cls_embedding"][0] == "a"] + ".safetensors"
    again = {"cls_embedding": np.ones((1, 1, 10), np.float32)}
    save_arrays(load_arrays(tmp_path / other)[0] | again, tmp_path / other)
    assert_same(from_huggingface(tmp_path), first)


def test_settings_of_transformers_are_understood(tmp_path):
    save_theirs(PRETRAINING, tmp_path, task_mae=False, audio_mask_type="patch_level", use_mean_pooling=True)
    ours = from_huggingface(tmp_path)
    assert ours.decoder is None and ours.encoder.norm is None
    assert ours.config == CONFIG.replace(task_mae=False, audio_mask_type="patch-level", final_norm=False)


def test_position_tables_are_the_models_and_lengths_the_processors(tmp_path):
    """num_frames of config.json is the length of a table; in preprocessor_config.json, that of a clip."""
    params = make_ours(num_frames=64, spectrogram_length=46)
    params = replace(params, config=params.config.replace(num_frames=5, spectrogram_length=12))
    theirs = load_theirs(PRETRAINING, to_huggingface(params, tmp_path / "folder"))
    assert (theirs.config.num_frames, theirs.config.spectrogram_length) == (64, 46)
    processor = transformers.TvltProcessor.from_pretrained(tmp_path / "folder")
    assert processor.image_processor.num_frames == 5
    assert processor.feature_extractor.spectrogram_length == 12
    assert_same(from_huggingface(tmp_path / "folder"), params)


@pytest.mark.parametrize("part", ["decoder", "matching"])
def test_a_part_alone_is_a_task_alone(part, tmp_path):
    folder = to_huggingface(replace(make_ours(), **{part: None}), tmp_path / "folder")
    theirs = load_theirs(PRETRAINING, folder)
    assert (theirs.config.task_mae, theirs.config.task_matching) == (part != "decoder", part != "matching")


# --------------------------------------------------------------------------- what transformers cannot store

RELEASED = list_changes(Config.original(spectrogram_length=Config.spectrogram_length))
LOST: dict[str, tuple[str, dict[str, Any], str]] = {
    "the released code": (
        PRETRAINING,
        RELEASED,
        "'bright-part' here.*silence_is_padding=False there",
    ),
    "token order": (MODEL, {"token_order": "audio-first"}, "token_order='video-first' there"),
    "weights": (PRETRAINING, {"mae_weight": 0.3}, "mae_weight=1.0 there, 0.3 here"),
    "spans": (PRETRAINING, {"audio_mask_type": "speech-span"}, "audio_mask_type='patch-level' there"),
    "hop": (MODEL, {"hop_length": 511}, "hop_length=512 there, 511 here"),
    "sample rate": (MODEL, {"sample_rate": 16000, "hop_length": 160}, "mel filters end at 22050 Hz there"),
    "oblong": (MODEL, {"image_size": (4, 6)}, "frames get a shortest edge of 6 there, and cover 4×6 here"),
    "patches": (MODEL, {"audio_patch_size": (1, 3)}, "masks of frames are for patches of 1 pixels there"),
}


@pytest.mark.filterwarnings("ignore:.*asks for other processing")
@pytest.mark.parametrize(("kind", "changes", "message"), LOST.values(), ids=LOST)
def test_what_transformers_does_differently_is_named_and_comes_back(kind, changes, message, tmp_path):
    params = make_ours(kind, **changes)
    with pytest.warns(UserWarning, match=f"transformers behaves differently.*{message}"):
        to_huggingface(params, tmp_path / "folder")
    load_theirs(kind, tmp_path / "folder")
    if changes == {"audio_mask_type": "speech-span"}:  # has no counterpart
        params = replace(params, config=params.config.replace(audio_mask_type="patch-level"))
    assert_same(from_huggingface(tmp_path / "folder"), params)


def test_clips_longer_than_the_tables_are_named(tmp_path):
    """Here the table is interpolated; transformers has no more positions than rows."""
    params = make_ours()
    params = replace(params, config=CONFIG.replace(num_frames=6, spectrogram_length=16))
    with pytest.warns(UserWarning, match="num_frames=5 there, 6 here; spectrogram_length=14 there, 16 here"):
        to_huggingface(params, tmp_path / "folder")
    assert_same(from_huggingface(tmp_path / "folder"), params)


def test_settings_of_missing_parts_do_not_matter(tmp_path):
    """The decoder's and the classifier's; and a decoder alone needs square patches."""
    others = {"cls_in_autoencoding": False, "mae_weight": 3.0, "classifier_pooler": True, "pooling": "mean"}
    params = make_ours(MODEL, image_patch_size=(2, 3), **others)
    load_theirs(MODEL, to_huggingface(params, tmp_path / "folder"))
    assert_same(from_huggingface(tmp_path / "folder"), params)


def lengthen(params: Params) -> Params:
    """Give one table of the decoder twice as many rows."""
    tables = params.decoder.video_positions
    longer = replace(tables, time=np.concatenate([tables.time] * 2))
    return replace(params, decoder=replace(params.decoder, video_positions=longer))


FOREIGN: dict[str, tuple[Callable[[], Params], str]] = {
    "a ranking head": (lambda: replace(make_ours(), ranking=make_ours().matching), "No class .* 'ranking'"),
    "a pooler": (lambda: make_ours(CLASSIFIER, classifier_pooler=True), "classifier_pooler=False there"),
    "eps": (lambda: make_ours(CLASSIFIER, classifier_norm_eps=1e-5), "classifier_norm_eps=1e-06 there"),
    "a joint decoder": (lambda: make_ours(joint_decoder=True), "joint_decoder=False there, True here"),
    "oblong patches": (lambda: make_ours(image_patch_size=(2, 3)), "predicts square patches, not 2×3"),
    "unequal tables": (
        lambda: lengthen(make_ours()),
        r"decoder.video_positions.time has the shape \(10, 8\), .* says \(5, 8\)",
    ),
    "NaN": (lambda: map_tree(lambda x: x * np.float32(np.nan), make_ours()), "encoder.cls: 10 of 10 values"),
    "an array too many": (
        lambda: replace(make_ours(), config=CONFIG.replace(qkv_bias=False)),
        "has arrays that its configuration does not: encoder.blocks.0.attention.qkv.bias",
    ),
    "too large": (
        lambda: map_tree(lambda x: x.astype(np.float64) * 1e300, make_ours(MODEL)),
        "cls_embedding, in float32: 10 of 10 values are NaN or infinite",
    ),
}


@pytest.mark.parametrize(("make", "message"), FOREIGN.values(), ids=FOREIGN)
def test_what_transformers_cannot_hold_is_refused_with_a_reason(make, message, tmp_path):
    params = make()
    with pytest.raises(ValueError, match=message):
        to_huggingface(params, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------- preprocessor_config.json

READ: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "lengths": ({"num_frames": 4, "spectrogram_length": 8}, {"num_frames": 4, "spectrogram_length": 8}),
    "window": ({"n_fft": 1024}, {"window_length": 1024}),
    "padding": ({"padding_value": -1.0}, {"audio_padding_value": -1.0}),
    "hop": ({"hop_length_to_sampling_rate": 100}, {"hop_length": 441}),
    "interpolation": ({"resample": 3}, {"frame_interpolation": "bicubic"}),
    "ours": ({"stft_padding": "constant", "drop_last_step": False, "frame_crop": "before-resizing"},) * 2,
    "silence": ({"silence_is_padding": True, "mono_gain": 0.5, "frame_antialias": False},) * 2,
    "no matter": ({"padding_side": "right", "processor_class": None, "patch_size": [2, 2]}, {}),
    "another rate": ({"sampling_rate": 16000}, {"sample_rate": 16000, "hop_length": 16000 // 86}),
}


@pytest.mark.parametrize(("values", "changes"), READ.values(), ids=READ)
def test_what_the_processors_do_is_done_here(values, changes):
    assert parse_processing(values, CONFIG)[0] == CONFIG.replace(**changes)


OTHERWISE: dict[str, Any] = {
    "do_resize": False,
    "size": {"height": 200, "width": 300},
    "do_center_crop": False,
    "crop_size": {"height": 8, "width": 8},
    "resample": 1,
    "rescale_factor": 0.5,
    "do_normalize": False,
    "image_mean": [0.485, 0.456, 0.406],
    "patch_size": [8, 8],
    "feature_size": 80,
    "num_channels": 2,
    "image_processor_type": "ViTImageProcessor",
}


def test_processing_that_differs_here_is_named_in_one_warning(tmp_path):
    save_theirs(MODEL, tmp_path)
    (tmp_path / PROCESSING_FILE).write_text(json.dumps(OTHERWISE))
    with pytest.warns(UserWarning, match="asks for other processing") as caught:
        assert from_huggingface(tmp_path).config == CONFIG
    assert len(caught) == 1
    for name, value in OTHERWISE.items():
        assert f"{name} is {value!r} there" in str(caught[0].message)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "half a rate": ({"sampling_rate": 0.5}, "sample_rate must be a positive integer, not 0.5"),
    "no hops": ({"hop_length_to_sampling_rate": 0}, "hop_length must be a positive integer, not 0"),
    "no frames": ({"num_frames": 0}, "num_frames must be a positive integer"),
    "a list": ({"num_frames": [4]}, "num_frames must be a positive integer"),
    "an object": ({"padding_value": {}}, "audio_padding_value must be a finite number"),
    "a broken length": ({"spectrogram_length": 15}, "not a multiple of audio_patch_size"),
    "no padding": ({"padding_value": float("nan")}, "audio_padding_value must be a finite number"),
    "another crop order": ({"frame_crop": "never"}, "frame_crop must be one of after-resizing"),
}


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED)
def test_processing_that_makes_no_sense_is_refused(values, message, tmp_path):
    save_theirs(MODEL, tmp_path)
    (tmp_path / PROCESSING_FILE).write_text(json.dumps(values))
    with annotations_unchecked(), pytest.raises(ValueError, match=message) as caught:
        from_huggingface(tmp_path)
    assert str(tmp_path / PROCESSING_FILE) in str(caught.value)


def test_the_processors_of_transformers_make_the_same_clip_of_what_is_written(tmp_path):
    """Square frames and a short waveform: values from the one file, which their own files equal."""
    config = CONFIG.replace(
        image_size=32, num_frames=3, spectrogram_length=64, frequency_length=129, audio_padding_value=-1.0
    )
    with pytest.warns(UserWarning, match="num_frames|spectrogram_length"):
        params = replace(make_ours(MODEL, image_size=32, frequency_length=129), config=config)
        to_huggingface(params, tmp_path / "folder")
    processor, rng = transformers.TvltProcessor.from_pretrained(tmp_path / "folder"), np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
    waveform = rng.standard_normal(9000).astype(np.float32) / 9
    theirs = processor(images=list(frames), audio=waveform, sampling_rate=44100, return_tensors="np")
    video, _ = prepare_video([frames], config)
    audio, _ = prepare_audio([waveform], 44100, config)
    np.testing.assert_allclose(video / 2, theirs["pixel_values"] / 2, atol=1.01 / 255)
    np.testing.assert_allclose(audio, theirs["audio_values"][:, :, : audio.shape[2]], atol=1e-4)
    for made in (transformers.TvltImageProcessor(), transformers.TvltFeatureExtractor()):
        assert parse_processing(made.to_dict(), Config()) == (Config(), [])


# --------------------------------------------------------------------------- a folder, whole or not at all


def test_an_empty_folder_is_filled_and_another_left_alone(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "empty", "deep/er"):
        assert_same(from_huggingface(to_huggingface(make_ours(), folder)), make_ours())
    modes = {file.stat().st_mode for file in Path("deep/er").iterdir()}
    assert len(modes) == 1, "whoever can read one file can read them all"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for place in (tmp_path / "mine", tmp_path / "mine" / "notes.txt"):
        with pytest.raises(ValueError, match="nothing is overwritten"):
            to_huggingface(make_ours(), place)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=str)
def test_an_interrupted_write_leaves_nothing(error, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("minitvlt.checkpoints.huggingface.save_file", fail)
    (tmp_path / "empty").mkdir()
    for place in ("new", "empty"):
        with pytest.raises(type(error)):
            to_huggingface(make_ours(), tmp_path / place)
    assert [each.name for each in tmp_path.rglob("*")] == ["empty"]


def test_writing_and_reading_need_no_torch(tmp_path):
    to_huggingface(make_ours(), tmp_path / "one")
    code = "import sys; sys.modules['torch'] = None; import minitvlt as mt\n"
    code += "mt.to_huggingface(mt.from_huggingface('one'), 'two')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    files = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(os.listdir(tmp_path / "one")) == sorted(os.listdir(tmp_path / "two")) == files
    for name in files:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


# ---------------------------------------------------------------------------------------------------- the hub


def install_hub(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str]) -> None:
    """Replace huggingface_hub by a library that downloads with `download`."""
    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)


def test_a_name_of_the_hub_is_downloaded_unless_a_folder_has_it(tmp_path, monkeypatch):
    save_theirs(MODEL, tmp_path / "downloaded")
    asked = []
    install_hub(monkeypatch, lambda name, **_: asked.append(name) or str(tmp_path / "downloaded"))
    monkeypatch.chdir(tmp_path)
    assert_same(from_huggingface("some_body/tvlt-1.0"), from_huggingface(tmp_path / "downloaded"))
    save_theirs(MODEL, tmp_path / "somebody" / "model")
    assert from_huggingface("somebody/model").config == CONFIG
    assert asked == ["some_body/tvlt-1.0"]


def test_the_hubs_own_library_finds_what_it_keeps(tmp_path):
    """Without a network: a repository that it downloaded before, in a fresh process."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: no peer")
    revision = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--somebody--tvlt"
    save_theirs(MODEL, kept / "snapshots" / revision)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(revision)
    code = "import minitvlt as mt; print(mt.from_huggingface('somebody/tvlt').config.hidden_size)"
    offline = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=offline, capture_output=True, text=True
    )
    assert ran.stdout == "10\n", ran.stderr


PATHS = ["runs/model.safetensors", "~/model", "a/b/c", "some body/model", "runs/there", Path("a/model"), ""]


@pytest.mark.parametrize("name", PATHS, ids=str)
def test_what_looks_like_a_path_is_never_downloaded(name, tmp_path, monkeypatch):
    install_hub(monkeypatch, lambda *_, **__: pytest.fail("the network was asked"))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "there").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"Expected .*config\.json"):
        from_huggingface(name)


@pytest.mark.parametrize("error", [OSError("no\n  network"), KeyError("repository"), RuntimeError()], ids=str)
def test_a_failed_download_is_one_clear_error(error, monkeypatch):
    def download(*_: object, **__: object) -> str:
        raise error

    reason = {"OSError": "no network"}.get(type(error).__name__, "")
    install_hub(monkeypatch, download)
    with pytest.raises(ValueError, match=f"could not be downloaded from the Hugging Face Hub.*: .*{reason}"):
        from_huggingface("somebody/some-model")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"got somebody.some-model.*pip install huggingface_hub"):
        from_huggingface("somebody/some-model")


# -------------------------------------------------------------------------------------------- what is refused

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "another activation": ({"hidden_act": "relu"}, "hidden_act must be gelu"),
    "another model": ({"model_type": "vit"}, 'model_type "tvlt", got .vit'),
    "more layers": ({"num_hidden_layers": 3}, r"lacks tvlt.encoder.layer.2.layernorm_before.weight"),
    "width": ({"intermediate_size": 8}, r"dense.weight has the shape \(7, 10\), .* \(8, 10\)"),
    "another frame": ({"image_size": 8}, r"pos_embed_v has the shape \(1, 9, 10\), .* \(1, 16, 10\)"),
    "NaN": ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be between 0 and 1"),
}


@pytest.mark.parametrize(("changes", "message"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_do_not_fit_are_named(changes, message, tmp_path):
    save_theirs(PRETRAINING, tmp_path)
    edit_json(tmp_path / "config.json", **changes)
    with annotations_unchecked(), pytest.raises(ValueError, match=message) as caught:
        from_huggingface(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_arrays_without_a_place_are_named_and_missing_files_too(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        from_huggingface(tmp_path)
    save_theirs(MODEL, tmp_path)
    arrays, _ = load_arrays(tmp_path / "model.safetensors")
    save_arrays(arrays | {"adapter.weight": np.ones(3)}, tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match=r"holds more than is read: adapter\.weight"):
        from_huggingface(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"Expected a file of named arrays, but .* is not there"):
        from_huggingface(tmp_path)
