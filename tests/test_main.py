"""The command line itself: help that works, and one sentence for whatever the user can mend."""

import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from minitvlt.checkpoints.native import save
from minitvlt.commands import checkpoint, retrieve
from minitvlt.commands.main import main, make_parser
from minitvlt.config import Config
from minitvlt.model.parameters import init
from tests.commands.small import write_film
from tests.helpers.shape_comments import ROOT

COMMANDS = ("pretrain", "finetune", "retrieve", "reconstruct", "info", "convert")


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_shows_examples_that_can_be_parsed(capsys, words: list[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in words or COMMANDS)
    examples = re.findall(r"^  minitvlt (.+)$", text, flags=re.M)
    assert bool(examples) == bool(words)
    for example in examples:
        assert make_parser().parse_args(shlex.split(example)).command == words[0]


@pytest.mark.parametrize(
    "words", ["", "pretrain --speed 9", "convert a b --to mae", "retrieve a --sound b --video c"]
)
def test_arguments_that_make_no_command_end_with_a_usage_line_and_status_2(capsys, words: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    assert "usage: minitvlt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, 2), (ImportError, 2), (FileExistsError, 2), (MemoryError, 2), (KeyboardInterrupt, 130)],
)
def test_what_the_user_can_mend_is_one_sentence(monkeypatch, capsys, error: type, status: int) -> None:
    def fail(path: str) -> None:
        raise error("bad")

    monkeypatch.setattr(checkpoint, "guess_format", fail)
    assert main(["info", "x"]) == status
    assert capsys.readouterr().err.strip() == f"minitvlt info: {'bad' if status == 2 else 'interrupted.'}"


def test_warnings_are_plain_lines_and_equal_ones_are_said_once(monkeypatch, capsys) -> None:
    def warn(path: str) -> None:
        for _ in range(3):
            warnings.warn("a file was skipped", stacklevel=1)
        raise ValueError("bad")

    monkeypatch.setattr(checkpoint, "guess_format", warn)
    shown, filters = warnings.showwarning, list(warnings.filters)
    for _ in range(2):
        assert main(["info", "x"]) == 2
        assert capsys.readouterr().err == "minitvlt: a file was skipped\nminitvlt info: bad\n"
    assert warnings.showwarning is shown and warnings.filters == filters


# ---- the streams and the surroundings that a command is started with


@pytest.fixture
def checkpoint_in(tmp_path: Path) -> Path:
    save(init(Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1)), tmp_path / "m.safetensors")
    return tmp_path


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "TkAgg", "no_such_backend"])
def test_the_users_backend_of_matplotlib_is_neither_used_nor_changed(tmp_path, backend) -> None:
    code = (
        "import os, sys; from minitvlt.views import figures; import matplotlib; "
        "figures.save_figure(figures.plot_regression(*[figures.np.arange(2.0)] * 2), 'a.png'); "
        "print(os.environ['MPLBACKEND'], dict.__getitem__(matplotlib.rcParams, 'backend'), "
        "'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": backend},
    )  # fmt: skip
    assert done.stdout == f"{backend} {backend} False\n", done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_what_the_output_cannot_encode_is_written_as_escapes(checkpoint_in, encoding) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "minitvlt", "info", "m.safetensors"]
    done = subprocess.run(command, cwd=checkpoint_in, env=variables, capture_output=True)
    cross = re.escape("×".encode(encoding, "backslashreplace").decode(encoding))
    assert done.returncode == 0 and not done.stderr
    assert re.search(f"score.weight +float32  1 {cross} 64", done.stdout.decode(encoding))


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_a_command_goes_on_when_its_output_is_closed_full_or_not_there(checkpoint_in, capfd) -> None:
    def shell(tail: str) -> int:
        line = f"{shlex.quote(sys.executable)} -m minitvlt convert m.safetensors {tail}"
        return subprocess.run(["bash", "-c", line], cwd=checkpoint_in, env=variables).returncode

    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert shell("a.safetensors | true; exit ${PIPESTATUS[0]}") == 0
    assert shell("b.safetensors 2>&1 | true; exit ${PIPESTATUS[0]}") == 0
    assert shell("c.safetensors >&- 2>&- <&-") == 0
    assert capfd.readouterr() == ("", "")
    assert shell("d.safetensors >/dev/full") == 2
    assert capfd.readouterr().err == "minitvlt convert: [Errno 28] No space left on device\n"
    first, *others = [(checkpoint_in / f"{name}.safetensors").read_bytes() for name in "abcd"]
    assert others == [first] * 3


def test_a_full_disk_is_one_sentence_and_what_was_written_stays(checkpoint_in, capsys, monkeypatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(checkpoint_in)
    monkeypatch.setattr(retrieve, "save_figure", fail)
    for name in ("a", "b"):
        write_film(Path("clips", f"{name}.mp4"), ord(name))
    assert main(["retrieve", "clips", "--checkpoint", "m.safetensors", "--out", "found"]) == 2
    out, err = capsys.readouterr()
    assert "2 clips, 4 pairs" in out and err == "minitvlt retrieve: [Errno 28] No space left on device\n"
    assert {path.name for path in Path("found").iterdir()} == {"recall.json", "scores.csv"}


def test_names_of_files_that_are_no_utf_8_are_written_as_escapes(checkpoint_in, capsys, monkeypatch) -> None:
    monkeypatch.chdir(checkpoint_in)
    name = os.fsdecode(b"\xff.mp4")
    write_film(Path("clips", name), 1)
    words = ["--sound", f"clips/{name}", "--checkpoint", "m.safetensors", "--out", "found"]
    assert main(["retrieve", "clips", *words]) == 0
    assert json.loads(Path("found/ranking.jsonl").read_bytes())["clip"] == name
    assert "\\udcff.mp4" in capsys.readouterr().out


def test_python_m_minitvlt_is_the_same_command() -> None:
    command = [sys.executable, "-m", "minitvlt", "info", "nothing.safetensors"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("minitvlt info: ") and done.stderr.count("\n") == 1
