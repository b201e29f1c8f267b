"""`minitvlt info` and `minitvlt convert`: every tensor in its place, and what cannot be kept is said."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from minitvlt.backends import flatten
from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import load, save, save_arrays
from minitvlt.checkpoints.tensor_files import write_tensors
from minitvlt.commands.main import main
from minitvlt.model.parameters import add_classifier, add_ranking
from tests.helpers.backends import assert_trees_close
from tests.helpers.released import draw_tensors, list_mae, list_released

WIDE = {"width": 64, "decoder_width": 32}  # one head each, as wide as in the published model
BOTH = ["decoder", "matching_score", "classifier", "vqa_classifier"]
MODEL = "run/model.safetensors"  # of the small run


@pytest.fixture(autouse=True)
def sources(run: Path) -> None:
    """Checkpoints of all kinds; the small run has heads of 4 and 3, which no shape says."""
    torch.save({"state_dict": draw_tensors(list_released(BOTH[:2], **WIDE))}, "original.ckpt")
    torch.save({"model": draw_tensors(list_mae(**WIDE))}, "mae.pth")
    torch.save(draw_tensors(list_released(BOTH, **WIDE)) | {"mlm_score.bias": torch.ones(3)}, "two.ckpt")
    torch.save(draw_tensors(list_released(labels=6)), "narrow.ckpt")
    to_huggingface(load(MODEL), "folder")
    save(add_ranking(load(MODEL)), "ranking.safetensors")
    save(add_classifier(load(MODEL)), "pooler.safetensors")
    Path("garbage.safetensors").write_bytes(bytes(range(256)))


def read_lines(capsys: pytest.CaptureFixture, *words: str) -> list[str]:
    capsys.readouterr()
    assert main(list(words)) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("source", "options", "name"),
    [
        (MODEL, [], "minitvlt"),
        ("folder", [], "transformers"),
        ("narrow.ckpt", ["--heads", "2", "--decoder-heads", "4"], "the released TVLT code"),
        ("mae.pth", [], "ViT MAE pre-training"),
    ],
)
def test_info_names_format_settings_parts_and_arrays(capsys, source: str, options: list, name: str) -> None:
    heads = dict(
        zip(("num_attention_heads", "decoder_num_attention_heads"), map(int, options[1::2]), strict=False)
    )
    lines = read_lines(capsys, "info", source, *options)
    params = load_any(source, **heads)
    assert lines[0] == f"{source}: a checkpoint of {name}"
    assert f"* hidden_size = {params.config.hidden_size}" in lines and "qkv_bias = True" in lines
    missing = next((line for line in lines if line.startswith("missing, randomly initialised")), "")
    assert ("encoder.audio_patches.weight" in missing) == (source == "mae.pth")
    held = {key: array for key, array in flatten(params).items() if key not in missing}
    for key, array in held.items():
        assert f"{key} float32 {' × '.join(map(str, array.shape))}" in lines
    numbers = sum(math.prod(array.shape) for array in held.values())
    assert lines[-1] == f"{len(held)} arrays, {numbers:,} numbers"
    for part in {key.partition(".")[0] for key in held}:
        assert any(line.startswith(part + " ") for line in lines)


@pytest.mark.parametrize("name", ["other.pth", "other.safetensors"])
def test_info_lists_the_arrays_of_an_unknown_program(name: str, capsys) -> None:
    write_tensors({"conv1.weight": np.ones((2, 3), np.float64), "step": np.array(7)}, name)
    lines = read_lines(capsys, "info", name)
    assert lines[0] == f"{name}: named arrays of an unknown program"
    assert {"conv1.weight float64 2 × 3", "step int64 scalar", "2 arrays, 7 numbers"} <= set(lines)
    save_arrays({}, "none.safetensors")
    assert read_lines(capsys, "info", "none.safetensors")[-1] == "0 arrays, 0 numbers"


@pytest.mark.parametrize("target", ["target.safetensors", "target", "target.ckpt", "target.bin"])
@pytest.mark.parametrize("source", ["original.ckpt", "mae.pth"])
def test_convert_keeps_every_tensor(source: str, target: str, capsys) -> None:
    before, expected = set(Path().iterdir()), load_any(source)
    lines = read_lines(capsys, "convert", source, target)
    assert lines[0].startswith(f"Read {source} as a checkpoint of ") and f"Wrote {target} as " in lines[-1]
    assert any(line.startswith("Randomly initialised, because missing: ") for line in lines) == (
        "mae" in source
    )
    assert_trees_close(load_any(target), expected, rtol=0, atol=0)
    assert set(Path().iterdir()) - before == {Path(target)}


def test_convert_says_what_the_target_does_not_hold(capsys) -> None:
    *_, told, lost = read_lines(capsys, "convert", MODEL, "there.safetensors", "--to", "original")
    assert told == "Its readers must be given: num_attention_heads=2, decoder_num_attention_heads=2."
    assert "token_order='audio-first'" in lost and "hidden_size" not in lost
    heads = ["--heads", "2", "--decoder-heads", "2"]
    assert len(read_lines(capsys, "convert", "there.safetensors", "back.safetensors", *heads)) == 2
    assert_trees_close(load("back.safetensors"), load(MODEL), rtol=0, atol=0)
    read_lines(capsys, "convert", "folder", "same.safetensors")
    assert_trees_close(load("same.safetensors"), load(MODEL), rtol=0, atol=0)


def test_convert_warns_of_what_is_not_read_and_of_what_transformers_computes_otherwise(capsys) -> None:
    words = ["two.ckpt", "chosen.safetensors", "--classifier", "vqa_classifier"]
    assert main(["convert", *words]) == 0 and load("chosen.safetensors").config.loss_type == "soft-labels"
    assert capsys.readouterr().err.startswith("minitvlt: two.ckpt holds more than is read: ")
    assert main(["convert", "original.ckpt", "theirs"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("minitvlt: transformers ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["info", "nothing.safetensors"], "is not there"),
        (["info", "garbage.safetensors"], "is damaged, or no safetensors file"),
        (["info", "run"], "config.json"),
        (["info", "narrow.ckpt"], "--heads"),
        (["info", MODEL, "--heads", "2"], "holds its own settings"),
        (["convert", "nothing.ckpt", "target.safetensors"], "nothing.ckpt is not there"),
        (["convert", MODEL, "original.ckpt"], "original.ckpt exists, and nothing is overwritten"),
        (["convert", MODEL, "folder"], "folder exists, and nothing is overwritten"),
        (
            ["convert", MODEL, "target.onnx"],
            "Expected a target that ends in .safetensors, .ckpt, .pth, .pt, .bin",
        ),
        (["convert", "ranking.safetensors", "target"], "ranking head"),
        (["convert", "pooler.safetensors", "target.ckpt"], "pooler"),
        (["convert", "two.ckpt", "target.safetensors"], "--classifier"),
        (["convert", MODEL, "target.ckpt", "--heads", "2"], "holds its own settings"),
    ],
)
def test_bad_requests_are_refused(refuse: Callable, words: list[str], expected: str) -> None:
    assert expected in refuse(*words)
