"""Last job of a submission, when every task has ended: python -m isoflop.sweep.slurm.finish DIR NAME

Writes records for runs that left none. After trials of learning rates it submits the runs of the sweep. At
the end of a sweep it writes the table (a sweep too small for a fit has one too) and becomes `isoflop report`,
for which too few points are no failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from isoflop import signals
from isoflop.notices import notify
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


if __name__ == "__main__":
    try:
        signals.interrupt_on_stop()
        finished = main(sys.argv[1:])
    except KeyboardInterrupt:
        notify("interrupted: isoflop report goes on, or the same sweep command")
        sys.exit(INTERRUPTED)
    sys.stdout.flush()
    if finished is not None:
        # exec: the exit code of the job is that of the report, and memory is not held twice.
        os.execv(sys.executable, report_command(finished))
