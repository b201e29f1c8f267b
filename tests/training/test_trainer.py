"""A run depends on its arguments alone: not on where it was killed, nor on what computes it."""

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
from threadpoolctl import threadpool_limits

import minitvlt as mt
from minitvlt.backends import namespace, walk
from minitvlt.backends.fast.threads import count_free_cores
from minitvlt.checkpoints.native import load_arrays, save_arrays
from minitvlt.training import trainer
from minitvlt.training.objectives import PRETRAINING, Objective
from minitvlt.training.optimizer import compute_learning_rate
from minitvlt.training.trainer import METRICS, STATE, check_training, read_metrics
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import using_kernels
from tests.helpers.shape_comments import ROOT
from tests.helpers.tracing import count_functions

CONFIG = mt.Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1)
RECIPE = mt.Recipe(steps=20, batch_size=5, micro_batches=2, learning_rate=1e-2, warmup_steps=3, seed=5)
FILES = (METRICS, STATE, "model.safetensors")


@pytest.fixture(autouse=True)
def save_often(monkeypatch):
    monkeypatch.setattr(trainer, "SAVE_EVERY", 4)


def run_training(folder, recipe=RECIPE, config=CONFIG, world=None, backend="numpy", **options):
    """Train, or resume training, in a folder; save the model as `pretrain` does; return the metrics.

    Annotations are checked in short runs alone: the check takes ten times as long as a step itself.
    """
    with annotations_unchecked() if recipe.steps > 3 else nullcontext():
        params = mt.to_backend(mt.init(config, recipe.seed), backend)
        params = mt.train(params, world or mt.ShapesWorld(config), recipe, folder, False, **options)
        mt.save(params, folder / "model.safetensors")
    return read_metrics(folder / METRICS)


def read_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> dict[str, bytes]:
    """The files of a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "SAVE_EVERY", 4)
        run_training(folder)
    return read_files(folder)


class StoppingWorld:
    """Moving shapes, until a call in which something happens."""

    def __init__(self, calls: int, happen) -> None:
        self.world, self.calls, self.happen = mt.ShapesWorld(CONFIG), calls, happen

    def sample(self, rng, count: int) -> mt.Examples:
        self.calls -= 1
        return self.world.sample(rng, count) if self.calls else self.happen(self.world.sample(rng, count))


def interrupt(_: mt.Examples) -> mt.Examples:
    raise KeyboardInterrupt


def spoil(clips: mt.Examples) -> mt.Examples:
    return replace(clips, video=clips.video * np.float32(np.nan))


# Metrics


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(tmp_path, finished):
    run_training(tmp_path / "same")
    assert read_files(tmp_path / "same") == finished
    (other,) = run_training(tmp_path / "other", replace(RECIPE, seed=6, steps=1))
    assert other["loss"] != json.loads(finished[METRICS].splitlines()[0])["loss"]


def test_every_batch_is_drawn_on_one_thread_beside_helpers(tmp_path):
    """Matrix products round differently on one thread and on two, so a resumed run would differ."""
    seen = []

    class CountingWorld(mt.ShapesWorld):
        def sample(self, rng, count):
            seen.append(count_free_cores())
            return super().sample(rng, count)

    with threadpool_limits(2, user_api="blas"):
        run_training(tmp_path, replace(RECIPE, steps=3), world=CountingWorld(CONFIG))
    assert seen == [1, 1, 1]


def test_metrics_have_a_line_a_step(finished):
    lines = [json.loads(line) for line in finished[METRICS].splitlines()]
    assert [line["step"] for line in lines] == list(range(1, RECIPE.steps + 1))
    for step, line in enumerate(lines):
        weighted = line["match_loss"] + CONFIG.mae_weight * (line["video_loss"] + line["audio_loss"])
        np.testing.assert_allclose(line["loss"], weighted, rtol=1e-6)
        assert line["learning_rate"] == compute_learning_rate(step, RECIPE)
        assert (line["match_accuracy"] * RECIPE.batch_size) % 1 == pytest.approx(0, abs=1e-9)
    assert np.mean([x["loss"] for x in lines[-5:]]) < 0.8 * np.mean([x["loss"] for x in lines[:5]])


def test_the_progress_bar_can_be_left_out(tmp_path, capsys):
    mt.train(mt.init(CONFIG), mt.ShapesWorld(CONFIG), replace(RECIPE, steps=2), tmp_path / "shown")
    assert "2/2" in capsys.readouterr().err
    run_training(tmp_path / "quiet", replace(RECIPE, steps=1))
    assert capsys.readouterr().err == ""


# Steps


def test_micro_batches_equal_the_whole_batch(tmp_path):
    whole = run_training(tmp_path / "whole", replace(RECIPE, steps=2, micro_batches=1))
    cut = run_training(tmp_path / "cut", replace(RECIPE, steps=2, micro_batches=3))
    for mine, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(list(other.values()), list(mine.values()), rtol=1e-5)


def test_the_gradient_is_clipped_and_its_own_norm_is_logged(tmp_path):
    recipe = replace(RECIPE, steps=1, clip_norm=0.01)
    free = run_training(tmp_path / "free", replace(recipe, clip_norm=1e9))
    clipped = run_training(tmp_path / "clipped", recipe)
    assert clipped[0]["gradient_norm"] == free[0]["gradient_norm"] > 0.01
    for name, expected in (("free", free[0]["gradient_norm"]), ("clipped", 0.01)):
        arrays = load_arrays(tmp_path / name / STATE)[0]
        squares = [np.sum(array**2) for part, array in arrays.items() if part.startswith("mean.")]
        np.testing.assert_allclose(np.sqrt(sum(squares)) / (1 - recipe.beta1), expected, rtol=1e-4)


def test_the_state_is_saved_under_the_names_of_the_parameters(tmp_path):
    recipe, initial = replace(RECIPE, steps=1), mt.init(CONFIG)
    before = mt.map_tree(np.copy, initial)
    trained = mt.train(initial, mt.ShapesWorld(CONFIG), recipe, tmp_path, show_progress=False)
    arrays = load_arrays(tmp_path / STATE)[0]
    for name, array in walk(trained):
        np.testing.assert_array_equal(arrays[f"parameters.{name}"], array)
        assert arrays[f"mean.{name}"].shape == arrays[f"square.{name}"].shape == array.shape
    assert len(arrays) == 3 * len(mt.flatten(trained))
    for name, array in walk(initial):
        np.testing.assert_array_equal(array, mt.flatten(before)[name], err_msg="the caller's own")


def test_a_reader_follows_two_steps_through_few_functions_and_files(tmp_path):
    config, recipe = mt.Config.tiny(), mt.Recipe(steps=2, batch_size=4)
    params, clips = mt.init(config), mt.ShapesWorld(config).sample(np.random.default_rng(0), 4)

    class ReadyWorld:
        def sample(self, rng, count: int) -> mt.Examples:
            return clips

    with using_kernels("plain"), annotations_unchecked():
        passed = count_functions(lambda: mt.train(params, ReadyWorld(), recipe, tmp_path, False))
    assert ("training/trainer.py", "Trainer.run_steps") in passed
    assert len(passed) <= 130 and len({path for path, _ in passed}) <= 18


# Extensions from outside


def mask_tube(clips: mt.Examples, config: mt.Config, rng: np.random.Generator) -> mt.Masking:
    """Mask one place of the frame, the same in all frames."""
    B, T = clips.video.shape[:2]
    places = config.image_grid[0] * config.image_grid[1]
    is_hidden = np.tile(np.arange(places) == rng.integers(0, places, (B, 1)), (1, T))
    return mt.random_masking(is_hidden.astype(float), 1 / places, clips.video_mask)


def draw_tubes(world, config, rng, count):
    return mt.make_batch(world.sample(rng, count), config, rng, mask_video=mask_tube)


def compute_contrastive(params, part, count):
    """Compare each video with all audio of the micro-batch (CLIP, InfoNCE), by cosine similarity."""
    video, audio = mt.forward(params, part.video, None).cls, mt.forward(params, None, part.audio).cls
    xp = namespace(video, audio)
    video, audio = (x / xp.sqrt(xp.sum(x * x, axis=1, keepdims=True)) for x in (video, audio))
    chances = xp.softmax(xp.matmul(video, xp.permute_dims(audio, (1, 0))) * 10.0)
    own = xp.sum(chances * np.eye(len(part.audio), dtype=part.audio.dtype), axis=1)
    loss = xp.sum(-xp.log(own)) / count
    return loss, {"chance": xp.sum(own)}


CONTRASTIVE = Objective(
    draw=draw_tubes,
    count=lambda batch: float(len(batch.audio)),
    compute=compute_contrastive,
    describe=lambda sums, count: {"chance": sums["chance"] / count},
)


def test_a_mask_from_outside_trains(tmp_path):
    batch = draw_tubes(mt.ShapesWorld(CONFIG), CONFIG, np.random.default_rng(0), 5)
    hidden = batch.video_masking.is_hidden.reshape(5, 3, 2, 2)
    assert (hidden.sum(axis=(2, 3)) == 1).all() and (hidden[:, 0] == hidden[:, 1]).all()
    lines = run_training(tmp_path, objective=replace(PRETRAINING, draw=draw_tubes))
    assert lines[-1]["video_loss"] < 0.8 * lines[0]["video_loss"]


def test_an_objective_from_outside_trains(tmp_path):
    lines = run_training(tmp_path, replace(RECIPE, micro_batches=1), objective=CONTRASTIVE)
    assert list(lines[0]) == ["step", "loss", "chance", "learning_rate", "gradient_norm"]
    assert np.mean([x["loss"] for x in lines[-5:]]) < 0.9 * np.mean([x["loss"] for x in lines[:5]])


# Killed or interrupted, and resumed

CHILD = """
import json, os, signal, sys, tempfile, time
import minitvlt as mt
from minitvlt.checkpoints import native
from minitvlt.training import optimizer, runs, trainer

folder, place, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
config, recipe = mt.Config.from_dict(json.loads(sys.argv[4])), mt.Recipe(**json.loads(sys.argv[5]))
trainer.SAVE_EVERY = 4
calls = 0

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)

def die_after(original, *args):
    original(*args)
    die()

def interrupt(original, *args):
    signal.raise_signal(signal.SIGINT)
    return original(*args)

def write_half_a_line(original, run, *args):
    run.metrics.write(b'{"step": 7, "lo')
    run.metrics.flush()
    die()

def write_half_a_file(original, arrays, path, metadata):
    path.write_bytes(b"half")
    die()

PLACES = {
    "at the lock": (runs, "lock", die),
    "in a temporary folder": (tempfile, "mkdtemp", die_after),
    "when lines are cut off": (os, "truncate", die),
    "in a step": (trainer.Trainer, "compute", die),
    "in an update": (optimizer, "update_adamw", die),
    "in a line": (trainer.Trainer, "log", write_half_a_line),
    "in a state": (native, "save_file", write_half_a_file),
    "after a rename": (os, "replace", die_after),
    "by Ctrl-C in an update": (optimizer, "update_adamw", interrupt),
}
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
owner, name, happen = PLACES[place]
original = getattr(owner, name)

def counted(*args):
    global calls
    calls += 1
    return happen(original, *args) if calls == call else original(*args)

setattr(owner, name, counted)
mt.train(mt.init(config, recipe.seed), mt.ShapesWorld(config), recipe, folder, show_progress=False)
"""


def run_until_killed(folder: Path, place: str, call: int) -> int:
    """Train in another process that is killed at the n-th call in a place; return its exit status."""
    settings = [json.dumps(values) for values in (CONFIG.to_dict(), vars(RECIPE))]
    command = [sys.executable, "-c", CHILD, str(folder), place, str(call), *settings]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_not(tmp_path, finished):
    kills = [
        ("at the lock", 1),
        ("in a temporary folder", 1),
        ("in a step", 2),
        ("in a line", 5),
        ("in a state", 2),
        ("after a rename", 2),
    ]
    kills += [("when lines are cut off", 1), ("in an update", 150), ("by Ctrl-C in an update", 70)]
    for place, call in kills:
        status = run_until_killed(tmp_path, place, call)
        assert status == -(signal.SIGINT if "Ctrl-C" in place else signal.SIGKILL), (place, status)
    run_training(tmp_path)
    assert read_files(tmp_path) == finished and len(list(tmp_path.iterdir())) == len(finished)


def test_an_interrupted_run_has_saved_its_last_step(tmp_path, finished):
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, world=StoppingWorld(7, interrupt))
    assert load_arrays(tmp_path / STATE)[1]["steps"] == 6
    assert len(read_metrics(tmp_path / METRICS)) == 6
    run_training(tmp_path)
    assert read_files(tmp_path) == finished


def test_a_finished_run_that_is_called_again_changes_nothing(tmp_path, finished):
    for name, content in finished.items():
        (tmp_path / name).write_bytes(content)
    run_training(tmp_path, world=StoppingWorld(1, interrupt))
    assert read_files(tmp_path) == finished


def test_a_loss_that_is_not_finite_ends_the_run_and_the_state_before_it_is_kept(tmp_path, finished):
    with pytest.raises(ValueError, match=r"loss at step 7 is nan.*diverged.*[Ll]ower the learning rate"):
        run_training(tmp_path, world=StoppingWorld(7, spoil))
    arrays, metadata = load_arrays(tmp_path / STATE)
    assert metadata["steps"] == 6 and all(np.isfinite(array).all() for array in arrays.values())
    run_training(tmp_path)
    assert read_files(tmp_path) == finished


def test_a_state_that_was_half_updated_is_not_saved(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("no more")

    monkeypatch.setattr(trainer.Trainer, "apply_adamw", fail)
    with pytest.raises(MemoryError):
        run_training(tmp_path)
    assert load_arrays(tmp_path / STATE)[1]["steps"] == 0


# Files that do not fit


@pytest.fixture
def halfway(tmp_path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, world=StoppingWorld(11, interrupt))
    return tmp_path


def test_metrics_that_lack_lines_are_refused_and_nothing_is_changed(halfway):
    (halfway / METRICS).write_bytes((halfway / METRICS).read_bytes()[:-5])
    before = {other.name: other.read_bytes() for other in halfway.iterdir()}
    with pytest.raises(ValueError, match=r"lacks lines.* saved after 10 steps"):
        run_training(halfway)
    assert {other.name: other.read_bytes() for other in halfway.iterdir()} == before


def test_a_state_that_does_not_fit_is_refused(halfway):
    expected = r"another configuration, recipe or data, or of an earlier.*{}.*start again in another folder"
    arrays, metadata = load_arrays(halfway / STATE)
    with pytest.raises(ValueError, match=expected.format("seed was 5, is 6")):
        run_training(halfway, replace(RECIPE, seed=6))
    with pytest.raises(ValueError, match=expected.format("mae_weight was 3.0, is 0.123")):
        run_training(halfway, config=CONFIG.replace(mae_weight=0.123))
    for damaged, about, found in (
        ({**arrays, "mean.encoder.cls": np.zeros(9, np.float32)}, metadata, "its arrays do not fit"),
        (arrays, {"steps": 10, "run": "of another version"}, "was absent, is "),
    ):
        save_arrays(damaged, halfway / STATE, about)
        with pytest.raises(ValueError, match=expected.format(found)):
            run_training(halfway)


def test_what_numpy_cannot_do_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="dtype to be float32 or bfloat16, got 'float8'"):
        check_training(mt.init(CONFIG), RECIPE, dtype="float8")
    for options in ({"dtype": "bfloat16"}, {"compile": True}):
        with pytest.raises(ValueError, match="need PyTorch: choose the backend torch"):
            check_training(mt.init(CONFIG), RECIPE, **options)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="torchrun need PyTorch"):
        check_training(mt.init(CONFIG), RECIPE)
