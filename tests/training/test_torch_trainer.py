"""PyTorch trains as NumPy does, in bfloat16, compiled, and in several processes."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitvlt as mt
from minitvlt.backends import flatten
from minitvlt.checkpoints.native import load_arrays
from minitvlt.commands.shared import find_device, is_first
from minitvlt.training.trainer import METRICS, STATE, check_training, read_metrics
from tests.helpers import shared_training
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.shape_comments import ROOT
from tests.training.test_trainer import CONFIG, RECIPE, StoppingWorld, interrupt, run_training

pytest.importorskip("torch")

FILES = (METRICS, STATE, "model.safetensors")
SHORT = replace(RECIPE, steps=6, weight_decay=0.3)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="gloo is tried on Linux")


def run_script(*words: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


# One process


@pytest.fixture(scope="module")
def on_torch(tmp_path_factory) -> Path:
    """A run that was never interrupted."""
    folder = tmp_path_factory.mktemp("torch")
    run_training(folder, SHORT, backend="torch")
    return folder


@pytest.mark.parametrize(("first", "second"), [("torch", "torch"), ("torch", "numpy"), ("numpy", "torch")])
def test_torch_and_numpy_give_the_same_losses_and_resume_each_other(tmp_path, on_torch, first, second):
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, SHORT, world=StoppingWorld(4, interrupt), backend=first)
    is_other = pytest.warns(UserWarning, match=f"array library was {first}, is {second}")
    with nullcontext() if first == second else is_other:
        ours = run_training(tmp_path, SHORT, backend=second)
    for mine, other in zip(ours, read_metrics(on_torch / METRICS), strict=True):
        np.testing.assert_allclose(list(other.values()), list(mine.values()), rtol=1e-3)
    if first == second:
        for name in FILES:
            assert (tmp_path / name).read_bytes() == (on_torch / name).read_bytes()


def test_bfloat16_follows_float32_and_leaves_the_parameters_in_float32(tmp_path, on_torch):
    lines = run_training(tmp_path, SHORT, backend="torch", dtype="bfloat16")
    losses = [[line["loss"] for line in run] for run in (lines, read_metrics(on_torch / METRICS))]
    assert losses[0] != losses[1], "it is another precision"
    np.testing.assert_allclose(*losses, rtol=3e-2)
    assert {str(x.dtype) for x in load_arrays(tmp_path / STATE)[0].values()} == {"float32"}


class PaddedWorld:
    """Moving shapes of unequal length, the first in full: the number of masked tokens changes every step."""

    def sample(self, rng: np.random.Generator, count: int) -> mt.Examples:
        clips = mt.ShapesWorld(CONFIG).sample(rng, count)
        lengths = np.maximum(rng.integers(2, 9, (count, 1)), 8 * (np.arange(count) == 0)[:, None])
        return replace(clips, audio_mask=np.arange(6) < lengths, video_mask=np.arange(12) < lengths + 4)


# Programs are traced and then run as they are: tracing takes a moment, compiling half a minute.
TRACED = """
import sys
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
import torch
from minitvlt.training import torch_trainer
from tests.training.test_torch_trainer import RECIPE, PaddedWorld, run_training

torch._dynamo.config.error_on_recompile = True  # a step like the first needs no new program
torch.nn.Module.compile = partialmethod(torch.nn.Module.compile, backend="eager", fullgraph=True)
torch_trainer.check_torch = lambda *_: None
recipe = replace(RECIPE, steps=3, micro_batches=1)
run_training(Path(sys.argv[1]), recipe, world=PaddedWorld(), backend="torch", compile=True)
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
"""


def test_a_step_is_one_program_that_serves_all_steps(tmp_path):
    done = run_script("-c", TRACED, str(tmp_path / "compiled"))
    assert done.returncode == 0, done.stderr
    recipe = replace(RECIPE, steps=3, micro_batches=1)
    plain = run_training(tmp_path / "plain", recipe, world=PaddedWorld(), backend="torch")
    for mine, other in zip(plain, read_metrics(tmp_path / "compiled" / METRICS), strict=True):
        np.testing.assert_allclose(list(other.values()), list(mine.values()), rtol=1e-4)


def test_what_this_machine_cannot_do_is_refused(monkeypatch):
    def fail(_):
        raise RuntimeError("no compiler\nat all")

    params = mt.to_backend(mt.init(CONFIG), "torch")
    monkeypatch.setattr("torch.compile", fail)
    with pytest.raises(ValueError, match=r"torch.compile does not work here: leave.* no compiler$"):
        check_training(params, RECIPE, compile=True)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"batch_size of at least 8, .* got 5"):
        check_training(params, RECIPE)


# Several processes

IN_PARTS = {"micro_batches": 3}  # 16 clips in 2 processes with 3 parts each: neither divides the other
FILLING = {"task_matching": False, "cls_in_autoencoding": False}  # the loss does not depend on cls


def start(count: int, *words: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Start processes by torchrun, on a free port of this machine, and wait until all have ended."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return run_script(*launcher, *words, folder=folder)


def share(count: int, folder: Path, runs: dict[str, dict[str, Any]]) -> subprocess.CompletedProcess:
    return start(count, "-m", "tests.helpers.shared_training", str(folder), json.dumps(runs))


def assert_runs_agree(one: Path, other: Path, tolerance: float = 1e-6) -> None:
    """Compare all numbers of all steps; and the models, by what they compute."""
    ours, theirs = (read_metrics(folder / METRICS) for folder in (one, other))
    assert len(ours) == shared_training.STEPS
    for mine, line in zip(ours, theirs, strict=True):
        numbers = [[x for x in values.values() if x is not None] for values in (line, mine)]
        np.testing.assert_allclose(*numbers, rtol=tolerance)
    params = [mt.load(folder / "model.safetensors") for folder in (one, other)]
    clips = mt.ShapesWorld(params[0].config).sample(np.random.default_rng(0), 5)
    ours, theirs = (flatten(mt.forward(p, clips.video, clips.audio)) for p in params)
    for name, array in ours.items():
        assert np.linalg.norm(theirs[name] - array) < 10 * tolerance * np.linalg.norm(array), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """Runs of one process."""
    folder = tmp_path_factory.mktemp("alone")
    with annotations_unchecked():
        shared_training.run_training(folder / "plain")
        shared_training.run_training(folder / "filling", config=FILLING)
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """The same runs of two processes, and one of which a process was killed after 9 steps."""
    folder = tmp_path_factory.mktemp("together")
    runs = {
        "plain": {},
        "in parts": {"recipe": IN_PARTS},
        "filling": {"config": FILLING},
        "compiled": {"config": {"gradient_checkpointing": True}, "compile": True},
        "killed": {"killed": [1, 10]},
    }
    assert share(2, folder, runs).returncode != 0
    return folder


@on_linux
@pytest.mark.parametrize("name", ["plain", "in parts", "compiled", "filling"])
def test_two_processes_equal_one_with_the_same_batch(alone, together, name):
    assert_runs_agree(alone / ("filling" if name == "filling" else "plain"), together / name)
    assert {path.name for path in (together / name).iterdir()} == set(FILES)


@on_linux
def test_a_killed_run_is_resumed_in_as_many_processes_and_in_one(together, tmp_path):
    steps = load_arrays(together / "killed" / STATE)[1]["steps"]
    assert shared_training.SAVE_EVERY <= steps < 10
    for name in ("two", "one"):
        shutil.copytree(together / "killed", tmp_path / name)
    done = share(2, tmp_path, {"two": {}})
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert (tmp_path / "two" / name).read_bytes() == (together / "plain" / name).read_bytes()
    with annotations_unchecked(), pytest.warns(UserWarning, match="number of processes was 2, is 1"):
        shared_training.run_training(tmp_path / "one")
    assert_runs_agree(together / "plain", tmp_path / "one")


@on_linux
def test_the_command_runs_under_torchrun_and_only_the_first_process_prints(tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(CONFIG.replace(sample_rate=8000).to_dict()))
    words = ("-m", "minitvlt", "pretrain", "--config", "small.json", "--batch", "5", "--steps", "3")
    done = start(2, *words, "--backend", "torch", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report.html") == done.stderr.count("3/3") == 1
    assert len(read_metrics(tmp_path / "run" / METRICS)) == 3


def test_each_process_uses_its_own_gpu(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert is_first() and find_device(None) is None and find_device("cuda:1") == "cuda:1"
    for name, value in (("WORLD_SIZE", "5"), ("RANK", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert not is_first()
    assert [find_device(device) for device in (None, "cpu", "cuda")] == [None, "cpu", "cuda:1"]
    with pytest.raises(ValueError, match="its own GPU: use --device cuda"):
        find_device("cuda:0")
