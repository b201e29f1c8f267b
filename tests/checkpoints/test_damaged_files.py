"""A file from a stranger, or from a broken disk: no code in it runs, and what is wrong is said by name.

Each kind of checkpoint meets each kind of damage, tensor by tensor.
"""

import argparse
import json
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import flatten
from minitvlt.checkpoints.detect import load_any, read_any
from minitvlt.checkpoints.huggingface import from_huggingface, to_huggingface
from minitvlt.checkpoints.mae import from_mae
from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.checkpoints.released import from_original
from minitvlt.checkpoints.native import read_tensors
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.models import draw_params
from tests.helpers.released import HEADS, draw_tensors, list_mae, list_released

CONFIG = Config(
    image_size=6,
    image_patch_size=(2, 2),
    num_frames=5,
    spectrogram_length=14,
    frequency_length=12,
    audio_patch_size=(2, 3),
    hidden_size=10,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=7,
    decoder_hidden_size=8,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=5,
)


def make_ours() -> Params:
    return draw_params(CONFIG, np.random.default_rng(1))


class Kind:
    """A kind of checkpoint: its file, how it is read, and the arrays in it."""

    def __init__(self, name: str, file: str, read: Callable[[Path], Params], arrays: Callable[[], dict]):
        self.name, self.file, self.read, self.arrays = name, file, read, arrays()

    def write(self, folder: Path, arrays: dict[str, np.ndarray] | None = None) -> Path:
        """Write a checkpoint of this kind, with other arrays if they are given."""
        arrays = self.arrays if arrays is None else arrays
        path = folder / self.file
        path.parent.mkdir(exist_ok=True)
        if self.name.startswith("transformers"):
            to_config = {name: value for name, value in CONFIG.to_dict().items() if name != "num_labels"}
            (path.parent / "config.json").write_text(json.dumps(to_config | {"model_type": "tvlt"}))
        if path.suffix == ".safetensors":
            config = {"config": CONFIG.to_dict()} if self.name == "minitvlt" else {}
            return save_arrays(arrays, path, config)
        torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, path)
        return path

    def __repr__(self) -> str:
        return self.name


def list_theirs() -> dict[str, np.ndarray]:
    """The arrays that a folder of transformers holds."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        to_huggingface(make_ours(), Path(folder) / "x")
        return load_arrays(Path(folder) / "x" / "model.safetensors")[0]


def draw_arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in draw_tensors(shapes).items()}


def read_released(path: Path) -> Params:
    return from_original(path, **HEADS)


def read_folder(path: Path) -> Params:
    return from_huggingface(path.parent)


RELEASED = list_released(("decoder", "matching_score", "classifier"), layers=1)
KINDS = [
    Kind("minitvlt", "model.safetensors", load_any, lambda: flatten(make_ours())),
    Kind("transformers", "folder/model.safetensors", read_folder, list_theirs),
    Kind("transformers, pickled", "folder/pytorch_model.bin", read_folder, list_theirs),
    Kind("original", "model.ckpt", read_released, lambda: draw_arrays(RELEASED)),
    Kind("original, safe", "released.safetensors", read_released, lambda: draw_arrays(RELEASED)),
    Kind("mae", "mae.pth", lambda path: from_mae(path, **HEADS), lambda: draw_arrays(list_mae(layers=1))),
]
PICKLED = [kind for kind in KINDS if not kind.file.endswith(".safetensors")]
EVERY_TENSOR = [(kind, name) for kind in KINDS for name in kind.arrays]
on_every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
on_every_tensor = pytest.mark.parametrize(
    ("kind", "name"), EVERY_TENSOR, ids=[f"{kind}-{name}" for kind, name in EVERY_TENSOR]
)


@on_every_kind
def test_whole_files_are_read(kind, tmp_path):
    """What follows would prove nothing if these failed, too."""
    with annotations_unchecked():
        assert isinstance(kind.read(kind.write(tmp_path)), Params)


def assert_refused(kind: Kind, path: Path, *words: str) -> None:
    """Hold that a file is refused by one ValueError that names it, and all the words."""
    with annotations_unchecked(), warnings.catch_warnings(), pytest.raises(ValueError) as caught:
        warnings.simplefilter("ignore")
        kind.read(path)
    message = str(caught.value)
    assert str(path) in message, message
    for word in words:
        assert word in message, message
    assert "\n" not in message and len(message) < 2000


# ---------------------------------------------------------------------------------------------- wrong tensors


@on_every_tensor
def test_a_missing_tensor_is_named(kind, name, tmp_path):
    arrays = {each: array for each, array in kind.arrays.items() if each != name}
    assert_refused(kind, kind.write(tmp_path, arrays), name)


@on_every_tensor
def test_a_tensor_of_another_shape_is_named(kind, name, tmp_path):
    """One number more along the last axis."""
    array = kind.arrays[name]
    longer = np.concatenate([array, array[..., :1]], axis=-1)
    with annotations_unchecked(), pytest.raises(ValueError) as caught:
        kind.read(kind.write(tmp_path, kind.arrays | {name: longer}))
    message = str(caught.value)
    assert str(tmp_path / kind.file) in message
    if "is not a multiple of num_attention_heads" not in message:  # a width that no head fits
        assert re.search(r": (\S+) (has the shape|lacks) ", message)[1] in kind.arrays


@on_every_tensor
def test_a_number_that_is_none_is_named(kind, name, tmp_path):
    array = kind.arrays[name].copy()
    array.flat[-1] = [np.nan, np.inf, -np.inf][len(name) % 3]
    path = kind.write(tmp_path, kind.arrays | {name: array})
    assert_refused(kind, path, name, f"1 of {array.size} values are NaN or infinite")


DTYPES = {"whole numbers": np.int32, "words": np.bool_}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@on_every_kind
def test_numbers_of_another_kind_are_named(kind, dtype, tmp_path):
    for name in list(kind.arrays)[:: len(kind.arrays) // 5]:
        path = kind.write(tmp_path, kind.arrays | {name: kind.arrays[name].astype(dtype)})
        assert_refused(kind, path, name, "expected floating-point numbers")


# ----------------------------------------------------------------------------------------------- broken files


@pytest.mark.parametrize("tenths", range(10))
@on_every_kind
def test_a_truncated_file_is_named(kind, tenths, tmp_path):
    path = kind.write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenths // 10])
    assert_refused(kind, path)


STARTS = {
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
    "words": b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 456\n",
    "a page": b"<!DOCTYPE html><html><head><title>Not Found</title></head></html>",
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(60),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
}


@pytest.mark.parametrize("is_short", [True, False], ids=["alone", "over the beginning"])
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@on_every_kind
def test_another_beginning_is_named(kind, start, is_short, tmp_path):
    path = kind.write(tmp_path)
    path.write_bytes(start + (b"" if is_short else path.read_bytes()[len(start) :]))
    assert_refused(kind, path)


@on_every_kind
@given(data=st.data())
def test_noise_gives_a_clear_error_or_the_checkpoint(kind, data, tmp_path_factory):
    """Bytes that are changed anywhere: the error is clear, or nothing that matters was hit."""
    folder = tmp_path_factory.mktemp("noise")
    path = kind.write(folder)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    with annotations_unchecked(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = kind.read(path)
        except ValueError as error:
            assert str(folder) in str(error)
        else:
            assert all(np.isfinite(array).all() for array in flatten(read).values())


HEADERS = {
    "no object": b"[]",
    "half": b'{"a": {"dtype": "F32", "sha',
    "no such type": b'{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}',
    "beyond the end": b'{"a":{"dtype":"F32","shape":[10],"data_offsets":[0,40]}}',
    "negative": b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    "too large": b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}',
    "overlapping": b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
    b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "deep": b'{"a":' * 5000,
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in PICKLED], ids=str)
def test_a_lying_header_is_refused(kind, header, tmp_path):
    path = kind.write(tmp_path)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    assert_refused(kind, path)


def test_a_header_longer_than_any_memory_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert_refused(KINDS[0], tmp_path / "x.safetensors")


HUGE = {
    "layers": {"num_hidden_layers": 10**12},
    "decoder layers": {"decoder_num_hidden_layers": 10**12},
    "width": {"hidden_size": 2 * 10**15},
    "frames": {"image_size": 2 * 10**12},
    "labels": {"num_labels": 10**16},
    "beyond numbers": {"hidden_size": 10**400},
}


@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE)
def test_settings_that_no_memory_holds_are_refused(changes, tmp_path):
    params = draw_params(CONFIG, np.random.default_rng(1), "classifier")
    path = save_arrays(flatten(params), tmp_path / "x.safetensors", {"config": CONFIG.to_dict() | changes})
    assert_refused(KINDS[0], path)


# --------------------------------------------------------------------------------------------------- payloads


class Payload:
    """Unpickling it, where nothing forbids that, calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class Setter:
    """Unpickling it calls a method of an object that is allowed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return argparse.Namespace, (), {"__class__": Payload(os.mkdir, "ran")}


def list_payloads() -> dict[str, Callable[[], Any]]:
    """Ways to make a folder `ran` where the file is read."""
    import importlib
    import runpy
    import subprocess

    return {
        "system": lambda: Payload(os.system, "mkdir ran"),
        "mkdir": lambda: Payload(os.mkdir, "ran"),
        "eval": lambda: Payload(eval, "__import__('os').mkdir('ran')"),
        "exec": lambda: Payload(exec, "import os; os.mkdir('ran')"),
        "process": lambda: Payload(subprocess.call, ["mkdir", "ran"]),
        "module": lambda: Payload(importlib.import_module, "antigravity"),
        "script": lambda: Payload(runpy.run_path, "evil.py"),
        "pickle in pickle": lambda: Payload(pickle.loads, pickle.dumps(Payload(os.mkdir, "ran"))),
        "torch": lambda: Payload(torch.load, "evil.pt"),
        "path": lambda: Payload(Path.mkdir, Path("ran")),
        "import": lambda: Payload(__import__, "antigravity"),
        "state": Setter,
    }


PLACES: dict[str, Callable[[dict, Any], Any]] = {
    "alone": lambda tensors, payload: payload,
    "as a tensor": lambda tensors, payload: {**tensors, "zzz": payload},
    "first": lambda tensors, payload: {"aaa": payload, **tensors},
    "beside": lambda tensors, payload: {"state_dict": tensors, "hyper_parameters": payload},
    "in a list": lambda tensors, payload: {"model": tensors, "optimizer": [{"state": (1, payload)}]},
    "in arguments": lambda tensors, payload: {"model": tensors, "args": argparse.Namespace(a=payload)},
}


@pytest.fixture
def at_work(tmp_path, monkeypatch) -> Iterator[Path]:
    """Work in a folder where the payloads that read another file find one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("import os; os.mkdir('ran')")
    torch.save(Payload(os.mkdir, "ran"), tmp_path / "evil.pt")
    yield tmp_path
    assert not (tmp_path / "ran").exists(), "code in the file ran"


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("make", list_payloads().values(), ids=list_payloads())
def test_code_in_a_pickle_never_runs(make, place, is_zip, at_work):
    kind = next(kind for kind in PICKLED if kind.name == "original")
    tensors = {name: torch.from_numpy(array) for name, array in kind.arrays.items()}
    torch.save(place(tensors, make()), "model.ckpt", _use_new_zipfile_serialization=is_zip)
    assert_refused(kind, Path("model.ckpt"), "damaged, or holds more than tensors", "is code")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", PICKLED, ids=str)
def test_a_plain_pickle_is_refused_in_every_protocol(kind, protocol, at_work):
    path = kind.write(at_work)
    path.write_bytes(pickle.dumps({"a": Payload(os.mkdir, "ran")}, protocol))
    assert_refused(kind, path, "damaged, or holds more than tensors")


@pytest.mark.parametrize("kind", PICKLED, ids=str)
def test_a_payload_is_named_whatever_the_reader(kind, at_work):
    path = kind.write(at_work)
    torch.save({"x": Payload(os.mkdir, "ran")}, path)
    assert_refused(kind, path, "it asks for posix.mkdir, which is code; save its named tensors alone")


def test_a_scripted_model_is_refused(at_work):
    """A zip archive with code in it, which torch.jit would run."""
    with zipfile.ZipFile("model.ckpt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(os.mkdir, "ran"), 2))
        archive.writestr("archive/constants.pkl", pickle.dumps((), 2))
        archive.writestr("archive/code/model.py", "import os; os.mkdir('ran')")
        archive.writestr("archive/version", "3\n")
    with warnings.catch_warnings(), pytest.raises(ValueError, match=r"model\.ckpt is damaged, or holds more"):
        warnings.simplefilter("ignore")
        read_tensors("model.ckpt")


READERS = {"any": load_any, "ours": lambda path: read_any(path, "minitvlt"), "tensors": read_tensors}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_pickle_that_calls_itself_safetensors_is_not_unpickled(read, at_work):
    torch.save(Payload(os.mkdir, "ran"), "model.safetensors")
    with pytest.raises(ValueError, match="is damaged, or no safetensors file"):
        read("model.safetensors")
