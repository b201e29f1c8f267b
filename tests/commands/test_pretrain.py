"""`minitvlt pretrain`: a folder with everything to look at, or one sentence that says what is wrong."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minitvlt.checkpoints.native import load
from minitvlt.commands.main import main
from minitvlt.commands.shared import read_settings
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
        (["--device", "cuda"], "NumPy runs on the CPU"),
        (["--compile", "--dtype", "bfloat16"], "dtype.*compile"),
        (["--out", "odd.json"], "odd.json exists, and nothing is overwritten"),
        (["--out", "odd.json/run"], "odd.json"),
        ([], "run holds a run: continue it with --resume, or choose another --out"),
        (["--resume", "--out", "other"], "no run to resume in other"),
        (["--resume", "--steps", "5"], "settings of run, where steps is 2, not 5: leave"),
        (["--resume", "--config", "small"], "where config.image_size is 24, not"),
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


# Data, processes and kills


@needs_av
def test_a_run_is_resumed_on_the_same_films_alone(undrawn, clips: Path, monkeypatch, refuse, capsys) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("minitvlt.training.trainer.Trainer.log", interrupt)
        assert main([*PRETRAIN, "--data", "clips"]) == 130
    shutil.copy("clips/0.mp4", "clips/00.mp4")
    assert "data, or of an earlier version: the size of 00.mp4 was absent" in refuse("pretrain", "--resume")
    Path("clips/00.mp4").unlink()
    with open("clips/1.mp4", "ab") as film:
        film.write(b"0")
    assert "the size of 1.mp4 was" in refuse("pretrain", "--resume")
    assert "clips is not a folder" in refuse(
        "pretrain", "--resume", "--out", "run", "--data", "nowhere/clips"
    )
    os.truncate("clips/1.mp4", Path("clips/1.mp4").stat().st_size - 1)
    shutil.copytree("clips", "others")
    Path("others/0.mp4").unlink()
    assert "recipe or data" in refuse("pretrain", "--resume", "--out", "run", "--data", "others")
    assert read_settings(Path("run")).data == str(Path("clips").resolve())  # it was refused: nothing changes
    os.utime("clips/1.mp4", (1, 1))
    shutil.move("clips", "moved")
    assert "clips is not a folder" in refuse("pretrain", "--resume")
    assert main(["pretrain", "--resume", "--data", "moved"]) == 0
    err = capsys.readouterr().err
    assert "the time of 1.mp4 was" in err and "; and" not in err and "The run goes on" in err
    assert read_settings(Path("run")).data == str(Path("moved").resolve())


def interrupt(*_) -> None:
    raise KeyboardInterrupt


LEFT = [".run-0a1b2c3d.json", ".training_state-0a1b2c3d.safetensors", ".report-abcdefgh.html"]


@pytest.mark.parametrize("left", [[], LEFT[:1], [*LEFT, "metrics.jsonl"]], ids=["nothing", "settings", "all"])
def test_a_folder_that_a_killed_start_left_behind_is_taken(undrawn, left: list[str]) -> None:
    Path("run").mkdir()
    for name in left:
        Path("run", name).touch() if name == "metrics.jsonl" else Path("run", name).write_text("{")
    assert main(PRETRAIN) == 0
    assert {path.name for path in Path("run").iterdir()} == ALL


@pytest.mark.parametrize("name", [".notes-0a1b2c3d.txt", ".run-2.json", "metrics.jsonl"])
def test_a_folder_with_files_of_others_is_not_taken(refuse: Callable, name: str) -> None:
    Path("run").mkdir()
    Path("run", name).write_text("mine")
    assert "run exists, and nothing is overwritten" in refuse(*PRETRAIN)


def test_leftovers_of_a_finished_run_are_removed(undrawn, run: Path) -> None:
    before = read_everything("run")
    for name in LEFT:
        (run / name).write_text("half")
    assert main(["pretrain", "--resume"]) == 0
    assert set(read_everything("run")) == set(before)
