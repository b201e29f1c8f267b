"""`minitvlt convert`: from any known checkpoint to any other, each tensor in its place and nothing unsaid."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from minitvlt.__main__ import main
from minitvlt.backends import flatten, unflatten
from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import load, save, save_arrays
from minitvlt.checkpoints.released import from_mae
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_classifier, add_ranking, init
from tests.helpers.backends import assert_trees_close
from tests.helpers.models import draw_params
from tests.helpers.released import HEADS, draw_tensors, list_mae, list_released

WIDE = {"width": 64, "decoder_width": 32}  # one head each, as wide as in the published model
PRETRAINING = ("decoder", "matching_score")
CONFIG = Config(
    image_size=6,
    image_patch_size=(2, 2),
    num_frames=5,
    spectrogram_length=14,
    frequency_length=12,
    audio_patch_size=(2, 3),
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=1,
    intermediate_size=7,
    decoder_hidden_size=32,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=1,
    decoder_intermediate_size=5,
)


def make_ours(*parts: str) -> Params:
    params = draw_params(CONFIG, np.random.default_rng(1), *parts)
    return unflatten(params, {name: array.astype(np.float32) for name, array in flatten(params).items()})


def write_ours(path: Path) -> Path:
    return save(make_ours(), path.with_suffix(".safetensors"))


def write_transformers(path: Path) -> Path:
    return to_huggingface(make_ours(), path)


def write_original(path: Path) -> Path:
    torch.save({"state_dict": draw_tensors(list_released(PRETRAINING, **WIDE))}, path.with_suffix(".ckpt"))
    return path.with_suffix(".ckpt")


def write_original_safely(path: Path) -> Path:
    tensors = draw_tensors(list_released(PRETRAINING, **WIDE))
    return save_arrays(
        {name: each.numpy() for name, each in tensors.items()}, path.with_suffix(".safetensors")
    )


def write_mae(path: Path) -> Path:
    torch.save({"model": draw_tensors(list_mae(**WIDE))}, path.with_suffix(".pth"))
    return path.with_suffix(".pth")


SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "minitvlt": (write_ours, "minitvlt"),
    "transformers": (write_transformers, "transformers"),
    "original": (write_original, "the released TVLT code"),
    "original, safe": (write_original_safely, "the released TVLT code"),
    "mae": (write_mae, "ViT MAE pre-training"),
}
TARGETS = {
    "minitvlt": ("target.safetensors", [], "minitvlt"),
    "transformers": ("target", [], "transformers"),
    "original": ("target.ckpt", [], "the released TVLT code"),
    "original, safe": ("target.safetensors", ["--to", "original"], "the released TVLT code"),
}


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("target", "options", "its_name"), TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize(("write", "name"), SOURCES.values(), ids=SOURCES)
def test_every_tensor_arrives(write, name, target, options, its_name, capsys):
    source = write(Path("source"))
    expected = load_any(source)
    assert main(["convert", str(source), target, *options]) == 0
    out = capsys.readouterr().out
    assert f"Read {source} as a checkpoint of {name} (guessed): " in out
    assert f"Wrote {target} as a checkpoint of {its_name}." in out
    assert "Whoever reads it" not in out
    assert_trees_close(load_any(target), expected, rtol=0, atol=0)
    assert sorted(path.name for path in Path().iterdir()) == sorted([source.name, target])


@pytest.mark.parametrize(("write", "_"), SOURCES.values(), ids=SOURCES)
def test_to_ours_every_setting_arrives(write, _, capsys):
    source = write(Path("source"))
    assert main(["convert", str(source), "target.safetensors"]) == 0
    assert load("target.safetensors").config == load_any(source).config
    out, err = capsys.readouterr()
    assert "It cannot hold every setting" not in out and err == ""


def test_what_is_drawn_anew_is_named(capsys):
    main(["convert", str(write_mae(Path("source"))), "target.safetensors"])
    out = capsys.readouterr().out
    assert "Drawn anew, as it does not hold them: encoder.video_positions.time, " in out
    assert "matching" not in out.splitlines()[0]
    assert_trees_close(load("target.safetensors"), from_mae("source.pth"), rtol=0, atol=0)


def test_what_is_held_is_counted(capsys):
    main(["convert", str(write_ours(Path("source"))), "target.safetensors"])
    arrays = flatten(make_ours())
    count = sum(array.size for array in arrays.values())
    assert f"{len(arrays)} arrays, {count:,} numbers, encoder, decoder, matching." in capsys.readouterr().out


def test_settings_that_get_lost_are_named(capsys):
    save(make_ours(), "source.safetensors")
    assert main(["convert", "source.safetensors", "target.ckpt"]) == 0
    out = capsys.readouterr().out
    assert "It cannot hold every setting, and will be read with: " in out
    assert "token_order='audio-first'" in out and "hidden_size" not in out


def test_heads_that_the_target_cannot_say_are_named_and_can_be_given(capsys):
    save(init(Config.tiny()), "source.safetensors")
    assert main(["convert", "source.safetensors", "target.ckpt"]) == 0
    told = "Whoever reads it must be told: num_attention_heads=4, decoder_num_attention_heads=4."
    assert told in capsys.readouterr().out
    back = ["convert", "target.ckpt", "back.safetensors"]
    assert main([*back, "--heads", "4", "--decoder-heads", "4"]) == 0
    assert_trees_close(load("back.safetensors"), load("source.safetensors"), rtol=0, atol=0)
    heads = load("back.safetensors").config
    assert (heads.num_attention_heads, heads.decoder_num_attention_heads) == (4, 4)


def test_what_transformers_does_otherwise_is_said_once(capsys):
    assert main(["convert", str(write_original(Path("source"))), "target"]) == 0
    _, err = capsys.readouterr()
    assert err.count("\n") == 1 and err.startswith("minitvlt: transformers behaves differently with target: ")


def test_what_is_left_over_is_named(capsys):
    tensors = draw_tensors(list_released(PRETRAINING, **WIDE)) | {"mlm_score.bias": torch.ones(3)}
    torch.save(tensors, "source.ckpt")
    assert main(["convert", "source.ckpt", "target.safetensors"]) == 0
    assert capsys.readouterr().err == "minitvlt: source.ckpt holds more than is read: mlm_score.bias.\n"


def test_of_two_classifiers_one_is_chosen(capsys):
    torch.save(draw_tensors(list_released(("classifier", "vqa_classifier"), **WIDE)), "source.ckpt")
    assert main(["convert", "source.ckpt", "target.safetensors"]) == 2
    assert "--classifier" in capsys.readouterr().err
    assert main(["convert", "source.ckpt", "target.safetensors", "--classifier", "vqa_classifier"]) == 0
    assert load("target.safetensors").config.loss_type == "soft-labels"
    assert main(["convert", "target.safetensors", "back.ckpt"]) == 0
    assert any(name.startswith("vqa_classifier.") for name in torch.load("back.ckpt", weights_only=True))


def test_the_format_of_the_source_can_be_said(capsys):
    source = write_original(Path("source"))
    assert main(["convert", str(source), "target.safetensors", "--from", "original"]) == 0
    assert "(guessed)" not in capsys.readouterr().out
    assert main(["convert", str(source), "other.safetensors", "--from", "mae"]) == 2
    assert "expected one patch_embed.proj.weight" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".ckpt", ".pth", ".pt", ".bin"])
def test_the_ending_says_the_format_of_the_target(ending):
    assert main(["convert", str(write_ours(Path("source"))), f"target{ending}"]) == 0
    assert "cls_token" in torch.load(f"target{ending}", weights_only=True)


# -------------------------------------------------------------------------------------------- what is refused


def assert_refused(capsys: pytest.CaptureFixture, message: str, *arguments: str) -> None:
    """Hold that a conversion ends with one sentence and the status 2, and writes nothing."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["convert", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("minitvlt convert: ") and err.count("\n") == 1 and message in err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("target", ["there.safetensors", "folder", "there.ckpt"])
def test_nothing_is_overwritten(target, capsys):
    Path("there.safetensors").write_text("mine")
    Path("there.ckpt").write_text("mine")
    Path("folder").mkdir()
    Path("folder/notes.txt").write_text("mine")
    assert_refused(capsys, "nothing is overwritten", str(write_ours(Path("source"))), target)


def test_an_empty_folder_is_filled():
    Path("target").mkdir()
    assert main(["convert", str(write_ours(Path("source"))), "target"]) == 0
    assert json.loads(Path("target/config.json").read_text())["architectures"] == ["TvltForPreTraining"]


def test_a_source_that_is_not_there(capsys):
    assert_refused(capsys, "nothing.ckpt is not there", "nothing.ckpt", "target.safetensors")


def test_an_ending_that_stands_for_no_format(capsys):
    source = str(write_ours(Path("source")))
    assert_refused(capsys, "The ending of target.onnx stands for no format", source, "target.onnx")


def test_there_is_no_way_back_to_mae(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["convert", "source.safetensors", "target.pth", "--to", "mae"])
    assert caught.value.code == 2 and "invalid choice: 'mae'" in capsys.readouterr().err


def test_a_model_that_transformers_cannot_hold(capsys):
    save(add_ranking(make_ours()), "source.safetensors")
    assert_refused(capsys, "No class of transformers has all of", "source.safetensors", "target")


def test_a_model_that_the_released_code_cannot_compute(capsys):
    save(add_classifier(make_ours()), "source.safetensors")
    assert_refused(capsys, "classifier_pooler=True there, False here", "source.safetensors", "target.ckpt")


def test_heads_of_a_checkpoint_that_says_them(capsys):
    source = str(write_ours(Path("source")))
    message = "holds its own settings (minitvlt): leave out num_attention_heads"
    assert_refused(capsys, message, source, "target.ckpt", "--heads", "2")


def test_heads_that_nobody_can_guess(capsys):
    torch.save(draw_tensors(list_released(PRETRAINING)), "source.ckpt")
    message = "num_attention_heads, decoder_num_attention_heads cannot be guessed"
    assert_refused(capsys, message, "source.ckpt", "target.safetensors")
    heads = [str(HEADS[name]) for name in ("num_attention_heads", "decoder_num_attention_heads")]
    options = ["--heads", heads[0], "--decoder-heads", heads[1]]
    assert main(["convert", "source.ckpt", "target.safetensors", *options]) == 0


def test_the_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert "minitvlt convert TVLT.ckpt TVLT.safetensors" in capsys.readouterr().out
