"""Rows that a fit left out, on the terminal."""

from __future__ import annotations

from rich.console import Console

from isoflop.curve.result import Excluded

MOST_NAMED = 10
"""Rows named on the terminal; the JSON names all."""


def show_excluded(excluded: tuple[Excluded, ...], out: Console) -> None:
    """Print the rows that were left out, at most `MOST_NAMED` of them by name."""
    for entry in excluded[:MOST_NAMED]:
        out.print(f"left out: {entry.run_id}: {entry.reason}", markup=False)
    if len(excluded) > MOST_NAMED:
        out.print(f"left out: {len(excluded) - MOST_NAMED} more, see --json", markup=False)
