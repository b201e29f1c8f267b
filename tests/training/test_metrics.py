"""Metrics equal those of scikit-learn and SciPy, or their definitions in loops."""

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.training.metrics import (
    compute_accuracy,
    compute_f1,
    compute_mean_absolute_error,
    compute_pearson,
    compute_ranks,
    compute_recall,
    compute_sign_accuracy,
    compute_vqa_accuracy,
    compute_weighted_accuracy,
)
from tests.helpers.annotations import annotations_unchecked

seeds, sizes = st.integers(0, 2**32 - 1), st.integers(1, 17)


@given(seed=seeds, B=sizes, k=st.integers(1, 6))
def test_accuracy_of_classes_and_answers(seed, B, k):
    rng = np.random.default_rng(seed)
    predictions, labels, scores = rng.integers(0, k, B), rng.integers(0, k, B), rng.random((B, k))
    expected = sklearn.metrics.accuracy_score(labels, predictions)
    assert compute_accuracy(predictions, labels) == pytest.approx(expected)
    expected = sum(scores[b, predictions[b]] for b in range(B)) / B
    assert compute_vqa_accuracy(predictions, scores) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@given(seed=seeds, B=sizes, k=st.integers(1, 5))
def test_f1_and_weighted_accuracy_of_each_label(seed, B, k):
    rng = np.random.default_rng(seed)
    predictions, targets = rng.random((B, k)) < 0.5, rng.random((B, k)) < 0.3
    f1, accuracy = compute_f1(predictions, targets), compute_weighted_accuracy(predictions, targets)
    for i in range(k):
        arrays = targets[:, i], predictions[:, i]
        assert f1[i] == pytest.approx(sklearn.metrics.f1_score(*arrays, zero_division=0))
        assert accuracy[i] == pytest.approx(sklearn.metrics.balanced_accuracy_score(*arrays))


@given(seed=seeds, B=st.integers(2, 17), dtype=st.sampled_from(["float32", "float64"]))
def test_correlation_and_error_of_numbers(seed, B, dtype):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=B)
    y = 0.5 * x + rng.normal(size=B) + 3
    x, y = x.astype(dtype), y.astype(dtype)
    assert compute_pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-4)
    assert compute_mean_absolute_error(x, y) == pytest.approx(sklearn.metrics.mean_absolute_error(y, x))


@given(seed=seeds, B=sizes)
def test_accuracy_of_the_sign_counts_zero_as_positive(seed, B):
    x, y = np.random.default_rng(seed).integers(-2, 3, (2, B)).astype(float)
    expected = sklearn.metrics.accuracy_score(
        ["-" if v < 0 else "+" for v in y], ["-" if v < 0 else "+" for v in x]
    )
    assert compute_sign_accuracy(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 / 3])
def test_nothing_correlates_with_a_constant(constant):
    x, y = np.array([0.1, 0.5, 0.3]), np.full(3, constant)
    assert compute_pearson(x, y) == compute_pearson(y, x) == compute_pearson(y, y) == 0.0


@given(seed=seeds, queries=sizes, items=sizes)
def test_rank_of_the_best_relevant_item_with_ties_against_the_model(seed, queries, items):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (queries, items)) / 2
    is_relevant = rng.random((queries, items)) < 0.3
    is_relevant[np.arange(queries), rng.integers(0, items, queries)] = True
    ranks = compute_ranks(scores, is_relevant)
    for row, right, rank in zip(scores, is_relevant, ranks, strict=True):
        compared = np.concatenate([[row[right].max()], row[~right]])
        assert rank == scipy.stats.rankdata(-compared, method="max")[0]


def test_without_relevance_the_diagonal_is_relevant():
    assert compute_ranks(np.array([[1.0, 2.0, 0.0], [5.0, 5.0, 6.0], [0.0, 0.0, 0.1]])).tolist() == [2, 3, 1]
    assert compute_ranks(np.zeros((3, 3))).tolist() == [3, 3, 3]


@given(seed=seeds, n=st.integers(3, 40), k=st.integers(1, 40))
def test_recall_is_top_k_accuracy_however_many_items_there_are(seed, n, k):
    """Trap 16: the released code's retrieval stops after ten videos."""
    scores, k = np.random.default_rng(seed).normal(size=(n, n)), min(k, n - 1)
    expected = sklearn.metrics.top_k_accuracy_score(np.arange(n), scores, k=k)
    assert compute_recall(compute_ranks(scores), k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "is_relevant", "expected"),
    [
        (np.array([[math.nan]]), None, "finite scores, got NaN"),
        (np.zeros((2, 3)), None, r"of the shape \(2, 3\), got \(2, 2\)"),
        (np.zeros((2, 3)), np.array([[True, False, False], [False] * 3]), "Query 1 has no relevant item"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(scores, is_relevant, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        compute_ranks(scores, is_relevant)
