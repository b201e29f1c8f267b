"""Several processes train as one does: the same batches, the same losses, one folder, killed or not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitvlt as mt
from minitvlt.backends import flatten
from minitvlt.checkpoints.native import load_arrays
from minitvlt.training.processes import count_processes, find_device, is_first, is_one_of_several
from minitvlt.training.trainer import read_metrics
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.shape_comments import ROOT
from tests.helpers.shared_training import SAVE_EVERY, STEPS, run_training

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gloo is tried on Linux")

FILES = ("metrics.jsonl", "training_state.safetensors", "model.safetensors")
IN_PARTS = {"micro_batches": 3}  # 16 clips among 2 processes in 3 parts each: none divides the other
FILLING = {"task_matching": False, "cls_in_autoencoding": False}  # cls is in the tree and nowhere in the loss


def start(count: int, *words: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Start several processes by torchrun, on a free port of this machine, and wait until all have ended."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def share(count: int, folder: Path, runs: dict[str, dict[str, Any]]) -> None:
    done = start(count, "-m", "tests.helpers.shared_training", str(folder), json.dumps(runs))
    assert done.returncode == 0, done.stderr


def read_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def assert_runs_agree(one: Path, other: Path, tolerance: float = 1e-6) -> None:
    """Compare every figure of every step; and the models, by what they compute."""
    ours, theirs = (read_metrics(folder / "metrics.jsonl") for folder in (one, other))
    assert len(ours) == len(theirs) == STEPS
    for mine, line in zip(ours, theirs, strict=True):
        assert mine.keys() == line.keys()
        for name, number in mine.items():
            if number is None:
                assert line[name] is None
            else:
                np.testing.assert_allclose(line[name], number, rtol=tolerance, err_msg=name)
    params = [mt.load(folder / "model.safetensors") for folder in (one, other)]
    clips = mt.ShapesWorld(params[0].config).sample(np.random.default_rng(0), 5)
    ours, theirs = (flatten(mt.forward(p, clips.video, clips.audio)) for p in params)
    for name, array in ours.items():
        error = np.linalg.norm(theirs[name] - array) / np.linalg.norm(array)
        assert error < 10 * tolerance, name


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """What one process makes of it."""
    folder = tmp_path_factory.mktemp("alone")
    with annotations_unchecked():
        run_training(folder / "plain")
        run_training(folder / "filling", config=FILLING)
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """What two processes make of it."""
    folder = tmp_path_factory.mktemp("together")
    runs = {
        "plain": {},
        "in parts": {"recipe": IN_PARTS},
        "filling": {"config": FILLING},
        "compiled": {"config": {"gradient_checkpointing": True}, "compile": True},
    }
    share(2, folder, runs)
    return folder


# The same numbers


@pytest.mark.parametrize("name", ["plain", "in parts", "compiled"])
def test_two_processes_equal_one_with_the_same_batch(alone, together, name):
    assert_runs_agree(alone / "plain", together / name)


def test_nobody_waits_for_gradients_of_what_the_loss_does_not_depend_on(alone, together):
    assert_runs_agree(alone / "filling", together / "filling")
    ours, theirs = (mt.load(run / "filling/model.safetensors") for run in (alone, together))
    np.testing.assert_array_equal(theirs.encoder.cls, ours.encoder.cls)


def test_a_shared_run_writes_what_a_run_alone_writes(alone, together):
    assert {path.name for path in (together / "plain").iterdir()} == set(FILES)
    (ours, about), (theirs, about_theirs) = (
        load_arrays(run / "plain" / FILES[1]) for run in (alone, together)
    )
    assert about_theirs == about
    assert {name: x.shape for name, x in theirs.items()} == {name: x.shape for name, x in ours.items()}


# Killed, and gone on with


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run of two processes, of which one was killed after 9 steps, and the other then by torchrun."""
    folder = tmp_path_factory.mktemp("killed")
    runs = json.dumps({"plain": {"killed": [1, 10]}})
    assert start(2, "-m", "tests.helpers.shared_training", str(folder), runs).returncode != 0
    steps = load_arrays(folder / "plain" / FILES[1])[1]["steps"]
    assert SAVE_EVERY <= steps < 10
    return folder


def test_a_killed_run_goes_on_in_as_many_processes(together, killed, tmp_path):
    shutil.copytree(killed / "plain", tmp_path / "plain")
    share(2, tmp_path, {"plain": {}})
    assert read_files(tmp_path / "plain") == read_files(together / "plain"), "bit for bit"


def test_a_killed_run_goes_on_in_three_processes_and_in_one(together, killed, tmp_path):
    for name in ("three", "one"):
        shutil.copytree(killed / "plain", tmp_path / name)
    share(3, tmp_path, {"three": {}})
    with annotations_unchecked():
        run_training(tmp_path / "one")
    for name in ("three", "one"):
        assert_runs_agree(together / "plain", tmp_path / name)


# The command


def test_the_command_runs_under_torchrun_and_the_first_process_alone_speaks(tmp_path):
    small = {
        "image_size": 8,
        "image_patch_size": [4, 4],
        "num_frames": 2,
        "window_length": 128,
        "hop_length": 64,
        "sample_rate": 8000,
        "spectrogram_length": 12,
        "frequency_length": 6,
        "audio_patch_size": [4, 3],
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "decoder_hidden_size": 6,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 10,
    }
    (tmp_path / "small.json").write_text(json.dumps({**mt.Config.tiny().to_dict(), **small}))
    words = ("-m", "minitvlt", "pretrain", "--config", "small.json", "--batch", "5", "--steps", "3")
    done = start(2, *words, "--backend", "torch", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Open run/report.html") == done.stderr.count("3/3") == 1
    assert len(read_metrics(tmp_path / "run/metrics.jsonl")) == 3
    before = (tmp_path / "run/model.safetensors").read_bytes()
    done = start(2, "-m", "minitvlt", "pretrain", "--resume", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/model.safetensors").read_bytes() == before
    tuning = ("-m", "minitvlt", "finetune", "shape", "--checkpoint", "run/model.safetensors", "--steps", "2")
    done = start(2, *tuning, "--batch", "4", "--backend", "torch", "--out", "tuned", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Open tuned/report.html") == done.stderr.count("2/2") == 1
    done = start(2, *words, "--backend", "torch", folder=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("run is not empty, and nothing is overwritten") == 1


# What the environment says


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert not is_one_of_several() and is_first() and count_processes() == 1
    assert [find_device(device) for device in (None, "cpu", "cuda", "cuda:1")] == [
        None,
        "cpu",
        "cuda",
        "cuda:1",
    ]


def test_each_process_takes_a_card_of_its_own(monkeypatch):
    for name, value in (("WORLD_SIZE", "5"), ("RANK", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert is_one_of_several() and not is_first() and count_processes() == 5
    assert [find_device(device) for device in (None, "cpu", "cuda")] == [None, "cpu", "cuda:1"]
    with pytest.raises(ValueError, match="card of its own: say --device cuda"):
        find_device("cuda:0")
