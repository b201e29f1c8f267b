"""Checks of what callers hand in: clips, masks, tokens, batches, candidates, patches and noise.

Public functions call them once, before any work is done; inner functions rely on their annotations. Each
raises a ValueError that says what was expected, what came and, where it is not obvious, what to do.
"""

from typing import Any

from minitvlt.backends import Array, namespace, walk
from minitvlt.config import Config

MISSING_PARTS = {
    "decoder": "no decoder: make them with task_mae=True",
    "matching": "no matching head: make them with task_matching=True",
    "classifier": "no classifier: give them one by mt.add_classifier",
    "ranking": "no head that ranks videos: give them one by minitvlt.model.parameters.add_ranking",
}


def check_part(params: Any, name: str) -> None:
    """Check that parameters have the decoder, or a head, that is needed."""
    if getattr(params, name) is None:
        raise ValueError(f"These parameters have {MISSING_PARTS[name]}.")


# ---- arrays


def check_library(params: Any, *arrays: Array | None) -> None:
    """Check that all arrays are of one library, and the parameters dense floating-point numbers."""
    namespace(*(x for _, x in walk(params)), *arrays)
    kinds = {(x.dtype, getattr(x, "layout", None)): name for name, x in reversed([*walk(params)])}
    for (dtype, layout), name in kinds.items():
        if "float" not in str(dtype) or "sparse" in str(layout):
            raise ValueError(f"Expected {name} as dense floating-point numbers, got {dtype}: convert it.")


def check_mask(name: str, mask: Array | None, shape: tuple[int, ...]) -> None:
    """Check that a mask holds booleans of this shape; None stands for True everywhere."""
    if mask is None:
        return
    namespace(mask)
    if tuple(mask.shape) != shape or "bool" not in str(mask.dtype):
        found = f"{mask.dtype} of the shape {tuple(mask.shape)}"
        raise ValueError(f"Expected {name} as booleans of the shape {shape}, got {found}.")


def check_noise(noise: Array, ratio: float, mask: Array | None = None) -> None:
    """Check the noise, the ratio and the mask of a masking of single tokens."""
    if noise.ndim != 2:
        raise ValueError(f"Expected noise of the shape (B, N), one number a token, got {tuple(noise.shape)}.")
    if not 0 <= ratio < 1:
        raise ValueError(f"The mask ratio must be at least 0 and below 1, not {ratio}.")
    check_mask("mask", mask, tuple(noise.shape))


def check_patches(name: str, clip: Array, axes: str, patch: tuple[int, int]) -> None:
    """Check that a video or spectrogram can be cut into patches; `axes` are the letters of its axes."""
    namespace(clip)
    _check_patch(patch)
    letters, shape = axes.split(), tuple(clip.shape)
    if len(shape) != len(letters) or 0 in shape:
        wanted = f"{len(letters)} axes ({', '.join(letters)}), none of the size 0"
        raise ValueError(f"Expected {name} with {wanted}, got the shape {shape}.")
    for axis, size, part in zip(letters[-2:], shape[-2:], patch, strict=True):
        if size % part:
            fitting = sorted({max(size // part, 1) * part, (size // part + 1) * part})
            raise ValueError(
                f"The axis {axis} of {name} has the size {size}, which the patch {part} does not divide. "
                f"Crop or pad it to {' or '.join(map(str, fitting))}."
            )


def check_rows(rows: Array, patch: tuple[int, int], size: tuple[int, int, int]) -> None:
    """Check that rows of patch values fill frames of the size (T, H, W)."""
    namespace(rows)
    _check_patch(patch)
    (p, q), (T, H, W) = patch, size
    N = T * (H // p) * (W // q)
    is_whole = H % p == 0 and W % q == 0
    if rows.ndim != 3 or not is_whole or rows.shape[1] != N or rows.shape[2] % (p * q):
        wanted = f"(B, {N}, {p * q} x channels) and a size of whole patches"
        raise ValueError(f"Expected rows of the shape {wanted}, got the shape {tuple(rows.shape)}.")


def _check_patch(patch: tuple[int, int]) -> None:
    is_pair = isinstance(patch, tuple | list) and len(patch) == 2
    if not is_pair or not all(isinstance(part, int) and part > 0 for part in patch):
        raise ValueError(f"Expected a patch as two whole numbers above 0, such as (16, 16), got {patch!r}.")


# ---- clips and tokens


def check_clips(
    config: Config, clips: tuple[Array, Array], masks: tuple[Array, Array], is_embedded: bool = False
) -> list[int]:
    """Check video and audio, as clips or as embedded tokens, and their masks; one modality may be None.

    Returns:
        The number of tokens of each modality that there is.
    """
    check, counts = _check_tokens if is_embedded else check_clip, []
    for name, x, mask in zip(("video", "audio"), clips, masks, strict=True):
        if x is not None:
            counts.append(check(config, name, x))
            xp = namespace(x)
            has_numbers = getattr(xp, "has_numbers", None)  # not every library computes at once
            if has_numbers and has_numbers(x) and float(xp.to_numpy(xp.max(xp.abs(x)))) > 1e18:
                raise ValueError(f"Expected {name} in [-1, 1], got numbers beyond 1e18.")
            check_mask(f"{name}_mask", mask, (x.shape[0], counts[-1]))
        elif mask is not None:
            raise ValueError(f"Got {name}_mask without {name}: leave the mask out too.")
    rows = [x.shape[0] for x in clips if x is not None]
    if not rows:
        raise ValueError("Expected video, audio or both, got neither.")
    if len(set(rows)) > 1:
        raise ValueError(f"Expected as many videos as audios, got {rows[0]} and {rows[1]}.")
    return counts


def check_clip(config: Config, name: str, clip: Array) -> int:
    """Check the clips of one modality against the configuration, and return their number of tokens."""
    is_audio = name == "audio"
    patch = config.audio_patch_size if is_audio else config.image_patch_size
    channels = config.num_audio_channels if is_audio else config.num_image_channels
    axes, shape = "B C S F" if is_audio else "B T C H W", tuple(clip.shape)
    if len(shape) == len(axes.split()) and shape[-3] != channels:
        raise ValueError(f"Expected {channels} channels in {name}, which come first ({axes}), got {shape}.")
    check_patches(name, clip, axes, patch)
    if "float" not in str(clip.dtype) or "sparse" in str(getattr(clip, "layout", "")):
        raise ValueError(f"Expected {name} as dense floating-point numbers in [-1, 1], got {clip.dtype}.")
    frames = 1 if is_audio else clip.shape[1]
    return frames * (clip.shape[-2] // patch[0]) * (clip.shape[-1] // patch[1])


def _check_tokens(config: Config, name: str, tokens: Array) -> int:
    D, shape = config.hidden_size, tuple(tokens.shape)
    if len(shape) != 3 or shape[2] != D or "float" not in str(tokens.dtype):
        wanted = f"floating-point numbers of the shape (B, N, {D})"
        raise ValueError(f"Expected {name}_tokens as {wanted}, got {tokens.dtype} of the shape {shape}.")
    return tokens.shape[1]


# ---- batches


def check_batch(params: Any, batch: Any, has_matching: bool, has_mae: bool) -> None:
    """Check the model and a `PretrainingBatch` for all that matching, autoencoding or both need."""
    check_library(params, *(x for _, x in walk(batch)))
    needed = ["audio", *["mixed_video", "is_match"] * has_matching]
    needed += ["video", "video_masking", "audio_masking"] * has_mae
    missing = [name for name in needed if getattr(batch, name) is None]
    if missing:
        raise ValueError(f"The batch lacks {', '.join(missing)}, which the configured tasks need.")
    if has_matching:
        check_part(params, "matching")
        masks = (batch.mixed_video_mask, batch.audio_mask)
        check_clips(params.config, (batch.mixed_video, batch.audio), masks)
        check_mask("is_match", batch.is_match, (batch.audio.shape[0],))
    if has_mae:
        check_part(params, "decoder")
        masks, B = (batch.video_mask, batch.audio_mask), batch.audio.shape[0]
        Nv, Na = check_clips(params.config, (batch.video, batch.audio), masks)
        _check_masking("video_masking", batch.video_masking, (B, Nv))
        _check_masking("audio_masking", batch.audio_masking, (B, Na))


def _check_masking(name: str, masking: Any, shape: tuple[int, int]) -> None:
    check_mask(f"{name}.is_hidden", masking.is_hidden, shape)
    check_mask(f"{name}.keep_is_real", masking.keep_is_real, tuple(masking.keep.shape))
    if tuple(masking.restore.shape) != shape or masking.keep.shape[0] != shape[0]:
        raise ValueError(f"Expected {name} for (clips, tokens) = {shape}: make it with the batch's sizes.")


def check_candidates(config: Config, clips: tuple[Array, Array], masks: tuple[Array, Array]) -> None:
    """Check n candidate videos for each audio, (B, n, T, C, H, W) and (B, C, S, F), and their masks."""
    (videos, audio), (video_mask, audio_mask) = clips, masks
    is_missing = videos is None or audio is None
    if is_missing or videos.ndim != 6 or 0 in videos.shape or videos.shape[0] != audio.shape[0]:
        shapes = ["nothing" if x is None else str(tuple(x.shape)) for x in (videos, audio)]
        wanted = "several videos for every audio, (B, n, T, C, H, W) and (B, C, S, F)"
        raise ValueError(f"Expected {wanted}, got {' and '.join(shapes)}.")
    check_mask("audio_mask", audio_mask, (audio.shape[0], check_clip(config, "audio", audio)))
    check_mask("video_mask", video_mask, (*videos.shape[:2], check_clip(config, "video", videos[:, 0, ...])))
