"""Batches: clips of a world, and for pre-training what is masked of them and which videos are mixed.

Everything is drawn on the host from one generator, so all backends train on the same numbers.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from minitvlt.backends import map_tree, namespace, to_backend, walk
from minitvlt.config import Config
from minitvlt.model.masking import Masking, find_speech, frame_masking, random_masking, span_masking
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import PretrainingBatch
from minitvlt.signals.prepare import Examples

MaskFunction = Callable[[Examples, Config, np.random.Generator], Masking]


@runtime_checkable
class World(Protocol):
    """A source of clips

    It may have `fingerprints`, which `train` saves with the state and compares when a run is resumed: a
    dictionary with `data`, which must be the same then, and `times`, of which a change is warned about; both
    hold names with numbers, texts or lists.
    """

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        """Draw `count` clips, ready for the model; the generator alone decides which."""


def draw_batch(world: World, config: Config, rng: np.random.Generator, batch_size: int) -> PretrainingBatch:
    """Draw clips from a world and make a batch of them."""
    return make_batch(world.sample(rng, batch_size), config, rng)


def make_batch(
    clips: Examples,
    config: Config,
    rng: np.random.Generator,
    mask_video: MaskFunction | None = None,
    mask_audio: MaskFunction | None = None,
) -> PretrainingBatch:
    """Make a batch for pre-training: draw what is masked, and give half of the clips another clip's video.

    Args:
        clips: with both modalities; where they have a mixed video already, it is kept.
        config: the ratios of masked tokens, and the kind of audio masking.
        rng: decides everything.
        mask_video: `mask_video(clips, config, rng)` returns a `Masking`; None masks random patches.
        mask_audio: the same for audio; None looks up `config.audio_mask_type`.
    """
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"Expected rng as a generator, such as numpy.random.default_rng(3), got {rng!r}.")
    if clips.is_match is None:
        source, is_match = draw_mixing(rng, len(clips.audio))
        mask = None if clips.video_mask is None else clips.video_mask[source]
        clips = replace(clips, mixed_video=clips.video[source], mixed_video_mask=mask, is_match=is_match)
    return PretrainingBatch(
        video=clips.video,
        audio=clips.audio,
        video_mask=clips.video_mask,
        audio_mask=clips.audio_mask,
        mixed_video=clips.mixed_video,
        mixed_video_mask=clips.mixed_video_mask,
        is_match=clips.is_match,
        video_masking=(mask_video or mask_video_patches)(clips, config, rng),
        audio_masking=(mask_audio or AUDIO_MASKS[config.audio_mask_type])(clips, config, rng),
    )


def draw_mixing(
    rng: np.random.Generator, count: int
) -> tuple[Int[np.ndarray, "{count}"], Bool[np.ndarray, "{count}"]]:
    """Choose half of the clips at random, and for each of them another one whose video it gets.

    Returns:
        For every row the row that its video comes from, and whether that is the same. A single clip keeps
        its own.
    """
    order = rng.permutation(count)
    swapped = count // 2 if count > 1 else 0
    source = np.arange(count)
    source[order[:swapped]] = np.roll(order, -1)[:swapped]
    return source, source == np.arange(count)


def mask_video_patches(clips: Examples, config: Config, rng: np.random.Generator) -> Masking:
    """Mask random patches of the frames."""
    p, q = config.image_patch_size
    B, T, _, H, W = clips.video.shape
    noise = rng.random((B, T * (H // p) * (W // q)))
    return random_masking(noise, config.pixel_mask_ratio, clips.video_mask)


def mask_audio_patches(clips: Examples, config: Config, rng: np.random.Generator) -> Masking:
    """Mask random patches of the spectrogram."""
    B, steps, bands = count_audio_patches(clips, config)
    return random_masking(rng.random((B, steps * bands)), config.audio_mask_ratio, clips.audio_mask)


def mask_audio_frames(clips: Examples, config: Config, rng: np.random.Generator) -> Masking:
    """Mask random time steps of the spectrogram."""
    B, steps, bands = count_audio_patches(clips, config)
    return frame_masking(rng.random((B, steps)), config.audio_mask_ratio, bands, clips.audio_mask)


def mask_audio_speech(clips: Examples, config: Config, rng: np.random.Generator) -> Masking:
    """Mask random patches of speech before any others."""
    B, steps, bands = count_audio_patches(clips, config)
    is_speech = find_speech(clips.audio, config.audio_patch_size, clips.audio_mask)
    noise = rng.random((B, steps * bands))
    return span_masking(noise, config.audio_mask_ratio, is_speech, clips.audio_mask)


AUDIO_MASKS: dict[str, MaskFunction] = {  # by the names of `Config.audio_mask_type`
    "patch-level": mask_audio_patches,
    "frame-level": mask_audio_frames,
    "speech-span": mask_audio_speech,
}


def count_audio_patches(clips: Examples, config: Config) -> tuple[int, int, int]:
    """Count clips, and the patches of each along time and frequency."""
    (B, _, S, F), (p, q) = clips.audio.shape, config.audio_patch_size
    return B, S // p, F // q


def move_beside(params: Params, tree: Any) -> Any:
    """Convert the arrays of a tree to the library and the device of the parameters."""
    array = params.encoder.cls
    return to_backend(tree, namespace(array).name, str(array.device))


def split_batch(batch: Any, parts: int) -> list[Any]:
    """Split a batch, a tree of arrays with one row for each clip, into parts as equal as possible."""
    B = next(len(array) for _, array in walk(batch))
    edges = [B * part // parts for part in range(parts + 1)]
    return [map_tree(lambda x, rows=slice(*pair): x[rows], batch) for pair in pairwise(edges)]
