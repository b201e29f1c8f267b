"""Fine-tuning (TVLT, section 5): a pre-trained encoder and a new head are trained together on a task."""

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.backends import Array, to_backend
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_classifier, add_ranking
from minitvlt.model.tasks import TaskBatch, check_task_batch, compute_task_loss
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import World, move_beside
from minitvlt.training.objectives import Objective
from minitvlt.training.optimizer import Recipe
from minitvlt.training.trainer import train
from minitvlt.worlds.shapes import ATTRIBUTES, COLOURS, MOTIONS, SHAPES

FINETUNING = Recipe(steps=600, learning_rate=2e-3, warmup_steps=50)  # for `Config.tiny()` and `ShapesWorld`
NEGATIVES = 3  # the released code takes 23


@dataclass(frozen=True)
class Task:
    """What a model is fine-tuned for: what its head predicts, and which labels of the clips are the targets

    `loss_type` is one of the configuration's: "classification", "regression", "labels" (independent labels,
    each true or false), "soft-labels" (answers with scores, as in VQA) or "ranking" (the video of an audio,
    among several). `TaskBatch` says what labels each of them takes.

    Raises:
        ValueError: fewer than 1 wrong video.
    """

    loss_type: str
    label: str | None = "label"  # key of `Examples.labels`; None for ranking, which needs no labels
    names: tuple[str, ...] = ()  # of classes, labels or answers, in the order of the outputs
    first: int = 0  # the label of the first class
    negatives: int = NEGATIVES  # videos of other clips beside the right one, for ranking

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise ValueError(f"Expected at least 1 wrong video beside the right one, got {self.negatives}.")


EMBEDDED_TASKS = {
    "shape": Task("classification", "shape", SHAPES),
    "colour": Task("classification", "colour", tuple(COLOURS)),
    "motion": Task("classification", "motion", tuple(MOTIONS)),
    "count": Task("classification", "count", ("1", "2"), first=1),
    "valence": Task("regression", "valence"),
    "attributes": Task("labels", "attributes", ATTRIBUTES),
    "ranking": Task("ranking", None),
}


def finetune(
    params: Params,
    world: World,
    task: Task,
    folder: str | os.PathLike[str],
    recipe: Recipe = FINETUNING,
    pooling: str | None = None,
    **options: Any,
) -> Params:
    """Give a pre-trained model a new head, and train all of it on a task.

    >>> world = ShapesWorld(params.config)                                                   # doctest: +SKIP
    >>> tuned = finetune(params, world, Task("classification", "shape", SHAPES), "shape")    # doctest: +SKIP

    Args:
        params: the pre-trained model; the training runs on its backend and device.
        world: where clips come from, with the labels of the task.
        task: what to learn.
        folder: where the state and the metrics are written; an interrupted run is resumed from it.
        recipe: steps, batch size, learning rate, seed; the seed also decides the initial head.
        pooling: "cls" or "mean", the input of a classifier; None keeps that of the configuration.
        options: further keyword arguments of `train`, such as `show_progress`.

    Returns:
        The fine-tuned model, on the same backend and device.

    Raises:
        ValueError: clips or labels that do not fit the task, and whatever `train` refuses.
    """
    start = move_beside(params, replace_head(to_backend(params, "numpy"), task, recipe.seed, pooling))
    return train(start, world, recipe, folder, objective=make_objective(task), **options)


def replace_head(params: Params, task: Task, seed: int = 0, pooling: str | None = None) -> Params:
    """Keep the encoder of a model, and give it the randomly initialised head of a task.

    Decoder and other heads are dropped. A ranking head is kept, or starts as a copy of the matching head.

    Args:
        params: the model, on NumPy.
        task: what the head is for.
        seed: of the initial values.
        pooling: "cls" or "mean", the input of a classifier; None keeps that of the configuration.
    """
    config = params.config.replace(pooling=pooling or params.config.pooling)
    params = replace(params, config=config, decoder=None, classifier=None)
    if task.loss_type == "ranking":
        params = params if params.ranking is not None else add_ranking(params, seed)
        params = replace(params, config=config.replace(loss_type="ranking"), matching=None)
    else:
        params = replace(params, matching=None, ranking=None)
        params = add_classifier(params, seed, num_labels=max(1, len(task.names)), loss_type=task.loss_type)
    return to_backend(params, "numpy", dtype=params.encoder.cls.dtype.name)  # the head in the encoder's dtype


# ---- the objective


def make_objective(task: Task) -> Objective:
    """Make the objective with which `train` learns a task."""
    draw, count = partial(draw_task_batch, task), lambda batch: float(len(batch.labels))
    return Objective(draw, count, compute_task, lambda sums, count: sums)


def draw_task_batch(
    task: Task, world: World, config: Config, rng: np.random.Generator, batch_size: int
) -> TaskBatch:
    """Draw clips, and turn them into a batch of the task.

    Raises:
        ValueError: clips or labels that do not fit the task.
    """
    is_ranking = task.loss_type == "ranking"
    clips = world.sample(rng, max(batch_size, 1 + task.negatives) if is_ranking else batch_size)
    if is_ranking:
        batch = make_ranking_batch(clips, rng, task.negatives, batch_size)
    else:
        masks = (clips.video_mask, clips.audio_mask)
        batch = TaskBatch(clips.video, clips.audio, *masks, labels=get_labels(clips, task))
    check_task_batch(config, batch)
    return batch


def make_ranking_batch(
    clips: Examples, rng: np.random.Generator, negatives: int = NEGATIVES, batch_size: int | None = None
) -> TaskBatch:
    """Draw candidate videos for each audio: its own, which comes first, and those of other clips.

    Args:
        clips: where audio and videos come from.
        rng: decides which videos.
        negatives: how many others; where there are fewer clips, it is all the others.
        batch_size: how many clips give their audio, the first ones; None means all.

    Raises:
        ValueError: fewer than 2 clips, or clips that lack a modality.
    """
    if clips.video is None or clips.audio is None or len(clips.audio) < 2:
        raise ValueError("Ranking needs video and audio, and at least 2 clips in a batch: raise batch_size.")
    count = len(clips.audio)
    B, n = min(batch_size or count, count), min(negatives, count - 1)
    distances = [[0, *(1 + rng.permutation(count - 1)[:n])] for _ in range(B)]
    rows = (np.arange(B)[:, None] + distances) % count  # (B, 1+n)
    video_mask = None if clips.video_mask is None else clips.video_mask[rows]
    audio_mask = None if clips.audio_mask is None else clips.audio_mask[:B]
    return TaskBatch(clips.video[rows], clips.audio[:B], video_mask, audio_mask, np.zeros(B, np.int64))


def get_labels(clips: Examples, task: Task) -> Shaped[np.ndarray, "B *labels"]:
    """Labels of the task; those of classes are counted from 0.

    Raises:
        ValueError: clips without these labels.
    """
    if task.label not in (clips.labels or {}):
        known = ", ".join(clips.labels or {}) or "none"
        raise ValueError(f"Expected clips with labels named {task.label!r}, got {known}.")
    labels = clips.labels[task.label]
    return labels.astype(np.int64) - task.first if task.loss_type == "classification" else labels


def compute_task(
    params: Params, batch: TaskBatch, count: float | Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Compute the loss of a micro-batch; nothing else is logged."""
    return compute_task_loss(params, batch, count).loss, {}
