"""Make a course folder for nbgrader.

    python notebooks/assignments/course.py FOLDER                       all assignments
    python notebooks/assignments/course.py FOLDER a1_spectrogram ...    these

FOLDER gets `source/`, with a notebook with solutions for each assignment and the checks beside it, and
`nbgrader_config.py`, which has student code graded in a process of its own.
Then, in FOLDER, once for each assignment:

    nbgrader generate_assignment a1_spectrogram     release/ has what the students get
    nbgrader autograde a1_spectrogram               after their work lies in submitted/STUDENT/a1_spectrogram/
    nbgrader generate_feedback a1_spectrogram
    nbgrader export                                 grades.csv
"""

import argparse
import secrets
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from assignments import build

HERE = Path(__file__).resolve().parent
CONFIG = '''"""Settings of nbgrader for this course. Made by course.py of minitvlt."""

import sys
from pathlib import Path

sys.path[:0] = {path!r}  # where the assignments and their checks lie
from assignments.checks.submissions import Sheet
from assignments.nbgrader_steps import configure

c = get_config()
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.course_id = {course_id!r}
SHEETS = [{sheets}
]
configure(c, seed={seed}, sheets=SHEETS)  # of the hidden inputs: keep it to yourself
'''


def main(arguments: list[str] | None = None) -> int:
    """Make the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="to be made, or to be brought up to date")
    parser.add_argument("names", nargs="*", help="assignments (default: all)")
    parser.add_argument("--course-id", default="tvlt", help="as JupyterHub knows the course (default: tvlt)")
    parser.add_argument("--seed", type=int, help="of the hidden inputs (default: drawn)")
    chosen = parser.parse_args(arguments)
    sources = build.find_sources(chosen.names)
    if not sources:
        parser.error("no assignment of that name: give a name such as a2_patches_and_masks")
    seed = secrets.randbelow(10**6) + 1 if chosen.seed is None else chosen.seed
    make_course(chosen.folder, [(path, build.sheet_of(path)) for path in sources], seed, chosen.course_id)
    print(f"{chosen.folder}: {', '.join(path.stem for path in sources)}")
    return 0


def make_course(folder: Path, assignments: list[tuple[Path, build.Sheet]], seed: int, course_id: str) -> None:
    """Write source/ and, unless there is one, nbgrader_config.py."""
    for source, sheet in assignments:
        name = sheet.assignment.name
        target = folder / "source" / name
        target.mkdir(parents=True, exist_ok=True)
        build.write(build.make_solution(source, sheet.assignment), target / f"{name}.ipynb")
        shutil.rmtree(target / "checks", ignore_errors=True)
        shutil.copytree(HERE / "checks", target / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    config = folder / "nbgrader_config.py"
    if config.exists():
        return  # it holds the seed that earlier grades were made with
    places = [(sheet.module, str(sheet.master)) for _, sheet in assignments]
    sheets = "".join(f"\n    Sheet({module!r}, Path({master!r}))," for module, master in places)
    path = [str(HERE.parent), str(HERE.parent.parent)]
    text = CONFIG.format(path=path, course_id=course_id, sheets=sheets, seed=seed)
    config.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
