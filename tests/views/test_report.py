"""A run's report is one well-formed page that needs no other file, with figures and audio of its clips."""

import base64
import json
import re
from html import escape
from pathlib import Path

import numpy as np
import pytest

from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.model.patches import unpatchify_audio, unpatchify_video
from minitvlt.model.pretraining import autoencode
from minitvlt.training.batches import draw_batch
from minitvlt.training.finetuning import Task
from minitvlt.views import figures
from minitvlt.views.figures import tokens_to_pixels
from minitvlt.views.report import (
    invert_spectrogram,
    reconstruct,
    report_finetuning,
    report_pretraining,
)
from minitvlt.worlds.shapes import ShapesWorld

CONFIG = Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1)
WORLD = ShapesWorld(CONFIG)
RESULTS = {"matching <accuracy>": (0.951, 0.5), "recall@1 of 16": (0.75, 1 / 16)}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder with metrics. Figures are one pixel: drawing them takes most of the time."""
    monkeypatch.setattr(figures, "encode_png", lambda figure: PNG)
    lines = [{"step": step, "loss": 1 / step, "gradient_norm": 1.0} for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_pretraining_leaves_figures_audio_and_a_page_that_needs_nothing_else(run, capsys) -> None:
    report_pretraining(run, init(CONFIG), WORLD, RESULTS, "7 clips & more", "minitvlt --out 'my <run>'")
    assert {path.name for path in run.iterdir()} == {
        "metrics.jsonl", "report.html", "curves.png", "matching.png", "reconstruction.png",
        "original.wav", "reconstruction.wav",
    }  # fmt: skip
    page = (run / "report.html").read_text("utf-8")
    for said in ("minitvlt --out 'my <run>'", "7 clips & more", "matching <accuracy>", "0.951", "image_size"):
        assert escape(said) in page
    found = re.findall(r'<(?:img alt|audio controls aria-label)="[\w ]+" src="[^"]*;base64,([^"]*)"', page)
    wavs = [(run / f"{name}.wav").read_bytes() for name in ("original", "reconstruction")]
    assert [base64.b64decode(data) for data in found] == [PNG, PNG, *wavs, PNG]
    assert "default-src 'none'" in page and not re.search(r"https?:|url\(|@import|href=|<script", page)
    for tag in set(re.findall(r"</(\w+)>", page)):
        assert len(re.findall(rf"<{tag}\b", page)) == page.count(f"</{tag}>"), tag
    out = capsys.readouterr().out
    assert str(run / "report.html") in out and "recall@1 of 16" in out and "0.750     0.062" in out


def test_the_same_run_gives_the_same_files_and_a_missing_objective_leaves_its_figures_out(run) -> None:
    config = CONFIG.replace(task_mae=False)
    contents = []
    for _ in range(2):
        report_pretraining(run, init(config), WORLD, RESULTS, "7 clips", "command")
        contents.append({path.name: path.read_bytes() for path in run.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"metrics.jsonl", "report.html", "curves.png", "matching.png"}


@pytest.mark.parametrize(
    ("task", "labels", "drawn", "expected"),
    [
        (Task("classification", names=("a", "b", "c")), np.array([0, 1, 1]), "plot_confusion",
         [[0, 1, 1], [0, 1, 2]]),
        (Task("regression"), np.array([[5.0], [6], [7]]), "plot_regression", [[5, 6, 7], [3, 0, 1]]),
        (Task("ranking", None), None, "plot_matching", [[[3, 0, 1], [0, 3, 1], [1, 0, 3]]]),
        (Task("labels", names=("a", "b", "c")), np.eye(3) > 0, "plot_bars", None),
    ],
)  # fmt: skip
def test_finetuning_draws_the_figure_of_its_task(run, monkeypatch, task, labels, drawn, expected) -> None:
    outputs, calls, draw = np.array([[3.0, 0, 1], [0, 3, 1], [1, 0, 3]]), [], getattr(figures, drawn)
    monkeypatch.setattr(figures, drawn, lambda *arrays: calls.append(arrays) or draw(*arrays))
    report_finetuning(run, "my <task>", task, outputs, labels, RESULTS, CONFIG, "command")
    assert calls[0][0] is RESULTS or [values.tolist() for values in calls[0][: len(expected)]] == expected
    page = (run / "report.html").read_text("utf-8")
    assert page.count("<img") == 2 and "my &lt;task&gt;" in page and "on 3 held-out clips" in page


def test_reconstruction_keeps_visible_patches_and_predicts_hidden_ones() -> None:
    params, batch = init(CONFIG, seed=1), draw_batch(WORLD, CONFIG, np.random.default_rng(0), 2)
    (p, q), (rows, steps) = (CONFIG.image_patch_size, CONFIG.audio_patch_size), autoencode(params, batch)
    predicted = unpatchify_video(rows, p, (3, 24, 24)), unpatchify_audio(steps, q, (24, 16))
    hidden = (
        tokens_to_pixels(batch.video_masking.is_hidden, p, (3, 24, 24))[:, :, None],
        tokens_to_pixels(batch.audio_masking.is_hidden, q, (24, 16))[:, None],
    )
    clips = (batch.video, batch.audio)
    for found, *arrays in zip(reconstruct(params, batch), hidden, predicted, clips, strict=True):
        np.testing.assert_array_equal(found, np.clip(np.where(*arrays), -1, 1))


def test_padding_is_not_heard() -> None:
    spectrogram, (steps, bands) = np.zeros((24, 16), np.float32), CONFIG.audio_grid
    mask = np.arange(steps * bands) < bands  # the first step of patches is real
    assert len(invert_spectrogram(CONFIG, spectrogram)) == 24 * CONFIG.hop_length
    assert len(invert_spectrogram(CONFIG, spectrogram, mask)) == 24 // steps * CONFIG.hop_length
