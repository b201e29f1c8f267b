"""Small models on NumPy: processes that share a batch give what one gives, and never outlive their work."""

import gc
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from minitvlt.backends.fast import threads
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.training import numpy_engine
from minitvlt.training.engine import Engine, start_engine
from minitvlt.training.numpy_engine import NumpyEngine, pack, unpack
from minitvlt.training.objectives import PRETRAINING
from minitvlt.training.optimizer import start_adamw, to_vector
from minitvlt.training.trainer import read_metrics
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.shape_comments import ROOT
from tests.training.test_trainer import CONFIG, RECIPE, run_training

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux starts a process as a copy of this"
)


@pytest.fixture(autouse=True)
def three_cores():
    """As if products might use three threads, so that there are two helpers; nobody is left behind."""
    with threadpool_limits(3, user_api="blas"):
        yield
        gc.collect()
        assert multiprocessing.active_children() == []
        assert count_threads() == {3}


def count_threads() -> set[int]:
    """How many threads the libraries of products use, those that were there from the beginning."""
    return {library.num_threads for library in threads._libraries()}


def make(kind=NumpyEngine, config: Config = CONFIG) -> Engine:
    params = init(config, 5)
    return kind(params, start_adamw(params))


def compute(engine: Engine, clips: int, parts: int = 1, function=PRETRAINING.compute):
    batches = [
        PRETRAINING.draw(ShapesWorld(CONFIG), CONFIG, np.random.default_rng(part), clips)
        for part in range(parts)
    ]
    numbers, pieces = engine.compute(function, batches, PRETRAINING.count(batches[0]))
    return numbers, np.concatenate(pieces)


def find_helpers(engine: NumpyEngine) -> list[int]:
    return [helper.process.pid for helper in engine.helpers]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# The same numbers


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("clips", "helpers"), [(1, 0), (2, 0), (3, 2), (7, 2)])
def test_processes_give_the_numbers_and_the_gradient_of_one(clips, helpers, parts):
    engine = make()
    numbers, gradient = compute(engine, clips, parts)
    assert len(find_helpers(engine)) == helpers, "none where a process would be left without a clip"
    expected, wanted = compute(make(Engine), clips, parts)
    assert np.linalg.norm(gradient - wanted) < 1e-5 * np.linalg.norm(wanted)
    assert {name: pytest.approx(float(number), rel=1e-5) for name, number in numbers.items()} == expected


def test_helpers_see_each_update_of_the_parameters():
    engine, plain = make(), make(Engine)
    for step in range(3):
        for one in (engine, plain):
            numbers, gradient = compute(one, 7)
            one.update([gradient], numbers, step, RECIPE)
    way = np.linalg.norm(plain.state.parameters - to_vector(init(CONFIG, 5)))
    assert np.linalg.norm(engine.state.parameters - plain.state.parameters) < 1e-2 * way


def test_another_function_gets_other_helpers_and_the_same_one_keeps_them():
    engine = make()
    compute(engine, 7)
    before = find_helpers(engine)
    compute(engine, 7)
    assert find_helpers(engine) == before

    def double(*inputs):
        loss, numbers = PRETRAINING.compute(*inputs)
        return 2 * loss, numbers

    numbers, gradient = compute(engine, 7, function=double)
    assert not set(find_helpers(engine)) & set(before) and not any(map(is_alive, before))
    expected, wanted = compute(make(Engine), 7, function=double)
    assert np.linalg.norm(gradient - wanted) < 1e-5 * np.linalg.norm(wanted)
    assert float(numbers["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)


@pytest.mark.parametrize("size", [1, 5000, 1 << 16], ids=["no room", "room for some arrays", "room for all"])
def test_rows_that_find_no_room_in_shared_memory_arrive_all_the_same(size, monkeypatch):
    monkeypatch.setattr(numpy_engine, "ROOM", size)
    engine = make()
    for clips in (7, 9, 3):
        _, gradient = compute(engine, clips)
        wanted = compute(make(Engine), clips)[1]
        assert np.linalg.norm(gradient - wanted) < 1e-5 * np.linalg.norm(wanted)


@given(st.lists(hnp.arrays(st.sampled_from(["f4", "?", "i8"]), st.integers(0, 50)), max_size=6))
def test_a_tree_comes_through_shared_memory_as_it_was(arrays):
    room = mmap.mmap(-1, 300)
    tree = {"arrays": arrays, "turned": np.arange(6).reshape(2, 3).T, "number": 3.5, "nothing": None}
    message, places = pack(tree, room)
    found = unpack(message, places, room)
    assert found["number"] == 3.5 and found["nothing"] is None
    for old, new in zip([*arrays, tree["turned"]], [*found["arrays"], found["turned"]], strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_array_equal(old, new)
    assert all(place.start % 64 == 0 and place.stop <= 300 for place in places)
    taken = sorted((place.start, place.stop) for place in places)
    assert all(stop <= start for (_, stop), (start, _) in pairwise(taken)), "none lies on another"


# Who gets helpers


def test_small_models_get_helpers_and_large_ones_do_not(monkeypatch):
    params = init(CONFIG, 5)
    assert type(start_engine(params, start_adamw(params))) is NumpyEngine
    monkeypatch.setattr(numpy_engine, "SMALL", to_vector(params).size - 1)
    assert type(start_engine(params, start_adamw(params))) is Engine


def test_a_single_core_has_no_helpers():
    params = init(CONFIG, 5)
    with threadpool_limits(1, user_api="blas"):
        assert type(start_engine(params, start_adamw(params))) is Engine


def test_a_machine_with_many_cores_does_not_start_as_many_processes():
    with threadpool_limits(99, user_api="blas"):
        assert make().cores == numpy_engine.MOST


def test_other_systems_have_no_helpers(monkeypatch):
    params = init(CONFIG, 5)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert type(start_engine(params, start_adamw(params))) is Engine


def test_a_process_that_may_have_no_children_has_no_helpers(monkeypatch):
    params = init(CONFIG, 5)
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    assert type(start_engine(params, start_adamw(params))) is Engine


# Errors


def fail_in_helpers(parent: int):
    def function(*inputs):
        if os.getpid() != parent:
            raise FloatingPointError("found by a helper")
        return PRETRAINING.compute(*inputs)

    return function


def test_an_error_in_a_helper_is_raised_here_and_helpers_are_dismissed():
    engine = make()
    with pytest.raises(FloatingPointError, match="found by a helper"):
        compute(engine, 7, function=fail_in_helpers(os.getpid()))
    assert find_helpers(engine) == []
    compute(engine, 7)  # and the next step has new ones


def test_an_error_here_dismisses_helpers_in_the_middle_of_their_work():
    def function(*inputs):
        if os.getpid() != parent:
            time.sleep(60)
        raise FloatingPointError("found here")

    engine, parent = make(), os.getpid()
    with pytest.raises(FloatingPointError, match="found here"):
        compute(engine, 7, function=function)
    assert find_helpers(engine) == []


@pytest.mark.parametrize("waits", [False, True], ids=["at work", "waiting"])
def test_a_helper_that_was_killed_is_named_with_its_exit_code(waits):
    engine, parent = make(), os.getpid()

    def function(*inputs):
        if os.getpid() != parent and not waits:
            os.kill(os.getpid(), signal.SIGKILL)
        return PRETRAINING.compute(*inputs)

    if waits:
        compute(engine, 7, function=function)
        engine.helpers[1].process.kill()
        engine.helpers[1].process.join()
    with pytest.raises(ChildProcessError, match=r"exit code -9.*run again"):
        compute(engine, 7, function=function)


def test_a_run_that_lost_a_helper_goes_on_from_its_last_step(tmp_path, monkeypatch):
    steps, begin = [], numpy_engine.Helper.begin

    def kill_once(helper, *arguments):
        steps.append(None)
        if len(steps) == 7:  # two helpers: the fourth step
            helper.process.kill()
            helper.process.join()
        begin(helper, *arguments)

    monkeypatch.setattr(numpy_engine.Helper, "begin", kill_once)
    recipe = replace(RECIPE, batch_size=6, steps=6)  # each part has a clip for every process
    with pytest.raises(ChildProcessError, match="exit code -9"):
        run_training(tmp_path / "killed", recipe)
    assert len(read_metrics(tmp_path / "killed" / "metrics.jsonl")) == 3
    run_training(tmp_path / "killed", recipe)
    run_training(tmp_path / "other", recipe)
    for name in ("metrics.jsonl", "training_state.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


class Decoder:
    """Something of this process that must not be freed in another one, as a video decoder with threads"""

    def __init__(self) -> None:
        self.itself, self.owner = self, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.owner:
            os._exit(33)


def test_a_helper_frees_nothing_of_the_process_that_started_it():
    def function(*inputs):
        gc.collect()
        return PRETRAINING.compute(*inputs)

    gc.disable()
    try:
        Decoder()  # garbage that nobody has collected yet
        compute(make(), 7, function=function)
        assert not gc.isenabled(), "as it was"
        gc.enable()
        compute(make(), 7)
        assert gc.isenabled()
    finally:
        gc.enable()


# The end


def test_a_closed_engine_has_no_helpers_and_still_computes():
    engine = make()
    compute(engine, 7)
    helpers = find_helpers(engine)
    assert all(map(is_alive, helpers)) and count_threads() == {1}
    engine.close()
    engine.close()
    assert not any(map(is_alive, helpers)) and count_threads() == {3}
    _, gradient = compute(engine, 7)
    np.testing.assert_array_equal(gradient, compute(make(Engine), 7)[1])
    assert find_helpers(engine) == []


def test_an_engine_that_nobody_closed_lets_its_helpers_go_when_it_is_forgotten():
    engine = make()
    compute(engine, 7)
    helpers = find_helpers(engine)
    del engine
    gc.collect()
    assert not any(map(is_alive, helpers)) and count_threads() == {3}


def test_an_engine_takes_the_place_of_another_with_as_many_helpers():
    engine = make()
    compute(engine, 7)
    params = init(CONFIG, 5)
    engine = start_engine(params, start_adamw(params))
    compute(engine, 7)
    assert len(find_helpers(engine)) == 2 and len(multiprocessing.active_children()) == 2
    assert count_threads() == {1}


ORPHANS = """
import os, signal, sys
from threadpoolctl import threadpool_limits
from tests.training.test_numpy_engine import compute, find_helpers, make
threadpool_limits(3, "blas")
engine = make()
compute(engine, 7)
print(*find_helpers(engine), flush=True)
os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_helpers_end_with_the_process_that_started_them(name):
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS.replace("{signal}", name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    helpers = [int(number) for number in done.stdout.split()]
    assert len(helpers) == 2 and done.stderr == ""
    for _ in range(100):
        if not any(map(is_alive, helpers)):
            return
        time.sleep(0.1)
    pytest.fail("helpers are still there after ten seconds")


def test_the_keyboard_interrupts_this_process_and_not_its_helpers():
    engine = make()
    compute(engine, 7)
    for helper in find_helpers(engine):
        os.kill(helper, signal.SIGINT)
    compute(engine, 7)
    assert all(map(is_alive, find_helpers(engine)))
