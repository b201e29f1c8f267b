"""Check a submission with pytest, one test for each check.

    pytest notebooks/assignments/test_submission.py --submission a2_patches_and_masks.ipynb
    pytest notebooks/assignments/test_submission.py --submission FILE -k patchify_video

The code runs in a process of its own with limits, as it does when it is graded.
"""

from dataclasses import replace

import pytest
from conftest import find_file

from assignments.checks.child import Runner
from assignments.checks.evaluate import evaluate
from assignments.checks.feedback import describe_failure
from assignments.checks.finding import identify
from assignments.checks.submissions import list_sheets, read_submission


@pytest.fixture(scope="session")
def runner(request: pytest.FixtureRequest):
    """The submission, whose functions can be called."""
    path = find_file(request.config)
    submission = replace(read_submission(path), folder=path.parent)
    with Runner(submission, identify(submission, list_sheets())) as runner:
        yield runner


@pytest.fixture(scope="session")
def results(runner: Runner, blank_name: str, request: pytest.FixtureRequest):
    """The results of one blank by the titles of its checks."""
    blank = next(blank for blank in runner.sheet.assignment.blanks if blank.name == blank_name)
    found = evaluate(blank, runner.caller(blank), request.config.getoption("--seed"), str(runner.folder))
    return blank, {result.title: result for result in found}


def test_check(results, check_title: str) -> None:
    """One check earns its points."""
    blank, by_title = results
    result = by_title[check_title]
    if result.earned < result.points:
        pytest.fail("\n".join(describe_failure(blank, result)), pytrace=False)
