"""What the course does in other ways than plain nbgrader: used by the configuration that `course.py` writes.

nbgrader runs a submission in a notebook kernel and reads points from the outputs of its check cells, in the
same process as the student's code. Here, points come from `checks.grading`: student code runs in a process
with limits, and what it returns is compared outside. So a changed check cell, a replaced function of NumPy
or IPython, an endless loop or too much memory gives no points and stops nothing.
"""

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearSolutions, Execute, NbGraderPreprocessor
from traitlets import Dict, Integer

from .build import remove_solutions
from .checks.finding import find_of_student, list_files
from .checks.grading import Grade, grade_submission
from .checks.submissions import Cell, Sheet, Submission, list_sheets, merge_cells


def configure(config: Any, seed: int, sheets: list[Sheet] | None = None) -> None:
    """Put the steps of this module in place of nbgrader's.

    Args:
        config: of nbgrader, as `get_config()` gives it.
        seed: of the hidden inputs; it shows up nowhere.
        sheets: the assignments; all if None.
    """
    replaced = {ClearSolutions: StubSolutions, Execute: GradeOutside}
    for converter, trait in ((GenerateAssignment, "preprocessors"), (Autograde, "autograde_preprocessors")):
        steps = converter.class_traits()[trait].default()
        config[converter.__name__][trait] = [replaced.get(step, step) for step in steps]
    steps = Autograde.class_traits()["sanitize_preprocessors"].default()
    config.Autograde.sanitize_preprocessors = [TakeStudentCells, *steps]
    config.Autograde.pre_convert_hook = FindNotebook(sheets)
    places = {sheet.assignment.name: [sheet.module, str(sheet.master)] for sheet in sheets or list_sheets()}
    config.TakeStudentCells.assignments = config.GradeOutside.assignments = places
    config.GradeOutside.seed = seed


class StubSolutions(NbGraderPreprocessor):
    """Makes stubs of solutions as `build.py` does."""

    def preprocess_cell(self, cell: NotebookNode, resources: Any, _: int) -> tuple[NotebookNode, Any]:
        """Replace the solutions in a cell."""
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = remove_solutions(cell.source, cell.cell_type)
        return cell, resources


class FindNotebook:
    """Gives a submission the file name that nbgrader expects, whatever the student called it."""

    def __init__(self, sheets: list[Sheet] | None = None) -> None:
        self.sheets = sheets

    def __call__(self, assignment: str, student: str, notebooks: list[str]) -> None:
        """Copy the student's notebook to the expected name, and let nbgrader know."""
        folder = Path(notebooks[0]).parent
        sheets = [sheet for sheet in self.sheets or list_sheets() if sheet.assignment.name == folder.name]
        expected = folder / f"{folder.name}.ipynb"
        if not sheets or expected.exists():
            return
        found = find_of_student(student, sorted(list_files(folder)), sheets, folder)[0]
        if found.submission is not None:
            write_cells(found.submission.cells, expected)
            notebooks.append(str(expected))


def write_cells(cells: list[Cell], path: Path) -> None:
    """Write cells as a notebook."""
    notebook = nbformat.v4.new_notebook(cells=[make_node(cell) for cell in cells])
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


def make_node(cell: Cell) -> NotebookNode:
    """A cell in nbformat's form."""
    make = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
    return make(cell.source, metadata=nbformat.from_dict(json.loads(json.dumps(cell.metadata))))


class OfAssignment:
    """Finds the assignment of a notebook that nbgrader treats."""

    def find_sheet(self, resources: Any) -> Sheet | None:
        """The assignment, if it is one of this course's."""
        place = self.assignments.get(resources["nbgrader"]["notebook"])
        return Sheet(place[0], Path(place[1])) if place else None

    def read(self, notebook: NotebookNode, resources: Any) -> Submission:
        """The notebook as a submission."""
        folder = Path(resources["metadata"]["path"])
        cells = [
            Cell(cell.source, cell.cell_type, dict(cell.metadata), number)
            for number, cell in enumerate(notebook.cells, 1)
        ]
        return Submission(folder / f"{resources['nbgrader']['notebook']}.ipynb", cells, folder=folder)


class TakeStudentCells(OfAssignment, NbGraderPreprocessor):
    """Keeps of a submission what the student wrote; everything else is taken from the student version."""

    assignments = Dict(help="module and student version of each assignment").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Rebuild the notebook."""
        sheet = self.find_sheet(resources)
        if sheet is not None:
            cells = merge_cells(self.read(nb, resources), sheet)
            nb = nbformat.v4.new_notebook(cells=[make_node(cell) for cell in cells], metadata=nb.metadata)
        return nb, resources


class GradeOutside(OfAssignment, Execute):
    """Grades a submission outside the kernel, and writes points and feedback under the check cells.

    Notebooks that are none of this course's are run by nbgrader.
    """

    assignments = Dict(help="module and student version of each assignment").tag(config=True)
    seed = Integer(0, help="of the hidden inputs").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any, **named: Any) -> tuple[NotebookNode, Any]:
        """Grade the notebook."""
        sheet = self.find_sheet(resources)
        if sheet is None:
            return super().preprocess(nb, resources, **named)
        grade = grade_submission(self.read(nb, resources), sheet, self.seed)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs = make_outputs(cell, grade)
        return nb, resources


def make_outputs(cell: NotebookNode, grade: Grade) -> list[NotebookNode]:
    """The feedback and the points that stand under a check cell; nothing under other cells."""
    lock = cell.metadata.get("nbgrader", {})
    if not lock.get("grade") or lock.get("solution"):
        return []
    graded = {f"check_{blank.blank.name}": blank for blank in grade.blanks}.get(lock.grade_id)
    earned = min(round(graded.earned, 6), lock.points) if graded else 0.0
    text = "\n".join([*(graded.feedback if graded else ["No such blank."]), *grade.remarks, ""])
    return [
        nbformat.v4.new_output("stream", name="stdout", text=text),
        nbformat.v4.new_output("execute_result", data={"text/plain": f"{earned:g}"}, execution_count=1),
    ]
