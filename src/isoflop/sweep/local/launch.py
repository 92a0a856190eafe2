"""Execution of runs on this machine, in processes of their own, so that a crash costs only one run.

Children come from a fork server with torch preloaded: a few hundredths of a second each, where a cold import
takes seconds. On a CPU each run has one; on a GPU one goes on from run to run. The parent imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from isoflop import signals
from isoflop.config import Config
from isoflop.sweep import children
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import mps, precompile
from isoflop.sweep.local.agenda import Agenda, MeterShape, anchor_of
from isoflop.sweep.local.metering_results import MeteringResults
from isoflop.sweep.local.packing import choose_slots
from isoflop.sweep.local.stops import handle_stop_signals, stop_after
from isoflop.sweep.local.worker_pool import OnRunEnd, OnTick, WorkerPool
from isoflop.sweep.planning import plan
from isoflop.sweep.slots import Slots

__all__ = ["OnRunEnd", "OnTick", "Slots", "choose_slots", "plan", "run_all"]


def run_all(
    runs: tuple[PlannedRun, ...],
    slots: Slots,
    on_run_end: OnRunEnd,
    whole: tuple[PlannedRun, ...] | None = None,
    *,
    seconds: float | None = None,
    on_tick: OnTick | None = None,
) -> None:
    """Execute every run and make sure that each has its records in the end.

    If a child dies without writing them (killed, sys.exit, crash) or is stopped for taking too long
    (launch.timeout_seconds, launch.stall_seconds), they are written here, with state failed. On GPUs that no
    runs share each shape is metered after its last run, which completes the records of all its runs.

    Args:
        runs: the runs to execute, in this order.
        slots: how many at a time, on which devices.
        on_run_end: called as each run ends.
        whole: all runs of the sweep, those that are done already included; default: `runs`.
        seconds: time limit; after it no run starts, and those under way write a checkpoint and end as
            interrupted. None: no limit.
        on_tick: called several times a second with the jobs in hand.

    Raises:
        KeyboardInterrupt: a signal asked the sweep to stop; every run that was started has its records.
        OSError: a record cannot be written, as on a full disk; all runs were stopped.
    """
    whole = whole or runs
    anchor = anchor_of(whole) if whole and whole[0].config.sweep.anchor else None
    with precompile.background(runs, slots):
        compiling = precompile.planned_processes(runs, slots)
        agenda, results = Agenda(runs, slots, anchor=anchor), MeteringResults(whole)
        processes = 1 + compiling
        _execute(
            agenda, slots, on_run_end, results, own_processes=processes, seconds=seconds, on_tick=on_tick
        )


def meter_shapes(
    shapes: Sequence[Config], runs: Sequence[PlannedRun], slots: Slots, *, seconds: float | None = None
) -> int:
    """Meter shapes that have been trained, complete the records of their runs and return how many points.

    Args:
        shapes: a configuration of each shape.
        runs: the runs whose records are completed.
        slots: where to meter.
        seconds: time limit; a shape that is being metered then is given up. None: no limit.

    Raises:
        KeyboardInterrupt: asked to stop.
        OSError: a record cannot be written.
    """
    results = MeteringResults(runs)
    due = [MeterShape(config, config.shape_id) for config in shapes if results.needs_measurement(config)]
    if due:
        agenda = Agenda((), slots, shapes=due)
        _execute(agenda, slots, lambda planned, written: None, results, seconds=seconds)
    return results.completed


def _execute(
    agenda: Agenda,
    slots: Slots,
    on_run_end: OnRunEnd,
    results: MeteringResults,
    *,
    own_processes: int = 1,
    seconds: float | None = None,
    on_tick: OnTick | None = None,
) -> None:
    """Do everything on the agenda.

    Args:
        agenda: what to do.
        slots: where.
        on_run_end: called as each run ends.
        results: takes what is metered.
        own_processes: compute processes of this sweep on a GPU, those that only compile included.
        seconds, on_tick: as in run_all.

    Raises:
        KeyboardInterrupt: asked to stop.
        OSError: a record cannot be written.
    """
    children.wait_for_fork_server()
    with (
        handle_stop_signals() as stops,
        stop_after(seconds, stops),
        mps.daemon(wanted=slots.shared == "gpu") as environment,
    ):
        pool = WorkerPool(agenda, slots, on_run_end, results, environment, own_processes, on_tick)
        pool.execute(stops)
    if stops.signalled:
        signals.settle()
        raise KeyboardInterrupt
