"""`minitvlt info` and `minitvlt convert`: every tensor in its place, and what cannot be kept is said."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from minitvlt.backends import flatten
from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.native import load, save, save_arrays, write_tensors
from minitvlt.commands.main import main
from minitvlt.model.parameters import add_classifier, add_ranking
from tests.helpers.backends import assert_trees_close
from tests.helpers.released import draw_tensors, list_mae, list_released

WIDE = {"width": 64, "decoder_width": 32}  # one head each, as wide as in the published model
MAE_SIZES = {"width": 768, "decoder_width": 512, "layers": 1}  # of which the heads are known
BOTH = ["decoder", "matching_score", "classifier", "vqa_classifier"]
MODEL = "model.safetensors"  # of the small run


@pytest.fixture(scope="module")
def sources(finished: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of all kinds."""
    folder, ours = tmp_path_factory.mktemp("sources"), load(finished[0] / "model.safetensors")
    torch.save({"state_dict": draw_tensors(list_released(BOTH[:2], **WIDE))}, folder / "original.ckpt")
    torch.save({"model": draw_tensors(list_mae(**MAE_SIZES))}, folder / "mae.pth")
    tensors = draw_tensors(list_released(BOTH, **WIDE)) | {"mlm_score.bias": torch.ones(3)}
    torch.save(tensors, folder / "two.ckpt")
    torch.save(draw_tensors(list_released(labels=6)), folder / "narrow.ckpt")
    assert main(["convert", str(finished[0] / "model.safetensors"), str(folder / "folder")]) == 0
    for name, params in {"model": ours, "ranking": add_ranking(ours), "pooler": add_classifier(ours)}.items():
        save(params, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(autouse=True)
def copied(at_work: None, sources: Path) -> None:
    shutil.copytree(sources, ".", dirs_exist_ok=True)


def read_lines(capsys: pytest.CaptureFixture, *words: str) -> list[str]:
    capsys.readouterr()
    assert main(list(words)) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


SOURCES = {MODEL: "minitvlt", "original.ckpt": "the released TVLT code"}


@pytest.mark.parametrize(("source", "name"), SOURCES.items())
def test_info_names_format_settings_parts_and_arrays(capsys, source: str, name: str) -> None:
    lines, params = read_lines(capsys, "info", source), load_any(source)
    assert lines[0] == f"{source}: a checkpoint of {name}"
    assert "* hidden_size = 64" in lines and "qkv_bias = True" in lines
    arrays = flatten(params)
    for key, array in arrays.items():
        assert f"{key} float32 {' × '.join(map(str, array.shape))}" in lines
    numbers = sum(math.prod(array.shape) for array in arrays.values())
    assert lines[-1] == f"{len(arrays)} arrays, {numbers:,} numbers"
    assert {"encoder", "decoder", "matching"} <= {line.partition(" ")[0] for line in lines}


def test_info_tells_what_is_missing_and_what_is_beside(capsys) -> None:
    assert read_lines(capsys, "info", "folder")[0] == "folder: a checkpoint of transformers"
    lines = read_lines(capsys, "info", "mae.pth")
    (missing,) = [line for line in lines if line.startswith("missing, randomly initialised when read: ")]
    assert "encoder.audio_patches.weight" in missing
    assert lines[-1].startswith(f"{len(list_mae(layers=1))} arrays, ")
    assert any("row 0 of its" in line for line in lines) and any("norm_pix_loss" in line for line in lines)
    lines = read_lines(capsys, "info", "narrow.ckpt", "--heads", "2", "--decoder-heads", "4")
    assert any(line.startswith("ranking ") for line in lines) and "* num_attention_heads = 2" in lines
    assert any(line.endswith("num_labels 6, loss_type labels") for line in lines)
    assert "labels: happy, sad, angry, fear, disgust, surprise" in lines


def test_info_lists_the_arrays_of_an_unknown_program(capsys) -> None:
    write_tensors({"conv1.weight": np.ones((2, 3), np.float64), "step": np.array(7)}, "other.pth")
    lines = read_lines(capsys, "info", "other.pth")
    assert lines[0] == "other.pth: named arrays of an unknown program"
    assert {"conv1.weight float64 2 × 3", "step int64 scalar", "2 arrays, 7 numbers"} <= set(lines)
    save_arrays({}, "none.safetensors")
    assert read_lines(capsys, "info", "none.safetensors")[-1] == "0 arrays, 0 numbers"


@pytest.mark.parametrize("target", ["target.safetensors", "target", "target.ckpt"])
@pytest.mark.parametrize("source", ["original.ckpt", "mae.pth"])
def test_convert_keeps_every_tensor(source: str, target: str, capsys) -> None:
    before, expected = set(Path().iterdir()), load_any(source)
    lines = read_lines(capsys, "convert", source, target)
    assert lines[0].startswith(f"Read {source} as a checkpoint of ") and any(
        f"Wrote {target} as " in line for line in lines
    )
    assert any(line.startswith("Randomly initialised, because missing: ") for line in lines) == (
        "mae" in source
    )
    assert_trees_close(load_any(target), expected, rtol=0, atol=0)
    assert set(Path().iterdir()) - before == {Path(target)}


def test_convert_says_what_the_target_does_not_hold(capsys) -> None:
    *_, told, lost = read_lines(capsys, "convert", MODEL, "there.safetensors", "--to", "original")
    assert told == "Its readers must be given: num_attention_heads=4, decoder_num_attention_heads=4."
    assert "token_order='audio-first'" in lost and "hidden_size" not in lost
    heads = ["--heads", "4", "--decoder-heads", "4"]
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
        (["info", "narrow.ckpt"], "--heads"),
        (["info", MODEL, "--heads", "2"], "holds its own settings"),
        (["convert", MODEL, "folder"], "folder exists, and nothing is overwritten"),
        (["convert", MODEL, "target.onnx"], "ends in .safetensors, .ckpt, .pth, .pt, .bin or has no suffix"),
        (["convert", "ranking.safetensors", "target"], "ranking"),
        (["convert", "pooler.safetensors", "target.ckpt"], "pooler"),
        (["convert", "two.ckpt", "target.safetensors"], "--classifier"),
    ],
)
def test_bad_requests_are_refused(refuse: Callable, words: list[str], expected: str) -> None:
    assert expected in refuse(*words)
