"""Wrong solutions of assignment 3, and what a tutor would say about each."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import erf, ndtr

from minitvlt.backends import numpy_backend
from minitvlt.backends.numpy_backend import layer_norm, softmax
from minitvlt.model.parameters import Attention, Block, LayerNorm, Linear
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
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance * (1 + eps))),
        "eps multiplies the variance. It has to be added to it.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.maximum(np.sqrt(variance), eps)),
        "eps is used as a lower limit of the standard deviation. It has to be added to the variance.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance - eps)),
        "eps is subtracted from the variance. It has to be added.",
    ),
    Mistake(
        lambda x, weight, bias, eps: normalise(x * weight, 1, bias, eps),
        "The weight multiplies the input. It multiplies the normalised rows.",
    ),
    Mistake(
        lambda x, weight, bias, eps: normalise(x * weight + bias, 1, 0, eps),
        "weight and bias are applied to the input. They are applied to the normalised rows.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: variance.mean() * 0 + np.sqrt(variance.mean() + eps)),
        "All rows are divided by the same number. Each has its own variance.",
    ),
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
    Mistake(
        lambda x, weight, bias, eps: normalise(
            x, weight, bias, eps, divide=lambda variance, eps: np.sqrt(x.shape[-1] * variance + eps)
        ),
        "The squares are summed, not averaged: the variance is their mean, the sum divided by D.",
    ),
    Mistake(
        lambda x, weight, bias, eps: normalise(
            x, weight, bias, eps, divide=lambda variance, eps: np.sqrt((x * x).mean(-1, keepdims=True) + eps)
        ),
        "The variance is the mean of x² here. It is the mean of (x - mean)²: subtract the mean first.",
    ),
    Mistake(
        lambda x, weight, bias, eps: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight + bias,
        "The mean is not subtracted, neither from x nor for the variance (this is RMSNorm).",
    ),
    Mistake(
        lambda x, weight, bias, eps: normalise(
            x,
            weight,
            bias,
            eps,
            divide=lambda v, eps: np.abs(x - x.mean(-1, keepdims=True)).mean(-1, keepdims=True) + eps,
        ),
        "The rows are divided by the mean of the absolute values. It has to be the square root of the "
        "variance.",
    ),
    Mistake(
        partial(normalise, ddof=1, divide=lambda variance, eps: np.sqrt(variance) + eps),
        "The variance is divided by D - 1, and eps is added to the standard deviation: divide by D, and add "
        "eps to the variance.",
    ),
    Mistake(
        partial(normalise, divide=lambda variance, eps: np.sqrt(variance + np.sqrt(eps))),
        "The square root of eps is added to the variance. Add eps as it is.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: z * weight - bias),
        "The bias is subtracted. It has to be added.",
    ),
    Mistake(
        partial(normalise, finish=lambda z, weight, bias: z / weight + bias),
        "The features are divided by weight. They have to be multiplied by it.",
    ),
    Mistake(
        partial(normalise, ddof=1, divide=lambda variance, eps: np.sqrt(variance)),
        "Two things: the variance is divided by D - 1 instead of D, and eps is not used.",
    ),
    Mistake(
        lambda x, weight, bias, eps: normalise(x, weight, bias, eps, centre=lambda x, mean: x - x.mean()),
        "The mean of the whole array is subtracted. Each row has its own: axis=-1 with keepdims=True.",
    ),
)

# ------------------------------------------------------------------------------------------------- softmax


def weigh(x: Array, *, highest: Any = lambda x: x.max(axis=-1, keepdims=True), axis: Any = -1) -> Array:
    """`softmax` with one fault."""
    y = np.exp(x - highest(x))
    return y / y.sum(axis=axis, keepdims=True)


SOFTMAX_MISTAKES = (
    Mistake(
        lambda x: np.nan_to_num(np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)),
        "The exponential overflows for large values, and NaN is replaced by 0. Subtract the maximum of each "
        "row instead.",
    ),
    Mistake(
        lambda x: np.exp(x - x.max(-1, keepdims=True)) / x.shape[-1],
        "The exponentials are divided by their number. They have to be divided by their sum.",
    ),
    *(
        Mistake(
            lambda x, limit=limit: (
                np.exp(np.clip(x, -limit, limit)) / np.exp(np.clip(x, -limit, limit)).sum(-1, keepdims=True)
            ),
            "The values are clipped, so that large ones become equal. Subtract the maximum of each row "
            "instead.",
        )
        for limit in (10, 20, 50, 88, 100, 500, 700, 709)
    ),
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
    Mistake(
        lambda x: (
            2 ** (x - x.max(-1, keepdims=True)) / (2 ** (x - x.max(-1, keepdims=True))).sum(-1, keepdims=True)
        ),
        "The base is 2. It has to be e: np.exp.",
    ),
    Mistake(
        lambda x: (
            10 ** (x - x.max(-1, keepdims=True))
            / (10 ** (x - x.max(-1, keepdims=True))).sum(-1, keepdims=True)
        ),
        "The base is 10. It has to be e: np.exp.",
    ),
    Mistake(
        lambda x: (
            np.exp(x - x.max(-1, keepdims=True))
            / (np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True) + 1e-6)
        ),
        "A small number is added to the sum, so that the weights do not sum to 1. The sum is at least 1: "
        "nothing has to be added.",
    ),
    Mistake(
        lambda x: weigh(x / x.max(-1, keepdims=True)),
        "The values are divided by the maximum. It has to be subtracted.",
    ),
    Mistake(
        lambda x: (
            (np.exp(x) - x.max(-1, keepdims=True))
            / (np.exp(x) - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
        ),
        "The maximum is subtracted from the exponentials. It has to be subtracted before: np.exp(x - "
        "maximum).",
    ),
    Mistake(
        lambda x: np.exp(x - x.max(-1, keepdims=True)) / x.sum(-1, keepdims=True),
        "The exponentials are divided by the sum of x. It has to be the sum of the exponentials.",
    ),
    Mistake(
        lambda x: np.exp(x - x.max(-1, keepdims=True)) / np.exp(x).sum(-1, keepdims=True),
        "The maximum is subtracted above the fraction bar only: subtract it in the sum too.",
    ),
    Mistake(
        lambda x: np.exp(x) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True),
        "The maximum is subtracted below the fraction bar only: subtract it above too.",
    ),
    Mistake(
        lambda x: (
            np.exp(x - x.max(-1, keepdims=True))
            / np.sqrt((np.exp(x - x.max(-1, keepdims=True)) ** 2).sum(-1, keepdims=True))
        ),
        "The exponentials are divided by their Euclidean length. It has to be their sum.",
    ),
    Mistake(
        lambda x: (
            np.exp(x - x.max(-1, keepdims=True))
            / np.exp(x - x.max(-1, keepdims=True)).mean(-1, keepdims=True)
        ),
        "The exponentials are divided by their mean. It has to be their sum.",
    ),
    Mistake(
        lambda x: 1 / (1 + np.exp(-x)),
        "This is the sigmoid of each value by itself. The softmax divides by the sum over the row.",
    ),
    Mistake(
        lambda x: weigh(x / np.sqrt(x.shape[-1])),
        "The values are divided by a square root first. That belongs to attention_weights, not to the "
        "softmax.",
    ),
    Mistake(
        lambda x: weigh(x, axis=tuple(range(1, x.ndim)) if x.ndim > 1 else None),
        "The sum is taken over all axes but the first. It is that of each row: axis=-1 with keepdims=True.",
    ),
    Mistake(
        lambda x: (
            np.exp(x + x.max(-1, keepdims=True)) / np.exp(x + x.max(-1, keepdims=True)).sum(-1, keepdims=True)
        ),
        "The maximum is added. It has to be subtracted.",
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
    Mistake(
        lambda x: 0.5 * x + erf(x / np.sqrt(2)),
        "Brackets are missing: 1 + erf(x / √2) has to be multiplied by x / 2 as a whole.",
    ),
    Mistake(
        lambda x: 0.5 * x * 1 + 0.5 * erf(x / np.sqrt(2)),
        "Brackets are missing: 1 + erf(x / √2) has to be multiplied by x / 2 as a whole.",
    ),
    Mistake(
        lambda x: 0.5 * x * (1 + erf(x) / np.sqrt(2)),
        "erf(x) is divided by √2. x has to be divided by it, inside erf.",
    ),
    Mistake(
        lambda x: 0.5 * x * (1 + np.tanh(x / np.sqrt(2))),
        "tanh is used in place of erf. The exact GELU uses erf.",
    ),
    Mistake(
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * x)),
        "tanh is used in place of erf. The exact GELU uses erf.",
    ),
    Mistake(
        lambda x: x * x * ndtr(x),
        "The result is multiplied by x once more: GELU is x Φ(x).",
    ),
    Mistake(
        lambda x: ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
        "This is the derivative of GELU. GELU itself is x Φ(x).",
    ),
    Mistake(
        lambda x: np.where(x > 0, x, 0.01 * x),
        "This is the leaky ReLU. GELU is x Φ(x).",
    ),
    Mistake(
        lambda x: np.where(x > 0, x, np.exp(x) - 1),
        "This is ELU. GELU is x Φ(x).",
    ),
    Mistake(
        lambda x: np.log1p(np.exp(x)),
        "This is softplus. GELU is x Φ(x).",
    ),
    Mistake(
        lambda x: np.abs(x) * ndtr(x),
        "The absolute value of x is taken: GELU is x Φ(x), which is negative for negative x.",
    ),
    Mistake(
        lambda x: np.where(x > 0, x * ndtr(x), 0),
        "Negative values give 0. GELU is x Φ(x) for them too.",
    ),
    Mistake(
        lambda x: ndtr(x) * np.maximum(x, 0),
        "Negative values give 0. GELU is x Φ(x) for them too.",
    ),
    Mistake(
        lambda x: np.sign(x) * ndtr(x),
        "Only the sign of x is used as a factor. GELU is x Φ(x).",
    ),
    Mistake(
        lambda x: x / (1 + np.exp(-2 * x)),
        "This is x times a sigmoid. The exact GELU uses erf.",
    ),
    *(
        Mistake(
            lambda x, factor=factor: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + factor * x**3))),
            "This is the approximation by tanh, with a wrong number too. The exact GELU uses erf.",
        )
        for factor in (0.44715, 0.0044715, 0.44, 0.04, 0.045, 0.0447)
    ),
    *(
        Mistake(
            lambda x, factor=factor: 0.5 * x * (1 + erf(x / factor)),
            "x is divided by another number than √2 inside erf: Φ(x) = (1 + erf(x / √2)) / 2.",
        )
        for factor in (np.sqrt(np.pi), np.pi, np.sqrt(3), np.sqrt(2 * np.pi), 4)
    ),
    Mistake(
        lambda x: 0.5 * x + (1 + erf(x / np.sqrt(2))),
        "x / 2 is added to 1 + erf(x / √2). It has to multiply it.",
    ),
    Mistake(
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * x + 0.044715 * x**3)),
        "This is the approximation by tanh, with a bracket missing too. The exact GELU uses erf.",
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


def make_causal(scores: Array) -> Array:
    """Whether key j is not later than query i."""
    return np.tri(*scores.shape[-2:], dtype=bool)


def divide_by_all(scores: Array) -> Array:
    """One sum for all rows."""
    y = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return y / y.sum()


def subtract_one_maximum(scores: Array) -> Array:
    """One maximum for all rows."""
    y = np.exp(scores - scores.max())
    return y / y.sum(axis=-1, keepdims=True)


def renormalise(weights: Array, real: Array) -> Array:
    """Take padding out, and divide by what remains."""
    left = weights * real
    total = left.sum(axis=-1, keepdims=True)
    return left / np.where(total == 0, 1, total)


def scale_up(weights: Array, real: Array) -> Array:
    """Take padding out, and make up for it by the number of keys."""
    return weights * real * real.shape[-1] / np.maximum(real.sum(axis=-1, keepdims=True), 1)


SCALES = (  # wrong scales, also together with wrong masks
    (lambda query: 1, "The scores are not divided by √d."),
    (lambda query: 1 / query.shape[-1], "The scores are divided by d instead of √d."),
    (lambda query: query.shape[-1] ** 0.5, "The scores are multiplied by √d instead of divided by it."),
)
MASKS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"mask": keep, "clear": keep}, "is_real is not used."),
    ({"clear": keep}, "The weights of padding are not set to 0 after the softmax, where no key is real."),
    ({"mask": keep}, "Padding is masked after the softmax, so that the other weights do not sum to 1."),
    (
        {"mask": lambda scores, real: scores * real, "clear": keep},
        "The mask multiplies the scores: exp(0) = 1.",
    ),
    (
        {"mask": lambda scores, real: np.where(real, scores, -np.inf), "clear": keep},
        "-inf gives NaN where no key is real: use -1e30, and set the weights of padding to 0.",
    ),
    ({"view": lambda real: ~real[:, None, None, :]}, "The mask is inverted: is_real is True for real keys."),
)
TWO_FAULTS = tuple(
    (partial(compute_weights, scale=scale, **mask), f"Two things: {first} {second}")
    for scale, first in SCALES
    for mask, second in MASKS
)


def shrink_weights(query: Array, key: Array, is_real: Array | None, tiny: float) -> Array:
    """A small number in the denominator."""
    scores = query @ np.swapaxes(key, -1, -2) * scale_by_root(query)
    real = np.True_ if is_real is None else is_real[:, None, None, :]
    y = np.where(real, np.exp(scores - scores.max(axis=-1, keepdims=True)), 0.0)
    return y / (y.sum(axis=-1, keepdims=True) + tiny)


def mask_first_head(real: Array) -> Array:
    """A mask for the first of several heads."""
    return np.concatenate([real[:, None, None, :], np.ones_like(real)[:, None, None, :]], axis=1)


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
    (
        partial(compute_weights, scale=lambda query: (query**2).sum(axis=(1, 3), keepdims=True) ** -0.5),
        "The scores are divided by the length of the queries. They have to be divided by √d.",
    ),
    (
        lambda query, key, is_real=None: compute_weights(
            query, key, is_real, scale=lambda query: key.shape[2] ** -0.5
        ),
        "The scores are divided by the root of the number of keys. It has to be √d, d being the last size.",
    ),
    (
        lambda query, key, is_real=None: compute_weights(
            query / np.linalg.norm(query, axis=-1, keepdims=True),
            key / np.linalg.norm(key, axis=-1, keepdims=True),
            is_real,
            scale=lambda query: 1,
        ),
        "Queries and keys are divided by their lengths (cosine similarity). The scores are divided by √d "
        "instead.",
    ),
    (
        lambda query, key, is_real=None: compute_weights(
            query,
            key,
            is_real,
            mask=lambda scores, real: np.where(real & make_causal(scores), scores, -1e30),
            weigh=lambda scores: softmax(np.where(make_causal(scores), scores, -1e30)),
        ),
        "A causal mask is applied: queries do not see later keys. Here every query sees all real keys.",
    ),
    (
        partial(compute_weights, weigh=lambda scores: softmax(softmax(scores))),
        "The softmax is applied twice.",
    ),
    (
        partial(compute_weights, weigh=lambda scores: 1 / (1 + np.exp(-scores))),
        "This is the sigmoid of each score. The weights are the softmax over the keys.",
    ),
    (
        partial(compute_weights, weigh=lambda scores: np.exp(scores - scores.max(axis=-1, keepdims=True))),
        "The exponentials are not divided by their sum: each row has to sum to 1.",
    ),
    (
        partial(compute_weights, weigh=divide_by_all),
        "The softmax is taken over the whole array, or its maximum is: each row has its own, axis=-1.",
    ),
    (
        partial(compute_weights, weigh=subtract_one_maximum),
        "One maximum is subtracted from all rows: in a row far below it every exponential is 0. Each row has "
        "its own.",
    ),
    (
        partial(compute_weights, mask=keep, clear=renormalise),
        "Padding takes part in the softmax and is taken out afterwards. Where it has far larger scores than "
        "the real keys, their weights have become 0 before: replace the scores of padding before the "
        "softmax.",
    ),
    (
        partial(compute_weights, mask=keep, clear=scale_up),
        "The weights are multiplied by the number of keys over that of real keys. Replace the scores of "
        "padding before the softmax: then the weights of the real keys sum to 1.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, 0.0, -1e30)),
        "All real keys have the same weight: the scores are not used.",
    ),
    (
        partial(compute_weights, weigh=lambda scores: (scores == scores.max(axis=-1, keepdims=True)) * 1.0),
        "The key with the largest score gets all the weight. The softmax gives every real key some.",
    ),
    (
        partial(
            compute_weights,
            weigh=lambda scores: softmax(-scores),
            mask=lambda scores, real: np.where(real, scores, 1e30),
        ),
        "The sign of the scores is wrong: keys that fit get small weights.",
    ),
    (
        partial(
            compute_weights,
            view=lambda real: real[None, None] if real.shape[0] > 1 else real[:, None, None, :],
        ),
        "The mask lacks an axis: is_real[:, None, None, :] belongs to (B, heads, N, M).",
    ),
    (
        partial(compute_weights, view=lambda real: real[:, None, :]),
        "The mask lacks an axis: is_real[:, None, None, :] belongs to (B, heads, N, M).",
    ),
    (
        partial(compute_weights, view=lambda real: real),
        "The mask lacks axes: is_real[:, None, None, :] belongs to (B, heads, N, M).",
    ),
    (
        lambda query, key, is_real=None: np.where(
            True if is_real is None else is_real.any(axis=1)[:, None, None, None],
            compute_weights(query, key, is_real),
            np.nan,
        ),
        "A clip without any real key gives NaN. It has to give 0.",
    ),
    *TWO_FAULTS,
    (
        partial(compute_weights, scale=lambda query: query.shape[-1] ** -0.25),
        "The scores are divided by the fourth root of d. They have to be divided by √d.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, 1e30)),
        "The scores of padding are replaced by a large positive number. It has to be a very negative one: "
        "-1e30.",
    ),
    (
        partial(compute_weights, mask=lambda scores, real: np.where(real, scores, 1e30), clear=keep),
        "The scores of padding are replaced by a large positive number. It has to be a very negative one: "
        "-1e30.",
    ),
    *(
        (
            lambda query, key, is_real=None, tiny=tiny: shrink_weights(query, key, is_real, tiny),
            "A small number is added to the sum of the exponentials, so that the weights do not sum to 1. "
            "Only rows without a real key need care.",
        )
        for tiny in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
    ),
    (
        lambda query, key, is_real=None: compute_weights(
            query,
            key,
            None if is_real is None else np.arange(key.shape[2]) < is_real.sum(axis=1, keepdims=True),
        ),
        "The mask is used as a number of keys. Real keys need not come first: use is_real itself.",
    ),
    (
        partial(
            compute_weights, weigh=lambda scores: softmax(np.where(np.eye(*scores.shape[-2:]), -1e30, scores))
        ),
        "The diagonal is masked. A token attends to itself too.",
    ),
    (
        partial(compute_weights, view=mask_first_head),
        "The mask acts on the first head only. It is the same for all heads.",
    ),
    (
        partial(compute_weights, scale=lambda query: 1 / query.shape[-1], weigh=normalise_over(-2)),
        "Two things: The scores are divided by d instead of √d. The softmax runs over the queries.",
    ),
    (
        partial(compute_weights, scale=lambda query: 1, weigh=normalise_over(-2)),
        "Two things: The scores are not divided by √d. The softmax runs over the queries.",
    ),
    (
        partial(compute_weights, scale=lambda query: 1, weigh=divide_naively),
        "Two things: The scores are not divided by √d. The maximum is not subtracted.",
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
    Mistake(
        lambda query, key, value, is_real=None: attend(query, key, value, is_real) / np.sqrt(query.shape[-1]),
        "The output is divided by √d. The scores are divided by it, before the softmax, and nothing else.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: attend(query, key, value, is_real) + query,
        "The query is added to the output: the residual sum belongs to run_block.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: np.where(
            True if is_real is None else is_real.any(axis=1)[:, None, None, None],
            attend(query, key, value, is_real),
            value.mean(axis=2, keepdims=True),
        ),
        "A clip without any real key gets the mean of its values. It has to get 0.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: (
            attend(query, key, value, is_real) * is_real[:, None, :, None]
            if is_real is not None and query.shape[2] == key.shape[2]
            else attend(query, key, value, is_real)
        ),
        "The output of queries that are padding is set to 0. Only keys are masked.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: (
            attend(query, key, value, is_real).mean(axis=1, keepdims=True) + 0 * query
        ),
        "The mean over the heads is taken. Each head has its own output.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: (
            compute_weights(query, key, is_real).mean(axis=1, keepdims=True) @ value
        ),
        "The weights are averaged over the heads. Each head has its own.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: attend(
            query[:1], key[:1], value[:1], None if is_real is None else is_real[:1]
        ),
        "Only the first clip is computed.",
    ),
    Mistake(
        lambda query, key, value, is_real=None: (
            attend(query, key, value, is_real)
            * (1 if is_real is None else is_real.mean(axis=1)[:, None, None, None])
        ),
        "The output is multiplied by the share of real keys. The weights of the real keys sum to 1 already.",
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
    join: Any = join_heads,
    collect: Any = lambda maps, weights: maps.append(weights),
) -> Array:
    """`run_block` with one fault; `order` combines attention and MLP, both with their LayerNorm inside."""
    block = select(block)

    def attend(x: Array) -> Array:
        query, key, value = split_heads(norm(x, block.attention_norm, eps), block.attention, heads)
        weights = numpy_backend.attention_weights(query, key, is_real if masks else None)
        if maps is not None:
            collect(maps, weights)
        return join(weights @ value, block.attention)

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


def activate_last(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """GELU after the second linear map."""
    y = run_steps(x, block, heads, eps, is_real, maps, order=lambda x, attend, think: x + attend(x))
    hidden = run_linear(layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps), block.mlp.expand)
    return y + numpy_backend.gelu(run_linear(hidden, block.mlp.contract))


def activate_first(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """GELU before the first linear map."""
    y = run_steps(x, block, heads, eps, is_real, maps, order=lambda x, attend, think: x + attend(x))
    normed = layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps)
    return y + run_linear(run_linear(numpy_backend.gelu(normed), block.mlp.expand), block.mlp.contract)


def normalise_again(
    x: Array, block: Block, heads: int, eps: float, is_real: Array | None = None, maps: list | None = None
) -> Array:
    """A last LayerNorm."""
    y = run_steps(x, block, heads, eps, is_real, maps)
    return layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps)


def zero_padding(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    name: str,
) -> Array:
    """Zeros for padding, before or after the block."""
    real = 1 if is_real is None else is_real[:, :, None]
    y = run_steps(x * real if name == "input" else x, block, heads, eps, is_real, maps)
    return y * real if name == "output" else y


def fix_heads(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    fixed: int,
) -> Array:
    """Another number of heads."""
    return run_steps(x, block, fixed, eps, is_real, maps)


def collect_alone(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    what: str,
) -> Array:
    """Something else in maps."""
    if maps is not None:
        normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
        query, key, value = split_heads(x if what == "tokens" else normed, block.attention, heads)
        weights = numpy_backend.attention_weights(query, key, None if what == "unmasked" else is_real)
        scores = query @ np.swapaxes(key, -1, -2) * query.shape[-1] ** -0.5
        joined = join_heads(weights @ value, block.attention)
        maps.append({"output": joined, "scores": scores}.get(what, weights))
    return run_steps(x, block, heads, eps, is_real)


def residual_of_normed(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    first: bool,
) -> Array:
    """The normalised tokens in one of the two sums."""

    def order(x: Array, attend: Any, think: Any) -> Array:
        normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
        y = (normed if first else x) + attend(x)
        return (y if first else layer_norm(y, block.mlp_norm.weight, block.mlp_norm.bias, eps)) + think(y)

    return run_steps(x, block, heads, eps, is_real, maps, order=order)


def normalise_twice(x: Array, norm: LayerNorm, eps: float) -> Array:
    """LayerNorm of LayerNorm."""
    return layer_norm(layer_norm(x, norm.weight, norm.bias, eps), norm.weight, norm.bias, eps)


def normalise_after(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    which: str,
) -> Array:
    """One of the two LayerNorms after its sum."""
    late = getattr(block, f"{which}_norm")

    def norm(x: Array, norm: LayerNorm, eps: float) -> Array:
        return x if norm is late else layer_norm(x, norm.weight, norm.bias, eps)

    def order(x: Array, attend: Any, think: Any) -> Array:
        y = x + attend(x)
        y = layer_norm(y, late.weight, late.bias, eps) if which == "attention" else y
        y = y + think(y)
        return layer_norm(y, late.weight, late.bias, eps) if which == "mlp" else y

    return run_steps(x, block, heads, eps, is_real, maps, norm=norm, order=order)


def mix_inputs(
    x: Array,
    block: Block,
    heads: int,
    eps: float,
    is_real: Array | None = None,
    maps: list | None = None,
    *,
    plain: int,
) -> Array:
    """Query, key or value of tokens that are not normalised."""
    normed = layer_norm(x, block.attention_norm.weight, block.attention_norm.bias, eps)
    parts = list(split_heads(normed, block.attention, heads))
    parts[plain] = split_heads(x, block.attention, heads)[plain]
    weights = numpy_backend.attention_weights(parts[0], parts[1], is_real)
    if maps is not None:
        maps.append(weights)
    y = x + join_heads(weights @ parts[2], block.attention)
    return run_steps(y, block, heads, eps, order=lambda y, attend, think: y + think(y))


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
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + (y := x + attend(x)) + think(y)),
        "The tokens are added twice: x + Attention(LayerNorm(x)) gives the tokens to which the MLP is added.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := x + attend(x)) + think(x) + 0 * y),
        "The MLP gets the tokens before attention. It has to get those after it.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: x / (1 + np.exp(-x))),
        "The MLP uses SiLU. It has to use gelu.",
    ),
    Mistake(
        partial(run_steps, gelu=np.tanh),
        "The MLP uses tanh. It has to use gelu.",
    ),
    Mistake(
        partial(
            run_steps, gelu=lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        ),
        "The MLP uses the approximation of GELU by tanh. It has to use gelu.",
    ),
    Mistake(
        partial(run_steps, gelu=lambda x: numpy_backend.gelu(numpy_backend.gelu(x))),
        "gelu is applied twice.",
    ),
    Mistake(
        activate_last,
        "gelu is applied after the second linear map. It stands between the two: expand, gelu, contract.",
    ),
    Mistake(
        activate_first,
        "gelu is applied before the first linear map. It stands between the two: expand, gelu, contract.",
    ),
    Mistake(
        normalise_again,
        "The output is normalised once more. A pre-LN block ends with a sum.",
    ),
    Mistake(
        partial(zero_padding, name="output"),
        "The output of padding is set to 0. The mask acts in attention only; padding tokens go through the "
        "block too.",
    ),
    Mistake(
        partial(zero_padding, name="input"),
        "Padding tokens are set to 0 before the block. The mask acts in attention only.",
    ),
    Mistake(
        partial(fix_heads, fixed=1),
        "There is always one head. Hand the argument heads on to split_heads.",
    ),
    Mistake(
        partial(collect_alone, what="unmasked"),
        "The weights in maps ignore the padding: hand is_real on to attention_weights too.",
    ),
    Mistake(
        partial(collect_alone, what="output"),
        "The output of attention is appended to maps. Append its weights, (B, heads, N, N).",
    ),
    Mistake(
        partial(collect_alone, what="tokens"),
        "The weights in maps are those of the tokens before LayerNorm. They are those that attention uses.",
    ),
    Mistake(
        partial(collect_alone, what="scores"),
        "Scores are appended to maps. Append the weights, after the softmax.",
    ),
    Mistake(
        lambda x, block, heads, eps, is_real=None, maps=None: run_steps(
            x, block, heads, eps, None if is_real is None else ~is_real, maps
        ),
        "The mask is inverted on its way to attention: is_real is True for real tokens.",
    ),
    *(
        Mistake(
            partial(
                run_steps, norm=lambda x, norm, eps, fixed=fixed: layer_norm(x, norm.weight, norm.bias, fixed)
            ),
            "eps is a number of its own. Hand the argument eps on to layer_norm.",
        )
        for fixed in (1e-6, 1e-8, 1e-12, 0.0)
    ),
    Mistake(
        partial(residual_of_normed, first=True),
        "The normalised tokens are added in the first residual sum. The tokens themselves have to be added: "
        "x + Attention(LayerNorm(x)).",
    ),
    Mistake(
        partial(residual_of_normed, first=False),
        "The normalised tokens are added in the second residual sum. The tokens after attention have to be "
        "added.",
    ),
    Mistake(
        partial(run_steps, join=lambda x, attention: merge_heads(x)),
        "The output projection of attention is missing: call join_heads.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: x + (a := attend(x)) + think(a)),
        "The MLP gets the output of attention alone. It has to get the tokens after the first sum.",
    ),
    Mistake(
        partial(run_steps, order=lambda x, attend, think: (y := x + attend(x)) + think(y) - x),
        "The change of the tokens alone is returned. The tokens themselves belong to the sum.",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: normalise_twice(x, norm, eps)),
        "LayerNorm is applied twice before each part.",
    ),
    Mistake(
        partial(run_steps, collect=lambda maps, weights: maps.extend([weights, weights])),
        "The weights are appended to maps twice.",
    ),
    Mistake(
        partial(run_steps, norm=lambda x, norm, eps: layer_norm(x, 1.0, 0.0, eps)),
        "weight and bias of the LayerNorms are not used.",
    ),
    Mistake(
        partial(normalise_after, which="mlp"),
        "LayerNorm is applied after the second sum. It has to be applied to the input of the MLP.",
    ),
    Mistake(
        partial(normalise_after, which="attention"),
        "LayerNorm is applied after the first sum. It has to be applied to the input of attention.",
    ),
    Mistake(
        partial(mix_inputs, plain=2),
        "The values come from tokens that are not normalised. Query, key and value all come from "
        "LayerNorm(x).",
    ),
    Mistake(
        partial(mix_inputs, plain=0),
        "The queries come from tokens that are not normalised. Query, key and value all come from "
        "LayerNorm(x).",
    ),
    Mistake(
        partial(run_steps, masks=False, gelu=lambda x: np.maximum(x, 0)),
        "Two things: is_real is not handed on to attention, and the MLP uses ReLU instead of gelu.",
    ),
    Mistake(
        partial(run_steps, masks=False, select=lambda block: replace(block, mlp_norm=block.attention_norm)),
        "Two things: is_real is not handed on to attention, and the MLP gets attention_norm.",
    ),
    Mistake(
        partial(run_steps, masks=False, collect=lambda maps, weights: None),
        "Two things: is_real is not handed on to attention, and nothing is appended to maps.",
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
    value_part: Any = lambda value, start, size: value[:, :, start : start + size],
    lowest: float = -1e30,
    divides: bool = True,
    divides_each: bool = False,
    keeps_maximum: bool = False,
    shrinks_late: bool = False,
    adds_total: bool = True,
    adds_output: bool = True,
    guards: bool = True,
    shrinks_new: bool = False,
    uses_old: bool = False,
    reduce: Any = np.sum,
) -> Array:
    """`attend_in_blocks` with one fault."""
    highest = np.full((*query.shape[:3], 1), lowest)
    total, output = np.zeros(highest.shape), np.zeros(query.shape)
    for start in count(key.shape[2], size):
        some, values = key[:, :, start : start + size], value_part(value, start, size)
        scores = query @ np.swapaxes(some, -1, -2) * scale(query)
        real = None if is_real is None or ignores_mask else mask_part(is_real, start, size)[:, None, None, :]
        scores = scores if real is None else np.where(real, scores, padding)
        new = larger(highest, scores)
        weights = np.exp(scores - (np.where(highest > -1e29, highest, new) if uses_old else new))
        weights = weights if real is None or not clears else np.where(real, weights, 0.0)
        factors = shrink_total(highest, new), shrink_sum(highest, new)
        early = (1.0, 1.0) if shrinks_new else factors
        late = factors if shrinks_late or shrinks_new else (1.0, 1.0)
        total = adds_total * early[0] * total + late[0] * reduce(weights, axis=-1, keepdims=True)
        output = adds_output * early[1] * output + late[1] * (weights @ values)
        output = output / np.where(total == 0, 1, total) if divides_each else output
        highest = highest if keeps_maximum else new
    if divides_each or not divides:
        return output
    return output / (np.where(total == 0, 1, total) if clears and guards else total)


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


def square_factor(old: Array, new: Array) -> Array:
    """The factor, twice."""
    return np.exp(2 * (old - new))


BLOCKS_MISTAKES = (
    Mistake(
        partial(run_online, guards=False),
        "A query without any real key ends with 0 / 0, which is NaN. It has to get 0: do not divide by 0.",
    ),
    Mistake(
        partial(run_online, shrink_total=square_factor, shrink_sum=square_factor),
        "The sums so far are multiplied by the square of the factor: it is exp(old maximum - new maximum).",
    ),
    Mistake(
        partial(run_online, shrinks_new=True),
        "The factor multiplies what the new block adds. It has to multiply the sums so far.",
    ),
    Mistake(
        partial(run_online, uses_old=True),
        "The exponentials of the new block use the old maximum. They have to use the new one.",
    ),
    Mistake(
        partial(run_online, reduce=np.mean),
        "The mean of the exponentials is added to the denominator. It has to be their sum.",
    ),
    Mistake(
        partial(run_online, reduce=np.max),
        "The largest exponential is added to the denominator. It has to be their sum.",
    ),
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
    Mistake(
        partial(run_online, divides=False),
        "The numerator is not divided by the denominator at the end.",
    ),
    Mistake(
        partial(run_online, divides_each=True),
        "The numerator is divided by the denominator in every block. It is divided once, after the last "
        "block.",
    ),
    Mistake(
        partial(run_online, count=lambda M, size: range(size, M, size)),
        "The first block of keys is left out: blocks begin at range(0, M, size).",
    ),
    Mistake(
        partial(run_online, count=lambda M, size: range(0, M, max(1, size - 1))),
        "Neighbouring blocks share a key: they begin at range(0, M, size).",
    ),
    Mistake(
        partial(run_online, count=lambda M, size: range(0, M, size + 1)),
        "A key is left out between blocks: they begin at range(0, M, size).",
    ),
    Mistake(
        partial(run_online, count=lambda M, size: range(0, M - 1, size)),
        "The last key may be left out: blocks begin at range(0, M, size).",
    ),
    Mistake(
        partial(run_online, lowest=0.0),
        "The maximum begins at 0. Where all scores are far below 0, every exponential is 0: begin with "
        "-1e30.",
    ),
    Mistake(
        partial(run_online, keeps_maximum=True),
        "The maximum is not kept for the next block: highest = larger is missing at the end of the loop.",
    ),
    Mistake(
        partial(run_online, shrinks_late=True),
        "The factor is applied after the new block has been added. It applies to the sums so far only.",
    ),
    Mistake(
        partial(run_online, mask_part=lambda is_real, start, size: np.roll(is_real, start, axis=1)[:, :size]),
        "The mask is not cut like the keys: take is_real[:, start : start + size].",
    ),
    Mistake(
        partial(run_online, mask_part=lambda is_real, start, size: is_real[:, :size]),
        "The mask of the first block is used for all blocks: take is_real[:, start : start + size].",
    ),
    Mistake(
        partial(
            run_online,
            mask_part=lambda is_real, start, size: is_real[:, : is_real[:, start : start + size].shape[1]],
        ),
        "The mask of the first block is used for all blocks: take is_real[:, start : start + size].",
    ),
    Mistake(
        partial(run_online, value_part=lambda value, start, size: value[:, :, :size]),
        "The values of the first block are used for all blocks: take value[:, :, start : start + size].",
    ),
    Mistake(
        partial(run_online, adds_total=False),
        "The denominator is that of the last block: add up the sums of all blocks.",
    ),
    Mistake(
        partial(run_online, adds_output=False),
        "The numerator is that of the last block: add up the products of all blocks.",
    ),
    Mistake(
        partial(run_online, scale=lambda query: query.shape[-1] ** 0.5),
        "The scores are multiplied by √d. They have to be divided by it.",
    ),
    Mistake(
        lambda query, key, value, is_real, size: run_online(
            query, key[:, :, :size], value[:, :, :size], None, size
        ),
        "Only the first block of keys is used.",
    ),
    Mistake(
        partial(run_online, scale=lambda query: 1, ignores_mask=True),
        "Two things: the scores are not divided by √d, and is_real is not used.",
    ),
)
