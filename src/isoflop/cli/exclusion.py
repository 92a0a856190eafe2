"""--exclude: fits without the runs that a check names."""

from __future__ import annotations

import argparse
from typing import Any

KINDS = ("undertrained",)
"""Those of api.rows.EXCLUDABLE, which need pandas to be asked."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add --exclude."""
    text = "leave these points out of the fit, each with its reason (see isoflop check)"
    parser.add_argument("--exclude", choices=KINDS, help=text)


def left_out(options: argparse.Namespace, table: Any) -> tuple[Any, ...]:
    """Return the runs (curve.result.Excluded) that --exclude names in a table of runs, none without it.

    Raises:
        ConfigError: --exclude is given and the check could not be made.
    """
    from isoflop.api import rows

    return rows.left_out(options.exclude, table)
