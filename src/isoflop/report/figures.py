"""The figures as files: PNG (200 dpi) and SVG, drawn with matplotlib's objects, no global state."""

from __future__ import annotations

import dataclasses
import io
import itertools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from isoflop import record
from isoflop.curve.result import Band, FitFile, FitReport
from isoflop.report import points as views
from isoflop.report import style
from isoflop.report.numerals import number
from isoflop.report.points import Points

SIZE_INCHES = (7.6, 5.0)
DPI = 200
MOST_COLUMNS = 16
"""A grid of more widths shows colours without numbers."""
RASTER_DPI = 80
RASTER_ABOVE = 200
"""With more seeds than this, points are an image in the SVG, which else grows by 100 bytes a point."""
RC: Any = {
    "font.size": 10.0,
    "font.family": "sans-serif",
    "axes.edgecolor": style.MUTED,
    "axes.labelcolor": style.INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": style.MUTED,
    "ytick.color": style.MUTED,
    "xtick.labelcolor": style.INK,
    "ytick.labelcolor": style.INK,
    "text.color": style.INK,
    "svg.hashsalt": "isoflop",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """One figure: `name` is its file's stem, `alt` says what it shows to who cannot see it."""

    name: str
    title: str
    alt: str
    caption: str
    png: bytes
    svg: str


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Ticks for a logarithmic axis: powers of ten over a wide range, 1-2-5 or finer over a narrow one."""
    decades = np.log10(high / low)
    if decades > 3.2:
        step = max(1, round(decades / 7))
        axis.set_major_locator(LogLocator(10.0**step, numticks=12))
        axis.set_minor_locator(LogLocator(10.0, subs="auto", numticks=60) if step == 1 else NullLocator())
    else:
        coarse, middle, fine = (
            (1.0, 2.0, 5.0),
            (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
            tuple(np.arange(1, 10, 0.5)),
        )
        subs = coarse if decades > 1.2 else middle if decades > 0.4 else fine
        axis.set_major_locator(LogLocator(10.0, subs=subs, numticks=30))
        axis.set_minor_locator(LogLocator(10.0, subs=tuple(range(1, 10)), numticks=60))
    if low > 1e-4 and high < 1e6:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _limits(values: np.ndarray[Any, Any], pad: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = max((high / low) ** pad, 1.05)
    return low / room, high * room


def _curve(axes: Axes, report: FitReport, points: Points) -> list[Any]:
    """Draw the laws and the band of one; return their legend handles."""
    handles: list[Any] = []
    for fit in report.fits:
        x, y, low, high = _arrays(fit.band, points.view.scale)
        inside, colour = x <= report.x_max * (1 + 1e-9), style.law_colour(fit.law)
        axes.plot(x[inside], y[inside], color=colour, lw=1.8, zorder=4)
        beyond = np.append(np.flatnonzero(inside)[-1:], np.flatnonzero(~inside))
        axes.plot(x[beyond], y[beyond], color=colour, lw=1.5, ls=(0, (4, 2.5)), zorder=4)
        handles.append(Line2D([], [], color=colour, lw=1.8, label=style.law_name(fit.law)))
        if fit.law == views.banded(report):
            handles.append(axes.fill_between(x, low, high, color=colour, alpha=0.16, lw=0, zorder=2))
            handles[-1].set_label("its 95% band")
    return handles


def _arrays(band: Band, scale: float) -> tuple[np.ndarray[Any, Any], ...]:
    """x, y, low, high of a band in the view's display unit."""
    return np.asarray(band.x), *(scale * np.asarray(side) for side in (band.y, band.low, band.high))


def _frontier(axes: Axes, report: FitReport, points: Points) -> list[Any]:
    """Draw the line through the means of the configurations on the frontier."""
    best = views.frontier(points, report)
    if len(best) < 2:
        return []
    y = points.view.scale * best["y"]
    return axes.plot(best["x"], y, color=style.MUTED, lw=1.1, ls=(0, (1, 1.2)), zorder=3, label="Frontier")


def _plain(value: Any) -> str:
    """A name as matplotlib shows it literally; a dollar sign would start a formula."""
    return str(value).replace("$", r"\$")[:24]


def _legends(side: Axes, points: Points, laws: list[Any], tint: Any, mark: Any) -> None:
    """Up to three legends in the column to the right of the chart."""
    side.axis("off")
    top = 1.0
    blocks: list[tuple[str | None, list[Any]]] = [(None, laws)] if laws else []
    shown = list(tint.items())[:: max(1, -(-len(tint) // 9))]
    blocks.append(
        (
            points.tint_name.capitalize(),
            [Line2D([], [], ls="", marker="o", color=c, ms=6, label=_plain(v)) for v, c in shown],
        )
    )
    if points.mark_name and len(mark) > 1:
        blocks.append(
            (
                points.mark_name.capitalize(),
                [
                    Line2D([], [], ls="", marker=m, color=style.MUTED, ms=6, label=_plain(v))
                    for v, (m, _) in mark.items()
                ],
            )
        )
    for title, handles in blocks:
        columns = (
            1 if title is None or len(handles) < 4 or max(len(h.get_label()) for h in handles) > 6 else 2
        )
        legend = Legend(
            side,
            handles,
            [handle.get_label() for handle in handles],
            title=title,
            ncols=columns,
            loc="upper left",
            bbox_to_anchor=(0.0, top),
            frameon=False,
            fontsize=8.5,
            title_fontsize=9,
            alignment="left",
            borderaxespad=0.0,
            columnspacing=1.0,
            handletextpad=0.5,
        )
        legend.set_in_layout(False)
        side.add_artist(legend)
        top -= 0.045 * (-(-len(handles) // columns) + (title is not None)) + 0.05


def chart(points: Points, report: FitReport | None) -> Figure:
    """One view on logarithmic axes: seeds, means, frontier, laws and the extrapolated region.

    Raises:
        ValueError: no row of the table can be shown on these axes.
    """
    view, seeds, means = points.view, points.seeds, points.means
    if seeds.empty:
        raise ValueError(f"no run has both {view.x} and {view.y} above 0: nothing to draw")
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes, side = figure.subplots(1, 2, width_ratios=(3.6, 1.0))
    axes.set_xscale("log")
    axes.set_yscale("log")
    tint, mark = style.tints(seeds["tint"]), style.marks(seeds["mark"])
    raster = len(seeds) > RASTER_ABOVE
    for value, group in seeds.groupby("mark", sort=False):
        axes.scatter(
            *(group[view.x], view.scale * group[view.y]),
            **{"s": 11, "c": [tint[t] for t in group["tint"]], "marker": mark[value][0]},
            **{"alpha": 0.45, "linewidths": 0, "zorder": 3, "rasterized": raster},
        )
    for value, group in means.groupby("mark", sort=False):
        colours = [tint[t] for t in group["tint"]]
        low, high = view.scale * group["low"], view.scale * group["high"]
        axes.vlines(group["x"], low, high, colors=colours, lw=0.9, zorder=4.5, rasterized=raster)
        axes.scatter(
            *(group["x"], view.scale * group["y"]),
            **{"s": 34, "c": colours, "marker": mark[value][0], "zorder": 5},
            **{"edgecolors": "white", "linewidths": 0.5, "rasterized": raster},
        )
    xs, ys = [seeds[view.x].to_numpy()], [view.scale * seeds[view.y].to_numpy()]
    handles: list[Any] = []
    if report is not None:
        handles = _curve(axes, report, points) + _frontier(axes, report, points)
        ends = [np.asarray(f.band.x) for f in report.fits]
        xs += ends
        ys += [view.scale * np.asarray(f.band.y) for f in report.fits]
    x_low, x_high = _limits(np.concatenate(xs), 0.03)
    y_low, y_high = _limits(np.concatenate([y[y > 0] for y in ys]), 0.06)
    if report is not None and report.fits and x_high > report.x_max * 1.2:
        x_high = max(float(np.concatenate(ends).max()), report.x_max)
        axes.axvspan(report.x_max, x_high, color=style.EXTRAPOLATED, lw=0, zorder=0)
        axes.text(
            *(0.985, 0.975, "extrapolated"),
            **{"transform": axes.transAxes, "ha": "right", "va": "top", "fontsize": 8, "color": style.MUTED},
        )
    axes.set_xlim(x_low, x_high)
    axes.set_ylim(y_low, min(y_high, 100.0) if view.y == "test_error" else y_high)
    log_ticks(axes.xaxis, x_low, x_high)
    log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel(view.x_title)
    axes.set_ylabel(view.y_title)
    axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
    axes.set_axisbelow(True)
    _legends(side, points, handles, tint, mark)
    return figure


def grid_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean test error of all runs by depth (index) and width (columns), where both are known."""
    known = rows.dropna(subset=["width", "depth", "test_error"])
    cells = known.pivot_table("test_error", "depth", "width", aggfunc="mean")
    return cells.set_axis(cells.index.astype(int), axis=0).set_axis(cells.columns.astype(int), axis=1)


def grid(rows: pd.DataFrame) -> Figure:
    """The width x depth heat map of mean test error, in per cent, each cell with its number.

    Raises:
        ValueError: no run has a width and a depth.
    """
    cells = 100 * grid_cells(rows)
    if cells.empty:
        raise ValueError("no run has a width and a depth: nothing to draw")
    values = cells.to_numpy(float)
    tall, wide = values.shape
    figure = Figure(figsize=(min(12.0, 2.4 + 0.8 * wide), min(10.0, 1.4 + 0.52 * tall)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(np.ma.masked_invalid(values), cmap="cividis", aspect="auto", origin="lower")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    decimals = 1 if high >= 10 else 2
    numbers = wide <= MOST_COLUMNS
    for row, column in itertools.product(range(tall if numbers else 0), range(wide)):
        value = float(values[row, column])
        text = "–" if np.isnan(value) else f"{value:.{decimals}f}"
        dark = not np.isnan(value) and value < low + 0.55 * (high - low)
        colour = style.MUTED if np.isnan(value) else "white" if dark else style.INK
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    every = max(1, -(-wide // MOST_COLUMNS))
    axes.set_xticks(range(0, wide, every), [f"{w:,}" for w in cells.columns[::every]])
    axes.set_yticks(range(tall), [f"{d:,}" for d in cells.index])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("Width (units or channels)")
    axes.set_ylabel("Depth (layers or blocks)")
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("Mean test error (%)")
    bar.outline.set_visible(False)
    return figure


def render(figure: Figure) -> tuple[bytes, str]:
    """The figure as PNG and as SVG."""
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=DPI)
    figure.set_layout_engine("none")
    figure.savefig(svg, format="svg", dpi=RASTER_DPI, metadata={"Date": None})
    return png.getvalue(), svg.getvalue()


def draw(rows: pd.DataFrame, fits: FitFile) -> tuple[Drawing, ...]:
    """Every figure that the rows allow, views first, then the grid."""
    found = []
    with matplotlib.rc_context(RC):
        for view in views.VIEWS:
            points = views.select(rows, view)
            if points.seeds.empty:
                continue
            report = views.report_of(fits, view)
            png, svg = render(chart(points, report))
            alt = (
                f"{view.title}, both axes logarithmic: {len(points.seeds):,} runs of {len(points.means):,} "
                f"configurations, {view.x_title} from {number(points.seeds[view.x].min())} to "
                f"{number(points.seeds[view.x].max())}, {view.y_title} from "
                f"{number(view.scale * points.seeds[view.y].min())} to "
                f"{number(view.scale * points.seeds[view.y].max())}."
            )
            found.append(Drawing(view.key, view.title, alt, views.note(points, report), png, svg))
        cells = grid_cells(rows)
        if cells.size:
            png, svg = render(grid(rows))
            alt = f"Table of mean test error for {cells.shape[1]} widths and {cells.shape[0]} depths."
            caption = (
                "Mean test error in per cent over all runs of a shape (seeds and training lengths together)."
            )
            found.append(Drawing("width_depth", "Mean test error by width and depth", alt, caption, png, svg))
    return tuple(found)


def write(drawings: tuple[Drawing, ...], directory: Path) -> tuple[Path, ...]:
    """Write DIR/figures/NAME.png and .svg, each atomically, and return their paths.

    Raises:
        OSError: disk full or not writable.
    """
    paths = []
    for drawing in drawings:
        for suffix, payload in (("png", drawing.png), ("svg", drawing.svg.encode())):
            path = directory / "figures" / f"{drawing.name}.{suffix}"
            record.write_bytes(path, payload)
            paths.append(path)
    return tuple(paths)
