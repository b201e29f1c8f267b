"""Files from strangers and from broken disks: no code in them runs, and errors name the file and the fault.

Every kind of checkpoint meets every kind of damage.
"""

import argparse
import json
import os
import pickle
import struct
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from minitvlt.backends import flatten
from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.huggingface import describe, from_huggingface
from minitvlt.checkpoints.names import TRANSFORMERS, give_arrays
from minitvlt.checkpoints.native import load, load_arrays, read_tensors, save_arrays
from minitvlt.checkpoints.released import from_mae, from_original
from minitvlt.model.parameters import Params
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.models import draw_params
from tests.helpers.released import CONFIG, HEADS, draw_tensors, list_mae, list_released

Arrays = dict[str, np.ndarray]
SMALL = CONFIG.replace(num_hidden_layers=1)
PARAMS = draw_params(SMALL, np.random.default_rng(1))
RELEASED = list_released(("decoder", "matching_score", "classifier"), layers=1)


class Kind(NamedTuple):
    """A kind of checkpoint: its file, how it is read, and the arrays in it."""

    file: str
    read: Callable[[Path], Params]
    arrays: Arrays

    def write(self, folder: Path, arrays: Arrays | None = None, settings: dict[str, Any] = {}) -> Path:  # noqa: B006
        """Write a checkpoint, with other arrays or other settings if they are given."""
        path, arrays = folder / self.file, self.arrays if arrays is None else arrays
        path.parent.mkdir(exist_ok=True)
        if path.parent.name == "folder":
            (path.parent / "config.json").write_text(json.dumps(describe(PARAMS)[0] | settings))
        if path.suffix == ".safetensors":
            is_ours = self.read is load
            return save_arrays(arrays, path, {"config": SMALL.to_dict() | settings} if is_ours else {})
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        torch.save(tensors, path, _use_new_zipfile_serialization=path.suffix == ".pth")
        return path


def read_folder(path: Path) -> Params:
    return from_huggingface(path.parent)


def draw_arrays(shapes: dict[str, tuple[int, ...]]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in draw_tensors(shapes).items()}


KINDS = {
    "minitvlt": Kind("model.safetensors", load, flatten(PARAMS)),
    "transformers": Kind("folder/model.safetensors", read_folder, give_arrays(TRANSFORMERS, PARAMS)),
    "pickled": Kind("folder/pytorch_model.bin", read_folder, give_arrays(TRANSFORMERS, PARAMS)),
    "original": Kind("model.ckpt", lambda path: from_original(path, **HEADS), draw_arrays(RELEASED)),
    "mae": Kind("mae.pth", lambda path: from_mae(path, **HEADS), draw_arrays(list_mae(layers=1))),
}
PICKLED = {name: kind for name, kind in KINDS.items() if not kind.file.endswith(".safetensors")}
on_every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def assert_refused(kind: Kind, path: Path, *words: str) -> None:
    """Hold that a file is refused by one short ValueError that names it and has all the words."""
    with (
        annotations_unchecked(),
        warnings.catch_warnings(action="ignore"),
        pytest.raises(ValueError) as caught,
    ):
        kind.read(path)
    message = str(caught.value)
    assert all(word in message for word in (str(path.parent), *words)), message
    assert "\n" not in message and len(message) < 2000


@on_every_kind
def test_a_tensor_that_does_not_fit_is_named(kind, tmp_path):
    """Missing, one number longer, not a number, whole numbers: one tensor after the other."""
    assert isinstance(kind.read(kind.write(tmp_path)), Params)
    for name, array in list(kind.arrays.items())[::9]:
        wrong = array.copy()
        wrong.flat[-1] = [np.nan, np.inf, -np.inf][len(name) % 3]
        damages = {"1 of ": wrong, "expected floating-point numbers": array.astype(np.int32), "lacks": None}
        for word, damaged in damages.items():
            others = {each: value for each, value in kind.arrays.items() if each != name}
            changed = others if damaged is None else others | {name: damaged}
            assert_refused(kind, kind.write(tmp_path, changed), kind.file, name, word)
        longer = np.concatenate([array, array[..., :1]], axis=-1)
        assert_refused(kind, kind.write(tmp_path, kind.arrays | {name: longer}), kind.file)


STARTS = {
    "zeros": bytes(64),
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 456\n",
    "a page": b"<!DOCTYPE html><html><head><title>Not Found</title></head></html>",
}


@on_every_kind
def test_a_truncated_file_and_another_beginning_are_named(kind, tmp_path):
    path = kind.write(tmp_path)
    whole = path.read_bytes()
    damaged = [whole[: len(whole) * tenths // 10] for tenths in range(10)]
    damaged += [start + rest for start in STARTS.values() for rest in (b"", whole[len(start) :])]
    for content in damaged:
        path.write_bytes(content)
        assert_refused(kind, path, kind.file)


HEADERS = {
    "half": b'{"a": {"dtype": "F32", "sha',
    "beyond the end": b'{"a":{"dtype":"F32","shape":[10],"data_offsets":[0,40]}}',
    "too large": b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}',
    "deep": b'{"a":' * 5000,
}
METADATA = {"a list": "[1]", "half": "{", "deep": "[" * 100_000}


def test_a_header_or_metadata_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    contents = [struct.pack("<Q", len(header)) + header + bytes(4) for header in HEADERS.values()]
    for content in (*contents, struct.pack("<Q", 2**62) + b"{}"):
        path.write_bytes(content)
        assert_refused(KINDS["minitvlt"], path, "damaged, or no safetensors file")
    for text in METADATA.values():
        save_file({"x": np.ones(3)}, path, {"minitvlt": text})
        assert_refused(KINDS["minitvlt"], path, "damaged")


HUGE = {
    "num_hidden_layers": 10**12,
    "decoder_num_hidden_layers": 10**12,
    "hidden_size": 2 * 10**15,
    "intermediate_size": 10**400,
    "image_size": 2 * 10**12,
}


@pytest.mark.parametrize(("name", "value"), HUGE.items(), ids=HUGE)
def test_settings_that_no_memory_holds_are_refused(name, value, tmp_path):
    for kind in (KINDS["minitvlt"], KINDS["transformers"]):
        assert_refused(kind, kind.write(tmp_path, settings={name: value}))


JSON = {
    "deep list": b"[" * 100_000,
    "half": b"{",
    "a number": b"3",
    "bytes": b"\xff\xfe",
    "digits": b'{"num_frames": 9' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", JSON.values(), ids=JSON)
def test_damaged_settings_are_named(file, content, tmp_path):
    path = KINDS["transformers"].write(tmp_path)
    (path.parent / file).write_bytes(content)
    assert_refused(KINDS["transformers"], path, file)


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits of a file, or of its beginning, where a header or a pickle says what follows."""
    changed = bytearray(content)
    for place in rng.integers(0, len(content) // rng.choice([1, 9]), int(2 ** rng.uniform(0, 6))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


@on_every_kind
def test_sixty_changes_of_bits_give_a_clear_error_or_finite_numbers(kind, tmp_path):
    path = kind.write(tmp_path)
    content = path.read_bytes()
    for seed in range(60):
        path.write_bytes(flip_bits(content, np.random.default_rng(seed)))
        with annotations_unchecked(), warnings.catch_warnings(action="ignore"):
            try:
                params = kind.read(path)
            except ValueError as error:
                assert str(path.parent) in str(error) and "\n" not in str(error) and len(str(error)) < 2000
            else:
                assert all(np.isfinite(array).all() for array in flatten(params).values())


def test_an_archive_that_grows_when_it_is_read_is_refused(tmp_path):
    path = KINDS["mae"].write(tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mae/data/zeros", bytes(2**24))
    assert_refused(KINDS["mae"], path, "is damaged, or holds more than tensors: BadZipFile")


def test_a_file_with_fewer_arrays_than_layers_is_refused(tmp_path):
    """Each layer of the tree takes memory, however few numbers it has."""
    arrays = KINDS["minitvlt"].arrays | {"extra": np.zeros(10**6, np.float16)}
    path = KINDS["minitvlt"].write(tmp_path, arrays, {"num_hidden_layers": 10**5})
    assert_refused(KINDS["minitvlt"], path, "too few for 100000 layers")


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


PAYLOADS: dict[str, Callable[[], Any]] = {  # ways to make a folder `ran` where the file is read
    "mkdir": lambda: Payload(os.mkdir, "ran"),
    "process": lambda: Payload(subprocess.call, ["mkdir", "ran"]),
    "pickle in pickle": lambda: Payload(pickle.loads, pickle.dumps(Payload(os.mkdir, "ran"))),
    "torch": lambda: Payload(torch.load, "evil.pt"),
    "state": Setter,
}
PLACES: dict[str, Callable[[dict, Any], Any]] = {
    "alone": lambda tensors, payload: payload,
    "as a tensor": lambda tensors, payload: {**tensors, "zzz": payload},
    "in a list": lambda tensors, payload: {"model": tensors, "optimizer": [{"state": (1, payload)}]},
    "in arguments": lambda tensors, payload: {"model": tensors, "args": argparse.Namespace(a=payload)},
}


@pytest.fixture
def at_work(tmp_path, monkeypatch) -> Iterator[Path]:
    """Work in a folder with a file that a payload reads, in which nothing may run."""
    monkeypatch.chdir(tmp_path)
    torch.save(Payload(os.mkdir, "ran"), tmp_path / "evil.pt")
    yield tmp_path
    assert not (tmp_path / "ran").exists(), "code in the file ran"


@pytest.mark.parametrize("make", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("kind", PICKLED.values(), ids=PICKLED)
def test_code_in_a_pickle_never_runs(kind, make, at_work):
    path = kind.write(at_work)
    tensors = {name: torch.from_numpy(array) for name, array in kind.arrays.items()}
    for place in PLACES.values():
        for is_zip in (True, False):
            torch.save(place(tensors, make()), path, _use_new_zipfile_serialization=is_zip)
            assert_refused(kind, path, kind.file, "is damaged, or holds more than tensors", "which is code")


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_is_refused_in_every_protocol(protocol, at_work):
    path = at_work / "model.ckpt"
    path.write_bytes(pickle.dumps({"a": Payload(os.mkdir, "ran")}, protocol))
    assert_refused(KINDS["original"], path, "model.ckpt is damaged, or holds more than tensors")


def test_a_pickle_with_the_suffix_of_safetensors_is_not_unpickled(at_work):
    torch.save(Payload(os.mkdir, "ran"), "model.safetensors")
    for read in (load_any, load, load_arrays, read_tensors):
        with pytest.raises(ValueError, match="is damaged, or no safetensors file"):
            read("model.safetensors")
