"""Stages of a sweep under SLURM: one submission, or two if learning rates are chosen first.

With sweep.lr_grid the trials are submitted first; the job that finishes them chooses the rates and submits
the runs of the sweep. `--wait` follows both stages.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from isoflop.config import Config, from_dict, to_dict
from isoflop.sweep import grid, prior_runs, retry, tune, user_copies
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slurm import queue, reconcile, submission, submit
from isoflop.sweep.slurm.queue import SlurmError
from isoflop.sweep.slurm.submission import Submission

Notify = Callable[[str], object]
"""Shows one line to the user."""
SHORTEST_POLL_SECONDS = 2.0
LONGEST_POLL_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Request:
    """Options of `isoflop sweep`: states to run again, only show what would happen, wait until the end."""

    states: tuple[str, ...]
    dry_run: bool = False
    wait: bool = False


Plan = Callable[[tuple[PlannedRun, ...], Path], tuple[PlannedRun, ...]]
"""Plans the runs of a folder as submit.plan does, and may show how far that is."""


def plan_unseen(runs: tuple[PlannedRun, ...], directory: Path) -> tuple[PlannedRun, ...]:
    """Plan runs without showing how far that is, as in a job that nobody looks at."""
    return submit.plan(runs)


def sweep(
    base: Config,
    runs: tuple[PlannedRun, ...],
    request: Request,
    notify: Notify,
    plan: Plan = plan_unseen,
) -> tuple[PlannedRun, ...] | None:
    """Submit the missing runs of a sweep.

    Args:
        base: configuration of the sweep.
        runs: its runs.
        request: options of the command.
        notify: shows a line to the user.
        plan: plans the runs.

    Returns the runs at their final learning rates if they were waited for or nothing is left to run, else
    None.

    Raises:
        ConfigError: a run's input, or an option for SLURM, cannot be used; nothing is queued.
        SlurmError: SLURM does not answer.
        OSError: the folder cannot be written.
    """
    directory = base.directory
    if base.sweep.lr_grid:
        trials, tuning = tune.trials(runs, base.sweep.lr_grid), directory / tune.FOLDER
        if not _train_before(base, trials, tuning, request, notify, plan):
            return None
        first, queued = _submit_missing(base, trials, tuning, request, notify, plan, stage=to_dict(base))
        if request.dry_run or ((first or queued) and not request.wait):
            return None
        if first or queued:
            _follow(tuning, notify)
        runs = with_chosen_rates(base, runs)
    if not _train_before(base, runs, directory, request, notify, plan):
        return None
    submitted, queued = _submit_missing(base, runs, directory, request, notify, plan)
    if request.dry_run or ((submitted or queued) and not request.wait):
        return None
    if submitted or queued:
        _follow(directory, notify)
    return runs


def _train_before(
    base: Config, runs: tuple[PlannedRun, ...], directory: Path, request: Request, notify: Notify, plan: Plan
) -> bool:
    """Submit what the missing runs need before them (prior_runs); return whether they can be submitted now.

    Arguments as of _submit_missing. Raises as `sweep`.
    """
    missing = retry.select(runs, directory, request.states)
    before = prior_runs.needed(missing)
    if not before:
        return True
    place = before[0].config.directory
    if not _train_before(base, before, place, request, notify, plan):
        return False
    submitted, queued = _submit_missing(base, before, place, request, notify, plan)
    if request.dry_run:
        return True
    if not (submitted or queued):
        prior_runs.copy_records(runs, directory)
        return True
    if not request.wait:
        notify("other runs need these before them: give the same command again when they are done, or --wait")
        return False
    _follow(place, notify)
    prior_runs.copy_records(runs, directory)
    return True


def with_chosen_rates(base: Config, runs: tuple[PlannedRun, ...]) -> tuple[PlannedRun, ...]:
    """Return the runs at the learning rates that were best in the trials; copy trials that are such runs."""
    tuned = tune.apply_choices(runs, tune.choose(runs, base.sweep.lr_grid))
    tune.copy_trial_records(tuned)
    return tuned


def submit_second_stage(first: Submission, tuning: Path, notify: Notify) -> bool:
    """Submit the runs at the rates chosen from the ended trials of `first`; return whether there were any.

    Raises: as `sweep`.
    """
    assert first.sweep is not None
    directory = tuning.parent  # may have been moved or renamed since the sweep was submitted
    base = dataclasses.replace(from_dict(first.sweep), out=str(directory))
    runs = with_chosen_rates(base, grid.expand(base))
    request = Request(retry.DEFAULT)
    if not _train_before(base, runs, directory, request, notify, plan_unseen):
        return True
    submitted, _ = _submit_missing(*(base, runs, directory, request, notify, plan_unseen), follows=first.name)
    return submitted is not None


def _submit_missing(
    base: Config,
    runs: tuple[PlannedRun, ...],
    directory: Path,
    request: Request,
    notify: Notify,
    plan: Plan,
    *,
    follows: str | None = None,
    stage: dict[str, object] | None = None,
) -> tuple[Submission | None, int]:
    """Submit the runs that are to be executed and are not queued yet.

    Args:
        base: configuration of the sweep.
        runs: all runs of this stage.
        directory: folder of their records.
        request: options of the command.
        notify: shows a line to the user.
        plan: plans the runs.
        follows: as for submit.submit.
        stage: as for submit.submit.

    Returns:
        The submission, if there was anything to submit, and the number of runs that were queued already.
    """
    todo = {planned.run_id for planned in retry.select(runs, directory, request.states)}
    queued = _queued(directory, request) & todo
    message = f"{directory}: {len(runs)} runs, {len(todo - queued)} to run"
    notify(f"{message}, {len(queued)} queued or running already" if queued else message)
    if not todo - queued:
        return None, len(queued)
    submit.check(base.launch)
    sized = plan(runs, directory)
    ordered = tuple(planned for planned in sized if planned.run_id in todo - queued)
    if request.dry_run:
        if base.launch.name == "slurm":
            notify(submit.preview(len(ordered), base, directory))
        return None, len(queued)
    sized, ordered = user_copies.pin(sized, directory), user_copies.pin(ordered, directory)
    submitted = submit.submit(ordered, base, directory, follows=follows, stage=stage)
    grid.write_manifest(sized, directory)
    notify(f"submitted {', '.join(submitted.jobs)}: isoflop status {directory} --watch")
    return submitted, len(queued)


def _queued(directory: Path, request: Request) -> frozenset[str]:
    """Return the run_ids in the queue. A dry run works without SLURM; a real one would submit them twice."""
    try:
        return submit.queued_run_ids(directory)
    except SlurmError:
        if request.dry_run:
            return frozenset()
        raise


def _follow(directory: Path, notify: Notify) -> None:
    """Wait until no job of the folder's submissions waits or runs, then write the missing records.

    A controller that does not answer (it restarts, it is overloaded) is asked again. The pause between two
    queries grows, since many users polling squeue is what overloads it.
    """
    pause, shown = SHORTEST_POLL_SECONDS, -1
    while True:
        submissions = submission.read_submissions(directory)
        jobs = {job for each in submissions for job in each.jobs}
        try:
            active = queue.active_tasks({each.user_id for each in submissions})
            left = sum(task[0] in jobs for task in active)
        except SlurmError as error:
            notify(f"{error}: asking again")
            left = -1
        if left == 0:
            break
        if left != shown and left > 0:
            notify(f"{left} tasks wait or run")
            shown, pause = left, SHORTEST_POLL_SECONDS
        time.sleep(pause)
        pause = min(LONGEST_POLL_SECONDS, pause * 1.5)
    for each in submissions:
        reconcile.write_missing_records(directory, each)
