"""From lists of clips of any length to padded batches and masks that say which tokens are real.

What the published processors of TVLT do, for any sample rate, any number of frames and frames of any size.
NumPy in, NumPy out: batches are made on the host and moved to the model's device as a whole.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from minitvlt.config import Config
from minitvlt.signals.frames import choose_frames, transform_frames
from minitvlt.signals.spectrogram import check_waveform, log_mel_spectrogram

SAMPLES_AT_ONCE = 1 << 18  # waveforms are transformed together up to this size, so that memory stays bounded


@dataclass(frozen=True)
class Examples:
    """Clips that are ready for the model: video and sound of the same moment, and labels if there are any.

    A modality that no clip has is None. Masks say which tokens are real; None means all of them. Labels are
    arrays with one row for each clip.
    """

    video: Float[np.ndarray, "B T 3 H W"] | None  # in [-1, 1]
    audio: Float[np.ndarray, "B 1 S F"] | None  # in [-1, 1]
    video_mask: Bool[np.ndarray, "B Nv"] | None = None
    audio_mask: Bool[np.ndarray, "B Na"] | None = None
    labels: dict[str, np.ndarray] | None = None


def resample(
    waveform: Float[np.ndarray, " samples"], from_rate: int, to_rate: int
) -> Float[np.ndarray, " -(-samples*{to_rate}//{from_rate})"]:
    """Change the sample rate without changing the sound, by a polyphase low-pass filter.

    What lies above half the lower rate is removed, as no slower sampling could hold it. The result has
    ceil(samples * to_rate / from_rate) samples and the precision of the input.

    >>> resample(np.zeros(441), 44100, 16000).shape
    (160,)
    """
    check_waveform(waveform)
    check_rates(from_rate, to_rate)
    if from_rate == to_rate:
        return waveform
    from scipy.signal import resample_poly  # imported here: it takes longer than all the rest of the package

    divisor = math.gcd(from_rate, to_rate)
    return resample_poly(waveform, to_rate // divisor, from_rate // divisor)


def prepare_audio(
    waveforms: Sequence[Float[np.ndarray, "_"]], sample_rate: int, config: Config
) -> tuple[Float[np.ndarray, "B 1 S F"], Bool[np.ndarray, "B Na"]]:
    """Turn waveforms into a batch of log-mel pictures and a mask of their tokens.

    Every waveform (samples,) is brought to `config.sample_rate`; its picture is cut after
    `config.spectrogram_length` steps. Shorter pictures are padded with zeros to the longest one, and that one
    to a whole number of patches. A token is real if any step of its patch is.

    Returns:
        audio in [-1, 1], float32, and a mask where True says that a token is real.
    """
    check_list(waveforms, "waveforms of shape (samples,)")
    check_rates(sample_rate, config.sample_rate)
    if config.num_audio_channels != 1:
        raise ValueError(f"Sound has one channel here, but the config says {config.num_audio_channels}.")
    for i, waveform in enumerate(waveforms):
        if waveform.ndim != 1:
            raise ValueError(
                f"Expected waveforms of shape (samples,), but waveform {i} has shape {waveform.shape}: "
                "mix its channels down to one, for instance by their mean."
            )
        check_waveform(waveform, f"waveform {i}")
    single = [waveform.astype(np.float32, copy=False) for waveform in waveforms]
    resampled = [resample(waveform, sample_rate, config.sample_rate) for waveform in single]
    pictures = make_pictures(resampled, config)
    p, q = config.audio_patch_size
    rows = [math.ceil(len(picture) / p) for picture in pictures]  # of patches, a real step in each
    audio = np.zeros((len(pictures), 1, max(rows) * p, config.frequency_length), np.float32)
    for target, picture in zip(audio, pictures, strict=True):
        target[0, : len(picture)] = picture
    return audio, mask_tokens(rows, config.frequency_length // q)


def make_pictures(
    waveforms: Sequence[Float[np.ndarray, "_"]], config: Config
) -> list[Float[np.ndarray, "_ F"]]:
    """Make the log-mel picture of each waveform, those of equal length together, which is much faster."""
    pictures: list[np.ndarray] = [np.empty(0)] * len(waveforms)
    for members in group_by(map(len, waveforms)):
        at_once = max(1, SAMPLES_AT_ONCE // len(waveforms[members[0]]))
        for start in range(0, len(members), at_once):
            part = members[start : start + at_once]
            made = log_mel_spectrogram(
                np.stack([waveforms[i] for i in part]),
                config.sample_rate,
                config.frequency_length,
                config.window_length,
                config.hop_length,
            )
            for i, picture in zip(part, made, strict=True):
                pictures[i] = picture[: config.spectrogram_length]
    return pictures


def prepare_video(
    clips: Sequence[UInt8[np.ndarray, "*_ _ _ 3"]], config: Config
) -> tuple[Float[np.ndarray, "B T 3 H W"], Bool[np.ndarray, "B Nv"]]:
    """Turn clips (T, H, W, 3) of uint8, of any size and length, into a batch and a mask of its tokens.

    An image (H, W, 3) is a clip of one frame. From a clip of more than `config.num_frames` that many are
    chosen evenly; shorter ones are padded with zero frames to the longest. Every frame is resized until it
    just covers `config.image_shape`, and cropped around its centre.

    Returns:
        video in [-1, 1], float32, and a mask where True says that a token is real.
    """
    check_list(clips, "clips of shape (T, H, W, 3)")
    if config.num_image_channels != 3:
        raise ValueError(f"Frames have three channels here, but the config says {config.num_image_channels}.")
    for i, clip in enumerate(clips):
        check_clip(clip, i)
    chosen = [clip if clip.ndim == 4 else clip[None] for clip in clips]
    chosen = [clip[choose_frames(min(len(clip), config.num_frames), len(clip))] for clip in chosen]
    H, W = config.image_shape
    h, w = config.image_grid
    counts = [len(clip) for clip in chosen]
    video = np.zeros((len(chosen), max(counts), 3, H, W), np.float32)
    for members in group_by(clip.shape for clip in chosen):
        frames = np.concatenate([chosen[i] for i in members])
        T = counts[members[0]]
        video[members, :T] = transform_frames(frames, H, W).reshape(len(members), T, 3, H, W)
    return video, mask_tokens(counts, h * w)


def check_list(items: Sequence[np.ndarray], what: str) -> None:
    """Raise a ValueError unless there is at least one item and all are NumPy arrays."""
    if len(items) == 0:
        raise ValueError(f"Expected a list of {what}, got an empty one.")
    for item in items:
        if not isinstance(item, np.ndarray):
            raise ValueError(f"Expected a list of {what} as NumPy arrays, got one of {type(item).__name__}.")


def check_rates(*rates: int) -> None:
    """Raise a ValueError unless all sample rates are whole numbers of at least 1 Hz."""
    if not all(isinstance(rate, int | np.integer) and rate >= 1 for rate in rates):
        raise ValueError(
            f"Expected sample rates in whole hertz, at least 1, got {' and '.join(map(str, rates))}."
        )


def check_clip(clip: np.ndarray, i: int) -> None:
    """Raise a ValueError that says what is wrong with the i-th clip of a list."""
    if clip.ndim not in (3, 4) or clip.shape[-1] != 3:
        raise ValueError(f"Expected clips of shape (T, H, W, 3) or (H, W, 3), but clip {i} has {clip.shape}.")
    if clip.dtype != np.uint8:
        raise ValueError(f"Expected pixels of uint8, from 0 to 255, but clip {i} has {clip.dtype}.")
    if clip.size == 0:
        raise ValueError(f"Expected at least one frame of at least one pixel, but clip {i} has {clip.shape}.")


def group_by(keys: Iterable[Hashable]) -> list[list[int]]:
    """Put the positions of equal keys together.

    >>> group_by(["sun", "rain", "sun"])
    [[0, 2], [1]]
    """
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def mask_tokens(lengths: Sequence[int], tokens: int) -> Bool[np.ndarray, "B N"]:
    """Mark the tokens of the first `lengths[i]` frames, or patch rows, of clip i as real; each has `tokens`.

    >>> mask_tokens([2, 1], 3).astype(int)
    array([[1, 1, 1, 1, 1, 1],
           [1, 1, 1, 0, 0, 0]])
    """
    longest = max(lengths)
    is_real = np.arange(longest) < np.asarray(lengths)[:, None]
    return np.repeat(is_real, tokens, axis=1)
