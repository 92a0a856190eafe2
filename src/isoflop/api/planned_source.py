"""The plan of a source: its fit, its recipe, its rates; what the command line and `plan_runs` share."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from isoflop import extras
from isoflop.api import rows
from isoflop.api.forecast import Ask, check_axes, rates_of, y_of
from isoflop.api.rows import Rows
from isoflop.config import ConfigError
from isoflop.config.costs import Prices
from isoflop.curve.check import front
from isoflop.curve.fit import Method
from isoflop.curve.result import FitReport
from isoflop.plan import goal as goals
from isoflop.plan import make, options, propose, rates, recipe, shapes, sweep_file
from isoflop.plan import rows as plan_rows
from isoflop.plan.budget import Budget
from isoflop.plan.design import fitted
from isoflop.plan.design.laws import local_laws, mean_log_y
from isoflop.plan.goal import Asked
from isoflop.plan.options import Option, Work
from isoflop.plan.proposal import PlannedRuns, Proposal
from isoflop.plan.propose import Evidence, Planned
from isoflop.plan.recipe import Recipe, Shape
from isoflop.plan.run_cost import BY_SIZE, RunCost
from isoflop.plan.sizes import EXAMPLES, FORWARD, GFLOPS, PARAMETERS, sizes
from isoflop.table import axis, target

LAWS = ("power_law_ols", "power_law", "power_law_floor")
"""Laws that a plan needs: those of the design, and the line that the floor is judged against."""
NAME = "next"
"""Of the sweep file; that of runs which try learning rates first is NAME-search."""
TOO_LARGE = 4.0
"""Shapes whose estimated cost is so many times what a plan may buy are not counted."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked: the goal, the budget, the device and the prices."""

    asked: Asked
    budget: Budget
    ask: Ask
    prices: Prices | None

    def y_of(self, runs: pd.DataFrame, y: str | None) -> str | None:
        """Return the column of y: as named, else that of a sweep which a goal of loss asks for."""
        of_loss = (self.asked.goal.target or 0.0,) if self.asked.noun == "loss" else ()
        return y_of(Ask(loss=of_loss), runs, y)


def of_source(chosen: Rows, source: str, folder: Path | None, method: Method, wanted: Wanted) -> Proposal:
    """Return the next runs of a source. Nothing is written.

    Args:
        chosen: its rows, with one pair of axes.
        source: as the result names it.
        folder: of the sweep; None for a table of one's own.
        method: of the fit.
        wanted: what is asked.

    Raises:
        ValueError: x is no training compute in a known unit, too few scales for any law, a goal that the
            curve does not have, a budget that no run can be costed in or that buys none.
    """
    assert chosen.axes is not None
    x, y = chosen.axes
    described = axis.of(x) if chosen.described is None else chosen.described.x
    quantity = target.quantity(y) if chosen.described is None else chosen.described.y
    check_axes(described, quantity.noun, x, y, Ask())
    beyond = make.BEYOND if propose.is_reach(wanted.asked) else options.BEYOND
    fitted_by = dataclasses.replace(method, laws=LAWS, beyond=beyond, tested=False)
    report = rows.fit(chosen, fitted_by, source=source).reports[0]
    known = goals.known(report, wanted.asked)
    table = plan_rows.prepared(chosen.checked, chosen.table, report)
    table = plan_rows.fitted(table, report)
    evidence = _evidence(report, table, wanted, known)
    cost = RunCost(rates_of(table, BY_SIZE, wanted.ask, report.level), wanted.prices, wanted.budget)
    if folder is not None:
        made, offered, names, notes = _of_folder(folder, table, cost, evidence)
    else:
        made, offered, names, notes = None, *_of_table(table, report, cost)
    planned = propose.plan(evidence, offered, names, wanted.asked, wanted.budget)
    runs = propose.runs(planned, made)
    files: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()
    if made is not None and folder is not None and made.own_code:
        notes = (
            *notes,
            "the runs train code of your own, whose files no record holds: no sweep file is made",
        )
    elif made is not None and folder is not None:
        files, commands = sweep_files(made, planned, runs, NAME, folder / "plan", folder, wanted)
    faults = [
        f"check finds a fault: {each.sentence}"
        for each in front.check(chosen.checked).findings
        if each.severity == "fault"
    ]
    return Proposal(
        source=source,
        x=report.x,
        y=report.y,
        goal=wanted.asked.text,
        quantity=known.quantity,
        log10=propose.is_reach(wanted.asked),
        interval_of=known.interval_of,
        level=report.level,
        budget=wanted.budget.text,
        kind=wanted.budget.kind,
        budget_amount=wanted.budget.amount,
        before=known.ends,
        designs=planned.designs,
        runs=runs,
        laws=planned.laws,
        seed_noise=math.sqrt(evidence.noise.seed),
        config_noise=math.sqrt(evidence.noise.config),
        files=files,
        commands=commands,
        written=(),
        warnings=(*faults, *known.warnings),
        notes=(*chosen.of_levers, *planned.notes, *notes, *cost.rates.notes),
    )


def _evidence(report: FitReport, table: pd.DataFrame, wanted: Wanted, known: goals.Known) -> Evidence:
    assert report.resource.flops is not None
    power, floor, weight = fitted.curves(report)
    values = table[[report.x, report.y]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    good = np.all(np.isfinite(values) & (values > 0), axis=1)
    table, (log_x, log_y) = table[good], np.log(values[good]).T
    config = table["config_id"].astype(str)
    span = float(np.ptp(log_x))
    laws = local_laws(power, floor, weight, dataclasses.replace(wanted.asked.goal, kind="exponent"), span)
    counted = None
    if report.quantity.noun == "error" and "test_n" in table and table["test_n"].notna().any():
        counted = float(table["test_n"].median())
    noise, replicated = fitted.noise(
        log_x,
        log_y,
        pd.factorize(table["place"])[0],
        pd.factorize(config)[0],
        mean_log_y(laws, log_x),
        counted,
    )
    return Evidence(
        power=power,
        floor=floor,
        floor_weight=weight,
        noise=noise,
        replicated=replicated,
        existing=tuple(zip(map(float, log_x), config, strict=True)),
        span=span,
        known=known,
        to_x=1e9 / report.resource.flops,
    )


Offered = tuple[Sequence[Option], Sequence[str], tuple[str, ...]]
"""Options, the name of each one's configuration, and notes."""


def _of_folder(
    folder: Path, table: pd.DataFrame, cost: RunCost, evidence: Evidence
) -> tuple[Recipe, Sequence[Option], Sequence[str], tuple[str, ...]]:
    made = recipe.longer(recipe.of_folder(folder, [str(each) for each in table["run_id"]]))
    known = _known_works(table)
    if not known:
        raise ConfigError(f"{folder}: no run knows its training FLOPs, so no run can be costed")
    largest = options.BEYOND * float(table[GFLOPS].max())
    works, notes = _with_new(made, known, cost, largest, table)
    medians = table.groupby("data_fraction")["train_n"].median()
    train_n = dict(zip(map(float, medians.index), map(float, medians), strict=True))
    offered = options.of_recipe(made, works, train_n, cost, largest)
    return made, offered, [_name(made, each) for each in offered], notes


def _name(made: Recipe, option: Option) -> str:
    """Return the configuration that an option's runs belong to: that of the source where it is one."""
    assert option.shape is not None
    assert option.variant is not None
    ids = made.config_ids.get((option.shape, option.variant))
    return ids[0] if ids else f"{option.shape} {option.variant}"


def _known_works(table: pd.DataFrame) -> dict[Shape, Work]:
    """Return what the shapes of the runs take, by their own records."""
    made = {}
    width = table["width"].fillna(0.0) if "width" in table else pd.Series(0.0, index=table.index)
    depth = table["depth"].fillna(-1.0) if "depth" in table else pd.Series(-1.0, index=table.index)
    for name, each in table.groupby([width, depth]):
        w, d = (int(value) for value in cast("tuple[float, float]", name))
        per_example = (each[GFLOPS] / each[EXAMPLES]).median()
        forward = each[FORWARD].median() if FORWARD in each else np.nan
        if not per_example > 0:
            continue
        parameters = float(each[PARAMETERS].median()) if PARAMETERS in each else None
        made[w, None if d < 0 else d] = Work(
            float(per_example), float(forward) if forward > 0 else float(per_example) / 3, parameters
        )
    return made


def _with_new(
    made: Recipe, known: Mapping[Shape, Work], cost: RunCost, largest: float, table: pd.DataFrame
) -> tuple[dict[Shape, Work], tuple[str, ...]]:
    """Return the work of the known shapes and of new ones, counted on models without weights."""
    least = float(table[EXAMPLES].min())
    most = TOO_LARGE * cost.budget.amount
    form = shapes.closed_form(
        {
            shape: (work.train_gflops, work.forward_gflops, work.parameters or 1.0)
            for shape, work in known.items()
        }
    )
    per_example = {shape: work.train_gflops for shape, work in known.items()}
    passes = float(np.median([work.forward_gflops / work.train_gflops for work in known.values()]))
    new: dict[Shape, Work] = {}
    for shape in shapes.further(tuple(known), scaled=made.scaled):
        gflops = shapes.estimated_work(per_example, shape) if form is None else form(shape)[0]
        work = Work(gflops, passes * gflops, None)
        if form is not None:
            train, forward, parameters = form(shape)
            work = Work(train, forward, parameters if PARAMETERS in table else None)
        if (
            least * work.train_gflops <= largest
            and cost.of(least * work.train_gflops, work.forward_gflops) <= most
        ):
            new[shape] = work
    if not new:
        return dict(known), ()
    if form is not None:
        said = f"{len(new)} new shapes: their FLOPs by the closed form that meets all {len(known)} known ones"
        return {**known, **new}, (said,)
    wanted = list(new)
    if made.own_code:
        return dict(known), ("new shapes of a model or data of your own are not counted",)
    if not extras.installed("torch"):
        said = "new shapes are left out: counting them needs torch: pip install 'isoflop[train]'"
        return dict(known), (said,)
    from isoflop.api.planned_shapes import count

    try:
        counted = count(made, wanted)
    except (ValueError, RuntimeError, OSError) as error:
        return dict(known), (f"new shapes are left out, as they cannot be counted here: {error}",)
    new = {shape: Work(gflops, passes * gflops, None) for shape, (gflops, _) in counted.items()}
    return {**known, **new}, (f"{len(new)} new shapes counted",)


def _of_table(table: pd.DataFrame, report: FitReport, cost: RunCost) -> Offered:
    of_size = sizes(table, report)
    column = rates.size_column(table)
    by = {FORWARD: "forward", PARAMETERS: "parameters"}.get(column)
    values = table[GFLOPS].to_numpy(float)
    least, most = float(values.min()), float(values.max())
    offered = options.of_table(of_size, cost, by, least, options.BEYOND * most)
    notes = (
        "a table has no recipe: the runs are amounts of compute, and no sweep file is made of them",
        of_size.basis,
    )
    return offered, [f"new {i}" for i in range(len(offered))], notes


def sweep_files(
    made: Recipe,
    planned: Planned,
    runs: Sequence[PlannedRuns],
    name: str,
    config_dir: Path,
    out: Path | None,
    wanted: Wanted,
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return (name, content) of the sweep files, and the commands that train them.

    One file, or two where only some shapes have to try learning rates first: sweep.lr_grid holds for a whole
    sweep.
    """
    parts: dict[tuple[float, ...], list[tuple[PlannedRuns, int]]] = {}
    for each, (option, _) in zip(runs, planned.chosen, strict=True):
        assert option.variant is not None
        # Trials are of the first seed of all that the configuration has.
        seeds = tuple(sorted({*option.seeds, *each.seeds})) if each.lr_factors else each.seeds
        chosen_runs = dataclasses.replace(each, seeds=seeds)
        parts.setdefault(each.lr_factors, []).append((chosen_runs, option.variant))
    files, commands = [], []
    for factors, chosen in sorted(parts.items(), key=lambda part: len(part[0])):
        own = name if not factors or len(parts) == 1 else f"{name}-search"
        into = "" if out is None else f" {shlex.quote(f'out={out}')}"
        command = f"isoflop sweep --config-dir {shlex.quote(str(config_dir))} sweep={own}{into}"
        head = [
            f"Made by isoflop plan for {wanted.budget.text} with the goal {wanted.asked.text}: "
            f"{sum(len(each.seeds) for each, _ in chosen)} runs of {len(chosen)} configurations."
        ]
        files.append((own, sweep_file.text(made, chosen, own, command, head)))
        commands.append(command)
    return tuple(files), tuple(commands)
