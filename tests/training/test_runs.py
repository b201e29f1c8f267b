"""A run's folder is held by one process; what killed ones leave is removed; other data are refused."""

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minitvlt as mt
from minitvlt.checkpoints.native import load_arrays
from minitvlt.training import runs
from minitvlt.training.runs import METRICS, STATE, find_temporary, hold_folder, list_changes
from tests.helpers.shape_comments import ROOT
from tests.training.test_trainer import RECIPE, StoppingWorld, interrupt, run_training

SHORT = replace(RECIPE, steps=2)

# One process at a time

HOLD = """
import sys, time
from pathlib import Path
from minitvlt.training.runs import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds, and that process."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield tmp_path / "run", process
        process.kill()


def test_a_folder_that_another_process_holds_is_refused_and_left_alone(held):
    folder, process = held
    (folder / f".{Path(STATE).stem}-0a1b2c3d.safetensors").mkdir()  # the other process writes here
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(ValueError, match=r"Another process or thread trains in .*run: wait for its end"):
        run_training(folder, SHORT)
    assert sorted(path.name for path in folder.iterdir()) == before
    process.kill()
    process.wait()
    assert len(run_training(folder, SHORT)) == 2, "no lock outlives its process"
    assert not list(folder.glob(".*"))


def test_a_thread_may_hold_a_folder_twice_and_another_one_may_not(tmp_path):
    refused = []

    def try_to_hold():
        with (
            pytest.raises(ValueError, match="Another process or thread trains"),
            hold_folder(tmp_path / "run"),
        ):
            pytest.fail("it is held")
        refused.append(True)

    with hold_folder(tmp_path / "run"):
        with hold_folder(tmp_path / "run" / ".." / "run"):
            pass
        thread = threading.Thread(target=try_to_hold)
        thread.start()
        thread.join()
    assert refused == [True]


@pytest.mark.skipif(os.name != "posix", reason="flock is POSIX's")
def test_a_file_system_without_locks_is_warned_about(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.warns(UserWarning, match="cannot be locked .*No locks available.* start no second run"):
        run_training(tmp_path, SHORT)


def test_what_was_left_half_written_is_removed_and_nothing_else(tmp_path):
    left = [".training_state-0a1b2c3d.safetensors", ".metrics-abcd_f99.jsonl"]
    kept = [".model-0a1b2c3d.safetensors", ".training_state-notes.safetensors", "training_state-1.txt"]
    kept += [".my_training_state-0a1b2c3d.safetensors", ".training_state-0a1b2c3d4.safetensors"]
    for name in (*left, *kept):
        (tmp_path / name).write_text("half")
    (tmp_path / left[0]).unlink()
    (tmp_path / left[0]).mkdir()
    (tmp_path / left[0] / "of a library").touch()
    assert {path.name for path in find_temporary(tmp_path, (METRICS, STATE))} == set(left)
    run_training(tmp_path, SHORT)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, METRICS, STATE, "model.safetensors"}


# What must be the same


class KnownWorld(StoppingWorld):
    """Moving shapes with fingerprints, as if they came from files."""

    def __init__(self, calls: int, happen, **data) -> None:
        super().__init__(calls, happen)
        data = {"the size of a.mp4": 7, "the size of b.mp4": 8, "the label of clip 1": [0.5, 1], **data}
        data = {name: value for name, value in data.items() if value is not None}
        self.fingerprints = {"data": data, "times": {"the time of a.mp4": 1}}


@pytest.fixture
def stopped(tmp_path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, world=KnownWorld(2, interrupt))
    return tmp_path


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"the size of a.mp4": 9}, r"data.*: the size of a.mp4 was 7, is 9\. Resume with the same"),
        ({"the size of c.mp4": 9}, "the size of c.mp4 was absent, is 9"),
        ({"the size of b.mp4": None}, "the size of b.mp4 was 8, is absent"),
        ({"the label of clip 1": [0.5, 0]}, r"the label of clip 1 was \[0.5, 1\], is \[0.5, 0\]"),
    ],
)
def test_a_run_is_not_resumed_on_other_data(stopped, data, message):
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    with pytest.raises(ValueError, match=message):
        run_training(stopped, world=KnownWorld(0, interrupt, **data))
    with pytest.raises(ValueError, match=r"the size of a\.mp4 was 7, is absent"):
        run_training(stopped)  # on a world without fingerprints
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_the_data_are_known_from_the_start(tmp_path):
    """A run that was killed before the first regular save is not begun again on other data either."""
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path, world=KnownWorld(1, interrupt))
    assert load_arrays(tmp_path / STATE)[1]["steps"] == 0
    with pytest.raises(ValueError, match=r"the size of a\.mp4 was 7, is 9"):
        run_training(tmp_path, world=KnownWorld(0, interrupt, **{"the size of a.mp4": 9}))


def change_time(patch, world):
    world.fingerprints["times"]["the time of a.mp4"] = 2


def change_cores(patch, world):
    patch.setattr(runs, "count_cores", lambda: 3)


def change_kernels(patch, world):
    patch.setattr(runs, "kernels_in_use", lambda: "other")


def change_version(patch, world):
    patch.setattr(np, "__version__", "9.9")


def change_start(patch, world):
    patch.setattr(mt, "init", lambda config, seed: init(config, seed + 1))


init = mt.init


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_time, "the time of a.mp4 was 1, is 2"),
        (change_cores, "number of cores was 1, is 3"),
        (change_kernels, "kernels was (fast|plain), is other"),
        (change_version, r"version of numpy was .*, is 9\.9"),
        (change_start, "initial parameters was"),
    ],
)
def test_other_circumstances_are_warned_about_once(stopped, monkeypatch, change, message):
    world = KnownWorld(0, interrupt)
    change(monkeypatch, world)
    with pytest.warns(
        UserWarning, match=f"{STATE}: {message}.*The run goes on; its results may differ"
    ) as seen:
        run_training(stopped, world=world)
    assert len(seen) == 1
    run_training(stopped, world=world)


def test_a_state_holds_the_names_of_any_number_of_files(tmp_path):
    def resume(size: int) -> None:
        world = mt.ShapesWorld(mt.Config.tiny())
        world.fingerprints = {"data": {f"the size of {i}.mp4": size for i in range(20_000)}, "times": {}}
        mt.train(mt.init(mt.Config.tiny()), world, mt.Recipe(steps=1, batch_size=2), tmp_path, False)

    resume(3)
    assert (tmp_path / STATE).stat().st_size < 5_000_000
    with pytest.raises(ValueError, match="all data was"):
        resume(4)


def test_changes_are_listed_by_name_and_only_some_of_many():
    assert list_changes({"a": 1}, {"a": 1}) == ""
    many = list_changes({}, {f"x{i}": i for i in range(7)})
    assert many.startswith("x0 was absent, is 0; ") and many.endswith("; and 3 more")


# Nothing of the user's process is changed


def test_the_handler_of_ctrl_c_is_put_back_after_errors_and_kept_where_it_is_not_pythons(
    tmp_path, monkeypatch
):
    def handler(*_):
        pass

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_training(tmp_path, world=StoppingWorld(2, interrupt))
        assert signal.getsignal(signal.SIGINT) is handler
        monkeypatch.setattr(signal, "getsignal", lambda _: None)
        run_training(tmp_path, replace(RECIPE, steps=20))
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
