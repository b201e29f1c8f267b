"""Checkpoints of every kind, and ways in which they are damaged or made to deceive."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from minitvlt.backends import flatten, to_backend, to_module
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import save
from minitvlt.config import Config
from minitvlt.model.parameters import init
from tests.helpers.released import CONFIG, HEADS, draw_tensors, list_mae, list_released, make_vit_mae

Rng = np.random.Generator
ODD = (0, -1, 3, 2**31, 2**63, 10**30, 0.5, 1e308, None, True, "", "F64", "BF16", [], [[1]], {}, [2**60, 9])


class Code:
    """Unpickling it, where nothing forbids that, makes a folder."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("ran",)


def write_kinds(folder: Path) -> dict[str, Path]:
    """Write a small checkpoint of each kind; return the paths that are given to a reader."""
    released, mae = draw_tensors(list_released(layers=1)), draw_tensors(list_mae(layers=1))
    params = init(CONFIG.replace(num_hidden_layers=1))
    tiny = init(Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1))
    single, parts = to_huggingface(params, folder / "transformers"), to_huggingface(params, folder / "parts")
    weights = {name: torch.from_numpy(array) for name, array in flatten(tiny).items()}
    paths = {
        "native": save(params, folder / "native.safetensors"),
        "half": save(params, folder / "half.safetensors", dtype="float16"),
        "transformers": single,
        "parts": parts,
        "mae folder": folder / "vit",
    }
    make_vit_mae(paths["mae folder"])
    split_weights(parts / "model.safetensors")
    for name, content in {
        "released.ckpt": {"state_dict": released},
        "mae.pth": {"model": mae},
        "module.pt": to_module(to_backend(tiny, "torch")).state_dict(),
    }.items():
        paths[name] = folder / name
        torch.save(content, paths[name])
    paths["legacy"] = folder / "legacy.ckpt"
    torch.save(released, paths["legacy"], _use_new_zipfile_serialization=False)
    paths["bfloat16"] = folder / "bfloat16.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in (released | weights).items()}, paths["bfloat16"])
    return paths


def split_weights(path: Path) -> None:
    """Replace the weights of a folder by two files, one of torch and one of safetensors, and their list."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    names = list(tensors)
    halves = {"a.safetensors": names[::2], "b.bin": names[1::2]}
    save_file({name: tensors[name] for name in halves["a.safetensors"]}, path.with_name("a.safetensors"))
    torch.save({name: tensors[name] for name in halves["b.bin"]}, path.with_name("b.bin"))
    files = {name: file for file, some in halves.items() for name in some}
    path.with_name(f"{path.name}.index.json").write_text(json.dumps({"weight_map": files}))
    path.unlink()


def mutate(path: Path, rng: Rng) -> str:
    """Change one file of a checkpoint in one random way, and return which."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[rng.integers(len(files))]
    content = file.read_bytes()
    kinds: list[Callable[[bytes, Rng], bytes]] = [flip_bits, truncate, fill_span, move_span, append]
    if file.suffix == ".json":
        kinds += 5 * [change_json]
    elif content[8:9] == b"{":
        kinds += 6 * [change_header]
    elif content[:2] == b"PK":
        kinds += 2 * [change_archive, flip_pickle, put_code]
    else:
        kinds += [put_code]
    kind = kinds[rng.integers(len(kinds))]
    file.write_bytes(kind(content, rng))
    return f"{kind.__name__} in {file.name}"


# ---- bytes


def flip_bits(content: bytes, rng: Rng) -> bytes:
    changed = bytearray(content)
    start = len(content) if rng.random() < 0.5 else min(len(content), 2000)  # the beginning counts most
    for place in rng.integers(0, max(start, 1), int(2 ** rng.uniform(0, 7))) if content else ():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncate(content: bytes, rng: Rng) -> bytes:
    return content[: int(rng.integers(0, len(content) + 1))]


def fill_span(content: bytes, rng: Rng) -> bytes:
    start, length = int(rng.integers(0, len(content) + 1)), int(2 ** rng.uniform(0, 12))
    return content[:start] + bytes([rng.choice([0, 255])]) * length + content[start + length :]


def move_span(content: bytes, rng: Rng) -> bytes:
    start, to, length = (int(n) for n in rng.integers(0, len(content) + 1, 3))
    return content[:to] + content[start : start + length] + content[to:]


def append(content: bytes, rng: Rng) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 99)))


# ---- JSON and the header of safetensors


def change_value(value: Any, rng: Rng) -> Any:
    """Replace one value somewhere in a tree of JSON, or its name."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        names = list(value)
        name = names[rng.integers(len(names))]
        if rng.random() < 0.15:
            return {("../x" if each == name else each): item for each, item in value.items()}
        if rng.random() < 0.1:
            return {each: item for each, item in value.items() if each != name}
        return value | {name: change_value(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = int(rng.integers(len(value)))
        return [*value[:place], change_value(value[place], rng), *value[place + 1 :]]
    if isinstance(value, str) and rng.random() < 0.4:
        return ["../x", "/etc/passwd", "", "a" * 9999, "\x00", "..", value + "/../" + value][rng.integers(7)]
    if isinstance(value, int) and rng.random() < 0.5:
        return int(value * 10 ** rng.uniform(0, 18)) + int(rng.integers(-2, 3))
    return ODD[rng.integers(len(ODD))]


def change_json(content: bytes, rng: Rng) -> bytes:
    return json.dumps(change_value(json.loads(content), rng)).encode()


def change_header(content: bytes, rng: Rng) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    if "__metadata__" in header and rng.random() < 0.3:
        text = header["__metadata__"].get("minitvlt", "{}")
        header["__metadata__"]["minitvlt"] = json.dumps(change_value(json.loads(text), rng))
    else:
        header = change_value(header, rng)
    text = json.dumps(header).encode()
    claimed = len(text) if rng.random() < 0.8 else int(2 ** rng.uniform(0, 63))
    return struct.pack("<Q", claimed) + text + rest


# ---- files of torch


def put_code(content: bytes, rng: Rng) -> bytes:
    stream, payload = (
        io.BytesIO(),
        [Code(), {"a": Code()}, {"state_dict": {"a": torch.ones(2)}, "b": [Code()]}],
    )
    torch.save(payload[rng.integers(3)], stream, _use_new_zipfile_serialization=bool(rng.integers(2)))
    return stream.getvalue() if rng.random() < 0.7 else pickle.dumps(Code(), int(rng.integers(6)))


def read_entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_entries(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def flip_pickle(content: bytes, rng: Rng) -> bytes:
    """Change bytes of the pickle alone, with the right check sum."""
    entries = read_entries(content)
    name = next(name for name in entries if name.endswith("data.pkl"))
    return write_entries(entries | {name: flip_bits(entries[name], rng)})


def change_archive(content: bytes, rng: Rng) -> bytes:
    """Compress, enlarge, drop, rename or repeat entries, or let them claim other sizes."""
    entries = read_entries(content)
    names = list(entries)
    name = names[rng.integers(len(names))]
    match int(rng.integers(5)):
        case 0:
            return write_entries(entries | {name: bytes(int(10 ** rng.uniform(3, 9)))}, zipfile.ZIP_DEFLATED)
        case 1:
            return write_entries({each: data for each, data in entries.items() if each != name})
        case 2:
            renamed = {("../" + each if each == name else each): data for each, data in entries.items()}
            return write_entries(renamed)
        case 3:
            return write_entries(entries | {name: entries[names[rng.integers(len(names))]]})
    changed = bytearray(content)  # the sizes in the directory at the end
    start = content.rfind(b"PK\x01\x02")
    changed[start + 20 : start + 28] = struct.pack("<II", *rng.integers(0, 2**32, 2, dtype=np.uint64))
    return bytes(changed)


def settings_for(path: Path) -> dict[str, int]:
    """Return what a reader must be told about a checkpoint, which holds no settings."""
    return HEADS if path.suffix in (".ckpt", ".pth") else {}
