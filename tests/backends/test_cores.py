"""Work shared among the cores: all of it is done once, in order, and nothing is left changed behind."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController, threadpool_limits

from minitvlt.backends.fast import cores
from minitvlt.backends.fast.kernels import gelu, linear

MUCH = 10 * cores.WORTH


@pytest.fixture(autouse=True)
def three_threads():
    cores.gather.cache_clear()  # a crew knows the libraries that were there when it was made
    with threadpool_limits(3, user_api="blas"):
        yield


def count_threads() -> set[int]:
    return {
        library["num_threads"] for library in ThreadpoolController().info() if library["user_api"] == "blas"
    }


@given(st.integers(0, 20), st.sampled_from([0, MUCH]))
def test_every_row_is_worked_on_once_and_the_results_are_in_order(n, nanoseconds):
    results = cores.share(lambda some: list(range(n)[some]), n, nanoseconds)
    assert [row for result in results for row in result] == list(range(n))


def test_each_core_gets_a_stretch_while_its_matrix_products_use_one_thread():
    def work(some):
        return some, threading.get_ident(), count_threads()

    stretches, threads, counts = zip(*cores.share(work, 7, MUCH), strict=True)
    assert stretches == (slice(0, 2), slice(2, 4), slice(4, 7))
    assert threads[0] == threading.get_ident() and threading.get_ident() not in threads[1:]
    assert counts == ({1}, {1}, {1})
    assert count_threads() == {3}


@pytest.mark.parametrize(("n", "nanoseconds"), [(7, cores.WORTH / 2), (1, MUCH), (0, MUCH)])
def test_little_work_is_done_by_the_caller(n, nanoseconds):
    assert cores.share(lambda some: (some, count_threads()), n, nanoseconds) == [(slice(0, n), {1})]
    assert count_threads() == {3}


def test_on_one_core_nothing_is_shared_and_matrix_products_use_one_thread():
    with cores.on_one_core():
        assert cores.share(lambda some: (some, count_threads()), 7, MUCH) == [(slice(0, 7), {1})]
    assert count_threads() == {3} and len(cores.share(lambda some: some, 7, MUCH)) == 3 == cores.count_cores()


def test_while_cores_are_reserved_nothing_is_shared_and_then_all_is_as_before():
    first, second = cores.reserve_cores(), cores.reserve_cores()
    for free in (first, second):
        assert cores.share(lambda some: (some, count_threads()), 7, MUCH) == [(slice(0, 7), {1})]
        assert count_threads() == {1} and cores.count_cores() == 3, "there are as many as ever"
        free()
    assert count_threads() == {3} and len(cores.share(lambda some: some, 7, MUCH)) == 3


def test_a_reservation_that_ends_in_the_middle_of_work_ends_it_for_good():
    free = cores.reserve_cores()
    cores.share(lambda some: free(), 1, 0)
    assert count_threads() == {3}


def test_what_shared_work_would_share_its_core_does_alone():
    def work(some):
        return cores.share(lambda inner: (inner, threading.get_ident()), 5, MUCH), threading.get_ident()

    for ((inner, inside),), outside in cores.share(work, 7, MUCH):
        assert inner == slice(0, 5) and inside == outside
    assert len(cores.share(lambda some: some, 7, MUCH)) == 3, "and afterwards all cores share again"


def test_a_limit_that_the_user_has_set_holds():
    with threadpool_limits(1, user_api="blas"):
        assert cores.share(lambda some: some, 7, MUCH) == [slice(0, 7)]


@pytest.mark.parametrize("failing", [0, 2, 4])
def test_an_error_is_raised_after_all_have_ended(failing):
    ended = []

    def work(some):
        if failing in range(7)[some]:
            raise ArithmeticError("no")
        threading.Event().wait(0.05)
        ended.append(some)

    with pytest.raises(ArithmeticError, match="no"):
        cores.share(work, 7, MUCH)
    assert len(ended) == 2
    assert count_threads() == {3}


def run_in_a_thread(work):
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_a_thread_of_the_user_shares_work_as_the_main_thread_does():
    def share():
        return cores.share(lambda some: (some, count_threads()), 2, MUCH), count_threads()

    expected = ([(slice(0, 1), {1}), (slice(1, 2), {1})], {3})
    assert share() == expected, "the main thread comes first"
    assert run_in_a_thread(share) == expected
    assert share() == expected, "and once more"


def test_several_threads_of_the_user_may_share_work_at_once():
    x = np.random.default_rng(0).standard_normal((1009, 512), dtype=np.float32)
    expected, results = linear(x, x), [None] * 5

    def compute(i):
        results[i] = linear(x, x)

    callers = [threading.Thread(target=compute, args=(i,)) for i in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)
    assert count_threads() == {3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_after_a_fork_has_cores_of_its_own():
    x = np.ones((1 << 20,), np.float32)
    gelu(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if len(cores.share(lambda some: some, 7, MUCH)) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
