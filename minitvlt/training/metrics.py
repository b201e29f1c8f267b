"""How good answers are: the metrics of the tasks, each with its definition. Plain NumPy, B clips.

Every function refuses arrays that do not fit each other, and predictions that are not finite: a broadcast or
a NaN would give a number that means nothing.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Shaped

# ---- classes, answers


def compute_accuracy(
    predictions: Float[np.ndarray, "B classes"] | Int[np.ndarray, " B"], labels: Int[np.ndarray, " B"]
) -> float:
    """Share of clips whose class is told rightly: Σ [prediction = label] / B.

    Args:
        predictions: the number of a class for each clip, or logits, of which the largest (the first of equal
            ones) is the answer.
        labels: the number of the right class.

    >>> compute_accuracy(np.array([[0.1, 2.0], [3.0, 1.0], [0.0, 4.0]]), np.array([1, 0, 0]))
    0.6666666666666666
    """
    chosen = np.argmax(check_finite(predictions), axis=1) if predictions.ndim == 2 else predictions
    check_pair(chosen, labels)
    return float(np.mean(chosen == labels))


def compute_vqa_score(
    logits: Float[np.ndarray, "B answers"], scores: Float[np.ndarray, "B answers"]
) -> float:
    """Mean score of the answers that have the largest logits: Σ_b scores[b, argmax logits[b]] / B.

    A score says how many of the people who were asked gave that answer: min(1, people / 3) in VQAv2.

    >>> compute_vqa_score(np.array([[0.1, 2.0], [3.0, 1.0]]), np.array([[0.0, 0.6], [1.0, 0.3]]))
    0.8
    """
    check_pair(check_finite(logits), scores)
    return float(np.mean(np.take_along_axis(scores, np.argmax(logits, axis=1)[:, None], axis=1)))


# ---- yes or no


def compute_f1(
    predictions: Float[np.ndarray, " B"] | Bool[np.ndarray, " B"], labels: Shaped[np.ndarray, " B"]
) -> float:
    """F1 of one label: 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    Where nothing is positive and nothing is taken for it, F1 is 0, as in scikit-learn.

    Args:
        predictions: booleans, or logits, where above 0 means yes.
        labels: booleans, or 0 and 1.

    >>> compute_f1(np.array([2.0, 1.0, -1.0, -3.0, 0.5]), np.array([1, 0, 1, 0, 1]))    # TP 2, FP 1, FN 1
    0.6666666666666666
    """
    said, truth = decide(predictions, labels)
    hits, total = np.sum(said & truth), np.sum(said) + np.sum(truth)
    return float(2 * hits / total) if total else 0.0


def compute_mean_f1(
    predictions: Float[np.ndarray, "B k"] | Bool[np.ndarray, "B k"], labels: Shaped[np.ndarray, "B k"]
) -> float:
    """Mean of `compute_f1` over k labels, each of the same weight (macro F1)."""
    return average_over_labels(compute_f1, predictions, labels)


def compute_weighted_accuracy(
    predictions: Float[np.ndarray, " B"] | Bool[np.ndarray, " B"], labels: Shaped[np.ndarray, " B"]
) -> float:
    """Accuracy of one label with positives and negatives of equal weight: (TP / P + TN / N) / 2.

    It is the weighted accuracy of emotions in CMU-MOSEI (Zadeh et al. 2018), where most clips lack most
    emotions. Where there are only positives, or only negatives, it is the share of these that is right.

    >>> compute_weighted_accuracy(np.array([True, False, False, False]), np.array([1, 1, 0, 0]))
    0.75
    """
    said, truth = decide(predictions, labels)
    right = [np.mean(said[truth == kind] == kind) for kind in (True, False) if np.any(truth == kind)]
    return float(np.mean(right))


def compute_mean_weighted_accuracy(
    predictions: Float[np.ndarray, "B k"] | Bool[np.ndarray, "B k"], labels: Shaped[np.ndarray, "B k"]
) -> float:
    """Mean of `compute_weighted_accuracy` over k labels."""
    return average_over_labels(compute_weighted_accuracy, predictions, labels)


def average_over_labels(
    metric: Callable[..., float],
    predictions: Shaped[np.ndarray, "B k"],
    labels: Shaped[np.ndarray, "B k"],
) -> float:
    """Mean of a metric over the columns."""
    check_pair(predictions, labels)
    return float(np.mean([metric(said, truth) for said, truth in zip(predictions.T, labels.T, strict=True)]))


def decide(
    predictions: Shaped[np.ndarray, " B"], labels: Shaped[np.ndarray, " B"]
) -> tuple[Bool[np.ndarray, " B"], Bool[np.ndarray, " B"]]:
    """Turn logits, and labels of 0 and 1, into booleans."""
    check_pair(check_finite(predictions), labels)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("Expected labels that are booleans, or 0 and 1, got other values.")
    return predictions > 0, labels.astype(bool)


# ---- numbers


def compute_pearson(predictions: Float[np.ndarray, " B"], targets: Float[np.ndarray, " B"]) -> float:
    """Pearson correlation: Σ (x - mean x)(y - mean y) / √(Σ (x - mean x)² · Σ (y - mean y)²).

    It is 0 where either is constant: what never changes tells nothing.

    >>> round(compute_pearson(np.array([1.0, 2.0, 4.0]), np.array([-1.0, -3.0, -7.0])), 12)
    -1.0
    """
    check_pair(check_finite(predictions), check_finite(targets))
    if np.ptp(predictions) == 0 or np.ptp(targets) == 0:
        return 0.0
    units = []
    for values in (predictions.astype(np.float64), targets.astype(np.float64)):
        values = values - np.mean(values)
        values /= np.max(np.abs(values))  # so that no square becomes 0 or infinite
        units.append(values / np.linalg.norm(values))
    return float(np.clip(units[0] @ units[1], -1, 1))


def compute_mean_absolute_error(
    predictions: Float[np.ndarray, "B *k"], targets: Float[np.ndarray, "B *k"]
) -> float:
    """Mean absolute error: Σ |prediction - target| / count.

    >>> compute_mean_absolute_error(np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 2.0]))
    0.8333333333333334
    """
    check_pair(check_finite(predictions), check_finite(targets))
    return float(np.mean(np.abs(predictions.astype(np.float64) - targets)))


def compute_binary_accuracy(
    predictions: Float[np.ndarray, "B *k"], targets: Float[np.ndarray, "B *k"]
) -> float:
    """Accuracy of a sentiment's sign, negative or not: Σ [(prediction ≥ 0) = (target ≥ 0)] / count.

    It is the two-class accuracy of CMU-MOSEI as the released code of TVLT counts it; 0 is not negative.

    >>> compute_binary_accuracy(np.array([0.3, -0.1, 2.0]), np.array([0.0, 1.0, 3.0]))
    0.6666666666666666
    """
    check_pair(check_finite(predictions), check_finite(targets))
    return float(np.mean((predictions >= 0) == (targets >= 0)))


# ---- retrieval


def rank_own(scores: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    """Count, for every sound, the other videos that score at least as high as its own: 0 is the best rank.

    >>> rank_own(np.array([[0.5, 0.1], [0.9, 0.9]]))    # a tie counts against the model
    array([0, 1])
    """
    return rank_relevant(scores, np.eye(len(scores), dtype=bool))


def rank_relevant(
    scores: Float[np.ndarray, "queries items"], is_relevant: Bool[np.ndarray, "queries items"]
) -> Int[np.ndarray, " queries"]:
    """Count, for every query, the wrong items that score at least as high as the best of its right ones.

    >>> rank_relevant(np.array([[0.5, 0.1, 0.7]]), np.array([[True, True, False]]))
    array([1])

    Raises:
        ValueError: a query without a right item, or a score that is NaN or infinite.
    """
    check_pair(check_finite(scores), is_relevant)
    if not is_relevant.any(axis=1).all():
        raise ValueError(f"Query {int(np.argmin(is_relevant.any(axis=1)))} has no right item: leave it out.")
    best = np.max(np.where(is_relevant, scores, -np.inf), axis=1, keepdims=True)
    return np.sum((scores >= best) & ~is_relevant, axis=1)


def compute_recall(ranks: Int[np.ndarray, " queries"], k: int) -> float:
    """Recall@k: share of queries whose right item is among the first k, Σ [rank < k] / queries.

    Args:
        ranks: how many items stand before the right one, as `rank_own` counts them.
        k: at least 1.

    >>> compute_recall(np.array([0, 3, 1, 7]), 2)
    0.5
    """
    check_ranks(ranks)
    if k < 1:
        raise ValueError(f"Expected k of at least 1, got {k}.")
    return float(np.mean(ranks < k))


def compute_median_rank(ranks: Int[np.ndarray, " queries"]) -> float:
    """Median of the places of the right items, where 1 is the first: median(rank + 1).

    Of an even number of queries it is the mean of the two in the middle.

    >>> compute_median_rank(np.array([0, 3, 1, 7]))
    3.0
    """
    check_ranks(ranks)
    return float(np.median(ranks) + 1)


# ---- checks


def check_pair(predictions: np.ndarray, labels: np.ndarray) -> None:
    """Refuse two arrays of different shapes, and empty ones."""
    if predictions.shape != labels.shape:
        raise ValueError(
            f"Expected predictions and labels of one shape, got {predictions.shape} and {labels.shape}."
        )
    if predictions.size == 0:
        raise ValueError("Expected at least one clip to measure, got none.")


def check_finite(values: Num[np.ndarray, "..."] | Bool[np.ndarray, "..."]) -> np.ndarray:
    """Hand on values, and refuse NaN and infinity."""
    if not np.isfinite(values).all():
        raise ValueError("Expected finite numbers, got NaN or infinity: the model has diverged.")
    return values


def check_ranks(ranks: np.ndarray) -> None:
    """Refuse ranks that are none."""
    if ranks.size == 0 or ranks.min() < 0:
        raise ValueError("Expected at least one rank, and none below 0.")
