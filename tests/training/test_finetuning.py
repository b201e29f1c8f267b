"""Fine-tuning: what is kept of a model, what a batch of a task holds, what is logged, and whole runs."""

from dataclasses import replace

import numpy as np
import pytest

from minitvlt.backends import flatten, to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import add_ranking, init
from minitvlt.signals.prepare import Examples
from minitvlt.training.evaluation import evaluate
from minitvlt.training.finetuning import (
    EMBEDDED_TASKS,
    Task,
    draw_task_batch,
    finetune,
    make_objective,
    make_ranking_batch,
    replace_head,
)
from minitvlt.training.optimizer import Recipe
from minitvlt.training.trainer import read_metrics
from minitvlt.worlds.shapes import ShapesWorld

CONFIG = Config.tiny(num_hidden_layers=1, task_mae=False)
QUICK = Recipe(steps=3, batch_size=5, warmup_steps=1, seed=4)
SHAPE, RANKING = EMBEDDED_TASKS["shape"], EMBEDDED_TASKS["ranking"]


class SilentWorld:
    """Dark and bright clips without audio."""

    def sample(self, rng: np.random.Generator, count: int) -> Examples:
        labels = rng.integers(0, 2, count)
        video = np.broadcast_to(labels[:, None, None, None, None], (count, 2, 3, 24, 24)) - np.float32(0.5)
        return Examples(video.astype(np.float32), None, labels={"label": labels})


def draw(count: int = 7) -> Examples:
    return ShapesWorld(CONFIG).sample(np.random.default_rng(0), count)


@pytest.mark.parametrize(("name", "outputs"), [("shape", 4), ("valence", 1), ("attributes", 6)])
def test_the_encoder_is_kept_and_the_head_is_drawn_from_the_seed(name, outputs):
    params = to_backend(init(Config.tiny(), seed=1), "numpy", dtype="float64")
    one, other = (replace_head(params, EMBEDDED_TASKS[name], seed, pooling="mean") for seed in (2, 3))
    assert one.decoder is one.matching is one.ranking is None
    for part, array in flatten(params.encoder).items():
        np.testing.assert_array_equal(flatten(one.encoder)[part], array)
    assert one.classifier.output.weight.shape[0] == one.config.num_labels == outputs
    assert {array.dtype for array in flatten(one).values()} == {np.dtype("float64")}
    assert not np.array_equal(one.classifier.expand.weight, other.classifier.expand.weight)
    assert replace_head(one, SHAPE).config.pooling == "mean"


def test_a_ranking_head_is_kept_or_starts_as_the_matching_head():
    params = init(Config.tiny(), seed=1)
    tuned = replace_head(params, RANKING)
    np.testing.assert_array_equal(tuned.ranking.score.weight, params.matching.score.weight)
    assert tuned.matching is tuned.decoder is tuned.classifier is None and tuned.config.loss_type == "ranking"
    trained = add_ranking(replace(params, matching=init(CONFIG, seed=9).matching))
    kept = replace_head(trained, RANKING).ranking.score.weight
    np.testing.assert_array_equal(kept, trained.ranking.score.weight)


@pytest.mark.parametrize("name", ["shape", "count", "valence", "attributes"])
def test_a_batch_has_the_clips_and_their_labels(name):
    task, clips = EMBEDDED_TASKS[name], draw()
    config = replace_head(init(CONFIG), task).config
    batch = draw_task_batch(task, ShapesWorld(CONFIG), config, np.random.default_rng(0), 7)
    np.testing.assert_array_equal(batch.video, clips.video)
    expected = clips.labels[name] - 1 if name == "count" else clips.labels[name]
    np.testing.assert_array_equal(batch.labels, expected)


@pytest.mark.parametrize(("B", "n"), [(2, 2), (3, 3), (9, 4)])
def test_candidates_are_the_own_video_and_different_others(B, n):
    mask = np.arange(12) < np.arange(1, B + 1)[:, None]
    clips = replace(draw(B), video_mask=mask)
    batch = make_ranking_batch(clips, np.random.default_rng(1))
    assert batch.video.shape[:2] == (B, n) and not batch.labels.any()
    for b in range(B):
        rows = batch.video_mask[b].sum(axis=1) - 1
        assert rows[0] == b and len(set(rows)) == n
        np.testing.assert_array_equal(batch.video[b], clips.video[rows])


@pytest.mark.parametrize(("B", "negatives"), [(2, 3), (5, 2), (5, 23), (1, 1)])
def test_any_number_of_wrong_videos_beside_any_number_of_clips(B, negatives):
    """Where a batch has too few clips, more are drawn; each audio has its own video and different others."""
    task, world = replace(RANKING, negatives=negatives), ShapesWorld(CONFIG)
    config = replace_head(init(CONFIG), task).config
    batch = draw_task_batch(task, world, config, np.random.default_rng(5), B)
    clips = world.sample(np.random.default_rng(5), max(B, 1 + negatives))
    assert batch.video.shape[:2] == (B, 1 + negatives) and batch.audio.shape[0] == B
    np.testing.assert_array_equal(batch.audio, clips.audio[:B])
    np.testing.assert_array_equal(batch.video[:, 0], clips.video[:B])
    drawn = {video.tobytes() for video in clips.video}
    for videos in batch.video:
        found = [video.tobytes() for video in videos]
        assert set(found) <= drawn and len(set(found)) == len(found)


def test_a_wrong_video_is_needed():
    with pytest.raises(ValueError, match=r"at least 1 wrong video .* got 0"):
        Task("ranking", negatives=0)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_trained_in_float32(backend, dtype, tmp_path):
    half = to_backend(to_backend(init(CONFIG), "torch", dtype=dtype), "numpy")
    half = to_backend(half, "torch", dtype=dtype) if backend == "torch" else half
    single = to_backend(to_backend(half, "numpy", dtype="float32"), backend)
    options = {"recipe": QUICK, "show_progress": False}
    tuned, expected = (
        finetune(params, ShapesWorld(CONFIG), replace(SHAPE), tmp_path / name, **options)
        for name, params in (("half", half), ("single", single))
    )
    assert all("float32" in str(array.dtype) for array in flatten(tuned).values())
    for name, array in flatten(to_backend(tuned.encoder, "numpy")).items():
        np.testing.assert_allclose(array, flatten(to_backend(expected.encoder, "numpy"))[name], atol=1e-2)


@pytest.mark.parametrize("clips", [draw(1), replace(draw(), audio=None), replace(draw(), video=None)])
def test_ranking_refuses_single_clips_and_single_modalities(clips):
    with pytest.raises(ValueError, match="at least 2 clips in a batch"):
        make_ranking_batch(clips, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["shape", "valence", "attributes", "ranking"])
def test_every_task_can_be_learnt_logged_and_evaluated(tmp_path, name):
    task, options = EMBEDDED_TASKS[name], {"recipe": QUICK, "show_progress": False}
    tuned = finetune(init(CONFIG), ShapesWorld(CONFIG), task, tmp_path, **options)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    objective, start = make_objective(task), replace_head(init(CONFIG), task, QUICK.seed)
    batch = objective.draw(ShapesWorld(CONFIG), start.config, np.random.default_rng([QUICK.seed, 0]), 5)
    loss, _ = objective.compute(start, batch, objective.count(batch))
    assert len(lines) == 3 and lines[0]["loss"] == pytest.approx(float(loss), rel=1e-4)
    metrics = evaluate(tuned, ShapesWorld(CONFIG, "held_out"), task, clips=20)
    assert metrics and np.isfinite(list(metrics.values())).all()


def test_a_model_learns_what_can_be_seen(tmp_path):
    task = Task("classification", names=("dark", "bright"))
    recipe = Recipe(steps=20, batch_size=8, learning_rate=1e-2, warmup_steps=2)
    tuned = finetune(init(CONFIG), SilentWorld(), task, tmp_path, recipe, show_progress=False)
    accuracy = evaluate(tuned, SilentWorld(), task, clips=30)["accuracy"]
    assert accuracy.value == 1.0 and accuracy.chance < 0.9
