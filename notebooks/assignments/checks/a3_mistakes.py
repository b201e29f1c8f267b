"""Wrong solutions of assignment 3, and what a tutor would say about each."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import erf, ndtr

from minitvlt.backends import numpy_backend
from minitvlt.backends.numpy_backend import layer_norm, softmax
from minitvlt.model.parameters import Attention, Block, LayerNorm
from minitvlt.model.transformer import join_heads, run_linear, split_heads

from .blanks import Mistake

Array = np.ndarray

# ---------------------------------------------------------------------------------------------- layer_norm


def normalise(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    *,
    axis: Any = -1,
    ddof: int = 0,
    divide: Any = lambda variance, eps: np.sqrt(variance + eps),
    centre: Any = lambda x, mean: x - mean,
    finish: Any = lambda z, weight, bias: z * weight + bias,
) -> Array:
    """`layer_norm` with one fault."""
    axis = tuple(range(x.ndim)) if axis is None else axis
    mean, variance = x.mean(axis=axis, keepdims=True), x.var(axis=axis, ddof=ddof, keepdims=True)
    return finish(centre(x, mean) / divide(variance, eps), weight, bias)


NORM_MISTAKES = (
    Mistake(
        partial(normalise, ddof=1),
        "The variance is divided by D - 1 (ddof=1). LayerNorm divides by D: it is the mean of the squares.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance) + eps),
        "eps is added to the standard deviation. It has to be added to the variance, under the square root.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance)),
        "eps is not used: it is added to the variance, and avoids a division by 0.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance + 1e-5)),
        "eps is always 1e-5. Use the argument eps.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance + eps**2)),
        "eps is squared. It is added to the variance as it is.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(np.maximum(variance, eps))),
        "eps is used as a lower limit of the variance. It has to be added to it.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: variance + eps),
        "The square root is missing: divide by the standard deviation, not by the variance.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: 1),
        "The rows are not divided by their standard deviation.",
    ),
    Mistake(
        partial(normalise, centre=lambda x, mean: x),
        "The mean is not subtracted.",
    ),
    Mistake(
        partial(normalise, axis=0),
        "Mean and variance are taken over the first axis, as in batch normalisation. Each row has its own: "
        "axis=-1.",
    ),
    Mistake(
        partial(normalise, axis=-2),
        "Mean and variance are taken over the tokens (axis -2). Each token has its own, over its features: "
        "axis=-1.",
    ),
    Mistake(
        partial(normalise, axis=(-2, -1)),
        "Mean and variance are taken over the last two axes. Each row has its own: axis=-1.",
    ),
    Mistake(
        partial(normalise, axis=None),
        "Mean and variance are taken over the whole array. Each row has its own: axis=-1 with keepdims=True.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: z),
        "weight and bias are not used: scale each feature by weight, then add bias.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: z * weight),
        "The bias is not added.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: z + bias),
        "The weight is not used: it multiplies each feature.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: (z + bias) * weight),
        "The bias is added before the multiplication by weight. It is added last.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: z * (1 + weight) + bias),
        "The features are scaled by 1 + weight. They are scaled by weight.",
    ),
)

# ------------------------------------------------------------------------------------------------- softmax


def weigh(x: Array, *, highest: Any = lambda x: x.max(axis=-1, keepdims=True), axis: Any = -1) -> Array:
    """`softmax` with one fault."""
    y = np.exp(x - highest(x))
    return y / y.sum(axis=axis, keepdims=True)


SOFTMAX_MISTAKES = (
    Mistake(
        partial(weigh, highest=lambda x: 0),
        "The maximum is not subtracted, so the exponential overflows for large values: exp(1000) is "
        "infinite.",
    ),
    Mistake(
        partial(weigh, highest=lambda x: x.max()),
        "The maximum of the whole array is subtracted. In a row far below it every exponential is 0, and 0 / "
        "0 is no number: subtract the maximum of each row.",
    ),
    Mistake(
        partial(weigh, highest=lambda x: x.max(axis=0, keepdims=True)),
        "The maximum is taken over the first axis. Subtract that of each row: axis=-1 with keepdims=True.",
    ),
    Mistake(
        partial(weigh, highest=lambda x: x.mean(axis=-1, keepdims=True)),
        "The mean of the row is subtracted. The maximum has to be, else the exponential can still overflow.",
    ),
    Mistake(
        partial(weigh, highest=lambda x: x.min(axis=-1, keepdims=True)),
        "The minimum of the row is subtracted. It has to be the maximum.",
    ),
    Mistake(
        partial(weigh, axis=0),
        "The sum is taken over the first axis. It is that of each row: axis=-1 with keepdims=True.",
    ),
    Mistake(
        partial(weigh, axis=None),
        "The sum is taken over the whole array. It is that of each row: axis=-1 with keepdims=True.",
    ),
    Mistake(
        lambda x: np.moveaxis(weigh(np.moveaxis(x, 0, -1)), -1, 0),
        "The softmax runs along the first axis. It has to run along the last one: each row sums to 1.",
    ),
    Mistake(
        lambda x: np.swapaxes(weigh(np.swapaxes(np.atleast_2d(x), -1, -2)), -1, -2).reshape(x.shape),
        "The softmax runs along the axis before the last. It has to run along the last one: each row sums to "
        "1.",
    ),
    Mistake(
        lambda x: np.exp(x - x.max(axis=-1, keepdims=True)),
        "The exponentials are not divided by their sum.",
    ),
    Mistake(
        lambda x: np.exp(x),
        "The exponentials are not divided by their sum.",
    ),
    Mistake(
        lambda x: np.log(weigh(x)),
        "This is the logarithm of the softmax.",
    ),
    Mistake(
        lambda x: x / x.sum(axis=-1, keepdims=True),
        "The exponential is missing: the values themselves are divided by their sum.",
    ),
    Mistake(
        lambda x: weigh(-x),
        "The sign is wrong: the largest value has to get the largest weight.",
    ),
    Mistake(
        lambda x: (x == x.max(axis=-1, keepdims=True)).astype(x.dtype),
        "The largest value gets all the weight. The softmax gives every value a weight.",
    ),
)

# ---------------------------------------------------------------------------------------------------- gelu

GELU_MISTAKES = (
    Mistake(
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        "This is the approximation by tanh. The exact GELU uses erf.",
    ),
    Mistake(
        lambda x: x / (1 + np.exp(-1.702 * x)),
        "This is the approximation by the sigmoid of 1.702 x. The exact GELU uses erf.",
    ),
    Mistake(
        lambda x: x / (1 + np.exp(-x)),
        "This is x times the sigmoid (SiLU). GELU is x times the distribution function of the normal "
        "distribution.",
    ),
    Mistake(
        lambda x: x * 0.5 * (1 + erf(x)),
        "x is not divided by √2 inside erf: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    Mistake(
        lambda x: x * 0.5 * (1 + erf(x / 2)),
        "x is divided by 2 inside erf. It has to be divided by √2.",
    ),
    Mistake(
        lambda x: x * 0.5 * (1 + erf(x * np.sqrt(2))),
        "x is multiplied by √2 inside erf. It has to be divided by it.",
    ),
    Mistake(
        lambda x: ndtr(x),
        "This is Φ(x). GELU is x Φ(x): the factor x is missing.",
    ),
    Mistake(
        lambda x: x * (1 + erf(x / np.sqrt(2))),
        "The factor 1/2 is missing: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    Mistake(
        lambda x: x * 0.5 * erf(x / np.sqrt(2)),
        "The 1 is missing: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    Mistake(
        lambda x: x * (0.5 + erf(x / np.sqrt(2))),
        "The factor 1/2 applies to the sum of 1 and erf, not to 1 alone: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    Mistake(
        lambda x: x * 0.5 * (1 - erf(x / np.sqrt(2))),
        "The sign of erf is wrong: Φ(x) = (1 + erf(x / √2)) / 2 rises from 0 to 1.",
    ),
    Mistake(
        lambda x: np.maximum(x, 0),
        "This is ReLU, max(0, x). GELU is x Φ(x).",
    ),
    Mistake(
        lambda x: x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
        "This is x times the density of the normal distribution. GELU is x times its distribution function.",
    ),
)

# --------------------------------------------------------------------------------- split_heads, join_heads


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
)

# ----------------------------------------------------------------------------- attention_weights, attention


def scale_by_root(query: Array) -> float:
    """The right scale."""
    return query.shape[-1] ** -0.5


def compute_weights(
    query: Array,
    key: Array,
    is_real: Array | None = None,
    *,
    scale: Any = scale_by_root,
    mask: Any = lambda scores, real: np.where(real, scores, -1e30),
    weigh: Any = softmax,
    clear: Any = lambda weights, real: np.where(real, weights, 0.0),
    view: Any = lambda real: real[:, None, None, :],
) -> Array:
    """`attention_weights` with one fault."""
    scores = query @ np.swapaxes(key, -1, -2) * scale(query)
    if is_real is None:
        return weigh(scores)
    real = view(is_real)
    return clear(weigh(mask(scores, real)), real)


def divide_naively(scores: Array) -> Array:
    """The softmax without subtracting the maximum."""
    y = np.exp(scores)
    return y / y.sum(axis=-1, keepdims=True)


def keep(weights: Array, real: Array) -> Array:
    """No change."""
    return weights


def normalise_over(axis: Any) -> Any:
    """The softmax along another axis."""
    return lambda scores: np.moveaxis(softmax(np.moveaxis(scores, axis, -1)), -1, axis)


WEIGHTS = (  # (wrong attention_weights, cause): also wrong attention
    (
        partial(compute_weights, scale=lambda query: 1),
        "The scores are not divided by √d, d being the last size of query.",
    ),
    (
        partial(compute_weights, scale=lambda query: 1 / query.shape[-1]),
        "The scores are divided by d instead of √d.",
    ),
    (
        partial(compute_weights, scale=lambda query: query.shape[-1] ** 0.5),
        "The scores are multiplied by √d. They have to be divided by it.",
    ),
    (
        partial(compute_weights, scale=lambda query: (query.shape[1] * query.shape[-1]) ** -0.5),
        "The scores are divided by √D, the width of all heads. It has to be √d, that of one head.",
    ),
    (
        partial(compute_weights, scale=lambda query: query.shape[2] ** -0.5),
        "The scores are divided by the root of the number of queries. It has to be √d, d being the last "
        "size.",
    ),
    (
        partial(compute_weights, weigh=lambda scores: softmax(scores) * scores.shape[-1] ** -0.5),
        "The weights are divided by a root after the softmax. The scores have to be divided by √d, before "
        "it.",
    ),
    (
        lambda query, key, is_real=None: (
            compute_weights(query, key, is_real, scale=lambda query: 1) * query.shape[-1] ** -0.5
        ),
        "√d divides the weights, after the softmax. It has to divide the scores, before it.",
    ),
    (
        partial(compute_weights, weigh=normalise_over(-2)),
        "The softmax runs over the queries. It has to run over the keys, the last axis: each row sums to 1.",
    ),
    (
        partial(compute_weights, weigh=normalise_over(1)),
        "The softmax runs over the heads. It has to run over the keys, the last axis: each row sums to 1.",
    ),
    (
        partial(compute_weights, weigh=divide_naively),
        "The softmax overflows for large scores: the maximum of each row has to be subtracted first.",
    ),
    (
        lambda query, key, is_real=None: compute_weights(query, key),
        "is_real is not used: padding gets weights like real keys.",
    ),
    (
        partial(compute_weights, mask=keep),
        "The weights of padding, or its values, are set to 0 after the softmax, so that the other weights do "
        "not sum to 1. Replace the scores of padding before the softmax.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, 0.0), clear=keep),
        "The scores of padding are replaced by 0, so padding still gets weight, since exp(0) = 1. Replace "
        "them by a very negative number.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: scores * real, clear=keep),
        "The scores are multiplied by the mask: those of padding become 0, and exp(0) = 1 is a weight. "
        "Replace them by a very negative number.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: scores + real, clear=keep),
        "The mask is added to the scores as 0 and 1. Padding has to get a very negative score: np.where.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: scores + np.where(real, 0, -10), clear=keep),
        "The number for padding is not negative enough: padding still gets some weight. Use -1e30.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, -10.0), clear=keep),
        "The number for padding is not negative enough: padding still gets some weight. Use -1e30.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, 1e-30), clear=keep),
        "The scores of padding are replaced by 1e-30, which is nearly 0, and exp(0) = 1 is a weight. A very "
        "negative number is meant: -1e30.",
    ),
    (
        partial(compute_weights, view=lambda real: ~real[:, None, None, :]),
        "The mask is inverted: padding is attended to, and real keys are not. is_real is True for real keys.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, -1e30, scores), clear=keep),
        "The mask is inverted: padding is attended to, and real keys are not. is_real is True for real keys.",
    ),
    (
        partial(compute_weights, clear=keep),
        "A row without a real key gets equal weights for its padding. It has to get 0: set the weights of "
        "padding to 0 after the softmax.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, -np.inf), clear=keep),
        "A row without a real key gives NaN, since -inf minus -inf is no number. Use -1e30 and set the "
        "weights of padding to 0 after the softmax.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, -1e4), clear=keep),
        "The number for padding is not negative enough where scores are large. Use -1e30, and set the "
        "weights of padding to 0 afterwards.",
    ),
    (
        partial(compute_weights, view=lambda real: real[:, None, :, None]),
        "The mask is applied to the queries. Padding concerns the keys, the last axis: is_real[:, None, "
        "None, :].",
    ),
    (
        partial(compute_weights, view=lambda real: real[:, None, :, None] & real[:, None, None, :]),
        "Queries that are padding get no weights either. Only keys are masked: is_real[:, None, None, :].",
    ),
    (
        partial(compute_weights, view=lambda real: real[:1, None, None, :]),
        "The mask of the first clip is used for all clips.",
    ),
    (
        partial(compute_weights, view=lambda real: real.all(axis=0)[None, None, None, :]),
        "A key that is padding in one clip is masked in all clips. Each clip has its own mask.",
    ),
    (
        lambda query, key, is_real=None: compute_weights(
            query,
            key,
            None if is_real is None else np.broadcast_to(is_real.any(axis=1, keepdims=True), is_real.shape),
        ),
        "Only clips without any real key are masked. Each key that is padding has to get the weight 0.",
    ),
)


def apply_to(wrong_weights: Any) -> Any:
    """Attention with wrong weights."""
    return lambda query, key, value, is_real=None: wrong_weights(query, key, is_real) @ value


def attend(query: Array, key: Array, value: Array, is_real: Array | None = None) -> Array:
    """Attention, as it should be."""
    return compute_weights(query, key, is_real) @ value


WEIGHTS_MISTAKES = (
    *(Mistake(function, cause) for function, cause in WEIGHTS),
    Mistake(
        lambda query, key, is_real=None: query @ np.swapaxes(key, -1, -2) * query.shape[-1] ** -0.5,
        "These are the scores: the softmax is missing.",
    ),
    Mistake(
        lambda query, key, is_real=None: np.swapaxes(compute_weights(query, key, is_real), -1, -2),
        "The weights are transposed: rows stand for queries, columns for keys, (B, heads, N, M).",
    ),
    Mistake(
        lambda query, key, is_real=None: compute_weights(query, key, is_real).mean(axis=1),
        "The mean over the heads is taken. Each head has its own weights.",
    ),
)
ATTENTION_MISTAKES = (
    *(Mistake(apply_to(function), cause) for function, cause in WEIGHTS),
    Mistake(
        lambda query, key, value, is_real=None: compute_weights(query, key, is_real),
        "These are the weights: their product with value is missing.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: compute_weights(query, key, is_real) @ key,
        "The weights are multiplied by the keys. They have to be multiplied by the values.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: attend(query, value, key, is_real),
        "Key and value are exchanged.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: attend(key, query, value, is_real),
        "Query and key are exchanged.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: (
            np.swapaxes(compute_weights(query, key, is_real), -1, -2) @ value
        ),
        "The weights are transposed before the product with value.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: np.swapaxes(attend(query, key, value, is_real), 1, 2),
        "Heads and queries are exchanged in the output: (B, heads, N, d).",
    ),
    Mistake(
        lambda query, key, value, is_real=None: np.broadcast_to(
            value.mean(axis=2, keepdims=True), query.shape
        ),
        "Every output is the mean of all values: the weights are not used.",
    ),
)

# ----------------------------------------------------------------------------------------------- run_block


def run_steps(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    norm: Any = lambda x, norm, eps: layer_norm(x, norm.weight, norm.bias, eps),
    gelu: Any = numpy_backend.gelu,
    order: Any = lambda x, attend, think: (y := x + attend(x)) + think(y),
    select: Any = lambda block: block,
    masks: bool = True,
    collect: Any = lambda maps, weights: maps.append(weights),
) -> Array:
    """`run_block` with one fault; `order` combines attention and MLP, both with their LayerNorm inside."""
    block = select(block)

    def attend(x: Array) -> Array:
        query, key, value = split_heads(norm(x, block.attention_norm, eps), block.attention, heads)
        weights = numpy_backend.attention_weights(query, key, is_real if masks else None)
        if maps is not None:
            collect(maps, weights)
        return join_heads(weights @ value, block.attention)

    def think(x: Array) -> Array:
        return run_linear(
            gelu(run_linear(norm(x, block.mlp_norm, eps), block.mlp.expand)), block.mlp.contract
        )

    return order(x, attend, think)


def run_post_norm(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """The block of the first transformers."""
    plain = partial(run_steps, heads=heads, eps=eps, norm=lambda x, norm, eps: x)
    first, second = block.attention_norm, block.mlp_norm
    y = plain(x, block, is_real=is_real, maps=maps, order=lambda x, attend, think: x + attend(x))
    y = layer_norm(y, first.weight, first.bias, eps)
    y = plain(y, block, order=lambda x, attend, think: x + think(x))
    return layer_norm(y, second.weight, second.bias, eps)


def skip_norm(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    name: str,
) -> Array:
    """One of the two LayerNorms left out."""
    left_out = getattr(block, name)

    def norm(x: Array, norm: LayerNorm, eps: float) -> Array:
        return x if norm is left_out else layer_norm(x, norm.weight, norm.bias, eps)

    return run_steps(x, block, heads, eps, is_real, maps, norm=norm)


def normalise_residual(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """The normalised tokens, instead of the tokens, in both sums."""

    def order(x: Array, attend: Any, think: Any) -> Array:
        y = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps) + attend(x)
        return layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps) + think(y)

    return run_steps(x, block, heads, eps, is_real, maps, order=order)


BLOCK_MISTAKES = (
    Mistake(
        run_post_norm,
        "LayerNorm is applied after each sum (post-LN). TVLT applies it to the input of attention and of the "
        "MLP.",
    ),
    Mistake(
        normalise_residual,
        "The normalised tokens are added in the residual sums. The tokens themselves have to be added: x + "
        "Attention(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: x),
        "LayerNorm is missing: attention and MLP get the tokens as they are.",
    ),
    Mistake(
        partial(skip_norm, name="mlp_norm"),
        "The input of the MLP is not normalised: apply layer_norm with block.mlp_norm first.",
    ),
    Mistake(
        partial(skip_norm, name="attention_norm"),
        "The input of attention is not normalised: apply layer_norm with block.attention_norm first.",
    ),
    Mistake(
        partial(run_steps, select=lambda block: replace(block, mlp_norm=block.attention_norm)),
        "The MLP gets attention_norm. It has a LayerNorm of its own: block.mlp_norm.",
    ),
    Mistake(
        partial(
            run_steps,
            select=lambda b: replace(b, mlp_norm=b.attention_norm, attention_norm=b.mlp_norm),
        ),
        "The two LayerNorms are exchanged: attention_norm stands before attention, mlp_norm before the MLP.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := attend(x)) + think(y)),
        "The first residual sum is missing: x + Attention(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: think(x + attend(x))),
        "The second residual sum is missing: x + MLP(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: think(attend(x))),
        "Both residual sums are missing: x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x)).",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + attend(x)),
        "The MLP is missing.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + think(x)),
        "Attention is missing.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + attend(x) + think(x)),
        "Attention and MLP both get x (they run in parallel). The MLP has to get the sum of x and attention.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + think(x + attend(x))),
        "The second residual sum adds the input of the block. It has to add the tokens after attention.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := x + think(x)) + attend(y)),
        "The MLP comes before attention. Attention comes first.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: np.maximum(x, 0)),
        "The MLP uses ReLU. It has to use gelu.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: x),
        "The non-linearity of the MLP is missing: gelu stands between its two linear maps.",
    ),
    Mistake(
        partial(run_steps, masks=False),
        "is_real is not handed on to attention, so that padding is attended to.",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: layer_norm(x, norm.weight, norm.bias, 1e-5)),
        "eps is always 1e-5. Hand the argument eps on to layer_norm.",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: None),
        "Nothing is appended to maps: append the weights of attention, (B, heads, N, N), if a list is given.",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: maps.extend(weights)),
        "Each clip is appended to maps by itself (extend, or +=). Append one array for the block, (B, heads, "
        "N, N).",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: maps.append(weights.mean(axis=1))),
        "The mean over the heads is appended to maps. Append the weights of all heads, (B, heads, N, N).",
    ),
)

# ---------------------------------------------------------------------------------------- attend_in_blocks


def run_online(
    query: Array,
    key: Array,
    value: Array,
    is_real: Array | None,
    size: int,
    *,
    larger: Any = lambda highest, scores: np.maximum(highest, scores.max(axis=-1, keepdims=True)),
    shrink_total: Any = lambda old, new: np.exp(old - new),
    shrink_sum: Any = lambda old, new: np.exp(old - new),
    scale: Any = scale_by_root,
    padding: float = -1e30,
    clears: bool = True,
    count: Any = lambda M, size: range(0, M, size),
    ignores_mask: bool = False,
    mask_part: Any = lambda is_real, start, size: is_real[:, start : start + size],
    lowest: float = -1e30,
) -> Array:
    """`attend_in_blocks` with one fault."""
    highest = np.full((*query.shape[:3], 1), lowest)
    total, output = np.zeros(highest.shape), np.zeros(query.shape)
    for start in count(key.shape[2], size):
        some, values = key[:, :, start : start + size], value[:, :, start : start + size]
        scores = query @ np.swapaxes(some, -1, -2) * scale(query)
        real = None if is_real is None or ignores_mask else mask_part(is_real, start, size)[:, None, None, :]
        scores = scores if real is None else np.where(real, scores, padding)
        new = larger(highest, scores)
        weights = np.exp(scores - new)
        weights = weights if real is None or not clears else np.where(real, weights, 0.0)
        total = shrink_total(highest, new) * total + weights.sum(axis=-1, keepdims=True)
        output = shrink_sum(highest, new) * output + weights @ values
        highest = new
    return output / (np.where(total == 0, 1, total) if clears else total)


def average_blocks(query: Array, key: Array, value: Array, is_real: Array | None, size: int) -> Array:
    """A softmax of its own for each block of keys, and the mean of the outputs."""
    parts = [slice(start, start + size) for start in range(0, key.shape[2], size)]
    outputs = [
        attend(query, key[:, :, part], value[:, :, part], None if is_real is None else is_real[:, part])
        for part in parts
    ]
    return np.mean(outputs, axis=0)


def sum_blocks(query: Array, key: Array, value: Array, is_real: Array | None, size: int) -> Array:
    """The sum instead of the mean."""
    return average_blocks(query, key, value, is_real, size) * -(-key.shape[2] // size)


def one(old: Array, new: Array) -> float:
    """No correction of the sums so far."""
    return 1.0


BLOCKS_MISTAKES = (
    Mistake(
        lambda query, key, value, is_real, size: attend(query, key, value, is_real),
        "The numbers are right, but all N x M scores are held at once. Compute them for `size` keys at a "
        "time, and keep only the maximum, the denominator and the numerator.",
    ),
    Mistake(
        partial(run_online, shrink_total=one, shrink_sum=one),
        "When a block has a larger maximum, the sums so far have to be multiplied by exp(old maximum - new "
        "maximum).",
    ),
    Mistake(
        partial(run_online, shrink_sum=one),
        "Only the denominator is corrected when the maximum grows. The numerator has to be multiplied by the "
        "same factor exp(old maximum - new maximum).",
    ),
    Mistake(
        partial(run_online, shrink_total=one),
        "Only the numerator is corrected when the maximum grows. The denominator has to be multiplied by the "
        "same factor exp(old maximum - new maximum).",
    ),
    Mistake(
        partial(
            run_online,
            shrink_total=lambda old, new: np.exp(np.where(old > -1e29, new - old, 0)),
            shrink_sum=lambda old, new: np.exp(np.where(old > -1e29, new - old, 0)),
        ),
        "The sums so far are multiplied by exp(new - old maximum), the inverse of the factor: it is exp(old "
        "- new).",
    ),
    Mistake(
        partial(run_online, larger=lambda highest, scores: scores.max(axis=-1, keepdims=True)),
        "The maximum is that of the present block alone, so that it may fall: exp(old - new) can overflow. "
        "Take the larger of it and the maximum so far.",
    ),
    Mistake(
        partial(
            run_online,
            larger=lambda highest, scores: scores.max(axis=-1, keepdims=True),
            shrink_total=one,
            shrink_sum=one,
        ),
        "Each block subtracts its own maximum, and the sums are not corrected. Subtract the maximum so far, "
        "and multiply the earlier sums by exp(old maximum - new maximum).",
    ),
    Mistake(
        partial(run_online, larger=lambda highest, scores: np.zeros_like(highest), lowest=0.0),
        "No maximum is subtracted: for large scores the exponential overflows.",
    ),
    Mistake(
        partial(run_online, larger=lambda highest, scores: np.maximum(highest, scores.max())),
        "The maximum is that of the whole block. Each query has its own: in a row far below it every "
        "exponential is 0.",
    ),
    Mistake(
        partial(run_online, count=lambda M, size: range(0, M - M % size, size)),
        "The last, shorter block of keys is left out. Let the blocks begin at range(0, M, size).",
    ),
    Mistake(
        partial(run_online, count=lambda M, size: range(0, size, size)),
        "Only the first block of keys is used.",
    ),
    Mistake(
        partial(run_online, scale=lambda query: 1),
        "The scores are not divided by √d, d being the last size of query.",
    ),
    Mistake(
        partial(run_online, scale=lambda query: 1 / query.shape[-1]),
        "The scores are divided by d instead of √d.",
    ),
    Mistake(
        partial(run_online, ignores_mask=True),
        "is_real is not used: padding gets weights like real keys.",
    ),
    Mistake(
        partial(run_online, mask_part=lambda is_real, start, size: ~is_real[:, start : start + size]),
        "The mask is inverted: padding is attended to, and real keys are not.",
    ),
    Mistake(
        partial(run_online, padding=-np.inf, clears=False, lowest=-np.inf),
        "Where all keys so far are padding, -inf minus -inf is no number. Use -1e30 instead of -inf, and set "
        "the exponentials of padding to 0.",
    ),
    Mistake(
        partial(run_online, clears=False, lowest=-np.inf),
        "A row without a real key gets the mean of the values of its padding. It has to get 0: set the "
        "exponentials of padding to 0, and do not divide by 0.",
    ),
    Mistake(
        partial(run_online, clears=False, padding=-10.0),
        "The number for padding is not negative enough: padding still gets some weight. Use -1e30.",
    ),
    Mistake(
        average_blocks,
        "Each block has a softmax of its own, and the outputs are averaged. The blocks share one "
        "denominator: add up numerators and denominators, and divide once at the end.",
    ),
    Mistake(
        sum_blocks,
        "Each block has a softmax of its own, and the outputs are added. The blocks share one denominator: "
        "add up numerators and denominators, and divide once at the end.",
    ),
)
