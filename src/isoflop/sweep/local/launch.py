"""Execution of runs on this machine, each in a process, so that a crash costs only one run.

Children come from a fork server with torch preloaded: a few hundredths of a second each, where a cold import
takes seconds. The parent imports no torch.
"""

from __future__ import annotations

from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import mps, precompile
from isoflop.sweep.local.packing import choose_slots
from isoflop.sweep.local.stops import handle_stop_signals, stop_after
from isoflop.sweep.local.worker_pool import OnRunEnd, WorkerPool
from isoflop.sweep.planning import Slots, plan

__all__ = ["OnRunEnd", "Slots", "choose_slots", "plan", "run_all"]


def run_all(
    runs: tuple[PlannedRun, ...], slots: Slots, on_run_end: OnRunEnd, *, seconds: float | None = None
) -> None:
    """Execute every run and make sure that each has its records in the end.

    If a child dies without writing them (killed, sys.exit, crash) or is stopped for taking too long
    (launch.timeout_seconds, launch.stall_seconds), they are written here, with state failed.

    Args:
        runs: in the order in which they start.
        slots: how many at a time, on which devices.
        on_run_end: called in this process as each run ends.
        seconds: time limit; after it no run starts, and those under way write a checkpoint and end as
            interrupted. None: no limit.

    Raises:
        KeyboardInterrupt: a signal asked the sweep to stop; every run that was started has its records.
        OSError: a record cannot be written, as on a full disk; all runs were stopped.
    """
    with (
        handle_stop_signals() as stops,
        stop_after(seconds, stops),
        mps.daemon(wanted=slots.shared == "gpu") as environment,
        precompile.background(runs, slots),
    ):
        WorkerPool(runs, slots, on_run_end, environment).execute(stops)
    if stops.signalled:
        raise KeyboardInterrupt
