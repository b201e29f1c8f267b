"""`python -m minitvlt` runs the same program as `minitvlt`."""

from minitvlt.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
