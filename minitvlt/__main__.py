"""The command line: `minitvlt COMMAND …` or `python -m minitvlt COMMAND …`."""

import argparse
import shlex
import sys
import warnings
from importlib import import_module
from typing import Any

from tqdm import tqdm

COMMANDS = {
    "pretrain": "train a model on the embedded world or on a folder of media files",
    "finetune": "teach a trained model a task: classes, numbers, labels, answers, ranking",
    "retrieve": "find the videos that fit a sound best, or the sounds that fit a video",
    "reconstruct": "hide parts of a clip and let a model fill them in",
    "convert": "turn a checkpoint of one program into one of another",
    "info": "print what a checkpoint holds",
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Whatever the user can mend is said in one sentence on the error stream, with the status 2; each warning is
    one line.
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
    """Gather the commands, each with its own arguments and an example."""
    parser = argparse.ArgumentParser(prog="minitvlt", description="TVLT from a clip to a trained model.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = import_module(f"minitvlt.commands.{name}")
        subparser = commands.add_parser(
            name,
            help=summary,
            description=command.__doc__,
            epilog=command.EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def show_warning(message: Warning | str, *_: Any) -> None:
    """Say a warning in one line, above a progress bar if there is one."""
    tqdm.write(f"minitvlt: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
