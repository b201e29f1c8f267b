"""Wrong ways to draw masks, with what to say about each.

A wrong function is a right one with one step exchanged; `mask_tokens`, `mask_steps` and `mask_speech` take
the steps as arguments.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import minitvlt as mt

from .blanks import Mistake

Array = np.ndarray


# ---- random masking, step by step


def put_padding_last(noise: Array, real: Array) -> Array:
    """The order of the tokens (B, N)."""
    return np.lexsort((noise, ~real), axis=1)


def count_kept(real: Array, ratio: float) -> Array:
    """The number of kept tokens (B,)."""
    return np.floor(real.sum(axis=1) * (1 - ratio) + 1e-9).astype(int)


def invert(order: Array, noise: Array) -> Array:
    """The place of each token in the order (B, N)."""
    return np.argsort(order, axis=1)


def hide(order: Array, restore: Array, kept: Array, real: Array) -> Array:
    """True where a token is hidden (B, N)."""
    return (restore >= kept[:, None]) & real


def keep_first(order: Array, restore: Array, K: int, kept: Array) -> Array:
    """The kept tokens (B, K)."""
    return order[:, :K]


def count_real(K: int, kept: Array, real: Array, order: Array) -> Array:
    """False where `keep` is filled up (B, K)."""
    return np.arange(K) < kept[:, None]


def mask_tokens(
    noise: Array,
    ratio: float,
    mask: Array | None = None,
    *,
    sort: Callable = put_padding_last,
    count: Callable = count_kept,
    place: Callable = invert,
    choose: Callable = hide,
    keep: Callable = keep_first,
    fill: Callable = count_real,
    widest: Callable = max,
) -> mt.Masking:
    """Random masking from its steps; each of them may be a wrong one."""
    real = np.ones(noise.shape, bool) if mask is None else mask
    order = sort(noise, real)
    kept = count(real, ratio)
    restore = place(order, noise)
    K = int(widest(kept))
    return mt.Masking(
        keep(order, restore, K, kept), restore, choose(order, restore, kept, real), fill(K, kept, real, order)
    )


def sort_alone(noise: Array, real: Array) -> Array:
    """Padding stays among the others."""
    return np.argsort(noise, axis=1, kind="stable")


def replace_noise(value: float) -> Callable[[Array, Array], Array]:
    """Padding gets a noise of its own."""
    return lambda noise, real: np.argsort(np.where(real, noise, value), axis=1, kind="stable")


def add_to_noise(value: float) -> Callable[[Array, Array], Array]:
    """Padding gets a noise that is larger by a number."""
    return lambda noise, real: np.argsort(noise + value * ~real, axis=1, kind="stable")


def sort_by(change: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """Another order of the noise."""
    return lambda noise, real: np.lexsort((change(noise), ~real), axis=1)


def sort_reversed(noise: Array, real: Array) -> Array:
    """Sorted, and read from the end, padding included."""
    return np.argsort(np.where(real, noise, np.inf), axis=1)[:, ::-1]


def sort_first_row(noise: Array, real: Array) -> Array:
    """One order for all rows."""
    return np.broadcast_to(put_padding_last(noise, real)[:1], noise.shape)


def sort_columns(noise: Array, real: Array) -> Array:
    """Sorted along the batch."""
    return np.argsort(noise, axis=0)


def sort_backwards_among_equals(noise: Array, real: Array) -> Array:
    """Equal noise in reversed order."""
    return noise.shape[1] - 1 - np.lexsort((noise[:, ::-1], ~real[:, ::-1]), axis=1)


def count_by(
    function: Callable[[Any, float], Any], all_tokens: bool = False
) -> Callable[[Array, float], Array]:
    """Another formula of the number of tokens n and the ratio."""

    def count(real: Array, ratio: float) -> Array:
        counts = [real.shape[1]] * len(real) if all_tokens else real.sum(axis=1).tolist()
        return np.array([int(function(n, ratio)) for n in counts])

    return count


def count_like(choose: Callable) -> Callable[[Array, float], Array]:
    """One number for all rows."""

    def count(real: Array, ratio: float) -> Array:
        return np.full(len(real), int(choose(count_kept(real, ratio))))

    return count


def hide_shuffled(order: Array, restore: Array, kept: Array, real: Array) -> Array:
    """In the order of the noise."""
    return np.broadcast_to(np.arange(order.shape[1]) >= kept[:, None], order.shape)


def hide_as_many(order: Array, restore: Array, kept: Array, real: Array) -> Array:
    """restore > kept."""
    return (restore > kept[:, None]) & real


MASKS: list[tuple[Callable, str]] = [
    (partial(mask_tokens, place=lambda order, noise: order),
     "`restore` is the order itself; it should be the inverse permutation, np.argsort(order, axis=1): for "
     "every token its place in the order. `is_hidden` follows from it."),
    (partial(mask_tokens, place=lambda order, noise: order,
             choose=lambda o, r, k, real: hide(o, invert(o, o), k, real)),
     "`restore` is the order itself; it should be the inverse permutation, np.argsort(order, axis=1): for "
     "every token its place in the order."),
    (partial(mask_tokens, place=lambda order, noise: np.argsort(invert(order, noise), axis=1),
             choose=lambda o, r, k, real: hide(o, invert(o, o), k, real)),
     "`restore` is sorted once too often: it should be the inverse permutation of the order, "
     "np.argsort(order, axis=1)."),
    (partial(mask_tokens, place=lambda order, noise: np.argsort(noise, axis=1)),
     "`restore` is the argsort of the noise, which is the order; the argsort of the order is wanted: its "
     "inverse permutation."),
    (partial(mask_tokens, place=lambda order, noise: np.argsort(np.argsort(noise, axis=1), axis=1)),
     "`restore` is made of the noise without padding in mind: padding has to come last in it as well. "
     "Invert the order that `keep` is taken from."),
    (partial(mask_tokens, sort=sort_by(np.negative)),
     "The tokens of the largest noise are kept; those of the smallest noise should be."),
    (partial(mask_tokens, sort=sort_reversed),
     "The order is reversed: the tokens of the largest noise are kept, or padding comes first."),
    (partial(mask_tokens, keep=lambda o, r, K, kept: o[:, o.shape[1] - K:]),
     "`keep` has the last tokens of the order; the first K are kept, those of the smallest noise."),
    (partial(mask_tokens, choose=lambda o, r, k, real: (r < k[:, None]) & real),
     "`is_hidden` is True for the kept tokens: hidden are those whose place in the order is K or later."),
    (partial(mask_tokens, choose=lambda o, r, k, real: ~hide(o, r, k, real)),
     "`is_hidden` is the wrong way round: True where it should be False, also for padding."),
    (partial(mask_tokens, choose=hide_shuffled),
     "`is_hidden` is in the order of the noise: it has to be in the order of the clip. A token is hidden "
     "if its entry in `restore` is K or larger."),
    (partial(mask_tokens, choose=lambda o, r, k, real: hide_shuffled(o, r, k, real) & real),
     "`is_hidden` is in the order of the noise: it has to be in the order of the clip. A token is hidden "
     "if its entry in `restore` is K or larger."),
    (partial(mask_tokens, choose=lambda o, r, k, real: (o >= k[:, None]) & real),
     "`is_hidden` compares the order with K instead of `restore`, the place of each token."),
    (partial(mask_tokens, choose=hide_as_many),
     "`is_hidden` is off by one: the token at place K is hidden too, since places begin at 0 (>= instead "
     "of >)."),
    (partial(mask_tokens, choose=lambda o, r, k, real: (r >= k.max()) & real),
     "`is_hidden` compares with the largest K of the batch; each row has its own number of kept tokens."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n * (1 - ratio))),
     "The number of kept tokens is one too small because of rounding errors: 10 · (1 - 0.9) is slightly "
     "below 1. Add 1e-9 before rounding down."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: round(n * (1 - ratio)))),
     "The number of kept tokens is rounded to the nearest whole number; it is rounded down."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: math.ceil(n * (1 - ratio) - 1e-9))),
     "The number of kept tokens is rounded up, or the number of hidden tokens down; that of the kept ones "
     "is rounded down (floor)."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: math.ceil(n * (1 - ratio)))),
     "The number of kept tokens is rounded up, or the number of hidden tokens down; that of the kept ones "
     "is rounded down (floor)."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n - int(n * ratio))),
     "The number of hidden tokens is rounded down; it is the number of kept ones that is rounded down."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n - int(n * ratio + 1e-9))),
     "The number of hidden tokens is rounded down; it is the number of kept ones that is rounded down."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n - round(n * ratio))),
     "The number of hidden tokens is rounded to the nearest; it is the number of kept ones that is rounded "
     "down."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n * ratio + 1e-9)),
     "`ratio` is taken as the share that is kept: it is the share that is hidden."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n * ratio)),
     "`ratio` is taken as the share that is kept: it is the share that is hidden."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: max(1, n * (1 - ratio) + 1e-9))),
     "At least one token is kept; where ⌊N (1 - ratio)⌋ is 0, none is, and `keep` has the shape (B, 0)."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: max(n > 0, n * (1 - ratio) + 1e-9))),
     "At least one token is kept; where ⌊N (1 - ratio)⌋ is 0, none is, and `keep` has the shape (B, 0)."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: min(n, n * (1 - ratio) + 1))),
     "One token too many is kept: an off-by-one in K."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n // 2)),
     "`ratio` is ignored: half of the tokens are hidden whatever it is."),
    (lambda noise, ratio, mask=None: mask_tokens(noise, ratio),
     "`mask` is ignored: padding is kept and hidden like real tokens."),
    (partial(mask_tokens, count=count_by(lambda n, ratio: n * (1 - ratio) + 1e-9, all_tokens=True)),
     "The number of kept tokens counts padding: N in ⌊N (1 - ratio)⌋ is the number of real tokens of each "
     "row, mask.sum(axis=1)."),
    (partial(mask_tokens, choose=lambda o, r, k, real: r >= k[:, None]),
     "Padding is hidden: `is_hidden` has to be False where `mask` is False, since there is nothing to fill "
     "in."),
    (partial(mask_tokens, sort=sort_alone),
     "Padding is not sorted last: it can be kept, and takes the place of real tokens."),
    (partial(mask_tokens, sort=sort_alone, choose=lambda o, r, k, real: r >= k[:, None]),
     "Padding is not sorted last, and it is hidden: only the number of kept tokens takes `mask` into "
     "account."),
    (partial(mask_tokens, sort=lambda noise, real: np.lexsort((noise, real), axis=1)),
     "Padding is sorted first; it has to come last. Is `mask` taken the wrong way round? True is real."),
    (partial(mask_tokens, sort=replace_noise(-np.inf)),
     "Padding is sorted first; it has to come last."),
    (partial(mask_tokens, sort=replace_noise(0)),
     "Padding gets the noise 0, so it is sorted first; it has to come last."),
    (partial(mask_tokens, sort=replace_noise(1)),
     "Padding is given the noise 1, and is last only as long as all noise is below 1. Use np.inf, or sort "
     "by two keys."),
    (partial(mask_tokens, sort=replace_noise(2)),
     "Padding is given the noise 2, and is last only as long as all noise is below 2. Use np.inf, or sort "
     "by two keys."),
    *((partial(mask_tokens, sort=add_to_noise(value)),
       f"Padding gets a noise larger by {value:g}, and is last only as long as all noise lies closer "
       "together, as numbers beyond 1 need not. Use np.inf, or sort by two "
       "keys.") for value in (1, 2, 10, 100, 1000)),
    *((partial(mask_tokens, sort=replace_noise(value)),
       f"Padding is given the noise {value:g}, and is last only as long as all noise is below. Use np.inf, "
       "or sort by two keys.") for value in (9, 10, 99, 100, 1000)),
    (lambda noise, ratio, mask=None: mask_tokens(noise, ratio, None if mask is None else ~mask),
     "`mask` is taken the wrong way round: True is a real token, False is padding."),
    (partial(mask_tokens, keep=lambda o, r, K, kept: np.sort(o[:, :K], axis=1)),
     "`keep` is sorted by index; it has to stay in the order of the noise, which `restore` refers to."),
    (partial(mask_tokens, keep=lambda o, r, K, kept: r[:, :K]),
     "`keep` is taken from `restore`, the places of the tokens; it is taken from the order, the argsort of "
     "the noise."),
    (partial(mask_tokens, keep=lambda o, r, K, kept: o[:, K:]),
     "`keep` has the hidden tokens: the first K of the order are kept."),
    (partial(mask_tokens, fill=lambda K, kept, real, o: np.ones((len(kept), K), bool)),
     "`keep_is_real` is True everywhere; a row that keeps fewer than K tokens is filled up, and False "
     "there."),
    (partial(mask_tokens, fill=lambda K, kept, real, o: real[:, :K]),
     "`keep_is_real` is a part of `mask`; it says which of the K places of a row are used: np.arange(K) < "
     "kept[:, None]."),
    (partial(mask_tokens, fill=lambda K, kept, real, o: np.take_along_axis(real, o[:, :K], axis=1)),
     "`keep_is_real` says which entries of `keep` are real tokens; but it is to be False for all that fill "
     "up the row, and hidden tokens are among these: np.arange(K) < kept[:, None]."),
    (partial(mask_tokens, fill=lambda K, kept, real, o: np.arange(K) <= kept[:, None]),
     "`keep_is_real` is off by one: places 0 … kept - 1 are used (< instead of <=)."),
    (partial(mask_tokens, fill=lambda K, kept, real, o: np.arange(K) >= kept[:, None]),
     "`keep_is_real` is the wrong way round: it is True where `keep` is not filled up."),
    (partial(mask_tokens, widest=min),
     "K is the smallest number of kept tokens in the batch; it should be the largest, and other rows are "
     "filled up."),
    (partial(mask_tokens, widest=lambda kept: kept[0]),
     "K is the number of kept tokens of the first row; it should be the largest of the batch."),
    (partial(mask_tokens, count=count_like(min)),
     "All rows keep as many tokens as the row that keeps fewest; each row has its own number."),
    (partial(mask_tokens, count=count_like(max)),
     "All rows keep as many tokens as the row that keeps most; each row has its own number."),
    (partial(mask_tokens, count=count_like(lambda kept: kept[0])),
     "All rows keep as many tokens as the first row; each row has its own number of real tokens."),
    (partial(mask_tokens, sort=sort_first_row),
     "The order of the first row is used for the whole batch: sort each row by its own noise."),
    (partial(mask_tokens, sort=sort_columns), "The noise is sorted along the batch (axis 0); sort each row "
     "(axis 1)."),
    (partial(mask_tokens, sort=sort_backwards_among_equals),
     "Equal noise comes in reversed order: ties have to stay in order (kind=\"stable\", and no [::-1])."),
]  # fmt: skip


def draw_each_token(noise: Array, ratio: float, mask: Array | None = None) -> mt.Masking:
    """Each token is hidden with the probability `ratio`."""
    real = np.ones(noise.shape, bool) if mask is None else mask
    hidden = (noise >= 1 - ratio) & real
    return mt.Masking(*_from_hidden(hidden, real, noise))


def _from_hidden(hidden: Array, real: Array, noise: Array) -> tuple[Array, ...]:
    kept = (real & ~hidden).sum(axis=1)
    order = np.lexsort((noise, ~real | hidden), axis=1)
    K = int(kept.max())
    return order[:, :K], np.argsort(order, axis=1), hidden, np.arange(K) < kept[:, None]


# ---- masks of time steps


def any_real(mask: Array, n: int) -> Array:
    """Steps with a real token (B, steps)."""
    return mask.reshape(len(mask), -1, n).any(axis=2)


def list_tokens(steps: Array, n: int) -> Array:
    """The indices of the tokens of steps (B, steps * n)."""
    return (steps[:, :, None] * n + np.arange(n)).reshape(len(steps), steps.shape[1] * n)


def list_fastest(steps: Array, n: int) -> Array:
    """One token of every step, then the next."""
    return (steps[:, None, :] * n + np.arange(n)[:, None]).reshape(len(steps), steps.shape[1] * n)


def repeat(steps: Array, n: int) -> Array:
    """The entry of every step for all its tokens."""
    return np.repeat(steps, n, axis=1)


def tile(steps: Array, n: int) -> Array:
    """All steps, and again."""
    return np.tile(steps, (1, n))


def mask_steps(
    noise: Array,
    ratio: float,
    tokens_per_step: int,
    mask: Array | None = None,
    *,
    find: Callable = any_real,
    tokens: Callable = list_tokens,
    places: Callable = list_tokens,
    spread: Callable = repeat,
    hides_padding: bool = False,
    keeps_padding: bool = False,
) -> mt.Masking:
    """Frame masking from its steps; each of them may be a wrong one."""
    n = tokens_per_step
    real = np.ones((len(noise), noise.shape[1] * n), bool) if mask is None else mask
    steps = mt.random_masking(noise, ratio, find(real, n))
    keep, is_hidden = tokens(steps.keep, n), spread(steps.is_hidden, n)
    keep_is_real = spread(steps.keep_is_real, n)
    if not hides_padding:
        is_hidden = is_hidden & real
    if not keeps_padding:
        keep_is_real = keep_is_real & np.take_along_axis(real, keep, axis=1)
    return mt.Masking(keep, places(steps.restore, n), is_hidden, keep_is_real)


def mask_repeated_noise(
    noise: Array, ratio: float, tokens_per_step: int, mask: Array | None = None
) -> mt.Masking:
    """Random masking of tokens with the noise of their step."""
    return mt.random_masking(repeat(noise, tokens_per_step), ratio, mask)


def mask_tiled_noise(
    noise: Array, ratio: float, tokens_per_step: int, mask: Array | None = None
) -> mt.Masking:
    """Random masking of tokens with tiled noise."""
    return mt.random_masking(tile(noise, tokens_per_step), ratio, mask)


def mask_steps_only(
    noise: Array, ratio: float, tokens_per_step: int, mask: Array | None = None
) -> mt.Masking:
    """The masking of the steps as it is."""
    return mt.random_masking(noise, ratio, None if mask is None else any_real(mask, tokens_per_step))


def ignore_mask(noise: Array, ratio: float, tokens_per_step: int, mask: Array | None = None) -> mt.Masking:
    """Padding is like all others."""
    return mask_steps(noise, ratio, tokens_per_step)


def ignore_mask_of_steps(
    noise: Array, ratio: float, tokens_per_step: int, mask: Array | None = None
) -> mt.Masking:
    """Steps of padding count as steps."""
    return mask_steps(noise, ratio, tokens_per_step, mask, find=lambda real, n: np.ones(noise.shape, bool))


FRAME_MASKS: list[tuple[Callable, str]] = [
    (mask_repeated_noise,
     "Each token gets the noise of its step and is masked alone: where the number of kept tokens is no "
     "multiple of tokens_per_step, a step is split. Mask the steps first, then list their tokens."),
    (mask_tiled_noise,
     "The noise is tiled (0, 1, 2, 0, 1, 2); the tokens of a step follow one another, so it has to be "
     "repeated (0, 0, 1, 1, 2, 2). And mask the steps first, then list their tokens."),
    (mask_steps_only, "These are the masks of the steps; every step stands for tokens_per_step tokens: "
     "list them all."),
    (ignore_mask, "`mask` is ignored: steps of padding are kept and hidden like real ones."),
    (ignore_mask_of_steps,
     "Steps of padding count as steps: give random_masking a mask that says which steps have a real token."),
    (partial(mask_steps, find=lambda real, n: real.reshape(len(real), -1, n).all(axis=2)),
     "A step counts as real only if all its tokens are; it is real if any of them is (any instead of all)."),
    (partial(mask_steps, find=lambda real, n: real[:, ::n]),
     "A step counts as real if its first token is; it is real if any of its tokens is."),
    (partial(mask_steps, find=lambda real, n: real[:, n - 1 :: n]),
     "A step counts as real if its last token is; it is real if any of its tokens is."),
    (partial(mask_steps, find=lambda real, n: real[:, : real.shape[1] // n]),
     "The first entries of `mask` are taken for those of the steps; step i has the tokens i n … i n + n - "
     "1."),
    (partial(mask_steps, find=lambda real, n: real.reshape(len(real), n, -1).any(axis=1)),
     "`mask` is reshaped to (B, tokens_per_step, steps); the tokens of a step follow one another: (B, "
     "steps, n)."),
    (partial(mask_steps, find=lambda real, n: ~any_real(real, n)),
     "The mask of the steps is the wrong way round: True is real."),
    (partial(mask_steps, hides_padding=True),
     "Padding within a step is hidden: `is_hidden` has to be False where `mask` is False."),
    (partial(mask_steps, keeps_padding=True),
     "`keep_is_real` is True for padding within a kept step: it has to be False there. Look up `mask` at "
     "`keep`."),
    (partial(mask_steps, hides_padding=True, keeps_padding=True),
     "Padding within a step is treated as real: `is_hidden` and `keep_is_real` have to be False for it."),
    (partial(mask_steps, spread=tile),
     "Entries of steps are tiled (0, 1, 2, 0, 1, 2); they have to be repeated, (0, 0, 1, 1, 2, 2): "
     "np.repeat instead of np.tile."),
    (partial(mask_steps, tokens=list_fastest, places=list_fastest),
     "The tokens are listed with steps fastest; the tokens of a step follow one another (frequency "
     "fastest)."),
    (partial(mask_steps, tokens=list_fastest),
     "`keep` lists tokens with steps fastest; the tokens of a step follow one another (frequency fastest)."),
    (partial(mask_steps, tokens=lambda steps, n: np.minimum(repeat(steps * n, n), 10**9)),
     "`keep` repeats the first token of every step; its tokens are i n, i n + 1, …, i n + n - 1."),
    (partial(mask_steps, tokens=lambda steps, n: repeat(steps, n)),
     "`keep` has indices of steps, repeated; indices of tokens are wanted: i n … i n + n - 1 for step i."),
    (partial(mask_steps, tokens=repeat, places=repeat),
     "`keep` and `restore` have indices of steps, repeated; indices of tokens are wanted: i n … i n + n - "
     "1 for step i."),
    (partial(mask_steps, places=repeat),
     "`restore` has the places of steps, repeated; the places of tokens are wanted: r n … r n + n - 1 for "
     "a step at place r."),
    (partial(mask_steps, places=lambda steps, n: repeat(steps * n, n)),
     "`restore` has the place of the first token of every step; count on within a step: r n … r n + n - 1."),
    (partial(mask_steps, places=list_fastest),
     "`restore` lists tokens with steps fastest; the tokens of a step follow one another (frequency "
     "fastest)."),
    (partial(mask_steps, places=lambda steps, n: list_tokens(np.argsort(steps, axis=1), n)),
     "`restore` is made of the order of the steps instead of their places (its inverse permutation)."),
]  # fmt: skip


# ---- masks of speech


def rank(noise: Array) -> Array:
    """The place of each token in the order of the noise (B, N)."""
    return np.argsort(np.argsort(noise, axis=1, kind="stable"), axis=1)


def mask_speech(
    noise: Array,
    ratio: float,
    is_speech: Array,
    mask: Array | None = None,
    *,
    order: Callable = lambda noise, speech: rank(noise) + speech * noise.shape[1],
) -> mt.Masking:
    """Span masking with an order of its own."""
    return mt.random_masking(order(noise, is_speech).astype(float), ratio, mask)


def ignore_padding(noise: Array, ratio: float, is_speech: Array, mask: Array | None = None) -> mt.Masking:
    """`mask` is not handed on."""
    return mask_speech(noise, ratio, is_speech)


def hide_speech_only(noise: Array, ratio: float, is_speech: Array, mask: Array | None = None) -> mt.Masking:
    """Others are never hidden."""
    masking = mask_speech(noise, ratio, is_speech, mask)
    return mt.Masking(masking.keep, masking.restore, masking.is_hidden & is_speech, masking.keep_is_real)


def hide_all_speech(noise: Array, ratio: float, is_speech: Array, mask: Array | None = None) -> mt.Masking:
    """All speech, whatever the ratio is."""
    real = np.ones(noise.shape, bool) if mask is None else mask
    return mt.Masking(*_from_hidden(is_speech & real, real, noise))


def share_of_speech(noise: Array, ratio: float, is_speech: Array, mask: Array | None = None) -> mt.Masking:
    """The ratio is that of speech alone."""
    real = np.ones(noise.shape, bool) if mask is None else mask
    hidden = mt.random_masking(noise.astype(float), ratio, is_speech & real).is_hidden
    return mt.Masking(*_from_hidden(hidden, real, noise))


def combine_masks(noise: Array, ratio: float, is_speech: Array, mask: Array | None = None) -> mt.Masking:
    """Speech is handed on as the mask."""
    return mt.random_masking(noise.astype(float), ratio, is_speech if mask is None else is_speech & mask)


SPAN_MASKS: list[tuple[Callable, str]] = [
    (partial(mask_speech, order=lambda noise, speech: noise), "`is_speech` is ignored: tokens are hidden "
     "at random."),
    (partial(mask_speech, order=lambda noise, speech: rank(noise) + ~speech * noise.shape[1]),
     "Speech is kept first, and the others are hidden first: it has to be the other way round. Speech goes "
     "last in the order."),
    (partial(mask_speech, order=lambda noise, speech: rank(noise) - speech * noise.shape[1]),
     "Speech comes first in the order and is kept; it has to come last, so that it is hidden first."),
    (partial(mask_speech, order=lambda noise, speech: -rank(noise) + speech * noise.shape[1]),
     "Speech is hidden first, but within speech and within the others the smallest noise is hidden; the "
     "smallest noise is kept, as in random_masking."),
    *((partial(mask_speech, order=lambda noise, speech, v=value: noise + speech * v),
       f"Speech gets a noise larger by {value:g}, and comes last only as long as all noise lies closer "
       "together, as numbers beyond 1 need not. Use ranks, the argsort of the "
       "argsort.") for value in (1, 2, 10, 100, 1000)),
    (partial(mask_speech, order=lambda noise, speech: noise + speech * noise.shape[1]),
     "N is added to the noise of speech, which puts it last only as long as all noise lies closer "
     "together, as numbers beyond 1 need not. Add it to the ranks, the argsort of the argsort."),
    (partial(mask_speech, order=lambda noise, speech: noise + speech * noise.max()),
     "The largest noise is added to speech; where noise is negative this does not put speech last. Use "
     "ranks."),
    (partial(mask_speech, order=lambda noise, speech: noise * (1 + speech)),
     "Speech gets a noise twice as large, which does not put all speech last: use ranks, and add N to "
     "those of speech."),
    (partial(mask_speech, order=lambda noise, speech: speech),
     "The noise does not decide any more: among speech, and among the others, tokens are hidden from the "
     "last to the first."),
    *((partial(mask_speech, order=lambda noise, speech, v=value: np.where(speech, v, noise)),
       "All speech gets the same noise, so among speech the noise does not decide any more, but the place "
       "in the clip.")
      for value in (np.inf, 1, 2, 10)),
    (partial(mask_speech, order=lambda noise, speech: np.argsort(noise, axis=1) + speech * noise.shape[1]),
     "argsort is taken once, which gives the order; ranks are the argsort of the argsort: the place of "
     "each token."),
    (partial(mask_speech, order=lambda noise, speech: rank(noise) + speech),
     "1 is added to the ranks of speech, which go up to N - 1: add N to put all speech behind the others."),
    (partial(mask_speech, order=lambda noise, speech: rank(noise) + speech * (noise.shape[1] // 2)),
     "Too little is added to the ranks of speech, which go up to N - 1: add N to put all speech behind the "
     "others."),
    (ignore_padding, "`mask` is ignored: hand it on to random_masking."),
    (hide_speech_only, "Tokens that are not speech are never hidden; where there is too little speech, "
     "others are hidden as well, until the ratio is reached."),
    (hide_all_speech, "All speech is hidden, and nothing else, whatever the ratio is: as many tokens as "
     "the ratio says are hidden, speech first."),
    (share_of_speech, "The ratio is applied to speech alone; it is the share of all real tokens."),
    (combine_masks, "Speech is handed on as the mask, so all other tokens count as padding; `mask` says "
     "what is real, and speech changes the order only."),
]  # fmt: skip

RANDOM = tuple(Mistake(f, cause) for f, cause in MASKS) + (
    Mistake(draw_each_token, "Each token is hidden by itself if its noise is above a limit, so the number "
    "of hidden tokens varies; exactly ⌊N (1 - ratio)⌋ are kept, those of the smallest noise."),
)  # fmt: skip
FRAMES = tuple(Mistake(f, cause) for f, cause in FRAME_MASKS)
SPANS = tuple(Mistake(f, cause) for f, cause in SPAN_MASKS)
