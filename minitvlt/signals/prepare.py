"""From lists of clips of any length to padded batches, and masks that are True for real tokens.

What the published processors of TVLT do, of the released code or of transformers as the configuration says,
for any sample rate, any number of frames and frames of any size. NumPy in, NumPy out: batches are made on the
host and moved to the model's device as a whole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from minitvlt.config import Config
from minitvlt.signals.frames import check_pixels, choose_frames, find_picture, transform_frames
from minitvlt.signals.media import Clip, read_clip
from minitvlt.signals.spectrogram import log_mel_spectrogram
from minitvlt.signals.waveforms import check_channel, check_rates, resample

VideoBatch = tuple[Float[np.ndarray, "B T 3 H W"] | None, Bool[np.ndarray, "B Nv"] | None]
AudioBatch = tuple[Float[np.ndarray, "B 1 S F"] | None, Bool[np.ndarray, "B Na"] | None]
NUMBERS_AT_ONCE = 1 << 18  # samples, or values of pixels, that are transformed together: memory stays bounded


@dataclass(frozen=True)
class Examples:
    """Clips that are ready for the model: video and audio of the same moment, and labels if there are any.

    A modality that no clip has is None. Masks say which tokens are real; None means all of them. Labels are
    arrays with one row for each clip. Mixed videos, which matching has to tell apart, are None where nobody
    chose any: `make_batch` draws them then.
    """

    video: Float[np.ndarray, "B T 3 H W"] | None  # in [-1, 1]
    audio: Float[np.ndarray, "B 1 S F"] | None  # in [-1, 1]
    video_mask: Bool[np.ndarray, "B Nv"] | None = None
    audio_mask: Bool[np.ndarray, "B Na"] | None = None
    labels: dict[str, np.ndarray] | None = None
    mixed_video: Float[np.ndarray, "B T2 3 H W"] | None = None  # in some rows the video of another clip
    mixed_video_mask: Bool[np.ndarray, "B Nv2"] | None = None
    is_match: Bool[np.ndarray, "B"] | None = None  # True where the mixed video is that of the audio


def prepare(
    clips: Clip | Sequence[Clip], config: Config, mixed: Clip | Sequence[Clip | None] | None = None
) -> Examples:
    """Turn clips into a batch for the model: with frames, audio or both, and single images, in any mixture.

    Of more than `config.num_frames` frames, that many are chosen, even in time over the clip, or over as much
    of it as fits into the spectrogram if it has audio; with `config.frame_choice` "first" they are chosen by
    their number, from all frames. A clip that lacks what others have gets padding, and False throughout its
    row of the mask: the model sees it as it would see the other modality alone (or as a silent one, with
    `config.silence_is_padding`). What no clip has is None, and so is a mask of nothing but real tokens.
    Sample rates may differ.

    With `Config.original` the result is that of the released code, for clips as `read_clip` gives them, with
    two exceptions: it squeezes the images of questions to squares, and FFmpeg mixes 5.1 audio down for it
    with other weights than the mean.

    Args:
        clips: one or several.
        config: the sizes of the model, and whose processing it expects.
        mixed: for matching, an entry for each clip: another clip, whose frames are paired with its audio, or
            None where its own are.

    Raises:
        ValueError: no clip, one without frames and audio, what `prepare_video` and `prepare_audio` refuse, or
            a pair for matching that lacks its audio or its frames.
    """
    clips = make_list(clips, Clip, "clips as read_clip gives them")
    for i, clip in enumerate(clips):
        if clip.frames is None and clip.waveform is None:
            raise ValueError(f"Expected frames, audio or both, but clip {i} holds neither: leave it out.")
    video, video_mask = stack_frames([choose_in_clip(clip, config) for clip in clips], config)
    waveforms, rates = [take_waveform(clip, config) for clip in clips], [clip.sample_rate for clip in clips]
    audio, audio_mask = stack_spectrograms(waveforms, rates, config)
    masks = [None if mask is None or mask.all() else mask for mask in (video_mask, audio_mask)]
    if mixed is None:
        return Examples(video, audio, *masks)
    shown = pair_up(clips, mixed)
    mixed_video, mixed_mask = stack_frames([choose_in_clip(clip, config) for clip in shown], config)
    is_match = np.array([other is own for other, own in zip(shown, clips, strict=True)])
    mixed_mask = None if mixed_mask.all() else mixed_mask
    return Examples(video, audio, *masks, None, mixed_video, mixed_mask, is_match)


def pair_up(clips: Sequence[Clip], mixed: Clip | Sequence[Clip | None]) -> list[Clip]:
    """Find for the audio of each clip the clip whose frames are paired with it."""
    others = make_list(mixed, (Clip, type(None)), "mixed as clips, or None for its own frames")
    if len(others) != len(clips):
        raise ValueError(f"Expected an entry of mixed for each of {len(clips)} clips, got {len(others)}.")
    shown = [own if other is None else other for own, other in zip(clips, others, strict=True)]
    for i, (own, other) in enumerate(zip(clips, shown, strict=True)):
        if own.waveform is None or other.frames is None:
            raise ValueError(f"Matching needs audio in clip {i} and frames in its mixed clip: leave it out.")
    return shown


def choose_in_clip(clip: Clip, config: Config) -> UInt8[np.ndarray, "T H W 3"] | None:
    """The frames of a clip that the model sees; None if it has none.

    "middle" gives at most `config.num_frames`; "first" exactly that many, except of a still image.
    """
    T, times, choice = config.num_frames, clip.times, config.frame_choice
    is_still = clip.frames is not None and len(clip.frames) == 1 and clip.frame_rate == 0
    if clip.frames is None or is_still or (choice == "middle" and len(clip.frames) <= T):
        return clip.frames
    if choice == "first":
        return clip.frames[choose_frames(times, -math.inf, math.inf, T, choice)]
    stop = times[-1] + (1 / clip.frame_rate if clip.frame_rate else 0.0)
    if clip.waveform is not None:
        stop = min(stop, max(times[0], clip.sound_start) + config.clip_seconds)
    return clip.frames[choose_frames(times, float(times[0]), float(stop), T)]


def read_first_frames(path: Path, span: tuple[float, float | None], config: Config) -> Clip | None:
    """Read those frames that "first" chooses from a file, at the model's size, as `prepare` makes them.

    The file is decoded twice, and memory holds the chosen frames alone.

    Args:
        path: of the file.
        span: start and stop in seconds; None for the end.
        config: of the model.

    Returns:
        The chosen frames with their times, and the frame rate with which the last one stays to the end of
        all; None if the span is longer than a spectrogram, if it holds no frames or if the file is damaged.
    """
    start, stop = span
    if stop is not None and stop - start > config.clip_seconds:
        return None
    found = read_clip(path, start, stop or start + config.clip_seconds + 1, 0.0, lambda x: x[:1, :1])
    if found.frames is None or found.damage or np.ptp(found.times) > config.clip_seconds:
        return None
    chosen = np.unique(choose_frames(found.times, -math.inf, math.inf, config.num_frames, "first"))
    kept: list[np.ndarray | None] = []

    def keep(pixels: np.ndarray) -> np.ndarray:
        kept.append(pixels if len(kept) in chosen else None)
        return pixels[:1, :1]

    read_clip(path, start, stop, 0.0, keep)
    if len(kept) != len(found.times):  # reading has begun anew
        return None
    video, _ = stack_frames([np.stack([kept[i] for i in chosen])], config)
    frames = np.rint((video[0].transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)
    times, rate = found.times[chosen], found.frame_rate
    rate = 1 / (found.times[-1] + 1 / rate - times[-1]) if rate else 0.0
    return replace(found, frames=frames, times=times, frame_rate=float(rate))


def take_waveform(clip: Clip, config: Config) -> Float[np.ndarray, "_"] | None:
    """The waveform of a clip, with the gain that the configuration gives to the mono audio of videos."""
    is_mono_video = clip.channels == 1 and clip.frames is not None and clip.waveform is not None
    return clip.waveform * config.mono_gain if is_mono_video else clip.waveform


def prepare_audio(
    waveforms: Float[np.ndarray, "_"] | Sequence[Float[np.ndarray, "_"]],
    sample_rate: int | Sequence[int],
    config: Config,
) -> AudioBatch:
    """Turn one waveform, or a list of them, into a batch of log-mel spectrograms and a mask of their tokens.

    Every waveform (samples,) is brought from `sample_rate`, one for all or one for each, to
    `config.sample_rate`, and its mean is removed where the configuration says so; its spectrogram
    is cut after `config.spectrogram_length` steps. Shorter ones are padded with
    `config.audio_padding_value` to the longest one, and that one to a whole number of patches. A token is
    real if any step of its patch is; with `config.silence_is_padding` no silent patch is.

    Returns:
        audio in [-1, 1], float32, and a mask that is True for real tokens.

    Raises:
        ValueError: no waveform, one of several channels, of integers, or with NaN or infinity in it;
            sample rates that are not whole or not as many.
    """
    waveforms = make_list(waveforms, np.ndarray, "waveforms of shape (samples,) as NumPy arrays")
    rates = [sample_rate] * len(waveforms) if np.ndim(sample_rate) == 0 else list(sample_rate)
    if len(rates) != len(waveforms):
        raise ValueError(f"Expected a sample rate for each of {len(waveforms)} waveforms, got {len(rates)}.")
    check_rates(*rates)
    for i, waveform in enumerate(waveforms):
        check_channel(waveform, f"waveform {i}")
    return stack_spectrograms(waveforms, rates, config)


def stack_spectrograms(
    waveforms: Sequence[Float[np.ndarray, "_"] | None], rates: Sequence[int], config: Config
) -> AudioBatch:
    """Make a batch of waveforms, of which some may be missing; None if all are.

    Those of equal length are transformed together, which is much faster.
    """
    heard = [i for i, waveform in enumerate(waveforms) if waveform is not None]
    if not heard:
        return None, None
    F, (p, q) = config.frequency_length, config.audio_patch_size
    single = [waveforms[i].astype(np.float32, copy=False) for i in heard]
    to_rate, low_pass = config.sample_rate, config.resampling_window
    resampled = [resample(w, rates[i], to_rate, low_pass) for w, i in zip(single, heard, strict=True)]
    if config.remove_waveform_mean:
        resampled = [w - w.mean(dtype=np.float64).astype(np.float32) for w in resampled]
    spectrograms = [np.zeros((0, F), np.float32)] * len(waveforms)
    settings = config.window_length, config.hop_length, config.stft_padding, config.drop_last_step
    for members in group_alike(resampled):
        stacked = np.stack([resampled[i] for i in members])
        made = log_mel_spectrogram(stacked, config.sample_rate, F, *settings)
        for i, spectrogram in zip(members, made, strict=True):
            spectrograms[heard[i]] = spectrogram[: config.spectrogram_length]
    rows = [math.ceil(len(spectrogram) / p) for spectrogram in spectrograms]  # of patches
    audio = np.full((len(rows), 1, max(rows) * p, F), config.audio_padding_value, np.float32)
    for target, spectrogram in zip(audio, spectrograms, strict=True):
        target[0, : len(spectrogram)] = spectrogram
    mask = mask_tokens(rows, F // q)
    return audio, mask & find_content(audio, (p, q)) if config.silence_is_padding else mask


def prepare_video(
    clips: UInt8[np.ndarray, "*_ _ _ 3"] | Sequence[UInt8[np.ndarray, "*_ _ _ 3"]], config: Config
) -> VideoBatch:
    """Turn one clip (T, H, W, 3) of uint8, or a list of any sizes and lengths, into a batch and a mask.

    An image (H, W, 3) is one frame. From a clip of more than `config.num_frames` that many are chosen evenly;
    shorter ones are padded with zero frames to the longest, or, with `config.frame_choice` "first", have
    frames repeated. Frames are brought to `config.image_shape` as `config.frame_crop` says: "after-resizing"
    resizes them until they just cover it and crops them around their centre; the others cut off what is a
    black border of the chosen frames of a clip, take the largest centre part of that shape and resize it.

    Returns:
        video in [-1, 1], float32, and a mask that is True for real tokens. With `config.silence_is_padding`
        no black patch is real.

    Raises:
        ValueError: no clip, one without frames, or frames that are not RGB in uint8.
    """
    clips = make_list(clips, np.ndarray, "clips of shape (T, H, W, 3) as NumPy arrays")
    videos = [clip[None] if clip.ndim == 3 else clip for clip in clips]
    for i, video in enumerate(videos):
        check_pixels(video, f"clip {i}")
    rates = [float(clip.ndim == 4) for clip in clips]
    videos = [Clip(video, rate, None, 0) for video, rate in zip(videos, rates, strict=True)]
    return stack_frames([choose_in_clip(video, config) for video in videos], config)


def stack_frames(clips: Sequence[UInt8[np.ndarray, "_ _ _ 3"] | None], config: Config) -> VideoBatch:
    """Make a batch of chosen frames, which some clips may lack; None if all do."""
    seen = [i for i, clip in enumerate(clips) if clip is not None]
    if not seen:
        return None, None
    parts = [clips[i] for i in seen]
    crop, resizing = config.frame_crop, (config.frame_interpolation, config.frame_antialias)
    if crop != "after-resizing":
        parts = [clip[:, rows, columns] for clip in parts for rows, columns in (find_picture(clip, crop),)]
    (H, W), (h, w) = config.image_shape, config.image_grid
    counts = [0 if clip is None else len(clip) for clip in clips]
    video = np.zeros((len(clips), max(counts), 3, H, W), np.float32)
    for members in group_alike(parts):
        frames = np.concatenate([parts[i] for i in members])
        made = transform_frames(frames, H, W, crop, *resizing)
        T = len(parts[members[0]])
        video[[seen[i] for i in members], :T] = made.reshape(len(members), T, 3, H, W)
    mask = mask_tokens(counts, h * w)
    return video, mask & find_content(video, config.image_patch_size) if config.silence_is_padding else mask


def find_content(clips: Float[np.ndarray, "B *T C H W"], patch: tuple[int, int]) -> Bool[np.ndarray, "B N"]:
    """Mark the tokens of video or of spectrograms whose patches are not -1 throughout: black or silent.

    The released code takes all others for padding.

    >>> find_content(np.array([[[[-1, 0, -1, -1], [-1, -1, -1, -1.0]]]]), (2, 2))
    array([[ True, False]])
    """
    (B, *_, C, H, W), (p, q) = clips.shape, patch
    has_content = (clips != -1).reshape(B, -1, C, H // p, p, W // q, q).any(axis=(2, 4, 6))
    return has_content.reshape(B, -1)


def make_list(given: Any, kind: type | tuple[type, ...], what: str) -> list[Any]:
    """Make a list of one thing or of several; a ValueError unless there is one and all are of this kind."""
    items = list(given) if isinstance(given, list | tuple) else [given]
    if not items or not all(isinstance(item, kind) for item in items):
        raise ValueError(f"Expected {what}, one or a list of at least one, got {given!r:.60}.")
    return items


def group_alike(arrays: Sequence[Shaped[np.ndarray, "..."]]) -> list[list[int]]:
    """Put the positions of arrays of one shape together, up to `NUMBERS_AT_ONCE` numbers in a group.

    >>> group_alike([np.zeros(5), np.zeros(3), np.zeros(5)])
    [[0, 2], [1]]
    """
    groups: dict[Any, list[int]] = {}
    for i, array in enumerate(arrays):
        groups.setdefault((array.shape, i * array.size // NUMBERS_AT_ONCE), []).append(i)
    return list(groups.values())


def mask_tokens(lengths: Sequence[int], tokens: int) -> Bool[np.ndarray, "B N"]:
    """Mark the tokens of the first `lengths[i]` frames, or patch rows, of clip i as real; each has `tokens`.

    >>> mask_tokens([2, 1], 3).astype(int)
    array([[1, 1, 1, 1, 1, 1],
           [1, 1, 1, 0, 0, 0]])
    """
    is_real = np.arange(max(lengths)) < np.asarray(lengths)[:, None]
    return np.repeat(is_real, tokens, axis=1)
