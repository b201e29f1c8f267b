"""A folder of transformers becomes parameters, and parameters a folder that transformers loads."""

import json
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from minitvlt.backends import flatten, map_tree, to_backend
from minitvlt.checkpoints.huggingface import LAYOUT, WEIGHT_FILES, from_huggingface, to_huggingface
from minitvlt.checkpoints.names import name_there
from minitvlt.checkpoints.native import load, load_arrays, save, save_arrays
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import score_matches
from minitvlt.model.tasks import classify
from minitvlt.model.tvlt import forward
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import draw_clips, draw_mask, draw_params, draw_values

transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")

SMALL = {
    "image_size": (6, 4),
    "image_patch_size": (2, 2),
    "num_frames": 3,
    "spectrogram_length": 10,
    "frequency_length": 6,
    "audio_patch_size": (2, 3),
    "hidden_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 7,
    "decoder_hidden_size": 6,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 3,
    "decoder_intermediate_size": 5,
}
SQUARE = SMALL | {"image_size": 6}  # frames that their processors can make
KINDS = ("TvltModel", "TvltForPreTraining", "TvltForAudioVisualClassification")
on_every_class = pytest.mark.parametrize("kind", KINDS)


def make_theirs(kind: str, **changes: Any) -> Any:
    """Make a model of theirs with random parameters."""
    rng = np.random.default_rng(7)
    theirs = getattr(transformers, kind)(transformers.TvltConfig(**SMALL | changes))
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.from_numpy(draw_values(name, tuple(parameter.shape), rng)))
    return theirs


def save_theirs(kind: str, folder: Path, is_safe: bool = True, **changes: Any) -> Any:
    theirs = make_theirs(kind, **changes)
    theirs.save_pretrained(folder, safe_serialization=is_safe)
    return theirs


def make_ours(kind: str = "TvltForPreTraining", **changes: Any) -> Params:
    """Make random parameters with the parts that a class of theirs has."""
    parts = ("classifier",) if kind == "TvltForAudioVisualClassification" else ()
    params = draw_params(Config(**SQUARE | changes), np.random.default_rng(3), *parts)
    params = to_backend(params, "numpy", dtype="float32")
    return params if kind == "TvltForPreTraining" else replace(params, decoder=None, matching=None)


def load_theirs(kind: str, folder: Path) -> Any:
    """Load a folder with their library, which must find every array that it wants and no other."""
    theirs, report = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return theirs


def assert_same(ours: Params, theirs: Params) -> None:
    assert ours.config == theirs.config
    assert_trees_close(ours, theirs, rtol=0, atol=0)
    assert {array.dtype for array in flatten(ours).values()} == {np.dtype(np.float32)}


def assert_same_bytes(one: Any, other: Any) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert list(first) == list(second)
    for name in first:
        assert first[name].numpy().tobytes() == second[name].numpy().tobytes(), name
        assert first[name].shape == second[name].shape


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ----------------------------------------------------------------------------------------------- what is read


@on_every_class
def test_every_array_of_theirs_has_a_place(kind, tmp_path):
    """Each value arrives in its place: queries before keys before values, pixels before channels."""
    arrays = save_theirs(kind, tmp_path).state_dict()
    ours = from_huggingface(tmp_path)
    assert ours.config == Config(**SMALL)
    beginning = "tvlt." if kind == "TvltModel" else ""
    names = {
        name: [each.removeprefix(beginning) for each in name_there(LAYOUT, name)] for name in flatten(ours)
    }
    assert sorted(chain(*names.values())) == sorted(arrays)
    for name, array in flatten(ours).items():
        assert array.dtype == np.float32
        parts = [arrays[each].numpy() for each in names[name]]
        if parts[0].ndim == 4:
            C, p, q = parts[0].shape[1:]
            for channel, row, column in np.ndindex(C, p, q):
                at = (row * q + column) * C + channel
                np.testing.assert_array_equal(array[:, at], parts[0][:, channel, row, column])
        else:
            np.testing.assert_array_equal(array, np.concatenate(parts).reshape(array.shape))


@on_every_class
def test_both_file_formats_hold_the_same(kind, tmp_path):
    for is_safe in (True, False):
        save_theirs(kind, tmp_path / str(is_safe), is_safe)
    assert (tmp_path / "False" / "pytorch_model.bin").exists()
    assert_same(from_huggingface(tmp_path / "True"), from_huggingface(tmp_path / "False"))


@pytest.mark.parametrize(
    ("kind", "parts"),
    list(zip(KINDS, [set(), {"decoder", "matching"}, {"classifier"}], strict=True)),
)
def test_each_class_has_its_parts(kind, parts, tmp_path):
    save_theirs(kind, tmp_path)
    ours = from_huggingface(tmp_path)
    every = ("decoder", "matching", "classifier", "ranking")
    assert {part for part in every if getattr(ours, part) is not None} == parts
    assert_same(load(save(ours, tmp_path / "ours.safetensors")), ours)


@pytest.mark.parametrize(
    ("labels", "count"),
    [({"id2label": {0: "a", 1: "b", 2: "c"}}, 3), ({"num_labels": 5}, 5), ({}, 2)],
    ids=["names", "number", "default"],
)
def test_a_classifier_is_read_with_the_number_of_its_labels(labels, count, tmp_path):
    save_theirs(KINDS[2], tmp_path, loss_type="regression", layer_norm_eps=1e-3, **labels)
    ours = from_huggingface(tmp_path)
    assert ours.config.num_labels == count
    assert ours.classifier.output.weight.shape == (count, 2 * ours.config.hidden_size)
    assert ours.config.loss_type == "regression"
    assert ours.config.classifier_norm_eps == ours.config.layer_norm_eps == 1e-3


def test_a_number_of_labels_serves_where_there_are_no_names(tmp_path):
    save_theirs(KINDS[2], tmp_path, num_labels=5)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["id2label"], values["label2id"]
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_labels": 5}))
    assert from_huggingface(tmp_path).config.num_labels == 5


@pytest.mark.parametrize(("task", "part"), [("task_mae", "decoder"), ("task_matching", "matching")])
def test_a_task_left_out_leaves_its_part_out(task, part, tmp_path):
    save_theirs("TvltForPreTraining", tmp_path, **{task: False})
    ours = from_huggingface(tmp_path)
    assert getattr(ours, part) is None
    assert not getattr(ours.config, task)


def test_half_precision_becomes_float32(tmp_path):
    save_theirs("TvltModel", tmp_path).half().save_pretrained(tmp_path / "half")
    ours = from_huggingface(tmp_path / "half")
    assert ours.encoder.cls.dtype == np.float32
    assert_trees_close(ours, from_huggingface(tmp_path), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("theirs", "ours"), [("patch_level", "patch-level"), ("frame-level", "frame-level")])
def test_their_names_of_mask_types_are_understood(theirs, ours, tmp_path):
    save_theirs("TvltModel", tmp_path, audio_mask_type=theirs)
    assert from_huggingface(tmp_path).config.audio_mask_type == ours


def test_their_mean_pooling_is_no_final_norm(tmp_path):
    save_theirs("TvltModel", tmp_path, use_mean_pooling=True, qkv_bias=False)
    ours = from_huggingface(tmp_path)
    assert not ours.config.final_norm and ours.encoder.norm is None
    assert ours.encoder.blocks[0].attention.qkv.bias is None


def test_the_frames_to_choose_are_the_preprocessors_and_the_tables_the_models(tmp_path):
    save_theirs("TvltForPreTraining", tmp_path, num_frames=64, spectrogram_length=30)
    assert from_huggingface(tmp_path).config.num_frames == 64
    (tmp_path / "preprocessor_config.json").write_text('{"num_frames": 5, "spectrogram_length": 12}')
    ours = from_huggingface(tmp_path)
    assert (ours.config.num_frames, ours.config.spectrogram_length) == (5, 12)
    for part in (ours.encoder, ours.decoder):
        assert len(part.video_positions.time) == 64
        assert len(part.audio_positions.time) == 15
    assert_same(load(save(ours, tmp_path / "ours.safetensors")), ours)


# -------------------------------------------------------------------------------------------- what is written


@on_every_class
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_frames": 64, "spectrogram_length": 46},
        {"use_mean_pooling": True, "qkv_bias": False, "layer_norm_eps": 1e-5},
        {"num_labels": 1, "loss_type": "regression"},
    ],
    ids=str,
)
def test_theirs_come_back_with_the_same_bytes(kind, changes, tmp_path):
    theirs = save_theirs(kind, tmp_path / "theirs", image_size=6, **changes)
    to_huggingface(from_huggingface(tmp_path / "theirs"), tmp_path / "ours")
    back = load_theirs(kind, tmp_path / "ours")
    assert_same_bytes(theirs, back)
    again, before = back.config.to_dict(), load_theirs(kind, tmp_path / "theirs").config.to_dict()
    assert {name for name in again if again[name] != before.get(name)} <= {"_name_or_path", "torch_dtype"}
    assert again["architectures"] == [kind]


def compute_theirs(theirs: Any, *inputs: np.ndarray | None) -> np.ndarray:
    """What a model of theirs gives for clips: tokens, or scores of matching, or logits."""
    tensors = [None if each is None else torch.from_numpy(each) for each in inputs]
    with torch.no_grad():
        if isinstance(theirs, transformers.TvltModel):
            return theirs.eval()(*tensors).last_hidden_state.numpy()
        if isinstance(theirs, transformers.TvltForPreTraining):
            return theirs.eval().matching_head(theirs.tvlt(*tensors).last_hidden_state)[:, 0].numpy()
        return theirs.eval()(*tensors).logits.numpy()


def compute_ours(ours: Params, *inputs: np.ndarray | None) -> np.ndarray:
    """The same of ours, of the same kind."""
    if ours.classifier is not None:
        return classify(ours, *inputs)
    return forward(ours, *inputs).sequence if ours.matching is None else score_matches(ours, *inputs)


@on_every_class
@pytest.mark.parametrize("is_padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("changes", [{}, {"use_mean_pooling": True, "layer_norm_eps": 1e-5}], ids=str)
def test_from_theirs_to_ours_to_theirs_the_outputs_stay(kind, is_padded, changes, tmp_path):
    theirs = save_theirs(kind, tmp_path / "theirs", image_size=6, **changes)
    ours = from_huggingface(tmp_path / "theirs")
    back = load_theirs(kind, to_huggingface(ours, tmp_path / "ours"))
    rng = np.random.default_rng(2)
    inputs = [each.astype(np.float32) for each in draw_clips(ours.config, rng, 3, 3, 5)]
    masks = [draw_mask(rng, 3, 3, 9), draw_mask(rng, 3, 5, 2)] if is_padded else [None, None]
    expected, found = compute_theirs(theirs, *inputs, *masks), compute_ours(ours, *inputs, *masks)
    real = np.ones(expected.shape[:2], bool)
    if is_padded and kind == "TvltModel":
        real[:, 1:] = np.concatenate(masks, axis=1)
    real = real if kind == "TvltModel" else ...
    np.testing.assert_allclose(found[real], expected[real], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(compute_theirs(back, *inputs, *masks), expected)


@on_every_class
def test_from_ours_to_theirs_to_ours_the_outputs_stay(kind, tmp_path):
    ours = make_ours(kind)
    theirs = load_theirs(kind, to_huggingface(ours, tmp_path / "folder"))
    back = from_huggingface(tmp_path / "folder")
    clips = draw_clips(ours.config, np.random.default_rng(2), 2, 3, 4)
    inputs = [each.astype(np.float32) for each in clips]
    expected = compute_ours(ours, *inputs)
    np.testing.assert_allclose(compute_theirs(theirs, *inputs), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(compute_ours(back, *inputs), expected)


@on_every_class
@on_every_backend
def test_ours_come_back_from_every_backend(kind, backend, tmp_path):
    params = make_ours(kind, num_frames=5)
    to_huggingface(to_backend(params, backend.name, device=backend.device), tmp_path / "folder")
    assert_same(from_huggingface(tmp_path / "folder"), params)


def test_tables_that_are_longer_than_the_clips_come_back(tmp_path):
    """num_frames of their config.json is the length of a table; of their preprocessor, that of a clip."""
    params = make_ours(num_frames=64, spectrogram_length=46)
    params = replace(params, config=params.config.replace(num_frames=5, spectrogram_length=12))
    to_huggingface(params, tmp_path / "folder")
    theirs = load_theirs("TvltForPreTraining", tmp_path / "folder")
    assert (theirs.config.num_frames, theirs.config.spectrogram_length) == (64, 46)
    processor = transformers.TvltProcessor.from_pretrained(tmp_path / "folder")
    assert processor.image_processor.num_frames == 5
    assert processor.feature_extractor.spectrogram_length == 12
    assert_same(from_huggingface(tmp_path / "folder"), params)


@pytest.mark.parametrize("part", ["decoder", "matching"])
def test_a_part_alone_is_a_task_alone(part, tmp_path):
    params = replace(make_ours(), **{part: None})
    to_huggingface(params, tmp_path / "folder")
    theirs = load_theirs("TvltForPreTraining", tmp_path / "folder")
    assert theirs.config.task_mae == (part != "decoder")
    assert theirs.config.task_matching == (part != "matching")


def test_the_file_of_arrays_is_as_they_write_it(tmp_path):
    params = make_ours("TvltModel")
    folder = to_huggingface(map_tree(lambda x: x.astype(np.float64), params), tmp_path / "folder")
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        assert not any(name.startswith("tvlt.") for name in file.keys())  # noqa: SIM118 (it is no dict)
        assert all(file.get_tensor(name).dtype == np.float32 for name in file.keys())  # noqa: SIM118
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors", "preprocessor_config.json"]


def test_the_names_of_the_labels_are_counted(tmp_path):
    to_huggingface(make_ours(KINDS[2], num_labels=3), tmp_path / "folder")
    config = load_theirs(KINDS[2], tmp_path / "folder").config
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert config.num_labels == 3
    assert config.label2id["LABEL_2"] == 2


WARNED: dict[str, tuple[str, dict[str, Any], str]] = {
    "token order": (KINDS[0], {"token_order": "audio-first"}, "video before those of sound"),
    "cls": (KINDS[1], {"cls_in_autoencoding": False}, "has cls among the tokens"),
    "weights": (KINDS[1], {"mae_weight": 0.3}, "losses without weights"),
    "spans": (KINDS[1], {"audio_mask_type": "speech-span"}, 'no "speech-span" masking'),
    "patches": (KINDS[1], {"audio_mask_type": "patch-level"}, 'training fails with "patch_level"'),
    "loss": (KINDS[2], {"loss_type": "labels"}, 'no loss for loss_type="labels"'),
    "mean": (KINDS[0], {"remove_waveform_mean": True}, "remove_waveform_mean=True is unknown"),
}


@pytest.mark.parametrize(("kind", "changes", "message"), WARNED.values(), ids=WARNED)
def test_what_they_do_otherwise_is_named_and_comes_back(kind, changes, message, tmp_path):
    params = make_ours(kind, **changes)
    with pytest.warns(UserWarning, match=message):
        to_huggingface(params, tmp_path / "folder")
    load_theirs(kind, tmp_path / "folder")
    if changes == {"audio_mask_type": "speech-span"}:  # has no counterpart
        params = replace(params, config=params.config.replace(audio_mask_type="patch-level"))
    assert_same(from_huggingface(tmp_path / "folder"), params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"num_frames": 4}, "takes 3 frames at most"), ({"spectrogram_length": 16}, "takes 5 steps of sound")],
    ids=str,
)
def test_clips_longer_than_the_tables_are_named(changes, message, tmp_path):
    """We interpolate the table; they cannot go beyond it."""
    params = make_ours()
    params = replace(params, config=params.config.replace(**changes))
    with pytest.warns(UserWarning, match=message):
        to_huggingface(params, tmp_path / "folder")
    assert_same(from_huggingface(tmp_path / "folder"), params)


def test_what_differs_where_there_is_no_such_part_is_no_matter(tmp_path):
    params = make_ours(
        "TvltModel", cls_in_autoencoding=False, mae_weight=3.0, classifier_pooler=True, pooling="mean"
    )
    to_huggingface(params, tmp_path / "folder")
    assert_same(from_huggingface(tmp_path / "folder"), params)


def lengthen(params: Params, part: str, positions: str, table: str) -> Params:
    """Give one table twice as many rows."""
    tables = getattr(getattr(params, part), positions)
    longer = replace(tables, **{table: np.concatenate([getattr(tables, table)] * 2)})
    return replace(params, **{part: replace(getattr(params, part), **{positions: longer})})


UNSAYABLE: dict[str, tuple[Callable[[], Params], str]] = {
    "heads of both kinds": (
        lambda: replace(make_ours(), classifier=make_ours(KINDS[2]).classifier),
        r"replace\(params, classifier=None\)",
    ),
    "a ranking head": (
        lambda: replace(make_ours(), ranking=make_ours().matching),
        r"replace\(params, ranking=None\)",
    ),
    "mean pooling": (lambda: make_ours(KINDS[2], pooling="mean"), "reads the mean of tokens"),
    "a pooler": (lambda: make_ours(KINDS[2], classifier_pooler=True), "classifier has a pooler"),
    "another eps": (
        lambda: make_ours(KINDS[2], classifier_norm_eps=1e-5),
        "classifier_norm_eps 1e-05 and layer_norm_eps 1e-06",
    ),
    "a joint decoder": (lambda: make_ours(joint_decoder=True), "both modalities jointly"),
    "oblong patches": (lambda: make_ours(image_patch_size=(2, 3)), "patches of 2×3 pixels"),
    "unlike tables": (
        lambda: lengthen(make_ours(), "decoder", "video_positions", "time"),
        "tables of unlike lengths",
    ),
    "many frequencies": (
        lambda: lengthen(make_ours(KINDS[0]), "encoder", "audio_positions", "frequency"),
        "4 frequency positions, and 2 rows",
    ),
    "NaN": (
        lambda: map_tree(lambda x: x * np.float32(np.nan), make_ours()),
        "tvlt.cls_embedding: 10 of 10 values are NaN",
    ),
    "too large for float32": (
        lambda: map_tree(lambda x: x.astype(np.float64) * 1e300, make_ours(KINDS[0])),
        "cls_embedding, in float32: 10 of 10 values are NaN or infinite",
    ),
    "another configuration": (
        lambda: replace(make_ours(), config=Config(**SQUARE | {"intermediate_size": 8})),
        r"expand.weight has the shape \(7, 10\)",
    ),
}


@pytest.mark.parametrize(("make", "message"), UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_they_cannot_hold_is_refused_with_a_reason(make, message, tmp_path):
    params = make()
    with pytest.raises(ValueError, match=message):
        to_huggingface(params, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_oblong_patches_without_a_decoder_are_theirs_too(tmp_path):
    params = make_ours("TvltModel", image_patch_size=(2, 3))
    to_huggingface(params, tmp_path / "folder")
    load_theirs("TvltModel", tmp_path / "folder")
    assert_same(from_huggingface(tmp_path / "folder"), params)


# ------------------------------------------------------------------------------------- a folder, whole or not


def test_a_folder_that_is_empty_is_filled(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert to_huggingface(make_ours(), tmp_path / "empty") == tmp_path / "empty"
    monkeypatch.chdir(tmp_path)
    assert to_huggingface(make_ours(), "deep/er") == Path("deep/er")
    for folder in (tmp_path / "empty", tmp_path / "deep" / "er"):
        assert_same(from_huggingface(folder), make_ours())


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_whoever_can_read_one_file_can_read_them_all(tmp_path):
    (tmp_path / "ordinary").touch()
    files = [tmp_path / "ordinary", *to_huggingface(make_ours(), tmp_path / "folder").iterdir()]
    assert len({file.stat().st_mode for file in files}) == 1


def test_what_lies_in_a_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="nothing is overwritten"):
            to_huggingface(make_ours(), place)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()], ids=["disk", "keyboard"])
def test_an_interrupted_write_leaves_nothing(error, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("minitvlt.checkpoints.huggingface.save_file", fail)
    (tmp_path / "empty").mkdir()
    for place in ("new", "empty"):
        with pytest.raises(type(error)):
            to_huggingface(make_ours(), tmp_path / place)
    assert [each.name for each in tmp_path.iterdir()] == ["empty"]
    assert not list((tmp_path / "empty").iterdir())


def test_writing_and_reading_take_no_torch(tmp_path):
    to_huggingface(make_ours(), tmp_path / "one")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from minitvlt.checkpoints.huggingface import from_huggingface, to_huggingface\n"
        "to_huggingface(from_huggingface('one'), 'two')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    for file in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()


# ---------------------------------------------------------------------------------------------------- the hub


def install_hub(monkeypatch: pytest.MonkeyPatch, download: Callable[..., str]) -> None:
    """Put a library in place of huggingface_hub that downloads by `download`."""
    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)


def test_a_name_of_the_hub_is_downloaded(tmp_path, monkeypatch):
    save_theirs("TvltModel", tmp_path)
    asked = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tmp_path)

    install_hub(monkeypatch, download)
    monkeypatch.chdir(tmp_path)
    assert_same(from_huggingface("some_body/tvlt-1.0"), from_huggingface(tmp_path))
    files = ["config.json", "preprocessor_config.json"]
    assert asked == [("some_body/tvlt-1.0", [*files, "model.safetensors"])]

    save_theirs("TvltModel", tmp_path, is_safe=False)
    (tmp_path / "model.safetensors").unlink()
    from_huggingface("some_body/tvlt-1.0")
    assert asked[1:] == [("some_body/tvlt-1.0", [*files, name]) for name in WEIGHT_FILES]


def test_the_hubs_own_library_finds_what_it_keeps(tmp_path):
    """Without a network: a repository that it downloaded before, in a fresh process."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: no peer")
    revision = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--somebody--tvlt"
    save_theirs("TvltModel", kept / "snapshots" / revision)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(revision)
    code = (
        "from minitvlt import from_huggingface; print(from_huggingface('somebody/tvlt').config.hidden_size)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "10\n", ran.stderr


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    save_theirs("TvltModel", tmp_path / "somebody" / "model")
    install_hub(monkeypatch, lambda *_, **__: pytest.fail("the network was asked"))
    monkeypatch.chdir(tmp_path)
    assert from_huggingface("somebody/model").config == Config(**SMALL)


@pytest.mark.parametrize(
    "name",
    [
        "./model",
        "../model",
        "/somebody/model",
        "~/model",
        "~me/model",
        "model",
        "a/b/c",
        "somebody/",
        "some body/model",
        "runs/model.safetensors",
        "runs/there",
        Path("somebody/model"),
        "https://somewhere/model",
        "C:\\somebody/model",
        "",
    ],
    ids=str,
)
def test_what_looks_like_a_path_never_asks_the_network(name, tmp_path, monkeypatch):
    install_hub(monkeypatch, lambda *_, **__: pytest.fail("the network was asked"))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "there").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"that is a file|there is no folder|config\.json"):
        from_huggingface(name)


def test_without_the_hubs_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"no folder somebody.some-model.*pip install huggingface_hub"):
        from_huggingface("somebody/some-model")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("no\n  network"), "somebody.*could not be downloaded from the hub: no network"),
        (KeyError("repository"), "could not be downloaded"),
        (RuntimeError(), "could not be downloaded from the hub: RuntimeError"),
    ],
    ids=["network", "key", "silent"],
)
def test_a_failed_download_is_one_clear_error(error, message, monkeypatch):
    def download(*_: object, **__: object) -> str:
        raise error

    install_hub(monkeypatch, download)
    with pytest.raises(ValueError, match=message):
        from_huggingface("somebody/some-model")


# -------------------------------------------------------------------------------------------- what is refused

SETTINGS = {
    "dropout": ({"hidden_dropout_prob": 0.1}, "hidden_dropout_prob must be 0.0"),
    "another activation": ({"hidden_act": "relu"}, "hidden_act must be gelu"),
    "three numbers as patch": ({"image_patch_size": [2, 2, 2]}, "image_patch_size must be a"),
    "another model": ({"model_type": "vit"}, 'type "tvlt"'),
    "more layers": ({"num_hidden_layers": 3}, r"lacks tvlt.encoder.layer.2.layernorm_before.weight"),
    "another width": (
        {"intermediate_size": 8},
        r"layer.0.intermediate.dense.weight has the shape \(7, 10\), .* \(8, 10\)",
    ),
    "another frame": ({"image_size": 8}, r"pos_embed_v has the shape \(1, 6, 10\), .* \(1, 16, 10\)"),
    "another loss": ({"loss_type": "hinge"}, "loss_type must be one of"),
    "NaN": ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be between 0 and 1"),
    "endless layers": ({"num_hidden_layers": 10**12}, "too few for"),
    "an endless decoder": ({"decoder_num_hidden_layers": 10**12}, "too few for"),
    "a wide decoder": ({"decoder_hidden_size": 3 * 10**15}, "too few for"),
    "a huge frame": ({"image_size": 2 * 10**15}, "cannot hold what its configuration asks|has the shape"),
    "an endless width": ({"hidden_size": 10**400}, "too few for"),
}


@pytest.mark.parametrize(("changes", "message"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_do_not_fit_are_named(changes, message, tmp_path):
    save_theirs("TvltForPreTraining", tmp_path)
    edit_json(tmp_path / "config.json", **changes)
    with annotations_unchecked(), pytest.raises(ValueError, match=message) as caught:
        from_huggingface(tmp_path)
    assert str(tmp_path) in str(caught.value)


KEY = "encoder.layer.0.attention.attention.key.weight"
ARRAYS = {
    "another shape": (np.ones((10, 9), np.float32), rf"tvlt\.{KEY} has the shape \(10, 9\), .* \(10, 10\)"),
    "a number": (np.float32(1.5), rf"tvlt\.{KEY} has the shape \(\), .* \(10, 10\)"),
    "nothing": (np.ones((0, 10), np.float32), rf"tvlt\.{KEY} has the shape \(0, 10\)"),
    "whole numbers": (np.ones((10, 10), np.int64), rf"tvlt\.{KEY} is int64: expected floating-point"),
    "words": (np.ones((10, 10), bool), rf"tvlt\.{KEY} is bool: expected floating-point"),
    "NaN": (np.full((10, 10), np.nan, np.float32), rf"tvlt\.{KEY}: 100 of 100 values are NaN"),
    "infinity": (np.diag(np.full(10, np.inf)), rf"tvlt\.{KEY}, in float32: 10 of 100 values are NaN or inf"),
    "too large": (np.full((10, 10), 1e300), rf"tvlt\.{KEY}, in float32: 100 of 100 values are NaN or inf"),
}


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(("array", "message"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_do_not_fit_are_named(array, message, file, tmp_path):
    save_theirs("TvltModel", tmp_path)
    arrays, _ = load_arrays(tmp_path / "model.safetensors")
    arrays[KEY] = np.asarray(array)
    (tmp_path / "model.safetensors").unlink()
    if file == "model.safetensors":
        save_arrays(arrays, tmp_path / file)
    else:
        torch.save({name: torch.from_numpy(np.array(each)) for name, each in arrays.items()}, tmp_path / file)
    with pytest.raises(ValueError, match=message) as caught:
        from_huggingface(tmp_path)
    assert str(tmp_path / file) in str(caught.value)


@given(data=st.data())
def test_any_missing_array_is_named(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("missing")
    save_theirs("TvltForPreTraining", folder)
    arrays, _ = load_arrays(folder / "model.safetensors")
    name = data.draw(st.sampled_from(sorted(arrays)))
    del arrays[name]
    save_arrays(arrays, folder / "model.safetensors")
    with pytest.raises(ValueError, match=rf"model\.safetensors lacks {name}"):
        from_huggingface(folder)


def test_arrays_without_a_place_are_named_in_a_warning(tmp_path):
    save_theirs("TvltModel", tmp_path)
    arrays, _ = load_arrays(tmp_path / "model.safetensors")
    save_arrays(arrays | {"adapter.weight": np.ones(3)}, tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match=r"holds more than is read: adapter\.weight"):
        from_huggingface(tmp_path)


def test_a_folder_without_its_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        from_huggingface(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"config\.json"):
        from_huggingface(tmp_path)
    save_theirs("TvltModel", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="found neither"):
        from_huggingface(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{",
        b"",
        b"3",
        b"[]",
        b"\xff\xfe",
        b'{"num_frames": 9' + b"9" * 5000 + b"}",
    ],
    ids=["deep list", "deep object", "half", "empty", "number", "list", "bytes", "digits"],
)
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_damaged_settings_are_named(file, content, tmp_path):
    save_theirs("TvltModel", tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=file.replace(".", r"\.")):
        from_huggingface(tmp_path)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@given(data=st.data())
def test_a_damaged_file_of_arrays_is_named(file, data, tmp_path_factory):
    """Whatever is cut off, or changed at the beginning, where the format says what follows."""
    folder = tmp_path_factory.mktemp("damaged")
    save_theirs("TvltModel", folder, is_safe=file == "model.safetensors")
    whole = (folder / file).read_bytes()
    length = data.draw(st.integers(0, len(whole) - 1))
    start = data.draw(st.binary(min_size=8, max_size=40).filter(lambda start: not whole.startswith(start)))
    damaged = whole[:length] if data.draw(st.booleans()) else start + whole[len(start) :]
    (folder / file).write_bytes(damaged)
    with pytest.raises(ValueError, match=file.replace(".", r"\.")), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from_huggingface(folder)


def test_without_torch_a_pickle_says_what_to_install(tmp_path, monkeypatch):
    save_theirs("TvltModel", tmp_path, is_safe=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r'pip install "minitvlt\[torch\]"'):
        from_huggingface(tmp_path)
