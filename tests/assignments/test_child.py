"""Student code that is hostile by accident costs its own points, and nothing else."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assignments.checks.child import Limits, Runner
from assignments.checks.grading import Grade, grade_submission
from assignments.checks.submissions import Sheet, read_submission
from tests.assignments.fixture.notebooks import ENDLESS, MEMORY_HOG, MIX_ROWS, RIGHT, SOFTMAX, write_notebook

LIMITS = Limits(cell_seconds=4)
ALL_OF_MIX = 4.5  # points
ALL = 11.5


@pytest.fixture
def grade(sheet: Sheet, tmp_path: Path):
    def run(cells: dict[str, str], added: dict[str, str] | None = None, **arguments) -> Grade:
        path = write_notebook(sheet, tmp_path / "work" / "some.ipynb", cells, added)
        return grade_submission(read_submission(path), sheet, limits=LIMITS, **arguments)

    return run


def earned(found: Grade) -> dict[str, float]:
    return {graded.blank.name: graded.earned for graded in found.blanks}


def feedback(found: Grade) -> str:
    return "\n".join(line for graded in found.blanks for line in graded.feedback)


def test_right_and_empty(grade) -> None:
    right = grade(RIGHT)
    assert right.earned == right.points == ALL
    assert not right.remarks
    empty = grade({})
    assert empty.earned == 0
    assert feedback(empty).count("not written yet") == 2


def test_an_endless_call_costs_its_own_blank(grade) -> None:
    started = time.monotonic()
    found = grade(RIGHT | {"softmax": ENDLESS})
    assert earned(found) == {"softmax": 0, "mix_rows": ALL_OF_MIX}
    assert "time" in feedback(found)
    assert time.monotonic() - started < 20


def test_an_endless_call_inside_a_library_is_stopped_from_outside(grade) -> None:
    code = """def softmax(x):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass"""
    assert earned(grade(RIGHT | {"softmax": code})) == {"softmax": 0, "mix_rows": ALL_OF_MIX}


def test_an_endless_cell_is_left_out(grade) -> None:
    found = grade(RIGHT, {"softmax": "while True:\n    pass"})
    assert found.earned == ALL
    assert "did not end within 4 s" in found.remarks[0]


def test_memory_is_limited(grade) -> None:
    found = grade(RIGHT | {"softmax": MEMORY_HOG})
    assert earned(found) == {"softmax": 0, "mix_rows": ALL_OF_MIX}
    assert "memory" in feedback(found)
    assert grade(RIGHT, {"setup": "many = [np.ones(2**27) for _ in range(100)]"}).earned == ALL


@pytest.mark.parametrize(
    "text", ["import os; os._exit(0)", "exit()", "raise KeyboardInterrupt", "1 / 0", "def x(:"]
)
def test_a_cell_that_ends_or_fails_is_said(grade, text: str) -> None:
    found = grade(RIGHT, {"softmax": text})
    assert found.earned == ALL
    assert len(found.remarks) == 1


def test_a_call_that_ends_the_process_costs_its_own_blank(grade) -> None:
    code = "import os\ndef softmax(x):\n    os._exit(0)"
    found = grade(RIGHT | {"softmax": code})
    assert earned(found) == {"softmax": 0, "mix_rows": ALL_OF_MIX}
    assert "process ended" in feedback(found)


def test_a_blank_whose_cell_fails_hears_why(grade) -> None:
    found = grade(RIGHT | {"softmax": "def softmax(x):\n    return x +"})
    assert earned(found) == {"softmax": 0, "mix_rows": ALL_OF_MIX}
    assert "SyntaxError" in feedback(found) and "return x +" in feedback(found)


def test_prints_are_swallowed(grade) -> None:
    noise = "    for _ in range(20_000):\n        print('x' * 100)\n    import os; os.system('echo y')\n"
    code = SOFTMAX.replace("(x):\n", f"(x):\n{noise}")
    assert grade(RIGHT | {"softmax": code}).earned == ALL


def test_what_a_student_prints_about_hidden_inputs_stays_hidden(grade) -> None:
    code = "def softmax(x):\n    print('SEEN', x)\n    raise ValueError(f'SEEN {x.sum()}')"
    found = grade(RIGHT | {"softmax": code}, seed=5)
    hidden = np.random.default_rng(5).normal(size=(2, 3))
    assert "ValueError" in feedback(found)
    assert str(hidden.sum())[:6] not in feedback(found) and str(hidden[0, 0])[:6] not in feedback(found)


def test_a_table_of_visible_answers_earns_nothing_on_hidden_inputs(grade) -> None:
    code = f"""{SOFTMAX.replace("softmax", "_right")}
def softmax(x):
    known = np.random.default_rng(0).normal(size=(2, 3))
    return _right(x) if x.shape == (2, 3) and np.allclose(x, known) else x"""
    assert earned(grade(RIGHT | {"softmax": code}))["softmax"] > 0
    found = grade(RIGHT | {"softmax": code}, seed=5)
    assert earned(found)["softmax"] == 0
    assert "wrong on other values of the same shapes" in feedback(found)


def test_overwritten_names_and_replaced_functions_do_not_matter(grade) -> None:
    added = {"softmax": "np = 3\nlist = dict = sum = None\nchecks = 5"}
    assert grade(RIGHT, added).earned == ALL
    tampered = (
        "np.allclose = np.array_equal = lambda *a, **k: True\nchecks.check = checks.evaluate = lambda f: 99"
    )
    assert grade({}, {"setup": tampered}).earned == 0
    assert grade(RIGHT | {"softmax": "def softmax(x):\n    return x"}, {"setup": tampered}).earned < ALL


def test_edited_given_and_check_cells_come_from_the_master(grade) -> None:
    assert grade({"check_softmax": "7.0", "check_mix_rows": "4.5"}).earned == 0
    assert grade(RIGHT | {"setup": "raise ValueError", "check_softmax": "raise ValueError"}).earned == ALL


def test_the_packages_function_is_recognised(grade) -> None:
    for code in (
        "from minitvlt.backends.numpy_backend import softmax",
        "import minitvlt as mt\nfrom minitvlt.backends import numpy_backend\n"
        "def softmax(x):\n    return numpy_backend.softmax(x)",
    ):
        found = grade(RIGHT | {"softmax": code})
        assert earned(found) == {"softmax": 0, "mix_rows": ALL_OF_MIX}
        assert "package" in feedback(found)


def test_a_wrong_function_does_not_hurt_those_that_call_it(grade) -> None:
    assert earned(grade(RIGHT | {"softmax": "def softmax(x):\n    return None"})) == {
        "softmax": 0,
        "mix_rows": ALL_OF_MIX,
    }


def test_magics_and_added_cells(grade) -> None:
    code = f"%matplotlib inline\n!pip install numpy\n{SOFTMAX.replace('np.exp', 'exponential')}\nsoftmax?"
    shell = "get_ipython().run_line_magic('matplotlib', 'inline')\ndisplay(1)"
    added = {
        "setup": f"%%time\nexponential = np.exp\nfiles = !ls\n{shell}",
        "softmax": "%%bash\nrm -rf nothing",
    }
    found = grade({"softmax": code, "mix_rows": MIX_ROWS}, added)
    assert found.earned == ALL
    assert not found.remarks


def test_a_submission_has_a_limit_of_time_in_all(sheet: Sheet, tmp_path: Path) -> None:
    path = write_notebook(sheet, tmp_path / "a.ipynb", {"softmax": ENDLESS, "mix_rows": MIX_ROWS})
    limits = Limits(cell_seconds=2, total_seconds=1)
    started = time.monotonic()
    found = grade_submission(read_submission(path), sheet, limits=limits, seed=1)
    assert found.earned == 0 and time.monotonic() - started < 20


def test_what_a_process_writes_where_it_should_not_costs_its_own_blank(grade) -> None:
    code = """import os
def softmax(x):
    for number in range(3, 30):
        try:
            os.write(number, b"x" * 99)
        except OSError:
            pass
    return x"""
    assert earned(grade(RIGHT | {"softmax": code})) == {"softmax": 0, "mix_rows": ALL_OF_MIX}


def test_a_file_of_the_student_hides_no_module(sheet: Sheet, tmp_path: Path) -> None:
    path = write_notebook(sheet, tmp_path / "some.ipynb", RIGHT, {"setup": "import own\nassert own.x == 1"})
    for name in ("numpy", "json", "minitvlt"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')")
    (tmp_path / "own.py").write_text("x = 1")
    found = grade_submission(replace(read_submission(path), folder=tmp_path), sheet)
    assert (found.earned, found.remarks) == (ALL, ())


def test_files_and_children_stay_in_the_copy(sheet: Sheet, tmp_path: Path) -> None:
    folder = tmp_path / "handed_in"
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    folder.mkdir()
    (folder / "link.txt").symlink_to(outside)
    (folder / "run.txt").write_text("stored")
    sleep = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    child = f"import subprocess, sys; child = subprocess.Popen({sleep})"
    note = "import os\nopen('note.txt', 'w').write(f'{os.listdir()} {open(\"run.txt\").read()} {child.pid}')"
    code = f"def softmax(x):\n    return open('note.txt').read() and x\n{child}\n{note}"
    path = write_notebook(sheet, folder / "some.ipynb", {"softmax": code})
    submission = read_submission(path)
    with Runner(replace(submission, folder=folder), sheet, LIMITS) as runner:
        blank = sheet.assignment.blanks[0]
        outcome = runner.call(blank, {"x": np.zeros((2, 3))}, "plain")
        assert outcome.problem is None and not runner.problems
        text = (runner.folder / "note.txt").read_text()
    assert "link.txt" not in text and "stored" in text
    assert not (folder / "note.txt").exists()
    assert not is_alive(int(text.split()[-1]))


def is_alive(number: int) -> bool:
    for _ in range(50):
        try:
            status = Path(f"/proc/{number}/status").read_text()
        except OSError:
            return False
        if "(zombie)" in status:
            return False
        os.sched_yield()
        time.sleep(0.1)
    return True
