"""What a chart shows: the four views of a table, its points and the mean of each configuration."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.result import FitFile, FitReport
from isoflop.record.binomial import wilson
from isoflop.report.figures import curves, style
from isoflop.report.figures.curves import Curves
from isoflop.report.text.numerals import compact

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class View:
    """One pair of axes. `scale` multiplies y for display (100 turns a share into per cent)."""

    key: str
    x: str
    y: str
    title: str
    x_title: str
    y_title: str
    scale: float


VIEWS = (
    View(
        *("error_compute", "train_gflops", "test_error", "Test error against training compute"),
        *("Training compute (GFLOPs)", "Test error (%)", 100.0),
    ),
    View(
        *("error_joules", "energy_joules", "test_error", "Test error against training energy"),
        *("Training energy (J)", "Test error (%)", 100.0),
    ),
    View(
        *("error_seconds", "train_seconds", "test_error", "Test error against training time"),
        *("Training time (s)", "Test error (%)", 100.0),
    ),
    View(
        *("loss_compute", "train_gflops", "test_loss", "Test loss against training compute"),
        *("Training compute (GFLOPs)", "Test loss (nats)", 1.0),
    ),
)


@dataclasses.dataclass(frozen=True)
class Points:
    """The rows of a table that a view can show on logarithmic axes.

    `seeds` has the table's columns plus `tint` and `mark` (what colour and shape stand for); `means` has one
    row a configuration: x, y, low, high, seeds, label, tint, mark. `unknown_x`, `unknown_y` and `zero`
    count the rows left out.
    """

    view: View
    seeds: pd.DataFrame
    means: pd.DataFrame
    tint_name: str
    mark_name: str
    unknown_x: int
    unknown_y: int
    zero: int


def _keys(rows: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """The rows with `tint` and `mark`, and what the two stand for.

    Width and depth where every row has them; else the architecture and nothing.
    """
    if rows.empty or rows[["width", "depth"]].isna().to_numpy().any():
        return rows.assign(tint=rows["architecture"].astype(str), mark=""), "model", ""
    if len(rows["family"].unique()) > 1:
        mark = rows["family"].astype(str) + " " + rows["depth"].astype(int).astype(str)
        return rows.assign(tint=rows["width"].astype(int), mark=mark), "width", "family and depth"
    return rows.assign(tint=rows["width"].astype(int), mark=rows["depth"].astype(int)), "width", "depth"


def config_means(rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """One row a configuration: geometric means of `x` and `y` over its seeds, both positive in every row.

    `low` and `high`: for `test_error`, Wilson's interval at the mean for the test images of one seed (all
    seeds are scored on the same images, so pooling them would claim too much); else the seeds' extremes.
    """
    groups = rows.assign(log_x=np.log(rows[x]), log_y=np.log(rows[y])).groupby("place_id", sort=False)
    means = groups[["log_x", "log_y"]].mean()
    found = groups[["label", "tint", "mark"]].first()
    found["x"], found["y"] = np.exp(means["log_x"]), np.exp(means["log_y"])
    found["low"], found["high"], found["seeds"] = groups[y].min(), groups[y].max(), groups.size()
    if y == "test_error":
        n = groups["test_n"].first()
        found["low"], found["high"] = wilson(found["y"].to_numpy(), n.to_numpy())
    return found.reset_index().sort_values("x", ignore_index=True)


def select(rows: pd.DataFrame, view: View) -> Points:
    """The points of `view`; a configuration one of whose seeds is 0 on y has no mean (its logarithm is not
    finite) but keeps its other seeds."""
    styled, tint_name, mark_name = _keys(rows)
    x_known, y_known = styled[view.x] > 0, styled[view.y].notna()
    zero = x_known & (styled[view.y] == 0)
    seeds = styled[x_known & (styled[view.y] > 0)]
    whole = seeds[~seeds["place_id"].isin(set(styled.loc[zero, "place_id"]))]
    return Points(
        view=view,
        seeds=seeds,
        means=config_means(whole, view.x, view.y),
        tint_name=tint_name,
        mark_name=mark_name,
        unknown_x=int((~x_known).sum()),
        unknown_y=int((x_known & ~y_known).sum()),
        zero=int(zero.sum()),
    )


def report_of(fits: FitFile, view: View) -> FitReport | None:
    """The fit on the axes of `view`, or None."""
    return next((r for r in fits.reports if (r.x, r.y) == (view.x, view.y)), None)


def frontier(points: Points, report: FitReport) -> pd.DataFrame:
    """The means of the configurations that the fit found efficient, least x first."""
    best = points.seeds.loc[points.seeds["run_id"].isin(report.frontier_run_ids), "place_id"]
    return points.means[points.means["place_id"].isin(set(best))]


def note(points: Points, report: FitReport | None) -> str:
    """What the marks mean and what is not shown, for a caption."""
    text = "Faint points are single runs; each large point is the geometric mean of a configuration, "
    text += f"coloured by {points.tint_name}"
    text += f" and shaped by {points.mark_name}. " if points.mark_name else ". "
    if points.view.y == "test_error":
        text += (
            "Bars: Wilson 95% interval for the test images, at the mean error (every seed is scored on the "
            "same images, so seeds are not pooled; their spread is the faint points)."
        )
    else:
        text += "Bars: lowest to highest seed."
    text += _curve_words(curves.curves(report))
    for count, why in (
        (points.zero, "with no error at all cannot stand on a logarithmic axis"),
        (points.unknown_x, f"left out: {points.view.x} unknown"),
        (points.unknown_y, f"left out: {points.view.y} unknown"),
    ):
        if count:
            text += f" {count:,} run{'' if count == 1 else 's'} {why}."
    return text


def _curve_words(found: Curves | None) -> str:
    """What the curves and regions mean, and how far ahead the main curve was tested."""
    if found is None:
        return ""
    if found.main.key == style.FORECAST:
        text = " Thick curve: the forecast, the average of the laws by how well they extrapolated"
    else:
        text = f" Thick curve: {found.main.name.lower()}"
    text += "; dark band: 95% interval of the mean, light band: of a new run."
    if found.end <= found.x_max:
        return text
    text += " Dashed: beyond the largest run, where nothing is measured"
    ratio = found.tested_x / found.x_max
    if ratio <= 1:
        return f"{text} and no extrapolation was tested."
    return (
        f"{text}; extrapolation by smaller runs was tested up to {compact(ratio, 3)} times their largest x."
    )
