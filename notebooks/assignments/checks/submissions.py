"""Finds and reads submissions, and takes from them only what the student wrote.

A submission is a notebook (.ipynb) or a Python script, in percent format or not. Which assignment it is of
is read from its metadata or from the functions it defines, whatever the file is called. Check cells, given
cells and pictures come from the student version of the assignment (the master), so that it does not matter
what was done to them.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from .blanks import Assignment

FOLDER = Path(__file__).parent.parent
SUFFIXES = {".ipynb", ".py"}
LARGEST_FILE = 50_000_000  # bytes of a notebook
SKIPPED_FOLDERS = {"checks", "__pycache__", "__MACOSX", "venv", "node_modules", "site-packages"}
MAGIC = re.compile(r"^\s*([%!?]|[\w, ]+=\s*[%!]|.*[^#\s]\?\??\s*$)")
FUNCTION = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)


class UnreadableSubmissionError(Exception):
    """Why a file is no submission, in one sentence."""


@dataclass(frozen=True)
class Sheet:
    """An assignment with the places where its parts are."""

    module: str  # that has ASSIGNMENT; also a child process can import it
    master: Path  # the student version

    @cached_property
    def assignment(self) -> Assignment:
        """The blanks and checks."""
        return import_module(self.module).ASSIGNMENT

    @cached_property
    def master_cells(self) -> "list[Cell]":
        """The cells of the student version."""
        return read_notebook(self.master).cells


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook."""

    source: str
    kind: str = "code"  # or "markdown"
    metadata: dict[str, Any] = field(default_factory=dict)
    number: int = 0  # in its notebook, from 1; 0: comes from the master

    @property
    def grade_id(self) -> str:
        """Its name, if it is one of the master's."""
        return str(self._nbgrader.get("grade_id", ""))

    @property
    def is_solution(self) -> bool:
        """Whether the student writes it."""
        return bool(self._nbgrader.get("solution"))

    @property
    def is_check(self) -> bool:
        """Whether it gives points by itself."""
        return bool(self._nbgrader.get("grade")) and not self.is_solution

    @property
    def is_for_students(self) -> bool:
        """Whether it shows the student's code at work, or trains; the grader does not run it."""
        tags = self.metadata.get("tags")
        return isinstance(tags, list) and ("picture" in tags or "training" in tags)

    @property
    def _nbgrader(self) -> dict[str, Any]:
        found = self.metadata.get("nbgrader")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Submission:
    """What was read from a file."""

    path: Path
    cells: list[Cell]
    assignment_name: str = ""  # as its metadata says
    folder: Path | None = None  # whose files were handed in with it

    @property
    def code(self) -> list[Cell]:
        """Its cells of code."""
        return [cell for cell in self.cells if cell.kind == "code"]


def list_sheets() -> list[Sheet]:
    """The assignments that lie here."""
    package = __name__.rpartition(".")[0]
    masters = sorted(FOLDER.glob("a[0-9]_*.ipynb"))
    return [Sheet(f"{package}.{path.stem.partition('_')[0]}", path) for path in masters]


# ---- reading one file


def read_submission(path: Path) -> Submission:
    """Read a notebook or a script.

    Raises:
        UnreadableSubmissionError: the file is neither.
    """
    try:
        if path.suffix not in SUFFIXES:
            raise UnreadableSubmissionError(f"{path.name} is neither a notebook nor a Python file")
        if path.stat().st_size > LARGEST_FILE:
            raise UnreadableSubmissionError(f"{path.name} has more than {LARGEST_FILE // 10**6} MB")
        return read_notebook(path) if path.suffix == ".ipynb" else read_script(path)
    except UnreadableSubmissionError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error)[:200].split())
        raise UnreadableSubmissionError(f"{path.name} cannot be read as a notebook: {reason}") from error


def read_notebook(path: Path) -> Submission:
    """Read a notebook of format 4."""
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if "cells" not in content:
        raise UnreadableSubmissionError(
            f"{path.name} is no notebook of format 4: open it in JupyterLab and save it"
        )
    cells = []
    for number, cell in enumerate(content["cells"], 1):
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(map(str, source))
        cells.append(Cell(text, str(cell.get("cell_type")), dict(cell.get("metadata", {})), number))
    found = content.get("metadata", {}).get("minitvlt", {})
    return Submission(path, cells, str(found.get("assignment", "")) if isinstance(found, dict) else "")


def read_script(path: Path) -> Submission:
    """Read a Python script; cells begin with `# %%`, as jupytext writes them, or `# In[1]:`."""
    cells, lines, kind, metadata = [], [], "code", {}

    def end_cell() -> None:
        text = "\n".join(lines).strip("\n")
        if text:
            cells.append(Cell(text, kind, metadata, len(cells) + 1))

    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if line.startswith("# %%") or re.match(r"# In\s?\[[\d ]*\]:", line):
            end_cell()
            lines, (kind, metadata) = [], read_cell_header(line)
        else:
            lines.append(line)
    end_cell()
    return Submission(path, cells)


def read_cell_header(line: str) -> tuple[str, dict[str, Any]]:
    """The kind and the metadata after `# %%`."""
    kind = "markdown" if "[markdown]" in line or "[md]" in line else "code"
    metadata, decoder = {}, json.JSONDecoder()
    for match in re.finditer(r"\b(nbgrader|tags)=", line):
        try:
            metadata[match[1]] = decoder.raw_decode(line, match.end())[0]
        except ValueError:
            continue
    return kind, metadata


# ---- finding


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


# ---- what the student wrote


def take_cells(submission: Submission, sheet: Sheet) -> list[Cell]:
    """The cells that are run: the master's given cells, and the student's solutions and own cells, in order.

    Check cells, pictures, trainings, and unchanged stubs are left out. A cell that the student added
    keeps its place behind the cell of the master that comes before it.
    """
    stubs = {normalise(cell.source) for cell in sheet.master_cells if cell.is_solution}
    return [
        cell
        for cell in merge_cells(submission, sheet)
        if cell.kind == "code"
        and not (cell.is_check or cell.is_for_students)
        and not (cell.is_solution and normalise(cell.source) in stubs)
    ]


def merge_cells(submission: Submission, sheet: Sheet) -> list[Cell]:
    """The master with the student's solutions in place of the stubs, and the cells that the student added."""
    ids = {cell.grade_id: cell for cell in sheet.master_cells if cell.grade_id}
    places = {normalise(cell.source): cell.grade_id for cell in sheet.master_cells}
    solutions: dict[str, Cell] = {}
    added: dict[str, list[Cell]] = {}
    place = ""
    for cell in submission.cells:
        known = cell.grade_id if cell.grade_id in ids else places.get(normalise(cell.source))
        if known is None or (known and known in solutions):
            added.setdefault(place, []).append(Cell(cell.source, cell.kind, {}, cell.number))
            continue
        place = known or place
        if known and ids[known].is_solution:
            solutions[known] = replace(ids[known], source=cell.source, number=cell.number)
    merged = added.get("", [])
    for cell in sheet.master_cells:
        merged.append(solutions.get(cell.grade_id, replace(cell, number=0)))
        merged += added.get(cell.grade_id, []) if cell.grade_id else []
    return merged


def normalise(source: str) -> str:
    """The text of a cell without white space at its ends and at the ends of its lines."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def drop_magics(source: str) -> str:
    """A cell without IPython's magics, shell commands and questions; line numbers stay."""
    if parses(source):
        return source
    first = source.lstrip().partition("\n")[0]
    if re.match(r"%%(?!time|timeit|capture|prun)", first):
        return ""  # a cell in another language
    lines = []
    for line in source.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}pass" if MAGIC.match(line) else line)
    return "\n".join(lines)


def parses(source: str) -> bool:
    """Whether this is Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
