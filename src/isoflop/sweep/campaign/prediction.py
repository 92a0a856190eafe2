"""Predicted training seconds of every run of a campaign: steps x the measured seconds of such a step.

Steps are those that this campaign has measured, else those that isoflop ships for this device, else those of
another device or image size, as a stand-in that the campaign's pace corrects.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from isoflop.config import Config
from isoflop.sweep import children, planning, step_costs
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.planning import RunPlan, Site
from isoflop.sweep.step_costs import Step, StepCost


def predict(runs: Sequence[PlannedRun], directory: Path) -> tuple[tuple[float | None, ...], Site]:
    """Return the training seconds of each run, None where no such step was measured, and the machine.

    Args:
        runs: of all sweeps; the last one is prepared in full, so that a data set that is missing is found.
        directory: the campaign's, with a folder a sweep.

    Raises:
        ConfigError: the last run's data cannot be read, or a run's data is smaller than its batch.
        RuntimeError: the planning process died.
    """
    configs = tuple(each.config for each in runs)
    plans, site = children.call_in_child("planning", _steps_in_child, configs)
    return seconds_of(configs, plans, site, directory), site


def _steps_in_child(configs: tuple[Config, ...]) -> tuple[tuple[RunPlan, ...], Site]:
    """Return the steps of each run, and this machine.

    FLOPs, which take 0.4 s a shape, are counted only where the length of a run is given in them.
    """
    import torch

    from isoflop.runner import prepare
    from isoflop.train import schedule
    from isoflop.train.data import facts

    prepare.prepare(configs[-1], torch.device("cpu"))
    plans = []
    for config in configs:
        known, batch_size = facts(config), config.optim.batch_size
        if config.schedule.train_gflops is not None:
            _, plan = prepare.lay_out(config, known)
        else:
            steps = schedule.total_steps(
                config.schedule,
                train_n=known.train_n,
                batch_size=batch_size,
                train_flops_per_example=None,
                passes=known.passes,
            )
            plan = prepare.Plan(steps, schedule.horizons(config.schedule, steps), None)
        ends = tuple(each.end_step for each in plan.horizons)
        epoch_steps = known.train_n // batch_size
        unknown = (None,) * len(ends)
        plans.append(RunPlan(None, unknown, plan.all_steps, ends, epoch_steps, known.input_shape))
    return tuple(plans), planning.site(configs[0].launch)


def seconds_of(
    configs: Sequence[Config], plans: Sequence[RunPlan], site: Site, directory: Path
) -> tuple[float | None, ...]:
    """Return the predicted training seconds of runs whose steps are known.

    Args:
        configs: of the runs.
        plans: with their steps, in the same order.
        site: the machine.
        directory: the campaign's, with a folder a sweep.
    """
    shipped = step_costs.shipped()
    own: dict[Step, StepCost] = {}
    for folder in sorted(directory.glob("*/records")):
        own |= step_costs.measured_in(folder.parent)
    elsewhere = {_without_place(step): (cost, _pixels(step)) for step, cost in shipped.items()}

    def of_step(step: Step) -> float | None:
        if cost := own.get(step) or shipped.get(step):
            return cost.seconds
        if site.gpus and (found := elsewhere.get(_without_place(step))):
            stand_in, pixels = found
            return stand_in.seconds * _pixels(step) / pixels
        return None

    seconds = [
        of_step(step_costs.step_of(config, plan, site)) for config, plan in zip(configs, plans, strict=True)
    ]
    return tuple(
        None if each is None else each * plan.steps for each, plan in zip(seconds, plans, strict=True)
    )


def _without_place(step: Step) -> Step:
    """Return the step without what a stand-in may differ in: device, precision, image size."""
    return dataclasses.replace(step, device="", precision="", input_shape=(0, 0, 0))


def _pixels(step: Step) -> int:
    return math.prod(step.input_shape[1:])
