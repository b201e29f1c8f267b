"""Student versions are made of their sources, and what is wrong with a source is said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from assignments import build
from assignments.checks.grading import grade_submission
from assignments.checks.submissions import Sheet, read_submission
from tests.assignments.fixture.notebooks import SOURCE
from tests.assignments.fixture.tiny import ASSIGNMENT

SOURCES = build.find_sources([])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_student_version_is_current(source: Path) -> None:
    assert build.check(source, build.sheet_of(source)) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_student_version_has_no_solution_and_no_output(source: Path) -> None:
    notebook = nbformat.read(source.with_suffix(".ipynb"), 4)
    nbformat.validate(notebook)
    text = json.dumps(notebook)
    assert "BEGIN SOLUTION" not in text and "END SOLUTION" not in text
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_regions_become_errors_and_comments_stay() -> None:
    notebook = build.make_student(SOURCE, ASSIGNMENT)
    cell = next(
        cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "softmax"
    )
    assert cell.source == (
        'def softmax(x):\n    """Exponentials over the last axis, divided by their sum."""\n'
        "    # x (..., N) -> weights (..., N)\n"
        '    raise NotImplementedError("write softmax")'
    )
    assert notebook.metadata["minitvlt"] == {"assignment": "tiny_softmax"}
    assert nbformat.writes(notebook) == nbformat.writes(build.make_student(SOURCE, ASSIGNMENT))


def test_regions_in_methods_name_the_method() -> None:
    region = "        ### BEGIN SOLUTION\n        return 1\n        ### END SOLUTION\n"
    text = f"class Tape:\n    def add(self):\n{region}"
    wanted = 'class Tape:\n    def add(self):\n        raise NotImplementedError("write add")'
    assert build.remove_solutions(text) == wanted


def test_points_are_written_into_the_source(tmp_path: Path) -> None:
    source = tmp_path / "tiny_softmax.py"
    shutil.copy(SOURCE, source)
    first = replace(ASSIGNMENT.blanks[0], memory_points=2.5)
    assignment = replace(ASSIGNMENT, blanks=(first, ASSIGNMENT.blanks[1]))
    assert build.find_faults(build.make_solution(source, assignment), assignment, source.stem) == [
        "check_softmax has 7 points, its checks 8.5: run build.py",
        "the text says **Points:** [11.5], the checks have 13",
    ]
    build.write_points(source, assignment)
    faults = build.find_faults(build.make_solution(source, assignment), assignment, source.stem)
    assert faults == ["the text says **Points:** [11.5], the checks have 13"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("def mix_rows", "def mix", "there is no cell mix_rows that defines mix_rows"),
        ('"grade_id": "check_softmax"', '"grade_id": "check_other"', "cell check_other checks no blank"),
        ('"grade_id": "picture"', '"grade_id": "setup"', "no nbgrader grade_id of its own"),
        ("    ### END SOLUTION\n", "", "begins and does not end"),
        ('tags=["picture"] ', "", "the last cell of code"),
        ("**Points:** 11.5", "**Points:** 12", "the text says **Points:** [12.0], the checks have 11.5"),
        (
            '"locked": false, "solution": true',
            '"locked": true, "solution": false',
            "cell softmax has a solution, but not",
        ),
    ],
)
def test_faults_of_a_source_are_listed(tmp_path: Path, old: str, new: str, problem: str) -> None:
    source = tmp_path / "tiny_softmax.py"
    text = SOURCE.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new, 1), encoding="utf-8")
    faults = build.find_faults(build.make_solution(source, ASSIGNMENT), ASSIGNMENT, source.stem)
    assert problem in "\n".join(faults)


def test_the_command_writes_and_then_finds_nothing_to_say(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(build, "HERE", tmp_path)
    source = tmp_path / "a0_tiny.py"
    shutil.copy(SOURCE, source)
    sheet = Sheet("tests.assignments.fixture.tiny", source.with_suffix(".ipynb"))
    monkeypatch.setattr(build, "sheet_of", lambda _: sheet)
    monkeypatch.setattr(build, "find_faults", lambda *_: [])  # the name of the file is another one
    assert build.main(["--check"]) == 1
    assert "was made of another source" in capsys.readouterr().out
    assert build.main([]) == 0 and build.main(["--check"]) == 0
    assert build.main(["a0", "--solution", str(tmp_path / "out")]) == 0
    solution = read_submission(tmp_path / "out" / "a0_tiny.ipynb")
    assert grade_submission(solution, sheet).earned == 11.5
    with pytest.raises(SystemExit):
        build.main(["a7"])


def test_running_from_end_to_end_finds_wrong_solutions(tmp_path: Path, monkeypatch) -> None:
    source = tmp_path / "tiny_softmax.py"
    source.write_text(
        SOURCE.read_text(encoding="utf-8").replace("weights.sum(", "weights.max("), encoding="utf-8"
    )
    sheet = Sheet("tests.assignments.fixture.tiny", tmp_path / "tiny_softmax.ipynb")
    build.write(build.make_student(source, ASSIGNMENT), sheet.master)
    monkeypatch.setattr(build, "run_in_kernel", lambda *_: [])
    problems = build.run(source, sheet)
    assert len(problems) == 1 and "the solution gets 6.5 points, not 11.5" in problems[0]


def test_what_a_run_of_the_solution_shows_is_looked_at() -> None:
    def output(**data: str) -> nbformat.NotebookNode:
        found = {name.replace("_", "/"): value for name, value in data.items()}
        return nbformat.v4.new_output("execute_result", data=found, execution_count=1)

    notebook = build.make_solution(SOURCE, ASSIGNMENT)
    text = nbformat.v4.new_markdown_cell("idea", metadata={"nbgrader": {"grade": True, "solution": True}})
    notebook.cells.append(text)
    assert build.find_faults_of_run(notebook) == [
        "check_softmax gives 0 points",
        "check_mix_rows gives 0 points",
        "no picture is shown",
    ]
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    cells["check_softmax"].outputs = [output(text_plain="7")]
    cells["check_mix_rows"].outputs = [output(text_plain="4.5")]
    cells["picture"].outputs = [output(image_png="x")]
    assert build.find_faults_of_run(notebook) == []
