"""Masking: which patches the encoder sees, and which it has to fill in (TVLT, section 3; He et al. 2021).

Masks are data: the noise is drawn on the host and handed in, so every backend hides the same patches.
"""

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from minitvlt.backends import Array, namespace
from minitvlt.model.patches import check_picture


@dataclass(frozen=True)
class Masking:
    """Which tokens are kept and which are hidden, for every clip of a batch.

    Clips with less padding keep more tokens than others; K is the largest count, and the rows of the others
    are filled up with tokens that do not count.
    """

    keep: Int[Array, "B K"]  # indices of the kept tokens, in the order in which the encoder sees them
    restore: Int[Array, "B N"]  # for every token its place in the shuffled order, kept ones first
    is_hidden: Bool[Array, "B N"]  # True where a token is to be filled in; padding never is
    keep_is_real: Bool[Array, "B K"]  # False where `keep` is filled up


def random_masking(
    noise: Float[Array, "B N"], ratio: float, mask: Bool[Array, "B N"] | None = None
) -> Masking:
    """Keep, in every row, the int(N_real * (1 - ratio)) tokens of the smallest noise, and hide the others.

    Ties stay in order. Padding sorts last, so it is neither kept nor hidden.

    >>> masking = random_masking(np.array([[0.3, 0.1, 0.2, 0.4]]), 0.5)
    >>> masking.keep, masking.is_hidden
    (array([[1, 2]]), array([[ True, False, False,  True]]))

    Args:
        noise: one number a token.
        ratio: the share of the real tokens that is hidden, at least 0 and below 1.
        mask: True where a token is real; None where all are.

    Raises:
        ValueError: a ratio out of range, or a mask of another shape or type.
    """
    xp = namespace(noise, mask)
    _check_noise(noise, ratio, mask)
    B, N = noise.shape
    # Small tables of whole numbers: int(n * (1 - ratio)) is then the same on every backend, whatever its
    # precision.
    kept_of = xp.as_like([int(n * (1 - ratio)) for n in range(N + 1)], noise)
    order = xp.argsort(noise, axis=1)  # (B, N)
    if mask is None:
        kept = xp.broadcast_to(kept_of[N:], (B,))  # (B,)
    else:
        kept = xp.take(kept_of, xp.sum(xp.astype(mask, kept_of.dtype), axis=1), axis=0)  # (B,)
        is_padding = xp.take_along_axis(xp.astype(~mask, kept_of.dtype), order, axis=1)  # (B, N)
        order = xp.take_along_axis(
            order, xp.argsort(is_padding, axis=1), axis=1
        )  # padding last, the rest as it was
    restore = xp.argsort(order, axis=1)  # (B, N)
    K = int(xp.max(kept))
    is_hidden = restore >= kept[:, None]  # (B, N)
    return Masking(
        keep=order[:, :K],
        restore=restore,
        is_hidden=is_hidden if mask is None else is_hidden & mask,
        keep_is_real=xp.arange(K, noise)[None, :] < kept[:, None],
    )


def frame_masking(
    noise: Float[Array, "B steps"], ratio: float, tokens_per_step: int, mask: Bool[Array, "B N"] | None = None
) -> Masking:
    """Keep or hide whole time steps: all frequencies of a moment together, never a part of it.

    Args:
        noise: one number a time step.
        ratio: the share of the real steps that is hidden.
        tokens_per_step: tokens of one step, frequency fastest; N is steps * tokens_per_step.
        mask: True where a token is real; a step is real as a whole or not at all.
    """
    xp = namespace(noise, mask)
    _check_noise(noise, ratio, None)
    steps_mask = None
    if mask is not None:
        _check_mask(mask, (noise.shape[0], noise.shape[1] * tokens_per_step))
        steps_mask = mask[:, ::tokens_per_step]
        is_split = _spread(xp, steps_mask, tokens_per_step) ^ mask
        if float(xp.sum(xp.astype(is_split, noise.dtype))) > 0:
            raise ValueError("Expected a mask in which every time step is real as a whole or not at all.")
    steps = random_masking(noise, ratio, steps_mask)
    return Masking(
        keep=_spread(xp, steps.keep, tokens_per_step, numbered=True),
        restore=_spread(xp, steps.restore, tokens_per_step, numbered=True),
        is_hidden=_spread(xp, steps.is_hidden, tokens_per_step),
        keep_is_real=_spread(xp, steps.keep_is_real, tokens_per_step),
    )


def span_masking(
    noise: Float[Array, "B N"],
    ratio: float,
    is_speech: Bool[Array, "B N"],
    mask: Bool[Array, "B N"] | None = None,
) -> Masking:
    """Hide tokens of speech before any others; which ones of each kind, the noise decides.

    Args:
        noise: one number a token.
        ratio: the share of the real tokens that is hidden, speech and other sound together.
        is_speech: True where somebody speaks, for instance by `find_speech`.
        mask: True where a token is real.

    Source: TVLT, section 3 (speech-span masking).
    """
    xp = namespace(noise, is_speech, mask)
    _check_noise(noise, ratio, mask)
    _check_mask(is_speech, tuple(noise.shape))
    rank = xp.argsort(xp.argsort(noise, axis=1), axis=1)
    speech_last = rank + xp.astype(is_speech, rank.dtype) * noise.shape[1]
    return random_masking(xp.astype(speech_last, noise.dtype), ratio, mask)


def find_speech(
    audio: Float[Array, "B C S F"], patch: tuple[int, int], mask: Bool[Array, "B N"] | None = None
) -> Bool[Array, "B N"]:
    """Tell which tokens lie in a loud stretch: a step's level above the middle of quietest and loudest step.

    An energy detector, as the paper's; it takes any sound for speech. All frequencies of a step are judged
    together. Padding, where `mask` is False, is never speech and does not count for the clip's extremes.
    """
    xp = namespace(audio, mask)
    check_picture("audio", audio, ("B", "C", "S", "F"), patch)
    B, C, S, F = audio.shape
    s, f = S // patch[0], F // patch[1]
    level = xp.mean(xp.reshape(audio, (B, C, s, patch[0], F)), axis=(1, 3, 4))  # (B, s)
    is_real = ~xp.zeros((B, s), level > 0)  # (B, s)
    if mask is not None:
        _check_mask(mask, (B, s * f))
        is_real = mask[:, ::f]  # (B, s)
    loudest = xp.max(xp.where(is_real, level, -math.inf), axis=1, keepdims=True)  # (B, 1)
    quietest = -xp.max(xp.where(is_real, -level, -math.inf), axis=1, keepdims=True)  # (B, 1)
    is_loud = is_real & (level > (loudest + quietest) / 2)  # (B, s)
    return _spread(xp, is_loud, f)  # (B, s*f)


def _spread(xp, steps: Array, count: int, numbered: bool = False) -> Array:
    """Repeat a step's entry for all its tokens; if `numbered`, indices of steps become those of tokens."""
    B, s = steps.shape
    tokens = xp.broadcast_to(steps[:, :, None], (B, s, count))  # (B, s, count)
    if numbered:
        tokens = tokens * count + xp.arange(count, steps)
    return xp.reshape(tokens, (B, s * count))  # (B, s*count)


def _check_noise(noise: Array, ratio: float, mask: Array | None) -> None:
    if noise.ndim != 2:
        raise ValueError(f"Expected noise of the shape (B, N), one number a token, got {tuple(noise.shape)}.")
    if not 0 <= ratio < 1:
        raise ValueError(f"The mask ratio must be at least 0 and below 1, not {ratio}.")
    if mask is not None:
        _check_mask(mask, tuple(noise.shape))


def _check_mask(mask: Array, shape: tuple[int, ...]) -> None:
    if tuple(mask.shape) != shape or "bool" not in str(mask.dtype):
        raise ValueError(
            f"Expected a mask of booleans (True = real token) of the shape {shape}, "
            f"got {mask.dtype} of the shape {tuple(mask.shape)}."
        )
