"""The folder of a run, and the settings that are kept in it: everything that decides the run's numbers."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.training.finetuning import FINETUNING
from minitvlt.training.optimizer import Recipe

SETTINGS = "run.json"


@dataclass(frozen=True)
class Settings:
    """What decides a run's numbers"""

    config: Config
    recipe: Recipe
    data: str | None = None  # folder of media files; None is the embedded world
    backend: str = "numpy"
    device: str | None = None
    dtype: str = "float32"  # of torch's products
    compile: bool = False
    command: str = field(default="", compare=False)  # what started the run

    @property
    def is_standard(self) -> bool:
        """Whether this is the run that the goals were set for, apart from its seed and from what computes."""
        recipe = replace(self.recipe, seed=Recipe().seed)
        return self.data is None and (self.config, recipe) == (Config.tiny(), Recipe())

    def find_difference(self, other: "Settings") -> str | None:
        """Name the first setting that differs, and both values; None if all are equal."""
        mine, theirs = self.to_flat_dict(), other.to_flat_dict()
        different = (
            f"{name} is {mine[name]!r}, not {theirs[name]!r}" for name in mine if mine[name] != theirs[name]
        )
        return next(different, None)

    def to_flat_dict(self) -> dict[str, Any]:
        """Return all settings under their names, those of configuration and recipe among them."""
        values = asdict(self)
        del values["command"]
        return {**values.pop("config"), **values.pop("recipe"), **values}


@dataclass(frozen=True)
class TaskSettings(Settings):
    """What decides the numbers of a run that fine-tunes; the configuration is that of its checkpoint"""

    task: str = ""
    checkpoint: str = ""
    pooling: str | None = None  # None: as the model has it

    @property
    def is_standard(self) -> bool:
        """Whether this is a run that the goals were set for, apart from its seed and from what computes."""
        recipe = replace(self.recipe, seed=FINETUNING.seed)
        return self.data is None and (self.config, recipe) == (Config.tiny(), FINETUNING)


AnySettings = TypeVar("AnySettings", bound=Settings)


def change_settings(settings: AnySettings, said: dict[str, Any]) -> AnySettings:
    """Return settings with some changed, those of the recipe among them; names of neither say nothing."""
    own = {field.name for field in fields(settings)} - {"recipe", "command"}
    recipe = {field.name: said[field.name] for field in fields(Recipe) if field.name in said}
    changes = {name: said[name] for name in own if name in said}
    return replace(settings, recipe=replace(settings.recipe, **recipe), **changes)


def claim_folder(folder: Path, settings: Settings) -> None:
    """Make a run's folder and write its settings; a folder that holds anything is left alone.

    Raises:
        ValueError: something is there already.
    """
    check_unused(folder)
    text = json.dumps(asdict(settings), indent=2) + "\n"
    write_atomically(folder / SETTINGS, lambda path: path.write_text(text, encoding="utf-8"))


def check_unused(folder: Path) -> None:
    """Refuse a folder to write into unless it is new or empty."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: choose another --out.")
    if folder.is_dir() and any(folder.iterdir()):
        hint = " or go on with that run by --resume" if (folder / SETTINGS).exists() else ""
        raise ValueError(f"{folder} is not empty, and nothing is overwritten: choose another --out{hint}.")


def read_settings(folder: Path, kind: type[AnySettings] = Settings) -> AnySettings:
    """Read the settings of the run in a folder.

    Raises:
        ValueError: there is no run, it is of another kind, or its settings are damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(f"There is no run to resume in {folder}: {SETTINGS} is missing.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        parts = {"config": Config.from_dict(values["config"]), "recipe": Recipe(**values["recipe"])}
        if set(values) != {field.name for field in fields(kind)}:
            raise ValueError("it has other entries: is it of another command?")
        return kind(**{**values, **parts})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}): bring it back, or start another run.") from None


def resume_settings(folder: Path, kind: type[AnySettings], said: dict[str, Any]) -> AnySettings:
    """Read what the run in the folder does; what is said besides must not contradict it."""
    settings = read_settings(folder, kind)
    difference = settings.find_difference(change_settings(settings, said))
    if difference:
        raise ValueError(
            f"--resume goes on with the settings of {folder}, where {difference}: "
            "leave that out, or start another run with another --out."
        )
    return settings
