"""The command line: `minitvlt COMMAND …` or `python -m minitvlt COMMAND …`."""

import argparse
import shlex
import sys
import warnings
from typing import Any

from tqdm import tqdm

from minitvlt.commands import checkpoint, finetune, pretrain, reconstruct, retrieve


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    An error that the user can correct is printed as one sentence on the error stream, with the status 2, and
    each warning as one line. An interruption from the keyboard gives the status 130.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = make_parser().parse_args(arguments)
    chosen.command_line = shlex.join(["minitvlt", *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show_warning
        try:
            chosen.run(chosen)
        except (ValueError, ImportError, OSError, MemoryError) as error:
            print(f"minitvlt {chosen.command}: {error}", file=sys.stderr)
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
