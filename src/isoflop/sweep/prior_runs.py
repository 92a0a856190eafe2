"""Runs that the runs of a sweep need before them: teachers, and the networks that are pruned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isoflop import record as records
from isoflop.config import prior
from isoflop.sweep.grid import PlannedRun


def needed(runs: Iterable[PlannedRun]) -> tuple[PlannedRun, ...]:
    """Return what runs need directly before them, each once; those may need others in their turn."""
    before = (prior.of(each.config) for each in runs)
    made = {config.run_id: config for config in before if config is not None}
    return tuple(PlannedRun(run_id, {}, config) for run_id, config in made.items())


def dry_run_lines(runs: Iterable[PlannedRun]) -> tuple[str, ...]:
    """Return what a dry run says of the runs that come before others; nothing where there are none."""
    before = {config.run_id: config for each in runs for config in prior.chain(each.config)}
    if not before:
        return ()
    return (
        f"up to {len(before)} runs, which are not shown, come before those that need them: teachers, dense "
        "networks, earlier rounds of pruning",
    )


def copy_records(runs: Iterable[PlannedRun], directory: Path) -> None:
    """Copy the records of runs that were trained for others already: the dense network that is pruned is the
    baseline's run of that seed and rate.

    Args:
        runs: runs of a stage; those that keep their weights are trained where they belong.
        directory: folder of their records.
    """
    for each in runs:
        place = prior.folder(each.config)
        if each.config.launch.keep_weights or place == directory:
            continue
        for run_id in each.config.point_ids.values():
            target, source = records.path_of(directory, run_id), records.path_of(place, run_id)
            if not target.is_file() and records.is_done(source):
                records.write(records.read(source), directory)
