"""The front door: run(config) -> records, by one process or by as many as launch.devices and launch.nodes
say.

One process trains by itself (attempt.py). For more, this process starts torchrun and trains nothing itself
(supervisor.py); where torchrun or srun has already started several, each of them joins the others (rank.py).
"""

from __future__ import annotations

import os

from isoflop import extras
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.runner import provenance, ranks
from isoflop.runner.request import RunRequest, Watch
from isoflop.runner.supervisor import supervise
from isoflop.runner.task import Task, shared_folder


def run(
    config: Config, request: RunRequest | None = None, *, watch: Watch | None = None
) -> tuple[Record, ...]:
    """Train one run, write a record a point to DIR/records as each is reached, and return the records.

    There is one point, or one a horizon with schedule.cooldowns. A run whose points are all done is not
    trained but its records returned, unless `request.again`. An interrupted run goes on from its last
    checkpoint. What happens to a run is a state of its records, never an exception: diverged, oom,
    interrupted, failed (with the traceback in DIR/logs). With several processes one that dies costs the
    attempt, which is recorded as failed, and the next attempt goes on from the checkpoint.

    Args:
        config: the run.
        request: how it is to be carried out.
        watch: called after each evaluation, in the main process.

    Raises:
        ValueError: the input cannot be used, or torch is not installed; nothing was trained or written.
        RecordBusyError: another process is working on this run.
        OSError: a record could not be written; nothing of it is left behind.
    """
    extras.check("training", "torch")
    request = request or RunRequest()
    rank = ranks.from_environment(os.environ)
    ranks.check(config.launch, rank, os.environ)
    try:
        config.check_batch()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if config.launch.processes == 1:
        from isoflop.runner.attempt import run_attempt  # imports torch, which takes seconds

        return run_attempt(config, request, watch=watch)
    with shared_folder(config) as folder:
        task = Task.of(config, request, provenance.command(), folder)
        if rank is None:
            return supervise(config, task, watch)
        from isoflop.runner.rank import join

        return join(task, rank, watch)


def is_main_process() -> bool:
    """Return whether this process writes to the terminal, where torchrun or srun has started several."""
    rank = ranks.from_environment(os.environ)
    return rank is None or rank.rank == 0
