"""`minitvlt pretrain`: from a world of clips to a model, its scores and a report."""

import argparse
from pathlib import Path

from minitvlt.checkpoints.native import save
from minitvlt.commands.shared import (
    Settings,
    add_command,
    add_training_arguments,
    choose_settings,
    find_path,
    run_training,
)
from minitvlt.config import Config
from minitvlt.files import read_json
from minitvlt.model.parameters import Params, init
from minitvlt.training.batches import World
from minitvlt.training.evaluation import evaluate
from minitvlt.training.optimizer import Recipe
from minitvlt.views.report import report_pretraining
from minitvlt.worlds.folder import FolderWorld
from minitvlt.worlds.shapes import ShapesWorld

EXAMPLES = """\
  minitvlt pretrain --out run
  minitvlt pretrain --data my_videos --steps 500 --out my_run
  minitvlt pretrain --backend torch --device cuda --dtype bfloat16 --compile --config small --out big_run
  torchrun --nproc-per-node 2 -m minitvlt pretrain --backend torch --device cuda --config base --out wide_run
  minitvlt pretrain --out run --resume"""
PRESETS = {"tiny": Config.tiny, "small": Config.small, "base": Config, "paper": Config.paper}
CLIPS_SCORED = 512


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare the command and its arguments."""
    parser = add_command(commands, pretrain, EXAMPLES)
    add = parser.add_argument
    add("--data", type=find_path, metavar="FOLDER", help="folder of media files (default: generated clips)")
    add("--config", metavar="NAME|FILE", help=f"{', '.join(PRESETS)} or a JSON file (default: tiny)")
    add_training_arguments(parser, Recipe(), "run")


def pretrain(arguments: argparse.Namespace) -> None:
    """Pre-train a model, score it, and write a folder with the model, figures and a report.

    Without --data the clips are generated: moving shapes with sound, scored on combinations that training
    never shows. A run can be interrupted at any point; --resume continues it on the same data to the same
    result, bit for bit on the same number of cores.
    """
    if arguments.config is not None:
        arguments.config = read_config(arguments.config)
    settings = choose_settings(arguments, Settings("pretrain", Config.tiny(), Recipe()))
    folder, config = arguments.out, settings.config
    world, held_out, measured_on = make_worlds(settings.data, config)

    def finish(params: Params) -> None:
        save(params, folder / "model.safetensors")
        print(f"Scoring the model on {measured_on} ...", flush=True)
        results = evaluate(params, held_out, clips=CLIPS_SCORED)
        report_pretraining(folder, params, held_out, results, measured_on, settings.command_line)

    run_training(init(config, settings.recipe.seed), world, settings, arguments, finish)


def read_config(name: str) -> Config:
    """Return the preset of a name, or read a JSON file of configuration values."""
    if name in PRESETS:
        return PRESETS[name]()
    if not Path(name).is_file():
        raise ValueError(f"Expected --config as one of {', '.join(PRESETS)} or a JSON file, got {name!r}.")
    return Config.from_dict(read_json(Path(name), "configuration values"))


def make_worlds(data: str | None, config: Config) -> tuple[World, World, str]:
    """Make the world to train on and the one to be scored on, and describe the clips of the latter.

    A folder of media files has no held-out part: its scores are of other moments of the same files, so they
    tell how well these files were learnt, no more.
    """
    if data is None:
        held_out = ShapesWorld(config, split="held_out")
        return ShapesWorld(config), held_out, f"{CLIPS_SCORED} held-out clips"
    world = FolderWorld(data, config)
    return world, world, f"{CLIPS_SCORED} clips of the files that it was trained on"
