"""Metrics equal their definitions: plain loops, scipy, and cases counted by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.training.metrics import (
    compute_accuracy,
    compute_binary_accuracy,
    compute_f1,
    compute_mean_absolute_error,
    compute_mean_f1,
    compute_mean_weighted_accuracy,
    compute_median_rank,
    compute_pearson,
    compute_recall,
    compute_vqa_score,
    compute_weighted_accuracy,
    rank_own,
    rank_relevant,
)
from tests.helpers.annotations import annotations_unchecked

seeds, sizes = st.integers(0, 2**32 - 1), st.integers(1, 17)


def count_by_loops(said: np.ndarray, truth: np.ndarray) -> dict[str, int]:
    names = {(1, 1): "TP", (1, 0): "FP", (0, 1): "FN", (0, 0): "TN"}
    counts = dict.fromkeys(names.values(), 0)
    for one, other in zip(said, truth, strict=True):
        counts[names[int(one), int(other)]] += 1
    return counts


# Classes and answers


@given(seed=seeds, B=sizes, k=st.integers(1, 6))
def test_accuracy_is_the_share_of_right_classes(seed, B, k):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(B, k)), rng.integers(0, k, B)
    right = [max(range(k), key=lambda i, b=b: logits[b, i]) == labels[b] for b in range(B)]
    assert compute_accuracy(logits, labels) == pytest.approx(sum(right) / B)
    assert compute_accuracy(logits.argmax(axis=1), labels) == compute_accuracy(logits, labels)


def test_of_equal_logits_the_first_is_the_answer():
    logits = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
    assert compute_accuracy(logits, np.array([0, 1, 1])) == pytest.approx(2 / 3)


@given(seed=seeds, B=sizes, k=st.integers(1, 6))
def test_vqa_score_is_the_mean_score_of_the_chosen_answers(seed, B, k):
    rng = np.random.default_rng(seed)
    logits, scores = rng.normal(size=(B, k)), rng.choice([0.0, 0.3, 0.6, 0.9, 1.0], (B, k))
    total = 0.0
    for b in range(B):
        total += scores[b, max(range(k), key=lambda i, b=b: logits[b, i])]
    assert compute_vqa_score(logits, scores) == pytest.approx(total / B)


# Yes or no


@given(seed=seeds, B=sizes)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(seed, B):
    rng = np.random.default_rng(seed)
    logits, truth = rng.normal(size=B), rng.random(B) < 0.4
    counts = count_by_loops(logits > 0, truth)
    expected = 0.0
    if counts["TP"]:
        precision = counts["TP"] / (counts["TP"] + counts["FP"])
        recall = counts["TP"] / (counts["TP"] + counts["FN"])
        expected = 2 * precision * recall / (precision + recall)
    assert compute_f1(logits, truth) == pytest.approx(expected)
    assert compute_f1(logits > 0, truth.astype(np.int64)) == compute_f1(logits, truth)


@pytest.mark.parametrize(
    ("said", "truth", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], 0.0),
        ([1, 0, 0], [0, 0, 0], 0.0),
        ([0, 0, 0], [0, 1, 0], 0.0),
        ([1, 1, 1], [1, 1, 1], 1.0),
        ([1, 1, 0, 0], [1, 0, 1, 0], 0.5),
        ([1, 1, 1, 1], [1, 0, 0, 0], 0.4),
    ],
)
def test_f1_of_cases_counted_by_hand(said, truth, expected):
    assert compute_f1(np.array(said, bool), np.array(truth)) == expected


@given(seed=seeds, B=sizes)
def test_weighted_accuracy_is_the_formula_of_cmu_mosei(seed, B):
    """(TP · N / P + TN) / (2 N), where there are P positives and N negatives."""
    rng = np.random.default_rng(seed)
    logits, truth = rng.normal(size=B), rng.random(B) < 0.3
    counts = count_by_loops(logits > 0, truth)
    P, N = counts["TP"] + counts["FN"], counts["TN"] + counts["FP"]
    if P and N:
        expected = (counts["TP"] * N / P + counts["TN"]) / (2 * N)
    else:
        expected = counts["TP"] / P if P else counts["TN"] / N
    assert compute_weighted_accuracy(logits, truth) == pytest.approx(expected)


def test_who_always_says_no_has_a_weighted_accuracy_of_a_half():
    truth = np.arange(20) < 1
    assert compute_weighted_accuracy(np.zeros(20, bool), truth) == 0.5
    assert np.mean(~truth) == 0.95


@given(seed=seeds, B=sizes, k=st.integers(1, 6))
def test_means_over_labels_give_each_label_the_same_weight(seed, B, k):
    rng = np.random.default_rng(seed)
    logits, truth = rng.normal(size=(B, k)), rng.random((B, k)) < 0.4
    for mean, single in (
        (compute_mean_f1, compute_f1),
        (compute_mean_weighted_accuracy, compute_weighted_accuracy),
    ):
        expected = sum(single(logits[:, i].copy(), truth[:, i].copy()) for i in range(k)) / k
        assert mean(logits, truth) == pytest.approx(expected)


# Numbers


@given(seed=seeds, B=st.integers(2, 17), size=st.sampled_from([1e-300, 1e-3, 1.0, 1e200]))
def test_pearson_correlation_is_that_of_scipy(seed, B, size):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=B)
    y = 0.5 * x + rng.normal(size=B) + 3
    assert compute_pearson(x * size, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-9)
    single = compute_pearson(x.astype(np.float32), y.astype(np.float32))
    assert single == pytest.approx(compute_pearson(x, y), abs=1e-4)


def test_a_constant_is_correlated_with_nothing():
    x = np.array([0.1, 0.5, 0.3])
    for constant in (np.full(3, 0.1), np.zeros(3), np.full(3, np.float64(1e9) / 3)):
        assert compute_pearson(x, constant) == compute_pearson(constant, x) == 0.0
        assert compute_pearson(constant, constant) == 0.0


@given(seed=seeds, B=sizes)
def test_absolute_errors_and_signs_by_loops(seed, B):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-3, 4, B) / 2, rng.integers(-3, 4, B) / 2
    errors = [abs(a - b) for a, b in zip(x, y, strict=True)]
    assert compute_mean_absolute_error(x, y) == pytest.approx(sum(errors) / B)
    right = [(a < 0) == (b < 0) for a, b in zip(x, y, strict=True)]
    assert compute_binary_accuracy(x, y) == pytest.approx(sum(right) / B)


def test_a_neutral_sentiment_is_not_negative():
    assert compute_binary_accuracy(np.array([0.0, -0.0, 1e-9, -1e-9]), np.zeros(4)) == 0.75


# Retrieval


@given(seed=seeds, queries=sizes, items=sizes)
def test_ranks_recall_and_median_by_loops(seed, queries, items):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (queries, items)) / 2  # with many ties
    is_relevant = rng.random((queries, items)) < 0.3
    is_relevant[np.arange(queries), rng.integers(0, items, queries)] = True
    expected = []
    for q in range(queries):
        own = max(scores[q, i] for i in range(items) if is_relevant[q, i])
        expected += [sum(scores[q, i] >= own for i in range(items) if not is_relevant[q, i])]
    ranks = rank_relevant(scores, is_relevant)
    assert ranks.tolist() == expected
    for k in (1, 2, 5, 100):
        assert compute_recall(ranks, k) == pytest.approx(sum(rank < k for rank in expected) / queries)
    places = sorted(rank + 1 for rank in expected)
    middle = (places[(queries - 1) // 2] + places[queries // 2]) / 2
    assert compute_median_rank(ranks) == middle


def test_a_tie_counts_against_the_model():
    assert rank_own(np.zeros((3, 3))).tolist() == [2, 2, 2]
    assert rank_own(np.eye(3)).tolist() == [0, 0, 0]
    assert rank_own(np.array([[1.0, 2.0, 0.0], [5.0, 5.0, 6.0], [0.0, 0.0, 0.1]])).tolist() == [1, 2, 0]


def test_recall_does_not_stop_after_ten_videos():
    """Trap 16: a query whose own video is the thirtieth counts, wherever it stands."""
    scores = np.zeros((40, 40))
    scores[np.arange(40), np.arange(40)[::-1]] = 1
    scores[29] = np.eye(40)[29]
    ranks = rank_own(scores)
    assert ranks[29] == 0 and compute_recall(ranks, 1) == 1 / 40


# Bad input


@pytest.mark.parametrize(
    ("metric", "arguments", "expected"),
    [
        (compute_accuracy, (np.zeros((3, 2)), np.zeros(2, int)), r"of one shape, got \(3,\) and \(2,\)"),
        (compute_accuracy, (np.zeros((0, 2)), np.zeros(0, int)), "at least one clip to measure"),
        (compute_accuracy, (np.array([[math.nan, 0.0]]), np.zeros(1, int)), "the model has diverged"),
        (compute_vqa_score, (np.zeros((3, 2)), np.zeros((3, 4))), "of one shape"),
        (compute_f1, (np.zeros(3), np.array([0, 1, 2])), "booleans, or 0 and 1"),
        (compute_f1, (np.array([math.inf]), np.array([1])), "the model has diverged"),
        (compute_mean_f1, (np.zeros((3, 2)), np.zeros((3, 1), bool)), "of one shape"),
        (compute_pearson, (np.zeros(3), np.zeros((3, 1))), r"got \(3,\) and \(3, 1\)"),
        (compute_pearson, (np.array([math.nan, 1.0]), np.zeros(2)), "the model has diverged"),
        (compute_mean_absolute_error, (np.zeros((3, 1)), np.zeros(3)), r"got \(3, 1\) and \(3,\)"),
        (compute_binary_accuracy, (np.zeros(2), np.zeros(3)), "of one shape"),
        (rank_own, (np.zeros((2, 3)),), "of one shape"),
        (rank_own, (np.array([[math.nan]]),), "the model has diverged"),
        (rank_relevant, (np.zeros((2, 3)), np.eye(3, dtype=bool)[[1, 2]] & [True, True, False]), "Query 1"),
        (compute_recall, (np.array([0, 1]), 0), "Expected k of at least 1, got 0"),
        (compute_recall, (np.array([], int), 1), "at least one rank"),
        (compute_median_rank, (np.array([-1]),), "none below 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(metric, arguments, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        metric(*arguments)
