"""Wrong ways to split and to join heads, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np

from minitvlt.model.parameters import Attention, Linear
from minitvlt.model.transformer import run_linear

from .blanks import Mistake

Array = np.ndarray


def split(
    x: Array,
    attention: Attention,
    heads: int,
    *,
    shape: Any = lambda B, N, heads, d: (B, N, 3, heads, d),
    axes: tuple[int, ...] = (2, 0, 3, 1, 4),
    project: Any = run_linear,
    change: Any = lambda qkv: tuple(qkv),
) -> tuple[Array, ...]:
    """`split_heads` with one fault."""
    B, N, D = x.shape
    qkv = project(x, attention.qkv).reshape(shape(B, N, heads, D // heads))
    return change(np.transpose(qkv, axes))


SPLIT_MISTAKES = (
    Mistake(
        partial(split, shape=lambda B, N, heads, d: (B, N, 3, d, heads), axes=(2, 0, 4, 1, 3)),
        "The features of a head are not next to each other here: of the D numbers of a query, the first d "
        "belong to head 0, the next d to head 1. Reshape to (B, N, 3, heads, d).",
    ),
    Mistake(
        partial(split, shape=lambda B, N, heads, d: (B, N, heads, 3, d), axes=(3, 0, 2, 1, 4)),
        "The projection is read head by head, with query, key and value inside. All queries come first, then "
        "all keys, then all values: reshape to (B, N, 3, heads, d).",
    ),
    Mistake(
        partial(split, shape=lambda B, N, heads, d: (B, N, heads, d, 3), axes=(4, 0, 2, 1, 3)),
        "Query, key and value alternate here. All queries come first, then all keys, then all values: "
        "reshape to (B, N, 3, heads, d).",
    ),
    Mistake(
        partial(split, axes=(2, 0, 1, 3, 4)),
        "The axes of tokens and heads are not exchanged: the shape is (B, heads, N, d).",
    ),
    Mistake(
        partial(split, shape=lambda B, N, heads, d: (3, B, heads, N, d), axes=(0, 1, 2, 3, 4)),
        "The array is reshaped to its last form at once, which mixes tokens, heads and features. Reshape to "
        "(B, N, 3, heads, d) first, then permute the axes.",
    ),
    Mistake(
        partial(split, shape=lambda B, N, heads, d: (B, heads, N, 3, d), axes=(3, 0, 1, 2, 4)),
        "A reshape puts heads before tokens, which mixes them. Reshape to (B, N, 3, heads, d), then permute.",
    ),
    Mistake(
        partial(split, shape=lambda B, N, heads, d: (B, 3, heads, N, d), axes=(1, 0, 2, 3, 4)),
        "A reshape puts 3 and heads before the tokens, which mixes them. Reshape to (B, N, 3, heads, d), "
        "then permute.",
    ),
    Mistake(
        lambda x, attention, heads: tuple(
            part.reshape(x.shape[0], heads, x.shape[1], -1)
            for part in np.split(run_linear(x, attention.qkv), 3, axis=-1)
        ),
        "A reshape to (B, heads, N, d) mixes tokens and heads. Reshape to (B, N, heads, d), then exchange "
        "the axes.",
    ),
    Mistake(
        partial(split, project=lambda x, linear: x @ linear.weight.T),
        "The bias of the projection is not added: use run_linear.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[1], qkv[0], qkv[2])),
        "Query and key are exchanged: the order is query, key, value.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[0], qkv[2], qkv[1])),
        "Key and value are exchanged: the order is query, key, value.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[2], qkv[1], qkv[0])),
        "Query and value are exchanged: the order is query, key, value.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[0] / np.sqrt(qkv.shape[-1]), qkv[1], qkv[2])),
        "The query is divided by √d here. The scale belongs to attention_weights.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[0], np.swapaxes(qkv[1], -1, -2), qkv[2])),
        "The key is transposed here. That belongs to attention_weights: all three have the shape (B, heads, "
        "N, d).",
    ),
    Mistake(
        lambda x, attention, heads: tuple(
            np.broadcast_to(part[:, None], (part.shape[0], heads, *part.shape[1:]))
            for part in np.split(run_linear(x, attention.qkv), 3, axis=-1)
        ),
        "Every head gets all features. Each has its own D // heads of them.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[1], qkv[2], qkv[0])),
        "Query, key and value are exchanged in a circle: the order is query, key, value.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[2], qkv[0], qkv[1])),
        "Query, key and value are exchanged in a circle: the order is query, key, value.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[0], qkv[0], qkv[0])),
        "Key and value are the query here: take the three parts apart.",
    ),
    Mistake(
        partial(split, change=lambda qkv: (qkv[0], qkv[1], qkv[1])),
        "The value is the key here: take the three parts apart.",
    ),
    Mistake(
        partial(split, axes=(2, 0, 3, 4, 1)),
        "The last two axes are exchanged in all three: the shape is (B, heads, N, d), features last.",
    ),
    Mistake(
        partial(split, axes=(2, 3, 0, 1, 4)),
        "Clips and heads are exchanged: the shape is (B, heads, N, d).",
    ),
    Mistake(
        partial(split, project=lambda x, linear: np.concatenate([x, x, x], axis=-1)),
        "The projection is missing: query, key and value are run_linear(x, attention.qkv), not x.",
    ),
    Mistake(
        partial(
            split,
            project=lambda x, linear: (
                x @ linear.weight.reshape(3, x.shape[-1], -1).swapaxes(1, 2).reshape(-1, x.shape[-1]).T
                + linear.bias
            ),
        ),
        "The three parts of the weight are transposed the wrong way: use run_linear(x, attention.qkv).",
    ),
    *(
        Mistake(
            lambda x, attention, heads, fixed=fixed: split(x, attention, fixed),
            f"The number of heads is always {fixed}. Use the argument heads.",
        )
        for fixed in (1, 2, 3)
    ),
    Mistake(
        lambda x, attention, heads: tuple(
            run_linear(x, attention.output).reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)
            for _ in range(3)
        ),
        "The output projection is used: query, key and value come from attention.qkv.",
    ),
    Mistake(
        partial(split, project=lambda x, linear: run_linear(x, linear) + linear.bias),
        "The bias is added twice: run_linear adds it already.",
    ),
    Mistake(
        partial(split, change=lambda qkv: tuple(np.repeat(t[:, :1], t.shape[1], axis=1) for t in qkv)),
        "All heads are the first one.",
    ),
    Mistake(
        partial(split, change=lambda qkv: {"query": qkv[0], "key": qkv[1], "value": qkv[2]}),
        "A dictionary is returned: return the three arrays, as in `return query, key, value`.",
    ),
    Mistake(
        partial(split, change=lambda qkv: tuple(t.reshape(-1, *t.shape[2:]) for t in qkv)),
        "Clips and heads are one axis. They are two: (B, heads, N, d).",
    ),
)


def join(
    x: Array,
    attention: Attention,
    *,
    merge: Any = lambda x: x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1),
    project: Any = run_linear,
) -> Array:
    """`join_heads` with one fault."""
    return project(merge(x), attention.output)


def merge_heads(x: Array) -> Array:
    """The heads of every token side by side."""
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


JOIN_MISTAKES = (
    Mistake(
        partial(join, merge=lambda x: x.reshape(x.shape[0], x.shape[2], -1)),
        "Heads and tokens are not exchanged before the reshape, so that numbers of different tokens are "
        "mixed: transpose to (B, N, heads, d) first.",
    ),
    Mistake(
        partial(join, merge=lambda x: x.transpose(0, 2, 3, 1).reshape(x.shape[0], x.shape[2], -1)),
        "The heads alternate inside a token. They stand one after the other: transpose to (B, N, heads, d), "
        "not (B, N, d, heads).",
    ),
    Mistake(
        lambda x, attention: merge_heads(x),
        "The output projection is missing: apply run_linear with attention.output.",
    ),
    Mistake(
        partial(join, project=lambda x, linear: x @ linear.weight.T),
        "The bias of the output projection is not added: use run_linear.",
    ),
    Mistake(
        partial(join, project=lambda x, linear: x @ linear.weight + linear.bias),
        "The weight of the output projection is not transposed: it is (out, in), and x @ weight.T is asked "
        "for. Use run_linear.",
    ),
    Mistake(
        partial(join, merge=lambda x: np.tile(x.mean(axis=1), (1, 1, x.shape[1]))),
        "The mean over the heads is taken. Heads are put side by side: token n has the numbers of all heads.",
    ),
    Mistake(
        partial(join, merge=lambda x: merge_heads(x[:, ::-1])),
        "The heads are joined in reverse order.",
    ),
    Mistake(
        lambda x, attention: merge_heads(x) + run_linear(merge_heads(x), attention.output),
        "The residual sum is taken here. It belongs to run_block, and adds the tokens before attention.",
    ),
    Mistake(
        partial(join, merge=lambda x: np.tile(x.sum(axis=1), (1, 1, x.shape[1]))),
        "The heads are added. They are put side by side: token n has the numbers of all heads.",
    ),
    Mistake(
        lambda x, attention: run_linear(run_linear(merge_heads(x), attention.output), attention.output),
        "The output projection is applied twice.",
    ),
    Mistake(
        lambda x, attention: run_linear(merge_heads(x), attention.output) + attention.output.bias,
        "The bias is added twice: run_linear adds it already.",
    ),
    Mistake(
        lambda x, attention: (merge_heads(x) + attention.output.bias) @ attention.output.weight.T,
        "The bias is added before the product with the weight. It is added last.",
    ),
    Mistake(
        lambda x, attention: run_linear(
            merge_heads(x),
            Linear(*(p[: x.shape[1] * x.shape[3]] for p in (attention.qkv.weight, attention.qkv.bias))),
        ),
        "A part of attention.qkv is used. The output projection is attention.output.",
    ),
    Mistake(
        lambda x, attention: run_linear(merge_heads(x[:, :, ::-1]), attention.output),
        "The tokens are in reverse order.",
    ),
    Mistake(
        partial(join, merge=lambda x: x.transpose(2, 0, 1, 3).reshape(x.shape[0], x.shape[2], -1)),
        "Clips and tokens are mixed: transpose to (B, N, heads, d), the clips first.",
    ),
    Mistake(
        lambda x, attention: run_linear(
            x.transpose(0, 2, 1, 3)[..., 0, :].repeat(x.shape[1], -1), attention.output
        ),
        "Only the first head is used.",
    ),
    Mistake(
        partial(join, merge=lambda x: x.reshape(x.shape[0], -1, x.shape[2]).transpose(0, 2, 1)),
        "The reshape comes before the axes are exchanged, and mixes tokens and features: transpose to (B, N, "
        "heads, d) first.",
    ),
    Mistake(
        partial(join, merge=lambda x: np.tile(x.max(axis=1), (1, 1, x.shape[1]))),
        "The maximum over the heads is taken. Heads are put side by side.",
    ),
    Mistake(
        lambda x, attention: (
            np.concatenate(
                [
                    x[:, h] @ attention.output.weight[part, part].T
                    for h in range(x.shape[1])
                    for part in [slice(h * x.shape[3], (h + 1) * x.shape[3])]
                ],
                axis=-1,
            )
            + attention.output.bias
        ),
        "Each head is projected by itself. The projection is one linear map of all heads together, which "
        "mixes them.",
    ),
    Mistake(
        partial(join, merge=lambda x: np.swapaxes(x, 1, 3).reshape(x.shape[0], x.shape[2], -1)),
        "Heads and features are exchanged. Exchange heads and tokens: np.swapaxes(x, 1, 2).",
    ),
    Mistake(
        partial(join, project=lambda x, linear: x @ linear.weight),
        "Two things: the weight of the output projection is not transposed, and its bias is not added. Use "
        "run_linear.",
    ),
)
