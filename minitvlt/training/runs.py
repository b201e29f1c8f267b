"""The folder of a run: one process at a time writes there, and a run is resumed on the same data."""

import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import get_ident
from typing import Any, BinaryIO
from zlib import crc32

from minitvlt.backends import kernels_in_use, walk
from minitvlt.backends.fast.threads import count_cores

METRICS, STATE = "metrics.jsonl", "training_state.safetensors"
_held: set[tuple[int, Path]] = set()  # threads of this process, and the folders that they hold


@contextmanager
def hold_folder(folder: Path, names: Iterable[str] = (METRICS, STATE)) -> Iterator[None]:
    """Keep other processes and threads out of the folder of a run inside the `with` block.

    The folder is made if it does not exist. The operating system locks `metrics.jsonl`, and unlocks it when
    the process ends, in whatever way. What killed processes have left of files with `names` is removed. A
    thread may hold a folder several times. Where the file system has no locks, a warning says so.

    Raises:
        ValueError: another process or thread holds the folder.
    """
    key = (get_ident(), folder.resolve())
    if key in _held:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / METRICS).open("ab") as file:
        try:
            lock(file)
        except (BlockingIOError, PermissionError):
            raise ValueError(f"Another process or thread trains in {folder}: wait for its end.") from None
        except OSError as error:
            warnings.warn(f"{folder} cannot be locked ({error}): start no second run in it.", stacklevel=4)
        for path in find_temporary(folder, names):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _held.add(key)
        try:
            yield
        finally:
            _held.remove(key)


def lock(file: BinaryIO) -> None:
    """Lock a file until it is closed, or raise an OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(2**31 - 2)  # a byte far beyond the end: what is locked there, others cannot read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def find_temporary(folder: Path, names: Iterable[str]) -> list[Path]:
    """List what processes that were killed in `write_atomically` have left of files with these names."""
    patterns = [f".{Path(name).stem}-{'[a-z0-9_]' * 8}{Path(name).suffix}" for name in names]
    return [path for pattern in patterns for path in folder.glob(pattern)]


def describe_run(trainer: Any) -> dict[str, dict[str, Any]]:
    """Describe what the run of a `Trainer` must keep when it is resumed, and what should be the same.

    The world may have `fingerprints`. A run that is resumed goes on with its own parameters.

    Returns:
        `identity`, which must not change; `circumstances`, which change numbers by rounding, if at all.
    """
    library, params = trainer.library, trainer.params
    fingerprints = getattr(trainer.world, "fingerprints", {"data": {}, "times": {}})
    if len(fingerprints["data"]) > 10_000:  # the header of a state does not hold any number of names
        fingerprints = {kind: {f"all {kind}": crc32(str(x).encode())} for kind, x in fingerprints.items()}
    circumstances = {
        "initial parameters": crc32(str([crc32(array.tobytes()) for _, array in walk(params)]).encode()),
        "array library": library,
        "precision": f"{trainer.dtype}, compile={trainer.compile}",
        "kernels": kernels_in_use(),
        "number of cores": count_cores(),
        "number of processes": trainer.processes,
        **{f"version of {x}": import_module(x).__version__ for x in ("minitvlt", "numpy", "scipy", library)},
        **fingerprints["times"],
    }
    identity = vars(params.config) | vars(trainer.recipe) | fingerprints["data"]
    return {"identity": {name: str(x) for name, x in identity.items()}, "circumstances": circumstances}


def list_changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """List what differs between two descriptions: some names with both values, and how many more."""
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    shown = [f"{name} was {before.get(name, 'absent')}, is {now.get(name, 'absent')}" for name in names[:4]]
    return "; ".join(shown) + (f"; and {len(names) - 4} more" if names[4:] else "")
