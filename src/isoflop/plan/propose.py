"""The plan: options, laws and noise in; the runs that shrink an interval most within a budget out."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from isoflop.config import ConfigError
from isoflop.plan import goal as goals
from isoflop.plan.budget import Budget
from isoflop.plan.design import search
from isoflop.plan.design.information import Noise, Problem
from isoflop.plan.design.laws import FLOOR, REACH, Curve, local_laws
from isoflop.plan.design.search import Design
from isoflop.plan.goal import Asked, Known
from isoflop.plan.options import Option, affordable, length
from isoflop.plan.proposal import DesignOutcome, PlannedRuns, Weight
from isoflop.plan.recipe import FRACTION, Recipe
from isoflop.report.text.numerals import number

PLANNED, GRID, AGAIN, LARGEST = "planned", "uniform grid", "own grid again", "largest runs"
REPLICATED = 3
"""Configurations that get a second seed where the source has no replicates: the noise is else unknown."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known before the plan.

    Attributes:
        power, floor: the fitted curves.
        floor_weight: of floors and bends.
        noise: scatter of the runs.
        replicated: whether some runs differ in the seed alone.
        existing: (ln x, name of the configuration) of the runs.
        span: range of ln x.
        known: the interval now; None from nothing.
        to_x: what one GFLOP is in the unit of x.
    """

    power: Curve
    floor: Curve
    floor_weight: float
    noise: Noise
    replicated: bool
    existing: tuple[tuple[float, str], ...]
    span: float
    known: Known | None
    to_x: float


@dataclasses.dataclass(frozen=True)
class Planned:
    """The plan: outcomes of the designs, the chosen options with their new seeds, and the laws."""

    designs: tuple[DesignOutcome, ...]
    chosen: tuple[tuple[Option, tuple[int, ...]], ...]
    laws: tuple[Weight, ...]
    notes: tuple[str, ...]


def plan(
    evidence: Evidence, options: Sequence[Option], names: Sequence[str], asked: Asked, budget: Budget
) -> Planned:
    """Return the runs that shrink an interval most within a budget.

    Args:
        evidence: what is known.
        options: what can be bought.
        names: of the configuration of each option, as in `evidence.existing` for one that is there.
        asked: the goal.
        budget: in whose unit options are costed.

    Raises:
        ConfigError: the budget buys none of the options, or no law has the goal.
    """
    if not options:
        raise ConfigError(f"--budget {budget.text}: there is no run to choose")
    kept = affordable(options, budget.amount)
    if not kept:
        cheapest = min(each.cost * max(1, len(each.factors)) for each in options)
        times = number(cheapest / budget.amount)
        raise ConfigError(f"--budget {budget.text}: it buys no run: the cheapest takes {times} times as much")
    by_option = dict(zip(map(id, options), names, strict=True))
    problem = _problem(evidence, kept, [by_option[id(each)] for each in kept], asked)
    existing = [i for i, each in enumerate(kept) if each.seeds]
    least: Design = Counter() if evidence.replicated else _replicates(problem, existing, kept, budget.amount)
    designs = {
        PLANNED: search.best(problem, budget.amount, least),
        GRID: search.uniform(problem, budget.amount),
        **({AGAIN: search.again(problem, budget.amount, existing)} if existing else {}),
        LARGEST: search.largest(problem, budget.amount),
    }
    outcomes = tuple(
        _outcome(name, problem, design, kept, evidence, asked) for name, design in designs.items()
    )
    chosen = sorted(designs[PLANNED].items(), key=lambda pair: kept[pair[0]].gflops[-1])
    return Planned(
        outcomes,
        tuple((kept[i], _new_seeds(kept[i], seeds)) for i, seeds in chosen if seeds),
        _weights(problem),
        _notes(problem, designs[PLANNED], least),
    )


def _problem(evidence: Evidence, options: Sequence[Option], names: Sequence[str], asked: Asked) -> Problem:
    groups: dict[str, int] = {}
    existing = tuple((x, groups.setdefault(name, len(groups))) for x, name in evidence.existing)
    choices = tuple(
        each.choice(groups.setdefault(name, len(groups)), evidence.to_x)
        for each, name in zip(options, names, strict=True)
    )
    laws = local_laws(evidence.power, evidence.floor, evidence.floor_weight, asked.goal, evidence.span)
    if not laws:
        raise ConfigError(
            f"--goal {asked.text}: no law of the curve comes to it: give a larger value, or another goal"
        )
    return Problem(laws, evidence.noise, choices, len(groups), existing)


def _replicates(
    problem: Problem, existing: Sequence[int], options: Sequence[Option], budget: float
) -> Design:
    """Return further seeds of configurations spread over the range, for a fifth of the budget at most."""
    order = sorted(existing or range(len(options)), key=lambda i: problem.choices[i].log_x[-1])
    wanted = {order[round(share * (len(order) - 1))] for share in (0.0, 0.5, 1.0)[:REPLICATED]}
    design: Design = Counter()
    for index in sorted(wanted, key=lambda i: options[i].cost):
        seeds = 1 if options[index].seeds else 2
        more = design + Counter({index: seeds})
        if search.cost(problem, more) <= 0.2 * budget:
            design = more
    return design


def _new_seeds(option: Option, count: int) -> tuple[int, ...]:
    """Return the seeds to train: the smallest that are not there."""
    free = (seed for seed in range(len(option.seeds) + count) if seed not in option.seeds)
    return tuple(next(free) for _ in range(count))


def _outcome(
    name: str, problem: Problem, design: Design, options: Sequence[Option], evidence: Evidence, asked: Asked
) -> DesignOutcome:
    bought = [i for i, seeds in design.items() if seeds]
    known = evidence.known
    ratio = search.ratio(problem, design) if known is not None else None
    after = None
    if known is not None and ratio is not None:
        after = goals.shrunk(known.ends, ratio, positive=asked.goal.kind == FLOOR)
    return DesignOutcome(
        design=name,
        runs=sum(design.values()),
        amount=search.cost(problem, design),
        width_ratio=ratio,
        deviation=_in_unit(math.exp(problem.deviations(search.states(problem, design))), problem, asked),
        after=after,
        largest_gflops=max((options[i].gflops[-1] for i in bought), default=None),
    )


def _in_unit(deviation: float, problem: Problem, asked: Asked) -> float:
    """Return a standard deviation of E, which the laws have in units of y at x_0, in that of y; others as
    they are."""
    if asked.goal.kind != FLOOR:
        return deviation
    curve = problem.laws[0].curve
    return deviation * (curve.floor + curve.falling)


def _weights(problem: Problem) -> tuple[Weight, ...]:
    plain = [law for law in problem.laws if not law.bent]
    total = sum(law.weight for law in plain)
    return tuple(Weight(law.name, law.weight / total, law.curve.floor, law.curve.b) for law in plain)


def _notes(problem: Problem, design: Design, least: Design) -> tuple[str, ...]:
    plain = [law for law in problem.laws if not law.bent]
    total = sum(law.weight for law in plain)
    laws = ", ".join(f"{law.name} {law.weight / total:.0%}" for law in plain)
    counted = problem.noise.counted
    said = [
        f"design: least expected interval by Fisher information under {laws}, each also with a small bend",
        f"noise of ln y: {math.sqrt(problem.noise.config):.3f} between configurations, "
        f"{math.sqrt(problem.noise.seed):.3f} between seeds"
        + ("" if counted is None else f" beside counting {number(counted)} examples"),
    ]
    if least:
        said.append("no run is replicated yet: second seeds are planned, without which the noise is unknown")
    if sum(design.values()) >= search.MOST_RUNS:
        said.append(f"the plan ends at {search.MOST_RUNS} runs: fit again and plan anew with what is left")
    said.append(
        "costs are of training and of searches for rates: starts, evaluation and metering come on top"
    )
    return tuple(said)


def runs(planned: Planned, recipe: Recipe | None) -> tuple[PlannedRuns, ...]:
    """Return the chosen runs as they are shown."""
    made = []
    for option, seeds in planned.chosen:
        settings = (
            recipe.settings(option.variant) if recipe is not None and option.variant is not None else {}
        )
        search_cost = max(0, len(option.factors) - 1) * option.cost
        made.append(
            PlannedRuns(
                label=option.label,
                width=option.shape[0] if option.shape is not None and option.shape[0] else None,
                depth=option.shape[1] if option.shape is not None else None,
                data_fraction=settings.get(FRACTION),
                length=length(recipe, option.variant)
                if recipe is not None and option.variant is not None
                else None,
                parameters=option.parameters,
                examples=option.examples,
                train_gflops=option.gflops,
                seeds=seeds,
                lr_factors=option.factors,
                new=not option.seeds,
                amount=len(seeds) * option.cost + search_cost,
            )
        )
    return tuple(made)


def is_reach(asked: Asked) -> bool:
    """Return whether the goal is a value of y that is to be reached."""
    return asked.goal.kind == REACH
