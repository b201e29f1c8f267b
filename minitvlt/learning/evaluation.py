"""How good a pre-trained model is: on clips that training never showed, in numbers that mean something."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends import map_tree, to_backend
from minitvlt.config import Config
from minitvlt.learning.batches import World, draw_batch
from minitvlt.model.parameters import Params
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, score_matches

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
    params: Params, world: World, baseline: Baseline, clips: int = 512, seed: int = 0, backend: str = "numpy"
) -> Scores:
    """Score a model on clips of a held-out world.

    Args:
        params: the model, on the backend named.
        world: where the clips come from.
        baseline: what reconstruction is compared with.
        clips: how many; retrieval uses whole groups of 16, or one smaller group where there are fewer clips.
        seed: which clips, which of them are swapped and what is hidden.
        backend: where to compute.
    """
    config = params.config
    right, errors, references = 0, np.zeros(2), np.zeros(2)
    ranks: list[np.ndarray] = []
    for number, start in enumerate(range(0, clips, BATCH)):
        rng = np.random.default_rng([seed, number])
        batch = draw_batch(world, config, rng, min(BATCH, clips - start))
        moved = to_backend(batch, backend)
        if config.task_matching:
            logits = score_matches(params, moved.mixed_video, moved.audio, moved.mixed_video_mask, moved.audio_mask)
            right += int(np.sum((to_backend(logits, "numpy") > 0) == batch.is_match))
            ranks += [rank_own(scores) for scores in score_groups(params, batch, backend)]
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
    """Average every patch position over clips of the training world."""
    video, audio, done = 0.0, 0.0, 0
    for number, start in enumerate(range(0, clips, BATCH)):
        count = min(BATCH, clips - start)
        examples = world.sample(np.random.default_rng([seed, number]), count)
        video = video + np.sum(patchify_video(examples.video, config.image_patch_size), axis=0)
        audio = audio + np.sum(patchify_audio(examples.audio, config.audio_patch_size), axis=0)
        done += count
    return Baseline((video / done).astype(np.float32), (audio / done).astype(np.float32))


def measure_errors(
    config: Config, batch: PretrainingBatch, predictions: tuple[np.ndarray, np.ndarray], baseline: Baseline
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Sum the squared error over hidden patches: of the predictions and of the baseline, for video and for sound."""
    targets = (
        patchify_video(batch.video, config.image_patch_size),
        patchify_audio(batch.audio, config.audio_patch_size),
    )
    hidden = (batch.video_masking.is_hidden, batch.audio_masking.is_hidden)
    means = (baseline.video, baseline.audio)
    error = [np.sum((p - t)[h] ** 2) for p, t, h in zip(predictions, targets, hidden, strict=True)]
    reference = [np.sum((m - t)[h] ** 2) for m, t, h in zip(means, targets, hidden, strict=True)]
    return np.array(error), np.array(reference)


def score_groups(params: Params, batch: PretrainingBatch, backend: str = "numpy") -> list[Float[np.ndarray, "n n"]]:
    """Score every sound with every video, group by group of 16 clips; whole groups only, unless there is none."""
    B = batch.audio.shape[0]
    groups = max(1, B // GROUP)
    size = min(B, GROUP)
    return [score_all_pairs(params, batch, range(g * size, (g + 1) * size), backend) for g in range(groups)]


def score_all_pairs(
    params: Params, batch: PretrainingBatch, rows: range, backend: str = "numpy"
) -> Float[np.ndarray, "n n"]:
    """Score every sound (rows of the result) with every video (columns) of some rows of a batch, as logits."""
    n = len(rows)
    chosen = np.arange(rows.start, rows.stop)
    sounds, videos = np.repeat(chosen, n), np.tile(chosen, n)
    pairs = (batch.video[videos], batch.audio[sounds], _pick(batch.video_mask, videos), _pick(batch.audio_mask, sounds))
    scores = [
        to_backend(score_matches(params, *to_backend(map_tree(lambda x, i=i: x[i : i + 4 * BATCH], pairs), backend)), "numpy")
        for i in range(0, n * n, 4 * BATCH)
    ]
    return np.concatenate(scores).reshape(n, n)


def rank_own(scores: Float[np.ndarray, "n n"]) -> np.ndarray:
    """Count, for every sound, the videos that score at least as high as its own: 0 is the best rank."""
    own = np.diagonal(scores)[:, None]
    return np.sum(scores >= own, axis=1) - 1


def _pick(mask: Bool[np.ndarray, "B N"] | None, rows: np.ndarray) -> Bool[np.ndarray, "n N"] | None:
    return None if mask is None else mask[rows]
