"""The array interface: which backend runs, what may be mixed, conversion, and a library from outside."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import minitvlt as mt
from minitvlt import backends
from minitvlt.backends import (
    kernels_in_use,
    namespace,
    numpy_backend,
    register_backend,
    tape_backend,
    to_backend,
    torch_backend,
)
from minitvlt.backends.tape import TapeArray
from tests.backends import array_api_strict_backend
from tests.helpers.backends import assert_trees_close, register_strict, using_kernels
from tests.helpers.models import NA, NV, make_small
from tests.helpers.shape_comments import ROOT

X, RECORDED, TENSOR = np.ones(2), TapeArray(np.ones(2)), torch.ones(2)


def run_python(code: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "MINITVLT_KERNELS"}
    command, env = [sys.executable, "-c", code], inherited | environment
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env, cwd=ROOT).stdout


# ---- namespace


def test_the_type_of_the_arrays_decides() -> None:
    assert namespace(X) is namespace(X, None, np.float32(1)) and namespace(X).name == "numpy"
    assert namespace(RECORDED) is namespace(RECORDED, None) and namespace(RECORDED).name == "tape"
    assert namespace(X, RECORDED) is namespace(RECORDED, X) is namespace(RECORDED)
    assert namespace(TENSOR, TENSOR) is namespace(torch.nn.Parameter(TENSOR)) is torch_backend


def test_kernels_are_switched_for_the_whole_process() -> None:
    before = kernels_in_use()
    with using_kernels("plain"), ThreadPoolExecutor(1) as pool:
        assert kernels_in_use() == "plain"
        assert (namespace(X), namespace(RECORDED)) == (numpy_backend, tape_backend)
        assert pool.submit(namespace, X).result() is numpy_backend
    with using_kernels("fast"):
        assert namespace(X).__name__ == "minitvlt.backends.fast.numpy"
        assert namespace(RECORDED).__name__ == "minitvlt.backends.fast.tape"
    assert kernels_in_use() == before


def test_the_environment_chooses_the_kernels_at_import() -> None:
    code = "from minitvlt.backends import kernels_in_use; print(kernels_in_use())"
    assert run_python(code).strip() == "fast"
    assert run_python(code, MINITVLT_KERNELS="plain").strip() == "plain"


def test_torch_is_only_imported_when_its_arrays_come() -> None:
    run_python(
        "import sys, numpy as np; from minitvlt.backends import namespace, to_backend, value_and_grad\n"
        "value_and_grad(lambda x: namespace(x).sum(x))(np.ones(2)); to_backend(np.ones(2), 'numpy')\n"
        "assert 'torch' not in sys.modules"
    )


# ---- to_backend


def test_a_tree_moves_there_and_back() -> None:
    tree = (np.arange(6.0).reshape(2, 3), None, "word", {"a": np.arange(3), "b": [np.array([True, False])]})
    there = to_backend(tree, "torch", device="cpu", dtype="float32")
    dtypes = (there[0].dtype, there[3]["a"].dtype, there[3]["b"][0].dtype)
    assert dtypes == (torch.float32, torch.int64, torch.bool) and there[1:3] == (None, "word")
    back = to_backend(there, "numpy", dtype="float64")
    assert back[0].dtype == np.float64
    assert_trees_close(back, tree, rtol=0)


def test_without_a_dtype_every_array_keeps_its_own() -> None:
    for dtype in ("float32", "float64", "int32", "uint8", "bool", "complex64"):
        x = np.ones(2, dtype)
        assert to_backend(to_backend(x, "torch"), "numpy").dtype == x.dtype


def test_what_is_recorded_comes_off_the_tape() -> None:
    assert isinstance(to_backend(RECORDED, "numpy"), np.ndarray)
    assert torch.is_tensor(to_backend(RECORDED, "torch"))


# ---- a library from outside


def test_a_backend_takes_less_than_forty_lines() -> None:
    lines = Path(array_api_strict_backend.__file__).read_text("utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) < 40


def test_the_whole_forward_pass_runs_on_the_strict_standard() -> None:
    register_strict()
    params, batch = make_small(2, is_padded=True)
    inputs = (params, batch.video, batch.audio, batch.video_mask, batch.audio_mask)
    expected = mt.forward(*inputs, return_hidden=True, return_attention=True)
    assert expected.sequence.shape == (2, 1 + NV + NA, 14)
    out = mt.forward(*to_backend(inputs, "array-api-strict"), return_hidden=True, return_attention=True)
    assert_trees_close(to_backend(out, "numpy"), expected, rtol=1e-9, atol=1e-12)


def make_module(name: str | None, without: tuple[str, ...] = ()) -> ModuleType:
    module = ModuleType("planted")
    vars(module).update({each: print for each in numpy_backend.FUNCTIONS if each not in without})
    vars(module).update({} if name is None else {"name": name})
    return module


def test_a_registered_name_replaces_an_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_registered", {})
    register_strict()
    newer = make_module(array_api_strict_backend.name)
    x = to_backend(X, "array-api-strict")
    register_backend(newer, lambda array: array is x)
    assert namespace(x) is newer


# ---- bad input

BAD_INPUT = [
    (lambda: namespace(X, TENSOR), r"numpy and torch.*to_backend\(.*\"torch\"\)"),
    (lambda: namespace(RECORDED, TENSOR, X), "numpy and tape and torch"),
    (lambda: namespace(None, None), "at least one array"),
    (lambda: namespace("a word"), "Expected an array, got str"),
    (lambda: namespace(np.ma.array(X)), "Expected an array, got MaskedArray: pass a plain one"),
    (lambda: to_backend(X.astype(object), "torch"), "no arrays of object: convert them to numbers"),
    (lambda: to_backend(TENSOR.to("meta"), "numpy"), "device meta has no numbers"),
    (lambda: mt.use_kernels("quick"), "one of plain, fast, got 'quick'"),
    (lambda: to_backend(X, "jax"), "choose one of numpy, torch"),
    (lambda: to_backend(X, "tape"), "choose one of numpy, torch"),
    (lambda: to_backend(X, "numpy", device="cuda"), r'expected device "cpu", got .cuda'),
    (lambda: to_backend(X, "numpy", dtype="bfloat16"), "float32 or float64"),
    (lambda: to_backend(X, "torch", device="cuda:99"), "no device 'cuda:99' here: choose one of cpu"),
    (lambda: to_backend(X, "torch", dtype="float31"), "no floating-point dtype .*bfloat16"),
    (lambda: register_backend(make_module(None), print), r"missing: \['name'\]"),
    (lambda: register_backend(make_module("a", ("rfft", "gelu")), print), r"missing: \['rfft', 'gelu'\]"),
    (lambda: register_backend(make_module("numpy"), print), "taken"),
]


@pytest.mark.parametrize(("call", "expected"), BAD_INPUT)
def test_bad_input_is_refused(call, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        call()


def test_whatever_the_order_in_memory_the_numbers_are_the_same() -> None:
    x = np.arange(6.0).reshape(2, 3) + 1j
    for odd in (x.astype(">c16"), np.asfortranarray(x), x[::-1, ::-1], np.broadcast_to(x[0], (2, 3))):
        np.testing.assert_array_equal(to_backend(odd, "torch"), odd)
    for odd in (torch.from_numpy(x).conj(), torch.from_numpy(x).conj().imag, torch.eye(3).to_sparse()):
        np.testing.assert_array_equal(to_backend(odd, "numpy"), np.array(odd.to_dense().tolist()))


def test_missing_torch_is_an_error_that_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(backends, "import_module", fail)
    missing = "torch"
    with pytest.raises(ValueError, match=r"not installed: pip install .minitvlt\[torch\]"):
        to_backend(X, "torch")
    missing = "something_else"
    with pytest.raises(ModuleNotFoundError):
        to_backend(X, "torch")
