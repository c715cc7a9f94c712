"""`python -m riverrun` is the command line."""

from __future__ import annotations

import sys

from riverrun.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
