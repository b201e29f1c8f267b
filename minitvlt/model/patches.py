"""Patches: cutting frames and spectrograms into rows of numbers, and laying them back (TVLT, section 3)."""

from jaxtyping import Float

from minitvlt.backends import Array, namespace
from minitvlt.model.checks import check_patches, check_rows


def patchify_video(
    video: Float[Array, "B T C H W"], patch: tuple[int, int]
) -> Float[Array, "B T*(H//{patch[0]})*(W//{patch[1]}) {patch[0]}*{patch[1]}*C"]:
    """Cut every frame into patches and lay each patch out as one row.

    Tokens run frame by frame, row by row; inside a token pixels run row by row, channels last. The same order
    is the target of masked autoencoding (TVLT, section 3; He et al. 2021).

    >>> patchify_video(np.zeros((1, 2, 3, 4, 6)), (2, 2)).shape    # 2 frames × 2 rows × 3 columns
    (1, 12, 12)

    Raises:
        ValueError: a video without its five axes, or a frame that the patch does not divide.
    """
    check_patches("video", video, "B T C H W", patch)
    xp = namespace(video)
    B, T, C, H, W = video.shape
    p, q = patch
    h, w = H // p, W // q  # rows and columns of patches
    x = xp.reshape(video, (B, T, C, h, p, w, q))  # (B, T, C, h, p, w, q)
    x = xp.permute_dims(x, (0, 1, 3, 5, 4, 6, 2))  # (B, T, h, w, p, q, C)
    return xp.reshape(x, (B, T * h * w, p * q * C))  # (B, T*h*w, p*q*C)


def unpatchify_video(
    tokens: Float[Array, "B N values"], patch: tuple[int, int], size: tuple[int, int, int]
) -> Float[Array, "B {size[0]} C {size[1]} {size[2]}"]:
    """Lay rows of pixels back into frames of the size (T, H, W): the inverse of `patchify_video`.

    >>> unpatchify_video(np.zeros((1, 12, 12)), (2, 2), (2, 4, 6)).shape
    (1, 2, 3, 4, 6)

    Raises:
        ValueError: rows that do not fill frames of this size.
    """
    check_rows(tokens, patch, size)
    xp = namespace(tokens)
    (T, H, W), (p, q) = size, patch
    B, h, w, C = tokens.shape[0], H // p, W // q, tokens.shape[2] // (p * q)
    x = xp.reshape(tokens, (B, T, h, w, p, q, C))  # (B, T, h, w, p, q, C)
    x = xp.permute_dims(x, (0, 1, 6, 2, 4, 3, 5))  # (B, T, C, h, p, w, q)
    return xp.reshape(x, (B, T, C, H, W))  # (B, T, C, H, W)


def patchify_audio(
    audio: Float[Array, "B C S F"], patch: tuple[int, int]
) -> Float[Array, "B (S//{patch[0]})*(F//{patch[1]}) {patch[0]}*{patch[1]}*C"]:
    """Cut a log-mel spectrogram into patches of (steps, mel bins) and lay each one out as one row.

    It is cut like a video of one frame: tokens run step by step, frequency fastest; inside a token the values
    run step by step, channels last.

    >>> patchify_audio(np.zeros((1, 1, 4, 6)), (2, 3)).shape    # 2 along time × 2 along frequency
    (1, 4, 6)

    Raises:
        ValueError: a spectrogram without its four axes, or one that the patch does not divide.
    """
    check_patches("audio", audio, "B C S F", patch)
    return patchify_video(audio[:, None, ...], patch)


def unpatchify_audio(
    tokens: Float[Array, "B N values"], patch: tuple[int, int], size: tuple[int, int]
) -> Float[Array, "B C {size[0]} {size[1]}"]:
    """Lay rows of values back into a spectrogram of the size (S, F): the inverse of `patchify_audio`.

    >>> unpatchify_audio(np.zeros((1, 4, 6)), (2, 3), (4, 6)).shape
    (1, 1, 4, 6)

    Raises:
        ValueError: rows that do not fill a spectrogram of this size.
    """
    return unpatchify_video(tokens, patch, (1, *size))[:, 0, ...]
