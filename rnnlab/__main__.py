"""``python -m rnnlab``, which is ``rnnlab``."""

import sys

from rnnlab.cli import main

if __name__ == "__main__":  # pytest's search for doctests imports every module
    sys.exit(main())
