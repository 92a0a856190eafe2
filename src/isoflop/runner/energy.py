"""The energy of one run: its meter and its windows."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import torch

from isoflop.config import Config
from isoflop.config.launch import METER_OFF, SHARED_GPU, Shared
from isoflop.meter.energy import rapl
from isoflop.meter.energy.polls import Window
from isoflop.meter.energy.total import total
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.record import Energy
from isoflop.runner.state import TrainedPoint
from isoflop.train.distributed import SINGLE, World

NO_GPU = "trained on the CPU"
SHARED_PROCESSOR = "runs side by side share the processor: launch.workers=1 meters them"


class WorldMeter:
    """The meters of all nodes as one: every process holds it, the first process of each node reads the
    sensors.

    All processes of the world enter it and call `has_readings`, `joules_so_far` and `measurement` together;
    each gets the sum over nodes. Windows are those of WindowMeter, by each process's own monotonic clock.
    """

    def __init__(self, world: World, own: WindowMeter | None) -> None:
        self._world, self._own = world, own
        self._windows: list[Window] = []
        self._opened: float | None = None

    def __enter__(self) -> WorldMeter:
        """Start the meters; no process trains before every idle baseline is taken."""
        if self._own:
            self._own.__enter__()
        self._world.all_gather(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End this process's sampler."""
        if self._own:
            self._own.__exit__(kind, error, trace)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The closed windows."""
        return tuple(self._windows)

    @property
    def has_readings(self) -> bool:
        """Whether any sensor of any node has been read."""
        return any(self._world.all_gather(self._own is not None and self._own.has_readings))

    def begin(self) -> None:
        """Open a window."""
        assert self._opened is None, "end() the window before the next begin()"
        self._opened = time.monotonic()

    def end(self) -> None:
        """Close the window."""
        assert self._opened is not None, "begin() a window before end()"
        self._windows.append(Window(self._opened, time.monotonic()))
        self._opened = None

    def joules_so_far(self, windows: Sequence[Window] | None = None) -> float | None:
        """Return joules as WindowMeter does, summed over all nodes; None where one of them is unknown."""
        chosen = self.windows if windows is None else windows
        gathered = self._world.all_gather([self._own.joules_so_far(chosen)] if self._own else [])
        joules = [value for node in gathered for value in node]
        known = [value for value in joules if value is not None]
        return sum(known) if len(known) == len(joules) else None

    def watts_lately(self) -> None:
        """Return None: the power of one node is not that of the run, and nodes do not meet for a display."""

    def measurement(
        self, windows: Sequence[Window] | None = None, *, replayed: bool = False
    ) -> tuple[Energy | None, str | None]:
        """Return a measurement as WindowMeter does, summed over all nodes; unknown where one of them is."""
        chosen = self.windows if windows is None else windows
        own = self._own.measurement(chosen, replayed=replayed) if self._own else None
        measured = [each for each in self._world.all_gather(own) if each is not None]
        reason = next((reason for energy, reason in measured if energy is None), None)
        energies = [energy for energy, _ in measured if energy is not None]
        return (over_nodes(energies), None) if len(energies) == len(measured) else (None, reason)


Meter = WindowMeter | WorldMeter


def over_nodes(parts: Sequence[Energy]) -> Energy:
    """Return the energy of nodes that train together: joules and idle watts add up, seconds do not."""
    if len(parts) == 1:
        return parts[0]
    idle = [part.idle_watts for part in parts if part.idle_watts is not None]
    whole = total(parts)
    return dataclasses.replace(
        whole,
        window_seconds=max(part.window_seconds for part in parts),
        idle_watts=None if whole.idle_watts is None else sum(idle),
        grade_reasons=(f"summed over {len(parts)} nodes", *whole.grade_reasons[1:]),
    )


@contextlib.contextmanager
def metered_window(meter: Meter | None) -> Iterator[None]:
    """Count what is drawn while this is open as energy of the run."""
    if meter is None:
        yield
        return
    meter.begin()
    try:
        yield
    finally:
        meter.end()


def energy_meter(
    config: Config, device: torch.device, world: World = SINGLE, *, shared: Shared
) -> contextlib.AbstractContextManager[Meter | None]:
    """Return the meter of the device's GPU or of the processor, or None where none is to be read.

    With several processes all call this, and the first of each node meters all GPUs of that node: a counter
    per process would count each GPU as often as there are processes.
    """
    if config.meter.energy == "none" or shared == "gpu":
        return contextlib.nullcontext()
    if world.group is None:
        return _meter(config, gpu_uuids(device), "", shared)
    processes = world.all_gather((socket.gethostname(), gpu_uuids(device)))
    hosts = [host for host, _ in processes]
    own_host = hosts[world.rank]
    is_first_of_node = hosts.index(own_host) == world.rank
    uuids = tuple(dict.fromkeys(uuid for host, own in processes if host == own_host for uuid in own))
    node = list(dict.fromkeys(hosts)).index(own_host)
    suffix = f".node{node}" if node else ""
    return WorldMeter(world, _meter(config, uuids, suffix, shared) if is_first_of_node else None)


def _meter(config: Config, uuids: tuple[str, ...], suffix: str, shared: Shared) -> WindowMeter:
    return WindowMeter(
        uuids,
        host=processor(shared),
        cpu_watts=config.meter.cpu_watts,
        period_seconds=config.meter.period_seconds,
        idle_seconds=config.meter.idle_seconds,
        polls_path=config.directory / "power" / f"{config.run_id}{suffix}.jsonl",
        no_gpu=NO_GPU,
    )


def processor(shared: Shared) -> rapl.Domains:
    """Return the processor's energy counters, or why they cannot be read for this run alone."""
    counters = rapl.find()
    return rapl.Domains((), SHARED_PROCESSOR) if counters.domains and shared != "nothing" else counters


def gpu_uuids(device: torch.device) -> tuple[str, ...]:
    """Return the GPU's UUID as NVML writes it, or () for a CPU. Torch and NVML number GPUs differently."""
    if device.type != "cuda":
        return ()
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return (uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",)


def energy_of(
    trained: TrainedPoint, meter: Meter | None, *, shared: Shared
) -> tuple[Energy | None, str | None]:
    """Return the joules of a point, those of earlier attempts included, or None and why they are unknown."""
    if meter is None:
        return None, SHARED_GPU if shared == "gpu" else METER_OFF
    earlier = trained.earlier_energy
    if earlier.reason:
        return None, f"an earlier attempt's energy is unknown: {earlier.reason}"
    now, reason = meter.measurement(trained.windows)
    return (total((*earlier.energies, now)), None) if now else (None, reason)
