"""What the tests of several commands share. The package is imported late, so that its checks are in place."""

import base64
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture(autouse=True)
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.commands.small import prepare_work

    prepare_work(tmp_path, monkeypatch)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one pixel for every figure: most of the time of a small run is spent on drawing."""
    monkeypatch.setattr(Figure, "savefig", lambda self, stream, **_: stream.write(PIXEL))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a small pre-training run, and what it printed."""
    from tests.commands.small import pretrain_small

    folder = tmp_path_factory.mktemp("finished")
    return folder / "run", pretrain_small(folder)


@pytest.fixture
def run(finished: tuple[Path, str]) -> Path:
    """A copy of that run, in `run`."""
    return Path(shutil.copytree(finished[0], "run"))


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.commands.small import write_film

    folder = tmp_path_factory.mktemp("films")
    for number in range(6):
        write_film(folder / f"{number}.mp4", number)
    return folder


@pytest.fixture
def clips(films: Path) -> Path:
    """Six films, 0.mp4 to 5.mp4, in `clips`."""
    return Path(shutil.copytree(films, "clips"))


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a command that must fail: status 2, an error, nothing printed or written; return the error."""
    from minitvlt.commands.main import main
    from tests.commands.small import read_everything

    def check(*words: Any) -> str:
        before = read_everything()
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and read_everything() == before
        assert "Traceback" not in err and f"minitvlt {words[0]}: " in err
        assert err.count("\n") == 1 or "No file is left" in err
        return err

    return check
