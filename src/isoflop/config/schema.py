"""The configuration of a run or a sweep as frozen dataclasses, one a section (a Hydra group).

Each section refuses settings that do not go together. `run_id` is a hash of what changes the result: where a
run is written, on which device, with which meters and at what price is no part of it. The string below each
setting is its explanation in `isoflop config` and docs/settings.md (config/catalog.py).
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from isoflop.config import identity as identities
from isoflop.config.cost import CostConfig as CostConfig
from isoflop.config.data import DataConfig as DataConfig
from isoflop.config.errors import ConfigError as ConfigError
from isoflop.config.launch import LaunchConfig
from isoflop.config.lever import LeverConfig as LeverConfig
from isoflop.config.model import MODEL_TAKES as MODEL_TAKES
from isoflop.config.model import ModelConfig as ModelConfig
from isoflop.config.setting import FilePath, NonNegative, Positive, takes
from isoflop.config.training import OptimConfig as OptimConfig
from isoflop.config.training import PrecisionConfig as PrecisionConfig
from isoflop.config.training import ScheduleConfig as ScheduleConfig

FP8_FAMILIES = ("mlp", "vit", "gpt")
"""Families whose work is in linear layers, which precision=fp8 computes in fp8."""
TRACKER_TAKES = {"wandb": ("mode", "project"), "custom": ("path",)}


@dataclasses.dataclass(frozen=True)
class MeterConfig:
    """Energy metering; FLOPs and seconds are always counted."""

    energy: Literal["auto", "none"]
    """auto reads NVML for a run on a GPU and RAPL for one on a processor."""
    period_seconds: Annotated[float, msgspec.Meta(ge=0.05)]
    """Time between two readings."""
    idle_seconds: NonNegative
    """Length of the idle baseline, for net joules; 0: none."""
    window_seconds: NonNegative
    """Measured windows that are shorter in all are lengthened by repetitions; 60 for grade A
    (docs/measuring.md)."""
    inference_seconds: NonNegative
    """How long the forward passes of a finished network are timed and metered; 0: not at all."""
    cpu_watts: Positive | None
    """Power to assume of a processor that cannot be read; its joules are called modelled, grade D."""


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Which runs a sweep has: all combinations of `grid`, for each of `points` if there are any."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[\w.+-]+$")]
    """Name of the sweep; out is results/NAME unless it is given."""
    grid: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Key -> list of values, all combinations: sweep.grid.model.width=[8,16], or model.width=8,16."""
    points: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """List of settings that belong together, each combined with the whole grid; a point may have a grid of
    its own."""
    held_out: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """List of runs in the form of points: declared before anything is trained, trained last, never fitted."""
    lr_grid: tuple[Positive, ...] = ()
    """Factors on the learning rate, such as [0.5,1,2], that every shape tries first with its first seed; all
    seeds then take the best on validation."""
    anchor: bool = False
    """Meter one shape at the beginning, in the middle and at the end, to see drift."""

    def __post_init__(self) -> None:
        """Refuse held-out runs whose learning rate would have to be chosen by training them."""
        if self.held_out and self.lr_grid:
            raise ValueError(
                "held_out and lr_grid do not go together: fix the rate, or set one of them to []"
            )


@dataclasses.dataclass(frozen=True)
class TrackerConfig:
    """Where a run's curve goes beside its record."""

    name: Literal["none", "csv", "tensorboard", "wandb", "custom"]
    """Where the curve goes; tracker=NAME chooses it."""
    mode: Literal["online", "offline", "disabled"] | None
    """offline: wandb sync sends it later."""
    project: str | None
    """Project of W&B."""
    entity: str | None
    """User or team of W&B; null: your default one."""
    path: str | None
    """Class of your own, as my.module:Tracker (docs/wandb.md)."""
    tags: tuple[str, ...]
    """Labels of the runs."""
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)]
    """How long a tracker may take to finish after training."""

    def __post_init__(self) -> None:
        """Refuse settings of another tracker."""
        others = ("mode", "project", "path", *(() if self.name == "wandb" else ("entity",)))
        takes(self, f"tracker {self.name}", TRACKER_TAKES.get(self.name, ()), others)
        if self.path and not re.fullmatch(r"[\w.]+:\w+", self.path):
            raise ValueError(f"path {self.path}: name a class as my.module:Tracker")


@dataclasses.dataclass(frozen=True)
class Config:
    """The configuration of one run, or of a sweep of runs."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    """Seed of the weights and of the order of examples."""
    out: FilePath
    """Folder of the records."""
    model: ModelConfig
    """The network: family and size."""
    data: DataConfig
    """What is trained on."""
    optim: OptimConfig
    """Optimizer, learning rate, batch size."""
    schedule: ScheduleConfig
    """Length, and shape of the learning rate."""
    precision: PrecisionConfig
    """Number formats of the training step."""
    meter: MeterConfig
    """Energy metering."""
    sweep: SweepConfig
    """Which runs a sweep has."""
    launch: LaunchConfig
    """Where and how runs are started: devices, processes, time limits, SLURM."""
    tracker: TrackerConfig
    """Where learning curves go beside the records."""
    cost: CostConfig
    """Prices and CO2 of the compute; nothing unless chosen."""
    lever: LeverConfig = dataclasses.field(default_factory=LeverConfig)
    """What is changed against the baseline."""

    def __post_init__(self) -> None:
        """Refuse sections that do not go together, and a folder without a name."""
        if not self.out.strip():
            raise ValueError("out is empty: give the folder of the records, out=. for the present one")
        if self.optim.name == "muon" and self.model.family == "torchvision":
            raise ValueError("optim=muon must know the hidden matrices: take sgd or adamw for torchvision")
        if self.precision.compute == "fp8" and self.model.family not in FP8_FAMILIES:
            raise ValueError(
                f"precision=fp8 is for linear layers, which model={self.model.family} is not made of: take "
                f"precision=bf16, or one of model={','.join(FP8_FAMILIES)}"
            )
        self._check_text()

    def _check_text(self) -> None:
        """Refuse text without a language model, and batches that are no whole number of windows."""
        if self.model.family == "custom":
            if self.data.is_text and self.model.context is None:
                raise ValueError(
                    f"data={self.data.name} is text: give model.context, the bytes of a window, such as 256"
                )
            if self.model.context is not None and not self.data.is_text:
                raise ValueError("model.context is of text: set it to null, or data=python or data=text")
        elif self.data.is_text != (self.model.family == "gpt"):
            raise ValueError(
                f"data={self.data.name} is text: set model=gpt"
                if self.data.is_text
                else "model=gpt reads text: set data=python, or data=text with data.path"
            )
        context = self.model.context
        if context is not None and self.optim.batch_size % context:
            near = max(1, round(self.optim.batch_size / context)) * context
            raise ValueError(
                f"optim.batch_size={self.optim.batch_size} bytes is not a multiple of "
                f"model.context={context}: try {near}"
            )

    @property
    def batch_rows(self) -> int:
        """Rows of a batch: images, or windows of text."""
        return self.optim.batch_size // (self.model.context or 1)

    def check_batch(self) -> None:
        """Refuse a batch that the processes cannot share. Raises ValueError."""
        self.launch.check_batch(self.optim.batch_size, self.model.context or 1)

    @property
    def identity(self) -> dict[str, Any]:
        """What changes the result, as JSON would give it back (config/identity.py)."""
        groups = {group: getattr(self, group) for group in (*identities.GROUPS, identities.LEVER)}
        return identities.identity(msgspec.json.decode(msgspec.json.encode(groups)), self.seed)

    @property
    def run_id(self) -> str:
        """Hash of `identity`: 16 hexadecimal digits."""
        return identities.digest(self.identity)

    @property
    def point_ids(self) -> dict[float, str]:
        """Horizon -> id of the record of the point there: `run_id` itself where there are no cooldowns."""
        if not self.schedule.cooldowns:
            return {1.0: self.run_id}
        identity = self.identity
        return {share: identities.digest(identity | {"horizon": share}) for share in self.schedule.cooldowns}

    @property
    def config_id(self) -> str:
        """Hash of `identity` without the seed: the same for all seeds of a configuration."""
        return identities.digest(identities.without_seed(self.identity))

    @property
    def shape_id(self) -> str:
        """Hash of `identity` without seed, learning rate and schedule: runs whose steps do the same work."""
        identity = identities.without_seed(self.identity)
        del identity["optim"]["lr"], identity["schedule"]
        return identities.digest(identity)

    @property
    def step_id(self) -> str:
        """Hash of `identity` without seed and learning rate: runs that surely share one compiled step.

        Runs of other lengths may not: a captured step holds the weight decay, which optim.base_steps scales.
        """
        identity = identities.without_seed(self.identity)
        del identity["optim"]["lr"]
        return identities.digest(identity)

    @property
    def directory(self) -> Path:
        """The folder that holds the records."""
        return Path(self.out)
