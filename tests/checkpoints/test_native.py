"""Checkpoints of minitvlt, and files of named arrays of any program."""

import argparse
import json
import subprocess
import sys
import warnings
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from minitvlt.backends import flatten, to_backend, to_module
from minitvlt.checkpoints import huggingface, native
from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import (
    METADATA_KEY,
    PACKAGED,
    is_safetensors,
    load,
    load_arrays,
    read_tensors,
    save,
    save_arrays,
    write_tensors,
)
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_classifier, init
from minitvlt.model.pretraining import score_matches
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import assert_trees_close, on_every_backend
from tests.helpers.models import draw_params
from tests.helpers.released import CONFIG


@pytest.fixture
def params() -> Params:
    return draw_params(CONFIG, np.random.default_rng(3), "classifier")


def assert_same(ours: Params, theirs: Params) -> None:
    assert ours.config == theirs.config
    assert_trees_close(ours, theirs, rtol=0, atol=0)
    for name, array in flatten(ours).items():
        assert array.dtype == flatten(theirs)[name].dtype


@on_every_backend
@pytest.mark.parametrize(
    "changes",
    [{}, {"task_matching": False, "final_norm": False, "qkv_bias": False, "image_size": (6, 4)}],
    ids=["all parts", "few parts"],
)
def test_parameters_come_back_on_every_backend(backend, changes, tmp_path):
    params = backend.move(draw_params(CONFIG.replace(**changes), np.random.default_rng(3)))
    assert_same(load(save(params, tmp_path / "model.safetensors")), to_backend(params, "numpy"))


def test_position_tables_keep_their_length(params, tmp_path):
    """A model may have been trained on longer clips than it is used for."""
    table = params.encoder.video_positions.time
    arrays = flatten(params) | {"encoder.video_positions.time": np.concatenate([table, table])}
    save_arrays(arrays, tmp_path / "long.safetensors", {"config": params.config.to_dict()})
    assert len(load(tmp_path / "long.safetensors").encoder.video_positions.time) == 2 * len(table)


def test_metadata_come_back_and_equal_content_gives_equal_bytes(params, tmp_path):
    one = save(params, tmp_path / "one.safetensors", {"b": {"loss": 0.25}, "a": 2})
    two = save(load(one), tmp_path / "two.safetensors", {"a": 2, "b": {"loss": 0.25}})
    assert one.read_bytes() == two.read_bytes()
    config = json.loads(json.dumps(params.config.to_dict()))
    assert load_arrays(one)[1] == {"a": 2, "b": {"loss": 0.25}, "config": config}


def test_errors_of_libraries_while_they_write_are_os_errors(params, tmp_path, monkeypatch):
    """On a full disk safetensors raises an error of its own, and torch a RuntimeError."""

    def fail(*_: object) -> None:
        raise error

    for target in (native, huggingface):
        monkeypatch.setattr(target, "save_file", fail)
    monkeypatch.setattr(torch, "save", fail)
    error = SafetensorError("I/O error: No space left on device (os error 28)")
    pretraining = replace(to_backend(params, "numpy", dtype="float32"), classifier=None)
    with pytest.raises(OSError, match=r"one.safetensors could not be written: .*No space left on device"):
        save(params, tmp_path / "one.safetensors")
    with pytest.raises(OSError, match=r"model.safetensors could not be written: .*No space left on device"):
        to_huggingface(pretraining, tmp_path / "folder")
    error = RuntimeError("unexpected pos 64 vs 0\nframe #0: c10::Error")
    with pytest.raises(OSError, match=r"two.ckpt could not be written: unexpected pos 64 vs 0\.$"):
        write_tensors({"a": np.ones(2)}, tmp_path / "two.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=str)
def test_a_failed_write_leaves_the_old_file(error, params, tmp_path, monkeypatch):
    def fail(_: object, path: Path, *__: object) -> None:
        Path(path).write_bytes(b"half a file")
        raise error

    saved = save(params, tmp_path / "model.safetensors")
    written = write_tensors({"a": np.ones(2)}, tmp_path / "model.ckpt")
    monkeypatch.setattr(native, "save_file", fail)
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(type(error)):
        save(params, saved)
    with pytest.raises(type(error)):
        write_tensors({"a": np.zeros(2)}, written)
    assert_same(load(saved), params)
    assert read_tensors(written)["a"].all()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_packaged_model_is_loaded_by_its_name_unless_a_file_has_it(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, half = load("shapes-small"), load(PACKAGED / "shapes-small.safetensors")
    assert model.config == Config.tiny()
    assert {array.dtype for array in flatten(half).values()} == {np.dtype(np.float16)}
    assert_same(model, to_backend(half, "numpy", dtype="float32"))
    for name in ("shapes-large", "folder/shapes-small", "shapes-small.safetensors"):
        with pytest.raises(ValueError, match=rf"{name} is not there"):
            load(name)
    save(params, "shapes-small")
    assert_same(load("shapes-small"), params)


def test_the_packaged_model_is_trained():
    """`notebooks/make_checkpoint.py` measures the scores that stand beside it."""
    assert json.loads((PACKAGED / "shapes-small.json").read_text())["metrics"]["matching accuracy"] > 0.95
    model = load("shapes-small")
    clips = ShapesWorld(model.config, split="held_out").sample(np.random.default_rng(0), 64)
    for video, is_match in ((clips.video, True), (np.roll(clips.video, 1, axis=0), False)):
        scores = score_matches(model, video, clips.audio, None, clips.audio_mask)
        assert np.mean((scores > 0) == is_match) > 0.8


STATES = {
    "bare": lambda state: state,
    "in a wrapper": lambda state: {"state_dict": state, "epoch": 3},
    "of DDP": lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
}


@pytest.mark.parametrize("wrap", STATES.values(), ids=STATES)
@pytest.mark.parametrize("read", [load, load_any])
def test_the_state_of_a_module_is_read_with_the_preset_of_its_width(wrap, read, tmp_path):
    params = to_backend(init(Config.tiny(), seed=3), "torch")
    torch.save(wrap(to_module(params).state_dict()), tmp_path / "module.pt")
    with pytest.warns(
        UserWarning, match=r"module.pt holds no configuration: .* \*\*config.to_dict"
    ) as caught:
        found = read(tmp_path / "module.pt")
    assert len(caught) == 1
    assert_same(found, to_backend(params, "numpy"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_state_of_any_other_module_is_read_with_its_configuration(suffix, params, tmp_path):
    single = to_backend(params, "numpy", dtype="float32")
    state = {name: x.numpy() for name, x in to_module(to_backend(single, "torch")).state_dict().items()}
    path = write_tensors(state, tmp_path / f"module{suffix}")
    with warnings.catch_warnings(action="error"):
        assert_same(load_any(path, **params.config.to_dict()), single)
    with warnings.catch_warnings(action="ignore"):
        for read in (load, load_any):
            with pytest.raises(
                ValueError, match=f"module{suffix} holds .* too few for 12 layers of width 768"
            ):
                read(path)
    with pytest.raises(ValueError, match="num_labels=7 contradicts its arrays, which say 2"):
        load(path, **params.config.to_dict() | {"num_labels": 7})


@pytest.mark.parametrize(
    "changes", [{"task_mae": False}, {"task_matching": False}, {"num_labels": 5}], ids=str
)
def test_parts_and_labels_of_a_module_say_its_tasks(changes, tmp_path):
    params = init(Config.tiny(**changes))
    params = add_classifier(params) if "num_labels" in changes else params
    path = write_tensors(flatten(params), tmp_path / "module.pt")
    with pytest.warns(UserWarning, match="no configuration"):
        assert_same(load_any(path), params)


def test_settings_are_for_files_without_a_configuration(params, tmp_path):
    path = save(params, tmp_path / "model.safetensors")
    for read in (load, load_any):
        with pytest.raises(ValueError, match=r"own settings \(minitvlt\): leave out hidden_size"):
            read(path, hidden_size=10)
    save_arrays(flatten(params), path, {"config": [1]})
    with pytest.raises(
        ValueError, match=r"model.safetensors is damaged: expected a configuration, got \[1\]"
    ):
        load(path)


def test_half_precision_is_read_as_it_is_and_by_load_any_as_float32(params, tmp_path):
    half = to_backend(params, "numpy", dtype="float16")
    path = save(params, tmp_path / "half.safetensors", dtype="float16")
    assert_same(load(path), half)
    assert_same(load_any(path), to_backend(half, "numpy", dtype="float32"))
    assert_same(load_any(save(params, path)), params)  # in float64


def test_parameters_in_bfloat16_are_saved_and_read_as_float32(params, tmp_path):
    from safetensors.torch import save_file

    half = to_backend(params, "torch", dtype="bfloat16")
    expected = to_backend(half, "numpy")
    assert_same(load(save(half, tmp_path / "ours.safetensors")), expected)
    metadata = {METADATA_KEY: json.dumps({"config": params.config.to_dict()})}
    save_file(flatten(half), tmp_path / "theirs.safetensors", metadata)
    assert_same(load(tmp_path / "theirs.safetensors"), expected)
    torch.save(flatten(half), tmp_path / "pickled.pt")
    assert_same(load_any(tmp_path / "pickled.pt", **params.config.to_dict()), expected)


def test_only_parameters_are_saved(tmp_path):
    with annotations_unchecked(), pytest.raises(ValueError, match=r"Expected parameters .* got tuple"):
        save((np.ones(3),), tmp_path / "x.safetensors")


DAMAGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown array": ({"extra": np.ones(3)}, {}, "does not: extra"),
    "table": (
        {"encoder.audio_positions.time": np.ones((5, 9))},
        {},
        r"has the shape \(5, 9\), .* \(any, 10\)",
    ),
    "fewer layers": ({}, {"num_hidden_layers": 1}, r"does not: encoder\.blocks\.1\.attention"),
    "no such heads": ({}, {"num_attention_heads": 3}, "10 is not a multiple of num_attention_heads 3"),
    "unknown setting": ({}, {"hiden_size": 10}, "did you mean 'hidden_size'"),
}


@pytest.mark.parametrize(("arrays", "settings", "message"), DAMAGES.values(), ids=DAMAGES)
def test_what_does_not_fit_is_named(arrays, settings, message, params, tmp_path):
    path, config = tmp_path / "model.safetensors", {"config": params.config.to_dict() | settings}
    save_arrays(flatten(params) | arrays, path, config)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    save_arrays(arrays, path)
    with pytest.raises(ValueError, match="no configuration"):
        load(path)


# ------------------------------------------------------------------------------ named arrays of any program

A, B = torch.arange(6.0).reshape(2, 3), torch.tensor([1.5, -2.5])


def test_safetensors_hold_arrays_of_any_kind(tmp_path):
    arrays = {
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "number": np.array(3),
        "empty": np.zeros((0, 2), np.float32),
        "boolean": np.array([True, False]),
        "strided": np.arange(10, dtype=np.uint32)[::3],
    }
    path = write_tensors(arrays, tmp_path / "deep" / "state.safetensors").rename(tmp_path / "no suffix")
    assert is_safetensors(path) and load_arrays(path)[1] == {}
    assert_holds(read_tensors(path), arrays)


def assert_holds(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


CONTENTS = {
    "bare": OrderedDict(a=A, b=B),
    "Lightning": {"state_dict": {"a": A, "b": B}, "epoch": 3, "optimizer_states": [{"lr": 0.1}]},
    "a training loop": {"model": {"a": A, "b": B}, "args": argparse.Namespace(lr=0.1, blocks=[1, 2])},
    "parameters": {"a": torch.nn.Parameter(A), "b": torch.nn.Parameter(B)},
}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_tensors_are_found_below_what_training_programs_store(content, is_zip, tmp_path):
    torch.save(content, tmp_path / "file.ckpt", _use_new_zipfile_serialization=is_zip)
    assert not is_safetensors(tmp_path / "file.ckpt")
    assert_holds(read_tensors(tmp_path / "file.ckpt"), {"a": A.numpy(), "b": B.numpy()})


def test_every_dense_tensor_is_read_and_written(tmp_path):
    tensors = {"half": A.half(), "bfloat16": A.bfloat16(), "double": A.double(), "long": A.long(), "t": A.T}
    tensors |= {"view": torch.stack([A, A], dim=2)[..., 1], "conjugate": torch.complex(A, A).conj().imag}
    torch.save(tensors, tmp_path / "file.ckpt")
    expected = {name: tensor.float().resolve_neg().numpy() for name, tensor in tensors.items()}
    expected |= {"double": A.double().numpy(), "long": A.long().numpy(), "conjugate": -A.numpy()}
    assert_holds(read_tensors(tmp_path / "file.ckpt"), expected)
    path = write_tensors(expected, tmp_path / "deep" / "again.ckpt")
    assert_holds({name: each.numpy() for name, each in torch.load(path).items()}, expected)


OTHER = {
    "sparse": (lambda: {"b": A.to_sparse()}, "b: expected a dense tensor"),
    "quantised": (lambda: {"b": torch.quantize_per_tensor(A, 0.1, 0, torch.qint8)}, "b: expected a dense"),
    "meta": (lambda: {"b": torch.empty(2, 3, device="meta")}, "b: expected a dense tensor"),
    "numbers for names": (lambda: {0: A, 1: B}, "Expected named tensors in .*, got dict"),
    "many names of one tensor": (
        lambda: {str(i): A[0].bfloat16().expand(1000, 3) for i in range(100)},
        "fewer numbers than the shapes",
    ),
    "a huge view": (lambda: {"b": torch.ones(1).expand(10**4, 10**4)}, "fewer numbers than the shapes"),
    "text": (lambda: {"a": A, "note": "mine"}, "note: expected a dense tensor, got str"),
    "a list": (lambda: [A, B], "Expected named tensors in .*, got list"),
    "nothing": (lambda: {"state_dict": {}}, "Expected named tensors in .*, got dict"),
}


@pytest.mark.filterwarnings("ignore")  # torch says that these kinds may change
@pytest.mark.parametrize(("make", "message"), OTHER.values(), ids=OTHER)
def test_anything_but_named_dense_tensors_is_refused(make, message, tmp_path):
    torch.save(make(), tmp_path / "file.ckpt")
    with pytest.raises(ValueError, match=message) as caught:
        read_tensors(tmp_path / "file.ckpt")
    assert "file.ckpt" in str(caught.value)


def test_bfloat16_is_read_as_float32_and_numbers_of_eight_bits_are_refused(tmp_path):
    from safetensors.torch import save_file

    numbers = torch.tensor([[1.0, -2.5, 3e-39], [torch.inf, 3.3e38, -0.0]])
    tensors = {"half": numbers.bfloat16(), "scalar": torch.tensor(0.1).bfloat16()}
    save_file(tensors, tmp_path / "x.safetensors")
    expected = {name: tensor.float().numpy() for name, tensor in tensors.items()}
    assert_holds(load_arrays(tmp_path / "x.safetensors")[0], expected)
    save_file({"x": torch.ones(3).to(torch.float8_e4m3fn)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"cannot read.*float32"):
        load_arrays(tmp_path / "x.safetensors")


def test_safetensors_need_no_torch_and_pickles_say_that_they_do(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from minitvlt.checkpoints.native import read_tensors, write_tensors\n"
        "arrays = read_tensors('one.safetensors'); write_tensors(arrays, 'two.safetensors')\n"
        "for act in (lambda: read_tensors('file.ckpt'), lambda: write_tensors(arrays, 'new.ckpt')):\n"
        "    try: act()\n"
        "    except ValueError as error: print(error)\n"
    )
    save_arrays({"a": A.numpy()}, tmp_path / "one.safetensors")
    torch.save({"a": A}, tmp_path / "file.ckpt")
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout.count('pip install "minitvlt[torch]"') == 2, ran.stderr
    assert not (tmp_path / "new.ckpt").exists() and (tmp_path / "two.safetensors").exists()
