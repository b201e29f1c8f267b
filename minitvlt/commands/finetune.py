"""`minitvlt finetune`: from a trained model to one that solves a task, its scores and a report."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.native import save
from minitvlt.commands.shared import (
    CHECKPOINT,
    Settings,
    add_command,
    add_training_arguments,
    choose_settings,
    find_path,
    run_training,
    write_json_lines,
)
from minitvlt.config import Config
from minitvlt.files import write_atomically, write_json
from minitvlt.model.parameters import Params
from minitvlt.training.batches import World
from minitvlt.training.evaluation import BATCH, draw_held_out, predict, score_predictions
from minitvlt.training.finetuning import EMBEDDED_TASKS, FINETUNING, Task, make_objective, replace_head
from minitvlt.views.report import report_finetuning
from minitvlt.worlds.folder import FolderWorld
from minitvlt.worlds.labels import LABELS
from minitvlt.worlds.shapes import ShapesWorld

EXAMPLES = """\
  minitvlt finetune shape --checkpoint run/model.safetensors --out shape
  minitvlt finetune classification --data labels.csv --checkpoint run/model.safetensors --out my_classes
  minitvlt finetune --out shape --resume"""
CLIPS_SCORED = 512  # of the generated ones


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare the command and its arguments."""
    parser = add_command(commands, finetune, EXAMPLES)
    add = parser.add_argument
    add("task", nargs="?", help="what to learn, see above; not needed with --resume")
    add("--data", type=find_path, metavar="FILE", help="label file (default: generated clips)")
    add("--checkpoint", type=find_path, help=f"any that `minitvlt info` reads (default: {CHECKPOINT})")
    add("--pooling", choices=("cls", "mean"), help="input of a classifier (default: as the model has it)")
    add("--negatives", type=int, metavar="N", help=f"wrong videos, for ranking (default: {Task.negatives})")
    add_training_arguments(parser, FINETUNING, "finetuned")


def finetune(arguments: argparse.Namespace) -> None:
    """Fine-tune a trained model on a task, score it on held-out clips, and write a folder with a report.

    Without --data the clips are generated, and the task is shape, colour, motion or count (classification),
    valence (regression), attributes (six labels) or ranking (find the video of a sound). With --data it is
    classification, regression, labels, soft-labels or ranking. The label file, CSV or JSON lines, has a row
    for each clip with its file (or its video and audio apart) and its label; optional columns are start and
    stop in seconds, and split: train or test. An interrupted run is continued by --resume.
    """
    standard = Settings("finetune", Config.tiny(), FINETUNING, checkpoint=find_path(CHECKPOINT))
    settings = choose_settings(arguments, standard)
    params = load_any(settings.checkpoint)
    if arguments.resume and params.config != settings.config:
        raise ValueError(
            f"{settings.checkpoint} is not the model that the run in {arguments.out} started from: "
            "restore that file, or start another run."
        )
    settings = replace(settings, config=params.config)
    task, training, held_out = make_worlds(settings)
    if settings.negatives is not None and task.loss_type != "ranking":
        raise ValueError(f"--negatives is for the task ranking, not for {settings.task}: leave it out.")
    task = task if settings.negatives is None else replace(task, negatives=settings.negatives)
    params = replace_head(params, task, settings.recipe.seed, settings.pooling)
    finish = partial(finish_run, task, held_out, settings, arguments.out)
    run_training(params, training, settings, arguments, finish, make_objective(task))


def finish_run(task: Task, held_out: World, settings: Settings, folder: Path, params: Params) -> None:
    """Save a fine-tuned model, score it on all held-out clips; write scores, predictions and a report."""
    save(params, folder / "model.safetensors", {"label_names": list(task.names)})
    print("Scoring the model on held-out clips ...", flush=True)
    size = sys.maxsize if task.loss_type == "ranking" else BATCH  # all pairs of clips are scored
    if isinstance(held_out, ShapesWorld):
        outputs, labels = predict(params, task, draw_held_out(held_out.sample, CLIPS_SCORED, size=size))
        names = [f"clip {number + 1}" for number in range(CLIPS_SCORED)]
    else:
        outputs, labels = predict(params, task, (clips for _, clips in held_out.read(size)))
        names = [clip.name for clip in held_out.clips if clip.name not in held_out.skipped]
    results = score_predictions(task, outputs, labels)
    scores = {name: metric.value for name, metric in results.items()}
    write_atomically(folder / "scores.json", partial(write_json, scores))
    write_json_lines(describe_predictions(task, outputs, labels, names), folder / "predictions.jsonl")
    name, command = settings.task, settings.command_line
    report_finetuning(folder, name, task, outputs, labels, results, params.config, command)


def make_worlds(settings: Settings) -> tuple[Task, World, World]:
    """Find the task, the world to learn it from, and the held-out one."""
    config, data, task = settings.config, settings.data, settings.task
    known = EMBEDDED_TASKS if data is None else LABELS
    if task not in known:
        clips = "generated clips (others need --data)" if data is None else "a label file"
        raise ValueError(f"Expected a task for {clips}, {', '.join(known)}, got {task!r}.")
    if data is None:
        return EMBEDDED_TASKS[task], ShapesWorld(config), ShapesWorld(config, "held_out")
    training, held_out = (FolderWorld(data, config, task=task, split=split) for split in ("train", "test"))
    next(held_out.read(1))  # raises a ValueError if no clip can be used
    for kind, values in held_out.fingerprints.items():
        training.fingerprints[kind] |= {f"held out: {name}": value for name, value in values.items()}
    return Task(task, None if training.labels is None else "label", training.names), training, held_out


def describe_predictions(
    task: Task,
    outputs: Float[np.ndarray, "clips outputs"],
    labels: Shaped[np.ndarray, "clips *labels"] | None,
    clips: Sequence[str],
) -> list[dict[str, Any]]:
    """List the label and the outputs of each clip under their names, for a JSON file.

    The names of the outputs are those of classes, labels or answers; for ranking those of the clips with
    whose videos the audio was scored, and the label is the clip itself.
    """
    names = clips if task.loss_type == "ranking" else task.names or ("value",)
    values = clips if labels is None else labels.tolist()
    if task.loss_type == "classification":
        values = [task.names[label] for label in values]
    rows = np.round(outputs.astype(np.float64), 6).tolist()
    return [
        {"clip": clip, "label": label, "outputs": dict(zip(names, row, strict=True))}
        for clip, label, row in zip(clips, values, rows, strict=True)
    ]
