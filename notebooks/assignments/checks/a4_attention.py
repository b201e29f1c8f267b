"""Assignment a4, the vector-Jacobian product of attention: cases and points."""

from dataclasses import replace
from typing import Any

import numpy as np

from minitvlt.backends.numpy_backend import attention_weights, softmax
from minitvlt.backends.tape_backend import attention_vjp, softmax_vjp

from .blanks import Blank, Case, Check
from .edits import read_text


def make_attention_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `attention_vjp`; tags say in what a case differs from the first."""

    def draw(tag: str, B: int, heads: int, N: int, M: int, d: int, is_real: Any = None) -> Case:
        g, query = rng.normal(size=(2, B, heads, N, d))
        key, value = rng.normal(size=(2, B, heads, M, d))
        is_real = None if is_real is None else np.array(is_real, dtype=bool)
        arguments = {"g": g, "query": query, "key": key, "value": value, "is_real": is_real}
        return Case(arguments, (tag,))

    large = draw("large values", 1, 1, 3, 3, 2)
    large.arguments["query"][..., 1] = 28.0, 28.0, 60.0
    large.arguments["key"][..., 1] = (
        37.0  # adds 733 to the scores of two rows, and 1570 to those of the third
    )
    return [
        draw("the smallest input", 1, 1, 2, 2, 3),
        draw("the smallest input", 1, 1, 5, 5, 2),
        draw("other numbers of queries and keys", 1, 1, 3, 5, 2),
        draw("other numbers of queries and keys", 1, 1, 5, 2, 3),
        draw("several heads", 1, 3, 2, 2, 5),
        draw("a batch of 2", 2, 1, 3, 3, 2),
        draw("a batch of 2", 2, 2, 2, 2, 2),
        draw("a mask without padding", 1, 1, 3, 3, 2, [[1, 1, 1]]),
        draw("padding in some rows", 2, 1, 3, 3, 2, [[1, 0, 1], [1, 1, 1]]),
        draw("padding in some rows", 2, 3, 2, 5, 7, [[0, 1, 1, 0, 1], [1, 1, 1, 1, 0]]),
        draw("a row of padding alone", 2, 1, 3, 3, 2, [[1, 1, 1], [0, 0, 0]]),
        large,
    ]


TEXT = read_text(attention_vjp, softmax, attention_weights, softmax_vjp)

ATTENTION_BLANKS = (
    Blank(
        "attention_vjp",
        attention_vjp,
        make_attention_cases,
        (
            Check("the smallest input", 3),
            Check("other numbers of queries and keys", 2),
            Check("several heads", 1),
            Check("a batch of 2", 1),
            Check("a mask without padding", 1),
            Check("padding in some rows", 2),
            Check("a row of padding alone", 1),
            Check("large values", 1),
        ),
        "notebook 06, 'Attention'",
        text=replace(TEXT, source=TEXT.source.replace("numpy_backend.", "")),
    ),
)
