"""One suite for every backend, device and dtype.

@on_every_backend
def test_exp(backend):
    x = backend.move(np.ones((2, 3)))
    backend.assert_close(namespace(x).exp(x), np.full((2, 3), np.e))
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from minitvlt import backends

TOLERANCES = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-9, "atol": 1e-10}}


@contextmanager
def using_kernels(kernels: str | None) -> Iterator[None]:
    """Run NumPy with these kernels ("plain" or "fast"), then with the earlier ones again."""
    before = backends.kernels_in_use()
    backends.use_kernels(kernels or before)
    try:
        yield
    finally:
        backends.use_kernels(before)


@dataclass(frozen=True)
class Backend:
    """An array library on a device, in one precision."""

    name: str
    device: str
    dtype: str

    def __str__(self) -> str:
        return "-".join([self.name] + [self.device] * (self.name != "numpy") + [self.dtype])

    def move(self, tree: Any) -> Any:
        """Convert an array or a tree (parameters, a batch); integers and booleans keep their dtype."""
        return backends.to_backend(tree, self.name, self.device, self.dtype)

    def assert_close(self, actual: Any, expected: Any, **wider: float) -> None:
        """Compare a result on this backend with a NumPy one, array by array of two equal trees."""
        assert_trees_close(backends.to_backend(actual, "numpy"), expected, **(TOLERANCES[self.dtype] | wider))


def assert_trees_close(actual: Any, expected: Any, **tolerances: float) -> None:
    """Compare two NumPy trees array by array: names, shapes, values."""
    ours, theirs = backends.flatten(actual), backends.flatten(expected)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], err_msg=name, **tolerances)
        assert np.shape(array) == np.shape(theirs[name]), (
            f"{name}: {np.shape(array)}, {np.shape(theirs[name])}"
        )


def register_strict() -> None:
    """Register array-api-strict as a backend: it has nothing beyond the standard."""
    from tests.backends import array_api_strict_backend

    backends.register_backend(
        array_api_strict_backend, lambda x: type(x).__module__.startswith("array_api_strict")
    )


def why_no_cuda() -> str | None:
    """Say why there are no CUDA cases in this run; None where there are."""
    return None if torch.cuda.is_available() else "no CUDA device here: no torch-cuda cases"


def list_backends() -> list[Backend]:
    """List what this machine can run, NumPy first."""
    found = [Backend("numpy", "cpu", dtype) for dtype in TOLERANCES]
    devices = ["cpu"] if why_no_cuda() else ["cpu", "cuda"]
    return found + [Backend("torch", device, dtype) for device in devices for dtype in TOLERANCES]


BACKENDS = list_backends()
on_every_backend = pytest.mark.parametrize("backend", BACKENDS, ids=str)
