#!/usr/bin/env python3
"""Estimate how much of a bend in an error curve came from training that failed, not from the data.

usage: python benchmarks/recipe_share.py DIR [--healthy-width 16] [--map-widths 8 32]

A network that its recipe trains badly has a training loss above the trend of smaller networks. In four steps,
on geometric means over the seeds of a shape:

1. trend: ln(training loss) is a line in ln(training GFLOPs) through the shapes up to --healthy-width;
2. straight line: ln(test error) likewise, through the same shapes: the curve without a bend;
3. map: test error as a function of training loss, through the shapes of --map-widths, by each of MAPS;
4. mended error: the measured error times map(trend) / map(measured loss), which puts the training loss
   back on the trend and leaves what else that shape has.

The recipe's share of the bend is ln(measured / mended) / ln(measured / straight); the rest is the gap between
test and training loss. Every map is used beyond the losses that it was fitted to, so the spread over the maps
that the points carry, by their residuals, says how well the share is known.

Writes DIR/recipe_share.csv and prints it. `isoflop report DIR` draws training loss against compute.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isoflop.table import aggregate, csv_text

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Map:
    """Polynomial of test error in training loss, either of them in logs."""

    name: str
    log_loss: bool
    log_error: bool
    degree: int

    def fit(self, loss: Array, error: Array) -> Callable[[Array], Array]:
        """Return the least-squares curve through losses (nats) and errors (shares), both [shapes]."""
        transformed = np.log(error) if self.log_error else error
        coefficients = np.polyfit(np.log(loss) if self.log_loss else loss, transformed, self.degree)

        def curve(at: Array) -> Array:
            value = np.polyval(coefficients, np.log(at) if self.log_loss else at)
            return np.asarray(np.exp(value) if self.log_error else value)

        return curve


MAPS = (
    Map("power law", True, True, 1),
    Map("line", False, False, 1),
    Map("exponential", False, True, 1),
    Map("parabola in logs", True, True, 2),
    Map("parabola", False, False, 2),
)


def shapes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a (width, depth), by compute: geometric means over seeds of losses and error."""
    columns = ["train_gflops", "train_loss", "test_loss", "test_error"]
    logs = rows[["width", "depth", *columns]].astype(float)
    logs[columns] = logs[columns].apply(np.log)
    table = logs.groupby(["width", "depth"]).mean().apply(np.exp)
    return table.reset_index().sort_values("train_gflops", ignore_index=True)


def straight_line(x: Array, y: Array, at: Array) -> Array:
    """Return the power law through (x, y), by least squares in logs, at other places."""
    return np.asarray(np.exp(np.polyval(np.polyfit(np.log(x), np.log(y), 1), np.log(at))))


def shares(table: pd.DataFrame, healthy_width: float, map_widths: tuple[float, float]) -> pd.DataFrame:
    """Return the shapes with trend, straight line, and mended error and share of the bend by each map.

    Args:
        table: One row a shape, as `shapes` returns it.
        healthy_width: Trend and straight line go through shapes up to this width.
        map_widths: Least and largest width of the shapes that maps go through.

    Raises:
        ValueError: Too few shapes for a line or a parabola.

    """
    healthy = table[table["width"] <= healthy_width]
    mapped = table[table["width"].between(*map_widths)]
    if len(healthy) < 3 or len(mapped) < 4:
        raise ValueError(
            f"{len(healthy)} shapes up to width {healthy_width:g} and {len(mapped)} between the map's "
            "widths: at least 3 and 4 are needed"
        )
    compute, loss, error = (
        table[name].to_numpy(float) for name in ("train_gflops", "train_loss", "test_error")
    )
    x = healthy["train_gflops"].to_numpy(float)
    trend = straight_line(x, healthy["train_loss"].to_numpy(float), compute)
    line = straight_line(x, healthy["test_error"].to_numpy(float), compute)
    result = table.assign(loss_trend=trend, loss_over_trend=loss / trend, error_straight_line=line)
    for kind in MAPS:
        curve = kind.fit(mapped["train_loss"].to_numpy(float), mapped["test_error"].to_numpy(float))
        mended = error * curve(trend) / curve(loss)
        result[f"mended error, {kind.name}"] = mended
        # Only a point above the straight line has a bend to share out.
        bend = np.where(error > 1.05 * line, np.log(error / line), np.nan)
        result[f"share, {kind.name}"] = np.log(error / mended) / bend
    return result


def map_residuals(table: pd.DataFrame, map_widths: tuple[float, float]) -> dict[str, float]:
    """Return, by map, the root mean square of ln(error / map), a degree of freedom a parameter."""
    mapped = table[table["width"].between(*map_widths)]
    loss, error = mapped["train_loss"].to_numpy(float), mapped["test_error"].to_numpy(float)
    return {
        kind.name: float(
            np.sqrt(np.sum(np.log(error / kind.fit(loss, error)(loss)) ** 2) / (len(loss) - kind.degree - 1))
        )
        for kind in MAPS
    }


def main() -> None:
    """Compute, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--healthy-width", type=float, default=16, metavar="W")
    parser.add_argument("--map-widths", type=float, nargs=2, default=(8, 32), metavar=("LEAST", "LARGEST"))
    options = parser.parse_args()
    rows = aggregate.aggregate(options.directory).rows
    table = shapes(rows)
    least, largest = options.map_widths
    try:
        result = shares(table, options.healthy_width, (least, largest))
    except ValueError as error:
        raise SystemExit(f"{options.directory}: {error}") from None
    (options.directory / "recipe_share.csv").write_text(csv_text.to_csv(result.round(6)))
    for name, residual in map_residuals(table, (least, largest)).items():
        print(f"{name}: residual {residual:.3f}")
    print(result[result["width"] > options.healthy_width].round(3).T.to_string(header=False))


if __name__ == "__main__":
    main()
