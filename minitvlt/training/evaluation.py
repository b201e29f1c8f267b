"""How good a pre-trained model is: on clips that training never showed, in numbers that mean something."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from minitvlt.backends import map_tree, to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import Params, count_patch_values
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, score_matches
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import World, draw_batch, move_beside
from minitvlt.training.metrics import rank_own
from minitvlt.training.retrieval import score_all_pairs

BATCH = 64  # clips; keeps the memory small
GROUP = 16  # clips among which each sound looks for its video
EVALUATION = 1  # third number of the seeds, so that no draw is one of training's


@dataclass(frozen=True)
class Scores:
    """Held-out results; None where the model lacks the task or nothing was hidden"""

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
) -> Scores:
    """Score a model on clips of a held-out world.

    Args:
        params: the model; where its parameters live, the work is done.
        world: where the clips come from.
        baseline: what reconstruction is compared with.
        clips: how many; retrieval uses whole groups of 16, or one smaller group where there are fewer clips.
        seed: which clips, which of them are swapped and what is hidden.
    """
    config, right, ranks, errors = params.config, 0, [], np.zeros((2, 2))
    for number, start in enumerate(range(0, clips, BATCH)):
        batch = draw_evaluation_batch(world, config, min(BATCH, clips - start), seed, number)
        if config.task_matching:
            right += count_right(params, batch)
            groups = cut_groups(batch, min(clips, GROUP))
            ranks += [rank_own(score_all_pairs(params, group)) for group in groups]
        if config.task_mae:
            predictions = to_backend(autoencode(params, move_beside(params, batch)), "numpy")
            errors += measure_errors(config, batch, predictions, baseline)
    error, reference = errors
    relative = [float(e / r) if r else None for e, r in zip(error, reference, strict=True)]
    return Scores(
        match_accuracy=right / clips if config.task_matching else None,
        recall_at_1=float(np.mean(np.concatenate(ranks) == 0)) if ranks else None,
        video_error=relative[0],
        audio_error=relative[1],
        clips=clips,
    )


def draw_evaluation_batch(
    world: World, config: Config, count: int, seed: int = 0, number: int = 0
) -> PretrainingBatch:
    """Draw the batch of a number, never one that training draws, even where both share one world."""
    return draw_batch(world, config, np.random.default_rng([seed, number, EVALUATION]), count)


def measure_baseline(world: World, config: Config, clips: int = 2048, seed: int = 1) -> Baseline:
    """Average the real patches of every position over clips of the training world."""
    sizes = (config.num_frames * math.prod(config.image_grid), math.prod(config.audio_grid))
    sums = [np.zeros((N, values)) for N, values in zip(sizes, count_patch_values(config), strict=True)]
    counts = [np.full((N, 1), 1e-9) for N in sizes]  # a position that no clip reaches has the mean 0
    for number, start in enumerate(range(0, clips, BATCH)):
        rng = np.random.default_rng([seed, number, EVALUATION])
        examples = world.sample(rng, min(BATCH, clips - start))
        masks = (examples.video_mask, examples.audio_mask)
        for m, (rows, mask) in enumerate(zip(_cut_patches(examples, config), masks, strict=True)):
            N = rows.shape[1]
            is_real = np.ones(rows.shape[:2], bool) if mask is None else mask
            sums[m][:N] += np.sum(rows * is_real[:, :, None], axis=0)
            counts[m][:N] += np.sum(is_real, axis=0)[:, None]
    return Baseline(*((total / count).astype(np.float32) for total, count in zip(sums, counts, strict=True)))


def measure_errors(
    config: Config,
    batch: PretrainingBatch,
    predictions: tuple[Float[np.ndarray, "B Nv video_values"], Float[np.ndarray, "B Na audio_values"]],
    baseline: Baseline,
) -> Float[np.ndarray, "2 2"]:
    """Sum the squared error over hidden patches: of the predictions and (second row) of the baseline.

    The first column is the video's, the second the sound's.
    """
    errors = np.zeros((2, 2))
    hidden = (batch.video_masking.is_hidden, batch.audio_masking.is_hidden)
    means = (baseline.video, baseline.audio)
    for m, rows in enumerate(_cut_patches(batch, config)):
        errors[0, m] = np.sum((predictions[m] - rows)[hidden[m]] ** 2)
        errors[1, m] = np.sum((means[m][: rows.shape[1]] - rows)[hidden[m]] ** 2)
    return errors


def _cut_patches(clips: Examples | PretrainingBatch, config: Config) -> tuple[np.ndarray, np.ndarray]:
    video = patchify_video(clips.video, config.image_patch_size)
    return video, patchify_audio(clips.audio, config.audio_patch_size)


def count_right(params: Params, batch: PretrainingBatch) -> int:
    """Count the pairs, half of them swapped, of which the model tells rightly whether they match."""
    pairs = (batch.mixed_video, batch.audio, batch.mixed_video_mask, batch.audio_mask)
    logits = to_backend(score_matches(params, *move_beside(params, pairs)), "numpy")
    return int(np.sum((logits > 0) == batch.is_match))


def cut_groups(batch: PretrainingBatch, size: int) -> list[PretrainingBatch]:
    """Cut a batch into groups of so many clips; the rest is left out."""
    B = len(batch.audio)
    return [
        map_tree(lambda array, start=start: array[start : start + size], batch)
        for start in range(0, B - size + 1, size)
    ]
