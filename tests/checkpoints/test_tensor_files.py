"""Named tensors of other programs: read as NumPy arrays whatever wrote them, and never trusted."""

import argparse
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.checkpoints.native import is_safetensors, read_tensors, write_tensors

A, B = torch.arange(6.0).reshape(2, 3), torch.tensor([1.5, -2.5])


def write(content: Any, folder: Path, **options: Any) -> Path:
    torch.save(content, folder / "file.ckpt", **options)
    return folder / "file.ckpt"


def assert_holds(found: dict[str, np.ndarray], **expected: torch.Tensor) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name)
        assert found[name].dtype == tensor.numpy().dtype


CONTENTS = {
    "bare": {"a": A, "b": B},
    "ordered": OrderedDict(a=A, b=B),
    "Lightning": {"state_dict": {"a": A, "b": B}, "epoch": 3, "optimizer_states": [{"lr": 0.1}]},
    "a training loop": {"model": {"a": A, "b": B}, "args": argparse.Namespace(lr=0.1, blocks=[1, 2])},
    "both": {"state_dict": {"model": {"a": A, "b": B}}},
    "a module's": torch.nn.ParameterDict({"a": A, "b": B}).state_dict(),
    "parameters": {"a": torch.nn.Parameter(A), "b": torch.nn.Parameter(B)},
}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_whatever_training_programs_put_around_them(content, is_zip, tmp_path):
    path = write(content, tmp_path, _use_new_zipfile_serialization=is_zip)
    assert_holds(read_tensors(path), a=A, b=B)


KINDS = {
    "half": (A.half(), A),
    "bfloat16": (A.bfloat16(), A),
    "double": (A.double(), A.double()),
    "whole numbers": (A.long(), A.long()),
    "a view": (torch.stack([A, A + 1], dim=2)[..., 1], A + 1),
    "transposed": (A.T, A.T),
    "conjugate": (torch.complex(A, A).conj(), torch.complex(A, -A).resolve_conj()),
    "negative": (torch.complex(A, A).conj().imag, -A),
    "a number": (torch.tensor(3.0), torch.tensor(3.0)),
    "nothing": (torch.zeros(0, 3), torch.zeros(0, 3)),
}


@pytest.mark.parametrize(("tensor", "expected"), KINDS.values(), ids=KINDS)
def test_every_dense_tensor_comes_as_it_is(tensor, expected, tmp_path):
    assert_holds(read_tensors(write({"x": tensor}, tmp_path)), x=expected)


UNUSUAL = {
    "sparse": (lambda: A.to_sparse(), "sparse_coo"),
    "compressed": (lambda: A.to_sparse_csr(), "sparse_csr"),
    "quantised": (lambda: torch.quantize_per_tensor(A, 0.1, 0, torch.qint8), "quantised"),
    "nested": (lambda: torch.nested.nested_tensor([A, A[:1]]), "nested"),
    "meta": (lambda: torch.empty(2, 3, device="meta"), "without values"),
}


@pytest.mark.filterwarnings("ignore")  # torch says that these kinds may change
@pytest.mark.parametrize(("make", "kind"), UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_tensor_is_refused_by_name(make, kind, tmp_path):
    path = write({"a": A, "b": make()}, tmp_path)
    with pytest.raises(
        ValueError, match=rf"file\.ckpt.*(b is a tensor of an unusual kind \({kind}\)|{kind})"
    ):
        read_tensors(path)


def test_a_tensor_with_fewer_numbers_than_its_shape_says_is_refused(tmp_path):
    """A hundred million numbers in the space of one."""
    path = write({"a": A, "huge": torch.ones(1).expand(10_000, 10_000)}, tmp_path)
    with pytest.raises(ValueError, match=r"huge claims the shape \(10000, 10000\), but has fewer numbers"):
        read_tensors(path)


OTHER_CONTENTS = {
    "a list": ([A, B], "holds no named tensors, but list"),
    "nothing": ({}, "holds no named tensors, but dict"),
    "a tensor": (A, "holds no named tensors, but Tensor"),
    "words": ({"a": A, "note": "mine"}, "holds 'note', which is str and no tensor"),
    "deeper": ({"net": {"a": A}}, "holds 'net', which is dict and no tensor"),
    "numbered": ({0: A}, "holds 0, which is Tensor and no tensor"),
    "empty": ({"state_dict": {}}, "holds no named tensors, but dict"),
}


@pytest.mark.parametrize(("content", "message"), OTHER_CONTENTS.values(), ids=OTHER_CONTENTS)
def test_anything_but_named_tensors_is_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_tensors(write(content, tmp_path))


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", "model"])
def test_safetensors_are_known_by_what_they_hold(name, tmp_path):
    path = save_arrays({"a": A.numpy(), "b": B.numpy()}, tmp_path / "model.safetensors").rename(
        tmp_path / name
    )
    assert is_safetensors(path)
    assert_holds(read_tensors(path), a=A, b=B)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_pickles_are_no_safetensors(is_zip, tmp_path):
    assert not is_safetensors(write({"a": A}, tmp_path, _use_new_zipfile_serialization=is_zip))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ValueError, match="is not there"):
        read_tensors(tmp_path / "no.ckpt")
    with pytest.raises(ValueError, match="is a folder"):
        read_tensors(tmp_path)


# -------------------------------------------------------------------------------------------- what is written


def test_torch_reads_what_is_written(tmp_path):
    arrays = {"a": A.numpy().T, "b": B.numpy().astype(np.float64)}
    path = write_tensors(arrays, tmp_path / "deep" / "file.ckpt")
    assert_holds({k: v.numpy() for k, v in torch.load(path, weights_only=True).items()}, a=A.T, b=B.double())
    assert_holds(read_tensors(path), a=A.T, b=B.double())
    assert [each.name for each in path.parent.iterdir()] == ["file.ckpt"]


def test_a_name_that_ends_so_gives_safetensors(tmp_path):
    path = write_tensors({"a": A.numpy()}, tmp_path / "file.safetensors")
    assert_holds(load_arrays(path)[0], a=A)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write({"a": A}, tmp_path)
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        write_tensors({"b": B.numpy()}, path)
    assert_holds(read_tensors(path), a=A)
    assert [each.name for each in tmp_path.iterdir()] == ["file.ckpt"]


# ---------------------------------------------------------------------------------------------- without torch


def test_safetensors_take_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from minitvlt.checkpoints.native import read_tensors, write_tensors\n"
        "write_tensors(read_tensors('one.safetensors'), 'two.safetensors')"
    )
    save_arrays({"a": A.numpy(), "b": B.numpy()}, tmp_path / "one.safetensors")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert_holds(read_tensors(tmp_path / "two.safetensors"), a=A, b=B)


def test_without_torch_a_pickle_says_what_to_install(tmp_path, monkeypatch):
    path = write({"a": A}, tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    needed = re.escape('takes PyTorch: pip install "minitvlt[torch]"')
    with pytest.raises(ValueError, match=rf"Reading .*file\.ckpt {needed}"):
        read_tensors(path)
    with pytest.raises(ValueError, match=rf"Writing .*other\.ckpt {needed}, or choose a name"):
        write_tensors({"a": A.numpy()}, tmp_path / "other.ckpt")
    assert [each.name for each in tmp_path.iterdir()] == ["file.ckpt"]
