"""The package stays small: lines of code, without docstrings, comments and blank lines."""

import ast
from pathlib import Path

import pytest

from tests.helpers.syntax import PACKAGE, list_code_lines

FOLDERS = {"backends": 700, "backends/fast": 300, "model": 930}  # each without the folders in it
STUDENT = 1650
BODY = 25  # lines of a function in these folders


def list_modules(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).glob("*.py"))


def count_lines(paths: list[Path]) -> int:
    return sum(len(list_code_lines(path)) for path in paths)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_keeps_to_its_budget(folder):
    assert 0 < count_lines(list_modules(folder)) <= FOLDERS[folder]


def test_what_a_student_reads_keeps_to_its_budget():
    """Configuration, backends without torch and fast kernels, spectrograms, model without tasks."""
    backends = [path for path in list_modules("backends") if not path.name.startswith("torch_")]
    model = [path for path in list_modules("model") if path.name != "tasks.py"]
    others = [PACKAGE / "config.py", PACKAGE / "signals" / "spectrogram.py"]
    assert 0 < count_lines([*others, *backends, *model]) <= STUDENT


@pytest.mark.parametrize("folder", FOLDERS)
def test_functions_are_short(folder):
    for path in list_modules(folder):
        code = list_code_lines(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = code & set(range(node.body[0].lineno, node.end_lineno + 1))
                assert len(body) <= BODY, f"{path.name}: {node.name} has {len(body)} lines"
