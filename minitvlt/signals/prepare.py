"""From lists of clips of any length to padded batches and masks that say which tokens are real.

What the published processors of TVLT do, of the released code or of transformers as the configuration says,
for any sample rate, any number of frames and frames of any size. NumPy in, NumPy out: batches are made on the
host and moved to the model's device as a whole.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from minitvlt.config import Config
from minitvlt.signals.clips import Clip, choose_frames_in_time
from minitvlt.signals.frames import choose_frames, cut_black_borders, transform_frames
from minitvlt.signals.spectrogram import log_mel_spectrogram
from minitvlt.signals.waveforms import check_channel, check_rates, resample

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


def prepare(clips: Clip | Sequence[Clip], config: Config) -> Examples:
    """Turn clips into a batch for the model: films, silent films, sounds alone and images, in any mixture.

    Of more than `config.num_frames` frames, that many are chosen, even in time over the clip, or over as much
    of it as fits into the spectrogram if it has sound. A clip that lacks what others have gets padding, and
    False throughout its row of the mask: the model sees it as it would see the other modality alone. What no
    clip has is None, and so is a mask of nothing but real tokens. Sample rates may differ.

    Raises:
        ValueError: no clip, one without frames and sound, or what `prepare_video` and `prepare_audio` refuse.
    """
    clips = [clips] if isinstance(clips, Clip) else list(clips)
    for i, clip in enumerate(clips):
        check_clip(clip, i)
    seen = [i for i, clip in enumerate(clips) if clip.frames is not None]
    heard = [i for i, clip in enumerate(clips) if clip.waveform is not None]
    if not seen and not heard:
        raise ValueError("Expected at least one clip, got an empty list: give what read_clip returns.")
    video = video_mask = audio = audio_mask = None
    if seen:
        chosen = [choose_pictures(clips[i], config) for i in seen]
        video, video_mask = place_rows(*prepare_video(chosen, config), seen, len(clips))
    if heard:
        waveforms, rates = [clips[i].waveform for i in heard], [clips[i].sample_rate for i in heard]
        made = prepare_audio(waveforms, rates, config)
        audio, audio_mask = place_rows(*made, heard, len(clips), config.audio_padding_value)
    return Examples(video, audio, video_mask, audio_mask)


def choose_pictures(clip: Clip, config: Config) -> UInt8[np.ndarray, "T H W 3"]:
    """The frames of a clip, or `config.num_frames` of them that are even in time."""
    T, times = config.num_frames, clip.times
    if len(clip.frames) <= T:
        return clip.frames
    stop = times[-1] + (1 / clip.frame_rate if clip.frame_rate else 0.0)
    if clip.waveform is not None:
        stop = min(stop, max(times[0], clip.sound_start) + config.clip_seconds)
    return clip.frames[choose_frames_in_time(times, float(times[0]), float(stop), T)]


def place_rows(
    batch: Float[np.ndarray, "rows *rest"],
    mask: Bool[np.ndarray, "rows N"],
    places: Sequence[int],
    B: int,
    padding: float = 0.0,
) -> tuple[Float[np.ndarray, "{B} *rest"], Bool[np.ndarray, "{B} N"] | None]:
    """Put rows where they belong among B, of which the others are padding; no mask where all is real."""
    if len(places) == B:
        return batch, None if mask.all() else mask
    placed, placed_mask = (
        np.full((B, *batch.shape[1:]), padding, batch.dtype),
        np.zeros((B, mask.shape[1]), bool),
    )
    placed[places], placed_mask[places] = batch, mask
    return placed, placed_mask


def prepare_audio(
    waveforms: Sequence[Float[np.ndarray, "_"]], sample_rate: int | Sequence[int], config: Config
) -> tuple[Float[np.ndarray, "B 1 S F"], Bool[np.ndarray, "B Na"]]:
    """Turn waveforms into a batch of log-mel pictures and a mask of their tokens.

    Every waveform (samples,) is brought from `sample_rate`, one for all or one for each, to
    `config.sample_rate`, and its mean is removed where the configuration says so; its picture is cut after
    `config.spectrogram_length` steps. Shorter pictures are padded with `config.audio_padding_value` to the
    longest one, and that one to a whole number of patches. A token is real if any step of its patch is.

    Returns:
        audio in [-1, 1], float32, and a mask where True says that a token is real.
    """
    check_list(waveforms, "waveforms of shape (samples,)")
    rates = list(sample_rate) if isinstance(sample_rate, Sequence) else [sample_rate] * len(waveforms)
    if len(rates) != len(waveforms):
        raise ValueError(f"Expected a sample rate for each of {len(waveforms)} waveforms, got {len(rates)}.")
    check_rates(*rates, config.sample_rate)
    if config.num_audio_channels != 1:
        raise ValueError(f"Sound has one channel here, but the config says {config.num_audio_channels}.")
    for i, waveform in enumerate(waveforms):
        check_channel(waveform, f"waveform {i}")
    single = [waveform.astype(np.float32, copy=False) for waveform in waveforms]
    at_rate = [resample(w, rate, config.sample_rate) for w, rate in zip(single, rates, strict=True)]
    if config.remove_waveform_mean:
        at_rate = [waveform - waveform.mean(dtype=np.float64).astype(np.float32) for waveform in at_rate]
    pictures = make_pictures(at_rate, config)
    p, q = config.audio_patch_size
    rows = [math.ceil(len(picture) / p) for picture in pictures]  # of patches, a real step in each
    shape = (len(pictures), 1, max(rows) * p, config.frequency_length)
    audio = np.full(shape, config.audio_padding_value, np.float32)
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
                config.stft_padding,
                config.drop_last_step,
            )
            for i, picture in zip(part, made, strict=True):
                pictures[i] = picture[: config.spectrogram_length]
    return pictures


def prepare_video(
    clips: Sequence[UInt8[np.ndarray, "*_ _ _ 3"]], config: Config
) -> tuple[Float[np.ndarray, "B T 3 H W"], Bool[np.ndarray, "B Nv"]]:
    """Turn clips (T, H, W, 3) of uint8, of any size and length, into a batch and a mask of its tokens.

    An image (H, W, 3) is a clip of one frame. From a clip of more than `config.num_frames` that many are
    chosen evenly; shorter ones are padded with zero frames to the longest. Frames are brought to
    `config.image_shape` as `config.frame_crop` says: "after-resizing" resizes them until they just cover it
    and crops them around their centre; "before-resizing" cuts off what is a black border in all the chosen
    frames of a clip, takes the largest centre part of that shape and resizes it.

    Returns:
        video in [-1, 1], float32, and a mask where True says that a token is real.
    """
    check_list(clips, "clips of shape (T, H, W, 3)")
    if config.num_image_channels != 3:
        raise ValueError(f"Frames have three channels here, but the config says {config.num_image_channels}.")
    for i, clip in enumerate(clips):
        check_frames_of_clip(clip, i)
    chosen = [clip if clip.ndim == 4 else clip[None] for clip in clips]
    chosen = [clip[choose_frames(min(len(clip), config.num_frames), len(clip))] for clip in chosen]
    if config.frame_crop == "before-resizing":
        chosen = [cut_black_borders(clip) for clip in chosen]
    H, W = config.image_shape
    h, w = config.image_grid
    counts = [len(clip) for clip in chosen]
    video = np.zeros((len(chosen), max(counts), 3, H, W), np.float32)
    for members in group_by(clip.shape for clip in chosen):
        frames = np.concatenate([chosen[i] for i in members])
        made = transform_frames(frames, H, W, config.frame_crop, config.frame_interpolation)
        T = counts[members[0]]
        video[members, :T] = made.reshape(len(members), T, 3, H, W)
    return video, mask_tokens(counts, h * w)


def check_list(items: Sequence[np.ndarray], what: str) -> None:
    """Raise a ValueError unless there is at least one item and all are NumPy arrays."""
    if len(items) == 0:
        raise ValueError(f"Expected a list of {what}, got an empty one.")
    for item in items:
        if not isinstance(item, np.ndarray):
            raise ValueError(f"Expected a list of {what} as NumPy arrays, got one of {type(item).__name__}.")


def check_clip(clip: Clip, i: int) -> None:
    """Raise a ValueError that says what is wrong with the i-th of a list of clips."""
    if not isinstance(clip, Clip):
        raise ValueError(f"Expected clips as read_clip gives them, but clip {i} is of {type(clip).__name__}.")
    if clip.frames is None and clip.waveform is None:
        raise ValueError(f"Clip {i} holds neither frames nor sound: leave it out.")
    if clip.frames is not None:
        check_frames_of_clip(clip.frames, i)
        if clip.frames.ndim != 4 or np.shape(clip.times) != (len(clip.frames),):
            raise ValueError(f"Expected frames (T, H, W, 3) and T times, but clip {i} has others.")
    if clip.waveform is not None:
        check_channel(clip.waveform, f"the waveform of clip {i}")
        check_rates(clip.sample_rate)


def check_frames_of_clip(clip: np.ndarray, i: int) -> None:
    """Raise a ValueError that says what is wrong with the frames of the i-th clip of a list."""
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
