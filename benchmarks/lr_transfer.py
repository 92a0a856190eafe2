#!/usr/bin/env python3
"""Draw validation loss against learning rate, a line a width, for both parametrizations of a sweep.

usage: isoflop sweep sweep=lr_transfer && python benchmarks/lr_transfer.py results/lr_transfer

Writes DIR/figures/lr_transfer.png and .svg and prints the best learning rate of each width. The best rate is
the one with the least mean validation loss over seeds; under mup it should not move with width.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from isoflop.table import aggregate

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a (parametrization, width): the learning rate with the least mean validation loss."""
    means = rows.groupby(["parametrization", "width", "lr"], as_index=False)["val_loss"].mean()
    best: pd.DataFrame = means.loc[means.groupby(["parametrization", "width"])["val_loss"].idxmin()]
    return best


def draw(rows: pd.DataFrame) -> Figure:
    """A panel a parametrization; seeds as faint points, their mean as a line, the best rate marked."""
    names = sorted(rows["parametrization"].unique(), reverse=True)
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        here = rows[rows["parametrization"] == name]
        for colour, (width, group) in zip(COLOURS, here.groupby("width"), strict=False):
            mean = group.groupby("lr")["val_loss"].mean()
            panel.plot(group["lr"], group["val_loss"], "o", color=colour, alpha=0.3, ms=3)
            panel.plot(mean.index, mean.to_numpy(), color=colour, label=f"width {width:.0f}")
            panel.plot(mean.idxmin(), mean.min(), "v", color=colour, ms=8)
        panel.set(xscale="log", title=name, xlabel="Learning rate at the base width")
        panel.grid(True, which="major", alpha=0.3)
    panels[0].set_ylabel("Validation loss (nats)")
    panels[0].legend(frameon=False)
    return figure


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    rows = aggregate.aggregate(directory).rows
    (directory / "figures").mkdir(exist_ok=True)
    figure = draw(rows)
    for kind in ("png", "svg"):
        figure.savefig(directory / "figures" / f"lr_transfer.{kind}", dpi=160)
    print(best_rates(rows).to_string(index=False))


if __name__ == "__main__":
    main()
