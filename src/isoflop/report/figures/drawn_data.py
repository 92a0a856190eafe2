"""The data of a figure as a table: what is drawn, point by point, with the titles of the axes as units.

One row is a point of a series: a mark, a vertex of a curve or band, a bar, or an entry of a table. A series
has the name that the legend gives its colour and shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

from isoflop.table import csv_text

KINDS = ("_run", "_mean")
"""Labels of scatters that say what their marks are; matplotlib keeps them out of legends."""
COLUMNS = ("panel", "kind", "series", "x_title", "y_title", "x", "y", "low", "high")
Row = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Name:
    """What a legend says: the name of a colour, of the shape of a mark, or of both."""

    name: str
    colour: str | None
    shape: Any


def as_csv(figure: Figure) -> str:
    """Return the data of a figure as CSV with a header; x, y, low and high are in the units of the titles."""
    names, rows = _names(figure), []
    panels = [axes for axes in figure.axes if axes.axison and not hasattr(axes, "_colorbar")]
    for number, axes in enumerate(panels, 1):
        titles = (axes.get_xlabel().replace("\n", " "), axes.get_ylabel().replace("\n", " "))
        for kind, series, *values in _of_panel(axes, names):
            rows.append((number, kind, series, *titles, *map(_number, values)))
    return csv_text.to_csv(pd.DataFrame(rows, columns=pd.Index(COLUMNS)))


def _number(value: float | None) -> str:
    """Return a number to nine digits, nothing for an unknown one."""
    return "" if value is None or not np.isfinite(value) else f"{value:.9g}"


def _names(figure: Figure) -> list[Name]:
    """Return what the figure's legends say of lines and marks."""
    found = []
    for legend in figure.findobj(Legend):
        assert isinstance(legend, Legend)
        title = legend.get_title().get_text()
        lines = [each for each in legend.legend_handles if isinstance(each, Line2D)]
        # A legend of shapes shows them all in one colour, which then means nothing.
        of_shapes = len({str(each.get_marker()) for each in lines}) > 1 and len(set(map(_colour, lines))) == 1
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            if isinstance(handle, Line2D):
                name = f"{title} {text.get_text()}".strip().replace("\\$", "$")
                found.append(Name(name, None if of_shapes else _colour(handle), _shape(handle.get_marker())))
    return found


def _shape(marker: Any) -> Any:
    """Return the outline (m, 2) of a mark, None for none."""
    if marker in ("None", "", " ", None):
        return None
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


def _colour(line: Line2D) -> str:
    """Return the colour of a line or of its marks as #rrggbb."""
    return to_hex(line.get_color())


def _series(names: Sequence[Name], colour: str, shape: Any = None, label: Any = None) -> str:
    """Return the names that legends give to this colour and shape, or the artist's own label."""
    if isinstance(label, str) and label and not label.startswith("_"):
        return label
    coloured = [each.name for each in names if each.colour == colour]
    shaped = [each.name for each in names if each.colour is None and _same(each.shape, shape)]
    return "; ".join(dict.fromkeys((*coloured, *shaped)))


def _same(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one.shape == other.shape and np.allclose(one, other)


def _of_panel(axes: Axes, names: Sequence[Name]) -> Iterator[Row]:
    """Yield (kind, series, x, y, low, high) of everything that is drawn in data coordinates."""
    for line in axes.lines:
        if line.get_transform() == axes.transData:
            yield from _of_line(line, names)
    for drawn in axes.collections:
        if isinstance(drawn, PathCollection):
            yield from _of_marks(drawn, names)
        elif isinstance(drawn, FillBetweenPolyCollection):
            yield from _of_band(drawn, names)
        elif isinstance(drawn, LineCollection) and drawn.get_transform() == axes.transData:
            yield from _of_bars(drawn, names)
    for image in axes.images:
        yield from _of_image(axes, np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan))


def _of_line(line: Line2D, names: Sequence[Name]) -> Iterator[Row]:
    kind = "curve" if line.get_linestyle() not in ("None", "", " ") else "point"
    shape = _shape(line.get_marker()) if kind == "point" else None
    series = _series(names, _colour(line), shape, line.get_label())
    for x, y in zip(*map(np.atleast_1d, line.get_data(orig=False)), strict=True):
        if np.isfinite(y):
            yield kind, series, x, y, None, None


def _of_marks(drawn: PathCollection, names: Sequence[Name]) -> Iterator[Row]:
    """Yield the marks of a scatter; its label may say their kind, as _run or _mean."""
    offsets: Any = np.ma.filled(np.ma.asarray(drawn.get_offsets(), dtype=float), np.nan)
    label = str(drawn.get_label())
    kind = label[1:] if label in KINDS else "point"
    shape = drawn.get_paths()[0].vertices
    for (x, y), colour in zip(offsets, _colours_of(drawn, len(offsets)), strict=True):
        yield kind, _series(names, colour, shape, label), x, y, None, None


def _colours_of(drawn: PathCollection, count: int) -> list[str]:
    """Return the colour of each mark: that of its rim where it is hollow."""
    faces: Any = np.asarray(drawn.get_facecolor())
    hollow = not len(faces) or float(faces[0][3]) == 0 or to_hex(faces[0][:3]) == "#ffffff"
    return _cycled(drawn.get_edgecolor() if hollow else faces, count)


def _cycled(colours: Any, count: int) -> list[str]:
    """Return the colours of `count` parts of a collection, which repeat where there are fewer."""
    known = [to_hex(each[:3]) for each in np.atleast_2d(colours)]
    return [known[i % len(known)] for i in range(count)]


def _of_band(drawn: FillBetweenPolyCollection, names: Sequence[Name]) -> Iterator[Row]:
    """Yield the ends of a band, which is named after the curve of its colour."""
    faces: Any = np.atleast_2d(drawn.get_facecolor())
    label = str(drawn.get_label())
    parts = (_series(names, to_hex(faces[0][:3])), "" if label.startswith("_") else label)
    series = "; ".join(filter(None, parts))
    for path in drawn.get_paths():
        ends: dict[float, list[float]] = {}
        for x, y in np.asarray(path.vertices):
            ends.setdefault(float(x), []).append(float(y))
        for x, ys in sorted(ends.items()):
            yield "band", series, x, None, min(ys), max(ys)


def _of_bars(drawn: LineCollection, names: Sequence[Name]) -> Iterator[Row]:
    segments = drawn.get_segments()
    for ends, colour in zip(segments, _cycled(drawn.get_color(), len(segments)), strict=True):
        (x, low), (_, high) = np.asarray(ends)[[0, -1]]
        yield "bar", _series(names, colour, label=drawn.get_label()), x, None, low, high


def _of_image(axes: Axes, values: np.ndarray[Any, Any]) -> Iterator[Row]:
    """Yield the entries of a table, by the labels of its columns and rows; y is the value."""
    columns, rows = ([text.get_text() for text in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis))
    for i, j in np.ndindex(values.shape):
        row, column = (
            names[at] if len(names) == count else str(at)
            for names, at, count in ((rows, i, values.shape[0]), (columns, j, values.shape[1]))
        )
        series = f"{axes.get_xlabel()} {column}; {axes.get_ylabel()} {row}"
        yield "entry", series, None, values[i, j], None, None
