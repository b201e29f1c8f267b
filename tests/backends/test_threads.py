"""Work shared by threads: all of it is done once, in order, and nothing is left changed."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController, threadpool_limits

from minitvlt.backends.fast import threads
from minitvlt.backends.fast.numpy import gelu, linear


@pytest.fixture(autouse=True)
def three_threads():
    with threadpool_limits(3, user_api="blas"):
        yield
        assert count_threads() == {3}, "the threads of products are put back"


def count_threads() -> set[int]:
    libraries = ThreadpoolController().info()
    return {library["num_threads"] for library in libraries if library["user_api"] == "blas"}


@given(st.integers(0, 20))
def test_every_row_is_worked_on_once_and_the_results_are_in_order(n):
    results = threads.share(lambda some: list(range(n)[some]), n)
    assert [row for result in results for row in result] == list(range(n))


def test_products_use_one_thread_in_each_slice():
    def work(some):
        return some, count_threads(), threads.share(lambda inner: inner, 5)

    slices, counts, inner = zip(*threads.share(work, 7), strict=True)
    assert slices == (slice(0, 2), slice(2, 4), slice(4, 7)) and counts == ({1}, {1}, {1})
    assert inner == ([slice(0, 5)],) * 3, "what a slice would share in its turn, its thread does alone"


def test_a_limit_of_the_user_holds():
    with threadpool_limits(1, user_api="blas"):
        assert threads.share(lambda some: some, 7) == [slice(0, 7)]


def test_while_cores_are_reserved_nothing_is_shared_and_then_all_is_as_before():
    alone = [(slice(0, 7), {1})]
    with threads.on_one_core():
        with threads.on_one_core():
            assert threads.share(lambda some: (some, count_threads()), 7) == alone
        assert threads.share(lambda some: (some, count_threads()), 7) == alone
        assert threads.count_cores() == 3, "there are as many as ever"
    assert count_threads() == {3} and len(threads.share(lambda some: some, 7)) == 3


@pytest.mark.parametrize("failing", [0, 4])
def test_an_error_is_raised_after_all_have_ended(failing):
    begun, ended = [], []

    def work(some):
        if failing in range(7)[some]:
            raise ArithmeticError("no")
        begun.append(some.start)
        threading.Event().wait(0.05)
        ended.append(some.start)

    with pytest.raises(ArithmeticError, match="no"):
        threads.share(work, 7)
    assert sorted(ended) == sorted(begun), "no thread goes on writing into arrays"


def run_in_threads(work, count=1):
    results = [None] * count

    def run(i):
        results[i] = work()

    callers = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return results


def test_every_thread_of_the_user_can_share_whichever_was_the_first():
    def share():
        return threads.share(lambda some: (some, count_threads()), 2), count_threads()

    expected = ([(slice(0, 1), {1}), (slice(1, 2), {1})], {3})
    assert [share(), *run_in_threads(share), share()] == [expected] * 3


def test_several_threads_of_the_user_may_share_at_once():
    x = np.random.default_rng(0).standard_normal((1009, 600), dtype=np.float32)
    expected = linear(x, x)
    for result in run_in_threads(lambda: linear(x, x), 5):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_numbers_are_put_back_after_another_thread_of_the_user_sets_them_meanwhile():
    set_by_user, held = threading.Barrier(2), threading.Event()

    def limit():
        ThreadpoolController().select(user_api="blas").lib_controllers[0].set_num_threads(2)
        set_by_user.wait()
        held.wait()  # this thread stays alive: threadpoolctl from 3.8 on obeys it alone

    user = threading.Thread(target=limit)

    def work(some):
        if some.start == 0:
            user.start()
            set_by_user.wait()

    threads.share(work, 7)
    assert count_threads() == {3}
    held.set()
    user.join()


@pytest.mark.parametrize("size", [1, 10_000])
def test_small_operations_never_come_here(size, monkeypatch):
    monkeypatch.setattr(threads, "on_one_core", lambda: pytest.fail("a small operation"))
    x = np.ones((size, 8), np.float32)
    gelu(x)
    linear(x, x[:8])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_after_a_fork_can_share():
    gelu(np.ones(1 << 20, np.float32))
    child = os.fork()
    if child == 0:
        os._exit(0 if len(threads.share(lambda some: some, 7)) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
