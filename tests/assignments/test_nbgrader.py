"""nbgrader from end to end, without a browser: what students get, and scores in the gradebook.

Each hostile submission stands for a weakness that nbgrader's users have reported.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from assignments import build
from assignments.checks.submissions import Sheet
from assignments.course import make_course
from tests.assignments.fixture.notebooks import ENDLESS, MEMORY_HOG, RIGHT, SOFTMAX, SOURCE, write_notebook
from tests.assignments.fixture.tiny import ASSIGNMENT

if importlib.util.find_spec("nbgrader") is None:
    pytest.skip("nbgrader is not installed: pip install nbgrader", allow_module_level=True)

NAME = "tiny_softmax"
SEED = 5
REPLACED = """import IPython
IPython.core.interactiveshell.InteractiveShell.showtraceback = lambda *a, **k: None
import checks
checks.check = lambda function: 99"""
SHOWS_INPUTS = "def softmax(x):\n    print('SEEN', x)\n    raise ValueError(f'SEEN {x}')"
IN_KERNEL = (
    "import os, signal\nos.kill(os.getppid(), 0)\nopen('/proc/self/oom_score_adj').read()\nos._exit(1)"
)
SUBMISSIONS = {  # by student: file name, cells, added cells, points
    "right": (NAME, RIGHT, None, 11.5),
    "empty": (NAME, {}, None, 0),
    "partial": (NAME, RIGHT | {"softmax": SOFTMAX.replace("x - x", "x - 0 * x")}, None, 9.5),
    "half": (NAME, {"softmax": SOFTMAX}, None, 7),
    "tampered": (NAME, {"check_softmax": "7.0", "check_mix_rows": "print('fine')"}, None, 0),
    "deleted": (NAME, RIGHT | {"setup": None, "check_softmax": None, "check_mix_rows": None}, None, 11.5),
    "replaced": (NAME, {}, {"setup": REPLACED}, 0),
    "endless_call": (NAME, RIGHT | {"softmax": ENDLESS}, None, 4.5),
    "endless_cell": (NAME, {}, {"setup": "while True:\n    pass"}, 0),
    "hog": (NAME, RIGHT | {"softmax": MEMORY_HOG}, None, 4.5),
    "hog_cell": (NAME, {}, {"setup": "many = [np.ones(2**27) for _ in range(1000)]"}, 0),
    "killer": (NAME, RIGHT, {"softmax": IN_KERNEL}, 11.5),
    "other_name": ("Untitled (1)", RIGHT, None, 11.5),
    "curious": (NAME, {"softmax": SHOWS_INPUTS}, None, 0),
}


def run(course: Path, *arguments: str) -> str:
    package = Path(importlib.util.find_spec("minitvlt").origin).parent.parent
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader calls alembic
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env={**os.environ, "PYTHONPATH": str(package), "PATH": path, "HOME": str(course)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def course(sheet: Sheet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of which all submissions are graded."""
    folder = tmp_path_factory.mktemp("course")
    make_course(folder, [(SOURCE, sheet)], SEED, "tiny")
    log = run(folder, "generate_assignment", NAME)
    assert (folder / "release" / NAME / f"{NAME}.ipynb").is_file(), log
    for student, (name, cells, added, _) in SUBMISSIONS.items():
        path = folder / "submitted" / student / NAME / f"{name}.ipynb"
        write_notebook(sheet, path, cells, added)
    broken = folder / "submitted" / "a_broken_one" / NAME / f"{NAME}.ipynb"
    broken.parent.mkdir(parents=True)
    broken.write_text("{broken", encoding="utf-8")  # stops nobody else's grading
    started = time.monotonic()
    log = run(folder, "autograde", NAME)
    (folder / "autograde.log").write_text(log, encoding="utf-8")
    assert time.monotonic() - started < 20 * len(SUBMISSIONS), "30 submissions must be graded unattended"
    run(folder, "generate_feedback", NAME)
    return folder


@pytest.fixture(scope="module")
def scores(course: Path) -> dict[str, tuple[float, float]]:
    """Points and the most points by student, from the gradebook."""
    code = (
        "import json, sys\nfrom nbgrader.api import Gradebook\n"
        "with Gradebook('sqlite:///gradebook.db') as book:\n"
        "    found = {s.student.id: [s.score, s.max_score, s.needs_manual_grade]"
        f" for s in book.assignment_submissions({NAME!r})}}\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=course, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_students_get_the_student_version_and_the_checks(course: Path) -> None:
    released = json.loads((course / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    wanted = build.make_student(SOURCE, ASSIGNMENT)
    assert [cell["source"] for cell in released["cells"]] == [
        cell.source.splitlines(True) for cell in wanted.cells
    ]
    assert (course / "release" / NAME / "checks" / "__init__.py").is_file()


@pytest.mark.parametrize("student", SUBMISSIONS)
def test_scores_in_the_gradebook(course: Path, scores, student: str) -> None:
    assert scores.get(student) == [SUBMISSIONS[student][3], 11.5, False], (
        course / "autograde.log"
    ).read_text()


def test_feedback_has_words_and_no_hidden_input(course: Path) -> None:
    for student in SUBMISSIONS:
        text = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
        assert "Traceback (most" not in text and "softmax: " in text, student
        hidden = np.random.default_rng(SEED).normal(size=(2, 3))
        assert not any(f"{value:.3f}" in text for value in hidden.ravel())
