"""The command line: `minitvlt COMMAND …` or `python -m minitvlt COMMAND …`."""

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "pretrain": "train a model on the embedded world or on a folder of media files",
    "reconstruct": "hide parts of a clip and let a model fill them in",
    "info": "print what a checkpoint holds",
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; whatever the user can mend is said in one sentence on the error stream, with the exit status 2."""
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
    chosen = parser.parse_args(arguments)
    try:
        chosen.run(chosen)
    except (ValueError, ImportError, OSError) as error:
        print(f"minitvlt {chosen.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nminitvlt {chosen.command}: interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
