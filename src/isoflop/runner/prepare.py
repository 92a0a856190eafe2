"""Before a run is trained: load its data, count its FLOPs, lay out its steps. Bad input is refused here."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable

import torch
from torch import nn

from isoflop.config import Config, ConfigError, DataConfig, LeverConfig, ModelConfig
from isoflop.config.launch import LaunchConfig
from isoflop.config.user_code.locate import unchanged
from isoflop.meter.flops import count as flops
from isoflop.meter.flops.count import FlopCount
from isoflop.meter.flops.twin import build_on_meta
from isoflop.runner import own_model
from isoflop.runner.prior_work import NOTHING, PriorWork
from isoflop.train import levers, models, precision, schedule, step
from isoflop.train.data import DataSet, Facts, facts_of, load, state_of_files
from isoflop.train.levers import Lever
from isoflop.train.schedule import Horizon

IMAGES_ONLY = ("resnet", "convmixer", "vit", "torchvision")
"""Families that cannot take flat features."""


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
    """A run whose input is good: its data on the device, its counted work, its steps, and what was trained
    before it."""

    data: DataSet
    count: FlopCount
    plan: Plan
    prior: PriorWork = NOTHING


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


def check_device(config: Config, device: torch.device) -> None:
    """Refuse what this device, or this model, cannot have.

    Raises:
        ConfigError: the lever is not for the device or the model, or the device lacks the precision.
        MissingExtraError: the precision needs a package that is not installed.
    """
    precision.check(config, device)
    levers.of(config).check(device)


def prepare(config: Config, device: torch.device, *, reread_changed: bool = True) -> Prepared:
    """Load the data, count the FLOPs and lay out the steps; train and write nothing.

    Data that this process has read are not read again, unless their files have changed since; with
    `reread_changed` false that is not looked for, which costs seconds in a folder of a million images.

    Raises:
        ValueError: the data is missing or damaged, the batch is larger than the data or cannot be shared by
            the processes, the model does not exist or cannot take these inputs, or a FLOP budget is asked for
            and FLOPs are unknown.
    """
    config.check_batch()
    data = _load(config, device, reread_changed)
    count, plan = lay_out(config, facts_of(data))
    return Prepared(data, count, plan)


def lay_out(config: Config, facts: Facts) -> tuple[FlopCount, Plan]:
    """Return the counted work and the steps of a run on data of which only `facts` are known.

    Raises:
        ValueError: as `prepare`, but for the data.
    """
    count = count_run(config, facts.input_shape, facts.classes)
    own_model.check_optimizer(config, facts.input_shape, facts.classes)
    steps = schedule.total_steps(
        config.schedule,
        train_n=facts.train_n,
        batch_size=config.optim.batch_size,
        train_flops_per_example=count.train_flops_per_example,
        passes=facts.passes,
    )
    horizons = schedule.horizons(config.schedule, steps)
    plan = Plan(steps, horizons, None)
    examples = plan.all_steps * config.optim.batch_size
    planned = times(examples, count.train_flops_per_example)
    return count, dataclasses.replace(plan, planned_train_flops=planned)


_loaded: dict[tuple[DataConfig, int | None, torch.device], tuple[Hashable, DataSet]] = {}
"""The data sets that this process has read last, at most KEPT_SETS, with what their files were like then: the
next run may need one of them."""
KEPT_SETS = 2


def _load(config: Config, device: torch.device, reread_changed: bool) -> DataSet:
    """Return the data set on the device, kept for the next run of this process."""
    key = (config.data, config.model.context, device)
    kept = _loaded.get(key)
    if kept is not None and not reread_changed:
        return kept[1]
    # Looked at before the files are read: if they change meanwhile, the next run reads them again.
    state = state_of_files(config.data)
    if kept is None or kept[0] != state:
        del kept
        _loaded.pop(key, None)
        while len(_loaded) >= KEPT_SETS:
            del _loaded[next(iter(_loaded))]
        _loaded[key] = state, load(config, device)
    return _loaded[key][1]


@dataclasses.dataclass(frozen=True)
class Counted:
    """A model's counted work per example, with what it depends on; one process can count it for another.

    `rows` is the batch, in images or windows.
    """

    model: ModelConfig
    lever: LeverConfig
    input_shape: tuple[int, ...]
    classes: int
    rows: int
    count: FlopCount


_counted: dict[tuple[ModelConfig, LeverConfig, tuple[int, ...], int, int], FlopCount] = {}
"""What this process has counted or been given: tenths of a second each, the same for all seeds."""


def remember(counted: Counted) -> None:
    """Take over a count that another process made."""
    key = (counted.model.anywhere, counted.lever, counted.input_shape, counted.classes, counted.rows)
    _counted[key] = counted.count


def counted_work(config: Config, prepared: Prepared) -> Counted:
    """Return the count of a prepared run in the form that another process can take over."""
    data = prepared.data
    of_lever = _counted_lever(config)
    return Counted(config.model, of_lever, data.input_shape, data.classes, config.batch_rows, prepared.count)


def _counted_lever(config: Config) -> LeverConfig:
    """Return what of a lever the counted work depends on: nothing where it changes settings alone."""
    return LeverConfig() if config.lever.kind == "settings" else config.lever


def count_run(config: Config, input_shape: tuple[int, ...], classes: int) -> FlopCount:
    """Count the work per example of a run as `count_flops`, of the network and the loss that its lever makes.

    The evidence beside the totals (counters, ratios) is that of the network alone.

    Raises:
        ValueError: as count_flops, or the model cannot have the lever.
    """
    if config.lever.kind == "settings":
        return count_flops(config.model, input_shape, classes, config.batch_rows)
    key = (config.model.anywhere, config.lever, input_shape, classes, config.batch_rows)
    if key not in _counted:
        lever = levers.of(config)
        network = _count(config.model, input_shape, classes, config.batch_rows, lever)
        extra = lever.extra_train_flops_per_example(
            lambda other: count_run(other, input_shape, classes).inference_flops_per_example
        )
        own = network.train_flops_per_example
        both = None if own is None or extra is None else own + extra
        reason = network.reason or (
            f"the work of lever {config.lever.name} is unknown" if both is None else None
        )
        _counted[key] = dataclasses.replace(network, train_flops_per_example=both, reason=reason)
    return _counted[key]


def count_flops(config: ModelConfig, input_shape: tuple[int, ...], classes: int, rows: int) -> FlopCount:
    """Count the work per example of the configured model, on a twin without weights.

    An example is an image, or a byte of text, for which the work of a window is divided by its length. For
    isoflop's own families a closed form is checked against the two counters. Counted once a process.

    Args:
        config: the model.
        input_shape: sizes of an image, or of a window.
        classes: number of logits.
        rows: images or windows of a step.

    Raises:
        ValueError: there is no such model, or it cannot take inputs of this shape.
    """
    if config.path is not None:
        unchanged(config.path, config.sha256)  # also where the work is known already
    key = (config.anywhere, LeverConfig(), input_shape, classes, rows)
    if key not in _counted:
        _counted[key] = _count(config, input_shape, classes, rows, None)
    return _counted[key]


def _count(
    config: ModelConfig, input_shape: tuple[int, ...], classes: int, rows: int, lever: Lever | None
) -> FlopCount:
    """Count as count_flops, with a network that `lever` may have changed: that one has no closed form."""
    twin = weightless(config, input_shape, classes)
    is_own = lever is None or not lever.transforms
    if lever is not None and lever.transforms:
        twin = lever.transform(twin.train(), input_shape, classes).eval()
    count = flops.count(
        twin,
        input_shape,
        batch_size=rows,
        input_dtype=_dtype(config),
        closed_form_macs=models.forward_macs(config, input_shape, classes) if is_own else None,
    )
    if config.family == "custom" and is_own:
        own_model.announce(config, twin, count)
    return count.divided(config.context) if config.context else count


def parameters_without_embeddings(config: Config, facts: Facts) -> int | None:
    """Return the parameters of a language model without its token embeddings, known before it is trained.

    None for a model of images. Raises ValueError as `weightless`.
    """
    if not config.data.is_text:
        return None
    return models.parameters_without_embeddings(weightless(config.model, facts.input_shape, facts.classes))


def weightless(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the configured model on the meta device, in eval mode, after it has taken one such input.

    One of the user's own may be on the CPU.

    Raises:
        ValueError: there is no such model, or it cannot take inputs of this shape.
    """
    if config.family == "custom":
        return own_model.weightless(config, input_shape, classes)
    if len(input_shape) == 1 and config.family in IMAGES_ONLY:
        raise ConfigError(
            f"model={config.family} takes images, and these data are {input_shape[0]} flat features: take "
            "model=mlp or model=custom"
        )
    try:
        twin = build_on_meta(
            lambda: models.build(config, input_shape, classes, seed=0, device=torch.device("cpu"))
        )
        with torch.no_grad():
            twin.eval()(torch.zeros(1, *input_shape, dtype=_dtype(config), device="meta"))
    except (RuntimeError, AssertionError) as error:
        sizes, first = "x".join(map(str, input_shape)), str(error).strip().splitlines()[0]
        raise ConfigError(f"model {config.name} cannot take inputs of {sizes}: {first}") from error
    return twin


def _dtype(config: ModelConfig) -> torch.dtype:
    """Return the data type of the model's input: of bytes for a language model, else of images."""
    return torch.int64 if config.context else torch.float32


def times(number: float, each: float | None) -> float | None:
    """Return `number` times a figure that may be unknown (None)."""
    return None if each is None else number * each
