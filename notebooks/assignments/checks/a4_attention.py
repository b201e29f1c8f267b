"""Assignment a4, the vector-Jacobian product of attention: cases, points and known mistakes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minitvlt.backends import numpy_backend, tape_backend

from .blanks import Blank, Case, Check, Mistake

Array = np.ndarray


def make_attention_cases(rng: np.random.Generator) -> list[Case]:
    """Inputs of `attention_vjp`; tags say in what a case differs from the first."""

    def draw(tag: str, B: int, heads: int, N: int, M: int, d: int, is_real: Any = None) -> Case:
        g, query = rng.normal(size=(2, B, heads, N, d))
        key, value = rng.normal(size=(2, B, heads, M, d))
        is_real = None if is_real is None else np.array(is_real, dtype=bool)
        arguments = {"g": g, "query": query, "key": key, "value": value, "is_real": is_real}
        return Case(arguments, (tag,))

    large = draw("large values", 1, 1, 3, 3, 2)
    large.arguments["query"][..., 1], large.arguments["key"][..., 1] = 40.0, 37.0  # adds 1047 to all scores
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


attention_vjp = tape_backend.attention_vjp
Step = Callable[..., Array]


def flip(a: Array) -> Array:
    """Exchange the last two axes."""
    return np.swapaxes(a, -1, -2)


def vary_attention(
    find_scale: Callable[..., float] = lambda query, key: query.shape[-1] ** -0.5,
    weigh: Step = lambda scores, mask: np.where(
        mask, numpy_backend.softmax(np.where(mask, scores, -1e30)), 0.0
    ),
    through_softmax: Step = tape_backend.softmax_vjp,
    find_last_scale: Callable[..., float] = lambda query, key: query.shape[-1] ** -0.5,
    shape_mask: Step = lambda is_real: is_real[:, None, None, :],
    finish: Callable[..., Any] = lambda r, weights, g, query, key, value: (
        r @ key,
        flip(r) @ query,
        flip(weights) @ g,
    ),
) -> Callable[..., Any]:
    """Attention's VJP with one step that can be replaced by a wrong one."""

    def vjp(g: Array, query: Array, key: Array, value: Array, is_real: Array | None) -> Any:
        mask = np.True_ if is_real is None else shape_mask(is_real)
        weights = weigh(query @ flip(key) * find_scale(query, key), mask)
        r = through_softmax(g @ flip(value), weights) * find_last_scale(query, key)
        return finish(r, weights, g, query, key, value)

    return vjp


def softmax_unsafely(scores: Array, mask: Array) -> Array:
    """Softmax without subtracting the maximum."""
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.exp(np.where(mask, scores, -1e30))
        return np.where(mask, y / np.maximum(y.sum(axis=-1, keepdims=True), 1e-300), 0.0)


def mean_of_heads(weights: Array) -> Array:
    """The same weights for all heads."""
    return np.mean(weights, axis=1, keepdims=True)


def mask_queries_too(g: Array, query: Array, key: Array, value: Array, is_real: Array | None) -> Any:
    """is_real is used for the rows of the weights too."""
    if is_real is not None and query.shape[2] == key.shape[2]:
        g = np.where(is_real[:, None, :, None], g, 0.0)
    return attention_vjp(g, query, key, value, is_real)


def mask_gradients_alone(g: Array, query: Array, key: Array, value: Array, is_real: Array | None) -> Any:
    """Gradients without a mask, then 0 for padding."""
    back, g_key, g_value = attention_vjp(g, query, key, value, None)
    keep = 1.0 if is_real is None else is_real[:, None, :, None]
    return back, g_key * keep, g_value * keep


def zero_padded_keys(g: Array, query: Array, key: Array, value: Array, is_real: Array | None) -> Any:
    """Keys and values of padding are 0, and nothing is masked."""
    keep = 1.0 if is_real is None else is_real[:, None, :, None]
    return attention_vjp(g, query, key * keep, value * keep, None)


def softmax_over(scores: Array, mask: Array, axis: int | None) -> Array:
    """Softmax with rows that have their own maximum, and a sum over another axis."""
    y = np.exp(np.where(mask, scores, -1e30) - np.max(np.where(mask, scores, -1e30), axis=-1, keepdims=True))
    return y / np.sum(y, axis=axis, keepdims=True)


def shift_by_wrong_axis(scores: Array, mask: Array) -> Array:
    """Softmax of scores from which the maximum of each column is subtracted."""
    return np.where(mask, numpy_backend.softmax(scores - np.max(scores, axis=-2, keepdims=True)), 0.0)


ATTENTION_MISTAKES = (
    Mistake(
        vary_attention(find_last_scale=lambda query, key: 1.0),
        "The gradients of queries and keys are too large by √d: the scores were divided by √d, so the way "
        "back divides by it too.",
    ),
    Mistake(
        vary_attention(find_scale=lambda query, key: 1.0),
        "The scores lack the division by √d, so the weights that are computed again are not those of the "
        "forward pass.",
    ),
    Mistake(
        vary_attention(find_scale=lambda query, key: 1.0, find_last_scale=lambda query, key: 1.0),
        "The scale 1/√d is missing, in the scores and on the way back.",
    ),
    Mistake(
        vary_attention(find_last_scale=lambda query, key: 1 / query.shape[-1]),
        "The way back is divided by √d twice: once is right, as in the scores.",
    ),
    Mistake(
        vary_attention(
            find_scale=lambda query, key: query.shape[-1] ** 0.5,
            find_last_scale=lambda query, key: query.shape[-1] ** 0.5,
        ),
        "The scores are multiplied by √d instead of divided.",
    ),
    Mistake(
        vary_attention(
            find_scale=lambda query, key: 1 / query.shape[-1],
            find_last_scale=lambda query, key: 1 / query.shape[-1],
        ),
        "The scores are divided by d instead of √d.",
    ),
    Mistake(
        vary_attention(
            find_scale=lambda query, key: key.shape[2] ** -0.5,
            find_last_scale=lambda query, key: key.shape[2] ** -0.5,
        ),
        "The scores are divided by the root of the number of keys. It is √d, with d the width of a head: the "
        "last axis.",
    ),
    Mistake(
        vary_attention(
            find_scale=lambda query, key: (query.shape[1] * query.shape[-1]) ** -0.5,
            find_last_scale=lambda query, key: (query.shape[1] * query.shape[-1]) ** -0.5,
        ),
        "The scores are divided by the root of the whole width, heads × d. Each head has its own scores: √d.",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: g),
        "The step through the softmax is missing: the cotangent of the scores is softmax_vjp(G Vᵀ, P).",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: g * y),
        "The step through the softmax lacks the sum over the row: the cotangent of the scores is "
        "P (G Vᵀ - c), with c the sum of G Vᵀ ⊙ P over each row.",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: g * y * (1 - y)),
        "The step through the softmax uses the diagonal of its Jacobian alone: use softmax_vjp(G Vᵀ, P).",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: y * (g - np.sum(g * y, axis=-2, keepdims=True))),
        "The step through the softmax sums over the queries. A row of weights belongs to one query: sum over "
        "the keys, the last axis.",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: y * (g - np.sum(g * y, axis=(0, 1, 3), keepdims=True))),
        "The step through the softmax sums over batch and heads as well: sum over the last axis alone.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: numpy_backend.softmax(scores)),
        "The mask is not used: padding must have weight 0, so that it gets no gradient and gives none.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: np.where(mask, numpy_backend.softmax(scores), 0.0)),
        "Weights of padding are set to 0 after the softmax, so those of a row no longer sum to 1. Set the "
        "scores to a large negative number before it.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: numpy_backend.softmax(np.where(mask, scores, -1e30))),
        "A row without a real key: all its scores are equally low, so the softmax gives it equal weights. "
        "Set the weights of padding to 0 after the softmax too.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: numpy_backend.softmax(scores + np.where(mask, 0.0, -1e9))),
        "A row without a real key: a number added to all scores does not change the softmax. Set the weights "
        "of padding to 0 after the softmax too.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: numpy_backend.softmax(np.where(mask, scores, 0.0))),
        "Scores of padding are set to 0, or multiplied by the mask. exp(0) is 1, so padding still gets "
        "weight: set them to a large negative number.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: numpy_backend.softmax(scores + mask)),
        "The mask is added to the scores: 1 for a real key. Set the scores of padding to a large negative "
        "number instead.",
    ),
    Mistake(
        vary_attention(
            weigh=lambda scores, mask: (
                np.where(np.logical_not(mask), numpy_backend.softmax(np.where(mask, -1e30, scores)), 0.0)
                if np.ndim(mask)
                else numpy_backend.softmax(scores)
            )
        ),
        "The mask is read the wrong way round: True is a real key, False is padding.",
    ),
    Mistake(
        vary_attention(shape_mask=lambda is_real: is_real[:, None, :, None]),
        "The mask is laid along the queries. It says which keys are real: is_real[:, None, None, :], the "
        "last axis of the scores.",
    ),
    Mistake(
        vary_attention(weigh=softmax_unsafely),
        "Large scores overflow in exp: subtract the maximum of each row before.",
    ),
    Mistake(
        vary_attention(
            weigh=lambda scores, mask: np.where(
                mask, flip(numpy_backend.softmax(flip(np.where(mask, scores, -1e30)))), 0.0
            )
        ),
        "The softmax runs over the queries. The weights of one query sum to 1 over all keys, the last axis.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (r @ key, flip(r) @ query, weights @ g)
        ),
        "∂L/∂V uses P without transposing it: each value collects from all queries, Pᵀ G.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (r @ key, r @ query, flip(weights) @ g)
        ),
        "∂L/∂K uses the cotangent R of the scores without transposing it: each key collects from all "
        "queries, Rᵀ Q.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (r @ query, flip(r) @ key, flip(weights) @ g)
        ),
        "Queries and keys are exchanged: ∂L/∂Q = R K, and ∂L/∂K = Rᵀ Q.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (flip(r) @ query, r @ key, flip(weights) @ g)
        ),
        "The order of the results is wrong: query, key, value.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (flip(weights) @ g, flip(r) @ query, r @ key)
        ),
        "The order of the results is wrong: query, key, value.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (r @ key, flip(r) @ query, flip(weights) @ value)
        ),
        "∂L/∂V multiplies the weights with V. It is Pᵀ G, with the cotangent G of the result.",
    ),
    Mistake(
        vary_attention(finish=lambda r, weights, g, query, key, value: (r @ key, flip(r) @ query)),
        "∂L/∂V is missing: three contributions are returned, for query, key and value.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (r @ key, flip(r) @ query, flip(r) @ g)
        ),
        "∂L/∂V uses the cotangent of the scores. The values are multiplied by the weights P: Pᵀ G.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: numpy_backend.softmax(np.where(mask, scores, -10.0))),
        "Scores of padding are filled with a number that is not low enough, so padding keeps a little "
        "weight. Use -1e30, and set the weights of padding to 0 after the softmax.",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: tape_backend.softmax_vjp(y, g)),
        "The arguments of softmax_vjp are exchanged: first the cotangent G Vᵀ, then the weights P.",
    ),
    Mistake(
        vary_attention(through_softmax=lambda g, y: tape_backend.softmax_vjp(g, numpy_backend.softmax(y))),
        "The softmax is applied to the weights once more, before softmax_vjp: P is its result already.",
    ),
    Mistake(
        vary_attention(
            weigh=lambda scores, mask: np.broadcast_to(
                mean_of_heads(np.where(mask, numpy_backend.softmax(np.where(mask, scores, -1e30)), 0.0)),
                scores.shape,
            )
        ),
        "The heads are mixed: each head has weights of its own.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                r.reshape(flip(r).shape) @ query,
                flip(weights) @ g,
            )
        ),
        "∂L/∂K uses reshape where the last two axes have to be exchanged: np.swapaxes(R, -1, -2).",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                r.T.reshape(flip(r).shape) @ query,
                flip(weights) @ g,
            )
        ),
        "∂L/∂K uses R.T, which reverses all four axes: exchange the last two, np.swapaxes(R, -1, -2).",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                flip(r) @ query,
                weights.T.reshape(flip(weights).shape) @ g,
            )
        ),
        "∂L/∂V uses P.T, which reverses all four axes: exchange the last two, np.swapaxes(P, -1, -2).",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                flip(r) @ query,
                flip(weights) @ g * query.shape[-1] ** -0.5,
            )
        ),
        "∂L/∂V is divided by √d. The scale belongs to the scores, so only ∂L/∂Q and ∂L/∂K have it.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                flip(r) @ query * query.shape[-1] ** 0.5,
                flip(weights) @ g,
            )
        ),
        "∂L/∂K lacks the division by √d: both queries and keys have it.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key * query.shape[-1] ** 0.5,
                flip(r) @ query,
                flip(weights) @ g,
            )
        ),
        "∂L/∂Q lacks the division by √d: both queries and keys have it.",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                flip(r) @ query,
                (flip(weights) @ g).sum(axis=1, keepdims=True) + 0 * value,
            )
        ),
        "∂L/∂V is summed over the heads: each head has values of its own.",
    ),
    Mistake(
        mask_queries_too, "Queries that are padding are masked as well: is_real says which keys are real."
    ),
    Mistake(
        mask_gradients_alone,
        "Only the gradients of padding are set to 0, but the weights are those without a mask. Padding must "
        "have weight 0, so that the weights of real keys sum to 1.",
    ),
    Mistake(
        zero_padded_keys,
        "Keys of padding are set to 0, so their scores are 0, and exp(0) is 1: set the scores to -1e30.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: softmax_over(scores, mask, None)),
        "The softmax runs over all scores at once: each row of scores has its own, over the last axis.",
    ),
    Mistake(
        vary_attention(weigh=shift_by_wrong_axis),
        "The maximum is taken over the wrong axis: subtract from each row its own maximum, axis=-1.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: np.ones_like(scores) / scores.shape[-1]),
        "All weights are equal: they are the softmax of the scores.",
    ),
    Mistake(
        vary_attention(weigh=lambda scores, mask: np.where(mask, scores, 0.0)),
        "The scores stand where the weights should: apply the softmax to them first.",
    ),
    Mistake(
        vary_attention(shape_mask=lambda is_real: is_real[:, None, :]),
        "The mask has three axes, so that its batch meets the heads of the scores. They have four: "
        "is_real[:, None, None, :].",
    ),
    Mistake(
        vary_attention(
            finish=lambda r, weights, g, query, key, value: (
                r @ key,
                np.swapaxes(r, 1, 2) @ query,
                np.swapaxes(weights, 1, 2) @ g,
            )
        ),
        "Heads and queries are exchanged, axes 1 and 2: Pᵀ and Rᵀ exchange the last two axes, -1 and -2.",
    ),
)

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
        ATTENTION_MISTAKES,
    ),
)
