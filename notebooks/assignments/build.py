"""Make the student versions of the assignments from their sources, or check that they are current.

    python notebooks/assignments/build.py                    write all student versions
    python notebooks/assignments/build.py a2_patches_and_masks
    python notebooks/assignments/build.py --check            write nothing, and list what is wrong
    python notebooks/assignments/build.py --run a2_patches_and_masks   also run it from end to end
    python notebooks/assignments/build.py --solution FOLDER  write notebooks with the solutions, to be run

How an assignment is written. `aN_name.py` is the source, in the percent format of jupytext, with the
solutions. `aN_name.ipynb` beside it is the student version: each region between `### BEGIN SOLUTION` and
`### END SOLUTION` becomes `raise NotImplementedError`, and what stands outside, such as shape comments,
stays. It has no outputs, is never edited, and equal sources give equal bytes. Every cell of code carries
nbgrader's metadata. A blank `name` is written in the solution cell `name` and checked in the cell
`check_name`, whose points are those of the blank in `checks/aN.py`: this program writes them into the
source. The last cells, with the tag "picture", show the student's code at work.
"""

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from assignments.checks.blanks import Assignment
from assignments.checks.grading import grade_submission
from assignments.checks.submissions import Sheet, read_submission
from assignments.source_rules import BEGIN, END, find_faults

HERE = Path(__file__).resolve().parent
DEFINITION = re.compile(r"^(\s*)(?:def|class)\s+(\w+)")
POINTS = re.compile(r'("points":\s*)[\d.]+')
LONGEST_CELL = 1500  # seconds, when a solution notebook is run: a loaded machine takes longer
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main(arguments: list[str] | None = None) -> int:
    """Build, check or run; the status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="assignments (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; list what is wrong")
    parser.add_argument("--run", action="store_true", help="check, and run solution and grader end to end")
    parser.add_argument(
        "--solution", type=Path, metavar="FOLDER", help="write notebooks with solutions there"
    )
    chosen = parser.parse_args(arguments)
    sources = find_sources(chosen.names)
    if not sources:
        parser.error("no assignment of that name: give a name such as a2_patches_and_masks")
    wrong = 0
    for source in sources:
        problems = treat(source, chosen)
        print(f"{source.stem:<24} {'wrong' if problems else 'fine'}", flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        wrong += len(problems)
    return 1 if wrong else 0


def find_sources(names: list[str]) -> list[Path]:
    """The sources with these names or beginnings of names; all if there are none."""
    wanted = [Path(name).stem for name in names] or [""]
    return [path for path in sorted(HERE.glob("a[0-9]_*.py")) if any(path.stem.startswith(w) for w in wanted)]


def treat(source: Path, chosen: argparse.Namespace) -> list[str]:
    """Do with one assignment what the command says."""
    sheet = sheet_of(source)
    if chosen.solution:
        chosen.solution.mkdir(parents=True, exist_ok=True)
        write(make_solution(source, sheet.assignment), chosen.solution / f"{source.stem}.ipynb")
        return []
    if chosen.check or chosen.run:
        problems = check(source, sheet)
        return problems or (run(source, sheet) if chosen.run else [])
    write_points(source, sheet.assignment)
    write(make_student(source, sheet.assignment), sheet.master)
    return check(source, sheet)


def sheet_of(source: Path) -> Sheet:
    """The assignment of a source here."""
    return Sheet(f"assignments.checks.{source.stem.partition('_')[0]}", source.with_suffix(".ipynb"))


# ---- the two versions


def make_solution(source: Path, assignment: Assignment) -> NotebookNode:
    """The notebook with the solutions."""
    import jupytext  # not needed by those who only grade

    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA | {"minitvlt": {"assignment": assignment.name}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        kept = {name: cell.metadata[name] for name in ("nbgrader", "tags") if name in cell.metadata}
        lock = kept.get("nbgrader", {})
        if lock.get("locked"):
            kept |= {"editable": False, "deletable": False}
        elif lock.get("solution"):
            kept |= {"deletable": False}
        cell.metadata = nbformat.from_dict(kept)
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return notebook


def make_student(source: Path, assignment: Assignment) -> NotebookNode:
    """The notebook with stubs in place of the solutions."""
    notebook = make_solution(source, assignment)
    for cell in notebook.cells:
        cell.source = remove_solutions(cell.source, cell.cell_type)
    return notebook


def remove_solutions(text: str, kind: str = "code") -> str:
    """Replace each solution by an error that says what to write; in a text, by a place for the student's."""
    if kind != "code":
        return re.sub(f"{BEGIN}.*?{END}", "*Your text.*", text, flags=re.DOTALL)
    lines, name, is_inside = [], "this", False
    for line in text.splitlines():
        if line.strip() == BEGIN:
            is_inside = True
            lines.append(f'{line[: line.index("#")]}raise NotImplementedError("write {name}")')
        elif line.strip() == END:
            is_inside = False
        elif not is_inside:
            definition = DEFINITION.match(line)
            name = definition[2] if definition else name
            lines.append(line)
    return "\n".join(lines)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook."""
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def write_points(source: Path, assignment: Assignment) -> None:
    """Write the points of the blanks into the check cells of the source."""
    points = {f"check_{blank.name}": blank.points for blank in assignment.blanks}
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    for index, line in enumerate(lines):
        found = re.search(r'"grade_id":\s*"(check_\w+)"', line) if line.startswith("# %%") else None
        if found and found[1] in points:
            lines[index] = POINTS.sub(rf"\g<1>{points[found[1]]:g}", line)
    text = "".join(lines)
    if text != source.read_text(encoding="utf-8"):
        source.write_text(text, encoding="utf-8")


# ---- checking


def check(source: Path, sheet: Sheet) -> list[str]:
    """What is wrong with an assignment as it lies here."""
    assignment = sheet.assignment
    notebook = make_solution(source, assignment)
    problems = find_faults(notebook, assignment, source.stem)
    fresh = nbformat.writes(make_student(source, assignment)) + "\n"
    if not sheet.master.is_file() or sheet.master.read_text(encoding="utf-8") != fresh:
        problems.append(f"{sheet.master.name} was made of another source: run build.py {source.stem}")
    return problems


def run(source: Path, sheet: Sheet) -> list[str]:
    """Run the solution in a kernel, then grade it with what it stored, and grade the student version."""
    problems = []
    for version, make, is_right in (
        ("solution", make_solution, True),
        ("student version", make_student, False),
    ):
        with tempfile.TemporaryDirectory() as folder:
            notebook = make(source, sheet.assignment)
            path = Path(folder, f"{source.stem}.ipynb")
            write(notebook, path)
            if is_right:
                shutil.copytree(HERE / "checks", Path(folder, "checks"))
                problems += run_in_kernel(notebook, folder)
            grade = grade_submission(replace(read_submission(path), folder=Path(folder)), sheet, seed=1)
        expected = grade.points if is_right else 0
        print(f"    the {version} gets {grade.earned:g} of {grade.points:g} points in {grade.seconds:.1f} s")
        if grade.earned != expected:
            lines = [line for graded in grade.blanks for line in graded.feedback if line.startswith("✗")]
            problems.append(f"the {version} gets {grade.earned:g} points, not {expected:g}: {lines[:3]}")
    return problems


def run_in_kernel(notebook: NotebookNode, folder: str) -> list[str]:
    """Run a solution notebook: its check cells must give full points, and there must be a picture."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    client = NotebookClient(
        notebook,
        timeout=LONGEST_CELL,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": folder}},
    )
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as in Jupyter
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        return [f"a cell of the solution fails: {error.ename}: {error.evalue}"]
    except CellTimeoutError:
        return [f"a cell of the solution takes more than {LONGEST_CELL} s"]
    return find_faults_of_run(notebook)


def find_faults_of_run(notebook: NotebookNode) -> list[str]:
    """Check cells without full points, and whether no picture is shown; points by hand are not looked at."""
    problems = []
    for cell in notebook.cells:
        lock = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and lock.get("grade") and not lock.get("solution"):
            shown = [output.data.get("text/plain", "") for output in cell.outputs if "data" in output]
            given = float(shown[-1]) if shown else 0.0
            problems += [f"{lock.grade_id} gives {given:g} points"] * (given != lock.points)
    if not any(is_shown(output) for cell in notebook.cells for output in cell.get("outputs", [])):
        problems.append("no picture is shown")
    return problems


def is_shown(output: Any) -> bool:
    """Whether an output is a picture."""
    data = output.get("data", {})
    return any(kind.startswith("image/") for kind in data) or "<img" in str(data.get("text/html", ""))


if __name__ == "__main__":
    sys.exit(main())
