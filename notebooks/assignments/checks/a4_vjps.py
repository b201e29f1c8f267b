"""Assignment a4, the smaller vector-Jacobian products and `sum_to_shape`: cases and points."""

from typing import Any

import numpy as np
from scipy.special import erf, expit

from minitvlt.backends.tape import sum_to_shape
from minitvlt.backends.tape_backend import gelu_vjp, layer_norm_vjp, linear_vjp, softmax_vjp

from .blanks import Blank, Case, Check
from .edits import read_text

Array = np.ndarray


def case(tag: str, **arguments: Any) -> Case:
    """A case with one tag."""
    return Case(arguments, (tag,))


# ---------------------------------------------------------------------------------------------------- linear


def make_linear_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `linear_vjp`."""

    def draw(tag: str, batch: tuple[int, ...], width: int, out: int) -> Case:
        sizes = ((*batch, out), (*batch, width), (out, width))
        return case(
            tag, **dict(zip(("g", "x", "weight"), map(rng.normal, [0] * 3, [1] * 3, sizes), strict=True))
        )

    return [
        draw("the smallest input", (1,), 3, 2),
        draw("several rows", (5,), 3, 2),
        draw("several rows", (2,), 5, 7),
        draw("no batch axis", (), 3, 2),
        draw("two batch axes", (2, 5), 3, 7),
        draw("three batch axes", (2, 3, 5), 7, 2),
        draw("a square weight", (1,), 3, 3),
    ]


# ------------------------------------------------------------------------------------------------------ gelu


def make_gelu_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `gelu_vjp`."""

    def draw(tag: str, *shape: int) -> Case:
        return case(tag, g=rng.normal(size=shape), x=rng.normal(size=shape))

    large = np.array([-40.0, -9.0, -5.0, 5.0, 9.0, 40.0])
    return [
        draw("the smallest input", 3),
        draw("one number without axes"),
        draw("two axes", 5, 3),
        draw("two axes", 1, 2),
        draw("four axes", 2, 1, 3, 7),
        case("the value 0", g=rng.normal(size=3), x=np.zeros(3)),
        case("large values", g=rng.normal(size=6), x=large),
        case("large values", g=rng.normal(size=(2, 1)), x=np.array([[-37.0], [31.0]])),
    ]


# ------------------------------------------------------------------------------------------------ layer norm


def make_layer_norm_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `layer_norm_vjp`; eps is negligible but in the cases that try it."""

    def draw(tag: str, *shape: int, eps: float = 1e-12, offset: float = 0.0) -> Case:
        g, x = rng.normal(size=shape), offset + rng.normal(size=shape)
        return case(tag, g=g, x=x, weight=rng.normal(size=shape[-1]) + 0.5, eps=eps)

    g, equal = rng.normal(size=(2, 5)), np.repeat([[2.5], [-1.0]], 5, axis=1)
    return [
        draw("the smallest input", 1, 3),
        draw("several rows", 5, 3),
        draw("several rows", 3, 7),
        draw("no batch axis", 5),
        draw("two batch axes", 2, 3, 5),
        draw("as many rows as features", 5, 5),
        draw("a large eps", 1, 3, eps=0.5),
        draw("a large eps", 2, 7, eps=2.0),
        draw("a mean far from 0", 1, 7, offset=1e4),
        case("equal elements in a row", g=g, x=equal, weight=rng.normal(size=5), eps=0.01),
    ]


# --------------------------------------------------------------------------------------------------- softmax


def make_softmax_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `softmax_vjp`: y is a result of softmax."""

    def draw(tag: str, *shape: int, is_real: Array | None = None) -> Case:
        y = np.exp(rng.normal(size=shape)) * (1.0 if is_real is None else is_real)
        return case(tag, g=rng.normal(size=shape), y=y / y.sum(axis=-1, keepdims=True))

    return [
        draw("the smallest input", 1, 3),
        draw("several rows", 5, 3),
        draw("several rows", 2, 7),
        draw("no batch axis", 5),
        draw("three batch axes", 2, 3, 5, 7),
        draw("as many rows as columns", 3, 3),
        draw("weights that are 0", 2, 5, is_real=np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]])),
    ]


# ---------------------------------------------------------------------------------------------- sum_to_shape


def make_sum_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `sum_to_shape`."""

    def draw(tag: str, shape: tuple[int, ...], like: tuple[int, ...]) -> Case:
        return case(tag, g=rng.normal(size=shape), like=rng.normal(size=like))

    return [
        draw("the smallest input", (2, 3), (3,)),
        draw("equal shapes", (2, 3), (2, 3)),
        draw("equal shapes", (3,), (3,)),
        draw("two axes more in front", (2, 5, 3), (3,)),
        draw("an axis of length 1", (5, 3), (5, 1)),
        draw("an axis of length 1", (2, 5, 3), (2, 1, 3)),
        draw("an axis of length 1", (2, 5, 3, 7), (2, 1, 3, 1)),
        draw("an axis more in front and one of length 1", (2, 5, 3), (5, 1)),
        draw("an axis more in front and one of length 1", (2, 5, 3), (1, 3)),
        draw("an axis of length 1 in both", (2, 1, 3), (1, 3)),
        draw("an axis of length 1 in both", (1, 3), (1, 1)),
        draw("axes that are equally long", (3, 3, 3), (3, 3)),
        draw("axes that are equally long", (3, 3), (1, 3)),
        draw("an array without axes", (2, 3), ()),
    ]


# ------------------------------------------------------------------------------------------------ the blanks

VJP_BLANKS = (
    Blank(
        "linear_vjp",
        linear_vjp,
        make_linear_cases,
        (
            Check("the smallest input", 2),
            Check("several rows", 2),
            Check("no batch axis", 1),
            Check("two batch axes", 1),
            Check("three batch axes", 1),
            Check("a square weight", 1),
        ),
        "notebook 06, 'Linear'",
        text=read_text(linear_vjp),
    ),
    Blank(
        "gelu_vjp",
        gelu_vjp,
        make_gelu_cases,
        (
            Check("the smallest input", 2),
            Check("one number without axes", 1),
            Check("two axes", 1),
            Check("four axes", 1),
            Check("the value 0", 1),
            Check("large values", 1),
        ),
        "notebook 06, 'Try it', question 1",
        text=read_text(gelu_vjp, erf=erf, expit=expit),
    ),
    Blank(
        "softmax_vjp",
        softmax_vjp,
        make_softmax_cases,
        (
            Check("the smallest input", 2),
            Check("several rows", 1),
            Check("no batch axis", 1),
            Check("three batch axes", 1),
            Check("as many rows as columns", 1),
            Check("weights that are 0", 1),
        ),
        "notebook 06, 'Softmax'",
        text=read_text(softmax_vjp),
    ),
    Blank(
        "layer_norm_vjp",
        layer_norm_vjp,
        make_layer_norm_cases,
        (
            Check("the smallest input", 2),
            Check("several rows", 2),
            Check("no batch axis", 1),
            Check("two batch axes", 1),
            Check("as many rows as features", 1),
            Check("a large eps", 1),
            Check("a mean far from 0", 1),
            Check("equal elements in a row", 1),
        ),
        "notebook 06, 'LayerNorm'",
        text=read_text(layer_norm_vjp),
    ),
)
SUM_BLANKS = (
    Blank(
        "sum_to_shape",
        sum_to_shape,
        make_sum_cases,
        (
            Check("the smallest input", 1),
            Check("equal shapes", 1),
            Check("two axes more in front", 1),
            Check("an axis of length 1", 1),
            Check("an axis more in front and one of length 1", 1),
            Check("an axis of length 1 in both", 1),
            Check("axes that are equally long", 1),
            Check("an array without axes", 1),
        ),
        "notebook 06, 'A tape'",
        text=read_text(sum_to_shape),
    ),
)
