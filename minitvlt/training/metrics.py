"""Metrics in plain NumPy, for B clips; the tests compare them with scikit-learn and SciPy.

Arrays have the shapes that the signatures say, and are finite: `evaluation.score_predictions` and
`compute_ranks` check what comes from a model.
"""

import numpy as np
from jaxtyping import Bool, Float, Int


def compute_accuracy(predictions: Int[np.ndarray, " B"], labels: Int[np.ndarray, " B"]) -> float:
    """Fraction of clips with the correct class: Σ [prediction = label] / B.

    >>> compute_accuracy(np.array([1, 0, 1]), np.array([1, 0, 0]))
    0.6666666666666666
    """
    return float(np.mean(predictions == labels))


def compute_vqa_accuracy(predictions: Int[np.ndarray, " B"], scores: Float[np.ndarray, "B answers"]) -> float:
    """Mean score of the predicted answers: Σ_b scores[b, prediction_b] / B (Goyal et al. 2017, VQAv2).

    The score of an answer is min(1, n / 3), where n of ten annotators gave it.

    >>> compute_vqa_accuracy(np.array([1, 0]), np.array([[0.0, 0.6], [1.0, 0.3]]))
    0.8
    """
    return float(np.mean(scores[np.arange(len(scores)), predictions]))


# ---- independent labels


def compute_f1(
    predictions: Bool[np.ndarray, "B labels"], targets: Bool[np.ndarray, "B labels"]
) -> Float[np.ndarray, " labels"]:
    """F1 of each label: 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    It is 0 where a label is neither predicted nor true for any clip, as in scikit-learn.

    >>> compute_f1(np.array([[True], [True], [False]]), np.array([[True], [False], [True]]))   # TP, FP, FN: 1
    array([0.5])
    """
    positives = np.sum(predictions, axis=0) + np.sum(targets, axis=0)  # 2 TP + FP + FN
    return 2 * np.sum(predictions & targets, axis=0) / np.maximum(positives, 1)


def compute_weighted_accuracy(
    predictions: Bool[np.ndarray, "B labels"], targets: Bool[np.ndarray, "B labels"]
) -> Float[np.ndarray, " labels"]:
    """Accuracy of each label with positive and negative clips of equal weight: (TP / P + TN / N) / 2.

    It is the weighted accuracy of the emotions of CMU-MOSEI (Zadeh et al. 2018), the balanced accuracy of
    scikit-learn. Where all clips are positive, or all negative, it is the plain accuracy.

    >>> compute_weighted_accuracy(np.array([[True], [False], [False]]), np.array([[True], [True], [False]]))
    array([0.75])
    """
    is_correct, P = predictions == targets, np.sum(targets, axis=0)
    N = len(targets) - P
    sensitivity = np.sum(is_correct & targets, axis=0) / np.maximum(P, 1)
    specificity = np.sum(is_correct & ~targets, axis=0) / np.maximum(N, 1)
    return (sensitivity + specificity) / ((P > 0).astype(int) + (N > 0))


# ---- regression


def compute_pearson(predictions: Float[np.ndarray, " B"], targets: Float[np.ndarray, " B"]) -> float:
    """Pearson correlation: Σ (x - mean x)(y - mean y) / √(Σ (x - mean x)² Σ (y - mean y)²).

    It is 0 where x or y is constant; SciPy returns NaN.

    >>> round(compute_pearson(np.array([1.0, 2.0, 4.0]), np.array([-1.0, -3.0, -7.0])), 12)
    -1.0
    """
    if np.ptp(predictions) == 0 or np.ptp(targets) == 0:
        return 0.0
    x, y = (values - np.mean(values, dtype=np.float64) for values in (predictions, targets))
    return float(np.clip(x / np.linalg.norm(x) @ (y / np.linalg.norm(y)), -1, 1))


def compute_mean_absolute_error(
    predictions: Float[np.ndarray, " B"], targets: Float[np.ndarray, " B"]
) -> float:
    """Mean absolute error: Σ |prediction - target| / B.

    >>> compute_mean_absolute_error(np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 2.0]))
    0.8333333333333334
    """
    return float(np.mean(np.abs(predictions - targets)))


def compute_sign_accuracy(predictions: Float[np.ndarray, " B"], targets: Float[np.ndarray, " B"]) -> float:
    """Fraction of clips whose prediction has the sign of the target, where 0 counts as positive.

    It is the A2 of the sentiment of CMU-MOSEI in the released code.

    >>> compute_sign_accuracy(np.array([0.0, -1.0, 2.0]), np.array([3.0, 0.0, 1.0]))
    0.6666666666666666
    """
    return float(np.mean((predictions >= 0) == (targets >= 0)))


# ---- retrieval


def compute_ranks(
    scores: Float[np.ndarray, "queries items"], is_relevant: Bool[np.ndarray, "queries items"] | None = None
) -> Int[np.ndarray, " queries"]:
    """Rank of the best relevant item of every query: 1 is first. A tie counts against the model.

    Args:
        scores: of every query with every item.
        is_relevant: the relevant items of every query; None: item i is the only one of query i.

    >>> compute_ranks(np.array([[0.5, 0.1], [0.9, 0.9]]))
    array([1, 2])

    Raises:
        ValueError: scores that are not finite, relevance of another shape, a query without a relevant item.
    """
    is_relevant = np.eye(len(scores), dtype=bool) if is_relevant is None else is_relevant
    if scores.shape != is_relevant.shape:
        raise ValueError(f"Expected is_relevant of the shape {scores.shape}, got {is_relevant.shape}.")
    if not np.isfinite(scores).all():
        raise ValueError("Expected finite scores, got NaN or infinity: the model has diverged.")
    has_relevant = is_relevant.any(axis=1)
    if not has_relevant.all():
        raise ValueError(f"Query {np.argmin(has_relevant)} has no relevant item: leave it out.")
    best = np.max(np.where(is_relevant, scores, -np.inf), axis=1, keepdims=True)
    return 1 + np.sum((scores >= best) & ~is_relevant, axis=1)


def compute_recall(ranks: Int[np.ndarray, " queries"], k: int) -> float:
    """Recall@k: fraction of queries with a relevant item among the first k, Σ [rank ≤ k] / queries.

    >>> compute_recall(np.array([1, 4, 2, 8]), 2)
    0.5
    """
    return float(np.mean(ranks <= k))
