"""The command line itself: help that works, and one sentence for whatever the user can mend."""

import re
import shlex
import subprocess
import sys
import warnings

import pytest

from minitvlt.__main__ import COMMANDS, main, make_parser
from minitvlt.commands import info
from tests.helpers.shape_comments import ROOT


def ask_for_help(capsys, *words: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([*words, "--help"])
    return capsys.readouterr().out


def test_help_names_every_command(capsys):
    text = ask_for_help(capsys)
    for name, summary in COMMANDS.items():
        assert name in text and summary in " ".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_shows_examples_that_can_be_parsed(capsys, name):
    text = ask_for_help(capsys, name)
    examples = re.findall(r"^  minitvlt (.+)$", text.split("example")[-1], flags=re.M)
    assert examples
    for example in examples:
        assert make_parser().parse_args(shlex.split(example)).command == name


def test_without_a_command_there_is_a_usage_line_and_status_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "usage: minitvlt" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), ImportError("bad"), OSError("bad"), MemoryError("bad"), FileExistsError("bad")],
)
def test_what_the_user_can_mend_is_one_sentence(monkeypatch, capsys, error):
    def fail(arguments):
        raise error

    monkeypatch.setattr(info, "run", fail)
    assert main(["info", "x"]) == 2
    assert capsys.readouterr().err == "minitvlt info: bad\n"


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    def fail(arguments):
        raise KeyError("ours")

    monkeypatch.setattr(info, "run", fail)
    with pytest.raises(KeyError):
        main(["info", "x"])


def test_an_interruption_has_the_status_130(monkeypatch, capsys):
    def stop(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "run", stop)
    assert main(["info", "x"]) == 130
    assert capsys.readouterr().err.strip() == "minitvlt info: interrupted."


def test_warnings_are_plain_lines_and_equal_ones_are_said_once(monkeypatch, capsys):
    def warn(arguments):
        for _ in range(3):
            warnings.warn("a file was skipped", stacklevel=1)

    monkeypatch.setattr(info, "run", warn)
    shown, filters = warnings.showwarning, list(warnings.filters)
    for _ in range(2):
        assert main(["info", "x"]) == 0
        assert capsys.readouterr().err == "minitvlt: a file was skipped\n"
    assert warnings.showwarning is shown and warnings.filters == filters


def test_python_m_minitvlt_is_the_same_command():
    command = [sys.executable, "-m", "minitvlt", "info", "nothing.safetensors"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("minitvlt info: ") and done.stderr.count("\n") == 1
