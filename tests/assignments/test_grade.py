"""One command grades a folder of submissions; pytest checks one."""

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from assignments import grade
from assignments.checks.submissions import FOLDER, Sheet, list_sheets
from tests.assignments.fixture.notebooks import ENDLESS, MEMORY_HOG, RIGHT, SOFTMAX, make_cell, write_notebook

FIXTURE = Path(__file__).parent / "fixture"
NAME = "<script>alert(1)</script>"


def read_rows(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "grades.csv", encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


class Page(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]


def test_a_folder_is_graded_into_tables(sheet: Sheet, tmp_path: Path, capsys) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    write_notebook(sheet, work / "right" / "other name.ipynb", RIGHT)
    write_notebook(sheet, work / "empty" / "tiny_softmax.ipynb", {})
    write_notebook(sheet, work / "part.ipynb", RIGHT | {"softmax": SOFTMAX.replace("x - x", "x - 0 * x")})
    write_notebook(sheet, work / "endless" / "a.ipynb", RIGHT | {"softmax": ENDLESS})
    write_notebook(sheet, work / "hog" / "a.ipynb", RIGHT | {"softmax": MEMORY_HOG})
    write_notebook(
        sheet, work / "=1+1" / f"{NAME[:8]}.ipynb", RIGHT, {"setup": f"raise ValueError('{NAME}')"}
    )
    (work / "none").mkdir()
    started = time.monotonic()
    assert grade.main([str(work), "--out", str(out), "--seed", "3"], [sheet]) == 1  # "none" is not graded
    rows = read_rows(out)
    assert {name: row["points"] for name, row in rows.items()} == {
        "right": "11.5",
        "empty": "0",
        "part": "9.5",
        "endless": "4.5",
        "hog": "4.5",
        "'=1+1": "11.5",
        "none": "",
    }
    assert rows["none"]["status"] == "not graded: there is no notebook here"
    assert rows["part"]["softmax: large values"] == "0" and rows["part"]["softmax: three axes"] == "1"
    page = (out / "grades.html").read_text(encoding="utf-8")
    parser = Page()
    parser.feed(page)
    assert parser.tags.count("script") == 1 and "link" not in parser.tags and NAME not in page
    assert not any(re.search(r"https?:|//", value) for value in parser.values)
    assert "nan" in (out / "feedback" / "part.txt").read_text(encoding="utf-8").lower()
    right = (out / "feedback" / "right.txt").read_text(encoding="utf-8")
    assert "11.5 of 11.5 points" in right and "✓ softmax: 7 of 7 points" in right and "✗" not in right
    assert "seed 3" in capsys.readouterr().out
    assert time.monotonic() - started < 20 * len(rows)


def test_points_by_hand_are_said_to_be_missing(sheet: Sheet, tmp_path: Path) -> None:
    notebook = json.loads(sheet.master.read_text(encoding="utf-8"))
    cell = {"grade": True, "grade_id": "report", "locked": False, "points": 5, "solution": True}
    notebook["cells"].append({**make_cell("My report"), "metadata": {"nbgrader": cell}})
    with_report = Sheet(sheet.module, tmp_path / sheet.master.name)
    with_report.master.write_text(json.dumps(notebook), encoding="utf-8")
    write_notebook(with_report, tmp_path / "work" / "ann.ipynb", RIGHT)
    assert grade.main([str(tmp_path / "work"), "--out", str(tmp_path / "out")], [with_report]) == 0
    row = read_rows(tmp_path / "out")["ann"]
    assert (row["points"], row["of"], row["by hand, of 5"]) == ("11.5", "11.5", "")
    assert ">by hand, of 5</th>" in (tmp_path / "out" / "grades.html").read_text(encoding="utf-8")
    feedback = (tmp_path / "out" / "feedback" / "ann.txt").read_text(encoding="utf-8")
    assert feedback.startswith("Softmax: 11.5 of 11.5 points; 5 more points are given by hand\n")


def test_only_the_project_has_points_by_hand() -> None:
    points = {sheet.assignment.name: sheet.points_by_hand for sheet in list_sheets()}
    assert {name: number for name, number in points.items() if number} == {"a6_project": 40}


def test_a_fault_of_the_grader_ends_one_submission_only(sheet: Sheet, tmp_path: Path, monkeypatch) -> None:
    write_notebook(sheet, tmp_path / "work" / "ann.ipynb", RIGHT)
    write_notebook(sheet, tmp_path / "work" / "bob.ipynb", RIGHT)
    real = grade.grade_submission

    def fail(submission, *arguments, **named):
        if submission.path.stem == "ann":
            raise RuntimeError("broken")
        return real(submission, *arguments, **named)

    monkeypatch.setattr(grade, "grade_submission", fail)
    assert grade.main([str(tmp_path / "work"), "--out", str(tmp_path / "out")], [sheet]) == 1
    rows = read_rows(tmp_path / "out")
    assert rows["ann"]["status"] == "not graded: the grader failed with RuntimeError: broken"
    assert rows["bob"]["points"] == "11.5"


def test_wrong_arguments_are_said(sheet: Sheet, tmp_path: Path, capsys) -> None:
    for arguments in ([str(tmp_path / "nowhere")], [str(tmp_path), "--assignment", "a9"]):
        with pytest.raises(SystemExit):
            grade.main([*arguments, "--out", str(tmp_path / "out")], [sheet])
    assert "no such assignment" in capsys.readouterr().err


@pytest.fixture(scope="module")
def course(sheet: Sheet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder of assignments with the small one alone."""
    folder = tmp_path_factory.mktemp("course") / "notebooks" / "assignments"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("a[0-9]*", "__pycache__"))
    shutil.copy(FIXTURE / "tiny.py", folder / "checks" / "a0.py")
    shutil.copy(sheet.master, folder / "a0_tiny.ipynb")
    return folder


def run_pytest(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    package = Path(importlib.util.find_spec("minitvlt").origin).parent.parent
    return subprocess.run(
        [sys.executable, "-m", "pytest", "notebooks/assignments/test_submission.py", *arguments],
        cwd=course.parent.parent,
        env={**os.environ, "PYTHONPATH": str(package), "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_pytest_has_one_test_for_each_check(course: Path, sheet: Sheet, tmp_path: Path) -> None:
    right = write_notebook(sheet, tmp_path / "any name.ipynb", RIGHT)
    done = run_pytest(course, "--submission", str(right))
    assert "9 passed" in done.stdout, done.stdout + done.stderr
    wrong = write_notebook(sheet, tmp_path / "wrong.ipynb", {"softmax": "def softmax(x):\n    return x"})
    done = run_pytest(course, "--submission", str(wrong), "-k", "softmax and not mix_rows")
    assert "5 failed" in done.stdout and "4 deselected" in done.stdout, done.stdout
    assert "Traceback" not in done.stdout and "expected:" in done.stdout


def test_pytest_says_what_is_missing(course: Path, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("x = 1\n")
    cases = [((), "--submission FILE"), (("--submission", "nowhere"), "There is no file")]
    for arguments, text in [*cases, (("--submission", str(tmp_path / "x.py")), "none of the assignments")]:
        done = run_pytest(course, *arguments)
        assert text in done.stdout + done.stderr
        assert done.returncode
