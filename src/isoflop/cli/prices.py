"""--cost: dollars and CO2 of runs that are done, from their joules, hours or FLOPs."""

from __future__ import annotations

import argparse
from typing import Any

METAVAR = "SET"
TEXT = "dollars and CO2 by this set of prices, such as us_2023, or a YAML file (may be repeated)"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add --cost, which may be repeated; `chosen` reads it."""
    parser.add_argument("--cost", metavar=METAVAR, action="append", help=TEXT)


def chosen(options: argparse.Namespace) -> Any:
    """Return the prices (config.costs.Prices) that --cost names, None without it.

    Raises:
        ConfigError: as config.costs.load.
    """
    from isoflop.config import costs

    return costs.load(options.cost) if options.cost else None
