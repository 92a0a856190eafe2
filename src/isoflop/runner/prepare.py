"""Before a run is trained: load its data, count its FLOPs, lay out its steps. Bad input is refused here."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import nn

from isoflop.config import Config, ConfigError, DataConfig, ModelConfig
from isoflop.config.launch import LaunchConfig
from isoflop.meter.flops import count as flops
from isoflop.meter.flops.count import FlopCount
from isoflop.meter.flops.twin import build_on_meta
from isoflop.train import models, schedule, step
from isoflop.train.data import DataSet, Facts, load
from isoflop.train.schedule import Horizon


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run will do, known before training; the FLOPs are those of trunk and cooldown branches."""

    steps: int
    horizons: tuple[Horizon, ...]
    planned_train_flops: float | None

    @property
    def all_steps(self) -> int:
        """Steps of the trunk and of every cooldown branch."""
        return self.steps + sum(each.end_step - each.branch_step for each in self.horizons[:-1])


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run whose input is good: its data on the device, its counted work and its steps."""

    data: DataSet
    count: FlopCount
    plan: Plan


def pick_device(launch: LaunchConfig, index: int = 0) -> torch.device:
    """Return the device to train on: for `auto` GPU `index` where there is a GPU, else the CPU.

    Raises:
        ValueError: a GPU, or a CUDA graph, was asked for and there is none, or fewer than are asked for.
    """
    gpu = torch.cuda.is_available()
    if launch.device == "cuda" and not gpu:
        raise ConfigError("launch.device=cuda: torch sees no GPU here: `isoflop doctor` says why")
    device = torch.device("cuda", index) if gpu and launch.device != "cpu" else torch.device("cpu")
    step.choose(launch.step, device, nn.Identity())
    if device.type == "cuda" and index >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise ConfigError(f"launch.devices={launch.devices}: torch sees {seen} GPUs here: set it to fewer")
    if launch.sync_batchnorm and device.type == "cpu":
        raise ConfigError("launch.sync_batchnorm needs GPUs: set it to false")
    return device


def prepare(config: Config, device: torch.device) -> Prepared:
    """Load the data, count the FLOPs and lay out the steps; train and write nothing.

    Raises:
        ValueError: the data is missing or damaged, the batch is larger than the data or cannot be shared by
            the processes, the model does not exist or cannot take these images, or a FLOP budget is asked for
            and FLOPs are unknown.
    """
    config.launch.check_batch(config.optim.batch_size)
    data = _load(config.data, device)
    count, plan = lay_out(config, Facts(len(data.train), data.image_shape, data.classes))
    return Prepared(data, count, plan)


def lay_out(config: Config, facts: Facts) -> tuple[FlopCount, Plan]:
    """Return the counted work and the steps of a run on data of which only `facts` are known.

    Raises:
        ValueError: as `prepare`, but for the data.
    """
    count = count_flops(config.model, facts.image_shape, facts.classes, config.optim.batch_size)
    steps = schedule.total_steps(
        config.schedule,
        train_n=facts.train_n,
        batch_size=config.optim.batch_size,
        train_flops_per_example=count.train_flops_per_example,
    )
    horizons = schedule.horizons(config.schedule, steps)
    plan = Plan(steps, horizons, None)
    examples = plan.all_steps * config.optim.batch_size
    planned = times(examples, count.train_flops_per_example)
    return count, dataclasses.replace(plan, planned_train_flops=planned)


@functools.lru_cache(maxsize=2)
def _load(config: DataConfig, device: torch.device) -> DataSet:
    """Return the data set on the device, kept for the next run of this process."""
    return load(config, device)


@dataclasses.dataclass(frozen=True)
class Counted:
    """A model's counted work per example, with what it depends on; one process can count it for another."""

    model: ModelConfig
    image_shape: tuple[int, int, int]
    classes: int
    batch_size: int
    count: FlopCount


_counted: dict[tuple[ModelConfig, tuple[int, int, int], int, int], FlopCount] = {}
"""What this process has counted or been given: tenths of a second each, the same for all seeds."""


def remember(counted: Counted) -> None:
    """Take over a count that another process made."""
    _counted[counted.model, counted.image_shape, counted.classes, counted.batch_size] = counted.count


def counted_work(config: Config, prepared: Prepared) -> Counted:
    """Return the count of a prepared run in the form that another process can take over."""
    data = prepared.data
    return Counted(config.model, data.image_shape, data.classes, config.optim.batch_size, prepared.count)


def count_flops(
    config: ModelConfig, image_shape: tuple[int, int, int], classes: int, batch_size: int
) -> FlopCount:
    """Count the work per example of the configured model in steps of `batch_size`, on a twin without weights.

    For isoflop's own families a closed form is checked against the two counters. Counted once a process.

    Raises:
        ValueError: there is no such model, or it cannot take images of this shape.
    """
    key = (config, image_shape, classes, batch_size)
    if key not in _counted:
        twin = weightless(config, image_shape, classes)
        closed_form = models.forward_macs(config, image_shape, classes)
        _counted[key] = flops.count(twin, image_shape, batch_size=batch_size, closed_form_macs=closed_form)
    return _counted[key]


def weightless(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return the configured model on the meta device, in eval mode, after it has taken one such image.

    Raises:
        ValueError: there is no such model, or it cannot take images of this shape.
    """
    try:
        twin = build_on_meta(
            lambda: models.build(config, image_shape, classes, seed=0, device=torch.device("cpu"))
        )
        with torch.no_grad():
            twin.eval()(torch.zeros(1, *image_shape, device="meta"))
    except (RuntimeError, AssertionError) as error:
        channels, height, width = image_shape
        first = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"model {config.name} cannot take {channels}x{height}x{width} images: {first}"
        ) from error
    return twin


def times(number: float, each: float | None) -> float | None:
    """Return `number` times a figure that may be unknown (None)."""
    return None if each is None else number * each
