"""--exclude: fits without the runs that a check names."""

from __future__ import annotations

import argparse
from typing import Any

from isoflop.config import ConfigError

KINDS = ("undertrained",)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add --exclude."""
    text = "leave these points out of the fit, each with its reason (see isoflop check)"
    parser.add_argument("--exclude", choices=KINDS, help=text)


def left_out(options: argparse.Namespace, table: Any) -> tuple[Any, ...]:
    """Return the runs (curve.result.Excluded) that --exclude names in a table of runs, none without it.

    Raises:
        ConfigError: --exclude is given and the check could not be made.
    """
    from isoflop.curve.check import undertrained

    if options.exclude is None:
        return ()
    outcome = undertrained.check(table)
    if outcome.not_checked is not None:
        raise ConfigError(f"--exclude {options.exclude}: not checked: {outcome.not_checked}")
    return undertrained.excluded(outcome)
