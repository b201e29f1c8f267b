"""How good a pre-trained model is: on clips that training never showed, in numbers that mean something."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.learning.batches import World, draw_batch
from minitvlt.model.parameters import Params, count_patch_values
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, score_matches
from minitvlt.worlds import Examples

BATCH = 64  # clips; keeps the memory small, changes no result
GROUP = 16  # clips among which each sound looks for its video


@dataclass(frozen=True)
class Scores:
    """Held-out results; None where the model lacks the task"""

    match_accuracy: float | None  # share of pairs, half of them swapped, that are told right; chance 0.5
    recall_at_1: float | None  # share of sounds that rank their own video first in a group of 16; chance 1/16
    video_error: float | None  # squared error of hidden patches, relative to predicting each position's mean
    audio_error: float | None
    clips: int


@dataclass(frozen=True)
class Baseline:
    """The mean of every patch position over training clips: what one can predict without looking"""

    video: Float[np.ndarray, "Nv video_values"]
    audio: Float[np.ndarray, "Na audio_values"]


def evaluate(
    params: Params,
    world: World,
    baseline: Baseline,
    clips: int = 512,
    seed: int = 0,
    backend: str = "numpy",
    device: str | None = None,
) -> Scores:
    """Score a model on clips of a held-out world.

    Args:
        params: the model.
        world: where the clips come from.
        baseline: what reconstruction is compared with.
        clips: how many; retrieval uses whole groups of 16, or one smaller group where there are fewer clips.
        seed: which clips, which of them are swapped and what is hidden.
        backend: "numpy" or "torch".
        device: where torch computes.
    """
    config, params = params.config, to_backend(params, backend, device)
    right, errors, references = 0, np.zeros(2), np.zeros(2)
    ranks: list[np.ndarray] = []
    for number, start in enumerate(range(0, clips, BATCH)):
        rng = np.random.default_rng([seed, number])
        batch = draw_batch(world, config, rng, min(BATCH, clips - start))
        moved = to_backend(batch, backend, device)
        if config.task_matching:
            logits = score_matches(params, moved.mixed_video, moved.audio, moved.mixed_video_mask, moved.audio_mask)
            right += int(np.sum((to_backend(logits, "numpy") > 0) == batch.is_match))
            ranks += [rank_own(scores) for scores in score_groups(params, batch, backend, device)]
        if config.task_mae:
            predictions = to_backend(autoencode(params, moved), "numpy")
            error, reference = measure_errors(config, batch, predictions, baseline)
            errors, references = errors + error, references + reference
    relative = errors / np.maximum(references, 1e-12)
    return Scores(
        match_accuracy=right / clips if config.task_matching else None,
        recall_at_1=float(np.mean(np.concatenate(ranks) == 0)) if ranks else None,
        video_error=float(relative[0]) if config.task_mae else None,
        audio_error=float(relative[1]) if config.task_mae else None,
        clips=clips,
    )


def measure_baseline(world: World, config: Config, clips: int = 2048, seed: int = 1) -> Baseline:
    """Average the real patches of every position over clips of the training world."""
    sizes = (config.num_frames * math.prod(config.image_grid), math.prod(config.audio_grid))
    sums = [np.zeros((N, values)) for N, values in zip(sizes, count_patch_values(config), strict=True)]
    counts = [np.full((N, 1), 1e-9) for N in sizes]  # a position that no clip reaches has the mean 0
    for number, start in enumerate(range(0, clips, BATCH)):
        examples = world.sample(np.random.default_rng([seed, number]), min(BATCH, clips - start))
        for m, (rows, mask) in enumerate(_patches(examples, config)):
            N = rows.shape[1]
            is_real = np.ones(rows.shape[:2], bool) if mask is None else mask
            sums[m][:N] += np.sum(rows * is_real[:, :, None], axis=0)
            counts[m][:N] += np.sum(is_real, axis=0)[:, None]
    return Baseline(*((total / count).astype(np.float32) for total, count in zip(sums, counts, strict=True)))


def measure_errors(
    config: Config, batch: PretrainingBatch, predictions: tuple[np.ndarray, np.ndarray], baseline: Baseline
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Sum the squared error over hidden patches, for video and for sound: of the predictions, and of the baseline."""
    errors, references = np.zeros(2), np.zeros(2)
    hidden = (batch.video_masking.is_hidden, batch.audio_masking.is_hidden)
    means = (baseline.video, baseline.audio)
    for m, (rows, _) in enumerate(_patches(batch, config)):
        errors[m] = np.sum((predictions[m] - rows)[hidden[m]] ** 2)
        references[m] = np.sum((means[m][: rows.shape[1]] - rows)[hidden[m]] ** 2)
    return errors, references


def _patches(clips: Examples | PretrainingBatch, config: Config) -> list[tuple[np.ndarray, np.ndarray | None]]:
    return [
        (patchify_video(clips.video, config.image_patch_size), clips.video_mask),
        (patchify_audio(clips.audio, config.audio_patch_size), clips.audio_mask),
    ]


def score_groups(
    params: Params, batch: PretrainingBatch, backend: str = "numpy", device: str | None = None
) -> list[Float[np.ndarray, "n n"]]:
    """Score every sound with every video in groups of 16 clips: whole groups only, unless there is none."""
    B = batch.audio.shape[0]
    size = min(B, GROUP)
    return [score_all_pairs(params, batch, start, size, backend, device) for start in range(0, B - size + 1, size)]


def score_all_pairs(
    params: Params, batch: PretrainingBatch, start: int, size: int, backend: str = "numpy", device: str | None = None
) -> Float[np.ndarray, "size size"]:
    """Score every sound (rows) with every video (columns) among `size` clips of a batch, as logits."""
    sounds = start + np.repeat(np.arange(size), size)
    videos = start + np.tile(np.arange(size), size)
    scores = []
    for first in range(0, size * size, 4 * BATCH):
        sound, video = sounds[first : first + 4 * BATCH], videos[first : first + 4 * BATCH]
        pairs = (batch.video[video], batch.audio[sound], _pick(batch.video_mask, video), _pick(batch.audio_mask, sound))
        scores.append(to_backend(score_matches(params, *to_backend(pairs, backend, device)), "numpy"))
    return np.concatenate(scores).reshape(size, size)


def rank_own(scores: Float[np.ndarray, "n n"]) -> Int[np.ndarray, "n"]:
    """Count, for every sound, the other videos that score at least as high as its own: 0 is the best rank."""
    own = np.diagonal(scores)[:, None]
    return np.sum(scores >= own, axis=1) - 1


def _pick(mask: Bool[np.ndarray, "B N"] | None, rows: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n N"] | None:
    return None if mask is None else mask[rows]
