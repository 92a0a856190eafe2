"""The interactive charts: plotly specifications as plain dicts, and the library packed for the page."""

from __future__ import annotations

import functools
import gzip
import html
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from plotly.offline import get_plotlyjs

from isoflop.curve.result import FitFile, FitReport
from isoflop.report import points as views
from isoflop.report import style
from isoflop.report.numerals import number, percent, seconds
from isoflop.report.points import Points

_ESCAPED = {code: 128 + code for code in (0, 10, 13, 60)}
"""NUL and line ends, which HTML changes, and `<`, which could end a script."""


def pack(text: str) -> str:
    """`text` gzip-compressed, seven bits a character, safe inside a <script> element; page.js unpacks it.

    Base64 would take a sixth more: plotly's library alone would then fill the page's 2 MB.
    """
    bits = np.unpackbits(np.frombuffer(gzip.compress(text.encode(), 9, mtime=0), dtype=np.uint8))
    rows = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    return np.packbits(np.pad(rows, ((0, 0), (1, 0))), axis=1).tobytes().decode("ascii").translate(_ESCAPED)


@functools.cache
def library() -> str:
    """plotly.js (MIT licence, its notice included), packed."""
    return pack(get_plotlyjs())


def _literal(text: object) -> str:
    """A name as plotly shows it literally: its labels understand some HTML."""
    return html.escape(str(text), quote=False)


def _hover(row: Mapping[Any, Any]) -> str:
    """The words over one run: its cell's name, seed, and what is known of it."""
    lines = [
        f"<b>{_literal(row['label'])}</b>, seed {row['seed']:.0f}",
        f"test error {percent(row['test_error'])}",
    ]
    for column, words, show in (
        ("test_loss", "test loss", number),
        ("train_gflops", "GFLOPs", number),
        ("energy_joules", "J", number),
        ("train_seconds", "trained", seconds),
        ("lr", "lr", number),
    ):
        if not np.isnan(row[column]):
            value = show(row[column])
            lines.append(f"{value} {words}" if words in ("GFLOPs", "J") else f"{words} {value}")
    return "<br>".join(lines)


def _floats(values: Any, digits: int = 6) -> list[float]:
    """Numbers for JSON, rounded to `digits` significant digits."""
    return [float(f"{v:.{digits}g}") for v in values]


def _law_traces(points: Points, report: FitReport) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for fit in report.fits:
        x = np.asarray(fit.band.x)
        y, low, high = (points.view.scale * np.asarray(s) for s in (fit.band.y, fit.band.low, fit.band.high))
        colour, name = style.law_colour(fit.law), style.law_name(fit.law)
        last = int((x <= report.x_max * (1 + 1e-9)).sum())
        if fit.law == views.banded(report):
            positive = np.maximum(low, 1e-12)
            traces.append(
                {
                    "type": "scatter",
                    "x": _floats([*x, *x[::-1]], 4),
                    "y": _floats([*high, *positive[::-1]], 4),
                    "fill": "toself",
                    "fillcolor": f"{colour}28",
                    "line": {"width": 0},
                    "mode": "lines",
                    "hoverinfo": "skip",
                    "legendgroup": fit.law,
                    "showlegend": False,
                }
            )
        for part, dash in ((slice(0, last), "solid"), (slice(max(last - 1, 0), None), "dash")):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": _floats(x[part], 4),
                    "y": _floats(y[part], 4),
                    "name": name,
                    "legendgroup": fit.law,
                    "showlegend": dash == "solid",
                    "line": {"color": colour, "width": 2, "dash": dash},
                    "hoverinfo": "name",
                }
            )
    best = views.frontier(points, report)
    if len(best) > 1:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": _floats(best["x"]),
                "y": _floats(points.view.scale * best["y"]),
                "name": "Frontier",
                "line": {"color": style.MUTED, "width": 1.4, "dash": "dot"},
                "hoverinfo": "skip",
            }
        )
    return traces


def _point_traces(points: Points) -> list[dict[str, Any]]:
    tint, mark = style.tints(points.seeds["tint"]), style.marks(points.seeds["mark"])
    view, traces = points.view, []
    for value, colour in tint.items():
        name = _literal(value) if isinstance(value, str) else f"{points.tint_name} {value:,}"
        seeds = points.seeds[points.seeds["tint"] == value]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": _floats(seeds[view.x]),
                "y": _floats(view.scale * seeds[view.y]),
                "text": [int(i) for i in seeds.index],
                "meta": "runs",
                "hoverinfo": "text",
                "legendgroup": name,
                "showlegend": False,
                "marker": {
                    "color": colour,
                    "size": 6,
                    "opacity": 0.45,
                    "symbol": [mark[m][1] for m in seeds["mark"]],
                },
            }
        )
        means = points.means[points.means["tint"] == value]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": _floats(means["x"]),
                "y": _floats(view.scale * means["y"]),
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": _floats(view.scale * (means["high"] - means["y"]).clip(lower=0)),
                    "arrayminus": _floats(view.scale * (means["y"] - means["low"]).clip(lower=0)),
                    "thickness": 1,
                    "width": 0,
                    "color": colour,
                },
                "text": [
                    f"<b>{_literal(label)}</b>, mean of {n}<br>{number(view.scale * y)} "
                    f"({number(view.scale * low)} to {number(view.scale * high)})<br>at {number(x)}"
                    for label, n, x, y, low, high in zip(
                        *(means[c] for c in ("label", "seeds", "x", "y", "low", "high")), strict=True
                    )
                ],
                "hoverinfo": "text",
                "name": name,
                "legendgroup": name,
                "marker": {
                    "color": colour,
                    "size": 10,
                    "line": {"color": "white", "width": 1},
                    "symbol": [mark[m][1] for m in means["mark"]],
                },
            }
        )
    return traces


def spec(points: Points, report: FitReport | None) -> dict[str, Any]:
    """Data and layout of one view for Plotly.newPlot; both axes logarithmic.

    Traces whose meta is `runs` hold as text the row's index; page.js puts its words there.
    """
    view = points.view
    axis = {
        "type": "log",
        "gridcolor": style.GRID,
        "linecolor": style.MUTED,
        "showline": True,
        "ticks": "outside",
        "tickcolor": style.MUTED,
        "zeroline": False,
        "exponentformat": "power",
    }
    curves = report.fits if report is not None else ()
    bands = [np.asarray(fit.band.y) for fit in curves]
    x_ticks = _ticks(np.concatenate([points.seeds[view.x], *(fit.band.x for fit in curves)]))
    cap = 100.0 if view.y == "test_error" else math.inf
    y_ticks = _ticks(view.scale * np.concatenate([points.seeds[view.y], points.means["high"], *bands]), cap)
    layout: dict[str, Any] = {
        "xaxis": axis | x_ticks | {"title": {"text": view.x_title}},
        "yaxis": axis | y_ticks | {"title": {"text": view.y_title, "standoff": 6}, "automargin": True},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": style.INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "margin": {"l": 56, "r": 12, "t": 12, "b": 52},
        "legend": {"orientation": "h", "y": -0.17, "yanchor": "top", "x": 0, "font": {"size": 12}},
    }
    traces = _point_traces(points)
    if report is not None and report.fits:
        traces = _law_traces(points, report) + traces
        end = max(fit.band.x[-1] for fit in report.fits)
        if end > 1.2 * report.x_max:
            layout["shapes"] = [
                {
                    "type": "rect",
                    "layer": "below",
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "x0": report.x_max,
                    "x1": end,
                    "fillcolor": style.EXTRAPOLATED,
                    "line": {"width": 0},
                    "label": {
                        "text": "extrapolated",
                        "textposition": "top right",
                        "font": {"size": 11, "color": style.MUTED},
                    },
                }
            ]
    return {"data": traces, "layout": layout}


def _ticks(values: npt.NDArray[np.float64], cap: float = math.inf) -> dict[str, Any]:
    """Range, up to `cap`, and ticks of a logarithmic axis: whole decades over a wide range, else finer."""
    positive = values[values > 0]
    low, high = math.log10(positive.min()), math.log10(positive.max())
    room = max(0.04 * (high - low), 0.02)
    found: dict[str, Any] = {"range": [low - room, min(high + room, math.log10(cap))]}
    span = high - low
    if span > 5 or low < -4 or high > 6:
        return found | {"dtick": max(1, round(span / 6))}
    fine = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    steps = (1,) if span > 2.5 else (1, 2, 5) if span > 1 else fine
    ticks = [s * 10.0**d for d in range(math.floor(low) - 1, math.ceil(high) + 1) for s in steps]
    return found | {"tickvals": _floats(ticks), "ticktext": [f"{float(f'{t:.4g}'):,.10g}" for t in ticks]}


def specs(rows: pd.DataFrame, fits: FitFile) -> str:
    """JSON {views: {key: {data, layout}}, runs: words over each row} for every view that has points."""
    found = {}
    rows = rows.reset_index(drop=True)
    for view in views.VIEWS:
        points = views.select(rows, view)
        if not points.seeds.empty:
            found[view.key] = spec(points, views.report_of(fits, view))
    words = [_hover(row) for row in rows.to_dict("records")]
    whole = {"views": found, "runs": words}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False)
