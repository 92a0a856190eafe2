"""A finished figure laid out anew at a physical width, for a paper: type of 7 to 9 points, nothing cut.

Panels stand beside each other where each has room, else one below the other, and every legend goes below
them. What is drawn stays as it is.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

LEAST_POINTS, MOST_POINTS = 7.0, 9.0
TYPE = 0.8
"""Factor from the page's type to print's, within LEAST_POINTS and MOST_POINTS."""
PANEL_INCHES = 2.6
"""A narrower panel stands alone in its row."""
SHAPES = (0.5, 0.74)
"""Height of a panel over its width, at least and at most."""
TALLEST_INCHES = 3.8
"""Height of a panel, at most."""
LABELS_INCHES = 0.5
"""Height of the tick labels and the title below a panel."""
NARROW_INCHES = 4.5
"""In a panel that is narrower, marks and lines are smaller too."""
MARK_AREA, LINE = 0.45, 0.7
"""Factors on the area of marks and the width of lines there."""
PAD_INCHES = 0.04
GAP_PIXELS = 3.0
"""Between the labels of ticks beside each other, at 100 dots an inch."""
MANTISSAS = ((1, 2, 5), (1, 3), (1,))
"""Ticks of a logarithmic axis that are kept where all have no room, the most first."""

ENTRY_SHARE = 0.9
"""Share of a table's column that its number may take."""

Block = tuple[str, list[Any], list[str]]
"""A legend: its title, handles and labels."""


def fit(figure: Figure, width_inches: float) -> None:
    """Lay out a figure anew at this width. The figure is changed."""
    sides, panels = _split(figure)
    blocks = _take_legends(sides, panels)
    for axes in sides:
        axes.remove()
    bars = [axes for axes in figure.axes if axes not in panels]
    columns = max(1, min(_columns(panels), int(width_inches // PANEL_INCHES)))
    wide = width_inches / columns
    heights = _heights(panels, columns, wide)
    if not bars:
        grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
        for i, axes in enumerate(panels):
            axes.set_subplotspec(grid[i // columns, i % columns])
    _shrink(figure, wide)
    panels_inches = sum(heights) + LABELS_INCHES * len(heights)
    figure.set_size_inches(width_inches, panels_inches)
    legends, legend_inches = _legends(figure, blocks, width_inches)
    tall = panels_inches + legend_inches
    figure.set_size_inches(width_inches, tall)
    figure.set_layout_engine(
        "constrained", rect=(0, legend_inches / tall, 1, panels_inches / tall), w_pad=0.03, h_pad=0.03
    )
    _place(legends, figure)
    figure.draw_without_rendering()
    for axes in panels:
        _thin_ticks(axes.xaxis, horizontal=True)
        _thin_ticks(axes.yaxis, horizontal=False)
        _wrap_titles(axes)
        _drop_crowded_numbers(axes)
    figure.draw_without_rendering()


def _split(figure: Figure) -> tuple[list[Axes], list[Axes]]:
    """Return the axes that only hold legends or nothing, and the panels; a colour bar is neither."""
    known = [axes for axes in figure.axes if not hasattr(axes, "_colorbar")]
    return [axes for axes in known if not axes.axison], [axes for axes in known if axes.axison]


def _take_legends(sides: Sequence[Axes], panels: Sequence[Axes]) -> list[Block]:
    """Return the legends of a figure, each once, and take those inside panels away."""
    found = [child for axes in sides for child in axes.get_children() if isinstance(child, Legend)]
    for axes in panels:
        own = axes.get_legend()
        if own is not None:
            found.append(own)
            own.remove()
    blocks: dict[tuple[str, ...], Block] = {}
    for legend in found:
        labels = [text.get_text() for text in legend.get_texts()]
        title = legend.get_title().get_text()
        blocks.setdefault((title, *labels), (title, list(legend.legend_handles), labels))
    return list(blocks.values())


def _columns(panels: Sequence[Axes]) -> int:
    """Return how many panels stand beside each other in the figure as it was drawn."""
    specs = [axes.get_subplotspec() for axes in panels]
    return len({spec.colspan.start for spec in specs if spec is not None}) or 1


def _heights(panels: Sequence[Axes], columns: int, wide: float) -> list[float]:
    """Return the inches of each row of panels that are `wide` inches wide, of about their old shape."""
    shapes = [float(np.clip(_shape(axes), *SHAPES)) for axes in panels]
    rows = [shapes[i : i + columns] for i in range(0, len(shapes), columns)]
    return [min(wide * max(row), TALLEST_INCHES) for row in rows]


def _shape(axes: Axes) -> float:
    """Return height over width of a panel as it was drawn."""
    box = axes.get_window_extent()
    return 1.0 if axes.get_aspect() == 1 else float(box.height / box.width)


def _shrink(figure: Figure, wide: float) -> None:
    """Bring type to the size of print and, in narrow panels, marks and lines to that of the panel."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontsize(_points(text.get_fontsize()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_tick_params(labelsize=LEAST_POINTS)  # of ticks yet to come, too
        if wide >= NARROW_INCHES:
            continue
        for line in axes.lines:
            line.set_linewidth(LINE * line.get_linewidth())
            line.set_markersize(math.sqrt(MARK_AREA) * line.get_markersize())
        for drawn in axes.collections:
            drawn.set_linewidth([LINE * float(each) for each in np.atleast_1d(drawn.get_linewidth())])
            if isinstance(drawn, PathCollection):
                drawn.set_sizes(MARK_AREA * np.asarray(drawn.get_sizes()))


def _points(size: Any) -> float:
    return float(np.clip(TYPE * float(size), LEAST_POINTS, MOST_POINTS))


def _legends(figure: Figure, blocks: Sequence[Block], width_inches: float) -> tuple[list[Legend], float]:
    """Return a legend for each block, in as many columns as the width has room for, and their height."""
    legends = [_legend(figure, block, width_inches) for block in blocks]
    return legends, sum(_inches(legend)[1] + PAD_INCHES for legend in legends) + PAD_INCHES * bool(legends)


def _legend(figure: Figure, block: Block, width_inches: float) -> Legend:
    """Return a legend in the fewest rows that fit the width; its title stands before the first."""
    _, handles, _ = block
    columns = len(handles)
    while True:
        shown, names, across = _by_rows(block, columns)
        legend = Legend(
            figure,
            shown,
            names,
            ncols=across,
            loc="upper left",
            frameon=False,
            fontsize=LEAST_POINTS,
            borderaxespad=0.0,
            borderpad=0.0,
            labelspacing=0.3,
            columnspacing=0.9,
            handlelength=1.5,
            handletextpad=0.4,
        )
        figure.add_artist(legend)
        legend.set_in_layout(False)
        if columns == 1 or _inches(legend)[0] <= width_inches - 2 * PAD_INCHES:
            return legend
        legend.remove()
        columns -= 1


def _by_rows(block: Block, columns: int) -> tuple[list[Any], list[str], int]:
    """Return handles, labels and the number of columns of a legend that reads row by row.

    Matplotlib fills columns first, so that the rows are turned, with empty entries at their ends.
    """
    title, handles, labels = block
    entries = list(zip(handles, labels, strict=True))
    rows = [entries[i : i + columns] for i in range(0, len(entries), columns)]
    empty = (Line2D([], [], ls=""), "")
    if title:
        before = [(empty[0], f"{title}:"), *[empty] * (len(rows) - 1)]
        rows = [[first, *row] for first, row in zip(before, rows, strict=True)]
    across = len(rows[0])
    full = [[*row, *[empty] * (across - len(row))] for row in rows]
    turned = [row[i] for i in range(across) for row in full]
    return [handle for handle, _ in turned], [label for _, label in turned], across


def _inches(legend: Legend) -> tuple[float, float]:
    """Return width and height of a legend."""
    figure = legend.get_figure(root=True)
    assert figure is not None
    box = legend.get_window_extent()
    return box.width / figure.dpi, box.height / figure.dpi


def _place(legends: Sequence[Legend], figure: Figure) -> None:
    """Put the legends one below the other at the foot of the figure."""
    wide, tall = figure.get_size_inches()
    bottom = PAD_INCHES
    for legend in reversed(legends):
        bottom += _inches(legend)[1]
        legend.set_bbox_to_anchor((PAD_INCHES / wide, bottom / tall), transform=figure.transFigure)
        bottom += PAD_INCHES


def _thin_ticks(axis: Axis, *, horizontal: bool) -> None:
    """Keep as many labelled ticks as have room: of a logarithmic axis 1-2-5, 1-3 or powers of ten."""
    low, high = sorted(axis.get_view_interval())
    shown = [
        (float(at), label.get_text())
        for at, label in zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False)
        if low <= at <= high and label.get_text()
    ]
    if len(shown) < 2 or _have_room(axis, shown, horizontal=horizontal):
        return
    candidates = [
        [each for each in shown if _mantissa(each[0]) in mantissas]
        for mantissas in (MANTISSAS if axis.get_scale() == "log" else ())
    ]
    candidates += [shown[i::step] for step in range(2, len(shown)) for i in (0, 1)]
    fits = (each for each in candidates if len(each) > 1 and _have_room(axis, each, horizontal=horizontal))
    kept = next(fits, [shown[0]])
    axis.set_major_locator(FixedLocator([at for at, _ in kept]))
    axis.set_major_formatter(FixedFormatter([text for _, text in kept]))
    if axis.get_scale() != "log":
        axis.set_minor_locator(NullLocator())


def _mantissa(value: float) -> int | None:
    """Return d of d x 10^n, None where d is no whole number."""
    if value <= 0:
        return None
    digits = value / 10.0 ** math.floor(math.log10(value) + 1e-9)
    return round(digits) if abs(digits - round(digits)) < 1e-6 else None


def _have_room(axis: Axis, ticks: Sequence[tuple[float, str]], *, horizontal: bool) -> bool:
    """Return whether the labels of these ticks stay apart."""
    sizes = {label.get_text(): label.get_window_extent() for label in axis.get_ticklabels()}
    low_x, low_y = axis.axes.get_xlim()[0], axis.axes.get_ylim()[0]
    ends = []
    for at, text in ticks:
        x, y = axis.axes.transData.transform((at, low_y) if horizontal else (low_x, at))
        middle, size = (x, sizes[text].width) if horizontal else (y, sizes[text].height)
        ends.append((middle - size / 2, middle + size / 2))
    ends.sort()
    gap = GAP_PIXELS if horizontal else 0.0
    return all(before[1] + gap < after[0] for before, after in itertools.pairwise(ends))


def _wrap_titles(axes: Axes) -> None:
    """Break the title of an axis that is longer than the panel over lines."""
    box = axes.get_window_extent()
    for title, room in ((axes.xaxis.label, box.width), (axes.yaxis.label, box.height)):
        extent, text = title.get_window_extent(), title.get_text()
        long = extent.width if title is axes.xaxis.label else extent.height
        if text and long > room:
            title.set_text("\n".join(textwrap.wrap(text, max(8, int(len(text) * room / long)))))


def _drop_crowded_numbers(axes: Axes) -> None:
    """Take the numbers out of a table whose columns have no room for them: the CSV holds them."""
    if not axes.images or not axes.texts:
        return
    columns = axes.images[0].get_array().shape[1]  # type: ignore[union-attr]
    room = axes.get_window_extent().width / columns
    if max(text.get_window_extent().width for text in axes.texts) > ENTRY_SHARE * room:
        for text in list(axes.texts):
            text.remove()
