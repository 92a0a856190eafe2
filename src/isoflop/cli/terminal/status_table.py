"""`isoflop status` on the terminal: a line of counts, then the runs to look at, two lines each."""

from __future__ import annotations

from collections.abc import Iterator

from isoflop.api import progress_text
from isoflop.cli.terminal.console import OUT
from isoflop.report.text.numerals import plural, seconds
from isoflop.sweep.status import STATES, RunStatus, Status
from isoflop.sweep.supervisors import Supervisor

MOST_RUNS = 40
WITHOUT_LINES = ("done", "pending")
"""States that are only counted."""


def show(status: Status) -> None:
    """Print the status of a sweep."""
    for line in lines(status):
        OUT.print(line, markup=False)


def heading(status: Status) -> Iterator[str]:
    """Yield the line of counts by state, and a line for each process that plans or supervises the sweep."""
    if status.runs or not status.supervisors:
        counts = ", ".join(f"{number:,} {state}" for state, number in status.counts.items())
        yield f"{status.directory}: {plural(len(status.runs), 'run')}: {counts}"
    for each in status.supervisors:
        yield f"{status.directory}: {_supervisor(each)}"


def _supervisor(each: Supervisor) -> str:
    """Return `planning 12 of 54 runs, for 10.0 s, by ada on n1, process 123: isoflop sweep ...`."""
    of_runs = f"{each.done:,} of {plural(each.runs, 'run')}"
    what = f"planning {of_runs}" if each.phase == "planning" else f"training, {of_runs} ended"
    by = f"by {each.user} on {each.host}, process {each.pid}"
    return f"{what}, for {seconds(each.seconds)}, {by}: {each.command}"


def lines(status: Status) -> Iterator[str]:
    """Yield the heading, then at most `MOST_RUNS` runs with their settings, reason and log."""
    yield from heading(status)
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
    """Return what the run's heartbeat says, in the words of the sweep's own display."""
    return ", ".join(part for part in progress_text.parts(run.beat) if part) if run.beat else ""
