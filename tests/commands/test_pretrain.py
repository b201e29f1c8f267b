"""`minitvlt pretrain`: a folder with everything to look at, or one sentence that says what is wrong."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from minitvlt.__main__ import main
from minitvlt.checkpoints.native import load
from minitvlt.commands import pretrain
from minitvlt.config import Config
from minitvlt.signals.clips import Clip, write_clip
from minitvlt.training.optimizer import Recipe
from minitvlt.training.runs import Settings, claim_folder, read_settings
from minitvlt.training.trainer import read_metrics
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import why_no_cuda
from tests.helpers.interruption import interrupt_at
from tests.helpers.media import make_frames, make_sweep, needs_av

SMALL = {
    "image_size": 8,
    "image_patch_size": [4, 4],
    "num_frames": 2,
    "sample_rate": 8000,
    "window_length": 128,
    "hop_length": 64,
    "spectrogram_length": 12,
    "frequency_length": 6,
    "audio_patch_size": [4, 3],
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "decoder_hidden_size": 6,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 10,
    "audio_mask_type": "patch-level",
    "audio_mask_ratio": 0.5,
}
ALL = {
    "curves.png",
    "matching.png",
    "metrics.jsonl",
    "model.safetensors",
    "original.wav",
    "reconstruction.png",
    "reconstruction.wav",
    "report.html",
    "run.json",
    "training_state.safetensors",
}
SAME = ALL - {"report.html", "run.json"}  # the others say --out


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    """A folder to work in, with a small configuration; few clips are scored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrain, "CLIPS_SCORED", 16)
    Path("small.json").write_text(json.dumps(SMALL))


def start(*words: str, steps: int = 4) -> int:
    return main(["pretrain", "--config", "small.json", "--batch", "3", "--steps", str(steps), *words])


def read_everything(folder: str = ".") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def refuse(capsys, *words: str) -> str:
    """Run a command that must fail: status 2, one line of error, nothing written; return the line."""
    before = read_everything()
    assert main(["pretrain", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("minitvlt pretrain: ")
    assert read_everything() == before
    assert not Path("run").exists() or "run/run.json" in before
    return err


# A whole run


def test_a_run_leaves_a_folder_with_everything(capsys):
    assert start("--seed", "3") == 0
    assert {path.name for path in Path("run").iterdir()} == ALL
    assert set(Path().iterdir()) == {Path("run"), Path("small.json")}
    out, err = capsys.readouterr()
    for figure in ("matching accuracy", "recall@1", "hidden video", "hidden sound", "chance"):
        assert figure in out
    assert "16 held-out clips" in out and "run/report.html" in out
    assert "4/4" in err
    assert len(read_metrics(Path("run/metrics.jsonl"))) == 4
    assert load("run/model.safetensors").config == Config.from_dict(SMALL)
    report = Path("run/report.html").read_text()
    assert report.count("<img") == 3 and report.count("<audio") == 2
    assert "minitvlt pretrain --config small.json --batch 3 --steps 4 --seed 3" in report
    assert "16 held-out clips" in report
    assert "≥" not in out and "reached" not in re.sub("<style>.*?</style>", "", report, flags=re.S), (
        "no goals"
    )


def test_two_runs_with_one_seed_are_identical_file_by_file():
    for name in ("one", "two"):
        start("--out", name, steps=2)
    for name in SAME:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name


def test_goals_belong_to_the_standard_run_alone():
    standard = Settings(Config.tiny(), Recipe(seed=5))
    assert standard.is_standard and Settings(Config.tiny(), Recipe(), backend="torch").is_standard
    assert not Settings(Config.tiny(), Recipe(steps=7)).is_standard
    assert not Settings(Config.small(), Recipe()).is_standard
    assert not Settings(Config.tiny(), Recipe(), data="clips").is_standard


def test_a_task_left_out_leaves_its_picture_out(undrawn, capsys):
    Path("run").mkdir()  # an empty folder is taken
    Path("small.json").write_text(json.dumps({**SMALL, "task_matching": False}))
    assert start(steps=1) == 0
    assert {path.name for path in Path("run").iterdir()} == ALL - {"matching.png"}
    assert "matching accuracy" not in capsys.readouterr().out
    Path("small.json").write_text(json.dumps({**SMALL, "task_mae": False}))
    assert start("--out", "other", steps=1) == 0
    assert {path.name for path in Path("other").iterdir()} == ALL - {
        "original.wav",
        "reconstruction.wav",
        "reconstruction.png",
    }


def test_torch_runs_the_same_command(undrawn):
    assert start("--backend", "torch", "--device", "cpu", "--out", "theirs") == 0
    assert start("--out", "ours") == 0
    ours, theirs = (
        [line["loss"] for line in read_metrics(Path(name, "metrics.jsonl"))] for name in ("ours", "theirs")
    )
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)


# Stopped and resumed

SETTINGS = Settings(Config.from_dict(SMALL), Recipe(steps=4, batch_size=3, seed=3), command="minitvlt ...")


@pytest.fixture
def claimed() -> Path:
    """A run in `run` that was killed before its first step; returns the path of its settings."""
    claim_folder(Path("run"), SETTINGS)
    return Path("run/run.json")


@pytest.mark.parametrize("again", [[], ["--config", "small.json", "--seed", "3", "--backend", "numpy"]])
def test_an_interrupted_run_is_resumed_bit_for_bit(undrawn, monkeypatch, capsys, again):
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=3)
        assert start("--seed", "3") == 130
    assert capsys.readouterr().err.endswith("interrupted.\n")
    assert main(["pretrain", "--resume", *again]) == 0
    assert "--seed 3</pre>" in Path("run/report.html").read_text(), "the command that started it"
    assert start("--out", "whole", "--seed", "3") == 0
    for name in SAME:
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_a_finished_run_is_scored_and_drawn_again(undrawn):
    start(steps=2)
    before = read_everything("run")
    for name in ("report.html", "curves.png", "model.safetensors"):
        Path("run", name).unlink()
    assert main(["pretrain", "--resume"]) == 0
    assert read_everything("run") == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--steps", "5"], "steps is 4, not 5"),
        (["--batch", "4"], "batch_size is 3, not 4"),
        (["--seed", "9"], "seed is 3, not 9"),
        (["--learning-rate", "0.5"], "learning_rate is .*, not 0.5"),
        (["--config", "tiny"], "image_size is 8, not 24"),
        (["--data", "clips"], "data is None, not '.*clips'"),
        (["--backend", "torch"], "backend is 'numpy', not 'torch'"),
        (["--device", "cpu"], "device is None, not 'cpu'"),
        (["--dtype", "bfloat16"], "dtype is 'float32', not 'bfloat16'"),
        (["--compile"], "compile is False, not True"),
    ],
)
def test_resume_refuses_what_contradicts_the_run(claimed, capsys, words, expected):
    assert re.search(f"settings of run, where {expected}", refuse(capsys, "--resume", *words))


def test_resume_needs_a_run(capsys):
    assert "no run to resume in run" in refuse(capsys, "--resume")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"recipe"', '"receipt"'),
        lambda text: text.replace('"steps": 4', '"steps": "x"'),
        lambda text: text.replace('"steps": 4', '"steps": -1'),
        lambda text: text.replace('"image_size"', '"image_sise"'),
        lambda text: "\udcff",
    ],
)
def test_damaged_settings_are_refused(claimed, capsys, damage):
    claimed.write_text(damage(claimed.read_text()), errors="surrogateescape")
    with annotations_unchecked():  # as users run it
        assert "run.json is damaged" in refuse(capsys, "--resume")


def test_settings_come_back_as_they_were(claimed):
    assert read_settings(Path("run")) == SETTINGS
    assert read_settings(Path("run")).command == SETTINGS.command


def test_a_run_killed_before_its_first_step_is_resumed(undrawn, claimed):
    assert main(["pretrain", "--resume"]) == 0
    assert len(read_metrics(Path("run/metrics.jsonl"))) == 4


# Requests that cannot be met


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--config", "huge"], "one of tiny, small, base, paper or a JSON file, got 'huge'"),
        (["--config", "broken.json"], "broken.json is no JSON file"),
        (["--config", "list.json"], "must hold a JSON object"),
        (
            ["--config", "unknown.json"],
            "Unknown configuration value 'hidden_sise': did you mean 'hidden_size'",
        ),
        (["--config", "odd.json"], "image_size .* is not a multiple of image_patch_size"),
        (["--config", "mono.json"], "three channels here, but the config says 1"),
        (["--steps", "0"], "steps must be an integer of at least 1"),
        (["--micro-batches", "99"], "micro_batches 99 is larger than batch_size"),
        (["--learning-rate", "nan"], "learning_rate must be a finite number above 0"),
        (["--seed", "-1"], "seed must be an integer of at least 0"),
        (["--data", "nowhere"], "nowhere is not a folder"),
        (["--data", "."], "holds no media file"),
        (["--device", "cuda"], "NumPy runs on the CPU"),
        (["--backend", "torch", "--device", "toaster"], "toaster"),
        (["--compile", "--dtype", "bfloat16"], "need PyTorch: choose the backend torch"),
        (["--out", "small.json"], "small.json is a file: choose another --out"),
        (["--out", "small.json/run"], "small.json"),
    ],
)
def test_bad_requests_are_refused_in_one_sentence(capsys, words, expected):
    Path("broken.json").write_text('{"image_size": ')
    Path("list.json").write_text("[1, 2]")
    Path("unknown.json").write_text('{"hidden_sise": 8}')
    Path("odd.json").write_text(json.dumps({**SMALL, "image_size": 9}))
    Path("mono.json").write_text(json.dumps({**SMALL, "num_image_channels": 1}))
    assert re.search(expected, refuse(capsys, *words))


@pytest.mark.skipif(why_no_cuda() is None, reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(capsys):
    assert "cuda" in refuse(capsys, "--backend", "torch", "--device", "cuda")


def test_a_library_that_is_not_there_is_refused(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "minitvlt.backends.torch_backend", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)  # what Python then says of it: no such module
    assert "torch" in refuse(capsys, "--backend", "torch")


def test_a_folder_that_holds_anything_is_left_alone(claimed, capsys):
    assert (
        "is not empty, and nothing is overwritten: choose another --out or go on with that run by --resume"
        in (refuse(capsys))
    )
    Path("other").mkdir()
    Path("other/diary.txt").write_text("mine")
    assert "other is not empty, and nothing is overwritten: choose another --out." in refuse(
        capsys, "--out", "other"
    )


def test_an_unknown_option_ends_with_status_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["pretrain", "--speed", "9"])
    assert "--speed" in capsys.readouterr().err


# Media files


@pytest.fixture
def clips() -> Path:
    """Two films, one of them shorter than a spectrogram, and a file that is none."""
    folder = Path("clips")
    for name, seconds in (("a.mp4", 0.6), ("b.mp4", 0.08)):
        frames = make_frames(round(seconds * 25), 18, 22)
        write_clip(folder / name, Clip(frames, 25.0, make_sweep(seconds, 8000), 8000))
    (folder / "broken.mp4").write_bytes(b"this is no film")
    return folder


@needs_av
def test_a_folder_of_films_is_learnt_and_the_broken_one_is_named(clips, capsys):
    before = read_everything("clips")
    assert start("--data", "clips", "--out", "run") == 0
    assert {path.name for path in Path("run").iterdir()} == ALL
    assert read_everything("clips") == before
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if "broken.mp4" in line]
    assert line.startswith("minitvlt: Skipped ") and "warn(" not in err and ".py" not in err
    assert "16 clips of the same files that it learnt from" in out
    assert "≥" not in out and "held-out" not in out
    report = Path("run/report.html").read_text()
    assert "clips of the same files that it learnt from" in report and "held-out" not in report


@needs_av
def test_two_runs_on_films_are_identical(clips):
    for name in ("one", "two"):
        assert start("--data", "clips", "--out", name, steps=2) == 0
    for name in ("metrics.jsonl", "model.safetensors", "reconstruction.png", "matching.png"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name


@needs_av
def test_a_folder_without_any_usable_film_is_refused(clips, capsys):
    for name in ("a.mp4", "b.mp4"):
        (clips / name).unlink()
    before = read_everything()
    assert start("--data", "clips") == 2
    err = capsys.readouterr().err
    assert "No file is left that has both pictures and sound" in err and "Traceback" not in err
    assert read_everything() == before and not Path("run").exists()
