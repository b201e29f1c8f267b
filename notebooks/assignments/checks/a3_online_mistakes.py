"""Wrong attention in blocks of keys, and what a tutor would say about each."""

from functools import partial
from typing import Any

import numpy as np

from .a3_attention_mistakes import attend, scale_by_root
from .blanks import Mistake

Array = np.ndarray


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
