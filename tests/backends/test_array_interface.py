"""The array interface: which backend runs, what may be mixed, conversion, and a library from outside."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import minitvlt as mt
from minitvlt import backends
from minitvlt.backends import (
    kernels_in_use,
    namespace,
    numpy_backend,
    register_backend,
    tape_backend,
    to_backend,
    value_and_grad,
)
from minitvlt.backends.tape import TapeArray
from tests.backends import array_api_strict_backend
from tests.backends.cases import CASES
from tests.helpers.backends import using_kernels

torch = pytest.importorskip("torch")
from minitvlt.backends import torch_backend  # noqa: E402

ROOT = Path(mt.__file__).parents[1]


@pytest.fixture
def strict_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """array-api-strict as a backend, for the length of a test."""
    monkeypatch.setattr(backends, "_registered", {})
    register_backend(array_api_strict_backend, lambda x: type(x).__module__.startswith("array_api_strict"))
    yield array_api_strict_backend


# ------------------------------------------------------------------------------------------- namespace


def test_the_type_of_the_arrays_decides() -> None:
    x, recorded, tensor = np.ones(2), TapeArray(np.ones(2)), torch.ones(2)
    assert namespace(x) is namespace(x, None, np.float32(1)) and namespace(x).name == "numpy"
    assert namespace(recorded) is namespace(recorded, recorded, None) and namespace(recorded).name == "tape"
    assert namespace(tensor, tensor) is namespace(torch.nn.Parameter(tensor)) is torch_backend


def test_numpy_beside_the_tape_is_the_tape() -> None:
    x, recorded = np.ones(2), TapeArray(np.ones(2))
    assert namespace(x, recorded) is namespace(recorded, x, None) is namespace(recorded)


def test_kernels_are_switched_for_the_whole_process() -> None:
    before, x = kernels_in_use(), np.ones(2)
    with using_kernels("plain"):
        assert kernels_in_use() == "plain"
        assert (namespace(x), namespace(TapeArray(x))) == (numpy_backend, tape_backend)
        assert threading_result(lambda: namespace(x)) is numpy_backend
    with using_kernels("fast"):
        assert namespace(x).__name__ == "minitvlt.backends.fast.numpy"
        assert namespace(TapeArray(x)).__name__ == "minitvlt.backends.fast.tape"
    assert kernels_in_use() == before
    with pytest.raises(ValueError, match="one of plain, fast, got 'quick'"):
        mt.use_kernels("quick")


def threading_result(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.mark.parametrize("kernels", ["plain", "fast", None])
def test_the_environment_chooses_the_kernels_at_import(kernels: str | None) -> None:
    code = "from minitvlt.backends import kernels_in_use; print(kernels_in_use())"
    environment = {name: value for name, value in os.environ.items() if name != "MINITVLT_KERNELS"}
    environment |= {"MINITVLT_KERNELS": kernels} if kernels else {}
    command = [sys.executable, "-c", code]
    out = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT
    ).stdout
    assert out.strip() == (kernels or "fast")


def test_other_mixtures_are_refused_with_a_way_out() -> None:
    x, recorded, tensor = np.ones(2), TapeArray(np.ones(2)), torch.ones(2)
    with pytest.raises(ValueError, match=r"numpy and torch.*to_backend\(.*\"torch\"\)"):
        namespace(x, tensor)
    with pytest.raises(ValueError, match="tape and torch"):
        namespace(recorded, tensor)
    with pytest.raises(ValueError, match="numpy and tape and torch"):
        namespace(recorded, tensor, x)


@pytest.mark.parametrize("thing", ["a word", 1.5, [1.0, 2.0], {}, object()])
def test_what_is_no_array_is_refused(thing: object) -> None:
    with pytest.raises(ValueError, match=f"Expected an array, got {type(thing).__name__}"):
        namespace(thing)


def test_no_array_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one array"):
        namespace(None, None)


def test_torch_is_only_imported_when_its_arrays_come() -> None:
    code = (
        "import sys, numpy as np; from minitvlt.backends import namespace, to_backend, value_and_grad\n"
        "value_and_grad(lambda x: namespace(x).sum(x))(np.ones(2)); to_backend(np.ones(2), 'numpy')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_missing_torch_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(backends, "import_module", fail)
    missing = "torch"
    with pytest.raises(ValueError, match=r"not installed: pip install .minitvlt\[torch\]"):
        to_backend(np.ones(2), "torch")
    missing = "something_else"
    with pytest.raises(ModuleNotFoundError):
        to_backend(np.ones(2), "torch")


# ----------------------------------------------------------------------------------------- to_backend


def test_a_tree_moves_there_and_back() -> None:
    tree = (np.arange(6.0).reshape(2, 3), None, "word", (np.arange(3), np.array([True, False])))
    there = to_backend(tree, "torch", device="cpu", dtype="float32")
    assert (there[0].dtype, there[3][0].dtype, there[3][1].dtype) == (torch.float32, torch.int64, torch.bool)
    assert there[1:3] == (None, "word")
    back = to_backend(there, "numpy", dtype="float64")
    assert back[0].dtype == np.float64
    for ours, theirs in zip((back[0], *back[3]), (tree[0], *tree[3]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_dtype_every_array_keeps_its_own() -> None:
    for dtype in ("float32", "float64", "int32", "uint8", "bool", "complex64"):
        x = np.ones(2, dtype)
        assert to_backend(to_backend(x, "torch"), "numpy").dtype == x.dtype


def test_what_is_recorded_comes_off_the_tape() -> None:
    assert isinstance(to_backend(TapeArray(np.ones(2)), "numpy"), np.ndarray)
    assert torch.is_tensor(to_backend(TapeArray(np.ones(2)), "torch"))


@pytest.mark.parametrize("name", ["jax", "tape", ""])
def test_an_unknown_backend_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="choose one of numpy, torch"):
        to_backend(np.ones(2), name)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_unknown_devices_and_dtypes_are_refused(backend: str) -> None:
    with pytest.raises(ValueError, match="device"):
        to_backend(np.ones(2), backend, device="toaster")
    with pytest.raises(ValueError, match="float31"):
        to_backend(np.ones(2), backend, dtype="float31")


# ------------------------------------------------------------------------------------- value_and_grad


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_value_and_gradient_with_and_without_more(backend: str) -> None:
    params, data = to_backend(((np.array([1.0, 2.0]), np.array(3.0)), np.array([5.0, 7.0])), backend)

    def loss(params: tuple, data: Any, factor: float) -> tuple:
        xp = namespace(params[0], data)
        product = params[0] * data
        return xp.sum(product) * params[1] * factor, (product, factor)

    value, gradients = value_and_grad(lambda *args: loss(*args)[0])(params, data, 2.0)
    assert float(value) == 114
    assert [to_backend(g, "numpy").tolist() for g in gradients] == [[30, 42], 38]
    (same, (product, factor)), again = value_and_grad(loss, has_aux=True)(params, data, 2.0)
    assert float(same) == 114 and factor == 2.0
    assert to_backend(product, "numpy").tolist() == [5, 14]
    assert [to_backend(g, "numpy").tolist() for g in again] == [[30, 42], 38]


# ----------------------------------------------------------------------- a library from outside


def make_module(**contents: object) -> ModuleType:
    module = ModuleType("planted")
    vars(module).update(contents)
    return module


def test_a_backend_takes_less_than_forty_lines() -> None:
    lines = Path(array_api_strict_backend.__file__).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) < 40


@pytest.mark.parametrize("name", CASES)
def test_every_function_on_the_strict_standard_equals_numpy(strict_backend: ModuleType, name: str) -> None:
    inputs = CASES[name].draw(0)
    moved = to_backend(inputs, "array-api-strict")
    assert all(x.device == strict.Device("device1") for x in moved)
    xp = namespace(*moved)
    assert xp is strict_backend
    result = CASES[name].call(xp, *moved)
    np.testing.assert_allclose(
        to_backend(result, "numpy"), CASES[name].call(numpy_backend, *inputs), rtol=1e-9, atol=1e-12
    )


def test_the_whole_forward_pass_runs_on_the_strict_standard(strict_backend: ModuleType) -> None:
    config = mt.Config.tiny(
        num_hidden_layers=2,
        image_size=24,
        num_frames=3,
        image_patch_size=(8, 8),
        spectrogram_length=24,
        frequency_length=16,
        audio_patch_size=(8, 8),
    )
    params, rng = mt.init(config, seed=1), np.random.default_rng(2)
    video = rng.uniform(-1, 1, (2, 5, 3, 24, 32)).astype(np.float32)  # more frames, wider: tables interpolate
    audio = rng.uniform(-1, 1, (2, 1, 32, 16)).astype(np.float32)
    masks = np.arange(5 * 12) < [[60], [24]], np.arange(8) < [[5], [8]]
    expected = mt.forward(params, video, audio, *masks, return_hidden=True, return_attention=True)
    inputs = to_backend((params, video, audio, *masks), "array-api-strict")
    out = mt.forward(*inputs, return_hidden=True, return_attention=True)
    for name, array in mt.flatten(expected).items():
        ours = to_backend(mt.flatten(out)[name], "numpy")
        np.testing.assert_allclose(ours, array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_registered_name_replaces_an_older_one(strict_backend: ModuleType) -> None:
    functions = {name: getattr(strict_backend, name) for name in numpy_backend.FUNCTIONS}
    newer = make_module(name="array-api-strict", **functions)
    register_backend(newer, lambda x: hasattr(x, "__array_namespace__") and hasattr(x, "to_device"))
    assert namespace(to_backend(np.ones(2), "array-api-strict")) is newer


def test_an_incomplete_backend_is_refused_by_the_names_it_lacks() -> None:
    functions = dict.fromkeys(numpy_backend.FUNCTIONS, print)
    with pytest.raises(ValueError, match=r"missing: \['name'\]"):
        register_backend(make_module(**functions), lambda x: False)
    del functions["rfft"], functions["gelu"]
    with pytest.raises(ValueError, match=r"missing: \['rfft', 'gelu'\]"):
        register_backend(make_module(name="broken", **functions), lambda x: False)


def test_lists_and_dictionaries_are_trees_too() -> None:
    params = {"a": np.ones(2), "b": [np.ones(3), None]}
    (value, aux), gradients = value_and_grad(
        lambda p: ((p["a"] * 2.0 + 1.0)[0] + p["b"][0][1], {"first": p["a"][0]}), has_aux=True
    )(params)
    assert (value, aux) == (4, {"first": 1})
    assert gradients["a"].tolist() == [2, 0] and gradients["b"][0].tolist() == [0, 1, 0]
    converted = to_backend([np.ones(2), {"a": np.zeros(1)}], "torch")
    assert converted[1]["a"].tolist() == [0.0] and converted[0].tolist() == [1.0, 1.0]


def test_the_name_of_a_built_in_backend_is_taken() -> None:
    with pytest.raises(ValueError, match="taken"):
        register_backend(numpy_backend, lambda array: False)


def double_and_mix(tree: dict[str, Any], factor: float, places: Any) -> Any:
    return 2 * tree["x"] * tree["weight"] + factor * namespace(tree["x"]).take(tree["x"], places, axis=0)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_recomputing_gives_the_same_value_and_gradients(backend: str) -> None:
    rng = np.random.default_rng(0)
    x, weight = to_backend((rng.standard_normal((3, 2)), rng.standard_normal((3, 2))), backend)
    places = to_backend(np.array([2, 0, 2]), backend)

    def run(tree: dict[str, Any], again: bool) -> Any:
        for _ in range(2):  # one use after another, and the weight in both
            y = (
                backends.recompute(double_and_mix, tree, 0.5, places)
                if again
                else double_and_mix(tree, 0.5, places)
            )
            tree = {"x": y, "weight": tree["weight"]}
        return namespace(y).sum(y * y)

    plain, again = (value_and_grad(run)({"x": x, "weight": weight}, flag) for flag in (False, True))
    for found, expected in zip(
        backends.flatten(again).values(), backends.flatten(plain).values(), strict=True
    ):
        np.testing.assert_allclose(to_backend(found, "numpy"), to_backend(expected, "numpy"), rtol=1e-13)


def test_recomputing_without_a_tape_is_just_a_call(strict_backend: ModuleType) -> None:
    x = np.arange(6.0).reshape(3, 2)
    assert type(backends.recompute(np.exp, x)) is np.ndarray
    theirs = to_backend(x, "array-api-strict")
    assert np.array_equal(to_backend(backends.recompute(strict.exp, theirs), "numpy"), np.exp(x))
