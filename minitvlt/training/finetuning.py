"""Fine-tuning (TVLT, section 5): a pre-trained encoder and a new head learn what clips are about."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.backends import Array, namespace, to_backend
from minitvlt.checkpoints.native import load_arrays
from minitvlt.config import Config
from minitvlt.model.parameters import Params, add_classifier, add_ranking
from minitvlt.model.tasks import TaskBatch, check_task_batch, classify, compute_task_loss
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import World, join_examples, move_beside
from minitvlt.training.evaluation import BATCH, EVALUATION
from minitvlt.training.objectives import Objective, Sums
from minitvlt.training.optimizer import Recipe
from minitvlt.training.retrieval import score_all_pairs
from minitvlt.training.scoring import Figure, score_task
from minitvlt.training.trainer import train
from minitvlt.worlds.shapes import ATTRIBUTES, COLOURS, MOTIONS, SHAPES

FINETUNING = Recipe(steps=600, learning_rate=2e-3, warmup_steps=50)  # for the model of the embedded world
WRONG_VIDEOS = 3  # beside the right one, out of the batch; the released code takes 23


@dataclass(frozen=True)
class Task:
    """What is to be told about clips"""

    loss_type: str  # as the configuration names it
    label: str | None = "label"  # under which name clips carry it; None: each clip's own video is right
    names: tuple[str, ...] = ()  # of classes, labels or answers, in the order of their numbers
    first: int = 0  # the label that is number 0


EMBEDDED_TASKS = {
    "shape": Task("classification", "shape", SHAPES),
    "colour": Task("classification", "colour", tuple(COLOURS)),
    "motion": Task("classification", "motion", tuple(MOTIONS)),
    "count": Task("classification", "count", ("1", "2"), first=1),
    "valence": Task("regression", "valence"),
    "attributes": Task("labels", "attributes", ATTRIBUTES),
    "ranking": Task("ranking", None),
}


def prepare_params(params: Params, task: Task, seed: int = 0, pooling: str | None = None) -> Params:
    """Keep the encoder of a model and give it a new head for a task.

    Decoder and matching head are dropped; a head that ranks videos starts as the matching head.

    Args:
        params: the model, on NumPy.
        task: what to learn.
        seed: of the head's initial values.
        pooling: "cls" or "mean", what a classifier reads; None keeps what the configuration says.
    """
    config = params.config.replace(pooling=pooling or params.config.pooling)
    params = replace(params, config=config, decoder=None, classifier=None)
    if task.loss_type == "ranking":
        kept = params if params.ranking is not None else add_ranking(params, seed)
        return replace(kept, config=config.replace(loss_type="ranking"), matching=None)
    params = replace(params, matching=None, ranking=None)
    params = add_classifier(params, seed, num_labels=max(1, len(task.names)), loss_type=task.loss_type)
    return to_backend(params, "numpy", dtype=params.encoder.cls.dtype.name)  # the head as precise as the rest


def make_objective(task: Task) -> Objective:
    """Make of a task what the trainer asks."""

    def draw(world: World, config: Config, rng: np.random.Generator, batch_size: int) -> TaskBatch:
        batch = make_task_batch(world.sample(rng, batch_size), task, rng)
        check_task_batch(config, batch)
        return batch

    def describe(sums: dict[str, float | None], count: float) -> dict[str, Any]:
        return {name: None if total is None else total / count for name, total in sums.items()}

    return Objective(draw, lambda batch: float(len(batch.labels)), compute_task, describe)


def make_task_batch(clips: Examples, task: Task, rng: np.random.Generator) -> TaskBatch:
    """Turn clips into a batch for a task.

    For ranking every sound gets its own video, first, and beside it the videos of `WRONG_VIDEOS` other clips,
    or of all others in a smaller batch.

    Raises:
        ValueError: a single clip, or one without sound or pictures, for ranking.
    """
    if task.loss_type != "ranking":
        masks = (clips.video_mask, clips.audio_mask)
        return TaskBatch(clips.video, clips.audio, *masks, labels=get_labels(clips, task))
    if clips.video is None or clips.audio is None or len(clips.audio) < 2:
        raise ValueError("Ranking takes pictures and sound, and at least 2 clips in a batch: raise --batch.")
    B = len(clips.audio)
    n = min(WRONG_VIDEOS, B - 1)
    others = np.stack([rng.permutation(B - 1)[:n] for _ in range(B)]) + 1
    rows = (np.arange(B)[:, None] + np.concatenate([np.zeros((B, 1), int), others], axis=1)) % B
    video_mask = None if clips.video_mask is None else clips.video_mask[rows]
    return TaskBatch(clips.video[rows], clips.audio, video_mask, clips.audio_mask, np.zeros(B, np.int64))


def get_labels(clips: Examples, task: Task) -> Shaped[np.ndarray, "B *labels"]:
    """The labels of clips as numbers that begin with 0, names as booleans."""
    labels = clips.labels[task.label]
    return labels.astype(np.int64) - task.first if task.loss_type == "classification" else labels


def compute_task(
    params: Params, part: TaskBatch, count: float | Float[Array, ""]
) -> tuple[Float[Array, ""], Sums]:
    """The loss, and a sum over clips of what can be read more easily."""
    out = compute_task_loss(params, part, count)
    name, measure = LOGGED[params.config.loss_type]
    return out.loss, {name: measure(out.logits, part.labels)}


def sum_right(logits: Float[Array, "B k"], labels: Shaped[Array, "B"]) -> Float[Array, ""]:
    """Count the clips whose right class has the highest logit."""
    xp = namespace(logits, labels)
    is_label = labels[:, None] == xp.arange(logits.shape[1], logits)[None, :]
    is_highest = logits >= xp.max(logits, axis=1, keepdims=True)
    return xp.sum(xp.astype(is_label & is_highest, logits.dtype))


def sum_right_labels(logits: Float[Array, "B k"], labels: Shaped[Array, "B k"]) -> Float[Array, ""]:
    """Sum over clips of the share of labels that are told right."""
    xp = namespace(logits, labels)
    is_right = (logits > 0.0) == (labels > 0)
    return xp.sum(xp.mean(xp.astype(is_right, logits.dtype), axis=1))


def sum_deviations(predictions: Float[Array, "B k"], targets: Float[Array, "B *k"]) -> Float[Array, ""]:
    """Sum over clips of the mean absolute error."""
    xp = namespace(predictions, targets)
    return xp.sum(xp.mean(xp.abs(predictions - xp.reshape(targets, predictions.shape)), axis=1))


def sum_scores(logits: Float[Array, "B k"], scores: Float[Array, "B k"]) -> Float[Array, ""]:
    """Sum over questions of the score of the answer with the highest logit."""
    xp = namespace(logits, scores)
    is_highest = logits >= xp.max(logits, axis=1, keepdims=True)
    return xp.sum(xp.where(is_highest, scores, 0.0))


LOGGED: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "classification": ("accuracy", sum_right),
    "regression": ("absolute_error", sum_deviations),
    "labels": ("accuracy", sum_right_labels),
    "soft-labels": ("vqa_score", sum_scores),
    "ranking": ("accuracy", sum_right),
}


def finetune(
    params: Params,
    world: World,
    task: Task,
    folder: str | os.PathLike[str],
    recipe: Recipe = FINETUNING,
    pooling: str | None = None,
    show_progress: bool = True,
) -> Params:
    """Give a pre-trained model a new head, and train all of it for a task; see `prepare_params` and `train`.

    >>> world = ShapesWorld(params.config)                                                   # doctest: +SKIP
    >>> tuned = finetune(params, world, EMBEDDED_TASKS["shape"], "shape")                    # doctest: +SKIP

    Args:
        params: the pre-trained model; where it lives, the training runs.
        world: where clips come from, with the labels that the task names.
        task: what to learn.
        folder: where the state and the metrics are written.
        recipe: steps, batch, rates, seed, which is that of the head too.
        pooling: "cls" or "mean", what a classifier reads; None keeps what the configuration says.
        show_progress: draw a progress bar.
    """
    with_head = prepare_params(to_backend(params, "numpy"), task, recipe.seed, pooling)
    return train(move_beside(params, with_head), world, recipe, folder, show_progress, make_objective(task))


def answer(
    params: Params, task: Task, batches: Iterable[Examples]
) -> tuple[Float[np.ndarray, "clips outputs"], Shaped[np.ndarray, "clips *labels"] | None]:
    """Let a fine-tuned model answer for clips; return what its head gives, a row a clip, and the truth.

    For ranking the rows are the scores of each sound with all videos, and the truth, None, is the diagonal.
    """
    if task.loss_type == "ranking":
        return score_all_pairs(params, join_examples(list(batches), params.config)), None
    predictions, labels = [], []
    for clips in batches:
        arrays = move_beside(params, (clips.video, clips.audio, clips.video_mask, clips.audio_mask))
        predictions.append(to_backend(classify(params, *arrays), "numpy", dtype="float32"))
        labels.append(get_labels(clips, task))
    return np.concatenate(predictions), np.concatenate(labels)


def evaluate_task(params: Params, world: World, task: Task, clips: int = 512, seed: int = 0) -> list[Figure]:
    """Measure a fine-tuned model on clips of a held-out world, in the figures that fit the task."""
    predictions, labels = answer(params, task, draw_held_out(world, clips, seed))
    return score_task(task.loss_type, predictions, labels, task.names)


def draw_held_out(world: World, clips: int, seed: int = 0) -> Iterator[Examples]:
    """Draw clips by batches, never one that training draws, even where both share one world."""
    for number, start in enumerate(range(0, clips, BATCH)):
        yield world.sample(np.random.default_rng([seed, number, EVALUATION]), min(BATCH, clips - start))


def read_label_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read the names of a fine-tuned checkpoint's classes, labels or answers, in the order of its outputs.

    Raises:
        ValueError: a file that cannot be read, or that was not fine-tuned.
    """
    names = load_arrays(path)[1].get("label_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path} holds no names of labels: it was not made by minitvlt finetune.")
    return tuple(names)
