#!/usr/bin/env python3
"""Is a point cooled down from a trunk the same as a run of its own? Test loss against GFLOPs, both ways.

usage: python benchmarks/horizons.py results/horizons [--seeds 5]

Trains three small ResNets on digits, once as trunks with four cool-downs and once as runs of their own at
each length (whose warm-up is a share of their own length), writes DIR/horizons.csv, .png and
.svg, and prints the differences seed by seed and what both ways cost.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from isoflop.config import compose
from isoflop.record import Record
from isoflop.runner import run
from isoflop.table import csv_text

WIDTHS, HORIZONS, EPOCHS = (1, 4, 16), (0.125, 0.25, 0.5, 1.0), 32
BASE = ("model=resnet", "data=digits", "optim=adamw", "optim.lr=0.04", "launch.threads=1", "meter=none")
COLOURS = ("#0072B2", "#E69F00", "#009E73")


def row(record: Record, way: str, horizon: float) -> dict[str, object]:
    """One point."""
    assert record.loss is not None, record.reason
    assert record.error is not None
    assert record.compute is not None
    return {
        "way": way,
        "width": record.model.width,
        "horizon": horizon,
        "seed": record.seed,
        "train_gflops": (record.compute.train_flops or 0) * 1e-9,
        "spent_gflops": (record.spent.flops or 0) * 1e-9,
        "test_loss": record.loss.test,
        "test_error": record.error.test,
    }


def train(folder: Path, width: int, seed: int) -> list[dict[str, object]]:
    """The trunk's points and the runs of their own."""

    def go(way: str, *overrides: str) -> tuple[Record, ...]:
        config = compose.compose_config([*BASE, f"model.width={width}", f"seed={seed}", *overrides], None)
        return run.run(dataclasses.replace(config, out=str(folder / way)))

    trunk = go("trunk", f"schedule.epochs={EPOCHS}", f"schedule.cooldowns={list(HORIZONS)}")
    found = [row(point, "trunk", point.horizon) for point in trunk]
    for horizon in HORIZONS:
        (alone,) = go("alone", f"schedule.epochs={int(EPOCHS * horizon)}")
        found.append(row(alone, "alone", horizon))
    return found


def compare(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a (width, horizon): the difference of trunk and run of its own, seed by seed."""
    wide = rows.pivot_table(index=["width", "horizon", "seed"], columns="way", values="test_loss")
    apart = (wide["trunk"] - wide["alone"]).groupby(["width", "horizon"])
    alone = wide["alone"].groupby(["width", "horizon"])
    return pd.DataFrame(
        {
            "alone_mean": alone.mean(),
            "difference": apart.mean(),
            "standard_error": apart.std() / apart.count() ** 0.5,
            "seed_sd": alone.std(),
            "n": apart.count(),
        }
    ).reset_index()


def draw(rows: pd.DataFrame) -> Figure:
    """Trunks' points filled, runs of their own as rings; lines through the means."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for colour, (width, shape) in zip(COLOURS, rows.groupby("width"), strict=True):
        for way, line, face in (("trunk", "-", colour), ("alone", "--", "none")):
            here = shape[shape["way"] == way]
            mean = here.groupby("horizon")[["train_gflops", "test_loss"]].mean()
            shift = 1.03 if way == "alone" else 1 / 1.03
            axes.plot(here["train_gflops"] * shift, here["test_loss"], "o", ms=4, mec=colour, mfc=face)
            label = f"width {width}, " + ("cooled down from one trunk" if way == "trunk" else "trained alone")
            axes.plot(mean["train_gflops"], mean["test_loss"], line, color=colour, lw=1.2, label=label)
    axes.set(xscale="log", yscale="log", xlabel="Training GFLOPs", ylabel="Test loss (nats)")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Train, write, draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    cells = itertools.product(WIDTHS, range(given.seeds))
    rows = pd.DataFrame([point for cell in cells for point in train(given.directory / "runs", *cell)])
    (given.directory / "horizons.csv").write_text(csv_text.to_csv(rows))
    figure = draw(rows)
    for kind in ("png", "svg"):
        figure.savefig(given.directory / f"horizons.{kind}", dpi=160)
    print(compare(rows).round(5).to_string(index=False))
    spent = rows.groupby("way")["spent_gflops"].sum()
    print(f"GFLOPs spent: trunk {spent['trunk']:.1f}, alone {spent['alone']:.1f}")


if __name__ == "__main__":
    main()
