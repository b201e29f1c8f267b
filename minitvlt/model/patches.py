"""Patches: cutting frames and spectrograms into rows of numbers, and laying them back (TVLT, section 3)."""

from jaxtyping import Float

from minitvlt.backends import Array, namespace


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
    xp = namespace(video)
    check_picture("video", video, ("B", "T", "C", "H", "W"), patch)
    B, T, C, H, W = video.shape
    p, q = patch
    h, w = H // p, W // q  # rows and columns of patches
    x = xp.reshape(video, (B, T, C, h, p, w, q))
    x = xp.permute_dims(x, (0, 1, 3, 5, 4, 6, 2))  # (B, T, h, w, p, q, C)
    return xp.reshape(x, (B, T * h * w, p * q * C))  # (B, T*h*w, p*q*C)


def unpatchify_video(
    tokens: Float[Array, "B N values"], patch: tuple[int, int], size: tuple[int, int, int]
) -> Float[Array, "B {size[0]} C {size[1]} {size[2]}"]:
    """Lay rows of pixels back into frames of the size (T, H, W); the way back from `patchify_video`.

    >>> unpatchify_video(np.zeros((1, 12, 12)), (2, 2), (2, 4, 6)).shape
    (1, 2, 3, 4, 6)

    Raises:
        ValueError: rows that do not fill frames of this size.
    """
    xp = namespace(tokens)
    check_patch(patch)
    (T, H, W), (p, q) = size, patch
    B, h, w = tokens.shape[0], H // p, W // q
    check_rows(tokens, T * h * w, p * q, divides=H % p == 0 and W % q == 0)
    C = tokens.shape[2] // (p * q)
    x = xp.reshape(tokens, (B, T, h, w, p, q, C))
    x = xp.permute_dims(x, (0, 1, 6, 2, 4, 3, 5))  # (B, T, C, h, p, w, q)
    return xp.reshape(x, (B, T, C, H, W))  # (B, T, C, H, W)


def patchify_audio(
    audio: Float[Array, "B C S F"], patch: tuple[int, int]
) -> Float[Array, "B (S//{patch[0]})*(F//{patch[1]}) {patch[0]}*{patch[1]}*C"]:
    """Cut a log-mel picture into patches of (steps, mel bins) and lay each one out as one row.

    Tokens run step by step, frequency fastest; inside a token the values run step by step, channels last.

    >>> patchify_audio(np.zeros((1, 1, 4, 6)), (2, 3)).shape    # 2 along time × 2 along frequency
    (1, 4, 6)

    Raises:
        ValueError: a spectrogram without its four axes, or one that the patch does not divide.
    """
    xp = namespace(audio)
    check_picture("audio", audio, ("B", "C", "S", "F"), patch)
    B, C, S, F = audio.shape
    p, q = patch
    s, f = S // p, F // q  # patches along time and along frequency
    x = xp.reshape(audio, (B, C, s, p, f, q))
    x = xp.permute_dims(x, (0, 2, 4, 3, 5, 1))  # (B, s, f, p, q, C)
    return xp.reshape(x, (B, s * f, p * q * C))  # (B, s*f, p*q*C)


def unpatchify_audio(
    tokens: Float[Array, "B N values"], patch: tuple[int, int], size: tuple[int, int]
) -> Float[Array, "B C {size[0]} {size[1]}"]:
    """Lay rows of values back into a spectrogram of the size (S, F); the way back from `patchify_audio`.

    >>> unpatchify_audio(np.zeros((1, 4, 6)), (2, 3), (4, 6)).shape
    (1, 1, 4, 6)

    Raises:
        ValueError: rows that do not fill a spectrogram of this size.
    """
    xp = namespace(tokens)
    check_patch(patch)
    (S, F), (p, q) = size, patch
    B, s, f = tokens.shape[0], S // p, F // q
    check_rows(tokens, s * f, p * q, divides=S % p == 0 and F % q == 0)
    C = tokens.shape[2] // (p * q)
    x = xp.reshape(tokens, (B, s, f, p, q, C))
    x = xp.permute_dims(x, (0, 5, 1, 3, 2, 4))  # (B, C, s, p, f, q)
    return xp.reshape(x, (B, C, S, F))  # (B, C, S, F)


def check_picture(name: str, picture: Array, axes: tuple[str, ...], patch: tuple[int, int]) -> None:
    """Refuse a video or spectrogram that cannot be cut into patches."""
    namespace(picture)
    check_patch(patch)
    if picture.ndim != len(axes):
        raise ValueError(
            f"Expected {name} with the {len(axes)} axes ({', '.join(axes)}), "
            f"got the shape {tuple(picture.shape)}."
        )
    if 0 in picture.shape:
        raise ValueError(f"Expected {name} with something in it, got the shape {tuple(picture.shape)}.")
    for axis, size, part in zip(axes[-2:], picture.shape[-2:], patch, strict=True):
        if size % part:
            fitting = sorted({max(size // part, 1) * part, (size // part + 1) * part})
            raise ValueError(
                f"The axis {axis} of {name} has the size {size}, which the patch {part} does not divide. "
                f"Crop or pad it to {' or '.join(map(str, fitting))}."
            )


def check_patch(patch: tuple[int, int]) -> None:
    """Refuse a patch size that is not two whole numbers of at least 1."""
    is_pair = isinstance(patch, tuple | list) and len(patch) == 2
    if not is_pair or not all(isinstance(part, int) and part > 0 for part in patch):
        raise ValueError(
            f"Expected a patch size of two whole numbers above 0, such as (16, 16), got {patch!r}."
        )


def check_rows(tokens: Array, count: int, pixels: int, divides: bool) -> None:
    """Refuse rows of patches that do not fill the picture that was asked for."""
    if tokens.ndim != 3 or not divides or tokens.shape[1] != count or tokens.shape[2] % pixels:
        raise ValueError(
            f"Expected rows of the shape (B, {count}, {pixels} x channels) and a size of whole patches, "
            f"got the shape {tuple(tokens.shape)}."
        )
