"""What is saved comes back, bit for bit; what does not fit is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from minitvlt.backends import flatten, map_tree, to_backend, value_and_grad
from minitvlt.checkpoints.native import PACKAGED, load, load_arrays, save, save_arrays
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import pretraining_loss
from minitvlt.training.evaluation import evaluate
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import draw_batch, draw_params

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


@pytest.fixture
def params() -> Params:
    return draw_params(Config(**SMALL), np.random.default_rng(3))


def assert_same(ours: Params, theirs: Params) -> None:
    assert ours.config == theirs.config
    assert_trees_close(ours, theirs, rtol=0, atol=0)
    for name, array in flatten(ours).items():
        assert array.dtype == flatten(theirs)[name].dtype


@on_every_backend
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task_mae": False},
        {"task_matching": False, "final_norm": False},
        {"qkv_bias": False, "image_size": 8},
        {"joint_decoder": True, "audio_mask_type": "speech-span", "layer_norm_eps": 1e-5},
    ],
    ids=str,
)
def test_parameters_come_back_on_every_backend(backend, changes, tmp_path):
    params = backend.move(draw_params(Config(**SMALL | changes), np.random.default_rng(3)))
    path = save(params, tmp_path / "model.safetensors")
    assert_same(load(path), to_backend(params, "numpy"))


@on_every_backend
def test_gradients_come_back(backend, params, tmp_path):
    batch = draw_batch(params.config, np.random.default_rng(5), 2, 3, 5, is_padded=True)
    params, batch = backend.move((params, batch))
    _, gradient = value_and_grad(lambda params: pretraining_loss(params, batch).loss)(params)
    assert_same(load(save(gradient, tmp_path / "gradient.safetensors")), to_backend(gradient, "numpy"))


def test_tables_of_other_lengths_are_kept(params, tmp_path):
    """A model may have been trained on longer clips than it is used for."""
    longer = map_tree(lambda x: np.concatenate([x, x]), params.encoder.video_positions.time)
    arrays = flatten(params) | {"encoder.video_positions.time": longer}
    save_arrays(arrays, tmp_path / "long.safetensors", {"config": params.config.to_dict()})
    assert_trees_close(load(tmp_path / "long.safetensors").encoder.video_positions.time, longer, rtol=0)


def test_metadata_are_kept_beside_the_configuration(params, tmp_path):
    path = save(params, tmp_path / "model.safetensors", {"steps": 7, "metrics": {"loss": 0.25}})
    _, metadata = load_arrays(path)
    assert metadata == {
        "steps": 7,
        "metrics": {"loss": 0.25},
        "config": json.loads(json.dumps(params.config.to_dict())),
    }


def test_the_same_content_gives_the_same_bytes(params, tmp_path):
    files = [
        save(params, tmp_path / name, {"b": 1, "a": 2}) for name in ("one.safetensors", "two.safetensors")
    ]
    again = save(load(files[0]), tmp_path / "three.safetensors", {"a": 2, "b": 1})
    assert files[0].read_bytes() == files[1].read_bytes() == again.read_bytes()


def test_named_arrays_of_any_kind_come_back(tmp_path):
    arrays = {
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "number": np.array(3),
        "empty": np.zeros((0, 2), np.float32),
        "words": np.array([True, False]),
        "strided": np.arange(10, dtype=np.uint32)[::3],
    }
    found, metadata = load_arrays(save_arrays(arrays, tmp_path / "deep" / "state.safetensors"))
    assert metadata == {}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


def test_a_failed_write_leaves_the_old_file(params, tmp_path):
    path = save(params, tmp_path / "model.safetensors")
    with pytest.raises(TypeError):
        save(params, path, {"not for JSON": object()})
    assert_same(load(path), params)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_of_half_the_size_comes_back_in_half_precision(params, tmp_path):
    path = save(params, tmp_path / "half.safetensors", dtype="float16")
    assert path.stat().st_size < 0.6 * save(params, tmp_path / "whole.safetensors").stat().st_size
    assert_same(load(path), to_backend(params, "numpy", dtype="float16"))


def test_the_model_that_comes_with_the_package_is_loaded_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, halves = load("shapes-small"), load(PACKAGED / "shapes-small.safetensors")
    assert model.config == Config.tiny()
    assert {array.dtype for array in flatten(halves).values()} == {np.dtype(np.float16)}
    assert_same(model, to_backend(halves, "numpy", dtype="float32"))
    assert (PACKAGED / "shapes-small.safetensors").stat().st_size < 6e6


def test_a_file_of_that_name_comes_first(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(params, "shapes-small")
    assert_same(load("shapes-small"), params)


@pytest.mark.parametrize("name", ["shapes-large", "folder/shapes-small", "shapes-small.safetensors"])
def test_other_names_are_files(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"{name} is not there"):
        load(name)


def test_the_scores_beside_it_are_its_own():
    """On a quarter of the clips; `notebooks/make_checkpoint.py` measures all."""
    model, told = load("shapes-small"), json.loads((PACKAGED / "shapes-small.json").read_text())["metrics"]
    found = evaluate(model, ShapesWorld(model.config, split="held_out"), clips=128)
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(told, abs=0.06)


def test_only_parameters_are_saved(tmp_path):
    with pytest.raises(ValueError, match=r"Expected parameters .* got tuple"):
        save.__wrapped__((np.ones(3),), tmp_path / "x.safetensors")


# -------------------------------------------------------------------------------------------- what is refused


def change_file(path: Path, change: Callable[[dict, dict], Any]) -> Path:
    """Let `change` alter the arrays and the metadata of a checkpoint in place."""
    arrays, metadata = load_arrays(path)
    change(arrays, metadata)
    return save_arrays(arrays, path, metadata)


WEIGHT = "encoder.blocks.1.mlp.expand.weight"
DAMAGES: dict[str, tuple[Callable[[dict, dict], Any], str]] = {
    "an array is missing": (lambda arrays, _: arrays.pop(WEIGHT), rf"lacks {WEIGHT}"),
    "an array is unknown": (lambda arrays, _: arrays.update(extra=np.ones(3)), "has extra"),
    "half a decoder": (
        lambda arrays, _: [arrays.pop(name) for name in list(arrays) if name.startswith("decoder.b")],
        "lacks decoder.blocks.0.attention_norm.weight.* and 7 more",
    ),
    "a wrong shape": (
        lambda arrays, _: arrays.update({WEIGHT: np.ones((10, 7))}),
        rf"{WEIGHT} has the shape \(10, 7\), but its configuration says \(7, 10\)",
    ),
    "a table of another width": (
        lambda arrays, _: arrays.update({"encoder.audio_positions.time": np.ones((5, 9))}),
        r"encoder.audio_positions.time has the shape \(5, 9\), .* \(5, 10\)",
    ),
    "another configuration": (
        lambda _, metadata: metadata["config"].update(hidden_size=12),
        r"encoder.cls has the shape \(10,\), but its configuration says \(12,\)",
    ),
    "another number of layers": (
        lambda _, metadata: metadata["config"].update(num_hidden_layers=1),
        r"has encoder\.blocks\.1\.attention\.output\.bias, .* and 7 more",
    ),
    "a configuration without end": (
        lambda _, metadata: metadata["config"].update(num_hidden_layers=10**12),
        "too few for 1000000000000 layers",
    ),
    "an impossible configuration": (
        lambda _, metadata: metadata["config"].update(num_attention_heads=3),
        "hidden_size 10 is not a multiple of num_attention_heads 3",
    ),
    "an unknown setting": (
        lambda _, metadata: metadata["config"].update(hiden_size=10),
        "did you mean 'hidden_size'",
    ),
    "no configuration": (lambda _, metadata: metadata.pop("config"), "no configuration"),
    "whole numbers": (
        lambda arrays, _: arrays.update({WEIGHT: np.ones((7, 10), int)}),
        f"{WEIGHT} is int64: expected floating-point",
    ),
    "NaN": (
        lambda arrays, _: arrays[WEIGHT].__setitem__((0, slice(2)), np.nan),
        f"{WEIGHT}: 2 of 70 values are NaN or infinite",
    ),
}


@pytest.mark.parametrize(("change", "message"), DAMAGES.values(), ids=DAMAGES)
def test_what_does_not_fit_is_named(change, message, params, tmp_path):
    path = change_file(save(params, tmp_path / "model.safetensors"), change)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(ValueError, match="is not there"):
        load(tmp_path / "no.safetensors")
    with pytest.raises(ValueError, match="is a folder"):
        load(tmp_path)


@given(data=st.data())
def test_damaged_files_are_refused(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    save(draw_params(Config(**SMALL), np.random.default_rng(3)), path)
    whole = path.read_bytes()
    kind = data.draw(st.sampled_from(["truncated", "longer", "another beginning", "no file of ours"]))
    if kind == "truncated":
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "longer":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=9))
    elif kind == "another beginning":
        start = data.draw(
            st.binary(min_size=9, max_size=40).filter(lambda start: not whole.startswith(start))
        )
        damaged = start + whole[len(start) :]
    else:
        damaged = data.draw(st.binary(max_size=200))
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged|no configuration|config"):
        load(path)


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000, "3"], ids=["list", "half", "deep", "number"])
def test_metadata_that_are_no_named_values_are_refused(text, tmp_path):
    save_file({"x": np.ones(3)}, tmp_path / "x.safetensors", {"minitvlt": text})
    with pytest.raises(ValueError, match="damaged"):
        load_arrays(tmp_path / "x.safetensors")


def test_numbers_that_numpy_lacks_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"cannot read.*float32"):
        load_arrays(tmp_path / "x.safetensors")
