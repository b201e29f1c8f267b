"""Pre-train a model, score it on clips it has never seen, and leave a folder with everything to look at.

Without --data the clips come from the embedded world: moving shapes that sing. A run that was stopped, in
whatever way, goes on with --resume and ends as if it had never been stopped.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from minitvlt.checkpoints.native import save
from minitvlt.commands.computing import add_computing_arguments, place_params
from minitvlt.config import Config
from minitvlt.model.parameters import Params, init
from minitvlt.training.batches import World
from minitvlt.training.evaluation import evaluate, measure_baseline
from minitvlt.training.optimizer import Recipe
from minitvlt.training.processes import is_first
from minitvlt.training.runs import Settings, change_settings, check_unused, claim_folder, resume_settings
from minitvlt.training.trainer import train
from minitvlt.views.report import report_pretraining
from minitvlt.worlds.folder import FolderWorld
from minitvlt.worlds.shapes import ShapesWorld

EXAMPLE = """examples:
  minitvlt pretrain --out run
  minitvlt pretrain --data my_videos --steps 500 --out my_run
  minitvlt pretrain --backend torch --device cuda --dtype bfloat16 --compile --config small --out big_run
  torchrun --nproc-per-node 2 -m minitvlt pretrain --backend torch --device cuda --config base --out wide_run
  minitvlt pretrain --out run --resume"""
PRESETS = {"tiny": Config.tiny, "small": Config.small, "base": Config, "paper": Config.paper}
CLIPS_SCORED = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; None says nothing: then the default holds, or what the run has."""
    standard = Recipe()
    add = parser.add_argument
    add("--data", metavar="FOLDER", help="media files to learn from (default: the embedded world)")
    add(
        "--config",
        metavar="NAME|FILE",
        help=f"{', '.join(PRESETS)}, or a JSON file of values (default: tiny)",
    )
    add("--steps", type=int, help=f"training steps (default: {standard.steps})")
    add("--batch", type=int, dest="batch_size", help=f"clips a step (default: {standard.batch_size})")
    add(
        "--micro-batches",
        type=int,
        help="work through each batch in so many parts, to save memory (default: 1)",
    )
    add("--learning-rate", type=float, help=f"the highest (default: {standard.learning_rate})")
    add("--seed", type=int, help=f"decides every random choice (default: {standard.seed})")
    add_computing_arguments(parser)
    add("--out", type=Path, default=Path("run"), help="folder to write, new or empty (default: run)")
    add("--resume", action="store_true", help="go on with the run in the folder --out, by its own settings")


def run(arguments: argparse.Namespace) -> None:
    """Train, score, draw, report; whatever is wrong with the request is found before anything is written."""
    folder = arguments.out
    if arguments.resume:
        settings = resume_settings(folder, Settings, list_said(arguments))
    else:
        settings = choose_settings(arguments)
    config, recipe = settings.config, settings.recipe
    params = place_params(init(config, recipe.seed), settings)
    training, held_out, measured_on = make_worlds(settings.data, config)
    training.sample(np.random.default_rng(0), 1)  # fails where the world cannot serve this configuration
    if is_first() and not arguments.resume:
        claim_folder(folder, settings)
    params = train(params, training, recipe, folder, dtype=settings.dtype, compile=settings.compile)
    if is_first():
        finish(params, settings, folder, training, held_out, measured_on)


def finish(
    params: Params, settings: Settings, folder: Path, training: World, held_out: World, measured_on: str
) -> None:
    """Write the model, score it, and show in the folder and on the screen what it has learnt."""
    save(params, folder / "model.safetensors")
    print(f"Scoring the model on {measured_on} ...", flush=True)
    baseline = measure_baseline(training, settings.config, 4 * CLIPS_SCORED)
    scores = evaluate(params, held_out, baseline, CLIPS_SCORED)
    listed = {
        "matching accuracy": (scores.match_accuracy, 0.5),
        "audio to video, recall@1 of 16": (scores.recall_at_1, 1 / 16),
        "hidden video, relative error": (scores.video_error, 1.0),
        "hidden audio, relative error": (scores.audio_error, 1.0),
    }
    results = {name: pair for name, pair in listed.items() if pair[0] is not None}
    report_pretraining(folder, params, held_out, results, measured_on, settings.command)


def choose_settings(arguments: argparse.Namespace) -> Settings:
    """Settle what a new run does, and that its folder is free."""
    if is_first():  # the others must not see whether it has already begun to write
        check_unused(arguments.out)
    standard = Settings(Config.tiny(), Recipe(), command=arguments.command_line)
    return change_settings(standard, list_said(arguments))


def list_said(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said on the command line, as settings have it."""
    said = {name: value for name, value in vars(arguments).items() if value is not None}
    if "config" in said:
        said["config"] = find_config(said["config"])
    if "data" in said:
        said["data"] = str(Path(said["data"]).resolve())
    return said


def find_config(name: str) -> Config:
    """Take a preset by its name, or read a JSON file of configuration values."""
    if name in PRESETS:
        return PRESETS[name]()
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"Expected --config as one of {', '.join(PRESETS)} or a JSON file, got {name!r}.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} must hold a JSON object of configuration values, not {type(values).__name__}."
        )
    return Config.from_dict(values)


def make_worlds(data: str | None, config: Config) -> tuple[World, World, str]:
    """Make the world to train on and the one to be scored on, and say what the latter's clips are.

    The embedded world holds combinations back. A folder has nothing to hold back: its scores are of other
    moments of the same files, so they tell how well these were learnt, not more.
    """
    if data is None:
        held_out = ShapesWorld(config, split="held_out")
        return ShapesWorld(config), held_out, f"{CLIPS_SCORED} held-out clips"
    world = FolderWorld(data, config)
    return world, world, f"{CLIPS_SCORED} clips of the same files that it learnt from"
