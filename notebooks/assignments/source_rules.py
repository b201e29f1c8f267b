"""What holds for the source of every assignment; the rules are said at the top of `build.py`."""

import re

from nbformat import NotebookNode

from .checks.blanks import Assignment

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SAID_POINTS = re.compile(r"\*\*Points:\*\* (\d+(?:\.\d+)?)")
HOW_TO_NAME = ': give it one, and "solution": true if students may change it'
NO_PICTURE = 'the last cell of code should show the student\'s code at work, with the tag "picture"'


def find_faults(notebook: NotebookNode, assignment: Assignment, stem: str) -> list[str]:
    """What does not follow the rules."""
    problems = [] if assignment.name == stem else [f"checks call it {assignment.name!r}, its file {stem!r}"]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    by_id: dict[str, NotebookNode] = {}
    for number, cell in enumerate(cells, 1):
        grade_id = get_lock(cell).get("grade_id")
        if not grade_id or grade_id in by_id:
            problems.append(f"cell of code {number} has no nbgrader grade_id of its own{HOW_TO_NAME}")
        by_id[grade_id] = cell
        problems += find_faults_of_regions(cell)
    for blank in assignment.blanks:
        problems += find_faults_of_blank(blank.name, blank.points, by_id)
    wanted = {f"check_{blank.name}" for blank in assignment.blanks}
    graded = {name for name, cell in by_id.items() if get_lock(cell).get("grade")}
    problems += [f"cell {name} checks no blank" for name in sorted(graded - wanted)]
    total = sum(blank.points for blank in assignment.blanks)
    said = [float(points) for cell in notebook.cells for points in SAID_POINTS.findall(cell.source)]
    if said != [total]:
        problems.append(f"the text says **Points:** {said}, the checks have {total:g}")
    if not cells or "picture" not in cells[-1].metadata.get("tags", []):
        problems.append(NO_PICTURE)
    return problems


def get_lock(cell: NotebookNode) -> dict:
    """The metadata of nbgrader."""
    return cell.metadata.get("nbgrader", {})


def find_faults_of_regions(cell: NotebookNode) -> list[str]:
    """What is wrong with the regions of solutions in a cell."""
    name, problems = get_lock(cell).get("grade_id"), []
    if cell.source.count(BEGIN) != cell.source.count(END):
        problems.append(f"cell {name}: a solution begins and does not end, or the other way round")
    if BEGIN in cell.source and not get_lock(cell).get("solution"):
        problems.append(f'cell {name} has a solution, but not "solution": true in its metadata')
    return problems


def find_faults_of_blank(name: str, points: float, by_id: dict[str, NotebookNode]) -> list[str]:
    """What is wrong with the two cells of a blank."""
    cell, check_cell = by_id.get(name), by_id.get(f"check_{name}")
    if cell is None or not re.search(rf"^(def|class) {name}\b", cell.source, re.MULTILINE):
        return [f"there is no cell {name} that defines {name}"]
    if cell.metadata.nbgrader.get("solution") and BEGIN not in cell.source:
        return [f"cell {name} has no {BEGIN}"]
    if check_cell is None or not check_cell.metadata.nbgrader.get("grade"):
        return [f"there is no check cell check_{name}"]
    found = check_cell.metadata.nbgrader.get("points")
    return (
        [] if found == points else [f"check_{name} has {found} points, its checks {points:g}: run build.py"]
    )
