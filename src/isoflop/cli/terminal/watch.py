"""`isoflop status --watch`: the status again and again until every run has ended.

On a terminal the screen is drawn anew; in a pipe a line of counts comes when they changed, after ever longer
pauses. It only reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.text import Text

from isoflop.api.log_lines import Pauses
from isoflop.cli import output
from isoflop.cli.terminal import status_table
from isoflop.cli.terminal.console import OUT
from isoflop.config import ConfigError
from isoflop.sweep import manifest, status
from isoflop.sweep.status import Status

PAUSE_SECONDS, SLURM_PAUSE_SECONDS = 2.0, 15.0
"""Between two looks; each look under SLURM asks the scheduler, which many users do."""
SHARE_OF_TIME = 0.1
"""Of a large folder, whose status takes long, at most this share of the time is spent on reading it."""
IDLE_SECONDS = 30.0
"""How long runs may be left while nobody works on them: other launchers pause between two runs."""


def watch(directory: Path) -> int:
    """Show the status of a sweep until every run has ended; return the exit code.

    0: every run is done; 1: some failed or were lost; 75: some were interrupted, or are left and nobody works
    on them: the sweep's command goes on.

    Raises:
        ConfigError: there is no sweep in the folder.
        KeyboardInterrupt: Ctrl-C.
    """
    states = status.read_status(directory)
    if not is_open(states):
        OUT.print(next(status_table.lines(states)), markup=False)
        return exit_code(states)
    if OUT.is_terminal:
        with Live(console=OUT, auto_refresh=False, transient=True) as live:
            states = follow(directory, states, lambda now: live.update(_screen(now), refresh=True))
    else:
        states = follow(directory, states, _Lines())
    status_table.show(states)
    if is_open(states):
        OUT.print("nobody works on the runs that are left: the command of the sweep goes on with them")
    return exit_code(states)


def follow(
    directory: Path,
    states: Status,
    show: Callable[[Status], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Status:
    """Show the status until no run is open, or nobody has worked on the open ones for IDLE_SECONDS.

    Args:
        directory: of the sweep.
        states: its status now.
        show: shows one.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """
    least = SLURM_PAUSE_SECONDS if (directory / manifest.SUBMISSIONS).is_dir() else PAUSE_SECONDS
    worked_at, took = clock(), 0.0
    while is_open(states):
        show(states)
        if is_worked_on(states):
            worked_at = clock()
        elif clock() - worked_at >= IDLE_SECONDS:
            break
        sleep(max(least, took / SHARE_OF_TIME))
        began = clock()
        try:
            states = status.read_status(directory)
        except ConfigError:  # planned and not yet listed, or its folder was removed
            states = Status(states.directory, states.counts, states.runs, states.notes)
        took = clock() - began
    return states


def is_open(states: Status) -> bool:
    """Return whether a run may still end: one runs or waits, or is not known yet, as while it is planned."""
    return (
        not states.runs
        or bool(states.supervisors)
        or any(each.state in ("running", "pending") for each in states.runs)
    )


def is_worked_on(states: Status) -> bool:
    """Return whether a run is executed or queued, or somebody plans or supervises runs."""
    return bool(states.supervisors) or any(
        each.state == "running" or (each.state == "pending" and each.reason != status.NOT_STARTED)
        for each in states.runs
    )


def exit_code(states: Status) -> int:
    """Return the exit code of runs that have ended, or on which nobody works."""
    counts = states.counts
    if any(counts.get(state) for state in ("failed", "oom", "diverged", "lost")):
        return output.FAILED
    return output.DONE if states.runs and counts.get("done") == len(states.runs) else output.INTERRUPTED


def _screen(states: Status) -> Group:
    """Return as many lines of the status as the terminal has, none of them folded."""
    lines = list(status_table.lines(states))
    room = max(1, OUT.height - 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"and {len(lines) - room + 1} more lines: isoflop status"]
    return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))


class _Lines:
    """Prints the counts when they changed, the first time at once."""

    def __init__(self) -> None:
        self._pauses, self._shown = Pauses(), ""

    def __call__(self, states: Status) -> None:
        """Print the line, if it is new and due."""
        line = ", ".join(status_table.heading(states))
        if line != self._shown and (not self._shown or self._pauses.due()):
            self._shown = line
            OUT.print(line, markup=False)
