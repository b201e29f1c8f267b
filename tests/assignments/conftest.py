from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.annotations import annotations_unchecked


@pytest.fixture(scope="session", autouse=True)
def students_annotations(pytestconfig: pytest.Config) -> Iterator[None]:
    """A student's process does not check annotations, which would take most of the time of small arrays.

    So wrong solutions may call the package with any shapes, and shape comments need not hold here.
    """
    lies = pytestconfig.pluginmanager.get_plugin("shape-comments").ledger.lies
    with annotations_unchecked():
        yield
    lies.clear()


@pytest.fixture(scope="session")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The small assignment, built; imported here because the watch over shapes wants to come first."""
    from tests.assignments.fixture.notebooks import make_sheet

    return make_sheet(tmp_path_factory.mktemp("tiny"))
