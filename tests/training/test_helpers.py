"""Helper processes: they give what one process gives, and never outlive the run or its process."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import minitvlt as mt
from minitvlt.backends.fast import threads
from minitvlt.training import helpers
from minitvlt.training.objectives import PRETRAINING, Objective
from minitvlt.training.trainer import METRICS, STATE, read_metrics
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import using_kernels
from tests.helpers.losses import (
    check_kernels,
    fail_in_helpers,
    interrupt_helpers,
    kill_in_helpers,
    print_and_compute,
)
from tests.helpers.shape_comments import ROOT
from tests.training.test_trainer import CONFIG

RECIPE = mt.Recipe(steps=3, batch_size=7, micro_batches=2, warmup_steps=2)


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    """As if products might use three threads, so that there are two helpers; none of them is left behind."""
    started, start = [], helpers.Helper.__init__

    def note(helper, *arguments):
        start(helper, *arguments)
        started.append(helper.process)

    monkeypatch.setattr(helpers.Helper, "__init__", note)
    with threadpool_limits(3, user_api="blas"), annotations_unchecked():
        yield started
        assert {library.num_threads for library in threads._libraries()} == {3}
    assert all(process.returncode is not None for process in started)


def train(folder, compute=PRETRAINING.compute, recipe=RECIPE):
    objective = Objective(PRETRAINING.draw, PRETRAINING.count, compute, PRETRAINING.describe)
    return mt.train(mt.init(CONFIG), mt.ShapesWorld(CONFIG), recipe, folder, False, objective)


def train_alone(folder, **options):
    with threadpool_limits(1, user_api="blas"):
        return train(folder, **options)


def assert_equal_runs(one, other):
    for mine, line in zip(read_metrics(one / METRICS), read_metrics(other / METRICS), strict=True):
        np.testing.assert_allclose(list(line.values()), list(mine.values()), rtol=1e-5)


@pytest.mark.parametrize("batch_size", [4, 7])
def test_processes_give_the_losses_and_gradients_of_one(tmp_path, three_cores, batch_size):
    recipe = mt.Recipe(steps=3, batch_size=batch_size, micro_batches=2, warmup_steps=2)
    train(tmp_path / "together", print_and_compute, recipe)
    assert len(three_cores) == (2 if batch_size == 7 else 1), "a process needs a clip for each micro-batch"
    train_alone(tmp_path / "alone", recipe=recipe)
    assert_equal_runs(tmp_path / "alone", tmp_path / "together")


def test_helpers_use_the_same_kernels_on_one_core(tmp_path, three_cores):
    with using_kernels("plain"):
        train(tmp_path, check_kernels)
    assert len(three_cores) == 2


def test_a_function_that_cannot_be_sent_or_loaded_is_computed_in_one_process(
    tmp_path, three_cores, monkeypatch
):
    train(tmp_path / "closure", lambda *inputs: PRETRAINING.compute(*inputs))
    assert not three_cores, "it cannot be pickled"
    monkeypatch.setattr(print_and_compute, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "print_and_compute", print_and_compute, raising=False)
    train(tmp_path / "main", print_and_compute)
    assert len(three_cores) == 2, "they could not find it in the script that they do not run"
    train_alone(tmp_path / "alone")
    for name in ("closure", "main"):
        assert_equal_runs(tmp_path / "alone", tmp_path / name)


def test_large_models_and_single_cores_have_no_helpers(tmp_path, three_cores, monkeypatch):
    train_alone(tmp_path / "alone")
    monkeypatch.setattr("minitvlt.training.trainer.SMALL", 1000)
    train(tmp_path / "large")
    assert not three_cores


def test_an_error_in_a_helper_is_raised_here(tmp_path):
    with pytest.raises(RuntimeError, match="found by a helper"):
        train(tmp_path, fail_in_helpers)


def test_ctrl_c_does_not_reach_helpers(tmp_path):
    train(tmp_path, interrupt_helpers)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_helper_ends_the_run_and_the_state_is_saved(tmp_path, monkeypatch):
    with pytest.raises(ChildProcessError, match=r"exit code -9.*run again to resume"):
        train(tmp_path / "at once", kill_in_helpers)
    send, steps = helpers.Helper.send, []

    def kill_once(helper, message):
        steps.append(None)
        if len(steps) == 7:  # two helpers and one message more at the start: the third step
            helper.process.kill()
            helper.process.wait()
        send(helper, message)

    monkeypatch.setattr(helpers.Helper, "send", kill_once)
    with pytest.raises(ChildProcessError, match="exit code -9"):
        train(tmp_path / "killed")
    assert len(read_metrics(tmp_path / "killed" / METRICS)) == 2
    train(tmp_path / "killed")
    train(tmp_path / "whole")
    for name in (METRICS, STATE):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


ORPHANS = """
import os, signal, sys, time
from pathlib import Path
from threadpoolctl import threadpool_limits
from minitvlt.training import helpers
from tests.training.test_helpers import train
send, calls = helpers.Helper.send, []

def die(helper, message):
    calls.append(helper.process.pid)
    send(helper, message)
    if len(calls) == {calls}:
        print(*set(calls), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

helpers.Helper.send = die
with threadpool_limits(3, "blas"):
    train(Path(sys.argv[1]))
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("calls", [2, 4], ids=["starting", "computing"])
def test_helpers_end_with_a_killed_parent(tmp_path, calls):
    script = ORPHANS.replace("{calls}", str(calls))
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    processes = [int(number) for number in done.stdout.split()]
    assert done.returncode == -signal.SIGKILL and len(processes) == 2
    for _ in range(200):
        if not any(map(is_alive, processes)):
            return
        time.sleep(0.1)
    pytest.fail("helpers are still there after twenty seconds")
