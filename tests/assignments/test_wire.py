"""Nothing that comes from a student's process is trusted."""

import io
import json

import numpy as np
import pytest

from assignments.checks import wire


def send(reply):
    stream = io.BytesIO()
    wire.send_reply(stream, reply)
    stream.seek(0)
    return wire.receive_reply(stream)


def test_values_arrive_as_they_were_sent() -> None:
    value = {"a": [1, 2.5, True, None, "text", 3 + 4j], "b": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    got = send(value)
    assert got["a"] == value["a"]
    for array in (value["b"], np.zeros((0, 3)), np.array(2.5), np.array([True]), np.array([1j, 2])):
        found = send(array)
        assert found.dtype == array.dtype and np.array_equal(found, array) and found.flags.writeable
    assert np.isnan(send(float("nan"))) and send(float("inf")) == float("inf")


def test_what_is_too_large_is_not_sent() -> None:
    for value in ([0] * 300_000, np.broadcast_to(0.0, (2**28,)), 10**3000):
        with pytest.raises(wire.TooLargeError):
            send(value)


def message(tree, sizes=(), data=b"", length=None) -> bytes:
    text = tree if isinstance(tree, bytes) else json.dumps({"sizes": list(sizes), "reply": tree}).encode()
    return wire.LENGTH.pack(len(text) if length is None else length) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        message(b"no json"),
        message(b"\xff\xfe"),
        message(b"[" * 100_000),
        message(b"{}"),
        message(1, length=2**60),
        message(1, sizes=[-1]),
        message(1, sizes=[2**40]),
        message({"array": ["<f8", [2], 0]}, [8], b"x" * 8),
        message({"array": ["O", [1], 0]}, [8], b"x" * 8),
        message({"array": ["<f8", [-1, -1], 0]}, [8], b"x" * 8),
        message({"array": ["<f8", [1], 3]}, [8], b"x" * 8),
        message({"array": ["nonsense", [1], 0]}, [8], b"x" * 8),
        message({"pickle": "x"}),
        message({"a": 1, "b": 2}),
    ],
)
def test_anything_else_is_an_error(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.receive_reply(io.BytesIO(data))
