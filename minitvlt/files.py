"""Writing files and folders so that a reader never meets half of one; and files of JSON."""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then put it in `path`'s place in one step.

    Whoever opens `path`, at whatever moment the program is killed, finds the old file or the new one, whole.
    The temporary file lies in the same folder, because a rename is one step only within a file system, and
    it keeps the suffix, because many libraries choose the format by it. `write` receives the temporary path;
    what it returns is dropped. Missing folders are made. If `write` fails, the temporary file is removed, the
    old file stays and the error goes on.

    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomically(folder / "note.txt", lambda path: path.write_text("done")).read_text()
    'done'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _flush_to_disk(temporary)
        temporary.chmod(_permissions_of(target))  # mkstemp's file is for its owner alone
        os.replace(temporary, target)
    except BaseException:  # also when interrupted from the keyboard
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _flush_to_disk(target.parent)  # the new name is on disk, too
    return target


def write_folder(folder: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary folder beside `folder`, then put it in its place in one step.

    Raises:
        ValueError: `folder` is there already and not empty.
    """
    target = Path(folder).resolve()
    check_new(folder)
    temporary = target.with_name(f".{target.name[:40]}-{secrets.token_hex(4)}")
    temporary.mkdir(parents=True)
    try:
        write(temporary)
        if target.exists():
            target.rmdir()  # some systems put nothing in the place of a folder, even of an empty one
        temporary.rename(target)
    except BaseException:  # also when interrupted from the keyboard
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Path(folder)


def check_new(path: str | os.PathLike[str]) -> None:
    """Raise a ValueError if something is at a path that shall be written; an empty folder may be filled."""
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(
            f"{path} holds something, and nothing is overwritten: choose a new or an empty place."
        )


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that holds named values; any other is a ValueError that says `what` it should hold."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"Expected {path} with {what} as JSON: {error}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"Expected {path} with {what} as named values, got {type(values).__name__}.")
    return values


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write named values as JSON, in the order of their names."""
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", "utf-8")


def _permissions_of(target: Path) -> int:
    """The permission bits of the file to be replaced, or those that a new file gets here."""
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)  # can only be read by setting it
    os.umask(umask)
    return 0o666 & ~umask


def _flush_to_disk(path: Path) -> None:
    """Wait until what was written to a file (or the names in a folder) is on the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
