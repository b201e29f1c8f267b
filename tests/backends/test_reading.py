"""How much there is to read: the functions of the package that one call of a plain kernel passes through."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minitvlt.backends import namespace
from tests.backends.cases import IS_REAL
from tests.helpers.backends import using_kernels
from tests.helpers.tracing import count_functions

X, HEADS = np.ones((2, 5, 3)), np.ones((3, 2, 5, 7))
CALLS = {
    "attention": (3, lambda xp: xp.attention(HEADS, HEADS, HEADS, IS_REAL)),
    "layer_norm": (1, lambda xp: xp.layer_norm(X, X[0, 0], X[0, 0], 1e-6)),
    "gelu": (1, lambda xp: xp.gelu(X)),
    "linear": (1, lambda xp: xp.linear(X, X[0], X[0, :, 0])),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_plain_kernel_passes_through_few_functions(name: str) -> None:
    most: int
    call: Callable[[Any], Any]
    most, call = CALLS[name]
    with using_kernels("plain"):
        xp = namespace(X)
        passed = count_functions(lambda: call(xp))
    passed = {one for one in passed if one[0].startswith("backends/")}
    assert ("backends/numpy_backend.py", name) in passed
    assert len(passed) <= most, sorted(passed)
