"""The pictures, sounds and page of a run show what the model made of its clips."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.model.pretraining import autoencode
from minitvlt.signals.media import read_clip
from minitvlt.signals.prepare import Examples
from minitvlt.training.evaluation import Scores, draw_evaluation_batch
from minitvlt.views import results
from minitvlt.views.results import complete, count_real_steps, list_measures, make_audible, show_results

CONFIG = Config.tiny(
    image_size=(4, 6),
    image_patch_size=(2, 3),
    num_frames=3,
    window_length=64,
    hop_length=32,
    spectrogram_length=12,
    frequency_length=4,
    audio_patch_size=(4, 2),
    hidden_size=6,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=5,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=7,
)
SCORES = Scores(0.91, 0.5, 0.75, None, clips=80)


class NoiseWorld:
    """Clips of noise; the first one of a batch has a third of the sound."""

    def __init__(self, is_padded: bool = False) -> None:
        self.is_padded = is_padded

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        video = rng.uniform(-1, 1, (count, 3, 3, 4, 6)).astype(np.float32)
        audio = rng.uniform(-1, 1, (count, 1, 12, 4)).astype(np.float32)
        mask = np.arange(6) < np.where(np.arange(count) == 0, 2, 6)[:, None]
        return Examples(video, audio, None, mask if self.is_padded else None)


def test_completing_keeps_what_was_shown_and_predicts_what_was_hidden():
    params = init(CONFIG, seed=1)
    batch = draw_evaluation_batch(NoiseWorld(), CONFIG, 2)
    video, audio = complete(params, batch)
    video_rows, audio_rows = autoencode(params, batch)
    for b in range(2):
        token = 0
        for t in range(3):
            for y in (0, 2):
                for x in (0, 3):
                    box = np.s_[b, t, :, y : y + 2, x : x + 3]
                    predicted = np.clip(video_rows[b, token].reshape(2, 3, 3).transpose(2, 0, 1), -1, 1)
                    hidden = batch.video_masking.is_hidden[b, token]
                    np.testing.assert_array_equal(video[box], predicted if hidden else batch.video[box])
                    token += 1
        token = 0
        for s in (0, 4, 8):
            for f in (0, 2):
                box = np.s_[b, 0, s : s + 4, f : f + 2]
                predicted = np.clip(audio_rows[b, token].reshape(4, 2), -1, 1)
                hidden = batch.audio_masking.is_hidden[b, token]
                np.testing.assert_array_equal(audio[box], predicted if hidden else batch.audio[box])
                token += 1


def test_torch_completes_the_same():
    params, batch = init(CONFIG, seed=1), draw_evaluation_batch(NoiseWorld(), CONFIG, 2)
    for ours, theirs in zip(
        complete(params, batch), complete(to_backend(params, "torch"), batch), strict=True
    ):
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_padding_is_not_heard():
    full, padded = (draw_evaluation_batch(NoiseWorld(is_padded), CONFIG, 2) for is_padded in (False, True))
    assert count_real_steps(CONFIG, full) == 12
    assert count_real_steps(CONFIG, padded) == 4
    assert make_audible(CONFIG, padded.audio[0, 0, :4]).shape == (4 * 32,)


def test_measures_that_the_model_lacks_are_left_out_and_goals_are_only_the_standard_runs():
    with_goals, without = list_measures(SCORES, True), list_measures(SCORES, False)
    assert [measure.value for measure in with_goals] == [0.91, 0.5, 0.75]
    assert [measure.goal for measure in with_goals] == [0.93, 0.75, 0.55]
    assert without == [replace(measure, goal=None) for measure in with_goals]


@pytest.fixture
def run(tmp_path) -> Path:
    lines = [{"step": step, "loss": 1 / step, "gradient_norm": 1.0} for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_everything_is_shown(run):
    report = show_results(
        run, init(CONFIG), NoiseWorld(True), list_measures(SCORES, True), "7 clips", "a <b>"
    )
    assert report == run / "report.html"
    assert {path.name for path in run.iterdir()} == {
        "curves.png",
        "matching.png",
        "metrics.jsonl",
        "original.wav",
        "reconstruction.png",
        "reconstruction.wav",
        "report.html",
    }
    page = report.read_text()
    assert "measured on 7 clips" in page and "a &lt;b&gt;" in page and "steps 3" in page and "0.3333" in page
    assert page.count("<img") == 3 and page.count("<audio") == 2
    assert len(read_clip(run / "original.wav").waveform) == 4 * 32


def test_the_same_run_gives_the_same_files(run):
    arguments = (init(CONFIG), NoiseWorld(), list_measures(SCORES, False), "7 clips", "command")
    show_results(run, *arguments)
    first = {path.name: path.read_bytes() for path in run.iterdir()}
    show_results(run, *arguments)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == first


def test_a_picture_that_fails_leaves_no_half_of_a_file(run, monkeypatch):
    def fail(*_, **__):
        raise ValueError("no ink")

    monkeypatch.setattr(results, "plot_matching", fail)
    with pytest.raises(ValueError, match="no ink"):
        show_results(run, init(CONFIG), NoiseWorld(), [], "7 clips", "command")
    for path in run.iterdir():
        assert path.name in ("metrics.jsonl", "reconstruction.png", "original.wav", "reconstruction.wav")
        assert path.stat().st_size > 100
