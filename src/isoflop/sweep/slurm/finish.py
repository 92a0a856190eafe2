"""Last job of a submission, when every task has ended: python -m isoflop.sweep.slurm.finish DIR NAME

Writes records for runs that left none. After trials of learning rates it submits the runs of the sweep. At
the end of a sweep it writes the table (a sweep too small for a fit has one too) and becomes `isoflop report`,
for which too few points are no failure. Where the user has a command for the end (launch.on_end), the report
is a child, and the command comes after it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from isoflop import signals
from isoflop.notices import notify
from isoflop.sweep import manifest, on_end, status
from isoflop.sweep.on_end import Ended
from isoflop.sweep.slurm import reconcile, stages, submission
from isoflop.table import aggregate

INTERRUPTED = 75
"""As cli.output.INTERRUPTED."""


def main(arguments: Sequence[str]) -> Path | None:
    """Return the folder to report on, or None if the second stage has been submitted."""
    directory, name = Path(arguments[0]), arguments[1]
    submitted = submission.read_submission(directory, name)
    for record in reconcile.write_missing_records(directory, submitted):
        _print_line(f"{record.run_id}: {record.state}: {record.reason}")
    if submitted.sweep is not None:
        if stages.submit_second_stage(submitted, directory, _print_line):
            return None
        directory = directory.parent
    aggregate.write(aggregate.aggregate(directory), directory)
    return directory


def _print_line(message: str) -> None:
    sys.stdout.write(f"{message}\n")


def report_command(directory: Path) -> list[str]:
    """Return the command that this process becomes at the end of a sweep."""
    return [sys.executable, "-P", "-m", "isoflop", "report", str(directory), "--unattended"]


def end_of(submitted_in: Path, name: str, directory: Path) -> tuple[str | None, Ended]:
    """Return the user's command for the end of a submission, and what its sweep came to: the runs that the
    manifest of `directory` lists. Trials of learning rates are submitted in a folder of their own."""
    first = manifest.read_runs(submission.runs_path(submitted_in, name), 1, 1)[0].config
    counts = status.read_status(directory)
    runs, done = len(counts.runs), counts.counts.get("done", 0)
    return first.launch.on_end, Ended(directory, first.sweep.name, 0 if done == runs else 1, runs, done)


def report_and_end(directory: Path, command: str, ended: Ended) -> int:
    """Report, then run the user's command; return the exit code of the report, which is that of the job."""
    code = subprocess.run(report_command(directory), check=False).returncode
    on_end.run(command, ended)
    return code


if __name__ == "__main__":
    try:
        signals.interrupt_on_stop()
        finished = main(sys.argv[1:])
        sys.stdout.flush()
        if finished is not None:
            users_command, came_to = end_of(Path(sys.argv[1]), sys.argv[2], finished)
            if users_command is not None:
                sys.exit(report_and_end(finished, users_command, came_to))
    except KeyboardInterrupt:
        notify("interrupted: isoflop report goes on, or the same sweep command")
        sys.exit(INTERRUPTED)
    if finished is not None:
        # exec: the exit code of the job is that of the report, and memory is not held twice.
        os.execv(sys.executable, report_command(finished))
