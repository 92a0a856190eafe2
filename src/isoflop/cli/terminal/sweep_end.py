"""The end of a sweep on the terminal: what it found, and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path

from isoflop.api.ending import Ending
from isoflop.cli.terminal.console import OUT


def show(found: Ending, directory: Path, *, missing: int) -> None:
    """Print the verdict, what the checks found, the joules and the next command; `missing` counts points."""
    OUT.print("")
    for line in found.lines:
        OUT.print(line, markup=False)
    OUT.print(f"next: {next_command(found, directory, missing=missing)}", markup=False)


def next_command(found: Ending, directory: Path, *, missing: int) -> str:
    """Return what to type next: the reasons of what is missing, else the page, else the table."""
    folder = shlex.quote(str(directory))
    if missing:
        return f"isoflop status {folder}"
    return f"isoflop report {folder}" if found.verdict else f"isoflop aggregate {folder}"
