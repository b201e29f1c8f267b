"""The command line itself: help that works, and one sentence for whatever the user can mend."""

import re
import shlex
import subprocess
import sys
import warnings

import pytest

from minitvlt.commands import checkpoint
from minitvlt.commands.main import main, make_parser
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


def test_python_m_minitvlt_is_the_same_command() -> None:
    command = [sys.executable, "-m", "minitvlt", "info", "nothing.safetensors"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("minitvlt info: ") and done.stderr.count("\n") == 1
