"""`minitvlt finetune`: a folder with a model that knows a task, or one sentence that says what is wrong."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from minitvlt.checkpoints.native import load, load_arrays, save
from minitvlt.commands.main import main
from minitvlt.commands.shared import read_settings
from minitvlt.model.parameters import init
from minitvlt.training.trainer import read_metrics
from tests.commands.small import CONFIG, interrupt_at, read_everything
from tests.helpers.media import needs_av

MODEL = ["--checkpoint", "model.safetensors"]
FINETUNE = ["finetune", "--batch", "3", "--steps", "2", "--seed", "3"]
ALL = {"curves.png", "metrics.jsonl", "model.safetensors", "predictions.jsonl", "report.html", "run.json"}
ALL |= {"predictions.png", "scores.json", "training_state.safetensors"}


def read_lines(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# Generated clips


@pytest.mark.parametrize(
    ("task", "figure", "outputs"),
    [
        ("valence", "Pearson correlation", 1),
        ("attributes", "mean F1", 6),
        ("ranking", "recall@1 of 16", 16),
    ],
)
def test_a_run_leaves_a_folder_with_everything(undrawn, run, capsys, task: str, figure: str, outputs: int):
    assert main([*FINETUNE, task]) == 0
    assert {path.name for path in Path("finetuned").iterdir()} == ALL
    out, err = capsys.readouterr()
    assert figure in out and "chance" in out and "finetuned/report.html" in out and "2/2" in err
    assert len(read_metrics(Path("finetuned/metrics.jsonl"))) == 2
    assert figure in json.loads(Path("finetuned/scores.json").read_text())
    lines = read_lines("finetuned/predictions.jsonl")
    assert [line["clip"] for line in lines] == [f"clip {i + 1}" for i in range(16)]
    assert all(len(line["outputs"]) == outputs for line in lines)
    report = Path("finetuned/report.html").read_text()
    assert report.count("<img") == 2 and f"minitvlt finetune --batch 3 --steps 2 --seed 3 {task}" in report


def test_the_checkpoint_can_be_finetuned_again_and_names_its_labels(undrawn, run) -> None:
    assert main([*FINETUNE, "shape", "--pooling", "mean"]) == 0
    tuned = load("finetuned/model.safetensors")
    assert tuned.decoder is tuned.matching is None
    assert (tuned.config.loss_type, tuned.config.pooling) == ("classification", "mean")
    names = load_arrays("finetuned/model.safetensors")[1]["label_names"]
    assert names == ["circle", "square", "triangle", "cross"]
    lines = read_lines("finetuned/predictions.jsonl")
    right = sum(max(line["outputs"], key=line["outputs"].get) == line["label"] for line in lines)
    assert json.loads(Path("finetuned/scores.json").read_text())["accuracy"] == right / 16
    again = ["--checkpoint", "finetuned/model.safetensors", "--out", "again"]
    assert main([*FINETUNE, "colour", *again]) == 0
    assert load("again/model.safetensors").config.pooling == "mean"


# Stopped and resumed


@pytest.fixture
def interrupted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in `finetuned` that was stopped after one of two steps."""
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=2)
        assert main([*FINETUNE, "attributes"]) == 130


def test_an_interrupted_run_is_resumed_to_the_same_bytes(interrupted) -> None:
    settings = read_settings(Path("finetuned"))
    assert (settings.task, settings.config, settings.recipe.steps) == ("attributes", CONFIG, 2)
    assert Path(settings.checkpoint) == Path("run/model.safetensors").resolve()
    assert main(["finetune", "--resume"]) == 0
    resumed = read_everything(shutil.move("finetuned", "resumed"))
    assert main([*FINETUNE, "attributes"]) == 0
    assert read_everything("finetuned") == resumed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["colour"], "task is 'attributes', not 'colour'"),
        (["--checkpoint", "other.ckpt"], "checkpoint is '.*model.safetensors', not 'other"),
        (["--out", "run"], "command is 'pretrain', not 'finetune'"),
        ([], "is not the model that the run in finetuned started from"),
    ],
)
def test_resume_refuses_what_contradicts_the_run(interrupted, refuse: Callable, words, expected) -> None:
    save(init(CONFIG.replace(hidden_size=60)), "run/model.safetensors")
    assert re.search(expected, refuse("finetune", "--resume", *words))


# Label files


def write_labels(label: Callable[[int], object]) -> str:
    rows = [{"file": f"{n}.mp4", "label": label(n), "split": "test" if n < 3 else "train"} for n in range(6)]
    Path("clips/labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return "clips/labels.jsonl"


@needs_av
@pytest.mark.parametrize(
    ("task", "label", "figure", "names"),
    [
        ("classification", lambda n: ["dark", "light"][n % 2], "accuracy", ["dark", "light"]),
        ("soft-labels", lambda n: {"dark": 0.3, "light": n % 2}, "VQA accuracy", ["dark", "light"]),
        ("ranking", lambda n: None, "recall@1 of 3", []),
    ],
)
def test_tasks_are_learnt_from_a_label_file(undrawn, run, clips, capsys, task, label, figure, names):
    path = write_labels(label)
    before = read_everything("clips")
    assert main([*FINETUNE, task, "--data", path]) == 0
    assert read_everything("clips") == before and figure in capsys.readouterr().out
    lines = read_lines("finetuned/predictions.jsonl")
    assert [line["clip"] for line in lines] == [f"{Path(path).resolve()}, line {n}" for n in (1, 2, 3)]
    assert Path("finetuned/report.html").read_text().count("<img") == 2
    assert load_arrays("finetuned/model.safetensors")[1]["label_names"] == names


@needs_av
def test_a_film_that_is_broken_is_named_and_left_out(undrawn, run, clips, capsys) -> None:
    path = write_labels(lambda n: n / 7)
    for n in (1, 5):
        Path(f"clips/{n}.mp4").write_bytes(b"this is no film")
    assert main([*FINETUNE, "regression", "--data", path]) == 0
    err = capsys.readouterr().err
    assert "Skipped" in err and "line 2" in err and ".py" not in err
    assert len(read_lines("finetuned/predictions.jsonl")) == 2
    for n in (0, 2):
        Path(f"clips/{n}.mp4").write_bytes(b"this is no film")
    assert main([*FINETUNE, "regression", "--data", path, "--out", "other"]) == 2
    error = capsys.readouterr().err.partition("minitvlt finetune: ")[2]
    assert re.search(r"(?s)^No file is left .* line 2: .* line 3: ", error) and not Path("other").exists()


@needs_av
def test_a_run_is_not_resumed_on_another_label_of_a_test_clip(undrawn, run, clips, monkeypatch, refuse):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = write_labels(lambda n: ["dark", "light"][n % 2])
    with monkeypatch.context() as patch:
        patch.setattr("minitvlt.training.trainer.Trainer.log", interrupt)
        assert main([*FINETUNE, "classification", "--data", path]) == 130
    write_labels(lambda n: ["dark", "light"][n % 2 if n > 2 else 0])
    assert "held out: clip 2, 1.mp4: span and label was" in refuse("finetune", "--resume")


# Requests that cannot be met


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (MODEL, r"Expected a task for generated clips \(others need --data\), shape, .*, ranking, got None"),
        (
            ["shape", "--data", "labels.csv", *MODEL],
            "Expected a task for a label file, classification, .*'shape'",
        ),
        (["regression", "--data", "labels.csv", *MODEL], "line 2, column file: .*x.mp4"),
        (["shape", "--checkpoint", "labels.csv"], "labels.csv"),
        (["shape"], "run/model.safetensors is not there"),
        (["ranking", "--negatives", "0", *MODEL], "at least 1 wrong video beside the right one, got 0"),
        (["shape", "--negatives", "3", *MODEL], "--negatives is for the task ranking, not for shape"),
        (["shape", "--out", "labels.csv"], "labels.csv exists, and nothing is overwritten"),
    ],
)
def test_bad_requests_are_refused(refuse: Callable, words: list[str], expected: str) -> None:
    Path("labels.csv").write_text("file,label\nx.mp4,1\n")
    save(init(CONFIG), "model.safetensors")
    assert re.search(expected, refuse("finetune", *words))
