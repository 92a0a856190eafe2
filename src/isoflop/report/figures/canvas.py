"""How a drawing looks and becomes files: PNG (200 dpi) and SVG, by matplotlib's objects, no global state."""

from __future__ import annotations

import dataclasses
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter, Locator, LogLocator, NullFormatter, NullLocator

from isoflop import record, tasks
from isoflop.report.figures import drawn_data, log_axis, style
from isoflop.report.figures.views import FLAGGED, FLAGGED_NAME, ChartPoints

SIZE_INCHES = (7.6, 5.0)
DPI = 200
SPARSE = 5
"""Ticks of a panel too narrow for long numbers."""
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
    """One figure: `name` is its file's stem, `alt` says what it shows to who cannot see it; `figure` is what
    PNG and SVG were made of."""

    name: str
    title: str
    alt: str
    caption: str
    png: bytes
    svg: str
    figure: Figure = dataclasses.field(repr=False, compare=False)


class _LogLocator(Locator):
    """Ticks of log_axis, wherever the axis is moved to; `most` of them have room."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self) -> list[float]:
        """Return the ticks of what is shown."""
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the ticks from `vmin` to `vmax`."""
        return log_axis.ticks(min(vmin, vmax), max(vmin, vmax), self.most) if min(vmin, vmax) > 0 else []


class _LogFormatter(Formatter):
    """Texts of log_axis, all ticks of an axis alike."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the text of one tick."""
        return log_axis.texts([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the texts of the ticks of an axis."""
        return log_axis.texts(values)


def log_ticks(axis: Axis, low: float, high: float, *, sparse: bool = False) -> None:
    """Ticks for a logarithmic axis (log_axis): powers of ten over a wide range, finer ones over a narrow one.

    `sparse` leaves fewer, for a panel too narrow for long numbers.
    """
    axis.set_major_locator(_LogLocator(SPARSE if sparse else log_axis.MOST + 2))
    axis.set_major_formatter(_LogFormatter())
    few = high / low < 10.0**log_axis.MOST
    axis.set_minor_locator(LogLocator(10.0, subs=tuple(range(1, 10)), numticks=90) if few else NullLocator())
    axis.set_minor_formatter(NullFormatter())


def limits(values: np.ndarray[Any, Any], pad: float) -> tuple[float, float]:
    """Ends of a logarithmic axis: the values' and `pad` of their span more, at least 5%."""
    low, high = float(values.min()), float(values.max())
    room = max((high / low) ** pad, 1.05)
    return low / room, high * room


def blank(wide: float = SIZE_INCHES[0], tall: float = SIZE_INCHES[1]) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(wide, tall), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def ruled(axes: Axes) -> None:
    """A pale grid behind everything."""
    axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
    axes.set_axisbelow(True)


def plain(value: Any, most: int = 24) -> str:
    """A name of at most so many letters, shown literally: a dollar sign would start a formula."""
    return str(value)[:most].replace("$", r"\$")


def fill(colours: list[str], *, hollow: bool, edge: str | None) -> dict[str, Any]:
    """How scatter paints markers: filled, with an edge of that colour if any, or hollow with a rim."""
    if hollow:
        return {"facecolors": "white", "edgecolors": colours, "linewidths": 1.3}
    return {"c": colours, "linewidths": 0.5 if edge else 0} | ({"edgecolors": edge} if edge else {})


def keys(points: ChartPoints) -> list[tuple[str | None, list[Any]]]:
    """Legends of what colours and shapes stand for."""
    tint, mark = points.tints, points.marks
    shown = list(tint.items())[:: max(1, -(-len(tint) // 9))]
    colours = [Line2D([], [], ls="", marker="o", color=c, ms=6, label=plain(v)) for v, c in shown]
    blocks: list[tuple[str | None, list[Any]]] = []
    if points.tint_name:
        blocks.append((points.tint_name.capitalize(), colours))
    if points.mark_name and len(mark) > 1:
        shapes = [
            Line2D([], [], ls="", marker=m, color=style.MUTED, ms=6, label=plain(v))
            for v, (m, _) in mark.items()
        ]
        blocks.append((points.mark_name.capitalize(), shapes))
    if points.seeds[FLAGGED].any():
        look: dict[str, Any] = {"marker": "o", "color": style.MUTED, "mfc": "white", "mew": 1.3, "ms": 6}
        blocks.append((None, [Line2D([], [], ls="", label=FLAGGED_NAME, **look)]))
    return blocks


def legends(side: Axes, tall: float, blocks: Sequence[tuple[str | None, list[Any]]]) -> None:
    """Legends (title, handles) one below the other, in axes of their own, `tall` inches high."""
    side.axis("off")
    top, row = 1.0, 0.25 / tall  # of 0.25 inches
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
            fontsize=8.0,
            title_fontsize=9,
            alignment="left",
            borderaxespad=0.0,
            columnspacing=1.0,
            handlelength=1.5,  # so that the longest name of a law fits
            handletextpad=0.5,
        )
        legend.set_in_layout(False)
        side.add_artist(legend)
        top -= row * (-(-len(handles) // columns) + (title is not None)) + row


def render(figure: Figure) -> tuple[bytes, str, Figure]:
    """(PNG, SVG, figure) of a figure.

    The canvases are asked themselves: `savefig` would draw everything once more before each file, for a
    layout that the first drawing makes and the second keeps. Figures are flat areas, which runs of one value
    compress about as well as the search for repetitions, in two thirds of its time.
    """
    tasks.advance("figures")
    png, svg, shown = io.BytesIO(), io.StringIO(), figure.dpi
    pixels: Any = FigureCanvasAgg(figure)  # matplotlib gives print_png and print_svg no types
    figure.set_dpi(DPI)
    pixels.print_png(png, pil_kwargs={"compress_type": zlib.Z_RLE})
    figure.set_layout_engine("none")
    vectors: Any = FigureCanvasSVG(figure)
    figure.set_dpi(RASTER_DPI)
    vectors.print_svg(svg, metadata={"Date": None})
    figure.set_dpi(shown)
    figure.set_canvas(pixels)
    return png.getvalue(), svg.getvalue(), figure


def write(drawings: tuple[Drawing, ...], directory: Path) -> tuple[Path, ...]:
    """Write DIR/figures/NAME.png, .svg and .csv (drawn_data), each atomically, and return their paths.

    Raises:
        OSError: disk full or not writable.
    """
    paths = []
    for drawing in drawings:
        data = drawn_data.as_csv(drawing.figure)
        files = ("png", drawing.png), ("svg", drawing.svg.encode()), ("csv", data.encode())
        for suffix, payload in files:
            path = directory / "figures" / f"{drawing.name}.{suffix}"
            record.write_bytes(path, payload)
            paths.append(path)
    return tuple(paths)


def widened(outside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return `outside` (m,) with its neighbours, so that dashes drawn there join the solid line."""
    padded = np.pad(outside, 1)
    return np.asarray(padded[1:-1] | padded[:-2] | padded[2:])
