"""The engine: no trick and no accident of a student's function gives points, or breaks the checks."""

import builtins
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial, wraps

import numpy as np
import pytest

import minitvlt as mt
from assignments import checks
from assignments.checks.blanks import Blank, Case, Check
from assignments.checks.calls import call_function
from assignments.checks.copies import find_originals
from assignments.checks.outcomes import UnreadableError, copy_arguments, read_result
from minitvlt.model import patches
from tests.assignments.tiny import BLANK, centre, earned, explain, lost, run

FULL = 6


def right(x, scale=1.0):
    return (x - x.mean(axis=-1, keepdims=True)) * scale


def test_a_right_function_has_full_points() -> None:
    assert earned(right) == FULL == BLANK.points
    assert lost(right) == []
    assert [result.title for result in run(right)][:3] == [check.tag for check in BLANK.checks]


# ---- one fault costs the points of its own check


def test_a_fault_costs_its_own_check_alone() -> None:
    assert lost(lambda x, scale=1.0: x - x.mean(axis=-1, keepdims=True)) == ["another scale"]
    assert lost(lambda x, scale=1.0: (x - x.mean()) * scale) == ["a batch of 2"]
    assert lost(lambda x, scale=1.0: right(x.astype(float), scale)) == ["float32 in, float32 out"]


def test_changed_inputs_cost_the_points_of_memory_alone() -> None:
    def subtract(x, scale=1.0):
        x -= x.mean(axis=-1, keepdims=True)
        return x * scale

    assert lost(subtract) == ["inputs left as they were; read-only and non-contiguous arrays"]
    assert "in place" in explain(subtract)


def test_read_only_and_non_contiguous_inputs_are_tried() -> None:
    def by_memory(x, scale=1.0):
        strides = [x.itemsize * int(np.prod(x.shape[axis + 1 :])) for axis in range(x.ndim)]
        return right(np.lib.stride_tricks.as_strided(x, x.shape, strides), scale)

    def by_flag(x, scale=1.0):
        assert x.flags.writeable
        return right(x, scale)

    assert "order in memory" in explain(by_memory)
    assert len(lost(by_flag)) == 1


# ---- exceptions, loops, memory


@pytest.mark.parametrize(
    "error",
    [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError, MemoryError, StopIteration, BaseException],
)
def test_no_exception_leaves_the_checks(error: type[BaseException]) -> None:
    def fail(x, scale=1.0):
        raise error("message")

    assert earned(fail) == 0
    assert error.__name__ in explain(fail)


def test_an_exception_that_cannot_be_printed() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

        __repr__ = __str__

    def fail(x, scale=1.0):
        raise OddError

    assert "OddError" in explain(fail)


def test_endless_recursion_and_endless_loops_end() -> None:
    def recurse(x, scale=1.0):
        return recurse(x, scale)

    def stubborn(x, scale=1.0):
        start = time.monotonic()
        while time.monotonic() - start < 30:
            try:
                while True:
                    pass
            except Exception:
                pass

    assert "calls itself" in explain(recurse)
    handler = signal.getsignal(signal.SIGALRM)
    start = time.monotonic()
    assert earned(stubborn) == 0
    assert time.monotonic() - start < 10  # two calls of half a second, not one for each case
    assert signal.getsignal(signal.SIGALRM) is handler
    assert "never ends" in explain(stubborn)


def test_a_function_that_does_not_exist_or_is_not_written() -> None:
    def stub(x, scale=1.0):
        raise NotImplementedError("write centre")

    for function in (None, 3, "text", stub):
        assert earned(function) == 0
        assert "not written yet" in explain(function)


def test_a_thread_that_is_not_the_main_one_can_check() -> None:
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(earned(right)))
    thread.start()
    thread.join()
    assert found == [FULL]


# ---- results that lie


class AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None
    shape, dtype, ndim = (1, 3), np.dtype(float), 2

    def __array__(self, *args, **kwargs):
        return np.zeros((1, 3))


class LyingArray(np.ndarray):
    def __eq__(self, other: object) -> np.ndarray:
        return np.ones(self.shape, bool)

    def __array_function__(self, *args, **kwargs):
        return True

    def __array_ufunc__(self, *args, **kwargs):
        return np.zeros(self.shape)

    __hash__ = None


class LyingNumber(float):
    def __eq__(self, other: object) -> bool:
        return True

    def __sub__(self, other: object) -> float:
        return 0.0

    __hash__ = None


class LyingList(list):
    def __iter__(self):
        raise SystemExit

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    "result",
    [
        AlwaysEqual(),
        np.zeros((1, 3)).view(LyingArray),
        LyingNumber(1),
        [AlwaysEqual()],
        {"x": AlwaysEqual()},
        np.array([AlwaysEqual()], dtype=object),
        np.ma.masked_all((1, 3)),
        LyingList([1.0]),
        AlwaysEqual,
        lambda: 0,
        (number for number in range(3)),
        np.full((1, 3), np.nan),
        np.full((1, 3), np.inf),
        np.array("text"),
        True,
        "text",
        b"bytes",
    ],
    ids=lambda result: type(result).__name__,
)
def test_no_result_that_lies_gives_points(result: object) -> None:
    assert earned(lambda x, scale=1.0: result) == 0
    assert explain(lambda x, scale=1.0: result)


def test_enormous_and_endless_results() -> None:
    cyclic: list = []
    cyclic.append(cyclic)
    for result in (cyclic, [0.0] * 10**6, np.broadcast_to(0.0, (10**6, 10**6))):
        assert earned(lambda x, scale=1.0, result=result: result) == 0


def test_results_are_copied_at_once() -> None:
    kept = np.zeros((1, 3))

    def share(x, scale=1.0):
        if x.shape != kept.shape:
            return right(x, scale)
        kept[...] = right(x, scale)
        return kept

    assert earned(share) >= FULL - 1  # float32 is lost


def test_read_result_takes_dataclasses_apart() -> None:
    @dataclass
    class Pair:
        a: np.ndarray
        b: tuple

    plain = read_result(Pair(np.arange(3), (1, None, [np.float32(2)])))
    assert plain["a"].tolist() == [0, 1, 2]
    assert plain["b"][:2] == [1, None] and plain["b"][2][0].dtype == np.float32
    with pytest.raises(UnreadableError, match="without calling it"):
        read_result(np.sum)


# ---- what a function changes outside


def test_replaced_functions_of_numpy_and_python_are_put_back() -> None:
    everything = {
        "allclose",
        "array_equal",
        "all",
        "abs",
        "asarray",
        "max",
        "mean",
        "array",
        "isfinite",
        "sort",
    }
    before = {name: getattr(np, name) for name in everything}, builtins.all, builtins.abs

    def tamper(x, scale=1.0):
        for name in everything:
            setattr(np, name, lambda *args, **kwargs: True)
        builtins.all = builtins.any = lambda *args: True
        builtins.abs = lambda *args: 0
        return x

    assert earned(tamper) == 0
    assert ({name: getattr(np, name) for name in everything}, builtins.all, builtins.abs) == before
    assert earned(right) == FULL


def test_functions_replaced_before_the_check_do_not_help() -> None:
    np.allclose, np.all = (lambda *args, **kwargs: True), (lambda *args, **kwargs: True)
    assert earned(lambda x, scale=1.0: x) == 0
    assert np.allclose(1, 2) is False


def test_random_states_and_settings_are_put_back() -> None:
    def disturb(x, scale=1.0):
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        np.seterr(all="raise")
        sys.setrecursionlimit(5000)
        return right(x, scale)

    def states():
        legacy = np.random.get_state()[1].tolist()  # noqa: NPY002
        return legacy, random.getstate(), np.geterr(), sys.getrecursionlimit()

    before = states()
    assert earned(disturb) == FULL
    assert states() == before


def test_prints_are_caught_and_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    def chatter(x, scale=1.0):
        for _ in range(2000):
            print("shape", x.shape)
        return x

    text = explain(chatter)
    assert capsys.readouterr().out == ""
    assert "printed: shape (1, 3)" in text


def test_results_that_depend_on_earlier_calls() -> None:
    calls: list[int] = []

    def count(x, scale=1.0):
        calls.append(1)
        return right(x, scale) + len(calls)

    def first_alone(x, scale=1.0):
        calls.append(1)
        return right(x, scale) if len(calls) < 12 else x

    assert "earlier calls" in explain(count)
    calls.clear()
    assert "earlier calls" in explain(
        lambda x, scale=1.0, seen=[]: seen.append(x) or right(x, scale) + len(seen)
    )
    assert lost(first_alone)


# ---- other blanks


def helper(x):
    raise AssertionError("the student's own helper, which is wrong")


def uses_helper(x, scale=1.0):
    return helper(x) * scale


def test_other_blanks_are_replaced_and_put_back() -> None:
    own = helper
    results = run(uses_helper, references={"helper": centre})
    assert sum(result.earned for result in results) == FULL
    assert helper is own
    run(uses_helper, references={"not_there_before": centre})
    assert "not_there_before" not in globals()


def patchify_video(video, patch):
    return None


def patchify_audio(audio, patch):
    return patchify_video(audio[:, None], patch)


def test_a_wrong_earlier_function_costs_nothing_later(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.check(patchify_video) == 0
    assert checks.check(patchify_audio) == 10
    text = capsys.readouterr().out
    assert "`return`" in text and "✓ patchify_audio: 10 of 10 points" in text


# ---- the package's own function


def with_points(function: object) -> float:
    assignment, blank = checks.find_blank("patchify_video")
    results = checks.evaluate(blank, checks.make_call(function, assignment, blank))
    texts = [result.failure.cause for result in results if result.failure]
    assert not texts or "package's own" in texts[0]
    return sum(result.earned for result in results)


@wraps(mt.patchify_video)
def wrapped(*args, **kwargs):
    return mt.patchify_video(*args, **kwargs)


def test_the_package_is_recognised() -> None:
    alias = mt.patchify_video
    listed = [patches.patchify_video]

    def calls_it(video, patch):
        return alias(video, patch)

    def calls_it_from_a_list(video, patch):
        return listed[0](video, patch) + 0

    def calls_what_calls_it(video, patch):
        return mt.patchify_audio(video[:, 0], patch)

    def hides_it(video, patch):
        try:
            return mt.patchify_video(video, patch)
        except BaseException:
            return np.zeros(3)

    class Callable:
        def __call__(self, video, patch):
            return mt.patchify_video(video, patch)

    tricks = [
        alias,
        wrapped,
        partial(mt.patchify_video),
        calls_it,
        calls_it_from_a_list,
        calls_what_calls_it,
        hides_it,
    ]
    for trick in [*tricks, Callable()]:
        assert with_points(trick) == 0
    assert mt.patchify_video(np.zeros((1, 1, 1, 2, 2)), (1, 1)).shape == (1, 4, 1)  # works again


@pytest.mark.parametrize(
    "name", [blank.name for full in checks.list_names() for blank in checks.find_assignment(full).blanks]
)
def test_no_reference_is_within_reach(name: str) -> None:
    assignment, blank = checks.find_blank(name)

    def cheat(*args, **kwargs):
        return checks.find_blank(name)[1].reference(*args, **kwargs)

    def cheat_by_module(*args, **kwargs):
        return find_originals(blank)[0](*args, **kwargs)

    if blank.judge is None:
        for function in (cheat, cheat_by_module):
            call = checks.make_call(function, assignment, blank)
            outcome = call(blank.make_cases(np.random.default_rng(0))[0].arguments)
            assert outcome.problem is not None and outcome.problem.kind == "copied"


def test_the_source_of_the_package_is_recognised() -> None:
    from minitvlt.backends import namespace

    def copied(clip, size):
        """Another docstring."""
        check_patches("video", clip, "B T C H W", size)
        library = namespace(clip)
        batch, frames, channels, rows, columns = clip.shape
        a, b = size
        c, d = rows // a, columns // b
        y = library.reshape(clip, (batch, frames, channels, c, a, d, b))
        y = library.permute_dims(y, (0, 1, 3, 5, 4, 6, 2))
        return library.reshape(y, (batch, frames * c * d, a * b * channels))

    assert with_points(copied) == 0


# ---- arguments


@pytest.mark.parametrize("layout", ["plain", "read-only", "strided"])
def test_arguments_are_copied_with_their_layout(layout: str) -> None:
    x = np.arange(6.0).reshape(2, 3)
    copied = copy_arguments({"x": x, "pair": (x, [x]), "text": "a"}, layout)
    assert np.array_equal(copied["x"], x) and np.array_equal(copied["pair"][1][0], x)
    assert not np.shares_memory(copied["x"], x)
    assert copied["x"].flags.writeable == (layout != "read-only")
    assert copied["x"].flags.c_contiguous == (layout != "strided")
    assert not copied["x"].flags.f_contiguous


def test_expected_errors() -> None:
    def positive(x):
        if np.any(x < 0):
            raise ValueError("Expected positive numbers.")
        return np.sqrt(x)

    cases = [
        Case({"x": np.array([1.0, 4.0])}, ("numbers",)),
        Case({"x": np.array([-1.0])}, ("a negative number",)),
    ]
    blank = Blank(
        "root", positive, lambda _: cases, (Check("numbers", 1), Check("a negative number", 1)), "nowhere"
    )
    assert earned(positive, blank) == 4
    assert lost(lambda x: np.sqrt(x), blank) == ["a negative number"]
    assert "error" in explain(lambda x: np.sqrt(x), blank)

    def other(x):
        if np.any(x < 0):
            raise TypeError
        return np.sqrt(x)

    assert lost(other, blank) == ["a negative number"]


def test_a_judge_replaces_the_comparison() -> None:
    def judge(arguments, value):
        return "" if value == sorted(arguments["x"]) or value == [] else "It is not sorted."

    cases = [Case({"x": [3, 1, 2]}, ("a list",))]
    blank = Blank(
        "sort", sorted, lambda _: cases, (Check("a list", 1),), "nowhere", judge=judge, float32_points=0
    )
    assert earned(lambda x: sorted(x), blank) == earned(lambda x: [], blank) == 2
    assert "It is not sorted." in explain(lambda x: x, blank)


def test_changed_arguments_are_reported() -> None:
    outcome = call_function(lambda x, scale: x.fill(0), BLANK, {}, {"x": np.ones(3), "scale": 1.0})
    assert outcome.changed == ("x",)
