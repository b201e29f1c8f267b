"""Reads submissions, and takes from them only what the student wrote.

A submission is a notebook (.ipynb) or a Python script, in percent format or not. Which assignment it is of
is read from its metadata or from the functions it defines, whatever the file is called. Check cells, given
cells and pictures come from the student version of the assignment (the master), so that it does not matter
what was done to them.
"""

import ast
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from .blanks import Assignment

FOLDER = Path(__file__).parent.parent
SUFFIXES = {".ipynb", ".py"}
LARGEST_FILE = 50_000_000  # bytes of a notebook
STUB = "raise NotImplementedError("  # marks a cell that the student has still to write
MAGIC = re.compile(r"^\s*([%!?]|[\w, ]+=\s*[%!]|.*[^#\s]\?\??\s*$)")


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

    @property
    def points_by_hand(self) -> float:
        """The points of what a reader judges."""
        return sum(cell.points_by_hand for cell in self.master_cells)


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
        """Whether the student writes or changes it."""
        is_open = bool(self._nbgrader) and not (self._nbgrader.get("locked") or self._nbgrader.get("grade"))
        return bool(self._nbgrader.get("solution")) or is_open

    @property
    def is_check(self) -> bool:
        """Whether it gives points by itself."""
        return bool(self._nbgrader.get("grade")) and not self.is_solution

    @property
    def points_by_hand(self) -> float:
        """The points that a reader gives for it."""
        is_read = self._nbgrader.get("grade") and self._nbgrader.get("solution")
        return self._nbgrader.get("points", 0) if is_read else 0

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


# ---- what the student wrote


def take_cells(submission: Submission, sheet: Sheet) -> list[Cell]:
    """The cells that are run: the master's given cells, and the student's solutions and own cells, in order.

    Check cells, pictures, trainings, and unchanged stubs are left out. A cell that the student added
    keeps its place behind the cell of the master that comes before it.
    """
    stubs = {normalise(cell.source) for cell in sheet.master_cells if STUB in cell.source}
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
