"""The sweep file of a plan: a Hydra group option that `isoflop sweep --config-dir D sweep=NAME` takes.

Every setting that changes a result is written out, so that the runs have the recipe of the source whatever
the defaults are by then: seeds of a configuration that is there get its ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from isoflop.config.keys import unflatten
from isoflop.plan import recipe as recipes
from isoflop.plan.proposal import PlannedRuns
from isoflop.plan.recipe import Recipe

Selected = Sequence[tuple[PlannedRuns, int]]
"""Runs, each with the number of its variant."""


def text(recipe: Recipe, chosen: Selected, name: str, command: str, head: Sequence[str]) -> str:
    """Return the content of a sweep file.

    Args:
        recipe: of the source.
        chosen: runs with the numbers of their variants; all or none of them try learning rates first.
        name: of the sweep.
        command: that trains it, for the first line.
        head: lines of the comment below.
    """
    factors = chosen[0][0].lr_factors
    shared = dict(recipe.shared)
    points = [_point(recipe, runs, variant) for runs, variant in chosen]
    # What the points set themselves must not stand in the shared part of a length, such as epochs: null.
    lines = ["# @package _global_", f"# {command}", *(f"# {line}" for line in head)]
    lines += ["defaults:", *(f"  - override /{group}: {option}" for group, option in _groups(shared))]
    for section, values in unflatten(shared).items():
        lines.append(f"{section}:")
        lines += [f"  {key}: {_value(value)}" for key, value in values.items()]
    lines += ["sweep:", f"  name: {name}"]
    if factors:
        lines.append(f"  lr_grid: {_value(factors)}")
    lines += ["  points:", *(f"    - {_value(point)}" for point in points)]
    return "\n".join(lines) + "\n"


def _groups(shared: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options of groups on which the file builds: for keys that change no result, such as where
    the data lie."""
    named = [("model", "model.family"), ("data", "data.name"), ("optim", "optim.name")]
    found = [(group, str(shared[key])) for group, key in named if key in shared]
    return [*found, ("recipe", "none")]


def _point(recipe: Recipe, runs: PlannedRuns, variant: int) -> dict[str, Any]:
    settings = dict(recipe.variants[variant].settings)
    if recipe.scaled:
        settings[recipes.WIDTH] = runs.width
    if runs.depth is not None:
        settings[recipes.DEPTH] = runs.depth
    point = unflatten(settings)
    return {**point, "grid": {"seed": list(runs.seeds)}}


def _value(value: Any) -> str:
    """Return a value as YAML in one line: JSON is YAML, and Hydra's interpolations stand in none of them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        # YAML 1.1 reads 1e-05 as text: it wants a point.
        shown = repr(value)
        return shown if "e" not in shown or "." in shown else shown.replace("e", ".0e")
    return json.dumps(value)
