"""Lines on the terminal that are no result: what is being stopped, left out, or done without."""

from __future__ import annotations

import contextlib
import sys

RECORDED = ("run", "sweep")
"""Verbs whose results stand in records, printed or not: the same command goes on from them."""


def interrupted(verb: str | None) -> str:
    """Return the line for a verb that was asked to stop: with what to do, where something was kept."""
    return "interrupted: run the same command again to go on" if verb in RECORDED else "interrupted"


def notify(message: str) -> None:
    """Print one line to the user, also while progress bars are shown; a closed terminal costs the line."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: standard error was closed in Python
        sys.stderr.write(f"isoflop: {message}\n")
        sys.stderr.flush()
