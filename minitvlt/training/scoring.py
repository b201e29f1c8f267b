"""How good a fine-tuned model is, in the figures that fit its task, each beside what guessing gives."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from minitvlt.training.metrics import (
    compute_accuracy,
    compute_f1,
    compute_mean_absolute_error,
    compute_mean_f1,
    compute_mean_weighted_accuracy,
    compute_median_rank,
    compute_pearson,
    compute_recall,
    compute_vqa_score,
    rank_own,
    rank_relevant,
)


@dataclass(frozen=True)
class Figure:
    """A measured figure, and the one of the best answer that is the same for all clips"""

    name: str
    value: float
    chance: float


def score_task(
    loss_type: str,
    predictions: Float[np.ndarray, "clips outputs"],
    labels: Shaped[np.ndarray, "clips *labels"] | None,
    names: tuple[str, ...] = (),
) -> list[Figure]:
    """Measure a task's predictions on held-out clips.

    Args:
        loss_type: the task, as the configuration names it.
        predictions: one row for each clip; for ranking the scores of each sound with each video.
        labels: the truth, as `TaskBatch` has it; None for ranking, where the diagonal is right.
        names: of the labels, for figures of their own.
    """
    match loss_type:
        case "classification":
            return score_classes(predictions, labels)
        case "regression":
            return score_numbers(predictions[:, 0], labels.reshape(len(labels)))
        case "labels":
            return score_labels(predictions, labels, names)
        case "soft-labels":
            best = float(np.max(np.mean(labels, axis=0)))  # always the same answer
            return [Figure("VQA accuracy", compute_vqa_score(predictions, labels), best)]
        case "ranking":
            return score_ranks(predictions)
    raise ValueError(f"There are no figures for {loss_type!r}.")


def score_classes(
    logits: Float[np.ndarray, "clips classes"], labels: Int[np.ndarray, " clips"]
) -> list[Figure]:
    """Accuracy; guessing says the most frequent class."""
    return [
        Figure("accuracy", compute_accuracy(logits, labels), float(np.bincount(labels).max() / len(labels)))
    ]


def score_numbers(
    predictions: Float[np.ndarray, " clips"], targets: Float[np.ndarray, " clips"]
) -> list[Figure]:
    """Pearson correlation and mean absolute error; guessing says the mean."""
    mean = np.full_like(targets, targets.mean())
    return [
        Figure("Pearson correlation", compute_pearson(predictions, targets), 0.0),
        Figure(
            "mean absolute error",
            compute_mean_absolute_error(predictions, targets),
            compute_mean_absolute_error(mean, targets),
        ),
    ]


def score_labels(
    logits: Float[np.ndarray, "clips k"], labels: Shaped[np.ndarray, "clips k"], names: tuple[str, ...]
) -> list[Figure]:
    """F1, its mean, and the mean weighted accuracy; guessing says that every label holds."""
    everything = np.ones(labels.shape, bool)
    figures = [
        Figure("mean F1", compute_mean_f1(logits, labels), compute_mean_f1(everything, labels)),
        Figure("mean weighted accuracy", compute_mean_weighted_accuracy(logits, labels), 0.5),
    ]
    for i, name in enumerate(names):
        of_all = compute_f1(everything[:, i], labels[:, i])
        figures.append(Figure(f"F1 of {name}", compute_f1(logits[:, i], labels[:, i]), of_all))
    return figures


def score_ranks(
    scores: Float[np.ndarray, "queries items"], is_right: Bool[np.ndarray, "queries items"] | None = None
) -> list[Figure]:
    """Recall among the first 1, 5 and 10 items, and the median rank of the first right one.

    Args:
        scores: of every query with every item.
        is_right: which items each query looks for; None where it is the one on the diagonal.
    """
    is_right = np.eye(len(scores), dtype=bool) if is_right is None else is_right
    ranks, n, right = rank_relevant(scores, is_right), scores.shape[1], np.sum(is_right, axis=1)
    figures = []
    for k in (1, 5, 10):
        misses = [
            math.comb(n - int(r), k) / math.comb(n, min(k, n)) for r in right
        ]  # no right one in k draws
        figures.append(Figure(f"recall@{k} of {n}", compute_recall(ranks, k), 1 - float(np.mean(misses))))
    place = float(np.mean((n + 1) / (right + 1)))  # of the first right one in a shuffled list
    return [*figures, Figure("median rank", compute_median_rank(ranks), place)]


def describe_predictions(
    loss_type: str,
    predictions: Float[np.ndarray, "clips outputs"],
    labels: Shaped[np.ndarray, "clips *labels"] | None,
    names: tuple[str, ...],
    clips: list[str],
) -> list[dict[str, Any]]:
    """Say for each clip what is true and what was predicted, in names where there are any.

    `outputs` are the numbers that the head gave, in the order of the names; for ranking, of the clips.
    """
    if loss_type == "ranking":
        ranks, best = rank_own(predictions), predictions.argmax(axis=1)
        said = [{"prediction": clips[b], "rank": int(r) + 1} for b, r in zip(best, ranks, strict=True)]
    else:
        truths = [name_label(loss_type, label, names) for label in labels]
        said = [
            {"label": truth, "prediction": name_output(loss_type, row, names)}
            for truth, row in zip(truths, predictions, strict=True)
        ]
    return [
        {"clip": clip, **line, "outputs": [float(f"{number:.6g}") for number in row]}
        for clip, line, row in zip(clips, said, predictions, strict=True)
    ]


def name_label(
    loss_type: str, label: Shaped[np.ndarray, "*labels"] | np.generic, names: tuple[str, ...]
) -> Any:
    """The truth about one clip."""
    match loss_type:
        case "classification":
            return names[int(label)]
        case "regression":
            return float(np.reshape(label, ()))
        case "labels":
            return [name for name, holds in zip(names, label, strict=True) if holds]
    return {name: float(f"{score:.6g}") for name, score in zip(names, label, strict=True) if score > 0}


def name_output(loss_type: str, outputs: Float[np.ndarray, " outputs"], names: tuple[str, ...]) -> Any:
    """What the head says about one clip."""
    match loss_type:
        case "regression":
            return float(f"{outputs[0]:.6g}")
        case "labels":
            return [name for name, logit in zip(names, outputs, strict=True) if logit > 0]
    return names[int(outputs.argmax())]
