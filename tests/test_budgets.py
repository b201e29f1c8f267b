"""The package stays small: lines of code, without docstrings, comments and blank lines."""

import ast
import re
from pathlib import Path

import pytest

import minitvlt
from tests.helpers.syntax import PACKAGE, list_code_lines

ROOT = PACKAGE.parent
FOLDERS = {  # each without the folders in it; "" is the root of the package
    "": 355,
    "backends": 700,
    "backends/fast": 300,
    "signals": 970,
    "model": 930,
    "worlds": 600,
    "checkpoints": 830,
    "training": 960,
    "views": 450,
    "commands": 660,
}
WHOLE, STUDENT, TESTS, NAMES = 6800, 1650, 11000, 60
FILE, BODY = 200, 25  # lines of a file, and of a function
LONGER = {
    "figures.py": 330,
    "media.py": 320,
    "config.py": 215,
    "shapes.py": 215,
}  # files about many small things
MODULES = sorted(PACKAGE.rglob("*.py"))


def count_lines(paths: list[Path]) -> int:
    return sum(len(list_code_lines(path)) for path in paths)


def test_every_folder_has_a_budget():
    assert {path.parent.relative_to(PACKAGE).as_posix() for path in MODULES} == {".", *FOLDERS} - {""}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_keeps_to_its_budget(folder):
    assert 0 < count_lines(sorted((PACKAGE / folder).glob("*.py"))) <= FOLDERS[folder]


def test_package_and_tests_keep_to_theirs():
    assert count_lines(MODULES) <= WHOLE
    tests = [path for path in sorted((ROOT / "tests").rglob("*.py")) if "assignments" not in path.parts]
    assert count_lines(tests) <= TESTS  # those of the course are not tests of the package


def test_what_a_student_reads_keeps_to_its_budget():
    """Configuration, backends without torch and fast kernels, spectrograms, model without tasks."""
    backends = [path for path in (PACKAGE / "backends").glob("*.py") if not path.name.startswith("torch_")]
    model = [path for path in (PACKAGE / "model").glob("*.py") if path.name != "tasks.py"]
    others = [PACKAGE / "config.py", PACKAGE / "signals" / "spectrogram.py"]
    assert 0 < count_lines([*others, *backends, *model]) <= STUDENT


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_and_functions_are_short(path):
    code = list_code_lines(path)
    assert len(code) <= LONGER.get(path.name, FILE)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body = code & set(range(node.body[0].lineno, node.end_lineno + 1))
            assert len(body) <= BODY, f"{node.name} has {len(body)} lines"


def test_public_names_are_few_and_each_is_used():
    assert len(minitvlt.__all__) <= NAMES
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
    text = "".join(path.read_text("utf-8") for path in [ROOT / "README.md", *notebooks])
    assert [name for name in minitvlt.__all__ if not re.search(rf"\bmt\.{name}\b", text)] == []
