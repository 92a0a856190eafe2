"""Which devices a loop trains on, and the meter that reads them. Torch is used only if the loop uses it."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoflop.meter.device import hardware, visible
from isoflop.meter.device.nvml import canonical_uuid
from isoflop.meter.energy import rapl
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.record import Energy, Gpu
from isoflop.runner.recorder.errors import RecorderError

if TYPE_CHECKING:
    from isoflop.train.distributed import World

NO_GPU = "trained on the CPU"


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of this process.

    Attributes:
        kinds: their types as torch calls them, such as cpu or cuda.
        uuids: the GPUs, () for a processor.
        unknown: why it is not known which GPUs, or how to meter them; else None.
    """

    kinds: tuple[str, ...]
    uuids: tuple[str, ...] = ()
    unknown: str | None = None


def torch_module() -> Any:
    """Return torch if this process has imported it, else None: a loop without torch must not load it."""
    return sys.modules.get("torch")


def of_names(names: Iterable[str]) -> Devices:
    """Return devices by torch's names, such as `cuda:1`, `cuda` or `cpu`.

    `cuda` (or `gpu`) is torch's current GPU, or every visible one where the loop does not use torch. Parts of
    a model that are kept on the host beside a GPU do not count.

    Raises:
        RecorderError: there is no such device.
    """
    pairs = [str(name).partition(":") for name in names]
    found = {(kind.replace("gpu", "cuda"), number) for kind, _, number in pairs}
    kinds = tuple(sorted({kind for kind, _ in found}))
    if kinds == ("cpu",):
        return Devices(kinds)
    if not {"cuda"} <= set(kinds) <= {"cpu", "cuda"}:
        return Devices(kinds, unknown=f"isoflop has no meter for {' and '.join(kinds)}")
    torch = torch_module()
    if torch is None:
        gpus = visible.visible_gpus()
        return Devices(("cuda",), gpus.uuids or (), None if gpus.uuids else gpus.reason)
    from isoflop.runner.energy import gpu_uuids

    try:
        numbers = sorted(
            int(number or torch.cuda.current_device()) for kind, number in found if kind == "cuda"
        )
        uuids = [uuid for number in numbers for uuid in gpu_uuids(torch.device("cuda", number))]
    except (RuntimeError, AssertionError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        named = ", ".join("".join(pair) for pair in pairs)
        raise RecorderError(f"Recorder: device {named}: {first}") from None
    return Devices(("cuda",), tuple(dict.fromkeys(uuids)))


def of_model(model: Any) -> Devices | None:
    """Return the devices that hold a torch module's parameters, None for one without parameters."""
    names = {str(parameter.device) for parameter in model.parameters()}
    return of_names(sorted(names)) if names else None


def of_process() -> Devices:
    """Return the GPUs that this process may use, or the processor on a machine without."""
    found = visible.visible_gpus()
    if found.uuids is None:
        return Devices(("cuda",), unknown=found.reason)
    return Devices(("cuda",), found.uuids) if found.uuids else Devices(("cpu",))


def describe(devices: Devices) -> tuple[str, Gpu | None, str | None]:
    """Return the name of the (first) device and what NVML knows of it, or None and why it is unknown."""
    if devices.kinds == ("cpu",):
        return hardware.describe_cpu(), None, NO_GPU
    if not devices.uuids:
        return " and ".join(devices.kinds), None, devices.unknown
    known, reason = hardware.gpus()
    first = canonical_uuid(devices.uuids[0])
    gpu = next((each for each in known if canonical_uuid(each.uuid) == first), None)
    if gpu is None:
        torch = torch_module()
        name = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_initialized() else "cuda"
        return name, None, reason or f"NVML does not list {first}"
    return gpu.name, gpu, None


@dataclasses.dataclass(frozen=True)
class MeterSettings:
    """How to meter: seconds between polls, of the idle baseline, and an assumed power of a processor."""

    period_seconds: float = 0.1
    idle_seconds: float = 0.0
    cpu_watts: float | None = None


class RankMeter:
    """The meter of a loop of one or several processes: the first process of each node reads that node's
    devices, so that no counter is read twice.

    `measurement` is collective where there are several nodes; nothing else is after the constructor.
    """

    def __init__(
        self, devices: Devices, world: World | None, polls_path: Path, settings: MeterSettings
    ) -> None:
        gathered = [(socket.gethostname(), devices)]
        rank = 0
        if world is not None:
            gathered, rank = world.all_gather(gathered[0]), world.rank
        hosts = [host for host, _ in gathered]
        self._world, self.nodes = world, len(set(hosts))
        self._unknown = next((each.unknown for _, each in gathered if each.unknown), None)
        self.own: WindowMeter | None = None
        if hosts.index(hosts[rank]) != rank:
            return
        node = list(dict.fromkeys(hosts)).index(hosts[rank])
        uuids = tuple(dict.fromkeys(u for host, each in gathered if host == hosts[rank] for u in each.uuids))
        self.own = WindowMeter(
            uuids,
            host=rapl.find(),
            cpu_watts=settings.cpu_watts,
            period_seconds=settings.period_seconds,
            idle_seconds=settings.idle_seconds,
            polls_path=polls_path.with_suffix(f".node{node}.jsonl") if node else polls_path,
            no_gpu=NO_GPU,
        )

    def joules_so_far(self) -> float | None:
        """Return the joules up to now; None where they are not known, as of several nodes."""
        if self.own is None or self._unknown or self.nodes > 1:
            return None
        return self.own.joules_so_far(self._windows())

    def measurement(self) -> tuple[Energy | None, str | None]:
        """Return the energy of all windows, or None and the reason. Collective for several nodes."""
        measured = self._measured_here()
        if self.nodes == 1 or self._world is None:
            return measured
        from isoflop.runner.energy import over_nodes

        parts = [part for part in self._world.all_gather(measured) if part != (None, None)]
        reason = next((reason for energy, reason in parts if energy is None), None)
        energies = [energy for energy, _ in parts if energy is not None]
        return (None, reason) if reason else (over_nodes(energies), None)

    def at_checkpoint(self) -> tuple[Energy | None, str | None]:
        """Return the energy up to now without asking other nodes, which may not be saving."""
        if self.nodes > 1:
            return None, "several nodes: not read at a checkpoint"
        return self._measured_here()

    def _measured_here(self) -> tuple[Energy | None, str | None]:
        if self.own is None:
            return None, None
        return (None, self._unknown) if self._unknown else self.own.measurement(self._windows())

    def _windows(self) -> Sequence[Any]:
        assert self.own is not None
        current = self.own.open_window
        return (*self.own.windows, *((current,) if current else ()))


def threads() -> int:
    """Return the threads of torch, or of the processor where the loop does not use torch."""
    torch = torch_module()
    return int(torch.get_num_threads()) if torch is not None else len(os.sched_getaffinity(0))
