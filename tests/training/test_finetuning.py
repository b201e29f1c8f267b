"""Fine-tuning: what is kept of a model, what a batch of a task holds, what is logged and what is answered."""

import dataclasses
import math

import numpy as np
import pytest

from minitvlt.backends import flatten, to_backend
from minitvlt.checkpoints.native import load, save
from minitvlt.config import Config
from minitvlt.model.parameters import add_ranking, init
from minitvlt.model.tasks import classify
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import join_examples
from minitvlt.training.finetuning import (
    EMBEDDED_TASKS,
    LOGGED,
    Task,
    answer,
    compute_task,
    draw_held_out,
    evaluate_task,
    finetune,
    get_labels,
    make_objective,
    make_task_batch,
    prepare_params,
    read_label_names,
    sum_deviations,
    sum_right,
    sum_right_labels,
    sum_scores,
)
from minitvlt.training.metrics import compute_accuracy, compute_vqa_score
from minitvlt.training.optimizer import Recipe
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.training.scoring import score_task
from minitvlt.training.trainer import read_metrics
from minitvlt.worlds.shapes import ShapesWorld
from tests.helpers.backends import on_every_backend

CONFIG = Config.tiny(
    image_size=8,
    image_patch_size=(4, 4),
    num_frames=2,
    window_length=128,
    hop_length=64,
    spectrogram_length=12,
    frequency_length=6,
    audio_patch_size=(4, 3),
    hidden_size=10,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=7,
)
QUICK = Recipe(steps=3, batch_size=5, warmup_steps=1, seed=4)
SHAPE = EMBEDDED_TASKS["shape"]


class SilentWorld:
    """Clips without sound, two classes."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        labels = rng.integers(0, 2, count)
        video = np.broadcast_to(labels[:, None, None, None, None], (count, 2, 3, 8, 8)) - np.float32(0.5)
        return Examples(video.astype(np.float32), None, labels={"label": labels})


def draw(count: int = 7, seed: int = 0) -> Examples:
    return ShapesWorld(CONFIG).sample(np.random.default_rng(seed), count)


# What is kept of a model


def test_the_encoder_is_kept_and_the_head_is_new():
    params = init(CONFIG, seed=1)
    tuned = prepare_params(params, SHAPE, seed=2)
    assert tuned.encoder is not None and tuned.decoder is tuned.matching is tuned.ranking is None
    for name, array in flatten(params.encoder).items():
        np.testing.assert_array_equal(flatten(tuned.encoder)[name], array)
    assert tuned.classifier.output.weight.shape == (4, 20)
    assert (tuned.config.loss_type, tuned.config.num_labels) == ("classification", 4)
    other = prepare_params(params, SHAPE, seed=3)
    assert not np.array_equal(tuned.classifier.expand.weight, other.classifier.expand.weight)


@pytest.mark.parametrize(
    ("name", "outputs"), [("valence", 1), ("attributes", 6), ("motion", 4), ("count", 2)]
)
def test_a_head_has_an_output_for_each_label(name, outputs):
    tuned = prepare_params(init(CONFIG), EMBEDDED_TASKS[name], pooling="mean")
    assert tuned.classifier.output.weight.shape[0] == tuned.config.num_labels == outputs
    assert tuned.config.pooling == "mean" and prepare_params(tuned, SHAPE).config.pooling == "mean"


def test_a_head_that_ranks_starts_as_the_matching_head():
    params = init(CONFIG, seed=1)
    tuned = prepare_params(params, EMBEDDED_TASKS["ranking"])
    np.testing.assert_array_equal(tuned.ranking.score.weight, params.matching.score.weight)
    assert tuned.matching is tuned.decoder is tuned.classifier is None
    assert tuned.config.loss_type == "ranking"
    trained = add_ranking(dataclasses.replace(params, matching=init(CONFIG, seed=9).matching))
    np.testing.assert_array_equal(
        prepare_params(trained, EMBEDDED_TASKS["ranking"]).ranking.score.weight, trained.ranking.score.weight
    )


def test_a_head_is_as_precise_as_the_model():
    params = to_backend(init(CONFIG), "numpy", dtype="float64")
    assert {array.dtype for array in flatten(prepare_params(params, SHAPE)).values()} == {np.dtype("float64")}


# Batches


@pytest.mark.parametrize("name", ["shape", "colour", "motion", "count", "valence", "attributes"])
def test_a_batch_has_the_clips_and_their_labels(name):
    clips, task = draw(), EMBEDDED_TASKS[name]
    batch = make_task_batch(clips, task, np.random.default_rng(0))
    assert batch.video is clips.video and batch.audio is clips.audio
    expected = clips.labels[name] - 1 if name == "count" else clips.labels[name]
    np.testing.assert_array_equal(batch.labels, expected)
    assert task.loss_type != "classification" or batch.labels.max() < len(task.names)


@pytest.mark.parametrize(("B", "n"), [(2, 2), (3, 3), (4, 4), (9, 4)])
def test_ranking_has_the_right_video_first_and_different_wrong_ones(B, n):
    clips = draw(B)
    mask = np.arange(8) < np.arange(1, B + 1)[:, None]
    clips = dataclasses.replace(clips, video_mask=mask)
    batch = make_task_batch(clips, EMBEDDED_TASKS["ranking"], np.random.default_rng(1))
    assert batch.video.shape[:2] == (B, n) and not batch.labels.any()
    for b in range(B):
        rows = [
            int(np.flatnonzero((clips.video == video).all(axis=(1, 2, 3, 4)))[0]) for video in batch.video[b]
        ]
        assert rows[0] == b and len(set(rows)) == n
        np.testing.assert_array_equal(batch.video_mask[b], mask[rows])


def test_ranking_refuses_what_cannot_be_ranked():
    for clips in (
        draw(1),
        dataclasses.replace(draw(), audio=None),
        SilentWorld().sample(np.random.default_rng(0), 3),
    ):
        with pytest.raises(ValueError, match="at least 2 clips in a batch"):
            make_task_batch(clips, EMBEDDED_TASKS["ranking"], np.random.default_rng(0))


# What is logged


RNG = np.random.default_rng(6)
LOGITS = RNG.normal(size=(9, 4))


@on_every_backend
def test_logged_sums_are_those_of_loops(backend):
    labels, yes, scores = RNG.integers(0, 4, 9), RNG.random((9, 4)) < 0.5, RNG.choice([0.0, 0.3, 1.0], (9, 4))
    logits = backend.move(LOGITS)
    best = [max(range(4), key=lambda k, b=b: LOGITS[b, k]) for b in range(9)]
    cases = (
        (sum_right, labels, sum(best[b] == labels[b] for b in range(9))),
        (sum_right_labels, yes, sum((LOGITS[b, k] > 0) == yes[b, k] for b in range(9) for k in range(4)) / 4),
        (sum_scores, scores, sum(scores[b, best[b]] for b in range(9))),
        (
            sum_deviations,
            scores,
            sum(abs(LOGITS[b, k] - scores[b, k]) for b in range(9) for k in range(4)) / 4,
        ),
    )
    for measure, truth, expected in cases:
        backend.assert_close(measure(logits, backend.move(truth)), np.array(expected, float))
    single = sum_deviations(logits[:, :1], backend.move(scores[:, 0]))
    backend.assert_close(single, np.abs(LOGITS[:, 0] - scores[:, 0]).sum())


def test_logged_shares_are_the_metrics():
    labels, scores = RNG.integers(0, 4, 9), RNG.choice([0.0, 0.3, 1.0], (9, 4))
    assert sum_right(LOGITS, labels) / 9 == pytest.approx(compute_accuracy(LOGITS, labels))
    assert sum_scores(LOGITS, scores) / 9 == pytest.approx(compute_vqa_score(LOGITS, scores))


@pytest.mark.parametrize("name", ["shape", "valence", "attributes", "ranking"])
def test_an_objective_logs_means_over_the_batch(name):
    task, params = EMBEDDED_TASKS[name], prepare_params(init(CONFIG), EMBEDDED_TASKS[name])
    objective = make_objective(task)
    batch = objective.draw(ShapesWorld(CONFIG), params.config, np.random.default_rng(0), 6)
    assert objective.count(batch) == 6.0
    loss, sums = compute_task(params, batch, 6.0)
    logged = LOGGED[task.loss_type][0]
    assert math.isfinite(loss) and list(sums) == [logged]
    described = objective.describe({logged: float(sums[logged])}, 6.0)
    assert described == {logged: pytest.approx(float(sums[logged]) / 6)}


# Whole runs


@pytest.mark.parametrize("name", ["shape", "valence", "attributes", "ranking"])
def test_every_task_can_be_learnt_and_measured(tmp_path, name):
    world = ShapesWorld(CONFIG)
    tuned = finetune(init(CONFIG), world, EMBEDDED_TASKS[name], tmp_path, QUICK, show_progress=False)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert LOGGED[EMBEDDED_TASKS[name].loss_type][0] in lines[0]
    figures = evaluate_task(tuned, ShapesWorld(CONFIG, "held_out"), EMBEDDED_TASKS[name], clips=70)
    assert all(math.isfinite(figure.value) for figure in figures)


def test_a_model_learns_what_can_be_seen(tmp_path):
    task = Task("classification", "label", ("dark", "bright"))
    recipe = Recipe(steps=40, batch_size=8, learning_rate=1e-2, warmup_steps=5)
    tuned = finetune(init(CONFIG), SilentWorld(), task, tmp_path, recipe, show_progress=False)
    (accuracy,) = evaluate_task(tuned, SilentWorld(), task, clips=30)
    assert accuracy.value == 1.0 and accuracy.chance < 0.9


def test_the_seed_decides_head_and_batches(tmp_path):
    def run(folder: str, seed: int) -> np.ndarray:
        recipe = dataclasses.replace(QUICK, seed=seed)
        tuned = finetune(
            init(CONFIG), ShapesWorld(CONFIG), SHAPE, tmp_path / folder, recipe, show_progress=False
        )
        return tuned.classifier.output.weight

    np.testing.assert_array_equal(run("one", 4), run("two", 4))
    assert not np.array_equal(run("three", 5), run("one", 4))


def test_torch_learns_the_same(tmp_path):
    pytest.importorskip("torch")
    ours, theirs = (
        finetune(params, ShapesWorld(CONFIG), SHAPE, tmp_path / str(i), QUICK, show_progress=False)
        for i, params in enumerate((init(CONFIG), to_backend(init(CONFIG), "torch")))
    )
    np.testing.assert_allclose(
        to_backend(theirs, "numpy").classifier.output.weight, ours.classifier.output.weight, atol=1e-4
    )


# Answers


def test_answers_are_those_of_the_classifier_beside_the_truth():
    params = prepare_params(init(CONFIG), SHAPE)
    batches = [draw(5, seed=1), draw(3, seed=2)]
    predictions, labels = answer(params, SHAPE, iter(batches))
    expected = [classify(params, clips.video, clips.audio) for clips in batches]
    np.testing.assert_allclose(predictions, np.concatenate(expected), rtol=1e-6)
    np.testing.assert_array_equal(labels, np.concatenate([get_labels(clips, SHAPE) for clips in batches]))


def test_answers_of_ranking_are_all_scores():
    params = prepare_params(init(CONFIG), EMBEDDED_TASKS["ranking"])
    batches = [draw(5, seed=1), draw(3, seed=2)]
    scores, labels = answer(params, EMBEDDED_TASKS["ranking"], batches)
    assert labels is None
    np.testing.assert_array_equal(scores, score_all_pairs(params, join_examples(batches, CONFIG)))
    figures = evaluate_task(params, ShapesWorld(CONFIG), EMBEDDED_TASKS["ranking"], clips=9, seed=3)
    held_out = join_examples(list(draw_held_out(ShapesWorld(CONFIG), 9, 3)), CONFIG)
    assert figures == score_task("ranking", score_all_pairs(params, held_out), None)


def test_held_out_clips_are_drawn_by_batches_and_never_those_of_training():
    world = ShapesWorld(CONFIG)
    batches = list(draw_held_out(world, 70, seed=0))
    assert [len(clips.audio) for clips in batches] == [64, 6]
    trained = world.sample(np.random.default_rng([0, 0]), 64)
    assert not np.array_equal(batches[0].audio, trained.audio)
    assert not np.array_equal(batches[0].audio[:6], batches[1].audio)


# Names of labels


def test_names_of_labels_come_back_from_a_checkpoint(tmp_path):
    params = prepare_params(init(CONFIG), SHAPE)
    save(params, tmp_path / "tuned.safetensors", {"label_names": list(SHAPE.names)})
    assert read_label_names(tmp_path / "tuned.safetensors") == SHAPE.names
    assert load(tmp_path / "tuned.safetensors").config.num_labels == 4
    save(params, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no names of labels"):
        read_label_names(tmp_path / "other.safetensors")
