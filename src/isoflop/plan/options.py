"""The runs that a plan chooses among, each with its points, its cost and what it would be called."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from isoflop.plan import recipe as recipes
from isoflop.plan.amount import Amount
from isoflop.plan.design.information import Choice
from isoflop.plan.recipe import Recipe, Shape
from isoflop.plan.run_cost import RunCost
from isoflop.plan.sizes import Sizes

BEYOND = 30.0
"""Runs of a plan have at most this many times the compute of the largest run there is: how the curve goes on
further out, and whether the recipe still trains, is not known."""
MOST_SEEDS = 5
PER_DECADE = 8
"""Amounts of compute a decade of x, where the source tells no shapes."""


@dataclasses.dataclass(frozen=True)
class Option:
    """A run that can be bought.

    Attributes:
        label: what it is, in words.
        gflops: training GFLOPs of its points, ascending.
        examples: that its points see; None where they are unknown.
        parameters: of its model; None where they are unknown.
        shape, variant: of the recipe; None for a table of one's own.
        cost: of a seed, in the unit of the budget.
        seeds: that are there already.
        factors: of the learning rate that it has to try first.
    """

    label: str
    gflops: tuple[float, ...]
    examples: tuple[float | None, ...]
    parameters: float | None
    shape: Shape | None
    variant: int | None
    cost: float
    seeds: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()

    def choice(self, group: int, to_x: float) -> Choice:
        """Return it as the design sees it; `to_x` turns GFLOPs into the unit of x.

        The trial at the rate that is chosen is the first seed's run, so that a search of k rates costs k - 1
        runs besides (sweep/tune.py).
        """
        search = max(0, len(self.factors) - 1) * self.cost
        return Choice(np.log(np.array(self.gflops) * to_x), group, self.cost, search, MOST_SEEDS)


@dataclasses.dataclass(frozen=True)
class Work:
    """What a shape takes: training GFLOPs and forward GFLOPs of an example, and its parameters if known."""

    train_gflops: float
    forward_gflops: float
    parameters: float | None


def of_recipe(
    recipe: Recipe,
    works: Mapping[Shape, Work],
    train_n: Mapping[float, float],
    cost: RunCost,
    largest_gflops: float,
) -> list[Option]:
    """Return the runs of a recipe: every shape of `works` with every variant.

    Args:
        recipe: what is shared and what varies.
        works: of the shapes.
        train_n: fraction of the data -> examples of the training part.
        cost: of runs.
        largest_gflops: most compute of a point.
    """
    made = []
    for variant in range(len(recipe.variants)):
        settings = recipe.settings(variant)
        n = train_n.get(float(settings.get(recipes.FRACTION, 1.0)))
        if n is None:
            continue
        for shape, work in works.items():
            seen = recipes.examples(settings, n, work.train_gflops * 1e9)
            shares = recipes.horizons(settings)
            points = tuple(round(share * seen) for share in shares)
            if seen * work.train_gflops > largest_gflops:
                continue
            made.append(
                Option(
                    label=_label(recipe, variant, shape),
                    gflops=tuple(examples * work.train_gflops for examples in points),
                    examples=points,
                    parameters=work.parameters,
                    shape=shape,
                    variant=variant,
                    cost=cost.of(recipes.spent(settings) * seen * work.train_gflops, work.forward_gflops),
                    seeds=recipe.existing.get((shape, variant), ()),
                    factors=recipe.search(shape),
                )
            )
    return made


def length(recipe: Recipe, variant: int) -> str:
    """Return how long runs of a variant are: `10 epochs`."""
    settings = recipe.settings(variant)
    for key in recipes.LENGTHS:
        if (value := settings.get(key)) is not None:
            unit = {"train_gflops": "GFLOPs"}.get(key.rpartition(".")[2], key.rpartition(".")[2])
            return f"{value:g} {unit}"
    return "length unknown"


def _label(recipe: Recipe, variant: int, shape: Shape) -> str:
    settings = recipe.settings(variant)
    family = settings.get("model.architecture") or settings.get("model.family")
    parts = [f"{family} w{shape[0]}" if recipe.scaled else str(family)]
    parts += [f"d{shape[1]}"] if shape[1] is not None else []
    return " ".join(parts)


def of_table(
    sizes: Sizes, cost: RunCost, by: str | None, least_gflops: float, largest_gflops: float
) -> list[Option]:
    """Return runs of a table of one's own: amounts of compute, spent as its frontier spends them.

    Args:
        sizes: models and data at a compute.
        cost: of runs.
        by: what the rates' trend is in: forward (FLOPs of a pass), parameters, or None for compute itself.
        least_gflops, largest_gflops: ends of the amounts.
    """
    decades = math.log10(largest_gflops / least_gflops)
    made = []
    for log10 in np.linspace(
        math.log10(least_gflops), math.log10(largest_gflops), max(2, round(PER_DECADE * decades) + 1)
    ):
        at = float(log10)
        gflops = 10.0**at
        size = _size(sizes, by, at)
        if size is None:
            continue
        made.append(
            Option(
                label="new run",
                gflops=(gflops,),
                examples=(sizes.examples(at).value,),
                parameters=sizes.parameters(at).value,
                shape=None,
                variant=None,
                cost=cost.of(gflops, size),
            )
        )
    return made


def _size(sizes: Sizes, by: str | None, log10: float) -> float | None:
    amount: Amount | None = None
    if by == "forward":
        amount = sizes.forward(log10)
    elif by == "parameters":
        amount = sizes.parameters(log10)
    return 10.0**log10 if amount is None else amount.value


def affordable(options: Sequence[Option], budget: float) -> list[Option]:
    """Return the options of which one seed, with its search, fits into the budget."""
    return [each for each in options if each.cost * max(1, len(each.factors)) <= budget * (1 + 1e-9)]
