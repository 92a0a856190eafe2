"""How a run is to be carried out. Torch-free, so that a supervisor can hand it on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from isoflop.config.launch import Shared
from isoflop.record import CurvePoint

Watch = Callable[[CurvePoint, int], None]
"""Called after each evaluation with the point and the number of steps of the run."""


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """How a run is to be carried out, beside its configuration; none of it changes the result.

    Attributes:
        device_index: the GPU to train on; of several processes a node, that of the first.
        command_line: what the record names as its command; None for this process's own.
        lr_interior: whether the learning rate was the best of a grid and not at its edge; None without a
            grid.
        again: train although the run is done. A finished record is only ever replaced by another finished
            one.
        runs_of_step: runs of the sweep, this one included, that can use one compiled step (Config.step_id).
        shared: what other runs use at the same time, so that the joules of this one cannot be told apart.
        metering: `run`, the run is metered by itself, with an idle baseline and, if it is short, a replay of
            its own; `shape`, the process goes on to other runs with the same meter, and the energy of the
            shape is measured after its last run (runner/shape.py).
    """

    device_index: int = 0
    command_line: str | None = None
    lr_interior: bool | None = None
    again: bool = False
    shared: Shared = "nothing"
    metering: Literal["run", "shape"] = "run"
    runs_of_step: int = 1
