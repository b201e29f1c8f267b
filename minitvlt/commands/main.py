"""The command line: `minitvlt COMMAND …` or `python -m minitvlt COMMAND …`."""

import argparse
import os
import shlex
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from tqdm import tqdm

from minitvlt.commands import checkpoint, finetune, pretrain, reconstruct, retrieve


class Stream:
    """An output stream without errors, so that what is done is kept, and the rest is still done

    A character that the stream cannot encode is written as an escape sequence. After an output error, such
    as a closed pipe or a full disk, the rest is dropped.
    """

    def __init__(self, stream: Any) -> None:
        """Take the stream that is written to; None, as Python has it for one that is closed, drops all."""
        self.stream, self.error = stream or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"), None

    def __getattr__(self, name: str) -> Any:
        """Everything else is as the stream has it."""
        return getattr(self.stream, name)

    def write(self, text: str) -> None:
        """Write a text at once."""
        encoding = self.stream.encoding or "utf-8"
        try:
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self.stream.flush()
        except OSError as error:
            self.error = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    An error that the user can correct is printed as one sentence on the error stream, with the status 2, and
    each warning as one line. An interruption from the keyboard gives the status 130. If the reader of the
    output goes away, the command is finished without a word.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    output = Stream(sys.stdout)
    with redirect_stdout(output), redirect_stderr(Stream(sys.stderr)), warnings.catch_warnings():
        chosen = make_parser().parse_args(arguments)
        chosen.command_line = shlex.join(["minitvlt", *arguments])
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show_warning
        try:
            chosen.run(chosen)
            if output.error is not None and not isinstance(output.error, BrokenPipeError):
                raise output.error
        except (ValueError, ImportError, OSError, MemoryError) as error:
            print(f"minitvlt {chosen.command}: {str(error) or type(error).__name__}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"\nminitvlt {chosen.command}: interrupted.", file=sys.stderr)
            return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(prog="minitvlt", description="TVLT from a clip to a trained model.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (pretrain, finetune, retrieve, reconstruct, checkpoint):
        module.add_commands(commands)
    return parser


def show_warning(message: Warning | str, *_: Any) -> None:
    """Print a warning in one line, above a progress bar if there is one."""
    tqdm.write(f"minitvlt: {message}", file=sys.stderr)
