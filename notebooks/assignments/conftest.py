"""The option of `test_submission.py`, and one test for each check."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which file is checked, and with which inputs."""
    parser.addoption("--submission", help="notebook or Python file (or the variable SUBMISSION)")
    parser.addoption(
        "--seed", type=int, default=0, help="of the values in the inputs (default: the notebook's)"
    )


def find_file(config: pytest.Config) -> Path:
    """The submission that the command names."""
    name = config.getoption("--submission") or os.environ.get("SUBMISSION")
    if not name:
        raise pytest.UsageError("Say what to check: pytest .../test_submission.py --submission FILE")
    path = Path(name)
    path = path if path.is_absolute() else config.invocation_params.dir / path
    if not path.is_file():
        raise pytest.UsageError(f"There is no file {path}")
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every check of the submission's assignment."""
    if "check_title" not in metafunc.fixturenames:
        return
    from assignments.checks.finding import identify
    from assignments.checks.grading import list_titles
    from assignments.checks.submissions import UnreadableSubmissionError, list_sheets, read_submission

    try:
        submission = read_submission(find_file(metafunc.config))
    except UnreadableSubmissionError as error:
        raise pytest.UsageError(str(error)) from None
    sheet = identify(submission, list_sheets())
    if sheet is None:
        raise pytest.UsageError(f"{submission.path.name} is of none of the assignments")
    checks = [(blank.name, title) for blank in sheet.assignment.blanks for title in list_titles(blank)]
    names = [f"{name}: {title}" for name, title in checks]
    metafunc.parametrize(("blank_name", "check_title"), checks, ids=names, scope="session")
