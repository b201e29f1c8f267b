"""`python -m minitvlt` runs the same program as `minitvlt`."""

import sys

from minitvlt.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
