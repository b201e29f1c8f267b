"""`minitvlt info`: what a checkpoint holds, of ours and of transformers, in words."""

import math
from pathlib import Path

import pytest

from minitvlt.__main__ import main
from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.learning.checkpoints import save
from minitvlt.model.parameters import init

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
