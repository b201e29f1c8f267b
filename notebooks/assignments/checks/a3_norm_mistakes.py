"""Wrong LayerNorm, softmax and GELU, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np
from scipy.special import erf, ndtr

from .blanks import Mistake

Array = np.ndarray

# ----------------------------------------------------------------------------------------------- layer_norm


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
        lambda x, weight, bias, eps: normalise(
            x,
            weight,
            bias,
            eps,
            divide=lambda variance, eps: np.sqrt(
                (x * x).mean(-1, keepdims=True) - x.mean(-1, keepdims=True) ** 2 + eps
            ),
        ),
        "The variance is the mean of x² minus mean². This is right on paper, but for a large mean it is a "
        "small difference of large numbers, which loses digits: use the mean of (x - mean)².",
    ),
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


# -------------------------------------------------------------------------------------------------- softmax


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


# ----------------------------------------------------------------------------------------------------- gelu

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
