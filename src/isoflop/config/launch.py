"""Settings that say where and how runs are launched. They are not part of a run's identity."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Literal

import msgspec

from isoflop.config.setting import FilePath
from isoflop.record import redact

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]

Shared = Literal["nothing", "processor", "gpu"]
"""What a run shares with runs beside it. Their energy cannot be told apart, so it is not measured."""
SHARED_GPU = "shared GPU"
"""Reason in a record for unknown energy: the run shared its GPU. The metering pass looks for it."""

METER_OFF = "meter.energy=none"
"""Reason in a record for unknown energy: the user asked for none."""

TIME = re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}")
MEMORY = re.compile(r"\d+[KMGT]?")
GPU = re.compile(r"(?P<kind>gpu(:[A-Za-z][^:,]*)?)(:(?P<number>\d+))?")
"""The GPU part of a SLURM gres: `gpu`, `gpu:2`, `gpu:a100` or `gpu:a100:2`."""


@dataclasses.dataclass(frozen=True)
class SlurmConfig:
    """Options of sbatch for each task of the job array; null leaves an option to the cluster's default."""

    partition: str | None
    """Partition of the cluster."""
    account: str | None
    """Account that is charged."""
    qos: str | None
    """Quality of service."""
    constraint: str | None
    """Features of a node."""
    gres: str | None
    """Generic resources of one node, such as gpu:a100:2."""
    cpus_per_task: Count
    """CPUs of one process; a node runs launch.devices processes."""
    memory: str | None
    """Memory of one node, such as 8G."""
    time: str | Count | None
    """Time limit as sbatch writes it: minutes, HH:MM:SS or D-HH:MM:SS."""
    at_once: Count | None
    """Largest number of tasks of the array that run at the same time."""
    runs_per_task: Count
    """Runs that one task executes, one after another."""
    options: tuple[str, ...]
    """Further options of sbatch, such as [--mail-type=END]."""
    setup: tuple[str, ...]
    """Shell lines executed before the runs, such as [module load cuda]."""

    def __post_init__(self) -> None:
        """Refuse values that sbatch would reject or misread.

        Raises:
            ValueError: names the setting.
        """
        if self.time is not None and not TIME.fullmatch(str(self.time)):
            raise ValueError(f"time {self.time}: give minutes, HH:MM:SS or D-HH:MM:SS")
        if self.memory is not None and not MEMORY.fullmatch(self.memory):
            raise ValueError(f"memory {self.memory}: give a number with K, M, G or T, such as 8G")
        for name in ("partition", "account", "qos", "constraint", "gres"):
            if (value := getattr(self, name)) is not None and re.search(r"[\s\"']", value):
                raise ValueError(f"{name} {value!r}: no spaces or quotes")
        if bad := [o for o in self.options if not o.startswith("-") or "\n" in o]:
            raise ValueError(f"options {bad[0]!r}: give sbatch options such as --mail-type=END")
        for name, lines in (("options", self.options), ("setup", self.setup)):
            # They stand in manifests, in commands that `ps` and scontrol show to everybody, and in dry runs.
            if any(redact.text(line) != line for line in lines):
                raise ValueError(
                    f"{name} hold a key or a password, which would be written to the sweep's folder: "
                    "export it before the command, or read it from a file in launch.slurm.setup"
                )


@dataclasses.dataclass(frozen=True)
class LaunchConfig:
    """How runs are launched, on this machine or under SLURM."""

    name: Literal["local", "slurm"]
    """Where: processes on this machine, or a job array of SLURM."""
    device: Literal["auto", "cpu", "cuda"]
    """auto: the GPU where there is one."""
    workers: Count | None
    """Runs at the same time; null: per_gpu for each GPU, or one for each CPU core."""
    threads: Count | None
    """CPU threads of each process; null: the cores of its worker."""
    per_gpu: Count | Literal["auto"]
    """Runs at the same time on one GPU; auto finds the number with a short probe."""
    deterministic: bool
    """Use only deterministic algorithms; slower on a GPU."""
    step: Literal["auto", "eager", "compile", "graph", "compiled_graph"]
    """Training step; auto is eager on a CPU and a whole-step CUDA graph on a GPU, compiled where that is
    predicted to save time (docs/performance.md)."""
    devices: Count
    """Processes on each node that train one run together, each on its own GPU where there are GPUs
    (docs/training.md)."""
    nodes: Count
    """Nodes that train one run together; above 1: launch=slurm, or start with srun or torchrun."""
    sync_batchnorm: bool
    """Statistics of BatchNorm over the whole batch of all devices (GPU)."""
    parallel_timeout_seconds: Positive
    """A run fails if one of its processes waits longer than this for the others."""
    timeout_seconds: Positive | None
    """A run is stopped when it has taken this long; null: never."""
    stall_seconds: Positive | None
    """A run is stopped when it has made no progress for this long; null: never."""
    checkpoint_seconds: Positive | None
    """Time between two checkpoints, from which an interrupted run resumes; null: only when asked to stop."""
    slurm: SlurmConfig
    """Options of sbatch for each task of the job array."""
    on_end: str | None = None
    """Shell command that is run when the sweep has ended, with ISOFLOP_SWEEP_DIR, ISOFLOP_EXIT_CODE and
    others in its environment (docs/sweeps.md)."""
    keep_weights: bool = False
    """Keep the weights of each point, in OUT/weights/RUN_ID.pt."""
    prior: FilePath | None = None
    """Folder of the runs that a lever needs to be trained before; null: OUT/prior."""

    def __post_init__(self) -> None:
        """Refuse settings that do not fit the number of processes, and a command that cannot be kept.

        Raises:
            ValueError: names the setting.
        """
        if self.processes > 1 and self.step.endswith("graph"):
            raise ValueError(f"step={self.step} is for one device: set step to auto, eager or compile")
        if self.processes == 1 and self.sync_batchnorm:
            raise ValueError("sync_batchnorm is for several devices: set it to false, or devices above 1")
        if self.on_end is not None:
            _check_command("on_end", self.on_end)

    @property
    def processes(self) -> int:
        """Number of processes that train one run, on all nodes together."""
        return self.devices * self.nodes

    @property
    def gres(self) -> str | None:
        """The gres of each node: slurm.gres, with one GPU for each device where it gives no number.

        Raises:
            ValueError: slurm.gres asks for a number of GPUs other than `devices`.
        """
        gres = self.slurm.gres
        if gres is None:
            return f"gpu:{self.devices}" if self.devices > 1 and self.device == "cuda" else None
        if self.devices == 1:
            return gres
        return ",".join(self._with_gpu_count(part) for part in gres.split(","))

    def _with_gpu_count(self, part: str) -> str:
        match = GPU.fullmatch(part)
        if not match:
            return part
        if match["number"] not in (None, str(self.devices)):
            raise ValueError(
                f"launch.slurm.gres={self.slurm.gres} asks for {match['number']} GPUs a node and "
                f"launch.devices is {self.devices}: make them the same, or write {match['kind']} alone"
            )
        return f"{match['kind']}:{self.devices}"

    def check_batch(self, batch_size: int, row_size: int) -> None:
        """Refuse a batch whose rows the processes cannot share.

        Args:
            batch_size: images, or bytes of text.
            row_size: 1, or the bytes of a window.

        Raises:
            ValueError: the processes do not divide the rows of the batch.
        """
        each = self.processes * row_size
        if batch_size % each:
            near = max(1, round(batch_size / each)) * each
            raise ValueError(
                f"optim.batch_size={batch_size} cannot be shared by {self.processes} processes "
                f"(launch.devices x launch.nodes): try {near}"
            )


def _check_command(name: str, command: str) -> None:
    """Refuse a shell command that does nothing, or that must not stand in a manifest.

    Raises:
        ValueError: names the setting.
    """
    if not command.strip() or "\0" in command:
        raise ValueError(f"{name} {command!r}: give a shell command, or null for none")
    if redact.text(command) != command:
        raise ValueError(
            f"{name} holds a key or a password, which would be written to the sweep's folder: export it "
            "before the command, or let the command read it from a file"
        )
