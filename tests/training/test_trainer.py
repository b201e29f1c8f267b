"""A run depends on its arguments alone: not on where it was killed, nor on what computes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitvlt.backends import kernels_in_use, to_backend
from minitvlt.checkpoints.native import load_arrays, save, save_arrays
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.signals.prepare import Examples
from minitvlt.training import journal, trainer
from minitvlt.training.optimizer import Recipe, compute_learning_rate, to_vector
from minitvlt.training.trainer import read_metrics, train
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import using_kernels
from tests.helpers.shape_comments import ROOT

CONFIG = Config.tiny(
    image_size=(8, 12),
    image_patch_size=(4, 4),
    num_frames=2,
    window_length=64,
    hop_length=32,
    spectrogram_length=12,
    frequency_length=6,
    audio_patch_size=(4, 3),
    hidden_size=14,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=20,
    decoder_hidden_size=10,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=11,
)
RECIPE = Recipe(steps=29, batch_size=7, micro_batches=2, learning_rate=1e-2, warmup_steps=3, seed=5)
SAVE_EVERY = 4
FILES = ("metrics.jsonl", "training_state.safetensors", "model.safetensors")


@pytest.fixture(autouse=True)
def save_often(monkeypatch):
    monkeypatch.setattr(trainer, "SAVE_EVERY", SAVE_EVERY)


def run_training(folder: Path, recipe: Recipe = RECIPE, config: Config = CONFIG, world=None, backend="numpy"):
    """Train, or go on training, in a folder; write the model as `pretrain` does; return the metrics.

    Annotations are checked in short runs alone: the check takes ten times as long as a step itself.
    """
    with annotations_unchecked() if recipe.steps > 3 else nullcontext():
        params = to_backend(init(config, recipe.seed), backend)
        params = train(params, world or ShapesWorld(config), recipe, folder, show_progress=False)
        save(params, folder / "model.safetensors")
    return read_metrics(folder / "metrics.jsonl")


def read_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> dict[str, bytes]:
    """What a run that nobody stopped leaves."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "SAVE_EVERY", SAVE_EVERY)
        run_training(folder)
    return read_files(folder)


class StoppingWorld:
    """Moving shapes, until a call at which something happens."""

    def __init__(self, calls: int, happen) -> None:
        self.world, self.calls, self.happen = ShapesWorld(CONFIG), calls, happen

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        self.calls -= 1
        return self.world.sample(rng, count) if self.calls else self.happen(self.world.sample(rng, count))


def interrupt(_: Examples) -> Examples:
    raise KeyboardInterrupt


def spoil(clips: Examples) -> Examples:
    return replace(clips, video=clips.video * np.float32(np.nan))


# What the run shows


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(tmp_path, finished):
    run_training(tmp_path / "same")
    assert read_files(tmp_path / "same") == finished
    (other,) = run_training(tmp_path / "other", replace(RECIPE, seed=6, steps=1))
    assert other["loss"] != json.loads(finished["metrics.jsonl"].splitlines()[0])["loss"]


def test_metrics_have_a_line_a_step(finished):
    lines = [json.loads(line) for line in finished["metrics.jsonl"].splitlines()]
    assert [line["step"] for line in lines] == list(range(1, RECIPE.steps + 1))
    assert all(list(line) == list(lines[0]) for line in lines)
    for step, line in enumerate(lines):
        filling = line["video_loss"] + line["audio_loss"]
        weighted = CONFIG.matching_weight * line["match_loss"] + CONFIG.mae_weight * filling
        np.testing.assert_allclose(line["loss"], weighted, rtol=1e-6)
        assert line["learning_rate"] == compute_learning_rate(step, RECIPE)
        assert line["match_accuracy"] * RECIPE.batch_size == pytest.approx(
            round(line["match_accuracy"] * RECIPE.batch_size)
        )
    first, last = np.mean([[line["loss"] for line in part] for part in (lines[:5], lines[-5:])], axis=1)
    assert last < 0.8 * first


def test_a_task_left_out_leaves_its_numbers_out(tmp_path):
    recipe = replace(RECIPE, steps=2)
    matching = run_training(tmp_path / "a", recipe, CONFIG.replace(task_mae=False))[1]
    filling = run_training(tmp_path / "b", recipe, CONFIG.replace(task_matching=False))[1]
    assert matching["video_loss"] is matching["audio_loss"] is None
    assert matching["loss"] == matching["match_loss"]
    assert filling["match_loss"] is filling["match_accuracy"] is None
    weighted = CONFIG.mae_weight * (filling["video_loss"] + filling["audio_loss"])
    np.testing.assert_allclose(filling["loss"], weighted, rtol=1e-6)


def test_the_progress_bar_is_lively_on_a_terminal_and_rare_in_a_log(tmp_path, capsys, monkeypatch):
    train(init(CONFIG), ShapesWorld(CONFIG), replace(RECIPE, steps=2), tmp_path)
    assert "2/2" in capsys.readouterr().err
    with journal.start_bar(0, RECIPE.steps, True) as bar:
        assert bar.mininterval == 30, "seconds"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with journal.start_bar(0, RECIPE.steps, True) as bar:
        assert bar.mininterval == 0.1


def test_the_progress_bar_can_be_left_out(tmp_path, capsys):
    run_training(tmp_path, replace(RECIPE, steps=1))
    assert capsys.readouterr().err == ""


# What computes


def test_torch_and_numpy_give_the_same_losses(tmp_path):
    recipe = replace(RECIPE, steps=3)
    ours = run_training(tmp_path / "numpy", recipe)
    theirs = run_training(tmp_path / "torch", recipe, backend="torch")
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("loss", "match_loss", "video_loss", "audio_loss", "gradient_norm"):
            np.testing.assert_allclose(other[name], mine[name], rtol=1e-4, err_msg=name)
        assert other["match_accuracy"] == mine["match_accuracy"]


def test_training_returns_parameters_where_they_came_from(tmp_path):
    params = to_backend(init(CONFIG), "torch")
    trained = train(params, ShapesWorld(CONFIG), replace(RECIPE, steps=1), tmp_path, show_progress=False)
    assert type(trained.encoder.cls) is type(params.encoder.cls)
    assert trained.config is params.config
    saved = load_arrays(tmp_path / "training_state.safetensors")[0]["parameters"]
    np.testing.assert_array_equal(saved, to_vector(trained).numpy())


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_micro_batches_equal_the_whole_batch(tmp_path, parts):
    whole = run_training(tmp_path / "whole", replace(RECIPE, steps=2, micro_batches=1))
    cut = run_training(tmp_path / "cut", replace(RECIPE, steps=2, micro_batches=parts))
    for mine, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(list(other.values()), list(mine.values()), rtol=1e-5)


def test_the_gradient_is_clipped_and_its_own_norm_is_logged(tmp_path):
    recipe = replace(RECIPE, steps=1, clip_norm=0.01)
    free = run_training(tmp_path / "free", replace(recipe, clip_norm=1e9))
    clipped = run_training(tmp_path / "clipped", recipe)
    assert clipped[0]["gradient_norm"] == free[0]["gradient_norm"] > 0.01
    means = [load_arrays(tmp_path / name / FILES[1])[0]["mean"] for name in ("free", "clipped")]
    norms = [np.linalg.norm(mean) / (1 - recipe.beta1) for mean in means]
    np.testing.assert_allclose(norms, [free[0]["gradient_norm"], 0.01], rtol=1e-4)


# Stopped and called again

CHILD = """
import os, signal, sys, threading, time
from pathlib import Path
from minitvlt.checkpoints import native as checkpoints
from minitvlt.training import engine, journal, trainer
from tests.training.test_trainer import SAVE_EVERY, run_training

folder, place, call = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
trainer.SAVE_EVERY = SAVE_EVERY
calls = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)

def replace(module, name, when_reached):
    original = getattr(module, name)
    def counted(*args):
        global calls
        calls += 1
        return when_reached(original, *args) if calls == call else original(*args)
    setattr(module, name, counted)

def die_before(original, *args):
    die()

def die_after(original, *args):
    original(*args)
    die()

def write_half_a_line(original, metrics, line):
    metrics.write(b'{"step": 7, "lo')
    metrics.flush()
    die()

def write_half_a_file(original, arrays, path, metadata):
    path.write_bytes(b"half")
    die()

def interrupt(original, *args):
    signal.raise_signal(signal.SIGINT)
    return original(*args)

signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
match place:
    case "in a step":
        replace(engine.Engine, "compute", die_before)
    case "in an update":
        replace(engine, "update_adamw", die_before)
    case "in a line":
        replace(journal, "write_line", write_half_a_line)
    case "after a line":
        replace(journal, "write_line", die_after)
    case "in a state":
        replace(checkpoints, "save_file", write_half_a_file)
    case "before a rename":
        replace(os, "replace", die_before)
    case "after a rename":
        replace(os, "replace", die_after)
    case "by the keyboard":
        replace(engine.Engine, "compute", interrupt)
    case "by the keyboard in an update":
        replace(engine, "find_scale", interrupt)
    case "anywhere":
        threading.Timer(call / 1000, die).start()
run_training(folder)
"""


def run_until_killed(folder: Path, place: str, call: int) -> int:
    """Train in another process that is killed at the n-th call of a place; return its exit status."""
    command = [sys.executable, "-c", CHILD, str(folder), place, str(call)]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize(
    "kills",
    [
        [("in a step", 2), ("in a line", 5), ("after a line", 8), ("in a state", 2)],
        [("after a rename", 1), ("before a rename", 3), ("after a rename", 3), ("by the keyboard", 7)],
        [("in an update", 150), ("by the keyboard in an update", 3)],
    ],
    ids=["first", "second", "third"],
)
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_not(tmp_path, finished, kills):
    for place, call in kills:
        status = run_until_killed(tmp_path, place, call)
        expected = signal.SIGINT if place.startswith("by the keyboard") else signal.SIGKILL
        assert status == -expected, (place, status)
    run_training(tmp_path)
    assert read_files(tmp_path) == finished


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_run_that_is_killed_at_random_ends_like_one_that_was_not(tmp_path, finished):
    for milliseconds in np.random.default_rng().integers(1, 400, size=3):
        assert run_until_killed(tmp_path, "anywhere", int(milliseconds)) in (0, -signal.SIGKILL)
    run_training(tmp_path)
    assert read_files(tmp_path) == finished, "the moments are drawn anew each time: this one matters"


def test_an_interrupted_run_has_saved_its_last_step(tmp_path, finished):
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, world=StoppingWorld(7, interrupt))
    assert load_arrays(tmp_path / "training_state.safetensors")[1]["steps"] == 6
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 6
    run_training(tmp_path)
    assert read_files(tmp_path) == finished


def test_an_interrupted_run_on_torch_ends_with_the_same_bytes_too(tmp_path):
    pytest.importorskip("torch")
    run_training(tmp_path / "whole", backend="torch")
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "cut", world=StoppingWorld(7, interrupt), backend="torch")
    run_training(tmp_path / "cut", backend="torch")
    assert read_files(tmp_path / "cut") == read_files(tmp_path / "whole")


def test_a_finished_run_that_is_called_again_does_nothing(tmp_path, finished):
    for name, content in finished.items():
        (tmp_path / name).write_bytes(content)
    run_training(tmp_path, world=StoppingWorld(1, interrupt))
    assert read_files(tmp_path) == finished


def test_a_loss_that_is_not_finite_ends_the_run_and_the_last_good_state_stays(tmp_path, finished):
    with pytest.raises(ValueError, match=r"loss at step 7 is nan.*diverged.*[Ll]ower the learning rate"):
        run_training(tmp_path, world=StoppingWorld(7, spoil))
    arrays, metadata = load_arrays(tmp_path / "training_state.safetensors")
    assert metadata["steps"] == 6 and all(np.isfinite(array).all() for array in arrays.values())
    run_training(tmp_path)
    assert read_files(tmp_path) == finished


# Damage


@pytest.fixture
def halfway(tmp_path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, world=StoppingWorld(11, interrupt))
    return tmp_path


def test_a_half_written_line_is_cut_off(halfway, finished):
    with (halfway / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11, "lo')
    run_training(halfway)
    assert read_files(halfway) == finished


@pytest.mark.parametrize(
    "cut", [lambda text: text[:-5], lambda text: b"", None], ids=["half", "empty", "gone"]
)
def test_metrics_that_lack_lines_are_refused_and_nothing_is_touched(halfway, cut):
    path = halfway / "metrics.jsonl"
    path.write_bytes(cut(path.read_bytes())) if cut else path.unlink()
    before = {other.name: other.read_bytes() for other in halfway.iterdir()}
    with pytest.raises(ValueError, match=r"lacks lines.* saved after 10 steps"):
        run_training(halfway)
    assert {other.name: other.read_bytes() for other in halfway.iterdir()} == before


@pytest.mark.parametrize(
    ("recipe", "config"),
    [(replace(RECIPE, seed=6), CONFIG), (RECIPE, CONFIG.replace(mae_weight=0.123))],
    ids=["recipe", "configuration"],
)
def test_the_state_of_another_run_is_refused(halfway, recipe, config):
    with pytest.raises(ValueError, match="of a run with another configuration or recipe"):
        run_training(halfway, recipe, config)


def test_a_run_that_goes_on_with_other_kernels_says_so(halfway):
    other = {"plain": "fast", "fast": "plain"}[kernels_in_use()]
    with using_kernels(other), pytest.warns(UserWarning, match=f"goes on with '{other}'"):
        run_training(halfway)


def test_a_damaged_state_is_refused(halfway):
    path = halfway / "training_state.safetensors"
    arrays, metadata = load_arrays(path)
    save_arrays({**arrays, "mean": arrays["mean"][:-1]}, path, metadata)
    with pytest.raises(ValueError, match="is damaged: its arrays are not those of"):
        run_training(halfway)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged"):
        run_training(halfway)
