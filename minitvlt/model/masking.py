"""Masking: which patches the encoder sees, and which it has to fill in (TVLT, section 3; He et al. 2021).

Masks are data: the noise is drawn on the host and handed in, so every backend hides the same patches.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int, Shaped

from minitvlt.backends import Array, namespace
from minitvlt.model.checks import check_mask, check_noise, check_patches


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
    """Keep, in every row, the ⌊N_real · (1 - ratio)⌋ tokens of the smallest noise, and hide the others.

    Ties stay in order. Padding sorts last, so it is neither kept nor hidden.

    The count is int(N_real * (1 - ratio) + 1e-9), because 10 * (1 - 0.9) is slightly less than 1 in
    floating point. The code in transformers has int(N * (1 - ratio)), which is one less in a few cases: of
    the ratios 0.1, 0.2, …, 0.9 at 0.8 if N is a multiple of 5, at 0.9 if N is a multiple of 10, and at 0.3
    for few N, the smallest of which is 90.

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
    check_noise(noise, ratio, mask)
    xp = namespace(noise, mask)
    B, N = noise.shape
    # The counts come from a table of Python's own results, so that no backend's precision changes them.
    kept_of = xp.as_like([int(n * (1 - ratio) + 1e-9) for n in range(N + 1)], noise)  # (N + 1,)
    order = xp.argsort(noise, axis=1)  # (B, N)
    if mask is None:
        kept = xp.broadcast_to(kept_of[N:], (B,))  # (B,)
    else:
        kept = xp.take(kept_of, xp.sum(xp.astype(mask, kept_of.dtype), axis=1), axis=0)  # (B,)
        # The second sort is stable: it puts padding last and leaves the order of the real tokens.
        is_padding = xp.take_along_axis(xp.astype(~mask, kept_of.dtype), order, axis=1)  # (B, N)
        order = xp.take_along_axis(order, xp.argsort(is_padding, axis=1), axis=1)  # (B, N)
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
    """Keep or hide whole time steps: all frequencies of a step together.

    Args:
        noise: one number a time step.
        ratio: the share of the real steps that is hidden; a step is real if any of its tokens is.
        tokens_per_step: tokens of one step, frequency fastest; N is steps * tokens_per_step.
        mask: True where a token is real; None where all are.

    Raises:
        ValueError: a ratio out of range, or a mask of another shape or type.
    """
    check_noise(noise, ratio)
    n = tokens_per_step
    if mask is not None:
        check_mask("mask", mask, (noise.shape[0], noise.shape[1] * n))
    steps = random_masking(noise, ratio, None if mask is None else find_real_steps(mask, n))
    keep, keep_is_real = list_tokens(steps.keep, n), repeat_steps(steps.keep_is_real, n)
    is_hidden = repeat_steps(steps.is_hidden, n)
    if mask is not None:
        is_hidden = is_hidden & mask
        keep_is_real = keep_is_real & namespace(mask, keep).take_along_axis(mask, keep, axis=1)
    return Masking(keep, list_tokens(steps.restore, n), is_hidden, keep_is_real)


def span_masking(
    noise: Float[Array, "B N"],
    ratio: float,
    is_speech: Bool[Array, "B N"],
    mask: Bool[Array, "B N"] | None = None,
) -> Masking:
    """Hide tokens of speech before any others; among speech, and among the others, the noise decides.

    Args:
        noise: one number a token.
        ratio: the share of the real tokens that is hidden, speech and other audio together.
        is_speech: True where there is speech, for instance by `find_speech`.
        mask: True where a token is real.

    Raises:
        ValueError: a ratio out of range, or `is_speech` or `mask` of another shape or type.

    Source: TVLT, section 3 (speech-span masking).
    """
    check_noise(noise, ratio)
    check_mask("is_speech", is_speech, tuple(noise.shape))
    xp = namespace(noise, is_speech, mask)
    # Ranks instead of the noise itself, whose scale is unknown: adding N puts speech behind all others.
    rank = xp.argsort(xp.argsort(noise, axis=1), axis=1)  # (*noise.shape,)
    speech_last = rank + xp.astype(is_speech, rank.dtype) * noise.shape[1]  # (*noise.shape,)
    return random_masking(xp.astype(speech_last, noise.dtype), ratio, mask)


def find_speech(
    audio: Float[Array, "B C S F"], patch: tuple[int, int], mask: Bool[Array, "B N"] | None = None
) -> Bool[Array, "B N"]:
    """Find the tokens of loud time steps: above the midpoint of the quietest and the loudest level.

    An energy detector, as the paper's; it takes any loud audio for speech. All frequencies of a step are
    judged together. Padding, where `mask` is False, is never speech, and its level is not counted.

    Raises:
        ValueError: a spectrogram that the patch does not divide, or a mask of another shape or type.
    """
    check_patches("audio", audio, "B C S F", patch)
    xp = namespace(audio, mask)
    B, C, S, F = audio.shape
    s, f = S // patch[0], F // patch[1]
    check_mask("mask", mask, (B, s * f))
    level = xp.mean(xp.reshape(audio, (B, C, s, patch[0], F)), axis=(1, 3, 4))  # (B, s)
    is_real = ~xp.zeros((B, s), level > 0) if mask is None else find_real_steps(mask, f)  # (B, s)
    loudest = xp.max(xp.where(is_real, level, -1e30), axis=1, keepdims=True)  # (B, 1)
    quietest = -xp.max(xp.where(is_real, -level, -1e30), axis=1, keepdims=True)  # (B, 1)
    is_loud = is_real & (level > (loudest + quietest) / 2)  # (B, s)
    return repeat_steps(is_loud, f)


def find_real_steps(mask: Bool[Array, "B N"], n: int) -> Bool[Array, "B N//{n}"]:
    """Find the steps, of n tokens each, that have a real one."""
    xp, (B, N) = namespace(mask), mask.shape
    ones = xp.astype(mask, xp.arange(1, mask).dtype)
    return xp.sum(xp.reshape(ones, (B, N // n, n)), axis=2) > 0  # (B, N//n)


def repeat_steps(steps: Shaped[Array, "B s"], n: int) -> Shaped[Array, "B s*{n}"]:
    """Repeat the entry of every step for its n tokens."""
    xp, (B, s) = namespace(steps), steps.shape
    return xp.reshape(xp.broadcast_to(steps[:, :, None], (B, s, n)), (B, s * n))  # (B, s*n)


def list_tokens(steps: Int[Array, "B s"], n: int) -> Int[Array, "B s*{n}"]:
    """List the indices of the n tokens of every step: step i has the tokens i*n … i*n + n - 1."""
    xp, (B, s) = namespace(steps), steps.shape
    return xp.reshape(steps[:, :, None] * n + xp.arange(n, steps), (B, s * n))  # (B, s*n)
