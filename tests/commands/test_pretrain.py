"""`minitvlt pretrain`: a folder with everything to look at, or one sentence that says what is wrong."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minitvlt.checkpoints.native import load
from minitvlt.commands.main import main
from minitvlt.training.trainer import read_metrics
from tests.commands.small import CONFIG, PRETRAIN, interrupt_at, read_everything
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.media import needs_av

SOUNDS = {"original.wav", "reconstruction.wav"}
PICTURES = {"curves.png", "matching.png", "reconstruction.png"}
TRAINED = {"metrics.jsonl", "model.safetensors", "run.json", "training_state.safetensors"}
ALL = {*SOUNDS, *PICTURES, *TRAINED, "report.html"}


def test_a_run_leaves_a_folder_with_everything(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    assert {path.name for path in folder.iterdir()} == ALL
    for text in ("matching accuracy", "recall@1", "hidden video", "chance", "2/2", "run/report.html"):
        assert text in printed
    assert len(read_metrics(folder / "metrics.jsonl")) == 2
    assert load(folder / "model.safetensors").config == CONFIG
    report = (folder / "report.html").read_text()
    assert report.count("<img") == 3 and report.count("<audio") == 2
    assert "minitvlt pretrain --batch 3 --steps 2 --seed 3" in report
    assert "16 held-out clips" in printed and "16 held-out clips" in report


@pytest.mark.parametrize(
    ("task", "lacking"),
    [("task_matching", {"matching.png"}), ("task_mae", {"reconstruction.png", *SOUNDS})],
)
def test_a_task_left_out_leaves_its_picture_out(undrawn, task: str, lacking: set[str]) -> None:
    Path("run").mkdir()  # an empty folder is taken
    Path("part.json").write_text(json.dumps({**CONFIG.to_dict(), task: False}))
    assert main([*PRETRAIN, "--config", "part.json"]) == 0
    assert not getattr(load("run/model.safetensors").config, task)
    assert {path.name for path in Path("run").iterdir()} == ALL - lacking


def test_torch_runs_the_same_command(undrawn, finished: tuple[Path, str]) -> None:
    assert main([*PRETRAIN, "--backend", "torch", "--device", "cpu", "--out", "theirs"]) == 0
    folders = (finished[0], Path("theirs"))
    ours, theirs = ([line["loss"] for line in read_metrics(f / "metrics.jsonl")] for f in folders)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)


# Stopped and resumed


def test_an_interrupted_run_is_resumed_to_the_same_bytes(monkeypatch, capsys, finished) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=2)
        assert main(PRETRAIN) == 130
    assert capsys.readouterr().err.endswith("interrupted.\n")
    assert not Path("run/model.safetensors").exists()
    assert main([*PRETRAIN, "--resume", "--backend", "numpy"]) == 0
    assert read_everything("run") == read_everything(finished[0])


def test_a_run_that_was_killed_before_its_first_step_is_resumed(undrawn, finished) -> None:
    Path("run").mkdir()
    shutil.copy(finished[0] / "run.json", "run")
    assert main(["pretrain", "--resume"]) == 0
    before, after = read_everything(finished[0]), read_everything("run")
    assert set(after) == ALL and all(after[name] == before[name] for name in TRAINED | SOUNDS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"recipe"', '"receipt"'),
        lambda text: text.replace('"steps": 2', '"steps": "x"'),
        lambda text: text.replace('"image_size"', '"image_sise"'),
        lambda text: "\udcff",
    ],
)
def test_damaged_settings_are_refused(run: Path, refuse: Callable, damage: Callable[[str], str]) -> None:
    path = run / "run.json"
    path.write_text(damage(path.read_text()), errors="surrogateescape")
    with annotations_unchecked():  # as users run it
        assert "run.json is damaged" in refuse("pretrain", "--resume")


# Requests that cannot be met


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--config", "huge"], "one of tiny, small, base, paper or a JSON file, got 'huge'"),
        (["--config", "broken.json"], "Expected broken.json with configuration values as JSON"),
        (["--config", "odd.json"], "image_size .* is not a multiple of image_patch_size"),
        (["--steps", "0"], "steps must be .* at least 1"),
        (["--data", "nowhere"], "nowhere is not a folder"),
        (["--data", "other"], "holds no media file"),
        (["--device", "cuda"], "NumPy runs on the CPU"),
        (["--backend", "torch", "--device", "toaster"], "toaster"),
        (["--compile", "--dtype", "bfloat16"], "dtype.*compile"),
        (["--out", "odd.json"], "odd.json exists, and nothing is overwritten"),
        (["--out", "other"], "other exists, and nothing is overwritten"),
        (["--out", "odd.json/run"], "odd.json"),
        ([], "run holds a run: continue it with --resume, or choose another --out"),
        (["--resume", "--out", "other"], "no run to resume in other"),
        (["--resume", "--steps", "5"], "settings of run, where steps is 2, not 5: leave"),
        (["--resume", "--config", "small"], "where config.image_size is 24, not"),
        (["--resume", "--compile"], "where compile is False, not True"),
    ],
)
def test_bad_requests_are_refused(run: Path, refuse: Callable, words: list[str], expected: str) -> None:
    Path("broken.json").write_text('{"image_size": ')
    Path("odd.json").write_text(json.dumps({**CONFIG.to_dict(), "image_size": 25}))
    Path("other").mkdir()
    Path("other/diary.txt").write_text("mine")
    out = [] if "--out" in words or "--resume" in words or not words else ["--out", "new"]
    assert re.search(expected, refuse("pretrain", *words, *out))


@needs_av
def test_a_folder_of_films_is_learnt_and_the_broken_one_is_named(undrawn, clips: Path, capsys) -> None:
    (clips / "broken.mp4").write_bytes(b"this is no film")
    before = read_everything(clips)
    assert main([*PRETRAIN, "--data", "clips"]) == 0
    assert read_everything(clips) == before and set(read_everything("run")) == ALL
    printed, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if "broken.mp4" in line]
    assert line.startswith("minitvlt: Skipped ") and "warn(" not in err and ".py" not in err
    for text in (printed, Path("run/report.html").read_text()):
        assert "16 clips of the files that it was trained on" in text and "held-out" not in text
