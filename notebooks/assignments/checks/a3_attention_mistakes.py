"""Wrong attention, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np

from minitvlt.backends.numpy_backend import softmax

from .blanks import Mistake

Array = np.ndarray


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
