"""`isoflop status` on the terminal: a line of counts, then the cells that need a look, two lines each."""

from __future__ import annotations

from collections.abc import Iterator

from isoflop.cli.terminal.console import OUT
from isoflop.sweep.status import STATES, RunStatus, Status

MOST = 40
QUIET = ("done", "pending")


def show(status: Status) -> None:
    """Print `lines`."""
    for line in lines(status):
        OUT.print(line, markup=False)


def lines(status: Status) -> Iterator[str]:
    """Counts of every state, and at most 40 running, lost and failed cells with the reason and the log."""
    counted = ", ".join(f"{number} {state}" for state, number in status.counts.items())
    yield f"{status.directory}: {len(status.runs)} runs: {counted}"
    for note in status.notes:
        yield f"note: {note}"
    loud = [state for state in STATES if state not in QUIET]
    shown = [cell for state in loud for cell in status.runs if cell.state == state]
    for cell in shown[:MOST]:
        settings = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in cell.settings.items())
        yield "  ".join(word for word in (f"{cell.state:11}", cell.run_id, settings, _left(cell)) if word)
        if why := _why(cell):
            yield f"{'':13}{why}"
    if len(shown) > MOST:
        yield f"and {len(shown) - MOST} more: isoflop status {status.directory} --json -"


def _why(cell: RunStatus) -> str:
    why = cell.reason or ""
    return why if not cell.log or cell.log in why else f"{why} (log: {cell.log})".strip()


def _left(cell: RunStatus) -> str:
    """`40% done, 1:02:05 left`, as far as it is known."""
    words = [] if cell.share_done is None else [f"{cell.share_done:.0%} done"]
    if cell.seconds_left is not None:
        minutes, seconds = divmod(round(cell.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        words.append(f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left")
    return ", ".join(words)
