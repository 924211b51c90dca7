"""`python -m curation`: the engine on the command line."""

import sys

from curation.cli import main

if __name__ == "__main__":
    sys.exit(main())
