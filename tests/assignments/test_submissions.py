"""Submissions are found whatever they are called, and what is wrong with a file is said."""

import json
import os
from pathlib import Path

import jupytext
import pytest

from assignments.checks.finding import find_submissions
from assignments.checks.grading import grade_submission
from assignments.checks.submissions import (
    Sheet,
    UnreadableSubmissionError,
    drop_magics,
    list_sheets,
    read_submission,
    take_cells,
)
from tests.assignments.fixture.notebooks import MIX_ROWS, RIGHT, SOFTMAX, make_cell, write_notebook

ALL = 11.5


def find(folder: Path, sheet: Sheet) -> list[tuple[str, str, str]]:
    return [
        (item.student, item.submission.path.name if item.submission else "", item.remark)
        for item in find_submissions(folder, [sheet])
    ]


def test_a_folder_for_each_student_with_any_file_name(sheet: Sheet, tmp_path: Path) -> None:
    write_notebook(sheet, tmp_path / "ann" / "Untitled3 (copy).ipynb", RIGHT)
    write_notebook(sheet, tmp_path / "bob" / "deep" / "down" / "x.ipynb", RIGHT, minitvlt={})
    (tmp_path / "cem").mkdir()
    (tmp_path / "dan").mkdir()
    (tmp_path / "dan" / "essay.pdf").write_bytes(b"%PDF")
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "a.ipynb").write_text("{broken")
    found = find(tmp_path, sheet)
    assert found[:2] == [("ann", "Untitled3 (copy).ipynb", ""), ("bob", "x.ipynb", "")]
    assert found[2:4] == [("cem", "", "there is no notebook here"), ("dan", "", "there is no notebook here")]
    assert found[4][:2] == ("eve", "") and "a.ipynb cannot be read as a notebook" in found[4][2]


def test_notebooks_named_after_students(sheet: Sheet, tmp_path: Path) -> None:
    write_notebook(sheet, tmp_path / "ann.ipynb", RIGHT)
    (tmp_path / "bob.py").write_text(f"import numpy as np\n{SOFTMAX}\n")
    (tmp_path / "cem.zip").write_bytes(b"PK")
    (tmp_path / ".hidden").write_text("")
    found = find(tmp_path, sheet)
    assert found[:2] == [("ann", "ann.ipynb", ""), ("bob", "bob.py", "")]
    assert found[2] == ("cem", "", "cem.zip is neither a notebook nor a Python file")
    assert all(item.submission.folder is None for item in find_submissions(tmp_path, [sheet])[:2])


def test_of_two_notebooks_the_one_with_the_right_name_then_the_newer_is_taken(
    sheet: Sheet, tmp_path: Path
) -> None:
    older, newer = (write_notebook(sheet, tmp_path / "ann" / f"{name}.ipynb", RIGHT) for name in ("b", "a"))
    os.utime(older, (1, 1))
    assert find(tmp_path, sheet) == [("ann", "a.ipynb", "graded a.ipynb, not b.ipynb")]
    named = write_notebook(sheet, tmp_path / "ann" / "tiny_softmax.ipynb", RIGHT)
    os.utime(named, (0, 0))
    assert find(tmp_path, sheet)[0][1] == "tiny_softmax.ipynb"


def test_a_notebook_of_another_assignment_is_said(sheet: Sheet, tmp_path: Path) -> None:
    write_notebook(sheet, tmp_path / "ann" / "a.ipynb", RIGHT, minitvlt={"assignment": "a9_other"})
    write_notebook(sheet, tmp_path / "bob" / "a.ipynb", dict.fromkeys(RIGHT, "x = 1"), minitvlt=[])
    (tmp_path / "bob" / "helper.py").write_text("def helper():\n    pass\n")
    remarks = [remark for _, _, remark in find(tmp_path, sheet)]
    assert remarks[0] == "a.ipynb is of a9_other, which is not graded here"
    assert "a.ipynb is of none of the assignments" in remarks[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"nbformat": 3, "worksheets": []}',
        '{"cells": 5}',
        '{"cells": [3]}',
        "\x00",
        "[" * 10**5,
    ],
)
def test_what_is_no_notebook_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(UnreadableSubmissionError, match=r"a\.ipynb"):
        read_submission(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableSubmissionError, match=r"a\.ipynb"):
        read_submission(path)


def test_scripts_are_graded_like_notebooks(sheet: Sheet, tmp_path: Path) -> None:
    notebook = write_notebook(sheet, tmp_path / "a.ipynb", RIGHT, {"setup": "half = 0.5"})
    jupytext.write(jupytext.read(notebook), tmp_path / "percent.py", fmt="py:percent")
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    exported = "\n\n".join(f"# In[{number}]:\n\n\n{cell['source']}" for number, cell in enumerate(code))
    (tmp_path / "exported.py").write_text(exported)
    (tmp_path / "plain.py").write_text(f"import numpy as np\n{SOFTMAX}\n{MIX_ROWS}\n")
    for name in ("percent.py", "exported.py", "plain.py"):
        found = grade_submission(read_submission(tmp_path / name), sheet)
        assert (found.earned, found.remarks) == (ALL, ()), name


def test_a_notebook_that_lost_its_metadata_is_graded(sheet: Sheet, tmp_path: Path) -> None:
    path = write_notebook(sheet, tmp_path / "a.ipynb", RIGHT)
    notebook = json.loads(path.read_text())
    notebook["metadata"] = {}
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    path.write_text(json.dumps(notebook))
    assert grade_submission(read_submission(path), sheet).earned == ALL


def test_only_what_the_student_wrote_is_run(sheet: Sheet, tmp_path: Path) -> None:
    cells = {name: f"{name} = 'tampered'" for name in ("setup", "check_softmax", "check_mix_rows", "picture")}
    path = write_notebook(sheet, tmp_path / "a.ipynb", cells | {"softmax": SOFTMAX}, {"softmax": "own = 1"})
    taken = take_cells(read_submission(path), sheet)
    assert [cell.source for cell in taken] == ["import checks\nimport numpy as np", SOFTMAX, "own = 1"]
    assert [bool(cell.number) for cell in taken] == [False, True, True]


def test_a_copied_cell_comes_after_the_first_and_a_deleted_one_is_missing(
    sheet: Sheet, tmp_path: Path
) -> None:
    path = write_notebook(sheet, tmp_path / "a.ipynb", {"softmax": "def softmax(x):\n    return x"})
    notebook = json.loads(path.read_text())
    kept = [
        cell
        for cell in notebook["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "softmax"
    ]
    notebook["cells"] = [*kept, {**kept[0], "source": SOFTMAX}, make_cell(MIX_ROWS)]
    path.write_text(json.dumps(notebook))
    found = grade_submission(read_submission(path), sheet)
    assert found.earned == ALL


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("%time x = 1\ny = 2", "pass\ny = 2"),
        ("if a:\n    !ls\n    b = !ls", "if a:\n    pass\n    pass"),
        ("%%html\n<b>", ""),
        ("%%timeit\nx = 1", "pass\nx = 1"),
        ("?np\nnp.exp??", "pass\npass"),
        ('text = """\n%d items?\n"""', 'text = """\n%d items?\n"""'),
        ("a = (5\n % 3)", "a = (5\n % 3)"),
    ],
)
def test_magics_are_dropped_and_lines_stay_in_place(text: str, kept: str) -> None:
    assert drop_magics(text) == kept


def test_the_assignments_that_lie_here_are_found() -> None:
    for sheet in list_sheets():
        assert sheet.master.is_file() and sheet.assignment.name == sheet.master.stem
