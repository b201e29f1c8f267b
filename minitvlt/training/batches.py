"""Batches: clips of a world, and for pre-training what is hidden of them and videos that were swapped.

Everything is drawn on the host from one generator, so each backend trains on the same numbers.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from minitvlt.backends import map_tree, walk
from minitvlt.config import Config
from minitvlt.model.masking import Masking, find_speech, frame_masking, random_masking, span_masking
from minitvlt.model.parameters import count_patch_values
from minitvlt.model.pretraining import PretrainingBatch
from minitvlt.signals.prepare import Examples


@runtime_checkable
class World(Protocol):
    """Where clips come from."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        """Draw so many clips, ready for the model, by nothing but the given generator."""


def draw_batch(world: World, config: Config, rng: np.random.Generator, batch_size: int) -> PretrainingBatch:
    """Draw clips, hide patches of both modalities and give half of the sounds another clip's video."""
    clips = world.sample(rng, batch_size)
    return make_batch(clips, config, rng)


def make_batch(clips: Examples, config: Config, rng: np.random.Generator) -> PretrainingBatch:
    """Turn clips into a batch for both objectives; videos that nobody mixed yet are mixed by chance."""
    clips = clips if clips.is_match is not None else mix_videos(clips, rng)
    return PretrainingBatch(
        video=clips.video,
        audio=clips.audio,
        video_mask=clips.video_mask,
        audio_mask=clips.audio_mask,
        mixed_video=clips.mixed_video,
        mixed_video_mask=clips.mixed_video_mask,
        is_match=clips.is_match,
        video_masking=draw_video_masking(rng, config, clips),
        audio_masking=draw_audio_masking(rng, config, clips),
    )


def mix_videos(clips: Examples, rng: np.random.Generator) -> Examples:
    """Give half of the sounds another clip's video."""
    source, is_match = draw_mixing(rng, len(clips.audio))
    mask = None if clips.video_mask is None else clips.video_mask[source]
    return replace(clips, mixed_video=clips.video[source], mixed_video_mask=mask, is_match=is_match)


def draw_mixing(
    rng: np.random.Generator, count: int
) -> tuple[Int[np.ndarray, "{count}"], Bool[np.ndarray, "{count}"]]:
    """Choose half of the clips at random and hand each of them another clip's video.

    Returns:
        For every row the row that its video comes from, and whether that is the same. A single clip keeps
        its own.
    """
    order = rng.permutation(count)
    swapped = count // 2 if count > 1 else 0
    source = np.arange(count)
    source[order[:swapped]] = np.roll(order, -1)[:swapped]
    return source, source == np.arange(count)


def draw_video_masking(rng: np.random.Generator, config: Config, clips: Examples) -> Masking:
    """Hide random patches of the frames."""
    p, q = config.image_patch_size
    B, T, _, H, W = clips.video.shape
    noise = rng.random((B, T * (H // p) * (W // q)))
    return random_masking(noise, config.pixel_mask_ratio, clips.video_mask)


def draw_audio_masking(rng: np.random.Generator, config: Config, clips: Examples) -> Masking:
    """Hide patches of the spectrogram: any, whole time steps, or speech first, as the configuration says."""
    p, q = config.audio_patch_size
    B, _, S, F = clips.audio.shape
    steps, bands = S // p, F // q
    if config.audio_mask_type == "frame-level":
        return frame_masking(rng.random((B, steps)), config.audio_mask_ratio, bands, clips.audio_mask)
    noise: Float[np.ndarray, "B N"] = rng.random((B, steps * bands))
    if config.audio_mask_type == "patch-level":
        return random_masking(noise, config.audio_mask_ratio, clips.audio_mask)
    return span_masking(
        noise, config.audio_mask_ratio, find_speech(clips.audio, (p, q), clips.audio_mask), clips.audio_mask
    )


def count_clips(batch: Any) -> int:
    """Count the rows that all arrays of a batch have."""
    return next(len(array) for _, array in walk(batch))


def split_batch(batch: Any, parts: int) -> list[Any]:
    """Cut a batch, a tree of arrays with a row for each clip, into parts as equal as possible."""
    B = count_clips(batch)
    edges = [B * part // parts for part in range(parts + 1)]
    return [
        map_tree(lambda array, start=start, stop=stop: array[start:stop], batch)
        for start, stop in pairwise(edges)
    ]


def join_examples(parts: Sequence[Examples], config: Config) -> Examples:
    """Put batches of clips together, in their order; shorter ones are padded, and masked, to the longest.

    Raises:
        ValueError: no batch, or some have pictures, or sound, that others lack.
    """
    if len({(part.video is None, part.audio is None) for part in parts}) != 1:
        raise ValueError("Expected batches that all have pictures, or none, and the same for sound.")
    video_values, audio_values = count_patch_values(config)
    video = _join_padded([(part.video, part.video_mask) for part in parts], 1, video_values)
    audio = _join_padded([(part.audio, part.audio_mask) for part in parts], 2, audio_values)
    labels = None
    if all(part.labels for part in parts):
        labels = {name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels}
    return Examples(video[0], audio[0], video[1], audio[1], labels)


def _join_padded(
    parts: Sequence[tuple[np.ndarray | None, np.ndarray | None]], axis: int, values: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Join clips that run along an axis, and their masks; a patch, and so a token, holds so many values."""
    if parts[0][0] is None:
        return None, None
    longest = max(clips.shape[axis] for clips, _ in parts)
    tokens = max(clips[0].size // values for clips, _ in parts)
    padded, masks = [], []
    for clips, mask in parts:
        room = [(0, 0)] * clips.ndim
        room[axis] = (0, longest - clips.shape[axis])
        padded.append(np.pad(clips, room))
        own = np.ones((len(clips), clips[0].size // values), bool) if mask is None else mask
        masks.append(np.pad(own, ((0, 0), (0, tokens - own.shape[1]))))
    is_real = np.concatenate(masks)
    return np.concatenate(padded), None if is_real.all() else is_real
