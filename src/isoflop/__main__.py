"""python -m isoflop is isoflop."""

import sys

from isoflop.cli.main import main

sys.exit(main())
