"""What the tests of several commands share."""

import base64

import pytest

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one pixel for every figure: most of the time of a small run is spent on drawing."""
    monkeypatch.setattr("minitvlt.views.figures.encode_png", lambda figure: PIXEL)
