"""The folders of a student's code: a copy of what was handed in, and a cache."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import matplotlib

from .finding import SKIPPED_FOLDERS
from .submissions import Submission

MOST_COPIED = 100_000_000  # bytes of the submission's folder
MOST_FILES = 1000


def copy_folder(submission: Submission, target: Path) -> None:
    """Copy the files that a student handed in, as many as there is room for, and the data of the checks."""
    (target / "checks").mkdir(parents=True)
    for path in Path(__file__).parent.glob("*.json"):
        shutil.copyfile(path, target / "checks" / path.name)
    room = MOST_COPIED
    paths = list_handed_in(submission.folder) if submission.folder else [submission.path]
    for path in islice(paths, MOST_FILES):
        size = path.stat().st_size
        if size <= room:
            room -= size
            copied = target / path.relative_to(submission.folder or path.parent)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)


def list_handed_in(folder: Path) -> Iterator[Path]:
    """All files in a folder, but for links, hidden ones, and folders of other things."""
    paths = [
        path for path in sorted(folder.iterdir()) if not (path.is_symlink() or path.name.startswith("."))
    ]
    yield from (path for path in paths if path.is_file())  # those beside the notebook first
    for path in paths:
        if path.is_dir() and path.name not in SKIPPED_FOLDERS:
            yield from list_handed_in(path)


CACHES: list[tempfile.TemporaryDirectory] = []


def font_cache() -> str:
    """A folder with matplotlib's list of fonts, which takes seconds to make, for all processes."""
    if not CACHES:
        CACHES.append(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        for path in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
            shutil.copyfile(path, Path(CACHES[0].name, path.name))
    return CACHES[0].name
