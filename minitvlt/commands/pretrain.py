"""Pre-train a model, score it on clips it has never seen, and leave a folder with everything to look at.

Without --data the clips come from the embedded world: moving shapes that sing. A run that was stopped, in whatever
way, goes on with --resume and ends as if it had never been stopped.
"""

import argparse
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.learning.batches import World
from minitvlt.learning.checkpoints import save
from minitvlt.learning.evaluation import Scores, evaluate, measure_baseline
from minitvlt.learning.optimizer import Recipe
from minitvlt.learning.trainer import train
from minitvlt.model.parameters import init
from minitvlt.results import list_measures, show_results
from minitvlt.worlds.folder import FolderWorld
from minitvlt.worlds.shapes import ShapesWorld

EXAMPLE = """examples:
  minitvlt pretrain --out run
  minitvlt pretrain --data my_videos --steps 500 --out my_run
  minitvlt pretrain --backend torch --device cuda --config small --out big_run
  minitvlt pretrain --out run --resume"""
PRESETS = {"tiny": Config.tiny, "small": Config.small, "base": Config, "paper": Config.paper}
RECIPE_ARGUMENTS = ("steps", "batch_size", "micro_batches", "learning_rate", "seed")
SETTINGS = "run.json"
HELD_OUT_CLIPS = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; None means the default, so that --resume can tell what was said."""
    standard = Recipe()
    add = parser.add_argument
    add("--data", metavar="FOLDER", help="media files to learn from (default: the embedded world)")
    add("--config", metavar="NAME|FILE", help=f"{', '.join(PRESETS)}, or a JSON file of values (default: tiny)")
    add("--steps", type=int, help=f"training steps (default: {standard.steps})")
    add("--batch", type=int, dest="batch_size", help=f"clips a step (default: {standard.batch_size})")
    add("--micro-batches", type=int, help="work through each batch in so many parts, to save memory (default: 1)")
    add("--learning-rate", type=float, help=f"the highest (default: {standard.learning_rate})")
    add("--seed", type=int, help=f"decides every random choice (default: {standard.seed})")
    add("--backend", choices=("numpy", "torch"), default="numpy", help="what computes (default: numpy)")
    add("--device", help='where torch computes, for instance "cuda" (default: cpu)')
    add("--out", type=Path, default=Path("run"), help="folder to write, new or empty (default: run)")
    add("--resume", action="store_true", help="go on with the run in the folder --out, by its own settings")


def run(arguments: argparse.Namespace) -> None:
    """Train, score, draw, report."""
    backend, device, folder = arguments.backend, arguments.device, arguments.out
    to_backend(np.zeros(1), backend, device)  # a library or device that is not there is found before any work
    settings = read_settings(folder) if arguments.resume else choose_settings(arguments)
    config, recipe = Config.from_dict(settings["config"]), Recipe(**settings["recipe"])
    training, held_out = make_worlds(settings["data"], config)
    if not arguments.resume:
        claim_folder(folder, settings)
    params = train(init(config, recipe.seed), training, recipe, folder, backend, device)
    save(params, folder / "model.safetensors")
    print(f"Scoring {HELD_OUT_CLIPS} held-out clips ...", flush=True)
    scores = evaluate(
        params, held_out, measure_baseline(training, config), HELD_OUT_CLIPS, backend=backend, device=device
    )
    show_results(folder, params, held_out, scores, describe_command(settings))
    print_scores(scores)
    print(f"\nOpen {folder / 'report.html'} in a browser.")


def choose_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gather what decides a run's numbers: configuration, recipe and data."""
    chosen = {name: getattr(arguments, name) for name in RECIPE_ARGUMENTS}
    recipe = Recipe(**{name: value for name, value in chosen.items() if value is not None})
    data = None if arguments.data is None else str(Path(arguments.data).resolve())
    return {"config": find_config(arguments.config or "tiny").to_dict(), "recipe": asdict(recipe), "data": data}


def find_config(name: str) -> Config:
    """Take a preset by its name, or read a JSON file of configuration values."""
    if name in PRESETS:
        return PRESETS[name]()
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"Expected --config as one of {', '.join(PRESETS)} or a JSON file, got {name!r}.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON file: {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object of configuration values, not {type(values).__name__}.")
    return Config.from_dict(values)


def make_worlds(data: str | None, config: Config) -> tuple[World, World]:
    """Make the world to train on and the one to be scored on.

    The embedded world holds combinations back. A folder has nothing to hold back: there the second world is the
    same files at evenly spaced moments, so its scores tell how well they were learnt, not more.
    """
    if data is None:
        return ShapesWorld(config), ShapesWorld(config, split="held_out")
    return FolderWorld(data, config), FolderWorld(data, config, spans="even")


def claim_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Make the run's folder and write its settings; a folder that holds anything is left alone.

    Raises:
        ValueError: something is there already.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give another name with --out.")
    if folder.is_dir() and any(folder.iterdir()):
        hint = " or go on with that run by --resume" if (folder / SETTINGS).exists() else ""
        raise ValueError(f"The folder {folder} is not empty, and nothing is overwritten: choose another --out{hint}.")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings, indent=2) + "\n"
    write_atomically(folder / SETTINGS, lambda path: path.write_text(text))


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of the run in a folder."""
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(f"There is no run to resume in {folder}: {SETTINGS} is missing.")
    return json.loads(path.read_text())


def describe_command(settings: dict[str, Any]) -> str:
    """Write down the command that starts this run anew."""
    words = ["minitvlt pretrain"]
    if settings["data"] is not None:
        words.append(f"--data {shlex.quote(settings['data'])}")
    names = [name for name, preset in PRESETS.items() if preset().to_dict() == Config.from_dict(settings["config"]).to_dict()]
    words += [f"--config {names[0]}"] if names != ["tiny"] and names else []
    standard = asdict(Recipe())
    flags = {"batch_size": "batch", "micro_batches": "micro-batches", "learning_rate": "learning-rate"}
    for name in RECIPE_ARGUMENTS:
        if settings["recipe"][name] != standard[name]:
            words.append(f"--{flags.get(name, name)} {settings['recipe'][name]}")
    return " ".join(words)


def print_scores(scores: Scores) -> None:
    """Print the final figures beside what guessing gives."""
    print(f"\n{'on ' + str(scores.clips) + ' held-out clips':<42}{'this run':>10}{'chance':>10}{'goal':>10}")
    for measure in list_measures(scores):
        better = ">=" if measure.goal > measure.chance else "<="
        print(f"{measure.name:<42}{measure.value:>10.3f}{measure.chance:>10.3f}{better:>6} {measure.goal:.2f}")
