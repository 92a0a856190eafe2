"""Run cells on this machine, a process a cell, so that whatever happens to one costs only that one.

Children come from a fork server with torch preloaded (a few hundredths of a second each; a cold import takes
seconds). The parent runs no torch operation and imports no torch.
"""

from __future__ import annotations

from isoflop.sweep.grid import Cell
from isoflop.sweep.local import mps
from isoflop.sweep.local.packing import slots
from isoflop.sweep.local.stops import Level, heard
from isoflop.sweep.local.worker_pool import Crew, Watch
from isoflop.sweep.planning import Slots, plan

__all__ = ["Slots", "Watch", "plan", "run_cells", "slots"]


def run_cells(cells: tuple[Cell, ...], slots: Slots, watch: Watch) -> None:
    """Run every cell and see that each has its records in the end.

    A child that dies without writing them (killed, sys.exit, crash) gets them here, as failed, and so does
    one that takes too long (launch.timeout_seconds, launch.stall_seconds).

    Raises:
        KeyboardInterrupt: the sweep was asked to stop; cells in hand are accounted for.
        OSError: a record cannot be written (a full disk); cells in hand were stopped.
    """
    with heard() as stops, mps.daemon(wanted=slots.shared == "gpu") as environment:
        Crew(cells, slots, watch, environment).run(stops)
    if stops.level > Level.GO:
        raise KeyboardInterrupt
