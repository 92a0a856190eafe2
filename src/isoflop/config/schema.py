"""The configuration of a run or a sweep as frozen dataclasses, one a section (a Hydra group).

Each section refuses settings that do not go together. `run_id` is a hash of what changes the result: where a
run is written, on which device, with which meters and at what price is no part of it.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from isoflop.config import identity as identities
from isoflop.config.errors import ConfigError as ConfigError
from isoflop.config.launch import LaunchConfig
from isoflop.config.model import MODEL_TAKES as MODEL_TAKES
from isoflop.config.model import ModelConfig as ModelConfig
from isoflop.config.setting import (
    Arguments,
    Count,
    Momentum,
    NonNegative,
    Positive,
    Sha256,
    Share,
    check_named,
    takes,
)
from isoflop.config.user_code import locate

NATIVE_RESOLUTION = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn")
"""Sets of one image size, which `data.resolution` may change."""
DATA_TAKES: dict[str, tuple[str, ...]] = {
    "imagefolder": ("resolution",),
    "synthetic": ("dimension", "classes", "examples", "teacher_width", "teacher_depth", "label_noise"),
    "text": ("path", "eval_bytes", "passes"),
    "python": ("eval_bytes", "passes"),
    "custom": ("path", "sha256"),
}
DATA_MAY_TAKE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NATIVE_RESOLUTION, ("resolution",)),
    "text": ("separator", "offsets", "eval_path", "eval_offsets"),
    "custom": ("arguments",),
}
TEXT = ("text", "python")
"""Sets of text, whose examples are bytes."""
TRACKER_TAKES = {"wandb": ("mode", "project"), "custom": ("path",)}
OPTIM_TAKES = {"sgd": ("momentum",), "adamw": ("betas",), "muon": ("momentum", "betas")}


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """`fraction` of the training part is used, the first of a fixed order, so smaller sets are nested.
    `root` and `download` are for images.

    `augment` crop_flip pads by an eighth of the image, crops at random and mirrors half of the images,
    the same for every run. `resolution` resizes images to that many pixels a side; null keeps the size of
    a set that has one. imagefolder: class folders under root/train and root/val. synthetic: labels of a
    random teacher network on `dimension` normal inputs, a share `label_noise` of them drawn at random.

    text: the bytes of a file or of a folder's files, `path`, plain, .gz or .xz; python: the source of the
    standard library. Documents are files, or what `separator` or the table `offsets` divides a file into.
    They are split into training, validation and test, unless `eval_path` (with `eval_offsets`) holds
    documents to validate and test on. About `eval_bytes` of each are evaluated. No training byte is read more
    often than `passes` times.

    custom: arrays that a function of the user's own returns (docs/custom_data.md); `path`, `sha256` and
    `arguments` as of ModelConfig.
    """

    name: Literal[
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
        "svhn",
        "imagefolder",
        "synthetic",
        "text",
        "python",
        "custom",
    ]
    root: str
    fraction: Annotated[float, msgspec.Meta(gt=0, le=1)]
    download: bool
    augment: Literal["none", "crop_flip"]
    resolution: Count | None
    dimension: Count | None
    classes: Annotated[int, msgspec.Meta(ge=2)] | None
    examples: Annotated[int, msgspec.Meta(ge=100)] | None
    teacher_width: Count | None
    teacher_depth: Count | None
    label_noise: Share | None
    path: str | None = None
    separator: str | None = None
    offsets: str | None = None
    eval_path: str | None = None
    eval_offsets: str | None = None
    eval_bytes: Count | None = None
    passes: Annotated[float, msgspec.Meta(ge=1)] | None = None
    sha256: Sha256 | None = None
    arguments: Arguments | None = dataclasses.field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Refuse settings of another set."""
        every = {name for takes in (DATA_TAKES, DATA_MAY_TAKE) for names in takes.values() for name in names}
        optional = set(DATA_MAY_TAKE.get(self.name, ()))
        check_named(self.name, "data", self.path)
        takes(self, self.name, DATA_TAKES.get(self.name, ()), every - optional)
        if self.separator is not None and self.offsets is not None:
            raise ValueError("separator and offsets both divide text into documents: set one of them to null")
        if self.eval_offsets is not None and self.eval_path is None:
            raise ValueError("eval_offsets is the table of eval_path: give eval_path too")
        if self.separator == "":
            raise ValueError("separator is empty: give the text that stands between documents")
        if self.augment != "none" and self.name in ("digits", "synthetic", *TEXT):
            raise ValueError(
                f"augment={self.augment} is for photographs, not for {self.name}: set it to none"
            )

    @property
    def is_text(self) -> bool:
        """Whether the set is text, whose examples are bytes, and not images."""
        return self.name in TEXT

    @property
    def label(self) -> str:
        """The name of the set, or FILE.FUNCTION of the user's own."""
        return locate.label(self.path) if self.name == "custom" and self.path else self.name


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with Nesterov momentum, AdamW with decoupled decay, or Muon (AdamW for what is no matrix).

    `lr` is the peak of the schedule at `base_batch_size`; another `batch_size` scales it (docs/training.md).
    `batch_size` counts images, or bytes of text. With `base_steps`, `lr` is that of a run of so many steps;
    another length scales it, by a rule that has the batch size in it. `clip_norm` limits the norm of all
    gradients together. `ema_decay` evaluates an exponential moving average of the weights instead of the
    weights.
    """

    name: Literal["sgd", "adamw", "muon"]
    lr: Positive
    weight_decay: NonNegative
    batch_size: Count
    base_batch_size: Count | None
    momentum: Momentum | None
    betas: tuple[Momentum, Momentum] | None
    label_smoothing: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    ema_decay: Momentum | None
    clip_norm: Positive | None = None
    base_steps: Count | None = None

    def __post_init__(self) -> None:
        """Refuse the other optimizers' numbers, and rules for length that are not known or not needed."""
        takes(self, self.name, OPTIM_TAKES[self.name], ("momentum", "betas"))
        if self.base_steps is not None and self.name == "sgd":
            raise ValueError("base_steps: no rule is known for sgd: set it to null, or take adamw or muon")
        if self.base_steps is not None and self.base_batch_size is not None:
            raise ValueError(
                "base_steps scales the rate for the batch size too, by the number of steps: "
                "set base_batch_size to null"
            )


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """Learning-rate shape, and length by exactly one of epochs, steps and train_gflops.

    `cooldowns` (wsd only) are horizons as shares of the whole length, such as [0.25, 0.5, 1]: the run is then
    one stable trunk that cools down at each of them, and each is a point of its own. `decay_shape` is that of
    wsd's decay: linear, or one_minus_sqrt, which falls fastest at first.
    """

    shape: Literal["wsd", "cosine", "constant"]
    epochs: Positive | None
    steps: Count | None
    train_gflops: Positive | None
    warmup_fraction: Share
    decay_fraction: Share
    evaluations: Count
    cooldowns: tuple[Annotated[float, msgspec.Meta(gt=0, le=1)], ...]
    decay_shape: Literal["linear", "one_minus_sqrt"] = "linear"

    def __post_init__(self) -> None:
        """Refuse two lengths, or none, a warm-up that runs into the decay, and horizons without a trunk."""
        if [self.epochs, self.steps, self.train_gflops].count(None) != 2:
            raise ValueError("give exactly one of epochs, steps and train_gflops; set the others to null")
        if self.warmup_fraction + self.decay_fraction > 1:
            raise ValueError("warmup_fraction + decay_fraction must not exceed 1")
        if self.cooldowns:
            self._check_cooldowns()
        if self.decay_shape != "linear" and self.shape != "wsd":
            raise ValueError(f"decay_shape={self.decay_shape} is for shape wsd: set it to linear")

    def _check_cooldowns(self) -> None:
        rising = list(self.cooldowns) == sorted(set(self.cooldowns))
        if self.shape != "wsd" or not rising or self.cooldowns[-1] != 1:
            raise ValueError("cooldowns must rise to 1, such as [0.25, 0.5, 1], and need shape wsd")
        if self.warmup_fraction > (1 - self.decay_fraction) * self.cooldowns[0]:
            raise ValueError(
                f"the cooldown to {self.cooldowns[0]} would begin inside the warm-up: give a later one"
            )


@dataclasses.dataclass(frozen=True)
class PrecisionConfig:
    """`auto` is fp32 on a CPU and bf16 autocast with fp32 weights on a GPU."""

    compute: Literal["auto", "fp32", "bf16"]
    channels_last: bool


@dataclasses.dataclass(frozen=True)
class MeterConfig:
    """Energy metering: `auto` reads NVML for a run on a GPU and RAPL for one on a processor. Windows
    shorter than `window_seconds` in all are lengthened by replays. `cpu_watts` is a power to assume where a
    processor cannot be read."""

    energy: Literal["auto", "none"]
    period_seconds: Annotated[float, msgspec.Meta(ge=0.05)]
    idle_seconds: NonNegative
    window_seconds: NonNegative
    cpu_watts: Positive | None


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """`grid` maps keys to lists (all combinations); `points` is a list of further settings, each combined
    with the whole grid, for keys that must change together. A point may have a `grid` of its own, whose
    combinations belong to that point. `held_out` is a list of runs in the same form, without `grid`: they
    are declared before anything is trained, trained last, and never fitted. `lr_grid`, such as [0.5, 1, 2],
    first tries these factors on the learning rate of every shape with its first seed; all seeds then take the
    best on validation. With `anchor` the sweep meters one shape again at its beginning, middle and end."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[\w.+-]+$")]
    grid: dict[str, Any] = dataclasses.field(default_factory=dict)
    points: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    held_out: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    lr_grid: tuple[Positive, ...] = ()
    anchor: bool = False

    def __post_init__(self) -> None:
        """Refuse held-out runs whose learning rate would have to be chosen by training them."""
        if self.held_out and self.lr_grid:
            raise ValueError(
                "held_out and lr_grid do not go together: fix the rate, or set one of them to []"
            )


@dataclasses.dataclass(frozen=True)
class TrackerConfig:
    """Where a run's curve goes beside its record. `wait_seconds` is how long a tracker may take to finish
    after training. `mode`, `project` and `entity` are for W&B; `path` names a tracker of your own, as
    my.module:Tracker."""

    name: Literal["none", "csv", "tensorboard", "wandb", "custom"]
    mode: Literal["online", "offline", "disabled"] | None
    project: str | None
    entity: str | None
    path: str | None
    tags: tuple[str, ...]
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)]

    def __post_init__(self) -> None:
        """Refuse settings of another tracker."""
        others = ("mode", "project", "path", *(() if self.name == "wandb" else ("entity",)))
        takes(self, f"tracker {self.name}", TRACKER_TAKES.get(self.name, ()), others)
        if self.path and not re.fullmatch(r"[\w.]+:\w+", self.path):
            raise ValueError(f"path {self.path}: name a class as my.module:Tracker")


@dataclasses.dataclass(frozen=True)
class CostConfig:
    """Factors for dollars and CO2, with their source; null means not applied, and null is the default.

    The upper limits are several times anything seen: beyond them a unit was mistaken. docs/cost.md has the
    arithmetic.
    """

    dollars_per_gpu_hour: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None
    dollars_per_kwh: Annotated[float, msgspec.Meta(ge=0, le=10)] | None
    dollars_per_train_gflop: Annotated[float, msgspec.Meta(ge=0, le=1)] | None
    grams_co2_per_kwh: Annotated[float, msgspec.Meta(ge=0, le=3000)] | None
    grams_co2_per_train_gflop: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None
    pue: Annotated[float, msgspec.Meta(ge=1, le=5)] | None
    source: str | None

    def __post_init__(self) -> None:
        """Refuse a factor without a source, a cost counted twice, and a PUE that multiplies nothing."""
        if self.factors and not (self.source and self.source.strip()):
            raise ValueError("a cost factor needs its source: set source to where the number is from")
        metered = (self.dollars_per_gpu_hour, self.dollars_per_kwh)
        if self.dollars_per_train_gflop is not None and metered != (None, None):
            raise ValueError(
                "dollars_per_train_gflop already holds hours and energy: set the other dollars to null"
            )
        if self.grams_co2_per_train_gflop is not None and self.grams_co2_per_kwh is not None:
            raise ValueError("give one of grams_co2_per_kwh and grams_co2_per_train_gflop, not both")
        if self.pue is not None and self.dollars_per_kwh is None and self.grams_co2_per_kwh is None:
            raise ValueError("pue multiplies energy: set dollars_per_kwh or grams_co2_per_kwh too")

    @property
    def factors(self) -> dict[str, float]:
        """The factors that were chosen."""
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "source"}
        return {name: value for name, value in named.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Config:
    """The configuration of one run, or of a sweep of runs."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    out: str
    model: ModelConfig
    data: DataConfig
    optim: OptimConfig
    schedule: ScheduleConfig
    precision: PrecisionConfig
    meter: MeterConfig
    sweep: SweepConfig
    launch: LaunchConfig
    tracker: TrackerConfig
    cost: CostConfig

    def __post_init__(self) -> None:
        """Refuse sections that do not go together, and a folder without a name."""
        if not self.out.strip():
            raise ValueError("out is empty: give the folder of the records, out=. for the present one")
        if self.optim.name == "muon" and self.model.family == "torchvision":
            raise ValueError("optim=muon must know the hidden matrices: take sgd or adamw for torchvision")
        if self.launch.step == "fused_graph" and self.model.family != "resnet":
            raise ValueError("launch.step=fused_graph is for model=resnet: set launch.step to auto")
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
        groups = {group: getattr(self, group) for group in identities.GROUPS}
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
