"""What goes between the grader and the process that runs a student's code.

Requests go out as pickles. Replies come back as JSON and raw bytes: nothing that a student's process sends is
ever unpickled, and nothing of it is longer than a bound.
"""

import json
import math
import pickle
import struct
from typing import Any, BinaryIO

import numpy as np

LENGTH = struct.Struct(">Q")
MOST_BYTES = 2**28  # of one message
MOST_ARRAY_BYTES = 2**27  # of all arrays of a message
MOST_CHARACTERS = 4000  # of one string
MOST_ITEMS = 200_000  # of one list
MOST_BITS = 4000  # of an integer


class WireError(Exception):
    """The other side sent what is no message, or ended."""


class TooLargeError(Exception):
    """A result that is longer than a message may be."""


def send_request(stream: BinaryIO, request: Any) -> None:
    """Write a request of the grader."""
    data = pickle.dumps(request)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive_request(stream: BinaryIO) -> Any:
    """Read a request; it comes from the grader, which is trusted."""
    (length,) = LENGTH.unpack(read_exactly(stream, LENGTH.size))
    return pickle.loads(read_exactly(stream, length))


def send_reply(stream: BinaryIO, reply: Any) -> None:
    """Write a reply as JSON, then the bytes of its arrays.

    Raises:
        TooLargeError: nothing was written.
    """
    buffers: list[bytes] = []
    tree = encode(reply, buffers)
    text = json.dumps({"sizes": [len(buffer) for buffer in buffers], "reply": tree}).encode()
    if sum(map(len, buffers)) > MOST_ARRAY_BYTES or len(text) > MOST_BYTES:
        raise TooLargeError
    stream.write(LENGTH.pack(len(text)) + text + b"".join(buffers))
    stream.flush()


def receive_reply(stream: BinaryIO) -> Any:
    """Read what `send_reply` wrote; anything else is a WireError."""
    (length,) = LENGTH.unpack(read_exactly(stream, LENGTH.size))
    try:
        message = json.loads(read_exactly(stream, length))
        if sum(message["sizes"]) > MOST_BYTES:
            raise ValueError("too many bytes")
        return decode(message["reply"], [read_exactly(stream, size) for size in message["sizes"]])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise WireError(f"no message: {error}") from error


def read_exactly(stream: BinaryIO, length: int) -> bytes:
    """Read a number of bytes."""
    if not 0 <= length <= MOST_BYTES:
        raise WireError("a message is too long")
    found = stream.read(length)
    if len(found) < length:
        raise WireError("the process ended")
    return found


def encode(value: Any, buffers: list[bytes]) -> Any:
    """A plain value as JSON; the bytes of arrays are appended to `buffers`."""
    if isinstance(value, np.ndarray):
        if value.nbytes > MOST_ARRAY_BYTES:
            raise TooLargeError
        buffers.append(value.tobytes())
        return {"array": [value.dtype.str, list(value.shape), len(buffers) - 1]}
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > MOST_BITS:
        raise TooLargeError
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, str):
        return value[:MOST_CHARACTERS]
    if isinstance(value, (list, tuple, dict)) and len(value) > MOST_ITEMS:
        raise TooLargeError
    if isinstance(value, (list, tuple)):
        return [encode(item, buffers) for item in value]
    if isinstance(value, dict):
        return {
            "items": [[str(name)[:MOST_CHARACTERS], encode(item, buffers)] for name, item in value.items()]
        }
    return value


def decode(tree: Any, buffers: list[bytes]) -> Any:
    """The value that `encode` was given."""
    if isinstance(tree, list):
        return [decode(item, buffers) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "items":
        return {str(name): decode(item, buffers) for name, item in content}
    if kind == "complex":
        return complex(*map(float, content))
    if kind != "array":
        raise ValueError(f"unknown kind {kind!r}")
    name, shape, index = content
    dtype, data = np.dtype(name), buffers[index]
    if dtype.kind not in "biufc" or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array whose size is not that of its bytes")
    return np.frombuffer(bytearray(data), dtype).reshape(shape)
