#!/usr/bin/env python3
"""Judge training recipes: do larger networks train at least as well as smaller ones?

usage: isoflop sweep sweep=recipe && python benchmarks/recipe.py results/recipe

A recipe of several seeds is accepted when, at each shape's best learning rate by validation loss (mean over
seeds), training loss does not rise with width or with depth by more than the noise of seeds, no run dies,
and the best rate lies inside the grid and is the same or the next one over all shapes. Writes
DIR/recipe.json and DIR/figures/recipe.png and .svg, and prints the tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from isoflop import record

DEAD = 0.98
"""A loss above this share of ln(classes) is that of a network that has learnt nothing."""
CONFIDENCE = 0.95
COLOURS = ("#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7")


def name_of(model: dict[str, object]) -> str:
    """Return the name of the recipe of a run's model settings."""
    zero = " + zero gain" if model.get("zero_init_residual") else ""
    return f"{model['parametrization']}{zero}"


def runs(directory: Path) -> pd.DataFrame:
    """Return one row a run: recipe, width, depth, lr, seed, the losses in nats and the test error."""
    rows = []
    for path in sorted((directory / "records").glob("*.json")):
        run = record.read(path)
        measured = {}
        if run.loss is not None and run.error is not None:
            measured = {"train": run.loss.train, "val": run.loss.val, "test_error": run.error.test}
        settings = {"recipe": name_of(run.cell["model"]), "lr": run.cell["optim"]["lr"], "seed": run.seed}
        shape = {"width": run.model.width, "depth": run.model.depth}
        rows.append(settings | shape | {"classes": run.data.classes if run.data else math.nan} | measured)
    return pd.DataFrame(rows)


def at_best_rate(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of each (recipe, shape) at the learning rate of the least mean validation loss."""
    means = rows.groupby(["recipe", "width", "depth", "lr"], as_index=False)["val"].mean()
    best = means.loc[means.groupby(["recipe", "width", "depth"])["val"].idxmin()]
    return rows.merge(best[["recipe", "width", "depth", "lr"]], on=["recipe", "width", "depth", "lr"])


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What was seen of one recipe.

    Attributes:
        recipe: its name.
        died: runs that diverged or learnt nothing.
        best_rates: best learning rate of each shape, as `w16 d1`.
        interior: whether none of them is at an edge of the grid.
        rate_spread: the largest ratio of two best rates; 2 is the next rate of the grid.
        seed_sd: pooled standard deviation of the training loss over seeds, in nats.
        largest_rise: the largest rise of the mean training loss to the next width or depth, in nats.
        largest_rise_at: between which shapes.
        tolerance: what the noise of seeds allows such a difference, in nats (two-sided 95%).
        accepted: all of it.
    """

    recipe: str
    died: int
    best_rates: dict[str, float]
    interior: bool
    rate_spread: float
    seed_sd: float
    largest_rise: float
    largest_rise_at: str
    tolerance: float
    accepted: bool


def judge(rows: pd.DataFrame, recipe: str) -> Verdict:
    """Judge one recipe of `rows` (see `runs`)."""
    own = rows[rows["recipe"] == recipe]
    best = at_best_rate(own)
    groups = best.groupby(["width", "depth"])["train"]
    means, counts = groups.mean(), groups.count()
    freedom = int((counts - 1).sum())
    variance = float((groups.var() * (counts - 1)).sum() / freedom)
    seeds = float(stats.hmean(counts))
    tolerance = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(2 * variance / seeds)
    shapes = [(int(width), int(depth)) for width, depth in means.index]
    rises = {
        f"{shape(small)} to {shape(large)}": float(means[large] - means[small])
        for small, large in itertools.permutations(shapes, 2)
        if is_next(small, large, shapes)
    }
    where, largest = max(rises.items(), key=lambda item: item[1])
    rates = {
        each: float(best[(best.width == each[0]) & (best.depth == each[1])]["lr"].iloc[0]) for each in shapes
    }
    edges = (own["lr"].min(), own["lr"].max())
    died = int((own["train"].isna() | (own["train"] > DEAD * np.log(own["classes"]))).sum())
    interior = not set(rates.values()) & {*edges}
    spread = max(rates.values()) / min(rates.values())
    return Verdict(
        recipe=recipe,
        died=died,
        best_rates={shape(each): rate for each, rate in rates.items()},
        interior=interior,
        rate_spread=spread,
        seed_sd=math.sqrt(variance),
        largest_rise=largest,
        largest_rise_at=where,
        tolerance=tolerance,
        accepted=not died and interior and spread < 2.1 and largest <= tolerance,
    )


def shape(key: tuple[int, int]) -> str:
    """Return `w16 d1` for (16, 1)."""
    return f"w{key[0]:g} d{key[1]:g}"


def is_next(small: tuple[int, int], large: tuple[int, int], shapes: list[tuple[int, int]]) -> bool:
    """Return whether `large` is the next width at the same depth, or the next depth at the same width."""
    (width, depth), (wider, deeper) = small, large
    if (wider == width) == (deeper == depth) or wider < width or deeper < depth:
        return False
    return sum(width <= w <= wider and depth <= d <= deeper for w, d in shapes) == 2


def change_of_error(rows: pd.DataFrame, recipe: str, baseline: str) -> tuple[float, float, float]:
    """Return the relative change of test error against `baseline` at equal compute, with its 95% interval.

    Each recipe at its own best rates. The same shape and steps are the same FLOPs: differences in
    ln(error) are paired by shape and seed and averaged over shapes; their interval is Student's over
    seeds.
    """
    best = at_best_rate(rows).set_index(["recipe", "width", "depth", "seed"])["test_error"].map(math.log)
    paired = (best[recipe] - best[baseline]).dropna().groupby("seed").mean()
    mean, n = float(paired.mean()), len(paired)
    half = (
        float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * paired.std() / math.sqrt(n)) if n > 1 else math.nan
    )
    return tuple(math.expm1(value) for value in (mean, mean - half, mean + half))  # type: ignore[return-value]


def draw(rows: pd.DataFrame) -> Figure:
    """Draw training loss against learning rate, a panel a recipe and a line a shape."""
    names = list(dict.fromkeys(rows["recipe"]))
    figure = Figure(figsize=(3.1 * len(names), 3.9), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        shapes = rows[rows["recipe"] == name].groupby(["width", "depth"])
        for colour, (key, group) in zip(COLOURS, shapes, strict=False):
            mean = group.groupby("lr")["train"].mean()
            panel.plot(group["lr"], group["train"], "o", color=colour, alpha=0.3, ms=3)
            panel.plot(mean.index, mean.to_numpy(), color=colour, label=shape(key), lw=1.5)
        panel.set(xscale="log", title=name, xlabel="Learning rate")
        rates = sorted(rows["lr"].unique())
        panel.set_xticks(rates, [f"{rate:g}" for rate in rates])
        panel.minorticks_off()
        panel.grid(True, which="major", alpha=0.3)
    panels[0].set_ylabel("Training loss (nats)")
    panels[0].legend(frameon=False, ncols=2, fontsize="small")
    return figure


def main() -> None:
    """Judge, draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    rows = runs(directory)
    names = sorted(rows["recipe"].unique(), key=lambda name: (name != "standard", name))
    rows = rows.assign(recipe=pd.Categorical(rows["recipe"], names)).sort_values(["recipe", "width", "depth"])
    rows["recipe"] = rows["recipe"].astype(str)
    losses = rows.pivot_table(
        index=["recipe", "width", "depth"], columns="lr", values=["train", "val"], sort=False
    )
    print(losses.sort_index(axis=1).round(4).to_string(), "\n")
    seeds = at_best_rate(rows).groupby(["recipe", "width", "depth"])["seed"].nunique().groupby("recipe").min()
    judged = [name for name in names if seeds[name] > 1]
    verdicts = [judge(rows, name) for name in judged]
    changes = {name: change_of_error(rows, name, judged[0]) for name in judged[1:]}
    for verdict in verdicts:
        print(json.dumps(dataclasses.asdict(verdict)))
    for name, (mean, low, high) in changes.items():
        print(f"{name}: test error against {judged[0]} {mean:+.1%} ({low:+.1%} to {high:+.1%})")
    report = {"verdicts": [dataclasses.asdict(verdict) for verdict in verdicts], "test_error_change": changes}
    (directory / "recipe.json").write_text(json.dumps(report, indent=1) + "\n")
    (directory / "figures").mkdir(exist_ok=True)
    figure = draw(rows)
    for kind in ("png", "svg"):
        figure.savefig(directory / "figures" / f"recipe.{kind}", dpi=160)


if __name__ == "__main__":
    main()
