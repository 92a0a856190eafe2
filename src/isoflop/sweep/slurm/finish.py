"""Finish a sweep under SLURM once every task has ended: python -m isoflop.sweep.slurm.finish DIR NAME

It accounts for cells that left no record. After the trials of learning rates it submits the cells; at the end
of a sweep it writes the table, which a sweep too small for a fit has too, and becomes `isoflop report`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from isoflop.sweep.slurm import reconcile, stages, submission
from isoflop.table import aggregate


def main(arguments: Sequence[str]) -> Path | None:
    """The folder to report on, or None where another stage has been submitted."""
    directory, name = Path(arguments[0]), arguments[1]
    made = submission.read(directory, name)
    for record in reconcile.account(directory, made):
        _say(f"{record.run_id}: {record.state}: {record.reason}")
    if made.sweep is not None:
        if stages.second_stage(made, directory, _say):
            return None
        directory = directory.parent
    aggregate.write(aggregate.aggregate(directory), directory)
    return directory


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


if __name__ == "__main__":
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    if ended is not None:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "isoflop", "report", str(ended)])
