"""`isoflop status` on the terminal: a line of counts, then the runs to look at, two lines each."""

from __future__ import annotations

from collections.abc import Iterator

from isoflop.cli.terminal.console import OUT
from isoflop.sweep.status import STATES, RunStatus, Status

MOST_RUNS = 40
WITHOUT_LINES = ("done", "pending")
"""States that are only counted."""


def show(status: Status) -> None:
    """Print the status of a sweep."""
    for line in lines(status):
        OUT.print(line, markup=False)


def lines(status: Status) -> Iterator[str]:
    """Yield a line of counts by state, then at most `MOST_RUNS` runs with their settings, reason and log."""
    counts = ", ".join(f"{number} {state}" for state, number in status.counts.items())
    yield f"{status.directory}: {len(status.runs)} runs: {counts}"
    for note in status.notes:
        yield f"note: {note}"
    listed = [state for state in STATES if state not in WITHOUT_LINES]
    shown = [run for state in listed for run in status.runs if run.state == state]
    for run in shown[:MOST_RUNS]:
        settings = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in run.settings.items())
        yield "  ".join(part for part in (f"{run.state:11}", run.run_id, settings, _progress(run)) if part)
        if reason := _reason(run):
            yield f"{'':13}{reason}"
    if len(shown) > MOST_RUNS:
        yield f"and {len(shown) - MOST_RUNS} more: isoflop status {status.directory} --json -"


def _reason(run: RunStatus) -> str:
    """Return the reason of a state with the path of the log, unless the reason names it already."""
    reason = run.reason or ""
    return reason if not run.log or run.log in reason else f"{reason} (log: {run.log})".strip()


def _progress(run: RunStatus) -> str:
    """Return `40% done, 1:02:05 left`, as far as it is known."""
    parts = [] if run.share_done is None else [f"{run.share_done:.0%} done"]
    if run.seconds_left is not None:
        minutes, seconds = divmod(round(run.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left")
    return ", ".join(parts)
