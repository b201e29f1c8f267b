"""Metrics of whole models: each is computed again from its definition, and stands beside its chance level."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import add_classifier, init
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.model.pretraining import autoencode, score_matches
from minitvlt.model.tasks import classify
from minitvlt.signals.prepare import Examples
from minitvlt.training import evaluation
from minitvlt.training.batches import draw_batch
from minitvlt.training.evaluation import (
    Metric,
    draw_held_out,
    evaluate,
    predict,
    score_predictions,
    score_retrieval,
)
from minitvlt.training.finetuning import EMBEDDED_TASKS, Task
from minitvlt.training.metrics import compute_f1, compute_weighted_accuracy
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.models import draw_clips, draw_mask

CONFIG = Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1)
RNG = np.random.default_rng(4)


class PaddedWorld:
    """Noise of unequal length whose padding holds large numbers."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        video, audio = (clips.astype(np.float32) for clips in draw_clips(CONFIG, rng, count, 3, 3))
        video_mask, audio_mask = draw_mask(rng, count, 3, 4), draw_mask(rng, count, 3, 2)
        video[~video_mask[:, ::4]] = 77
        audio[:, 0][np.repeat(~audio_mask[:, ::2], 8, axis=1)] = 99
        return Examples(video, audio, video_mask, audio_mask)


# Pre-training


@pytest.mark.parametrize("clips", [5, 41, 80])
def test_matching_is_counted_by_loops(clips):
    params = init(CONFIG.replace(task_mae=False), seed=3)
    found = evaluate(params, PaddedWorld(), clips=clips, seed=7)
    correct, first, searched, group = 0, 0, 0, min(clips, 16)
    for number, start in enumerate(range(0, clips, 64)):
        count = min(64, clips - start)
        batch = draw_batch(PaddedWorld(), CONFIG, np.random.default_rng([7, number, 1]), count)
        pairs = (batch.mixed_video, batch.audio, batch.mixed_video_mask, batch.audio_mask)
        correct += np.sum((score_matches(params, *pairs) > 0) == batch.is_match)
        scores = score_all_pairs(params, batch)
        for i in range(count // group * group):
            others = [j for j in range(i // group * group, (i // group + 1) * group) if j != i]
            first += all(scores[i, i] > scores[i, j] for j in others)
            searched += 1
    assert found == {
        "matching accuracy": (pytest.approx(correct / clips), 0.5),
        f"audio to video, recall@1 of {group}": (pytest.approx(first / searched), 1 / group),
    }


@pytest.mark.parametrize("ratio", [0.5, 0.0])
def test_the_error_of_hidden_patches_is_relative_to_the_variance_of_each_position(ratio):
    config = CONFIG.replace(task_matching=False, pixel_mask_ratio=ratio)
    params, batch = init(config), draw_batch(PaddedWorld(), config, np.random.default_rng([0, 0, 1]), 30)
    expected, predictions = {}, autoencode(params, batch)
    for name, patches, predicted, masking in (
        ("video", patchify_video(batch.video, (12, 12)), predictions[0], batch.video_masking),
        ("audio", patchify_audio(batch.audio, (8, 8)), predictions[1], batch.audio_masking),
    ):
        error, reference = 0.0, 0.0
        for i in range(patches.shape[1]):
            hidden = masking.is_hidden[:, i]
            error += np.sum((predicted[hidden, i] - patches[hidden, i]) ** 2)
            variance = np.var(patches[hidden, i], axis=0, ddof=1) if hidden.sum() > 1 else 0.0
            reference += np.sum(variance) * hidden.sum()
        if reference:
            expected[f"hidden {name}, relative error"] = (pytest.approx(error / reference, rel=1e-4), 1.0)
    assert evaluate(params, PaddedWorld(), clips=30) == expected
    assert len(expected) == 1 + (ratio > 0)


@pytest.mark.parametrize(("kept", "left_out"), [("video", "audio"), ("audio", "video")])
def test_a_decoder_with_one_head_is_measured_on_its_modality(kept, left_out):
    params = init(CONFIG.replace(task_matching=False))
    alone = replace(params, decoder=replace(params.decoder, **{f"{left_out}_head": None}))
    name, both = f"hidden {kept}, relative error", evaluate(params, PaddedWorld(), clips=9)
    assert evaluate(alone, PaddedWorld(), clips=9) == {name: both[name]}


def test_torch_measures_the_same_as_numpy():
    params = init(CONFIG, seed=1)
    ours, theirs = (
        evaluate(model, PaddedWorld(), clips=21) for model in (params, to_backend(params, "torch"))
    )
    assert list(ours) == list(theirs) and len(ours) == 4
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-4)


def test_the_seed_decides_the_clips_and_they_are_never_those_of_training():
    first, again, other = (list(draw_held_out(PaddedWorld().sample, 70, seed)) for seed in (0, 0, 1))
    assert [len(clips.audio) for clips in first] == [64, 6]
    np.testing.assert_array_equal(first[1].audio, again[1].audio)
    training = PaddedWorld().sample(np.random.default_rng([0, 0]), 64)
    for clips in (other[0], training):
        assert not np.array_equal(first[0].audio, clips.audio)


# Tasks


def test_predictions_of_a_classifier_and_their_labels():
    task = EMBEDDED_TASKS["count"]
    params = add_classifier(init(CONFIG), num_labels=2, loss_type="classification")
    batches = [ShapesWorld(CONFIG).sample(np.random.default_rng(i), n) for i, n in enumerate((5, 3))]
    outputs, labels = predict(params, task, iter(batches))
    expected = [classify(params, clips.video, clips.audio) for clips in batches]
    np.testing.assert_allclose(outputs, np.concatenate(expected), rtol=1e-6)
    np.testing.assert_array_equal(labels, np.concatenate([clips.labels["count"] for clips in batches]) - 1)


def test_ranking_is_evaluated_over_all_clips():
    params, world = init(CONFIG), ShapesWorld(CONFIG)
    found = evaluate(params, world, Task("ranking"), clips=9, seed=3)
    (clips,) = draw_held_out(world.sample, 9, 3)
    assert found == score_retrieval(score_all_pairs(params, clips))


LOGITS, TRUE = RNG.normal(size=(13, 2)), RNG.random((13, 2)) < 0.4
ACCURACY = compute_weighted_accuracy(LOGITS > 0, TRUE)
F1, ALWAYS = compute_f1(LOGITS > 0, TRUE), compute_f1(np.ones((13, 2), bool), TRUE)


@pytest.mark.parametrize(
    ("task", "outputs", "labels", "expected"),
    [
        (
            Task("classification"),
            np.eye(3)[[0, 1, 2, 0, 0]],
            np.array([0, 1, 1, 1, 2]),
            {"accuracy": (0.4, 0.6)},
        ),
        (
            Task("regression"),
            np.array([[1.0], [2.0], [4.0]]),
            np.array([1.0, 3.0, 8.0]),
            {"Pearson correlation": (0.9986254289, 0.0), "mean absolute error": (5 / 3, 8 / 3)},
        ),
        (
            Task("regression"),
            np.array([[1.0], [-2.0], [0.0], [-0.5]]),
            np.array([1.0, -3.0, -1.0, 0.0]),
            {"accuracy of the sign (A2)": (0.5, 0.5)},
        ),
        (
            Task("labels", names=("warm", "large")),
            LOGITS,
            TRUE,
            {
                "mean F1": (F1.mean(), ALWAYS.mean()),
                "F1 of warm": (F1[0], ALWAYS[0]),
                "weighted accuracy of large": (ACCURACY[1], 0.5),
            },
        ),
        (Task("soft-labels"), np.eye(2), np.array([[0.6, 1.0], [0.3, 0.9]]), {"VQA accuracy": (0.75, 0.95)}),
        (
            Task("ranking"),
            np.eye(20) - 2 * np.eye(20)[:1].T * np.eye(20)[:1],  # the first comes last
            None,
            {"recall@1 of 20": (0.95, 0.05), "recall@10 of 20": (0.95, 0.5), "median rank": (1.0, 10.5)},
        ),
    ],
)
def test_each_task_has_its_metrics_beside_the_best_constant_prediction(task, outputs, labels, expected):
    found = score_predictions(task, outputs, labels)
    assert {name: found[name] for name in expected} == {
        name: Metric(*map(pytest.approx, values)) for name, values in expected.items()
    }


@given(n=st.integers(1, 6), seed=st.integers(0, 999))
def test_chance_of_retrieval_is_the_mean_over_all_orders(n, seed):
    rng = np.random.default_rng(seed)
    is_relevant = rng.random((2, n)) < 0.4
    is_relevant[:, rng.integers(n)] = True
    found = score_retrieval(rng.normal(size=(2, n)), is_relevant)
    orders = list(itertools.permutations(range(n)))
    first = np.array(
        [[1 + min(order[i] for i in np.flatnonzero(row)) for order in orders] for row in is_relevant]
    )
    for k in (1, 5, 10):
        assert found[f"recall@{k} of {n}"].chance == pytest.approx(np.mean(first <= k))
    assert found["median rank"].chance == pytest.approx(first.mean())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"clips": 0}, "at least 1 clip to evaluate on, got 0"),
        ({"task": Task("classification", "taste")}, "labels named 'taste', got shape, "),
        ({"task": Task("guessing", "shape")}, "no metrics for 'guessing'"),
        ({"task": Task("regression", "valence")}, "finite outputs, got NaN"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(monkeypatch, arguments, expected):
    value = np.nan if "NaN" in expected else 0.0
    monkeypatch.setattr(evaluation, "classify", lambda *_: np.full((3, 4), value))
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        evaluate(init(CONFIG), ShapesWorld(CONFIG), **{"clips": 3, **arguments})
