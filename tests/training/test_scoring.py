"""Figures of the tasks: each is its metric, and beside it what the best constant answer reaches."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.training.metrics import compute_f1
from minitvlt.training.scoring import (
    Figure,
    describe_predictions,
    score_ranks,
    score_task,
)

RNG = np.random.default_rng(4)


def list_values(figures: list[Figure]) -> dict[str, tuple[float, float]]:
    return {figure.name: (figure.value, figure.chance) for figure in figures}


def test_classes_have_an_accuracy_and_guessing_says_the_most_frequent():
    logits, labels = np.eye(3)[[0, 1, 2, 0, 0]], np.array([0, 1, 1, 1, 2])
    assert list_values(score_task("classification", logits, labels)) == {"accuracy": (0.4, 0.6)}


@pytest.mark.parametrize("shape", [(11,), (11, 1)])
def test_numbers_have_a_correlation_and_an_error_and_guessing_says_the_mean(shape):
    targets = RNG.normal(size=11)
    predictions = targets[:, None] + RNG.normal(size=(11, 1))
    found = list_values(score_task("regression", predictions, targets.reshape(shape)))
    expected = scipy.stats.pearsonr(predictions[:, 0], targets).statistic
    assert found["Pearson correlation"] == (pytest.approx(expected), 0.0)
    error = np.mean([abs(a - b) for a, b in zip(predictions[:, 0], targets, strict=True)])
    guess = np.mean([abs(targets.mean() - b) for b in targets])
    assert found["mean absolute error"] == (pytest.approx(error), pytest.approx(guess))


def test_labels_have_f1_and_guessing_says_yes():
    logits, labels = RNG.normal(size=(13, 2)), RNG.random((13, 2)) < 0.4
    found = list_values(score_task("labels", logits, labels, ("warm", "large")))
    each = [compute_f1(logits[:, i], labels[:, i]) for i in range(2)]
    always = [2 * labels[:, i].sum() / (13 + labels[:, i].sum()) for i in range(2)]
    assert found["mean F1"] == (pytest.approx(np.mean(each)), pytest.approx(np.mean(always)))
    assert found["F1 of warm"] == (pytest.approx(each[0]), pytest.approx(always[0]))
    assert found["F1 of large"] == (pytest.approx(each[1]), pytest.approx(always[1]))
    assert found["mean weighted accuracy"][1] == 0.5


def test_answers_have_the_vqa_score_and_guessing_always_says_the_same():
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    scores = np.array([[0.6, 1.0, 0.0], [0.3, 0.9, 0.0]])
    found = list_values(score_task("soft-labels", logits, scores))
    assert found == {"VQA accuracy": (pytest.approx(0.75), pytest.approx(0.95))}


def test_ranking_has_recall_and_the_median_rank():
    scores = np.eye(20)
    scores[0] = np.arange(20)[::-1]  # first
    scores[1] = np.arange(20)  # its own is the 19th
    found = list_values(score_task("ranking", scores, None))
    assert found["recall@1 of 20"] == (pytest.approx(0.95), pytest.approx(1 / 20))
    assert found["recall@5 of 20"] == (pytest.approx(0.95), pytest.approx(5 / 20))
    assert found["recall@10 of 20"] == (pytest.approx(0.95), pytest.approx(10 / 20))
    assert found["median rank"] == (1.0, 10.5)


def test_of_few_clips_all_are_among_the_first_ten():
    found = list_values(score_ranks(RNG.normal(size=(3, 3))))
    assert found["recall@5 of 3"] == found["recall@10 of 3"] == (1.0, 1.0)


@given(n=st.integers(1, 7), seed=st.integers(0, 999))
def test_chance_is_what_all_orders_give_on_average(n, seed):
    rng = np.random.default_rng(seed)
    is_right = rng.random((2, n)) < 0.4
    is_right[:, rng.integers(n)] = True
    found = list_values(score_ranks(rng.normal(size=(2, n)), is_right))
    firsts = [
        [
            min(place for place, item in enumerate(order) if row[item])
            for order in itertools.permutations(range(n))
        ]
        for row in is_right
    ]
    for k in (1, 5, 10):
        expected = np.mean([np.mean(np.array(places) < k) for places in firsts])
        assert found[f"recall@{k} of {n}"][1] == pytest.approx(expected)
    assert found["median rank"][1] == pytest.approx(np.mean([np.mean(places) + 1 for places in firsts]))


def test_a_task_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no figures for 'guessing'"):
        score_task("guessing", np.zeros((1, 1)), np.zeros(1))


@pytest.mark.parametrize(
    ("loss_type", "predictions", "labels", "expected"),
    [
        ("classification", [[0.1, 2.0]], np.array([0]), {"label": "cat", "prediction": "dog"}),
        ("regression", [[0.12345678]], np.array([0.5]), {"label": 0.5, "prediction": 0.123457}),
        ("regression", [[2.0]], np.array([[0.5]]), {"label": 0.5, "prediction": 2.0}),
        ("labels", [[0.1, -2.0]], np.array([[0, 1]]), {"label": ["dog"], "prediction": ["cat"]}),
        ("soft-labels", [[0.1, 2.0]], np.array([[0.3, 0.0]]), {"label": {"cat": 0.3}, "prediction": "dog"}),
    ],
)
def test_a_line_for_each_clip_says_what_is_true_and_what_was_said(loss_type, predictions, labels, expected):
    names = () if loss_type == "regression" else ("cat", "dog")
    (line,) = describe_predictions(loss_type, np.array(predictions), labels, names, ["film.mp4"])
    assert line == {
        "clip": "film.mp4",
        **expected,
        "outputs": [float(f"{number:.6g}") for number in predictions[0]],
    }


def test_a_line_of_ranking_says_which_video_came_first_and_where_the_own_one_came():
    scores = np.array([[1.0, 2.0], [0.0, 5.0]])
    lines = describe_predictions("ranking", scores, None, (), ["a.mp4", "b.mp4"])
    assert [(line["clip"], line["prediction"], line["rank"]) for line in lines] == [
        ("a.mp4", "b.mp4", 2),
        ("b.mp4", "b.mp4", 1),
    ]
