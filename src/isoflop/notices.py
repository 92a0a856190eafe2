"""Lines on the terminal that are no result: what is being stopped, left out, or done without."""

from __future__ import annotations

import contextlib
import sys


def notify(message: str) -> None:
    """Print one line to the user, also while progress bars are shown; a closed terminal costs the line."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: standard error was closed in Python
        sys.stderr.write(f"isoflop: {message}\n")
        sys.stderr.flush()
