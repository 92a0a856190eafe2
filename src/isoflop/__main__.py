"""python -m isoflop is isoflop."""

import sys

from isoflop.cli import main

sys.exit(main())
