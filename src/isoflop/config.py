"""Configuration: frozen dataclasses made once from what Hydra composed; unknown keys fail here.

`run_id` is a hash of what changes the result. Where a run is written, on which device, with which meters
and at what price is not part of it.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from isoflop import record

Count = Annotated[int, msgspec.Meta(ge=1)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Momentum = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class ConfigError(ValueError):
    """The configuration cannot be used; the message says which key to change."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """`width` and `depth` are the dials of mlp and resnet; torchvision's classifiers have a name instead."""

    family: Literal["mlp", "resnet", "torchvision"]
    width: Count | None
    depth: Count | None
    architecture: str | None

    def __post_init__(self) -> None:
        """Refuse a half-given shape."""
        dials = self.width is not None and self.depth is not None
        if self.family == "torchvision":
            if not self.architecture or self.width is not None or self.depth is not None:
                raise ValueError("torchvision takes architecture=NAME, with width and depth null")
        elif not dials or self.architecture is not None:
            raise ValueError(f"{self.family} takes width and depth, with architecture null")

    @property
    def name(self) -> str:
        """The family, or `torchvision:NAME`."""
        return f"torchvision:{self.architecture}" if self.architecture else self.family


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """`fraction` of the training part is used, the first of a fixed order, so smaller sets are nested."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10"]
    root: str
    fraction: Annotated[float, msgspec.Meta(gt=0, le=1)]
    download: bool


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with Nesterov momentum, or AdamW with decoupled decay; `lr` is the peak of the schedule."""

    name: Literal["sgd", "adamw"]
    lr: Positive
    weight_decay: NonNegative
    batch_size: Count
    momentum: Momentum | None
    betas: tuple[Momentum, Momentum] | None

    def __post_init__(self) -> None:
        """Refuse the other optimizer's numbers."""
        if self.name == "sgd" and (self.momentum is None or self.betas is not None):
            raise ValueError("sgd takes momentum, with betas null")
        if self.name == "adamw" and (self.betas is None or self.momentum is not None):
            raise ValueError("adamw takes betas, with momentum null")


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """Warm-up, stable, decay; length by exactly one of epochs, steps and train_gflops."""

    epochs: Positive | None
    steps: Count | None
    train_gflops: Positive | None
    warmup_fraction: Share
    decay_fraction: Share
    evaluations: Count

    def __post_init__(self) -> None:
        """Refuse two lengths, or none, and a warm-up that runs into the decay."""
        if [self.epochs, self.steps, self.train_gflops].count(None) != 2:
            raise ValueError("give exactly one of epochs, steps and train_gflops; set the others to null")
        if self.warmup_fraction + self.decay_fraction > 1:
            raise ValueError("warmup_fraction + decay_fraction must not exceed 1")


@dataclasses.dataclass(frozen=True)
class PrecisionConfig:
    """`auto` is fp32 on a CPU and bf16 autocast with fp32 weights on a GPU."""

    compute: Literal["auto", "fp32", "bf16"]
    channels_last: bool


@dataclasses.dataclass(frozen=True)
class MeterConfig:
    """Energy: `auto` reads NVML where there is a GPU. Windows shorter than `replay_seconds` are replayed."""

    energy: Literal["auto", "none"]
    period_seconds: Annotated[float, msgspec.Meta(ge=0.05)]
    idle_seconds: NonNegative
    replay_seconds: NonNegative


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """`grid` maps keys to lists (all combinations); `points` is a list of further settings, each combined
    with the whole grid, for keys that must change together."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[\w.+-]+$")]
    grid: dict[str, Any]
    points: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class LaunchConfig:
    """Where cells run. Null workers: one a GPU, or one a CPU core; null threads: the cores a worker has."""

    device: Literal["auto", "cpu", "cuda"]
    workers: Count | None
    threads: Count | None
    deterministic: bool


@dataclasses.dataclass(frozen=True)
class TrackerConfig:
    """Where a run's curve goes beside its record."""

    name: Literal["none", "csv"]


@dataclasses.dataclass(frozen=True)
class CostConfig:
    """Factors for dollars and CO2, with their source; null means not applied, and null is the default."""

    dollars_per_gpu_hour: NonNegative | None
    dollars_per_kwh: NonNegative | None
    grams_co2_per_kwh: NonNegative | None
    pue: Annotated[float, msgspec.Meta(ge=1)] | None
    source: str | None

    def __post_init__(self) -> None:
        """Refuse a factor without a source."""
        if self.factors and not self.source:
            raise ValueError("a cost factor needs its source: set source to where the number is from")

    @property
    def factors(self) -> dict[str, float]:
        """The factors that were chosen."""
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "source"}
        return {name: value for name, value in named.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Config:
    """One cell, or one sweep of cells."""

    seed: Index
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

    @property
    def identity(self) -> dict[str, Any]:
        """What changes the result, as JSON would give it back."""
        chosen = {
            "data": {"name": self.data.name, "fraction": self.data.fraction},
            **{group: getattr(self, group) for group in ("model", "optim", "schedule", "precision")},
            "seed": self.seed,
        }
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(chosen))
        return plain

    @property
    def run_id(self) -> str:
        """Hash of `identity`: 16 hexadecimal digits."""
        return _hash(self.identity)

    @property
    def config_id(self) -> str:
        """Hash of `identity` without the seed: the same for all seeds of a configuration."""
        return _hash({key: value for key, value in self.identity.items() if key != "seed"})

    @property
    def directory(self) -> Path:
        """The folder that holds the records."""
        return Path(self.out)


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


FREE = ("sweep.grid", "sweep.points")
"""Keys whose content is the user's own."""


def _section(hint: Any) -> type | None:
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def names(kind: type = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key of the configuration, such as `model.width`."""
    for name, hint in typing.get_type_hints(kind).items():
        section = _section(hint)
        if section is None:
            yield prefix + name
        else:
            yield from names(section, f"{prefix}{name}.")


def groups() -> tuple[str, ...]:
    """The Hydra groups: the sections of Config."""
    return tuple(name for name, hint in typing.get_type_hints(Config).items() if _section(hint))


def check_names(keys: Iterable[str], also: Iterable[str] = ()) -> None:
    """Refuse a dotted key that is not in the configuration.

    Raises:
        ConfigError: names the key and the nearest valid one.
    """
    valid = [*names(), *also]
    for key in keys:
        if key not in valid and not key.startswith(tuple(f"{free}." for free in FREE)):
            near = difflib.get_close_matches(key, valid, 1, 0.5) or difflib.get_close_matches(
                key.rpartition(".")[2], valid, 1, 0.3
            )
            hint = f": did you mean {near[0]}?" if near else ""
            raise ConfigError(f"unknown key {key}{hint}")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of a nested mapping; the content of free keys is left whole."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in FREE:
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def from_dict(raw: Mapping[str, Any]) -> Config:
    """Plain nested values -> Config.

    Raises:
        ConfigError: an unknown or missing key, a wrong type or a value out of range; one line, naming it.
    """
    check_names(key for key, _ in flatten(raw))
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_in_words(str(error), raw)) from error
    if found := record.problem(config, "config"):
        raise ConfigError(found.removeprefix("config."))
    return config


def _in_words(message: str, raw: Mapping[str, Any]) -> str:
    """msgspec's message as `model.width=0: expected int >= 1`."""
    text, _, path = message.partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    text = text.replace("`", "")
    text = re.sub(r"^Object missing required field (\S+)", r"missing key \1", text)
    text = re.sub(r"^Expected", "expected", text)
    if not key:
        return text
    if text.startswith("Invalid enum"):
        text = f"expected one of {', '.join(_choices(key))}"
    values = dict(flatten(raw))
    return f"{key}={values[key]}: {text}" if key in values else f"{key}: {text}"


def _choices(key: str) -> tuple[str, ...]:
    """The values a Literal key allows."""
    kind: Any = Config
    for part in key.split("."):
        kind = typing.get_type_hints(kind)[part]
    return typing.get_args(kind)


def to_dict(config: Config) -> dict[str, Any]:
    """Config -> plain nested values; from_dict gives the same Config back."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


def conf_dir() -> Path:
    """The folder of Hydra groups: beside this file in a wheel, at the top of the project otherwise."""
    packed = Path(__file__).parent / "conf"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "conf"
