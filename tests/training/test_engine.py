"""Engines: the same steps on every library, in place, and none after a loss that is not finite."""

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from minitvlt.backends import map_tree, to_backend, walk
from minitvlt.config import Config
from minitvlt.model.parameters import add_ranking, init
from minitvlt.signals.prepare import Examples
from minitvlt.training import engine as engines
from minitvlt.training.engine import Execution, check_execution, start_engine
from minitvlt.training.finetuning import EMBEDDED_TASKS, make_objective, replace_head
from minitvlt.training.objectives import PRETRAINING
from minitvlt.training.optimizer import count_decaying, from_vector, start_adamw, to_vector, update_adamw
from minitvlt.training.trainer import draw_ahead, read_metrics, train
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.shape_comments import ROOT
from tests.training.test_trainer import CONFIG, FILES, RECIPE, read_files, run_training

LIBRARIES = ["numpy"] + ["torch"] * (find_spec("torch") is not None)


def make_engine(library: str, params=None, execution: Execution = engines.PLAIN):
    params = init(CONFIG, 5) if params is None else params
    return start_engine(to_backend(params, library), start_adamw(params), execution)


def join(gradient) -> np.ndarray:
    return np.concatenate([np.array(to_backend(piece, "numpy")) for piece in gradient])


def compute(engine, seed: int = 0, clips: int = 5, parts: int = 1, objective=PRETRAINING):
    batch = objective.draw(ShapesWorld(CONFIG), engine.like.config, np.random.default_rng(seed), clips)
    return engine.compute(objective.compute, [engine.move(batch)] * parts, objective.count(batch))


# A step


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_update_in_place_is_the_formula_with_a_clipped_gradient(library, monkeypatch):
    monkeypatch.setattr(engines, "slice_evenly", lambda vector: [slice(0, 7), slice(7, len(vector))])
    engine, recipe = make_engine(library), replace(RECIPE, clip_norm=0.01, weight_decay=0.3)
    expected = start_adamw(init(CONFIG, 5))
    matrices = np.arange(expected.mean.size) < count_decaying(init(CONFIG))
    for step in range(3):
        numbers, gradient = compute(engine, step)
        host, norm = join(gradient), float(numbers["gradient_norm"])
        np.testing.assert_allclose(norm, np.linalg.norm(host), rtol=1e-5)
        engine.update(gradient, numbers, step, recipe)
        clipped = host * np.float32(0.01 / norm)
        decayed, spared = (update_adamw(expected, clipped, step, recipe, decays) for decays in (True, False))
        expected = map_tree(lambda x, y: np.where(matrices, x, y), decayed, spared)
        for name, array in walk(engine.gather()):
            np.testing.assert_allclose(array, getattr(expected, name), rtol=2e-4, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("library", LIBRARIES)
def test_nothing_changes_any_more_after_a_loss_that_is_not_finite(library):
    engine = make_engine(library)
    numbers, gradient = compute(engine)
    engine.update(gradient, numbers, 0, RECIPE)
    good = map_tree(np.copy, engine.gather())
    numbers, gradient = compute(engine)
    gradient = [piece * np.nan for piece in gradient]
    engine.update(gradient, {**numbers, "gradient_norm": numbers["gradient_norm"] * np.nan}, 1, RECIPE)
    numbers, gradient = compute(engine)
    engine.update(gradient, numbers, 2, RECIPE)
    for name, array in walk(engine.gather()):
        np.testing.assert_array_equal(array, getattr(good, name), err_msg=name)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_update_that_breaks_off_is_not_saved(library, tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("no more")

    monkeypatch.setattr("minitvlt.training.engine.Engine.move_parameters", fail)
    if library == "torch":
        monkeypatch.setattr("minitvlt.training.torch_engine.TorchEngine.move_parameters", fail)
    with pytest.raises(MemoryError):
        run_training(tmp_path, backend=library)
    assert not (tmp_path / "training_state.safetensors").exists()


@pytest.mark.parametrize("library", LIBRARIES)
def test_gradients_of_parts_are_added_up_and_those_of_parameters_without_use_are_zero(library):
    params = add_ranking(replace(init(CONFIG, 5), ranking=None), seed=1)
    engine = make_engine(library, params)
    numbers, gradient = compute(engine)
    once = join(gradient)
    twice_numbers, twice = compute(engine, parts=2)
    np.testing.assert_allclose(join(twice), 2 * once, rtol=1e-5)
    np.testing.assert_allclose(float(twice_numbers["loss"]), 2 * float(numbers["loss"]), rtol=1e-6)
    assert not np.any(to_vector(from_vector(once, params).ranking))
    assert np.any(to_vector(from_vector(once, params).matching))


def test_an_update_makes_no_vector_anew():
    engine = make_engine("numpy", init(Config.tiny()))
    state, memory = engine.state, sum(array.nbytes for _, array in walk(engine.state))
    gradient = np.split(to_vector(init(Config.tiny(), 6)), [engine.decaying])
    numbers = {"loss": np.float32(1), "gradient_norm": np.float32(3)}
    before = [array.copy() for _, array in walk(state)]
    tracemalloc.start()
    engine.update(gradient, numbers, 0, RECIPE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < memory / 2, "a dozen slices, of a model that has but a few"
    assert engine.state is state and np.shares_memory(engine.finish().encoder.cls, state.parameters)
    assert all((now != then).any() for (_, now), then in zip(walk(state), before, strict=True))


# Batches


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_steps_come_in_order_however_far_the_thread_is_ahead(ahead):
    drawn = []

    def draw(step: int) -> int:
        drawn.append(step)
        return step * step

    steps = draw_ahead(draw, range(4, 9), ahead)
    assert next(steps) == (4, 16)
    assert len(drawn) <= ahead + 1
    assert list(steps) == [(step, step * step) for step in range(5, 9)]
    assert drawn == [4, 5, 6, 7, 8]
    assert list(draw_ahead(draw, range(4, 4), ahead)) == []


def test_a_run_that_draws_ahead_writes_the_same_bytes(tmp_path, monkeypatch):
    run_training(tmp_path / "in turn")
    monkeypatch.setattr(engines.Engine, "ahead", 2)
    run_training(tmp_path / "ahead")
    assert read_files(tmp_path / "ahead") == read_files(tmp_path / "in turn")


# Execution


def test_bfloat16_follows_float32_and_leaves_the_parameters_in_float32(tmp_path):
    pytest.importorskip("torch")
    recipe = replace(RECIPE, steps=12)
    params, runs = to_backend(init(CONFIG, recipe.seed), "torch"), []
    for dtype in ("float32", "bfloat16"):
        trained = train(
            params, ShapesWorld(CONFIG), recipe, tmp_path / dtype, False, execution=Execution(dtype)
        )
        assert str(trained.encoder.cls.dtype) == "torch.float32"
        runs.append(read_metrics(tmp_path / dtype / "metrics.jsonl"))
    losses, theirs = (np.array([line["loss"] for line in lines]) for lines in runs)
    assert (losses != theirs).any(), "it is another precision"
    np.testing.assert_allclose(theirs, losses, rtol=3e-2)


@pytest.mark.parametrize("name", [None, *EMBEDDED_TASKS])
def test_bfloat16_rounds_products_and_no_loss_and_nothing_that_is_logged(name):
    pytest.importorskip("torch")
    params, objective = init(CONFIG, 5), PRETRAINING
    if name is not None:
        params, objective = replace_head(params, EMBEDDED_TASKS[name]), make_objective(EMBEDDED_TASKS[name])
    numbers, gradient = compute(make_engine("torch", params, Execution("bfloat16")), objective=objective)
    assert {str(x.dtype) for x in (*numbers.values(), *gradient)} == {"torch.float32"}


class PaddedWorld:
    """Moving shapes of unequal length, the first as long as can be: batches differ in how much they hide."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        clips = ShapesWorld(CONFIG).sample(rng, count)
        lengths = np.maximum(rng.integers(2, 9, (count, 1)), 8 * (np.arange(count) == 0)[:, None])
        return replace(clips, audio_mask=np.arange(6) < lengths, video_mask=np.arange(12) < lengths + 4)


COMPILED = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from minitvlt.backends import to_backend
from minitvlt.training.engine import Execution
from minitvlt.training.trainer import train
from minitvlt.model.parameters import init
from tests.training.test_engine import PaddedWorld
from tests.training.test_trainer import CONFIG, RECIPE

torch._dynamo.config.error_on_recompile = True  # a step like the first needs no new program
params = to_backend(init(CONFIG, RECIPE.seed), "torch")
recipe = replace(RECIPE, steps=3, micro_batches=1)
train(params, PaddedWorld(), recipe, Path(sys.argv[1]), False, execution=Execution(compile=True))
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
"""

# Each objective is traced, and then computed as it is: to trace takes a moment, and to compile half a minute.
TRACED = """
from tests.training.test_engine import CONFIG, EMBEDDED_TASKS, PRETRAINING, compute, init, make_engine
from tests.training.test_engine import make_objective, replace_head
import torch

torch._dynamo.config.error_on_recompile = True
params = init(CONFIG, 5)
works = {"pre-training": (params, PRETRAINING)}
works |= {name: (replace_head(params, task), make_objective(task)) for name, task in EMBEDDED_TASKS.items()}
for name, (params, objective) in works.items():
    torch.compiler.reset()
    engine = make_engine("torch", params)
    engine.module.compile(backend="eager", fullgraph=True)
    for seed in range(2):
        compute(engine, seed, objective=objective)
    print(name)
"""


def run_script(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_a_compiled_run_gives_the_same_losses(tmp_path):
    pytest.importorskip("torch")
    done = run_script("-c", COMPILED, str(tmp_path / "compiled"))
    if "torch.compile does not work here" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    recipe = replace(RECIPE, steps=3, micro_batches=1)
    plain = run_training(tmp_path / "plain", recipe, world=PaddedWorld(), backend="torch")
    for mine, other in zip(plain, read_metrics(tmp_path / "compiled" / FILES[0]), strict=True):
        np.testing.assert_allclose(list(other.values()), list(mine.values()), rtol=1e-4)


def test_a_step_is_one_program_for_which_nobody_reads_from_the_device():
    pytest.importorskip("torch")
    done = run_script("-c", TRACED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["pre-training", *EMBEDDED_TASKS]


def test_a_machine_without_a_compiler_is_told_so_before_anything_is_written(tmp_path):
    pytest.importorskip("torch")
    words = ("-m", "minitvlt", "pretrain", "--backend", "torch", "--compile", "--out", str(tmp_path / "run"))
    done = run_script(*words, CXX="no-such-compiler", TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("minitvlt pretrain:")]
    assert "torch.compile does not work here: leave compile out" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("execution", "expected"),
    [
        (Execution(compile=True), "Only PyTorch can do this: leave compile out, or choose the backend torch"),
        (Execution(dtype="bfloat16", compile=True), "leave dtype, compile out"),
    ],
)
def test_numpy_refuses_what_only_torch_can_do(execution, expected):
    with pytest.raises(ValueError, match=expected):
        check_execution(init(CONFIG), execution, RECIPE)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="dtype must be float32 or bfloat16, not 'float8'"):
        Execution(dtype="float8")


def test_numpy_does_not_share_its_work(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="numpy cannot: choose torch"):
        check_execution(init(CONFIG), Execution(), RECIPE)


def test_a_batch_with_too_few_clips_for_its_processes_is_refused(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"7 clips is too small for 4 processes with 2 parts.*at least 8"):
        check_execution(to_backend(init(CONFIG), "torch"), Execution(), RECIPE)
