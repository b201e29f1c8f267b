"""The tape: what is recorded, what is a constant, and how cotangents are accumulated and released."""

import gc
import operator
import tracemalloc

import numpy as np
import pytest

from minitvlt.backends import Array, tape_backend, value_and_grad
from minitvlt.backends.tape import TapeArray

X = np.arange(6.0).reshape(2, 3)


def test_numpy_beside_the_tape_is_a_constant() -> None:
    x, constant = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    for call in (
        lambda x: constant * x,
        lambda x: x * constant,
        lambda x: tape_backend.concat([constant, x * constant]),
    ):
        assert value_and_grad(lambda x, call=call: tape_backend.sum(call(x)))(x)[1].tolist() == [3, 5]
    assert isinstance(constant + TapeArray(x), TapeArray)
    assert isinstance(np.float32(2) * TapeArray(x), TapeArray)
    assert repr(TapeArray(x)) == "TapeArray(array([1., 2.]))"


def test_constants_order_and_whole_numbers_are_not_recorded() -> None:
    recorded = TapeArray(np.array([3.0, 1.0, 1.0]))
    for made in (
        tape_backend.exp(X),
        tape_backend.layer_norm(X, X[0], X[0], 1e-6),
        tape_backend.linear(X, X),
        tape_backend.as_like(1.0, recorded),
        tape_backend.argsort(recorded),
        tape_backend.astype(recorded, np.dtype("int64")),
        tape_backend.arange(3, recorded),
        tape_backend.zeros((2, 1), recorded),
    ):
        assert isinstance(made, np.ndarray)


def test_comparisons_are_plain_booleans() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        compare = getattr(operator, name)
        for other in (y, TapeArray(y), 2.0):
            result = compare(TapeArray(x), other)
            assert isinstance(result, np.ndarray) and (result == compare(x, y)).all()


def test_gradients_are_arrays_of_their_own() -> None:
    x = np.ones((2, 3))
    value, gradients = value_and_grad(lambda p: tape_backend.sum(p[0] + p[1]))((x, x.copy()))
    gradients[0][:] = 7
    assert (gradients[1] == 1).all() and (x == 1).all() and value == 12
    assert all(g.flags.writeable and g.flags.owndata for g in gradients)


def test_what_the_tape_cannot_record_is_refused() -> None:
    x = TapeArray(np.ones((3, 2)))
    for index in (np.array([0, 1]), [0, 1], (slice(None), np.array([True, False]))):
        with pytest.raises(ValueError, match="take"):
            x[index]
    assert x[np.int64(1), 0].shape == ()
    with pytest.raises(ValueError, match=r"matrices.*\(3,\)"):
        tape_backend.matmul(TapeArray(np.ones(3)), np.ones((3, 2)))


def test_a_computation_may_be_long() -> None:
    def count_up(x: Array) -> Array:
        for _ in range(2000):
            x = x + 1.0
        return x

    assert value_and_grad(count_up)(np.array(0.0)) == (2000.0, 1.0)


def test_what_was_saved_is_freed_in_the_backward_pass() -> None:
    n, steps = 100_000, 40

    def run(x: Array) -> Array:
        for _ in range(steps):
            x = tape_backend.tanh(x)
        return tape_backend.sum(x)

    x = np.ones(n)
    gc.collect()
    tracemalloc.start()
    value_and_grad(run)(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (steps + 8) * 8 * n
