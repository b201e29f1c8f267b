"""Teach a trained model a task, measure it on clips it has never seen, and leave a folder with everything.

Without --data the clips come from the embedded world, and the task is shape, colour, motion or count
(classes), valence (a number), attributes (six labels) or ranking (the video of a sound). With --data it is
classification, regression, labels, soft-labels or ranking. The label file, CSV or JSON lines, has a row for
each clip, with its file (or its video and audio apart) and its label; it may also have start and stop in
seconds, and split: train or test. A run that was stopped goes on with --resume.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minitvlt.checkpoints.detect import load_any
from minitvlt.checkpoints.native import save
from minitvlt.commands.computing import add_computing_arguments, choose_execution
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.signals.prepare import Examples
from minitvlt.training.batches import World
from minitvlt.training.evaluation import BATCH
from minitvlt.training.finetuning import (
    EMBEDDED_TASKS,
    FINETUNING,
    Task,
    answer,
    draw_held_out,
    make_objective,
    prepare_params,
)
from minitvlt.training.processes import is_first
from minitvlt.training.runs import TaskSettings, change_settings, check_unused, claim_folder, resume_settings
from minitvlt.training.trainer import train
from minitvlt.views.results import print_measures
from minitvlt.views.task_results import Answers, list_task_measures, show_answers, write_answers
from minitvlt.worlds.folder import FolderWorld
from minitvlt.worlds.labels import LABELS, LabelTable, read_labels
from minitvlt.worlds.shapes import ShapesWorld

EXAMPLE = """examples:
  minitvlt finetune shape --checkpoint run/model.safetensors --out shape
  minitvlt finetune classification --data labels.csv --checkpoint run/model.safetensors --out my_classes
  minitvlt finetune --out shape --resume"""
CLIPS_SCORED = 512  # of the embedded world
CHECKPOINT = "run/model.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; None says nothing: then the default holds, or what the run has."""
    add = parser.add_argument
    add("task", nargs="?", help="what to learn, see above")
    add("--data", metavar="FILE", help="labels of media files (default: the embedded world)")
    add(
        "--checkpoint", help=f"the model to begin with, in any format that info reads (default: {CHECKPOINT})"
    )
    add("--pooling", choices=("cls", "mean"), help="what a classifier reads (default: as the model has it)")
    add("--steps", type=int, help=f"training steps (default: {FINETUNING.steps})")
    add("--batch", type=int, dest="batch_size", help=f"clips a step (default: {FINETUNING.batch_size})")
    add("--micro-batches", type=int, help="work through each batch in so many parts (default: 1)")
    add("--learning-rate", type=float, help=f"the highest (default: {FINETUNING.learning_rate})")
    add("--seed", type=int, help=f"decides every random choice (default: {FINETUNING.seed})")
    add_computing_arguments(parser)
    add(
        "--out",
        type=Path,
        default=Path("finetuned"),
        help="folder to write, new or empty (default: finetuned)",
    )
    add("--resume", action="store_true", help="go on with the run in the folder --out, by its own settings")


def run(arguments: argparse.Namespace) -> None:
    """Train, answer for held-out clips, report; what is wrong with the request is found before that."""
    folder = arguments.out
    settings, params = resume_run(arguments) if arguments.resume else begin_run(arguments)
    recipe = settings.recipe
    task, table = find_task(settings)
    params = prepare_params(params, task, recipe.seed, settings.pooling)
    params, execution = choose_execution(params, settings, arguments)
    training, names, held_out = make_clips(table, params)
    objective = make_objective(task)
    objective.draw(training, params.config, np.random.default_rng(0), min(2, recipe.batch_size))
    if is_first() and not arguments.resume:
        claim_folder(folder, settings)
    params = train(params, training, recipe, folder, objective=objective, execution=execution)
    if is_first():
        save(params, folder / "model.safetensors", {"label_names": list(task.names)})
        print("Scoring the model on clips that it has not learnt from ...", flush=True)
        finish(folder, settings, params.config, Answers(task, *answer(params, task, held_out), names))


def finish(folder: Path, settings: TaskSettings, config: Config, answers: Answers) -> None:
    """Show in the folder and on the screen how well the model answers."""
    measures = list_task_measures(answers, settings)
    write_answers(folder, answers, measures)
    report = show_answers(folder, answers, measures, settings, config)
    print_measures(measures)
    print(f"\nOpen {report} in a browser.")


def begin_run(arguments: argparse.Namespace) -> tuple[TaskSettings, Params]:
    """Settle what a new run does, and load the model that it begins with."""
    if is_first():  # the others must not see whether it has already begun to write
        check_unused(arguments.out)
    said = {"checkpoint": find_checkpoint(CHECKPOINT), **list_said(arguments)}
    if "task" not in said:
        raise ValueError(f"Say what to learn: {', '.join(list_tasks('data' in said))}.")
    params = load_any(said["checkpoint"])
    standard = TaskSettings(params.config, FINETUNING, command=arguments.command_line)
    return change_settings(standard, said), params


def resume_run(arguments: argparse.Namespace) -> tuple[TaskSettings, Params]:
    """Read what the run in the folder does, and load the model that it began with."""
    settings = resume_settings(arguments.out, TaskSettings, list_said(arguments))
    params = load_any(settings.checkpoint)
    if params.config != settings.config:
        raise ValueError(
            f"{settings.checkpoint} is not the model that the run in {arguments.out} began with: "
            "bring that back, or start another run."
        )
    return settings, params


def list_said(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said on the command line, as settings have it."""
    said = {name: value for name, value in vars(arguments).items() if value is not None}
    if "checkpoint" in said:
        said["checkpoint"] = find_checkpoint(said["checkpoint"])
    if "data" in said:
        said["data"] = str(Path(said["data"]).resolve())
    return said


def find_checkpoint(name: str) -> str:
    """The whole path of a file or folder that is there; another name may be one on a hub."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def list_tasks(has_data: bool) -> list[str]:
    """Name the tasks that there are for a label file, or for the embedded world."""
    return list(LABELS) if has_data else list(EMBEDDED_TASKS)


def find_task(settings: TaskSettings) -> tuple[Task, LabelTable | None]:
    """Find out what is to be told, and read the label file if there is one."""
    known = list_tasks(settings.data is not None)
    if settings.task not in known:
        where = "in the embedded world" if settings.data is None else "for a label file"
        other = "; with --data there are others" if settings.data is None else ""
        raise ValueError(f"The tasks {where} are {', '.join(known)}, not {settings.task!r}{other}.")
    if settings.data is None:
        return EMBEDDED_TASKS[settings.task], None
    table = read_labels(settings.data, settings.task, settings.recipe.seed)
    return Task(settings.task, None if table.labels is None else "label", table.names), table


def make_clips(table: LabelTable | None, params: Params) -> tuple[World, list[str], Iterator[Examples]]:
    """Where clips to learn from come from, and the held-out ones by batches, with a list of their names.

    The list fills up while the batches are read.
    """
    config = params.config
    if table is None:
        names = [f"clip {number + 1}" for number in range(CLIPS_SCORED)]
        return ShapesWorld(config), names, draw_held_out(ShapesWorld(config, "held_out"), CLIPS_SCORED)
    (clips, labels), (others, other_labels) = table.select(False), table.select(True)
    training, test = (
        FolderWorld(clips, config, labels=labels),
        FolderWorld(others, config, labels=other_labels),
    )
    if next(test.read(1), None) is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in test.skipped.items())
        raise ValueError(f"No clip that is held out for the test can be used: {reasons}")
    names = []
    return training, names, read_held_out(test, names)


def read_held_out(world: FolderWorld, names: list[str]) -> Iterator[Examples]:
    """Read all clips that can be used, and note their names."""
    for numbers, examples in world.read(BATCH):
        names += [world.clips[i].name for i in numbers]
        yield examples
