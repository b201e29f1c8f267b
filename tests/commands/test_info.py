"""`minitvlt info`: what a checkpoint holds, of ours and of other programs, in words."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from minitvlt.__main__ import main
from minitvlt.backends import flatten
from minitvlt.checkpoints.native import save, save_arrays, write_tensors
from minitvlt.config import Config
from minitvlt.model.parameters import init
from tests.helpers.released import draw_tensors, list_mae, list_released

SIZES = {
    "image_size": 8,
    "image_patch_size": [4, 4],
    "num_frames": 2,
    "spectrogram_length": 12,
    "frequency_length": 6,
    "audio_patch_size": [4, 3],
    "hidden_size": 14,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "decoder_hidden_size": 10,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 11,
}


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def count_numbers(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def test_a_file_of_ours(capsys):
    params = init(Config.from_dict(SIZES))
    save(params, "model.safetensors")
    assert main(["info", "model.safetensors"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "* hidden_size = 14" in lines and "qkv_bias = True" in lines
    assert "* image_patch_size = (4, 4)" in lines
    arrays = flatten(params)
    for name, array in arrays.items():
        assert f"{name} float32 {' × '.join(map(str, array.shape))}" in lines
    numbers = sum(math.prod(array.shape) for array in arrays.values())
    assert lines[-1] == f"{len(arrays)} arrays, {numbers:,} numbers"


def test_a_folder_of_transformers(capsys):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model = transformers.TvltForPreTraining(transformers.TvltConfig(**SIZES))
    model.save_pretrained("theirs")
    capsys.readouterr()
    assert main(["info", "theirs"]) == 0
    out = capsys.readouterr().out
    assert "hidden_size = 14" in out and "encoder.blocks.0.attention.qkv.weight" in out


def test_a_file_of_the_released_code(capsys):
    torch.save({"state_dict": draw_tensors(list_released(labels=6))}, "TVLT.ckpt")
    assert main(["info", "TVLT.ckpt"]) == 2
    assert "(--heads, --decoder-heads)" in capsys.readouterr().err
    assert main(["info", "TVLT.ckpt", "--heads", "2", "--decoder-heads", "4"]) == 0
    out = capsys.readouterr().out
    assert "TVLT.ckpt: a checkpoint of the released TVLT code\n" in out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "* token_order = audio-first" in lines and "* num_attention_heads = 2" in lines
    assert lines[-1] == f"{len(list_released())} arrays, {count_numbers(list_released(labels=6)):,} numbers"
    assert "encoder.video_patches.weight float32 10 × 12" in lines
    for part in ("encoder", "decoder", "matching", "ranking"):
        assert any(line.startswith(part + " ") for line in lines)
    assert any(line.endswith("num_labels 6, loss_type labels") for line in lines)


def test_a_file_of_mae_and_what_is_not_in_it(capsys):
    torch.save({"model": draw_tensors(list_mae())}, "mae.pth")
    assert main(["info", "mae.pth", "--heads", "2", "--decoder-heads", "4"]) == 0
    out = capsys.readouterr().out
    assert "mae.pth: a checkpoint of ViT MAE pre-training\n" in out
    assert "not held, drawn anew when it is read: encoder.video_positions.time, " in out
    arrays = out.partition("\narrays\n")[2]
    assert "audio" not in arrays and "matching" not in arrays
    assert f"{len(list_mae())} arrays, " in arrays


@pytest.mark.parametrize("name", ["other.pth", "other.safetensors"])
def test_a_file_of_an_unknown_program(name, capsys):
    arrays = {"conv1.weight": np.ones((2, 3), np.float64), "step": np.array(7)}
    write_tensors(arrays, name)
    assert main(["info", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: named arrays of a program that is not known here\n")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "conv1.weight float64 2 × 3" in lines and "step int64 one number" in lines
    assert lines[-1] == "2 arrays, 7 numbers"


def test_a_file_without_arrays(capsys):
    save_arrays({}, "none.safetensors")
    assert main(["info", "none.safetensors"]) == 0
    assert capsys.readouterr().out.endswith("0 arrays, 0 numbers\n")


def test_settings_that_a_checkpoint_says_cannot_be_given(capsys):
    save(init(Config.from_dict(SIZES)), "model.safetensors")
    assert main(["info", "model.safetensors", "--heads", "2"]) == 2
    assert "holds its own settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nothing.safetensors", "is not there"),
        ("garbage.safetensors", "is damaged, or no safetensors file"),
        ("empty.safetensors", "is damaged, or no safetensors file"),
        ("folder", "config.json"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(capsys, path, expected):
    Path("garbage.safetensors").write_bytes(bytes(range(256)))
    Path("empty.safetensors").write_bytes(b"")
    Path("folder").mkdir()
    assert main(["info", path]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("minitvlt info: ") and expected in err
