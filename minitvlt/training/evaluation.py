"""Evaluation on clips that training has not seen: each metric beside its chance level."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import comb
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from minitvlt.backends import map_tree, to_backend
from minitvlt.model.parameters import Params
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.pretraining import PretrainingBatch, autoencode, score_matches
from minitvlt.model.tasks import classify
from minitvlt.signals.prepare import Examples
from minitvlt.training import metrics
from minitvlt.training.batches import World, draw_batch, move_beside
from minitvlt.training.finetuning import Task, get_labels
from minitvlt.training.retrieval import score_all_pairs

BATCH = 64  # clips in memory at a time
GROUP = 16  # clips among which the video of each audio is searched
EVALUATION = 1  # third number of the seeds: those of training have two, so no draw is one of training's


class Metric(NamedTuple):
    """The value of a metric, and its value for the best prediction that is the same for all clips"""

    value: float
    chance: float


def evaluate(
    params: Params, world: World, task: Task | None = None, clips: int = 512, seed: int = 0
) -> dict[str, Metric]:
    """Measure a model on clips of a held-out world: for a task, or by the objectives of pre-training.

    Args:
        params: a pre-trained model, or with a task a fine-tuned one, on any backend.
        world: where the clips come from.
        task: what the model was fine-tuned for; None: matching and masked autoencoding, those that it has.
        clips: how many to draw.
        seed: decides which clips are drawn, which pairs are mixed and which patches are hidden.

    Returns:
        Metrics under their names; see `score_predictions`, `measure_matching` and `measure_autoencoding`.

    Raises:
        ValueError: no clips, a head that is missing, clips or labels that do not fit, predictions that are
            not finite.
    """
    if clips < 1:
        raise ValueError(f"Expected at least 1 clip to evaluate on, got {clips}.")
    if task is not None:
        size = clips if task.loss_type == "ranking" else BATCH
        return score_predictions(task, *predict(params, task, draw_held_out(world.sample, clips, seed, size)))
    measured, draw = {}, partial(draw_batch, world, params.config)
    if params.config.task_matching:
        measured |= measure_matching(params, draw_held_out(draw, clips, seed), min(clips, GROUP))
    if params.config.task_mae:
        measured |= measure_autoencoding(params, draw_held_out(draw, clips, seed))
    return measured


def draw_held_out(draw: Callable[..., Any], clips: int, seed: int = 0, size: int = BATCH) -> Iterator[Any]:
    """Draw clips by `draw(rng, count)` in batches; never those of training, even in one world."""
    for number, start in enumerate(range(0, clips, size)):
        yield draw(np.random.default_rng([seed, number, EVALUATION]), min(size, clips - start))


# ---- pre-training


def measure_matching(
    params: Params, batches: Iterable[PretrainingBatch], group: int = GROUP
) -> dict[str, Metric]:
    """Measure vision-audio matching (TVLT, section 4.1).

    The accuracy is over pairs, half of which are mixed. Recall@1 is the fraction of audio clips whose own
    video has the highest score of a group of so many clips; an incomplete group is left out.
    """
    is_correct, ranks = [], []
    for batch in batches:
        pairs = (batch.mixed_video, batch.audio, batch.mixed_video_mask, batch.audio_mask)
        logits = to_backend(score_matches(params, *move_beside(params, pairs)), "numpy")
        is_correct.append((logits > 0) == batch.is_match)
        ranks += [metrics.compute_ranks(score_all_pairs(params, clips)) for clips in cut_groups(batch, group)]
    accuracy, recall = float(np.mean(np.concatenate(is_correct))), float(np.mean(np.concatenate(ranks) == 1))
    return {
        "matching accuracy": Metric(accuracy, 0.5),
        f"audio to video, recall@1 of {group}": Metric(recall, 1 / group),
    }


def cut_groups(batch: PretrainingBatch, size: int) -> list[PretrainingBatch]:
    """Cut a batch into groups of `size` clips; an incomplete last group is left out."""
    starts = range(0, len(batch.audio) - size + 1, size)
    return [map_tree(lambda array, start=start: array[start : start + size], batch) for start in starts]


def measure_autoencoding(params: Params, batches: Iterable[PretrainingBatch]) -> dict[str, Metric]:
    """Measure masked autoencoding (TVLT, section 4.2): the relative squared error of hidden patches.

    It is Σ (prediction - patch)² over the sum of the variances of these patches, each estimated from the
    hidden patches at the same position in the n clips of a batch, Σ (mean - patch)² / (n - 1): 1 is what a
    model reaches that knows the mean of each position, and does not look at the clip. Where nothing is
    hidden, the model has no head, or all clips are the same, it is left out.
    """
    config, errors = params.config, np.zeros((2, 2))
    for batch in batches:
        predictions = to_backend(autoencode(params, move_beside(params, batch)), "numpy")
        video = patchify_video(batch.video, config.image_patch_size)
        audio = patchify_audio(batch.audio, config.audio_patch_size)
        parts = ((video, batch.video_masking), (audio, batch.audio_masking))
        for i, (patches, masking) in enumerate(parts):
            if predictions[i] is not None:
                errors[i] += sum_squared_errors(patches, predictions[i], masking.is_hidden)
    return {
        f"hidden {name}, relative error": Metric(float(error / reference), 1.0)
        for name, (error, reference) in zip(("video", "audio"), errors, strict=True)
        if reference > 0
    }


def sum_squared_errors(
    patches: Float[np.ndarray, "B N values"],
    predictions: Float[np.ndarray, "B N values"],
    is_hidden: Bool[np.ndarray, "B N"],
) -> Float[np.ndarray, "2"]:
    """Sum over hidden patches the squared errors of the predictions, and the variances of the positions."""
    hidden = is_hidden[:, :, None]  # (*is_hidden.shape, 1)
    n = np.sum(hidden, axis=0)  # (patches.shape[1], 1)
    mean = np.sum(patches, axis=0, where=hidden, dtype=np.float64) / np.maximum(n, 1)  # (*patches.shape[1:],)
    terms = ((predictions - patches) ** 2, (mean - patches) ** 2 * n / np.maximum(n - 1, 1))
    return np.array([np.sum(term, where=hidden, dtype=np.float64) for term in terms])  # (2,)


# ---- tasks


def predict(
    params: Params, task: Task, batches: Iterable[Examples]
) -> tuple[Float[np.ndarray, "clips outputs"], Shaped[np.ndarray, "clips *labels"] | None]:
    """Compute the outputs of a fine-tuned model's head, a row for each clip, and collect the labels.

    For ranking all clips are in one batch, and the rows are the scores of each audio with all videos; the
    labels are None, because the video of audio i is video i.
    """
    if task.loss_type == "ranking":
        (clips,) = batches
        return score_all_pairs(params, clips), None
    outputs, labels = [], []
    for clips in batches:
        arrays = move_beside(params, (clips.video, clips.audio, clips.video_mask, clips.audio_mask))
        outputs.append(to_backend(classify(params, *arrays), "numpy", dtype="float32"))
        labels.append(get_labels(clips, task))
    return np.concatenate(outputs), np.concatenate(labels)


def score_predictions(
    task: Task,
    outputs: Float[np.ndarray, "clips outputs"],
    labels: Shaped[np.ndarray, "clips *labels"] | None,
) -> dict[str, Metric]:
    """Compute the metrics of a task from what `predict` returns.

    Chance is what the best constant prediction reaches: the most frequent class, the mean, every label for
    every clip, the answer with the highest mean score; for ranking, a random order.

    Raises:
        ValueError: outputs that are not finite, or an unknown task.
    """
    if task.loss_type == "ranking":
        return score_retrieval(outputs)
    if not np.isfinite(outputs).all():
        raise ValueError("Expected finite outputs, got NaN or infinity: the model has diverged.")
    best = np.argmax(outputs, axis=1)
    match task.loss_type:
        case "classification":
            accuracy = metrics.compute_accuracy(best, labels)
            return {"accuracy": Metric(accuracy, float(np.bincount(labels).max() / len(labels)))}
        case "soft-labels":
            accuracy = metrics.compute_vqa_accuracy(best, labels)
            return {"VQA accuracy": Metric(accuracy, float(np.mean(labels, axis=0).max()))}
        case "regression":
            return score_regression(outputs[:, 0], labels.reshape(len(outputs)))
        case "labels":
            return score_labels(outputs > 0, labels.astype(bool), task.names)
    raise ValueError(f"There are no metrics for {task.loss_type!r}.")


def score_regression(outputs: Float[np.ndarray, " B"], targets: Float[np.ndarray, " B"]) -> dict[str, Metric]:
    """Pearson correlation, mean absolute error beside that of the mean, accuracy of the sign (A2)."""
    error = metrics.compute_mean_absolute_error(outputs, targets)
    chance = float(np.mean(np.abs(targets - targets.mean())))
    sign, share = metrics.compute_sign_accuracy(outputs, targets), float(np.mean(targets >= 0))
    return {
        "Pearson correlation": Metric(metrics.compute_pearson(outputs, targets), 0.0),
        "mean absolute error": Metric(error, chance),
        "accuracy of the sign (A2)": Metric(sign, max(share, 1 - share)),
    }


def score_labels(
    predictions: Bool[np.ndarray, "clips k"], targets: Bool[np.ndarray, "clips k"], names: Sequence[str]
) -> dict[str, Metric]:
    """F1 and weighted accuracy: means over the labels (macro averages), then those of each label."""
    f1, chance = (metrics.compute_f1(p, targets) for p in (predictions, np.ones_like(predictions)))
    accuracy = metrics.compute_weighted_accuracy(predictions, targets)
    return {
        "mean F1": Metric(float(np.mean(f1)), float(np.mean(chance))),
        "mean weighted accuracy": Metric(float(np.mean(accuracy)), 0.5),
        **{f"F1 of {name}": Metric(float(f1[i]), float(chance[i])) for i, name in enumerate(names)},
        **{f"weighted accuracy of {name}": Metric(float(accuracy[i]), 0.5) for i, name in enumerate(names)},
    }


def score_retrieval(
    scores: Float[np.ndarray, "queries items"], is_relevant: Bool[np.ndarray, "queries items"] | None = None
) -> dict[str, Metric]:
    """Recall among the first 1, 5 and 10 items, and the median rank of the first relevant item.

    Chance is the mean over all orders of the items: with r of n relevant, C(n - r, k) / C(n, k) of the orders
    have none among the first k, and the first relevant one has the mean rank (n + 1) / (r + 1).
    """
    ranks, n = metrics.compute_ranks(scores, is_relevant), scores.shape[1]
    relevant = np.ones(n, int) if is_relevant is None else np.sum(is_relevant, axis=1)
    scored = {}
    for k in (1, 5, 10):
        misses = [comb(n - int(r), k) / comb(n, min(k, n)) for r in relevant]
        scored[f"recall@{k} of {n}"] = Metric(metrics.compute_recall(ranks, k), 1 - float(np.mean(misses)))
    chance = float(np.mean((n + 1) / (relevant + 1)))
    return {**scored, "median rank": Metric(float(np.median(ranks)), chance)}
