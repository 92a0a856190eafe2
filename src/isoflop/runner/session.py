"""The meter of one GPU that a process keeps while it goes on from run to run, and the shape's work so far.

One sampler and one idle baseline serve all runs of the process, and the windows of a shape's runs follow one
another closely enough to be one block (meter/energy/blocks.py). Each run still leaves its own polls in
DIR/power.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from isoflop.config import Config
from isoflop.config.launch import Shared
from isoflop.meter.energy.polls import Window
from isoflop.meter.energy.window_meter import IdlePower, WindowMeter
from isoflop.runner import energy


@dataclasses.dataclass(frozen=True)
class ShapeWork:
    """Windows of the runs of one shape that this process has trained, and the examples trained in them."""

    shape_id: str | None = None
    windows: tuple[Window, ...] = ()
    examples: int = 0
    runs: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Length of the windows."""
        return sum(window.seconds for window in self.windows)


class Session:
    """A meter that stays, and the work of the shape in hand.

    Args:
        config: any run; its folder and its meter's settings are those of the session.
        device: the GPU.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.settings, self.directory = config.meter, config.directory
        if device.type == "cuda":
            torch.zeros((), device=device)  # idle power is that of a GPU with a context
        self._polls = config.directory / "power" / f"worker-{os.getpid()}.jsonl"
        self.meter = WindowMeter(
            energy.gpu_uuids(device),
            host=energy.processor(_shared),
            cpu_watts=config.meter.cpu_watts,
            period_seconds=config.meter.period_seconds,
            polls_path=self._polls,
            own_processes=_own_processes,
            no_gpu=energy.NO_GPU,
        )
        self.meter.__enter__()
        if _known_idle is not None:
            self.meter.use_idle(_known_idle)
        self.work = ShapeWork()

    def close(self) -> None:
        """End the sampler. The polls of each run have been copied: the common file goes."""
        self.meter.__exit__(None, None, None)
        self._polls.unlink(missing_ok=True)

    def begin(self, shape_id: str) -> None:
        """Start anew if the shape is another than the last one's."""
        if self.work.shape_id != shape_id:
            self.work = ShapeWork(shape_id)
            self.meter.forget_polls_before(time.monotonic() - KEPT_SECONDS)

    def add(self, run_id: str, windows: Sequence[Window], examples: int) -> None:
        """Add what a run of the present shape has trained."""
        before = self.work
        self.work = dataclasses.replace(
            before,
            windows=(*before.windows, *windows),
            examples=before.examples + examples,
            runs=(*before.runs, run_id),
        )

    def copy_polls(self, mark: int, path: Path) -> None:
        """Append the polls since `mark` to `path`. A full disk costs the polls and not the run."""
        if lines := self.meter.polls_since(mark):
            with contextlib.suppress(OSError), path.open("ab") as file:
                file.write(lines)


KEPT_SECONDS = 10.0
"""Polls of before a new shape that are kept: they lie around the first edge."""
_open: dict[torch.device, Session] = {}
"""The session of this process on each device, at most one."""
_known_idle: IdlePower | None = None
_shared: Shared = "nothing"
_own_processes = 1


def configure(*, idle: IdlePower | None, shared: Shared, own_processes: int = 1) -> None:
    """Tell the sessions of this process about its sweep, before the first of them.

    Args:
        idle: power of the idle GPU, if an earlier process of the sweep has measured it.
        shared: what the runs of the sweep share.
        own_processes: compute processes of the sweep on a GPU: more of them are foreign.
    """
    global _known_idle, _shared, _own_processes
    _known_idle, _shared, _own_processes = idle, shared, own_processes


def of(config: Config, device: torch.device) -> Session:
    """Return this process's session on a device, a new one where folder or meter settings are others."""
    session = _open.get(device)
    if session is None or (session.settings, session.directory) != (config.meter, config.directory):
        close_all()
        session = _open[device] = Session(config, device)
    return session


def close_all() -> None:
    """End every session of this process."""
    while _open:
        _open.popitem()[1].close()


@contextlib.contextmanager
def kept_meter(config: Config, device: torch.device) -> Iterator[WindowMeter]:
    """Meter one run with the session's meter, and leave its polls where those of a single run lie."""
    session = of(config, device)
    session.begin(config.shape_id)
    mark = session.meter.mark()
    try:
        yield session.meter
    finally:
        session.copy_polls(mark, config.directory / "power" / f"{config.run_id}.jsonl")
