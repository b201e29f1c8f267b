"""Writing files and folders whole or not at all, and reading and writing JSON files."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Call `write` on a temporary path, then rename what it wrote to `path` in one step.

    Whoever opens `path` finds the old file or the complete new one, even if the program is killed meanwhile.
    The temporary path has the same name, because many libraries choose the format by its end. It is in a
    temporary folder, for what libraries write beside it, in the same folder, because renaming is one step
    only within a file system. `write` makes a file or a folder there; its return value is ignored. Missing
    parent folders are made. If `write` fails, the temporary folder is removed, the old file stays and the
    error is raised again. A symbolic link is followed.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "note.txt", lambda path: path.write_text("done")).read_text()
    'done'
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(target.suffix, f".{target.stem[:40]}-", target.parent))
    try:
        temporary = folder / target.name
        temporary.touch()
        mode = (target if target.is_file() else temporary).stat().st_mode  # some libraries set another
        temporary.unlink()
        write(temporary)
        if temporary.is_dir() and target.is_dir():
            target.rmdir()  # Windows renames nothing onto a folder, even an empty one
        if temporary.is_file():
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())  # wait until it is on the disk
            temporary.chmod(mode)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Path(path)


def write_folder(folder: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Call `write` on a temporary folder, then rename it to `folder` in one step.

    Raises:
        ValueError: `folder` exists and is not empty.
    """
    check_new(folder)
    return write_atomically(folder, lambda temporary: (temporary.mkdir(), write(temporary)))


def check_new(path: str | os.PathLike[str]) -> None:
    """Raise a ValueError if a file or a folder that is not empty exists at a path that will be written."""
    if os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise ValueError(f"{path} exists, and nothing is overwritten: choose a new path or an empty folder.")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; anything else raises a ValueError that says `what` the file should hold."""
    try:
        values = json.loads(path.read_bytes())  # UTF-8, 16 or 32, with a BOM or without
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"Expected {path} with {what} as JSON: {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"Expected {path} with {what} as named values, got {type(values).__name__}.")
    return values


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write a JSON object with its names in alphabetical order."""
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", "utf-8")
