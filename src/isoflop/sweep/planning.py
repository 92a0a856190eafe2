"""Planning of a sweep: the FLOPs of each run, and a check of its input, before any trains.

Everything that needs torch happens in a child process; the supervisor does not import torch.
"""

from __future__ import annotations

import dataclasses
import pickle

from isoflop.config import Config, DataConfig
from isoflop.config.launch import LaunchConfig
from isoflop.sweep import children
from isoflop.sweep.grid import PlannedRun


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run will do, as far as it is known before training.

    Attributes:
        train_flops: training FLOPs of trunk and cooldown branches.
        point_flops: those of each point, which are of the trunk up to its branch and of that branch.
        steps: of trunk and branches.
        ends: steps after which each point ends.
        epoch_steps: steps of one pass over the training part.
        input_shape: sizes of an image, or of a window.
        parameters_without_embeddings: of a language model, without its token embeddings; else None.
    """

    train_flops: float | None
    point_flops: tuple[float | None, ...]
    steps: int
    ends: tuple[int, ...]
    epoch_steps: int
    input_shape: tuple[int, ...]
    parameters_without_embeddings: int | None = None


@dataclasses.dataclass(frozen=True)
class Site:
    """The machine that plans: its device as records name it, the precision that `auto` means there, and its
    number of GPUs."""

    device: str
    precision: str
    gpus: int


def _lay_out_in_child(configs: tuple[Config, ...]) -> tuple[tuple[RunPlan, ...], Site]:
    """Return the plan of each run, from public facts of the data sets where possible, and this machine."""
    from isoflop.runner import own_model, prepare
    from isoflop.train.data import Facts, facts

    plans: dict[str, RunPlan] = {}
    read: dict[tuple[DataConfig, int | None], Facts] = {}
    sizes = own_model.Sizes()
    for number, config in enumerate(configs):
        children.tell_done(number)
        if config.config_id not in plans:
            of_data = config.data, config.model.context
            known = read[of_data] = read.get(of_data) or facts(config)
            config.check_batch()
            count, plan = prepare.lay_out(config, known)
            sizes.add(config.model, known.input_shape, known.classes, count)
            each, batch = count.train_flops_per_example, config.optim.batch_size
            plans[config.config_id] = RunPlan(
                train_flops=plan.planned_train_flops,
                point_flops=tuple(prepare.times(h.end_step * batch, each) for h in plan.horizons),
                steps=plan.all_steps,
                ends=tuple(h.end_step for h in plan.horizons),
                epoch_steps=known.train_n // batch,
                input_shape=known.input_shape,
                parameters_without_embeddings=prepare.parameters_without_embeddings(config, known),
            )
    sizes.check()
    return tuple(plans[config.config_id] for config in configs), site(configs[0].launch)


def site(launch: LaunchConfig) -> Site:
    """Return this machine as runs would use it; imports torch, so it is for a child process."""
    import torch

    from isoflop.meter.device import hardware

    gpus = torch.cuda.device_count() if launch.device != "cpu" else 0
    device = torch.cuda.get_device_name() if gpus else hardware.describe_cpu()
    return Site(device, "bf16" if gpus else "fp32", gpus)


def lay_out(
    runs: tuple[PlannedRun, ...], on_done: children.OnDone = children.nobody_watches
) -> tuple[tuple[RunPlan, ...], Site]:
    """Return the plan of each run, in the order of `runs`, without reading images; and this machine.

    `on_done` is called with the number of runs that have been planned so far.

    Raises:
        ConfigError: a run's model or batch size cannot be used.
        RuntimeError: the planning process died.
    """
    configs = tuple(each.config for each in runs)
    plans, here = children.call_in_child("planning", _lay_out_in_child, configs, on_done=on_done)
    return plans, here


@dataclasses.dataclass(frozen=True)
class _Planned:
    """What planning learned of a configuration: its training FLOPs, and its counted work, pickled.

    The supervisor only hands the work on: to read it, it would have to import torch.
    """

    train_flops: float | None
    counted: bytes


_counted: dict[str, bytes] = {}
"""shape_id -> counted work, pickled, of all shapes that this process has planned."""


def counted_work(shape_id: str) -> bytes | None:
    """Return the counted work of a shape that was planned here, for `take_over_counted_work`; else None."""
    return _counted.get(shape_id)


def take_over_counted_work(counted: bytes | None) -> None:
    """Spare this process, a child, the counting of a shape whose work its supervisor sends."""
    if counted is not None:
        from isoflop.runner import prepare

        prepare.remember(pickle.loads(counted))


def _plan_in_child(
    configs: tuple[Config, ...], counted: tuple[bytes, ...]
) -> tuple[dict[str, _Planned], int]:
    """Return what is planned for each config_id, and the number of GPUs.

    Args:
        configs: of all runs.
        counted: work that was counted before.

    Raises:
        ValueError: a run's input cannot be used, this device lacks its precision, or what it has reached so
            far was trained on other data.
    """
    import torch

    from isoflop.runner import own_model, prepare, same_data
    from isoflop.train import precision

    sizes = own_model.Sizes()
    for each in counted:
        take_over_counted_work(each)
    planned: dict[str, _Planned] = {}
    splits: dict[str, str] = {}
    for number, config in enumerate(configs):
        children.tell_done(number)
        config_id = config.config_id
        if config_id not in planned:
            prepared = prepare.prepare(config, torch.device("cpu"), reread_changed=False)
            data = prepared.data
            sizes.add(config.model, data.input_shape, data.classes, prepared.count)
            work = pickle.dumps(prepare.counted_work(config, prepared))
            planned[config_id] = _Planned(prepared.plan.planned_train_flops, work)
            splits[config_id] = prepared.data.split_sha256
        same_data.check(config, splits[config_id])
    sizes.check()
    device = prepare.pick_device(configs[0].launch)
    if configs[0].launch.name == "local":  # a login node of SLURM is not where the runs will be trained
        for config in {each.config_id: each for each in configs}.values():
            precision.check(config, device)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    return planned, gpus


def plan(
    runs: tuple[PlannedRun, ...], on_done: children.OnDone = children.nobody_watches
) -> tuple[tuple[PlannedRun, ...], int]:
    """Return the runs with their planned FLOPs, largest first, and the number of GPUs.

    `on_done` is called with the number of runs that have been planned so far.

    The input of every configuration is prepared here, so that bad input is found before training starts.
    The shapes with the largest runs go first so that no long run is left over for the end, when other workers
    are idle; runs of one shape follow one another, to be compiled and metered together. Work is counted
    once a configuration, since it does not depend on the seed, and `counted_work` keeps it for the processes
    that will train.

    Raises:
        ConfigError: a run's data, model or batch size cannot be used, or the data have changed since another
            part of the sweep was trained.
        RuntimeError: the planning process died.
    """
    ids = [planned.config.config_id for planned in runs]
    distinct = {config_id: planned.config for config_id, planned in zip(ids, runs, strict=True)}
    shapes = {config_id: config.shape_id for config_id, config in distinct.items()}
    known = tuple({shape: _counted[shape] for shape in shapes.values() if shape in _counted}.values())
    all_configs = tuple(planned.config for planned in runs)
    by_config, gpus = children.call_in_child("planning", _plan_in_child, all_configs, known, on_done=on_done)
    _counted.update({shapes[config_id]: made.counted for config_id, made in by_config.items()})
    flops = {config_id: made.train_flops for config_id, made in by_config.items()}
    first = {shape: number for number, shape in reversed(list(enumerate(shapes.values())))}
    largest: dict[str, float] = {}
    for config_id, shape in shapes.items():
        largest[shape] = max(largest.get(shape, 0.0), flops[config_id] or 0.0)

    def place(i: int) -> tuple[float, int, float]:
        shape = shapes[ids[i]]
        return -largest[shape], first[shape], -(flops[ids[i]] or 0.0)

    order = sorted(range(len(runs)), key=place)
    return tuple(dataclasses.replace(runs[i], planned_train_flops=flops[ids[i]]) for i in order), gpus
