"""What a chart shows: the views of a table by its domain, its points and the mean of each configuration."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.result import FitFile, FitReport
from isoflop.record.binomial import wilson
from isoflop.report.figures import curves, style
from isoflop.report.figures.curves import Curves
from isoflop.report.text.numerals import compact
from isoflop.table import target
from isoflop.table.axis import Axes
from isoflop.table.target import TEST_BITS, TEST_ERROR, TEST_LOSS, Quantity

Array = npt.NDArray[np.float64]
Look = TypeVar("Look")


@dataclasses.dataclass(frozen=True)
class ChartView:
    """One pair of axes. `scale` multiplies y for display (100 turns a share into per cent)."""

    key: str
    x: str
    y: str
    title: str
    x_title: str
    y_title: str
    scale: float
    measured: Quantity | None = None

    @property
    def quantity(self) -> Quantity:
        """What y is: `measured`, or what the name of its column tells."""
        return self.measured or target.quantity(self.y)


FLAGGED = "flagged"
"""Column of the rows that a check names, which are drawn hollow: those of undertrained shapes."""
FLAGGED_NAME = "Undertrained"

_COMPUTE = ("compute", "train_gflops", "training compute", "Training compute (GFLOPs)")
_JOULES = ("joules", "energy_joules", "training energy", "Training energy (J)")
_SECONDS = ("seconds", "train_seconds", "training time", "Training time (s)")
_DOLLARS = ("dollars", "dollars", "training cost", "Training cost (dollars)")
_BYTES = ("bytes", "examples_seen", "bytes read", "Bytes read in training")


def _view(prefix: str, quantity: Quantity, x: tuple[str, str, str, str]) -> ChartView:
    key, column, name, axis_title = x
    title = f"{quantity.title} against {name}"
    named = (f"{prefix}_{key}", column, quantity.column, title)
    return ChartView(*named, axis_title, quantity.axis_title, quantity.scale)


VIEWS = (
    *(_view("error", TEST_ERROR, x) for x in (_COMPUTE, _JOULES, _SECONDS)),
    _view("loss", TEST_LOSS, _COMPUTE),
)
"""The views of a sweep on images; the first is that of the verdict."""
PRICED = _view("error", TEST_ERROR, _DOLLARS)
"""A further view of runs that have a price."""
TEXT_VIEWS = tuple(_view("bits", TEST_BITS, x) for x in (_COMPUTE, _BYTES, _JOULES, _SECONDS))
"""The views of a sweep on text."""


def of(rows: pd.DataFrame) -> tuple[ChartView, ...]:
    """Return the views of the rows' domain along which they differ, the main one first; against dollars
    where the runs have a price.

    Raises:
        ValueError: as target.of.
    """
    judged_on = target.of(rows)
    views = {target.IMAGE: VIEWS, target.TEXT: TEXT_VIEWS}.get(judged_on.domain) or _of_other(judged_on)
    first, *others = views
    if "dollars" in rows and rows["dollars"].notna().any():
        others.append(_view(first.key.partition("_")[0], judged_on.quantity, _DOLLARS))
    return first, *(view for view in others if target.varies(rows, view.x))


def _of_other(judged_on: target.Target) -> tuple[ChartView, ...]:
    """Return the views of runs of the user's own loop, of whatever error or loss they know."""
    return tuple(_view(judged_on.quantity.noun, judged_on.quantity, x) for x in (_COMPUTE, _JOULES, _SECONDS))


def of_axes(axes: Axes) -> ChartView:
    """Return the view of a user's own pair of axes, whose x is in the unit that is shown."""
    x, y = axes.x, axes.y
    name = "compute" if x.is_compute else x.name
    key = "_".join(re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_") for part in (y.noun, name))
    title = f"{y.title} against {x.name}"
    return ChartView(key, x.column, y.column, title, x.title, y.axis_title, y.scale, y)


def title(report: FitReport) -> str:
    """Return the title of a report's pair of axes."""
    x, y = report.x, report.y
    if report.axes is not None:
        return of_axes(report.axes).title
    others = (view for judged_on in target.OTHERS for view in _of_other(judged_on))
    priced = (_view("", target.quantity(y), _DOLLARS),)
    known = (view.title for view in (*VIEWS, *TEXT_VIEWS, *others, *priced) if (view.x, view.y) == (x, y))
    return next(known, f"{y} against {x}")


@dataclasses.dataclass(frozen=True)
class ChartPoints:
    """The rows of a table that a view can show on logarithmic axes.

    `seeds` has the table's columns plus `tint` and `mark` (what colour and shape stand for) and `flagged`
    (whether a check names the run); `means` has one row a configuration: x, y, low, high, seeds, label, tint,
    mark, flagged. `tints` and `marks` are the colour and the (matplotlib, plotly) shape of each value, chosen
    from all rows of the table, so that a configuration looks alike in every view; those of values that this
    view does not show are left out. `unknown_x`, `unknown_y` and `zero` count the rows left out.
    """

    view: ChartView
    seeds: pd.DataFrame
    means: pd.DataFrame
    tint_name: str
    mark_name: str
    tints: Mapping[Any, str]
    marks: Mapping[Any, tuple[str, str]]
    unknown_x: int
    unknown_y: int
    zero: int

    @property
    def looks(self) -> dict[str, tuple[str, str]]:
        """Run id -> colour and matplotlib's shape."""
        rows = zip(self.seeds["run_id"], self.seeds["tint"], self.seeds["mark"], strict=True)
        return {run: (self.tints[tint], self.marks[mark][0]) for run, tint, mark in rows}


def _keys(rows: pd.DataFrame) -> tuple[pd.DataFrame, str, str]:
    """Return the rows with `tint` and `mark`, and what the two stand for.

    Width and depth where every row has them; else the architecture and nothing; nothing where no row has one.
    """
    if not rows.empty and rows["architecture"].isna().all():
        return rows.assign(tint="", mark=""), "", ""
    if rows.empty or rows[["width", "depth"]].isna().to_numpy().any():
        return rows.assign(tint=rows["architecture"].astype(str), mark=""), "model", ""
    if len(rows["family"].unique()) > 1:
        mark = rows["family"].astype(str) + " " + rows["depth"].astype(int).astype(str)
        return rows.assign(tint=rows["width"].astype(int), mark=mark), "width", "family and depth"
    return rows.assign(tint=rows["width"].astype(int), mark=rows["depth"].astype(int)), "width", "depth"


def config_means(rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Return one row per configuration: geometric means of `x` and `y`, both positive, over its seeds.

    `low` and `high`: for a counted error, Wilson's interval at the mean for the test images of one seed (all
    seeds are scored on the same images, so pooling them would claim too much); else, or where their number is
    unknown, the seeds' extremes.
    """
    groups = rows.assign(log_x=np.log(rows[x]), log_y=np.log(rows[y])).groupby("place_id", sort=False)
    means = groups[["log_x", "log_y"]].mean()
    table = groups[["label", "tint", "mark", FLAGGED]].first()
    table["x"], table["y"] = np.exp(means["log_x"]), np.exp(means["log_y"])
    table["low"], table["high"], table["seeds"] = groups[y].min(), groups[y].max(), groups.size()
    if target.quantity(y).counted:
        n = groups["test_n"].first()
        known = (n > 0).to_numpy()  # not of every loop of a user's own
        low, high = wilson(table["y"].to_numpy()[known], n.to_numpy(float)[known])
        table.loc[known, "low"], table.loc[known, "high"] = low, high
    return table.reset_index().sort_values("x", ignore_index=True)


def select(rows: pd.DataFrame, view: ChartView) -> ChartPoints:
    """Return the points of `view`.

    A configuration with a seed whose y is 0 has no geometric mean, but keeps its other seeds.
    """
    marked = rows if FLAGGED in rows else rows.assign(**{FLAGGED: False})
    styled, tint_name, mark_name = _keys(marked)
    x_known, y_known = styled[view.x] > 0, styled[view.y].notna()
    zero = x_known & (styled[view.y] == 0)
    seeds = styled[x_known & (styled[view.y] > 0)]
    whole = seeds[~seeds["place_id"].isin(set(styled.loc[zero, "place_id"]))]
    return ChartPoints(
        view=view,
        seeds=seeds,
        means=config_means(whole, view.x, view.y),
        tint_name=tint_name,
        mark_name=mark_name,
        tints=_only(style.tints(styled["tint"]), seeds["tint"]),
        marks=_only(style.marks(styled["mark"]), seeds["mark"]),
        unknown_x=int((~x_known).sum()),
        unknown_y=int((x_known & ~y_known).sum()),
        zero=int(zero.sum()),
    )


def _only(looks: Mapping[Any, Look], shown: pd.Series) -> dict[Any, Look]:
    """Return the looks of the values that are shown."""
    kept = set(shown)
    return {value: look for value, look in looks.items() if value in kept}


def report_of(fits: FitFile, view: ChartView) -> FitReport | None:
    """Return the fit on the axes of `view`, or None."""
    return next((r for r in fits.reports if (r.x, r.y) == (view.x, view.y)), None)


def frontier(points: ChartPoints, report: FitReport) -> pd.DataFrame:
    """Return the means of the configurations on the fit's efficient frontier, least x first."""
    best = points.seeds.loc[points.seeds["run_id"].isin(report.frontier_run_ids), "place_id"]
    return points.means[points.means["place_id"].isin(set(best))]


def note(points: ChartPoints, report: FitReport | None, law: str | None = None) -> str:
    """Return what the marks mean and what is not shown, for a caption; arguments as curves.curves."""
    single = len(points.means) == len(points.seeds)
    text = (
        "Each point is a run"
        if single
        else "Faint points are single runs; each large point is the geometric mean of a configuration"
    )
    text += f", coloured by {points.tint_name}" if points.tint_name else ""
    text += f" and shaped by {points.mark_name}. " if points.mark_name else ". "
    if points.view.quantity.counted and points.seeds["test_n"].notna().all():
        text += (
            "Bars: Wilson 95% interval for the test images, at the mean error (every seed is scored on the "
            "same images, so seeds are not pooled; their spread is the faint points)."
        )
    elif not single:
        text += "Bars: lowest to highest seed."
    if points.seeds[FLAGGED].any():
        text += " Hollow: undertrained shapes, whose training loss is above that of a smaller shape."
    text += _curve_note(curves.curves(report, law))
    for count, why in (
        (points.zero, "with no error at all cannot stand on a logarithmic axis"),
        (points.unknown_x, f"left out: {points.view.x} unknown"),
        (points.unknown_y, f"left out: {points.view.y} unknown"),
    ):
        if count:
            text += f" {count:,} run{'' if count == 1 else 's'} {why}."
    return text.replace(".  ", ". ").strip()


def _curve_note(fit_curves: Curves | None) -> str:
    """Return what the curves and regions mean, and how far ahead the main curve was tested."""
    if fit_curves is None:
        return ""
    text = (
        f" Thick curve: {style.law_in_sentence(fit_curves.main.name)}; dark band: {fit_curves.percent} "
        "interval of the mean, light band: of a new run."
    )
    if fit_curves.end <= fit_curves.x_max:
        return text
    text += " Dashed: beyond the largest run, where nothing is measured"
    if fit_curves.forecast is not None:
        text += "; the bands there are those of the forecast, the average of the laws by their evidence"
    ratio = fit_curves.tested_x / fit_curves.x_max
    if ratio <= 1:
        return f"{text}; no extrapolation was tested."
    return (
        f"{text}; extrapolation by smaller runs was tested up to {compact(ratio, 3)} times their largest x."
    )
