from typing import Any

import pytest


@pytest.fixture(scope="session")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The small assignment, built; imported here because the watch over shapes wants to come first."""
    from tests.assignments.fixture.notebooks import make_sheet

    return make_sheet(tmp_path_factory.mktemp("tiny"))
