"""`minitvlt finetune`: a folder with a model that knows a task, or one sentence that says what is wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from minitvlt.__main__ import main
from minitvlt.checkpoints.native import load, save
from minitvlt.commands import finetune
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.signals.media import Clip, write_clip
from minitvlt.signals.waveforms import write_wav
from minitvlt.training.finetuning import FINETUNING, read_label_names
from minitvlt.training.runs import TaskSettings, read_settings
from minitvlt.training.trainer import read_metrics
from minitvlt.views.task_results import GOALS
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.interruption import interrupt_at
from tests.helpers.media import make_frames, make_sweep, needs_av

CONFIG = Config.tiny(
    image_size=8,
    image_patch_size=(4, 4),
    num_frames=2,
    window_length=128,
    hop_length=64,
    spectrogram_length=12,
    frequency_length=6,
    audio_patch_size=(4, 3),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=10,
)
ALL = {
    "answers.png",
    "curves.png",
    "metrics.jsonl",
    "model.safetensors",
    "predictions.jsonl",
    "report.html",
    "run.json",
    "scores.json",
    "training_state.safetensors",
}
SAME = ALL - {"report.html", "run.json"}  # the others say --out


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    """A folder to work in, with a small model; few clips are scored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finetune, "CLIPS_SCORED", 16)
    save(init(CONFIG, seed=1), "model.safetensors")


def start(*words: str, steps: int = 4) -> int:
    return main(
        ["finetune", *words, "--checkpoint", "model.safetensors", "--batch", "3", "--steps", str(steps)]
    )


def read_everything(folder: str = ".") -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def refuse(capsys, *words: str) -> str:
    """Run a command that must fail: status 2, one line of error, nothing written; return the line."""
    before = read_everything()
    assert main(["finetune", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("minitvlt finetune: ")
    assert read_everything() == before
    return err


# The embedded world


@pytest.mark.parametrize(
    ("task", "figure", "outputs"),
    [
        ("shape", "accuracy", 4),
        ("count", "accuracy", 2),
        ("valence", "Pearson correlation", 1),
        ("attributes", "mean F1", 6),
        ("ranking", "recall@1 of 16", 16),
    ],
)
def test_a_run_leaves_a_folder_with_everything(capsys, task, figure, outputs):
    assert start(task, "--seed", "3") == 0
    assert {path.name for path in Path("finetuned").iterdir()} == ALL
    out, err = capsys.readouterr()
    assert figure in out and "chance" in out and "finetuned/report.html" in out and "4/4" in err
    assert "≥" not in out, "goals belong to the standard run"
    assert len(read_metrics(Path("finetuned/metrics.jsonl"))) == 4
    scores = json.loads(Path("finetuned/scores.json").read_text())
    assert figure in scores
    lines = [json.loads(line) for line in Path("finetuned/predictions.jsonl").read_text().splitlines()]
    assert [line["clip"] for line in lines] == [f"clip {i + 1}" for i in range(16)]
    assert all(len(line["outputs"]) == outputs for line in lines)
    report = Path("finetuned/report.html").read_text()
    assert (
        report.count("<img") == 2 and f"minitvlt finetune {task} --seed 3" in report and "16 clips" in report
    )


def test_the_checkpoint_holds_encoder_and_head_and_the_names_of_its_labels(undrawn):
    assert start("shape") == 0
    tuned = load("finetuned/model.safetensors")
    assert tuned.decoder is tuned.matching is None and tuned.config.loss_type == "classification"
    assert read_label_names("finetuned/model.safetensors") == ("circle", "square", "triangle", "cross")
    assert start("motion", "--out", "again") == 0
    words = ["--checkpoint", "finetuned/model.safetensors", "--steps", "2", "--batch", "3", "--out", "third"]
    assert main(["finetune", "colour", *words]) == 0


def test_scores_are_those_of_the_predictions_that_are_written(undrawn):
    assert start("shape") == 0
    lines = [json.loads(line) for line in Path("finetuned/predictions.jsonl").read_text().splitlines()]
    right = sum(line["label"] == line["prediction"] for line in lines)
    assert json.loads(Path("finetuned/scores.json").read_text())["accuracy"] == right / 16


def test_two_runs_with_one_seed_are_identical_file_by_file():
    for name in ("one", "two"):
        assert start("attributes", "--out", name, steps=2) == 0
    for name in SAME:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name


def test_the_mean_of_tokens_may_be_read_instead_of_cls(undrawn):
    assert start("shape", "--pooling", "mean") == 0
    assert load("finetuned/model.safetensors").config.pooling == "mean"


def test_goals_belong_to_the_standard_runs():
    standard = TaskSettings(Config.tiny(), FINETUNING, task="shape", checkpoint="run/model.safetensors")
    assert standard.is_standard and "shape" in GOALS
    assert not TaskSettings(CONFIG, FINETUNING).is_standard
    assert not TaskSettings(Config.tiny(), FINETUNING, data="labels.csv").is_standard


def test_torch_runs_the_same_command(undrawn):
    pytest.importorskip("torch")
    assert start("valence", "--backend", "torch", "--device", "cpu", "--out", "theirs") == 0
    assert start("valence", "--out", "ours") == 0
    ours, theirs = (
        [line["loss"] for line in read_metrics(Path(name, "metrics.jsonl"))] for name in ("ours", "theirs")
    )
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)


# Stopped and resumed


@pytest.fixture
def interrupted(monkeypatch, capsys) -> None:
    """A run in `finetuned` that was stopped after two of four steps."""
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=3)
        assert start("shape", "--seed", "3") == 130
    capsys.readouterr()


@pytest.mark.parametrize("again", [[], ["shape", "--checkpoint", "model.safetensors", "--seed", "3"]])
def test_an_interrupted_run_is_resumed_bit_for_bit(undrawn, interrupted, again):
    assert main(["finetune", "--resume", *again]) == 0
    assert start("shape", "--out", "whole", "--seed", "3") == 0
    for name in SAME:
        assert Path("finetuned", name).read_bytes() == Path("whole", name).read_bytes(), name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["colour"], "task is 'shape', not 'colour'"),
        (["--steps", "5"], "steps is 4, not 5"),
        (["--pooling", "mean"], "pooling is None, not 'mean'"),
        (["--checkpoint", "other.safetensors"], "checkpoint is '.*model.safetensors', not 'other"),
    ],
)
def test_resume_refuses_what_contradicts_the_run(interrupted, capsys, words, expected):
    assert re.search(expected, refuse(capsys, "--resume", *words))


def test_resume_refuses_another_model_under_the_old_name(interrupted, capsys):
    save(init(CONFIG.replace(hidden_size=10), seed=1), "model.safetensors")
    assert "is not the model that the run in finetuned began with" in refuse(capsys, "--resume")


def test_resume_needs_a_run_of_this_command(undrawn, capsys):
    assert "no run to resume in finetuned" in refuse(capsys, "--resume")
    assert start("shape", steps=1) == 0
    settings = json.loads(Path("finetuned/run.json").read_text())
    del settings["task"]
    Path("finetuned/run.json").write_text(json.dumps(settings))
    capsys.readouterr()
    with annotations_unchecked():
        assert "run.json is damaged (it has other entries" in refuse(capsys, "--resume")


def test_settings_come_back_as_they_were(undrawn):
    assert start("shape", "--pooling", "cls", steps=1) == 0
    settings = read_settings(Path("finetuned"), TaskSettings)
    assert (settings.task, settings.pooling, settings.recipe.steps) == ("shape", "cls", 1)
    assert settings.config == CONFIG and Path(settings.checkpoint) == Path("model.safetensors").resolve()


# Label files


@pytest.fixture
def clips() -> None:
    """Ten films of two kinds, dark and bright, and a sound."""
    for number in range(10):
        frames = make_frames(3, 8, 8) // 4 + (150 if number % 2 else 0)
        write_clip(f"clips/{number}.mp4", Clip(frames.astype(np.uint8), 25.0, make_sweep(0.12, 8000), 8000))
    write_wav("clips/tone.wav", make_sweep(0.12, 8000), 8000)


def write_labels(label, name: str = "labels.jsonl", **columns) -> str:
    rows = [
        {"file": f"{n}.mp4", "label": label(n), "split": "test" if n < 3 else "train", **columns}
        for n in range(10)
    ]
    if label(0) is None:
        rows = [{key: value for key, value in row.items() if key != "label"} for row in rows]
    Path("clips", name).write_text("\n".join(json.dumps(row) for row in rows))
    return f"clips/{name}"


@needs_av
@pytest.mark.parametrize(
    ("task", "label", "figure", "pictures"),
    [
        ("classification", lambda n: ["dark", "bright"][n % 2], "accuracy", 2),
        ("regression", lambda n: n / 7, "mean absolute error", 2),
        ("labels", lambda n: ["bright", "odd"] if n % 2 else [], "F1 of bright", 2),
        ("soft-labels", lambda n: {"dark": 0.3, "bright": n % 2}, "VQA accuracy", 1),
        ("ranking", lambda n: None, "recall@1 of 3", 2),
    ],
)
def test_every_task_is_learnt_from_a_label_file(undrawn, clips, capsys, task, label, figure, pictures):
    path = write_labels(label)
    before = read_everything("clips")
    assert start(task, "--data", path, steps=2) == 0
    assert read_everything("clips") == before
    assert figure in capsys.readouterr().out
    lines = [json.loads(line) for line in Path("finetuned/predictions.jsonl").read_text().splitlines()]
    assert [line["clip"] for line in lines] == [f"{Path(path).resolve()}, line {n}" for n in (1, 2, 3)]
    assert Path("finetuned/report.html").read_text().count("<img") == pictures
    names = {
        "classification": ("bright", "dark"),
        "labels": ("bright", "odd"),
        "soft-labels": ("bright", "dark"),
    }
    assert read_label_names("finetuned/model.safetensors") == names.get(task, ())


@needs_av
def test_a_film_that_is_broken_is_named_and_passed_over(undrawn, clips, capsys):
    path = write_labels(lambda n: n / 7)
    for n in (1, 5):
        Path(f"clips/{n}.mp4").write_bytes(b"this is no film")
    assert start("regression", "--data", path, steps=4) == 0
    err = capsys.readouterr().err
    assert "Skipped" in err and "line 2" in err and ".py" not in err
    lines = Path("finetuned/predictions.jsonl").read_text().splitlines()
    assert len(lines) == 2


@needs_av
def test_two_runs_from_a_label_file_are_identical(undrawn, clips):
    path = write_labels(lambda n: n % 2)
    for name in ("one", "two"):
        assert start("classification", "--data", path, "--out", name, steps=2) == 0
    for name in SAME:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name


@needs_av
def test_where_no_test_clip_can_be_used_it_is_said_before_training(clips, capsys):
    path = write_labels(lambda n: n % 2)
    for n in range(3):
        Path(f"clips/{n}.mp4").write_bytes(b"this is no film")
    assert main(["finetune", "classification", "--data", path, "--checkpoint", "model.safetensors"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert "No clip that is held out for the test can be used: " in err[-1] and "line 3" in err[-1]
    assert not Path("finetuned").exists()


@needs_av
def test_ranking_refuses_sounds_without_pictures(clips, capsys):
    rows = [{"audio": "tone.wav", "split": split} for split in ("test", "train", "train")]
    Path("clips/sounds.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    words = ("ranking", "--data", "clips/sounds.jsonl", "--checkpoint", "model.safetensors")
    assert "Ranking takes pictures and sound" in refuse(capsys, *words)


# Requests that cannot be met


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "Say what to learn: shape, colour, motion, count, valence, attributes, ranking"),
        (
            ["--data", "labels.csv"],
            "Say what to learn: classification, regression, labels, soft-labels, ranking",
        ),
        (["size"], "The tasks in the embedded world are shape, .*, not 'size'; with --data there are others"),
        (["shape", "--data", "labels.csv"], "The tasks for a label file are classification, .*, not 'shape'"),
        (["regression", "--data", "nothing.csv"], "No such file"),
        (["regression", "--data", "labels.csv"], "line 2, column file: expected a file that is there"),
        (["shape", "--checkpoint", "nothing.safetensors"], "nothing.safetensors is not there"),
        (["shape", "--checkpoint", "labels.csv"], "labels.csv"),
        (["shape", "--steps", "0"], "steps must be .* at least 1"),
        (["shape", "--seed", "-1"], "seed must be .* at least 0"),
        (["ranking", "--batch", "1"], "at least 2 clips in a batch"),
        (["shape", "--device", "cuda"], "NumPy runs on the CPU"),
        (["shape", "--out", "labels.csv"], "labels.csv is a file: choose another --out"),
        (["shape", "--out", "full"], "full is not empty, and nothing is overwritten: choose another --out"),
    ],
)
def test_bad_requests_are_refused_in_one_sentence(capsys, words, expected):
    Path("labels.csv").write_text("file,label\nx.mp4,1\n")
    Path("full").mkdir()
    Path("full/diary.txt").write_text("mine")
    with_model = words if "--checkpoint" in words else [*words, "--checkpoint", "model.safetensors"]
    assert re.search(expected, refuse(capsys, *with_model))


def test_the_default_checkpoint_is_that_of_pretrain(capsys):
    assert re.search("run/model.safetensors is not there", refuse(capsys, "shape"))


def test_a_run_that_is_there_is_left_alone(undrawn, capsys):
    assert start("shape", steps=1) == 0
    capsys.readouterr()
    words = ("shape", "--checkpoint", "model.safetensors")
    assert "finetuned is not empty, and nothing is overwritten" in refuse(capsys, *words)
