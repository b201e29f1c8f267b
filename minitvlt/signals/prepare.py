"""From lists of clips of any length to padded batches and masks that say which tokens are real.

What the published processors of TVLT do, of the released code or of transformers as the configuration says,
for any sample rate, any number of frames and frames of any size. NumPy in, NumPy out: batches are made on the
host and moved to the model's device as a whole.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8

from minitvlt.config import Config
from minitvlt.signals.clips import Clip, check_frames, choose_frames_in_time
from minitvlt.signals.frames import choose_frames, cut_black_borders, transform_frames
from minitvlt.signals.ragged import group_alike, make_list, mask_tokens, place_rows
from minitvlt.signals.spectrogram import log_mel_spectrogram
from minitvlt.signals.waveforms import check_channel, check_rates, resample


@dataclass(frozen=True)
class Examples:
    """Clips that are ready for the model: video and sound of the same moment, and labels if there are any.

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
    is_match: Bool[np.ndarray, "B"] | None = None  # True where the mixed video is the sound's own


def prepare(
    clips: Clip | Sequence[Clip], config: Config, mixed: Clip | Sequence[Clip | None] | None = None
) -> Examples:
    """Turn clips into a batch for the model: films, silent films, sounds alone and images, in any mixture.

    Of more than `config.num_frames` frames, that many are chosen, even in time over the clip, or over as much
    of it as fits into the spectrogram if it has sound. A clip that lacks what others have gets padding, and
    False throughout its row of the mask: the model sees it as it would see the other modality alone. What no
    clip has is None, and so is a mask of nothing but real tokens. Sample rates may differ.

    Args:
        clips: one or several.
        config: the sizes of the model, and whose processing it expects.
        mixed: for matching, an entry for each clip: another clip, whose pictures are set beside its sound, or
            None where its own are.

    Raises:
        ValueError: no clip, one without frames and sound, what `prepare_video` and `prepare_audio` refuse, or
            a pair for matching that lacks its sound or its pictures.
    """
    clips = make_list(clips, Clip, "clips as read_clip gives them")
    for i, clip in enumerate(clips):
        check_clip(clip, f"clip {i}")
    shown = None if mixed is None else pair_up(clips, mixed)
    video, video_mask = prepare_pictures(clips, config)
    audio, audio_mask = prepare_sounds(clips, config)
    examples = Examples(video, audio, video_mask, audio_mask)
    if shown is None:
        return examples
    mixed_video, mixed_mask = prepare_pictures(shown, config)
    is_match = np.array([other is own for other, own in zip(shown, clips, strict=True)])
    return replace(examples, mixed_video=mixed_video, mixed_video_mask=mixed_mask, is_match=is_match)


def pair_up(clips: Sequence[Clip], mixed: Clip | Sequence[Clip | None]) -> list[Clip]:
    """Find for every sound the clip whose pictures are set beside it."""
    others = make_list(mixed, (Clip, type(None)), "mixed as clips, or None for its own pictures")
    if len(others) != len(clips):
        raise ValueError(f"Expected an entry of mixed for each of {len(clips)} clips, got {len(others)}.")
    shown = [own if other is None else other for own, other in zip(clips, others, strict=True)]
    for i, (own, other) in enumerate(zip(clips, shown, strict=True)):
        check_clip(other, f"mixed clip {i}")
        missing = "no sound" if own.waveform is None else "no pictures" if other.frames is None else None
        if missing:
            raise ValueError(f"Matching needs sound and pictures, but pair {i} has {missing}: leave it out.")
    return shown


def prepare_pictures(
    clips: Sequence[Clip], config: Config
) -> tuple[Float[np.ndarray, "B T 3 H W"] | None, Bool[np.ndarray, "B Nv"] | None]:
    """Make the video of clips of which some may have none, and its mask if anything in it is padding."""
    seen = [i for i, clip in enumerate(clips) if clip.frames is not None]
    if not seen:
        return None, None
    made = prepare_video([choose_pictures(clips[i], config) for i in seen], config)
    return place_rows(*made, seen, len(clips), padding=0.0)


def prepare_sounds(
    clips: Sequence[Clip], config: Config
) -> tuple[Float[np.ndarray, "B 1 S F"] | None, Bool[np.ndarray, "B Na"] | None]:
    """Make the sound of clips of which some may have none, and its mask if anything in it is padding."""
    heard = [i for i, clip in enumerate(clips) if clip.waveform is not None]
    if not heard:
        return None, None
    rates = [clips[i].sample_rate for i in heard]
    made = prepare_audio([clips[i].waveform for i in heard], rates, config)
    return place_rows(*made, heard, len(clips), config.audio_padding_value)


def choose_pictures(clip: Clip, config: Config) -> UInt8[np.ndarray, "T H W 3"]:
    """The frames of a clip, or `config.num_frames` of them that are even in time."""
    T, times = config.num_frames, clip.times
    if len(clip.frames) <= T:
        return clip.frames
    stop = times[-1] + (1 / clip.frame_rate if clip.frame_rate else 0.0)
    if clip.waveform is not None:
        stop = min(stop, max(times[0], clip.sound_start) + config.clip_seconds)
    return clip.frames[choose_frames_in_time(times, float(times[0]), float(stop), T)]


def prepare_audio(
    waveforms: Float[np.ndarray, "_"] | Sequence[Float[np.ndarray, "_"]],
    sample_rate: int | Sequence[int],
    config: Config,
) -> tuple[Float[np.ndarray, "B 1 S F"], Bool[np.ndarray, "B Na"]]:
    """Turn one waveform, or a list of them, into a batch of log-mel pictures and a mask of their tokens.

    Every waveform (samples,) is brought from `sample_rate`, one for all or one for each, to
    `config.sample_rate`, and its mean is removed where the configuration says so; its picture is cut after
    `config.spectrogram_length` steps. Shorter pictures are padded with `config.audio_padding_value` to the
    longest one, and that one to a whole number of patches. A token is real if any step of its patch is.

    Returns:
        audio in [-1, 1], float32, and a mask where True says that a token is real.

    Raises:
        ValueError: no waveform, one of several channels, of whole numbers, or with NaN or infinity in it;
            sample rates that are not whole or not as many.
    """
    waveforms = make_list(waveforms, np.ndarray, "waveforms of shape (samples,) as NumPy arrays")
    rates = [sample_rate] * len(waveforms) if np.ndim(sample_rate) == 0 else list(sample_rate)
    if len(rates) != len(waveforms):
        raise ValueError(f"Expected a sample rate for each of {len(waveforms)} waveforms, got {len(rates)}.")
    check_rates(*rates)
    if config.num_audio_channels != 1:
        raise ValueError(f"Sound has one channel here, but the config says {config.num_audio_channels}.")
    for i, waveform in enumerate(waveforms):
        check_channel(waveform, f"waveform {i}")
    sounds = [bring_to_model(w, rate, config) for w, rate in zip(waveforms, rates, strict=True)]
    pictures = make_pictures(sounds, config)
    p, q = config.audio_patch_size
    rows = [math.ceil(len(picture) / p) for picture in pictures]  # of patches, a real step in each
    shape = (len(pictures), 1, max(rows) * p, config.frequency_length)
    audio = np.full(shape, config.audio_padding_value, np.float32)
    for target, picture in zip(audio, pictures, strict=True):
        target[0, : len(picture)] = picture
    return audio, mask_tokens(rows, config.frequency_length // q)


def bring_to_model(
    waveform: Float[np.ndarray, " samples"], rate: int, config: Config
) -> Float[np.ndarray, " _"]:
    """Bring a waveform to the precision and the sample rate of the model, and to mean 0 if that is wanted."""
    sound = resample(waveform.astype(np.float32, copy=False), rate, config.sample_rate)
    if not config.remove_waveform_mean:
        return sound
    return sound - sound.mean(dtype=np.float64).astype(np.float32)


def make_pictures(
    waveforms: Sequence[Float[np.ndarray, "_"]], config: Config
) -> list[Float[np.ndarray, "_ F"]]:
    """Make the log-mel picture of each waveform, those of equal length together, which is much faster."""
    pictures: list[np.ndarray] = [np.empty(0)] * len(waveforms)
    for members in group_alike(waveforms):
        made = log_mel_spectrogram(
            np.stack([waveforms[i] for i in members]),
            config.sample_rate,
            config.frequency_length,
            config.window_length,
            config.hop_length,
            config.stft_padding,
            config.drop_last_step,
        )
        for i, picture in zip(members, made, strict=True):
            pictures[i] = picture[: config.spectrogram_length]
    return pictures


def prepare_video(
    clips: UInt8[np.ndarray, "*_ _ _ 3"] | Sequence[UInt8[np.ndarray, "*_ _ _ 3"]], config: Config
) -> tuple[Float[np.ndarray, "B T 3 H W"], Bool[np.ndarray, "B Nv"]]:
    """Turn one clip (T, H, W, 3) of uint8, or a list of any sizes and lengths, into a batch and a mask.

    An image (H, W, 3) is a clip of one frame. From a clip of more than `config.num_frames` that many are
    chosen evenly; shorter ones are padded with zero frames to the longest. Frames are brought to
    `config.image_shape` as `config.frame_crop` says: "after-resizing" resizes them until they just cover it
    and crops them around their centre; "before-resizing" cuts off what is a black border in all the chosen
    frames of a clip, takes the largest centre part of that shape and resizes it.

    Returns:
        video in [-1, 1], float32, and a mask of its tokens where True says that one is real.

    Raises:
        ValueError: no clip, one without frames, or frames that are not RGB in uint8.
    """
    clips = make_list(clips, np.ndarray, "clips of shape (T, H, W, 3) as NumPy arrays")
    if config.num_image_channels != 3:
        raise ValueError(f"Frames have three channels here, but the config says {config.num_image_channels}.")
    clips = [clip[None] if clip.ndim == 3 else clip for clip in clips]
    for i, clip in enumerate(clips):
        check_frames(clip, f"clip {i}")
    chosen = [clip[choose_frames(min(len(clip), config.num_frames), len(clip))] for clip in clips]
    if config.frame_crop == "before-resizing":
        chosen = [cut_black_borders(clip) for clip in chosen]
    (H, W), (h, w) = config.image_shape, config.image_grid
    counts = [len(clip) for clip in chosen]
    video = np.zeros((len(chosen), max(counts), 3, H, W), np.float32)
    for members in group_alike(chosen):
        frames = np.concatenate([chosen[i] for i in members])
        made = transform_frames(frames, H, W, config.frame_crop, config.frame_interpolation)
        T = counts[members[0]]
        video[members, :T] = made.reshape(len(members), T, 3, H, W)
    return video, mask_tokens(counts, h * w)


def check_clip(clip: Clip, name: str) -> None:
    """Raise a ValueError that says what is wrong with a clip."""
    if clip.frames is None and clip.waveform is None:
        raise ValueError(f"Expected frames, sound or both, but {name} holds neither: leave it out.")
    if clip.frames is not None:
        check_frames(clip.frames, f"the frames of {name}")
        times = np.asarray(clip.times)
        if times.shape != (len(clip.frames),) or not (np.diff(times) > 0).all():
            raise ValueError(f"Expected a later time for each frame of {name} than for the one before.")
    if clip.waveform is not None:
        check_channel(clip.waveform, f"the waveform of {name}")
        check_rates(clip.sample_rate)
