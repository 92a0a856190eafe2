"""A data grid as one drawing: error or loss against data for each size, and the best size for each n."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from isoflop.curve.joint.data_grid import DATA, PARAMETERS, GrowthPath
from isoflop.curve.joint.result import JointFit
from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import estimate, number
from isoflop.table.target import IMAGES, Target

NAME = "data_grid"
SIZE_INCHES = (9.6, 4.2)
PATH = "#D55E00"
BEST = "#0072B2"


def draw(rows: pd.DataFrame, fit: JointFit, judged_on: Target = IMAGES) -> Drawing:
    """Draw the fitted rows of a data grid; `fit` is of a law in parameters and training data."""
    growth = fit.growth
    assert growth is not None
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(*SIZE_INCHES)
        left, right = figure.subplots(1, 2)
        _paint_errors(left, rows, fit, growth, judged_on)
        _paint_sizes(right, rows, growth)
        for axes in (left, right):
            axes.set_xlabel(f"Training {judged_on.examples}")
        images = canvas.render(figure)
    quantity, examples = judged_on.quantity, judged_on.examples
    title = f"{quantity.noun.capitalize()} over parameters and data"
    caption = (
        f"Left: {quantity.name} against training {examples}, a line a number of parameters by "
        f"{fit.law}'s law, and dashed the path on which parameters grow in proportion to {examples}. Right: "
        f"the best number of parameters for each number of {examples}, which grows to the power "
        f"{estimate(growth.growth)}, with its 95% interval, beside that path; dots are the sizes trained, "
        "hollow marks are extrapolated."
    )
    return Drawing(NAME, title, f"{title}: {caption}", caption, *images)


def _paint_errors(
    axes: Axes, rows: pd.DataFrame, fit: JointFit, growth: GrowthPath, judged_on: Target
) -> None:
    """Draw the runs, the law at each size and the path.

    Args:
        axes: the panel.
        rows: the fitted rows.
        fit: the law.
        growth: its path.
        judged_on: title and scale of y.
    """
    scale = judged_on.quantity.scale
    tint = style.tints(rows[PARAMETERS])
    n = np.geomspace(min(growth.data), max(growth.data), 60)
    for size, of_size in rows.groupby(PARAMETERS):
        axes.plot(of_size[DATA], scale * of_size[fit.y], "o", color=tint[size], ms=4.5, zorder=3)
        law = fit.predict(np.column_stack([np.full(len(n), float(str(size))), n]))
        label = f"{number(float(str(size)))} parameters"
        axes.plot(n, scale * law, color=tint[size], lw=1.3, zorder=2, label=label)
    errors = [scale * at.error.value for at in growth.path]
    axes.plot(growth.data, errors, color=PATH, ls=(0, (4, 2)), lw=1.8, zorder=4, label="in proportion")
    _logarithmic(axes, np.asarray(growth.data), scale * rows[fit.y].to_numpy(float))
    axes.set_ylabel(judged_on.quantity.axis_title)
    axes.legend(frameon=False, fontsize=8)


def _paint_sizes(axes: Axes, rows: pd.DataFrame, growth: GrowthPath) -> None:
    data = np.asarray(growth.data)
    best = np.array([each.value for each in growth.best])
    axes.plot(rows[DATA], rows[PARAMETERS], "o", color=style.MUTED, ms=3, alpha=0.6, label="trained")
    low, high = (
        np.array([(getattr(each.interval, end) or np.nan) for each in growth.best]) for end in ("low", "high")
    )
    sizes = rows[PARAMETERS].to_numpy(float)
    # An interval that is far wider than the sizes trained would leave no room for anything else.
    floor, ceiling = sizes.min() / 10, sizes.max() * 10
    axes.fill_between(
        data, np.clip(low, floor, ceiling), np.clip(high, floor, ceiling), color=BEST, alpha=0.15, lw=0
    )
    axes.plot(data, np.clip(best, floor, ceiling), color=BEST, lw=1.5, label="best")
    for at, size in zip(data, growth.best, strict=True):
        if floor <= size.value <= ceiling:
            face = BEST if size.outside is None else "white"
            axes.plot(at, size.value, "o", color=BEST, mfc=face, ms=6, zorder=4)
    path = [point.parameters for point in growth.path]
    axes.plot(data, path, color=PATH, ls=(0, (4, 2)), lw=1.8, label="in proportion")
    _logarithmic(axes, data, np.array([floor, ceiling]))
    axes.set_ylabel("Parameters")
    axes.legend(frameon=False, fontsize=8)


def _logarithmic(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    y = y[y > 0]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*canvas.limits(x, 0.05))
    axes.set_ylim(*canvas.limits(y, 0.05))
    canvas.ruled(axes)
    canvas.log_ticks(axes.xaxis, float(x.min()), float(x.max()), sparse=True)
    canvas.log_ticks(axes.yaxis, float(y.min()), float(y.max()))
