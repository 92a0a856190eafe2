"""What a sweep would do: its runs with FLOPs, predicted seconds and joules, and the totals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from isoflop.config import ConfigError
from isoflop.sweep import children, planning, step_costs
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.planning import RunPlan, Site
from isoflop.sweep.step_costs import Step, StepCost

RULE = (
    "seconds and joules: steps x the median step of this shape, input size, batch, precision and device",
    "steps were measured in this folder, else by isoflop (sweep/step_costs.csv); ? where neither has one",
)
"""How seconds and joules are predicted, a sentence a line."""
RATE = "optim.lr"
NOT_A_SHAPE = ("seed", "schedule.")
"""Beginnings of the settings that do not name a line of the table."""


@dataclasses.dataclass(frozen=True)
class PlanLine:
    """The runs that differ in seed and learning rate only.

    Attributes:
        label: what the sweep sets for them, without seed and schedule; a range where learning rates differ.
        epochs: length of each point, in passes over the training part.
        runs: number of runs.
        held_out: whether they are held out.
        run_flops: training FLOPs of one run, trunk and branches; None where they are unknown.
        point_flops: those of each point.
        seconds, joules: of all its runs; None where no measurement covers them.
        source: where these are from: "folder", "shipped" or None.
        left: runs that have no final record yet.
    """

    label: str
    epochs: tuple[float, ...]
    runs: int
    held_out: bool
    run_flops: float | None
    point_flops: tuple[float | None, ...]
    seconds: float | None
    joules: float | None
    source: str | None
    left: int


@dataclasses.dataclass(frozen=True)
class Total:
    """Sums over lines. `seconds` and `joules` are over the runs where they are known, of which there are
    `timed` and `metered`; `left_seconds` is over those of them without a final record. `decades` are those
    that the FLOPs of the points span."""

    runs: int
    points: int
    flops: float | None
    decades: float | None
    seconds: float
    timed: int
    joules: float
    metered: int
    left: int
    left_seconds: float


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """A dry run: lines in the order in which the runs would start, and totals of the fitted, the held-out
    and all runs. `of_text` says whether all of them train on text, whose epochs are called passes."""

    device: str
    of_text: bool
    lines: tuple[PlanLine, ...]
    fitted: Total
    held_out: Total
    total: Total


def plan_sweep(
    runs: Sequence[PlannedRun],
    directory: Path,
    *,
    left: Iterable[str],
    device: str | None = None,
    on_done: children.OnDone = children.nobody_watches,
) -> SweepPlan:
    """Return what the sweep would do; no image is read and nothing is written.

    Args:
        runs: all runs of the sweep.
        directory: its folder, whose finished runs say what a step costs.
        left: run_ids of the runs that would be trained.
        device: part of the name of a device of step_costs.csv to predict for, such as H200; None for this
            machine's.
        on_done: called with the number of runs that have been planned so far.

    Raises:
        ConfigError: a run's model or batch size cannot be used, or no measured device has that name.
        RuntimeError: the planning process died.
    """
    shipped = step_costs.shipped()
    plans, site = planning.lay_out(tuple(runs), on_done)
    if device is not None:
        site = _site_called(device, shipped)
    known = (("folder", step_costs.measured_in(directory)), ("shipped", shipped))
    todo = frozenset(left)
    groups: dict[tuple[str, bool], list[tuple[PlannedRun, RunPlan]]] = {}
    for run, plan in zip(runs, plans, strict=True):
        groups.setdefault((_id_at_any_rate(run), run.held_out), []).append((run, plan))
    lines = [_line(group, site, known, todo) for group in groups.values()]
    # As they would start: the largest first, the held-out ones last.
    lines.sort(key=lambda line: (line.held_out, -(line.run_flops or 0.0)))
    fitted, held = ([line for line in lines if line.held_out == part] for part in (False, True))
    of_text = all(run.config.data.is_text for run in runs)
    return SweepPlan(site.device, of_text, tuple(lines), total(fitted), total(held), total(lines))


def _id_at_any_rate(run: PlannedRun) -> str:
    """Return an id that runs share which differ in learning rate and seed only: they cost the same."""
    return dataclasses.replace(run.config, optim=dataclasses.replace(run.config.optim, lr=1.0)).config_id


def _site_called(name: str, shipped: dict[Step, StepCost]) -> Site:
    devices = sorted({(step.device, step.precision) for step in shipped})
    for device, precision in devices:
        if name.lower() in device.lower():
            return Site(device, precision, 1)
    raise ConfigError(
        f"--on {name}: no steps were measured there: give one of {', '.join(d for d, _ in devices)}"
    )


def _line(
    group: Sequence[tuple[PlannedRun, RunPlan]],
    site: Site,
    known: Sequence[tuple[str, dict[Step, StepCost]]],
    todo: frozenset[str],
) -> PlanLine:
    """Return the line of runs that cost the same; `known` are the sources of costs, the first one first."""
    run, plan = group[0]
    step = step_costs.step_of(run.config, plan, site)
    source, cost = next(((name, costs[step]) for name, costs in known if step in costs), (None, None))
    steps = plan.steps * len(group)
    return PlanLine(
        label=_label([each for each, _ in group]),
        epochs=tuple(end / plan.epoch_steps for end in plan.ends),
        runs=len(group),
        held_out=run.held_out,
        run_flops=plan.train_flops,
        point_flops=plan.point_flops,
        seconds=cost.seconds * steps if cost else None,
        joules=cost.joules * steps if cost and cost.joules is not None else None,
        source=source,
        left=sum(each.run_id in todo for each, _ in group),
    )


def _label(runs: Sequence[PlannedRun]) -> str:
    model = runs[0].config.model
    shape = {"model.width": model.width, "model.depth": model.depth}
    settings = {k: v for k, v in (shape | runs[0].settings).items() if not k.startswith(NOT_A_SHAPE)}
    if "model.path" in settings:
        settings["model.path"] = model.name
    rates = {run.config.optim.lr for run in runs}
    if len(rates) > 1:
        settings[RATE] = f"{min(rates):g} to {max(rates):g}"
    named = [f"{key.rpartition('.')[2]} {value}" for key, value in settings.items() if value is not None]
    return ", ".join(named) or model.name


def total(lines: Sequence[PlanLine]) -> Total:
    """Return the sums over lines."""
    flops = [line.run_flops * line.runs for line in lines if line.run_flops is not None]
    points = [each for line in lines for each in line.point_flops if each is not None]
    timed = [line for line in lines if line.seconds is not None]
    metered = [line for line in lines if line.joules is not None]
    return Total(
        runs=sum(line.runs for line in lines),
        points=sum(line.runs * len(line.epochs) for line in lines),
        flops=math.fsum(flops) if len(flops) == len(lines) else None,
        decades=math.log10(max(points) / min(points)) if points else None,
        seconds=math.fsum(line.seconds or 0.0 for line in timed),
        timed=sum(line.runs for line in timed),
        joules=math.fsum(line.joules or 0.0 for line in metered),
        metered=sum(line.runs for line in metered),
        left=sum(line.left for line in lines),
        left_seconds=math.fsum((line.seconds or 0.0) * line.left / line.runs for line in timed),
    )
