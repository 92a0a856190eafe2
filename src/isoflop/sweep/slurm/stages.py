"""A sweep under SLURM from its cells to its end: one submission, or two where learning rates are chosen.

With sweep.lr_grid the trials are submitted first; the job that finishes them chooses the rates and submits
the cells. `--wait` follows both.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from isoflop.config import Config, from_dict, to_dict
from isoflop.sweep import grid, retry, tune
from isoflop.sweep.grid import Cell
from isoflop.sweep.slurm import queue, reconcile, submission, submit
from isoflop.sweep.slurm.queue import SlurmError
from isoflop.sweep.slurm.submission import Submission

Say = Callable[[str], object]
SHORTEST_POLL_SECONDS = 2.0
LONGEST_POLL_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asks of a sweep: which states to run again, only to show, to stay until the end."""

    states: tuple[str, ...]
    dry_run: bool = False
    wait: bool = False


def sweep(base: Config, cells: tuple[Cell, ...], request: Request, say: Say) -> tuple[Cell, ...] | None:
    """Submit what is missing of a sweep. The cells at their final learning rates where it was waited for or
    nothing is left to run, else None.

    Raises:
        ConfigError: a cell's input, or an option for SLURM, cannot be used; nothing is queued.
        SlurmError: SLURM does not answer.
        OSError: the folder cannot be written.
    """
    directory = base.directory
    if base.sweep.lr_grid:
        trials = tune.trials(cells, base.sweep.lr_grid)
        first, busy = _queue(base, trials, directory / tune.FOLDER, request, say, stage=to_dict(base))
        if request.dry_run or ((first or busy) and not request.wait):
            return None
        if first or busy:
            _follow(directory / tune.FOLDER, say)
        cells = chosen(base, cells)
    made, busy = _queue(base, cells, directory, request, say)
    if request.dry_run or ((made or busy) and not request.wait):
        return None
    if made or busy:
        _follow(directory, say)
    return cells


def chosen(base: Config, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """The cells at the learning rates that the trials show to be best; trials that are cells are copied."""
    made = tune.tuned(cells, tune.choose(cells, base.sweep.lr_grid))
    tune.adopt(made)
    return made


def second_stage(first: Submission, tuning: Path, say: Say) -> bool:
    """Submit the cells at the rates chosen from the ended trials of `first`; whether there were any to run.

    Raises: as `sweep`.
    """
    assert first.sweep is not None
    directory = tuning.parent
    base = dataclasses.replace(from_dict(first.sweep), out=str(directory))
    cells = chosen(base, grid.expand(base))
    request = Request(retry.DEFAULT)
    made, _ = _queue(base, cells, directory, request, say, follows=first.name)
    return made is not None


def _queue(
    base: Config,
    cells: tuple[Cell, ...],
    directory: Path,
    request: Request,
    say: Say,
    *,
    follows: str | None = None,
    stage: dict[str, object] | None = None,
) -> tuple[Submission | None, int]:
    """Submit the cells that are to be run and not queued yet: the submission, if any, and how many are."""
    todo = {cell.run_id for cell in retry.select(cells, directory, request.states)}
    queued = _busy(directory, request) & todo
    words = f"{directory}: {len(cells)} cells, {len(todo - queued)} to run"
    say(f"{words}, {len(queued)} queued or running already" if queued else words)
    if not todo - queued:
        return None, len(queued)
    submit.check(base.launch)
    planned = submit.plan(cells)
    ordered = tuple(cell for cell in planned if cell.run_id in todo - queued)
    if request.dry_run:
        if base.launch.name == "slurm":
            say(submit.preview(len(ordered), base, directory))
        return None, len(queued)
    made = submit.submit(ordered, base, directory, follows=follows, stage=stage)
    grid.write_manifest(planned, directory)
    say(f"submitted {', '.join(made.jobs)}: isoflop status {directory}")
    return made, len(queued)


def _busy(directory: Path, request: Request) -> frozenset[str]:
    try:
        return submit.busy(directory)
    except SlurmError:
        if request.dry_run:
            return frozenset()
        raise


def _follow(directory: Path, say: Say) -> None:
    """Wait until no job of the folder's submissions waits or runs, and account for what they left open.

    While SLURM does not answer, it is asked again.
    """
    pause, shown = SHORTEST_POLL_SECONDS, -1
    while True:
        known = submission.read_all(directory)
        jobs = {job for each in known for job in each.jobs}
        try:
            left = sum(task[0] in jobs for task in queue.active({each.user_id for each in known}))
        except SlurmError as error:
            say(f"{error}: asking again")
            left = -1
        if left == 0:
            break
        if left != shown and left > 0:
            say(f"{left} tasks wait or run")
            shown, pause = left, SHORTEST_POLL_SECONDS
        time.sleep(pause)
        pause = min(LONGEST_POLL_SECONDS, pause * 1.5)
    for each in known:
        reconcile.account(directory, each)
