"""Where and how cells are launched. No part of a run's identity."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]

Shared = Literal["nothing", "processor", "gpu"]
"""What a cell has together with cells that run at the same time: its joules are nobody's."""
SHARED_GPU = "shared GPU"
"""Why the joules of a cell that ran beside others on its GPU are unknown, until a metering pass."""

TIME = re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}")
MEMORY = re.compile(r"\d+[KMGT]?")
GPU = re.compile(r"(?P<kind>gpu(:[A-Za-z][^:,]*)?)(:(?P<number>\d+))?")
"""The part of a gres that asks for GPUs."""


@dataclasses.dataclass(frozen=True)
class SlurmConfig:
    """What sbatch is asked for, a task of the array. Null: the cluster's default.

    `gres` is a node's; `cpus_per_task` are a process's, of which a node has launch.devices. `time` as sbatch
    writes it (minutes, HH:MM:SS or D-HH:MM:SS); `memory` such as 8G; `at_once` tasks of the array run at a
    time; a task runs `cells_per_task` cells, one after another; `options` are further sbatch options, `setup`
    shell lines before the cells (module load ...).
    """

    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    gres: str | None
    cpus_per_task: Count
    memory: str | None
    time: str | Count | None
    at_once: Count | None
    cells_per_task: Count
    options: tuple[str, ...]
    setup: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what sbatch would refuse later, or misread."""
        if self.time is not None and not TIME.fullmatch(str(self.time)):
            raise ValueError(f"time {self.time}: give minutes, HH:MM:SS or D-HH:MM:SS")
        if self.memory is not None and not MEMORY.fullmatch(self.memory):
            raise ValueError(f"memory {self.memory}: give a number with K, M, G or T, such as 8G")
        for name in ("partition", "account", "qos", "constraint", "gres"):
            if (value := getattr(self, name)) is not None and re.search(r"[\s\"']", value):
                raise ValueError(f"{name} {value!r}: no spaces or quotes")
        if bad := [o for o in self.options if not o.startswith("-") or "\n" in o]:
            raise ValueError(f"options {bad[0]!r}: give sbatch options such as --mail-type=END")


@dataclasses.dataclass(frozen=True)
class LaunchConfig:
    """Null workers: `per_gpu` a GPU, or one a CPU core; null threads: the cores a worker has. `step` auto is
    a whole-step CUDA graph on a GPU and eager on a CPU.

    A cell is ended after `timeout_seconds` in all, or after `stall_seconds` without a sign of progress; null
    is never. State is kept every `checkpoint_seconds`, so that an interrupted cell goes on from there.

    A cell is trained by `devices` processes on each of `nodes` nodes, a GPU each where there are GPUs
    (docs/training.md). One that waits longer than `parallel_timeout_seconds` for the others fails the cell.
    """

    name: Literal["local", "slurm"]
    device: Literal["auto", "cpu", "cuda"]
    workers: Count | None
    threads: Count | None
    per_gpu: Count | Literal["auto"]
    deterministic: bool
    step: Literal["auto", "eager", "compile", "graph"]
    devices: Count
    nodes: Count
    sync_batchnorm: bool
    parallel_timeout_seconds: Positive
    timeout_seconds: Positive | None
    stall_seconds: Positive | None
    checkpoint_seconds: Positive | None
    slurm: SlurmConfig

    def __post_init__(self) -> None:
        """Refuse what several processes cannot do, and what one has no use for."""
        if self.processes > 1 and self.step == "graph":
            raise ValueError("step=graph is for one device: set step to auto, eager or compile")
        if self.processes == 1 and self.sync_batchnorm:
            raise ValueError("sync_batchnorm is for several devices: set it to false, or devices above 1")

    @property
    def processes(self) -> int:
        """Those that train one cell, on all nodes."""
        return self.devices * self.nodes

    @property
    def gres(self) -> str | None:
        """What sbatch is asked for on each node: slurm.gres, with a GPU for each device where it names none.

        Raises:
            ValueError: it names another number than `devices`.
        """
        asked = self.slurm.gres
        if asked is None:
            return f"gpu:{self.devices}" if self.devices > 1 and self.device == "cuda" else None
        if self.devices == 1:
            return asked
        return ",".join(self._with_number(part) for part in asked.split(","))

    def _with_number(self, part: str) -> str:
        found = GPU.fullmatch(part)
        if not found:
            return part
        if found["number"] not in (None, str(self.devices)):
            raise ValueError(
                f"launch.slurm.gres={self.slurm.gres} asks for {found['number']} GPUs a node and "
                f"launch.devices is {self.devices}: make them the same, or write {found['kind']} alone"
            )
        return f"{found['kind']}:{self.devices}"

    def check_batch(self, batch_size: int) -> None:
        """Refuse a batch that cannot be shared evenly.

        Raises:
            ValueError: the processes do not divide `batch_size`.
        """
        if batch_size % self.processes:
            near = max(1, round(batch_size / self.processes)) * self.processes
            raise ValueError(
                f"optim.batch_size={batch_size} cannot be shared by {self.processes} processes "
                f"(launch.devices x launch.nodes): try {near}"
            )
