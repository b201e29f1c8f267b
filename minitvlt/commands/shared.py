"""What several commands share: declaring arguments, and the settings and the folder of a training run."""

import argparse
import inspect
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minitvlt.backends import to_backend
from minitvlt.config import Config
from minitvlt.files import check_new, read_json, write_atomically, write_json
from minitvlt.model.parameters import Params
from minitvlt.training.batches import World
from minitvlt.training.objectives import PRETRAINING, Objective
from minitvlt.training.optimizer import Recipe
from minitvlt.training.runs import METRICS, STATE, find_temporary, hold_folder
from minitvlt.training.trainer import check_training, train
from minitvlt.views.report import FILES

SETTINGS = "run.json"
CHECKPOINT = "run/model.safetensors"  # where `minitvlt pretrain` writes the model by default
WRITTEN = (SETTINGS, METRICS, STATE, "model.safetensors", "scores.json", "predictions.jsonl", "report.html")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers of a training run; its folder holds it as `run.json`"""

    command: str  # pretrain or finetune
    config: Config  # of the model that the run starts from
    recipe: Recipe
    data: str | None = None  # folder of media files or label file; None for the generated clips
    backend: str = "numpy"
    device: str | None = None
    dtype: str = "float32"
    compile: bool = False
    task: str | None = None  # this and the following: only for finetune
    checkpoint: str | None = None
    pooling: str | None = None
    negatives: int | None = None
    command_line: str = ""  # only for the report

    def replace_given(self, given: dict[str, Any]) -> "Settings":
        """Return settings with the values that are given for them or for their recipe."""
        recipe = {name: given[name] for name in vars(self.recipe) if name in given}
        own = {name: given[name] for name in vars(self) if name in given}
        return replace(self, **own, recipe=replace(self.recipe, **recipe))

    def list_values(self) -> dict[str, Any]:
        """List all values but the command line, those of the recipe and `config.…` among them."""
        values = asdict(replace(self, command_line=""))
        config = {f"config.{name}": value for name, value in values.pop("config").items()}
        return config | values.pop("recipe") | values


def add_command(
    commands: argparse._SubParsersAction, run: Callable[[argparse.Namespace], None], examples: str
) -> argparse.ArgumentParser:
    """Add a command that has the name and the documentation of the function that runs it."""
    text = inspect.getdoc(run)
    parser = commands.add_parser(
        run.__name__,
        help=text.splitlines()[0].rstrip("."),
        description=text,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_training_arguments(parser: argparse.ArgumentParser, recipe: Recipe, out: str) -> None:
    """Declare what both training commands take; None means not given, so that `--resume` can tell."""
    add = parser.add_argument
    add("--steps", type=int, help=f"training steps (default: {recipe.steps})")
    add("--batch", type=int, dest="batch_size", help=f"clips per step (default: {recipe.batch_size})")
    add("--micro-batches", type=int, help="split each batch into this many, to save memory (default: 1)")
    add("--learning-rate", type=float, help=f"peak learning rate (default: {recipe.learning_rate})")
    add("--seed", type=int, help=f"seed of all random numbers (default: {recipe.seed})")
    add("--backend", choices=("numpy", "torch"), help="array library (default: numpy)")
    add("--device", help='device of torch, for example "cuda" (default: cpu)')
    add("--dtype", choices=("float32", "bfloat16"), help="torch: precision of products (default: float32)")
    add("--compile", action="store_true", default=None, help="torch: compile the step with torch.compile")
    add("--out", type=Path, default=Path(out), help=f"folder to write, new or empty (default: {out})")
    add("--resume", action="store_true", help="continue the run in the folder --out, with its settings")


def is_first() -> bool:
    """Return whether this process writes files and messages: of those that torchrun starts the first does."""
    return os.environ.get("RANK", "0") == "0"


def find_device(device: str | None) -> str | None:
    """Find the device of this process: under torchrun each process has a GPU of its own.

    Raises:
        ValueError: one GPU for several processes.
    """
    if "WORLD_SIZE" not in os.environ or device in (None, "cpu"):
        return device
    if ":" in device:
        raise ValueError(f"Each process needs its own GPU: use --device {device.partition(':')[0]}.")
    return f"{device}:{os.environ['LOCAL_RANK']}"


def find_path(name: str) -> str:
    """The absolute path of an existing file or folder; any other name, such as one on a hub, unchanged."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def choose_settings(arguments: argparse.Namespace, standard: Settings) -> Settings:
    """Settle what a new run does, or read what the run to be resumed does.

    Raises:
        ValueError: the folder of a new run is not empty; an argument contradicts the run to be resumed.
    """
    folder = arguments.out
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if not arguments.resume:
        if is_first():  # other processes may come when the first has already begun to write
            check_startable(folder)
        return standard.replace_given(given)
    settings = read_settings(folder)
    asked = settings.replace_given(given).list_values()
    for name, value in settings.list_values().items():
        if asked[name] != value and not (name == "data" and value):  # it may have moved
            raise ValueError(
                f"--resume uses the settings of {folder}, where {name} is {value!r}, not {asked[name]!r}: "
                "leave that argument out, or start another run with another --out."
            )
    return replace(settings, data=given.get("data", settings.data))


def check_startable(folder: Path) -> None:
    """Raise a ValueError unless a folder is new, empty, or left by a run that was killed at its begin."""
    if (folder / SETTINGS).exists():
        raise ValueError(f"{folder} holds a run: continue it with --resume, or choose another --out.")
    left = {path for path in (folder / METRICS,) if path.is_file() and not path.stat().st_size}
    if not folder.is_dir() or {*folder.iterdir()} - {*left, *find_temporary(folder, (*WRITTEN, *FILES))}:
        check_new(folder)


def read_settings(folder: Path) -> Settings:
    """Read the settings of the run in a folder.

    Raises:
        ValueError: there is no run, or its settings are damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(f"There is no run to resume in {folder}: {SETTINGS} is missing.")
    try:
        values = read_json(path, "the settings of a run")
        config, recipe = Config.from_dict(values.pop("config")), Recipe(**values.pop("recipe"))
        return Settings(config=config, recipe=recipe, **values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}): restore it, or start another run.") from None


def run_training(
    params: Params,
    world: World,
    settings: Settings,
    arguments: argparse.Namespace,
    finish: Callable[[Params], None],
    objective: Objective = PRETRAINING,
) -> None:
    """Train in the folder `--out`, and call `finish` with the model, while no other process may write there.

    A request that cannot work fails before anything is written. Under torchrun all processes train, and the
    first one writes.
    """
    recipe, how = settings.recipe, {"dtype": settings.dtype, "compile": settings.compile}
    params = to_backend(params, settings.backend, find_device(settings.device))
    check_training(params, recipe, **how)
    objective.draw(world, params.config, np.random.default_rng(0), min(2, recipe.batch_size))
    if not is_first():
        train(params, world, recipe, arguments.out, objective=objective, **how)
        return
    with hold_folder(arguments.out, (*WRITTEN, *FILES)):
        save = partial(write_atomically, arguments.out / SETTINGS, partial(write_json, asdict(settings)))
        if not arguments.resume:
            check_startable(arguments.out)  # another process may have been faster
            save()
        trained = train(params, world, recipe, arguments.out, objective=objective, **how)
        save()  # after a resume the data may lie elsewhere; `train` has compared them
        finish(trained)


def write_json_lines(lines: Iterable[dict[str, Any]], path: Path) -> None:
    """Write a JSON object on each line."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8", "backslashreplace"))
