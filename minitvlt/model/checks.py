"""Clips and masks that do not fit the configuration or each other are refused before any work is done."""

from minitvlt.backends import Array, namespace
from minitvlt.config import Config
from minitvlt.model.patches import check_picture


def check_clips(
    config: Config,
    video: Array | None,
    audio: Array | None,
    video_mask: Array | None,
    audio_mask: Array | None,
) -> None:
    """Refuse clips of another geometry than the configuration's, and masks that do not fit them."""
    if video is None and audio is None:
        raise ValueError("Expected video, audio or both, got neither.")
    _check_modality("video", video, video_mask, ("B", "T", "C", "H", "W"), config)
    _check_modality("audio", audio, audio_mask, ("B", "C", "S", "F"), config)
    if video is not None and audio is not None and video.shape[0] != audio.shape[0]:
        raise ValueError(f"Expected as many videos as sounds, got {video.shape[0]} and {audio.shape[0]}.")


def _check_modality(
    name: str, clip: Array | None, mask: Array | None, axes: tuple[str, ...], config: Config
) -> None:
    is_video = name == "video"
    patch = config.image_patch_size if is_video else config.audio_patch_size
    channels = config.num_image_channels if is_video else config.num_audio_channels
    if clip is None:
        if mask is not None:
            raise ValueError(f"Got {name}_mask without {name}: leave the mask out too.")
        return
    namespace(clip, mask)
    check_picture(name, clip, axes, patch)
    if clip.shape[-3] != channels:
        raise ValueError(
            f"Expected {name} with {channels} channels, got {clip.shape[-3]} in {tuple(clip.shape)}."
        )
    if "float" not in str(clip.dtype):
        raise ValueError(f"Expected {name} as floating-point numbers in [-1, 1], got {clip.dtype}.")
    frames = clip.shape[1] if is_video else 1
    expected = (clip.shape[0], frames * (clip.shape[-2] // patch[0]) * (clip.shape[-1] // patch[1]))
    if mask is not None:
        check_booleans(f"{name}_mask", mask, expected)


def check_booleans(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Refuse a mask that is not made of booleans, or of another shape."""
    namespace(array)
    if tuple(array.shape) != shape or "bool" not in str(array.dtype):
        raise ValueError(
            f"Expected {name} as booleans of the shape {shape}, "
            f"got {array.dtype} of the shape {tuple(array.shape)}."
        )
