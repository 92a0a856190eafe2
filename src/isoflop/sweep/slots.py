"""How many runs of a sweep execute at a time, and on which GPUs and cores of this machine."""

from __future__ import annotations

import dataclasses
import os

from isoflop.config.launch import LaunchConfig, Shared


@dataclasses.dataclass(frozen=True)
class Slots:
    """Places in which runs execute at the same time.

    A run takes a group of `devices` neighbouring GPUs. Slot i uses group i modulo the number of groups, so
    that with more workers than groups several runs share the GPUs of a group.

    Attributes:
        workers: runs at the same time.
        threads: CPU threads of each process.
        gpus: GPUs of this machine; 0 for runs on the CPU.
        devices: processes of one run, and its GPUs if there are any.
    """

    workers: int
    threads: int
    gpus: int
    devices: int = 1

    @property
    def groups(self) -> int:
        """Number of groups of GPUs, each for one run; 0 on a CPU."""
        return max(1, self.gpus // self.devices) if self.gpus else 0

    @property
    def shared(self) -> Shared:
        """What runs that execute at the same time share: a GPU, or only the processor."""
        if 0 < self.groups < self.workers:
            return "gpu"
        return "processor" if self.workers > 1 else "nothing"

    @property
    def warm(self) -> bool:
        """Whether a worker goes on from run to run: on a GPU, where a new process costs seconds."""
        return self.gpus > 0

    def device_index(self, slot: int) -> int:
        """Return the first GPU of a slot; 0 on a CPU."""
        return slot % self.groups * self.devices if self.gpus else 0


def fixed_slots(launch: LaunchConfig, gpus: int, per_gpu: int = 1) -> Slots:
    """Return the slots of this machine: `per_gpu` for each group of launch.devices GPUs, or one for as many
    CPU cores as a run has threads; launch.workers and launch.threads override both."""
    cores, devices = len(os.sched_getaffinity(0)), launch.devices
    threads = launch.threads or 1
    groups = Slots(1, 1, gpus, devices).groups
    workers = launch.workers or groups * per_gpu or max(1, cores // (threads * devices))
    if gpus and not launch.threads:
        threads = max(1, cores // (workers * devices))
    return Slots(workers, threads, gpus, devices)
