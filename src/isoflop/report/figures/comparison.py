"""The figure of a comparison: the curves with their bands, and below them the gain as a function of y."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.curve.compare.result import ArmFit, Comparison, Contrast, GainAt
from isoflop.report.figures import canvas, drawn_data, paper, style, views
from isoflop.table import target

Array = npt.NDArray[np.float64]

WIDE_INCHES, TALL_INCHES = 7.6, 7.4
NAME = 40
"""Letters of an arm's name."""
BEYOND: Any = (0, (2, 1.6))
BAND = 0.18
"""Opacity of a band; beyond the runs of one arm it is 0.4 of that."""
MOST_FACTOR = 8.0
"""Gains beyond this factor of the largest and least one within both arms' runs are not in view."""


def draw(comparison: Comparison) -> Figure:
    """Draw a comparison; in the lower panel a gain above 1 means that the arm needs less compute."""
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(WIDE_INCHES, TALL_INCHES)
        upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
        curves_on(upper, comparison)
        gains_on(lower, comparison)
    return figure


def _colours(comparison: Comparison) -> dict[str, str]:
    return {arm.name: style.OKABE_ITO[i % len(style.OKABE_ITO)] for i, arm in enumerate(comparison.arms)}


def data(comparison: Comparison) -> bytes:
    """Return what the figure shows as CSV (drawn_data)."""
    return drawn_data.as_csv(draw(comparison)).encode()


def payload(comparison: Comparison, suffix: str, width: str | None = None) -> bytes:
    """Return the figure as a file of this kind, png, svg or pdf; for a paper where a width is given.

    Raises:
        ValueError: as paper.inches.
    """
    if width is not None:
        figure = draw(comparison)
        paper.resized(figure, paper.inches(width))
        return paper.payload(figure, suffix)
    stream = io.BytesIO()
    metadata: dict[str, Any] = (
        {} if suffix == "png" else {"Date": None} if suffix == "svg" else {"CreationDate": None}
    )
    with matplotlib.rc_context(canvas.RC):
        draw(comparison).savefig(stream, format=suffix, dpi=canvas.DPI, metadata=metadata)
    return stream.getvalue()


def curves_on(axes: Axes, comparison: Comparison) -> None:
    """Draw the runs and the curve of each arm with its band."""
    colours = _colours(comparison)
    quantity = target.quantity(comparison.y)
    handles, xs, ys = [], [], []
    for arm, marker in zip(comparison.arms, style.MARKS * 2, strict=False):
        colour = colours[arm.name]
        arm_on(axes, arm, quantity.scale, colour, marker[0])
        look: dict[str, Any] = {"color": colour, "marker": marker[0], "ms": 5, "lw": 2.0}
        baseline = " (baseline)" if arm is comparison.arms[0] else ""
        handles.append(Line2D([], [], label=f"{canvas.plain(arm.name, NAME)}{baseline}", **look))
        xs.append(np.array(arm.x))
        ys.append(quantity.scale * np.array(arm.y))
    logarithmic(axes, np.concatenate(xs), np.concatenate(ys))
    axes.set_xlabel(x_title(comparison))
    axes.set_ylabel(y_title(comparison))
    axes.legend(handles=handles, frameon=False, fontsize=9)


def x_title(comparison: Comparison) -> str:
    """Return the title of the axis of x."""
    titles = {view.x: view.x_title for view in (*views.VIEWS, *views.TEXT_VIEWS, views.PRICED)}
    return titles.get(comparison.x, canvas.plain(comparison.x))


def y_title(comparison: Comparison) -> str:
    """Return the title of the axis of y."""
    quantity = target.quantity(comparison.y)
    return canvas.plain(quantity.title) if quantity.unit == quantity.column else quantity.axis_title


def arm_on(axes: Axes, arm: ArmFit, scale: float, colour: str, marker: str, opacity: float = BAND) -> None:
    """Draw the configuration means of one arm, its curve and the band of that.

    Args:
        axes: where.
        arm: what.
        scale: from the unit of y to that of the axis.
        colour, marker: of its marks.
        opacity: of the band.
    """
    axes.scatter(
        arm.x, scale * np.array(arm.y), color=colour, marker=marker, s=26, alpha=0.75, lw=0, zorder=4
    )
    x = np.array(arm.curve.x)
    axes.plot(x, scale * np.array(arm.curve.y), color=colour, lw=2.0, zorder=3)
    low, high = (scale * numbers(end) for end in (arm.curve.low, arm.curve.high))
    axes.fill_between(x, low, high, color=colour, alpha=opacity, lw=0, zorder=2)


def gains_on(axes: Axes, comparison: Comparison) -> None:
    """Draw each arm's gain as a function of y, dashed beyond the runs of one of the two."""
    colours = _colours(comparison)
    scale = target.quantity(comparison.y).scale
    known = [of for of in comparison.contrasts if of.gain is not None]
    axes.set_xlabel(y_title(comparison))
    axes.set_ylabel("Compute-equivalent gain")
    if not known:
        reason = comparison.contrasts[0].gain_reason or ""
        axes.text(
            0.5,
            0.5,
            f"gain unknown:\n{canvas.plain(reason, 200)}",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=style.MUTED,
            fontsize=9,
            wrap=True,
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return
    ys, seen = [], [1.0]
    for of in known:
        ys += [row.y for row in of.gain.curve] if of.gain else []
        seen += gain_on(axes, of, scale, colours[of.other])
    axes.axhline(1.0, color=style.MUTED, lw=1.0, zorder=1)
    logarithmic(axes, scale * np.array(ys), np.array(seen))
    axes.invert_xaxis()  # to the right is more compute, as above
    handles = [
        Line2D([], [], color=colours[of.other], lw=2.0, label=canvas.plain(of.other, NAME)) for of in known
    ]
    handles.append(Line2D([], [], color=style.MUTED, lw=1.4, ls=BEYOND, label="beyond the runs of one"))
    axes.legend(handles=handles, frameon=False, fontsize=9)


def gain_on(axes: Axes, of: Contrast, scale: float, colour: str, opacity: float = BAND) -> list[float]:
    """Draw one gain with its band, and return the values that must be in view; arguments as of `arm_on`."""
    assert of.gain is not None
    rows = of.gain.curve
    inside = np.array([row.inside for row in rows])
    y = scale * np.array([row.y for row in rows])
    gains = numbers([row.gain for row in rows])
    low, high = _ends(rows)
    axes.plot(y[inside], gains[inside], color=colour, lw=2.0, zorder=4)
    axes.plot(y, gains, color=colour, lw=1.4, ls=BEYOND, zorder=3)
    axes.fill_between(y, low, high, where=inside, color=colour, alpha=opacity, lw=0, zorder=2)
    axes.fill_between(y, low, high, color=colour, alpha=0.4 * opacity, lw=0, zorder=1.5)
    middle = gains[inside]
    shown = np.concatenate([middle, low[inside], high[inside]])
    least, most = np.nanmin(middle), np.nanmax(middle)
    return [float(np.clip(each, least / MOST_FACTOR, most * MOST_FACTOR)) for each in shown]


def _ends(rows: tuple[GainAt, ...]) -> tuple[Array, Array]:
    """Return the ends of the band; an open one is where no axis reaches."""
    low = np.array([1e-9 if row.interval.low is None else row.interval.low for row in rows])
    high = np.array([1e9 if row.interval.high is None else row.interval.high for row in rows])
    return low, high


def numbers(values: Any) -> Array:
    """Return values as floats, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def logarithmic(axes: Axes, x: Array, y: Array) -> None:
    """Make both axes logarithmic, with these values in view."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    x_ends, y_ends = canvas.limits(x, 0.05), canvas.limits(y, 0.06)
    axes.set_xlim(*x_ends)
    axes.set_ylim(*y_ends)
    canvas.ruled(axes)
    canvas.log_ticks(axes.xaxis, *x_ends)
    canvas.log_ticks(axes.yaxis, *y_ends)
