"""Finds the submissions in a folder, whatever the files are called, and says what could not be read."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .submissions import SUFFIXES, Sheet, Submission, UnreadableSubmissionError, read_submission

SKIPPED_FOLDERS = {"checks", "__pycache__", "__MACOSX", "venv", "node_modules", "site-packages"}
FUNCTION = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A student's submission of one assignment, or why there is none."""

    student: str
    sheet: Sheet | None
    submission: Submission | None = None
    remark: str = ""  # also where something was chosen or left out


def find_submissions(folder: Path, sheets: list[Sheet]) -> list[Found]:
    """All submissions in a folder: one folder for each student, or notebooks that are named after them."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in SKIPPED_FOLDERS:
            continue
        if path.is_dir():
            found += find_of_student(path.name, sorted(list_files(path)), sheets, path)
        else:
            found += find_of_student(path.stem, [path], sheets)
    return found


def list_files(folder: Path) -> Iterator[Path]:
    """Notebooks and scripts in a folder and the folders in it."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in SKIPPED_FOLDERS or path.is_symlink():
            continue
        if path.is_dir():
            yield from list_files(path)
        elif path.suffix in SUFFIXES:
            yield path


def find_of_student(
    student: str, paths: list[Path], sheets: list[Sheet], folder: Path | None = None
) -> list[Found]:
    """What a student's files are."""
    by_sheet: dict[str, list[Submission]] = {}
    remarks, unknown = [], []
    for path in paths:
        try:
            submission = read_submission(path)
        except UnreadableSubmissionError as error:
            remarks.append(str(error))
            continue
        sheet = identify(submission, sheets)
        if sheet is not None:
            by_sheet.setdefault(sheet.module, []).append(submission)
        else:
            known = submission.assignment_name
            what = f"is of {known}, which is not graded here" if known else "is of none of the assignments"
            unknown.append(f"{path.name} {what}")
    found = []
    remarks += [
        remark for remark in unknown if ".ipynb " in remark or not by_sheet
    ]  # a script may be a helper
    for sheet in sheets:
        if sheet.module in by_sheet:
            submission, remark = choose(by_sheet[sheet.module], sheet)
            submission = replace(submission, folder=folder)
            found.append(Found(student, sheet, submission, "; ".join([remark] * bool(remark) + remarks)))
    return found or [Found(student, None, None, "; ".join(remarks) or "there is no notebook here")]


def identify(submission: Submission, sheets: Iterable[Sheet]) -> Sheet | None:
    """The assignment that a notebook is of: by its metadata, else by the functions that it defines."""
    sheets = list(sheets)
    if submission.assignment_name:
        named = [sheet for sheet in sheets if sheet.assignment.name == submission.assignment_name]
        return named[0] if named else None
    names = {name for cell in submission.code for name in FUNCTION.findall(cell.source)}
    counts = [len(names & {blank.name for blank in sheet.assignment.blanks}) for sheet in sheets]
    return sheets[counts.index(max(counts))] if any(counts) else None


def choose(submissions: list[Submission], sheet: Sheet) -> tuple[Submission, str]:
    """The one with the assignment's name, else the notebook that was changed last."""

    def rank(submission: Submission) -> tuple[bool, bool, float, str]:
        path = submission.path
        return path.stem == sheet.assignment.name, path.suffix == ".ipynb", path.stat().st_mtime, path.name

    best = max(submissions, key=rank)
    others = [item.path.name for item in submissions if item is not best]
    return best, f"graded {best.path.name}, not {', '.join(others)}" if others else ""
