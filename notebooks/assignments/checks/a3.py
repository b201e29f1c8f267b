"""Assignment 3, a transformer block and attention in blocks: blanks, inputs and points."""

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import erf

from minitvlt.backends import numpy_backend
from minitvlt.model import transformer
from minitvlt.model.parameters import MLP, Attention, Block, LayerNorm, Linear

from .blanks import Assignment, Blank, Case, Check
from .edits import add_mistakes, read_text

Array = np.ndarray
MANY = 100_000  # scores: from here on the memory of `attend_in_blocks` is measured
SHARE = 0.25  # of the memory of all scores, that it may take


# ----------------------------------------------------------------------------------------------- functions


def make_norm_cases(rng: np.random.Generator) -> list[Case]:
    """Tokens for `layer_norm`."""

    def case(x: Array, tag: str, eps: float = 1e-3, is_plain: bool = False) -> Case:
        weight, bias = rng.normal(size=(2, x.shape[-1])) * (not is_plain)
        weight = weight + is_plain
        return Case({"x": x, "weight": weight, "bias": bias, "eps": eps}, (tag,))

    return [
        case(rng.normal(size=(2, 3)), "the smallest input"),
        case(2 + 3 * rng.normal(size=(5, 7)), "the smallest input"),
        case(rng.normal(size=(3,)), "a single row"),
        case(rng.normal(size=(2, 3, 5)), "a batch of sequences"),
        case(rng.normal(size=(2, 1, 3, 5)), "a batch of sequences"),
        case(rng.normal(size=(3, 5)), "weights of 1 and biases of 0", is_plain=True),
        case(rng.normal(size=(3, 5)), "a large eps", eps=0.7),
        case(np.repeat(rng.normal(size=(3, 1)), 5, axis=1), "rows of equal values"),
        case(1e5 + rng.normal(size=(3, 7)), "values with a large mean"),
    ]


def make_softmax_cases(rng: np.random.Generator) -> list[Case]:
    """Scores for `softmax`."""
    apart = rng.normal(size=(3, 5)) + np.array([[1000.0], [-1000.0], [0.0]])
    return [
        Case({"x": rng.normal(size=(2, 3))}, ("the smallest input",)),
        Case({"x": 2 * rng.normal(size=(7, 5))}, ("the smallest input",)),
        Case({"x": rng.normal(size=5)}, ("one axis or more than two",)),
        Case({"x": rng.normal(size=(2, 3, 5))}, ("one axis or more than two",)),
        Case({"x": rng.normal(size=(2, 3, 1, 4))}, ("one axis or more than two",)),
        Case({"x": 900 + 100 * rng.normal(size=(3, 5))}, ("large values",)),
        Case({"x": -2000 + rng.normal(size=(2, 3))}, ("large values",)),
        Case({"x": apart}, ("rows that are far apart",)),
        Case({"x": np.array([[-3000.0, 0.0, 1.0], [2.0, -1500.0, 2.0]])}, ("values far apart in a row",)),
    ]


def make_gelu_cases(rng: np.random.Generator) -> list[Case]:
    """Numbers for `gelu`."""
    return [
        Case({"x": rng.normal(size=3)}, ("the smallest input",)),
        Case({"x": np.array([0.5, -0.5, 1.5, -1.5, 0.0, 2.5, -2.5])}, ("the smallest input",)),
        Case({"x": 2 * rng.normal(size=(2, 3, 5))}, ("more than one axis",)),
        Case({"x": np.array([[30.0, -30.0], [5.0, -5.0], [-800.0, 800.0]])}, ("large values",)),
    ]


# --------------------------------------------------------------------------------------------------- heads


def draw_linear(rng: np.random.Generator, inputs: int, outputs: int) -> Linear:
    """A linear map."""
    return Linear(rng.normal(size=(outputs, inputs)) / math.sqrt(inputs), rng.normal(size=outputs))


def draw_attention(rng: np.random.Generator, D: int) -> Attention:
    """The projections of attention."""
    return Attention(draw_linear(rng, D, 3 * D), draw_linear(rng, D, D))


def draw_block(rng: np.random.Generator, D: int, hidden: int) -> Block:
    """A block."""
    norms = [LayerNorm(1 + 0.5 * rng.normal(size=D), rng.normal(size=D)) for _ in range(2)]
    mlp = MLP(draw_linear(rng, D, hidden), draw_linear(rng, hidden, D))
    return Block(norms[0], draw_attention(rng, D), norms[1], mlp)


def make_split_cases(rng: np.random.Generator) -> list[Case]:
    """Tokens for `split_heads`."""

    def case(B: int, N: int, heads: int, d: int, tag: str) -> Case:
        D = heads * d
        x = rng.normal(size=(B, N, D))
        return Case({"x": x, "attention": draw_attention(rng, D), "heads": heads}, (tag,))

    return [
        case(1, 3, 2, 2, "the smallest input"),
        case(1, 5, 3, 2, "the smallest input"),
        case(1, 7, 2, 5, "the smallest input"),
        case(2, 3, 2, 5, "a batch of clips"),
        case(3, 5, 3, 2, "a batch of clips"),
        case(1, 5, 1, 3, "a single head"),
        case(1, 1, 3, 2, "a single token"),
    ]


def call_split(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Accept one array of query, key and value too: it can be unpacked like a tuple."""
    result = function(**arguments)
    return list(result) if isinstance(result, np.ndarray) and len(result) == 3 else result


def make_join_cases(rng: np.random.Generator) -> list[Case]:
    """Outputs of heads for `join_heads`."""

    def case(B: int, heads: int, N: int, d: int, tag: str) -> Case:
        x = rng.normal(size=(B, heads, N, d))
        return Case({"x": x, "attention": draw_attention(rng, heads * d)}, (tag,))

    return [
        case(1, 2, 3, 2, "the smallest input"),
        case(1, 3, 5, 2, "the smallest input"),
        case(2, 2, 3, 5, "a batch of clips"),
        case(3, 3, 7, 2, "a batch of clips"),
        case(1, 1, 5, 3, "a single head"),
        case(1, 3, 1, 2, "a single token"),
    ]


# ----------------------------------------------------------------------------------------------- attention


def make_attention_cases(rng: np.random.Generator, has_value: bool = True) -> list[Case]:
    """Queries, keys and values for `attention`; without values for `attention_weights`."""

    def case(shape: tuple[int, int, int, int, int], *tags: str, real: Any = None, level: float = 1) -> Case:
        B, heads, N, M, d = shape
        arguments = {
            "query": level * rng.normal(size=(B, heads, N, d)),
            "key": rng.normal(size=(B, heads, M, d)),
        }
        if has_value:
            arguments["value"] = rng.normal(size=(B, heads, M, d))
        arguments["is_real"] = None if real is None else np.array(real, bool)
        return Case(arguments, tags)

    loud = case((1, 1, 3, 5, 3), "padding with large scores", real=[[1, 0, 1, 1, 0]])
    loud.arguments["query"][:, :, 0], loud.arguments["key"][:, :, [1, 4]] = 1.0, 1000.0
    low = case((1, 1, 3, 4, 2), "padding with large scores", real=[[1, 1, 0, 1]])
    low.arguments["query"][..., 0], low.arguments["key"][..., 0] = 300.0, -300.0 - np.arange(4)
    far_below = case((1, 1, 2, 3, 2), "large scores")
    far_below.arguments["query"][..., 0], far_below.arguments["key"][..., 0] = 90.0, -90.0
    return [
        case((1, 1, 2, 3, 3), "the smallest input"),
        case((1, 1, 5, 5, 2), "the smallest input"),
        case((1, 1, 3, 5, 3), "queries of 0", level=0),
        case((1, 3, 2, 5, 2), "several heads"),
        case((2, 1, 3, 5, 2), "a batch of clips"),
        case((3, 2, 5, 4, 7), "a batch of clips"),
        case((1, 1, 3, 5, 3), "large scores", level=2000),
        far_below,
        case((1, 1, 3, 3, 3), "padding", real=[[1, 0, 1]]),
        case((1, 2, 2, 5, 3), "padding", real=[[1, 1, 1, 0, 0]]),
        loud,
        low,
        case(
            (3, 2, 4, 5, 2), "padding in some clips", real=[[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]]
        ),
        case((1, 1, 3, 2, 3), "a clip of padding alone", real=[[0, 0]]),
        case((2, 3, 2, 3, 2), "a clip of padding alone", real=[[1, 1, 0], [0, 0, 0]]),
    ]


def make_weights_cases(rng: np.random.Generator) -> list[Case]:
    """Queries and keys for `attention_weights`."""
    return make_attention_cases(rng, has_value=False)


# --------------------------------------------------------------------------------------------------- block


def make_block_cases(rng: np.random.Generator) -> list[Case]:
    """Tokens and parameters for `run_block`."""

    def case(
        B: int,
        N: int,
        heads: int,
        d: int,
        hidden: int,
        tag: str,
        eps: float = 1e-3,
        real: Any = None,
        **rest: Any,
    ) -> Case:
        x, block = 2 * rng.normal(size=(B, N, heads * d)), draw_block(rng, heads * d, hidden)
        is_real = None if real is None else np.array(real, bool)
        arguments = {"x": x, "block": block, "heads": heads, "eps": eps, "is_real": is_real, "maps": None}
        return Case({**arguments, **rest}, (tag,))

    def silence(case: Case, part: str, name: str) -> Case:
        """The case with zeros for the last linear map of attention or of the MLP."""
        block = case.arguments["block"]
        linear = getattr(getattr(block, part), name)
        linear = replace(linear, weight=0 * linear.weight, bias=0 * linear.bias)
        block = replace(block, **{part: replace(getattr(block, part), **{name: linear})})
        return replace(case, arguments={**case.arguments, "block": block})

    return [
        case(1, 2, 2, 2, 3, "the smallest input"),
        case(1, 5, 3, 2, 7, "the smallest input"),
        silence(case(1, 3, 2, 2, 5, "an attention that adds 0"), "attention", "output"),
        silence(case(1, 3, 2, 2, 5, "an MLP that adds 0"), "mlp", "contract"),
        case(2, 3, 2, 3, 11, "a batch of clips"),
        case(1, 3, 2, 2, 5, "a large eps", eps=0.7),
        case(2, 5, 3, 2, 7, "padding", real=[[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        case(2, 3, 2, 3, 5, "padding", real=[[0, 0, 0], [1, 0, 1]]),
        case(1, 3, 2, 2, 5, "attention maps kept", maps=[]),
        case(2, 5, 2, 3, 7, "attention maps kept", maps=[], real=[[1, 1, 1, 1, 1], [1, 0, 1, 1, 0]]),
    ]


def call_block(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Return what was appended to `maps` too, if there is such a list."""
    maps: list | None = None if arguments["maps"] is None else []
    output = function(**{**arguments, "maps": maps})
    return output if maps is None else {"output": output, "maps": maps}


# ----------------------------------------------------------------------------------------------- in blocks


def attend_in_blocks(query: Array, key: Array, value: Array, is_real: Array | None, size: int) -> Array:
    """What attention in blocks of keys has to give: attention."""
    return numpy_backend.attention(query, key, value, is_real)


def attend_online(query: Array, key: Array, value: Array, is_real: Array | None, size: int) -> Array:
    """Attention in blocks of keys, whose changes are the known mistakes."""
    highest = np.full((*query.shape[:3], 1), -1e30)
    total, output = np.zeros(highest.shape), np.zeros(query.shape)
    for start in range(0, key.shape[2], size):
        part = slice(start, start + size)
        scores = query @ np.swapaxes(key[:, :, part], -1, -2) * query.shape[-1] ** -0.5
        mask = np.True_ if is_real is None else is_real[:, None, None, part]
        scores = np.where(mask, scores, -1e30)
        larger = np.maximum(highest, np.max(scores, axis=-1, keepdims=True))
        weights = np.where(mask, np.exp(scores - larger), 0.0)
        shrink = np.exp(highest - larger)
        total = shrink * total + np.sum(weights, axis=-1, keepdims=True)
        output = shrink * output + weights @ value[:, :, part]
        highest = larger
    return output / np.where(total == 0, 1, total)


def call_and_measure(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Measure, where there are many scores, whether memory for a quarter of them is enough."""
    query, key = arguments["query"], arguments["key"]
    scores = math.prod(query.shape[:3]) * key.shape[2]
    if scores < MANY:
        return function(**arguments)
    peak = 0
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        output = function(**arguments)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    is_small = function is attend_in_blocks or peak < SHARE * scores * query.itemsize
    return {"output": output, "memory": "far below N x M numbers" if is_small else "about N x M numbers"}


def make_blocks_cases(rng: np.random.Generator) -> list[Case]:
    """Queries, keys and values for `attend_in_blocks`."""

    def case(
        shape: tuple[int, int, int, int, int],
        size: int,
        tag: str,
        real: Any = None,
        level: float = 1,
        slope: float = 0,
        shift: float = 0,
    ) -> Case:
        B, heads, N, M, d = shape
        query, key, value = (rng.normal(size=(B, heads, n, d)) for n in (N, M, M))
        query[..., 0] = 1 + np.abs(query[..., 0])
        key[..., 0] += shift + slope * np.arange(M)  # scores that grow or fall from block to block
        is_real = None if real is None else np.array(real, bool)
        arguments = {"query": level * query, "key": key, "value": value, "is_real": is_real, "size": size}
        return Case(arguments, (tag,))

    return [
        case((1, 1, 2, 4, 3), 2, "the smallest input"),
        case((1, 1, 3, 6, 2), 3, "the smallest input"),
        case((1, 1, 3, 7, 3), 3, "a last block that is shorter"),
        case((1, 1, 5, 5, 2), 1, "blocks of one key"),
        case((1, 1, 2, 5, 3), 7, "one block for all keys"),
        case((2, 3, 5, 7, 2), 2, "a batch of clips with several heads"),
        case((1, 1, 3, 8, 2), 2, "scores that grow from block to block", slope=1),
        case((1, 1, 3, 8, 2), 2, "scores that fall from block to block", slope=-1),
        case((1, 1, 3, 6, 3), 2, "large scores", level=2000),
        case((1, 1, 3, 6, 3), 2, "large scores", level=500, shift=-5),
        case((1, 1, 3, 6, 2), 2, "padding", real=[[1, 0, 1, 1, 0, 1]]),
        case((2, 2, 3, 7, 2), 3, "padding", real=[[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]]),
        case((1, 1, 3, 6, 2), 2, "a block of padding alone", real=[[0, 0, 1, 1, 0, 1]]),
        case((1, 2, 3, 7, 2), 3, "a block of padding alone", real=[[1, 1, 0, 0, 0, 0, 1]]),
        case((2, 1, 2, 5, 3), 2, "a clip of padding alone", real=[[0, 0, 0, 0, 0], [1, 1, 1, 0, 0]]),
        case((1, 1, 5, 40009, 1), 101, "very many keys, and the memory they take"),
    ]


ASSIGNMENT = add_mistakes(
    Assignment(
        name="a3_transformer",
        title="A transformer block, and attention in blocks",
        blanks=(
            Blank(
                "layer_norm",
                numpy_backend.layer_norm,
                make_norm_cases,
                (
                    Check("the smallest input", 2),
                    Check("a single row", 1),
                    Check("a batch of sequences", 1),
                    Check("weights of 1 and biases of 0", 1),
                    Check("a large eps", 1),
                    Check("rows of equal values", 1),
                    Check("values with a large mean", 1),
                ),
                reread="notebook 04, 'LayerNorm'",
                text=read_text(numpy_backend.layer_norm),
            ),
            Blank(
                "softmax",
                numpy_backend.softmax,
                make_softmax_cases,
                (
                    Check("the smallest input", 2),
                    Check("one axis or more than two", 1),
                    Check("large values", 1),
                    Check("rows that are far apart", 1),
                    Check("values far apart in a row", 1),
                ),
                reread="notebook 04, 'Scaled dot-product attention'",
                text=read_text(numpy_backend.softmax),
            ),
            Blank(
                "gelu",
                numpy_backend.gelu,
                make_gelu_cases,
                (Check("the smallest input", 3), Check("more than one axis", 1), Check("large values", 1)),
                reread="notebook 04, 'The MLP'",
                text=read_text(numpy_backend.gelu, erf=erf),
            ),
            Blank(
                "split_heads",
                transformer.split_heads,
                make_split_cases,
                (
                    Check("the smallest input", 4),
                    Check("a batch of clips", 2),
                    Check("a single head", 1),
                    Check("a single token", 1),
                ),
                reread="notebook 04, 'Queries, keys, values'",
                text=read_text(transformer.split_heads),
                call=call_split,
            ),
            Blank(
                "join_heads",
                transformer.join_heads,
                make_join_cases,
                (
                    Check("the smallest input", 3),
                    Check("a batch of clips", 2),
                    Check("a single head", 1),
                    Check("a single token", 1),
                ),
                reread="notebook 04, 'Queries, keys, values' and 'The whole block'",
                text=read_text(transformer.join_heads),
            ),
            Blank(
                "attention_weights",
                numpy_backend.attention_weights,
                make_weights_cases,
                (
                    Check("the smallest input", 2),
                    Check("queries of 0", 1),
                    Check("several heads", 1),
                    Check("a batch of clips", 1),
                    Check("large scores", 1),
                    Check("padding", 2),
                    Check("padding with large scores", 1),
                    Check("padding in some clips", 2),
                    Check("a clip of padding alone", 2),
                ),
                reread="notebook 04, 'Scaled dot-product attention' and 'The padding mask'",
                text=read_text(numpy_backend.attention_weights, numpy_backend.softmax),
            ),
            Blank(
                "attention",
                numpy_backend.attention,
                make_attention_cases,
                (
                    Check("the smallest input", 1),
                    Check("queries of 0", 1),
                    Check("several heads", 1),
                    Check("a batch of clips", 1),
                    Check("large scores", 1),
                    Check("padding", 1),
                    Check("padding with large scores", 1),
                    Check("padding in some clips", 1),
                    Check("a clip of padding alone", 1),
                ),
                reread="notebook 04, 'Scaled dot-product attention' and 'The padding mask'",
                text=read_text(
                    numpy_backend.attention, numpy_backend.softmax, numpy_backend.attention_weights
                ),
            ),
            Blank(
                "run_block",
                transformer.run_block,
                make_block_cases,
                (
                    Check("the smallest input", 2),
                    Check("an attention that adds 0", 1),
                    Check("an MLP that adds 0", 1),
                    Check("a batch of clips", 2),
                    Check("a large eps", 1),
                    Check("padding", 2),
                    Check("attention maps kept", 2),
                ),
                reread="notebook 04, 'A block' and 'The whole block'",
                text=read_text(
                    transformer.run_block,
                    transformer.run_norm,
                    transformer.run_attention,
                    transformer.run_mlp,
                ),
                call=call_block,
            ),
            Blank(
                "attend_in_blocks",
                attend_in_blocks,
                make_blocks_cases,
                (
                    Check("the smallest input", 2),
                    Check("a last block that is shorter", 1),
                    Check("blocks of one key", 1),
                    Check("one block for all keys", 1),
                    Check("a batch of clips with several heads", 1),
                    Check("scores that grow from block to block", 1),
                    Check("scores that fall from block to block", 1),
                    Check("large scores", 1),
                    Check("padding", 1),
                    Check("a block of padding alone", 1),
                    Check("a clip of padding alone", 1),
                    Check("very many keys, and the memory they take", 3),
                ),
                reread="notebook 04, 'Attention in blocks'",
                text=read_text(attend_online),
                call=call_and_measure,
            ),
        ),
    ),
    "a3.toml",
)
