"""The interactive charts: plotly specifications as plain dicts."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.result import FitFile, FitReport
from isoflop.report.figures import curves, style, views
from isoflop.report.figures.curves import Curves, Line
from isoflop.report.figures.views import ChartPoints, ChartView
from isoflop.report.text import units
from isoflop.report.text.amounts import amount, of_resource, plain, seed_after
from isoflop.report.text.numerals import number, seconds
from isoflop.table import target
from isoflop.table.axis import Axis
from isoflop.table.target import Target


def _literal(text: object) -> str:
    """A name as plotly shows it literally: its labels understand some HTML."""
    return html.escape(str(text), quote=False)


def _hover(row: Mapping[Any, Any], judged_on: Target, resource: Axis | None = None) -> str:
    """Return the text over one run: its configuration's label, its seed, and what is known of it.

    `resource` is the x of a table of the user's own, which stands in place of a sweep's training compute.
    """
    lines = [
        f"<b>{_literal(row['label'])}</b>{seed_after(row)}",
        f"{judged_on.quantity.name} {amount(row[judged_on.y], judged_on.quantity)}",
    ]
    if resource is not None:
        lines.append(f"{resource.short} {of_resource(row[resource.column], resource)}")
    of_text = judged_on.domain == target.TEXT
    for column, name, show in (
        ("examples_seen", "bytes read", number) if of_text else ("test_loss", "test loss", number),
        *([("train_gflops", "GFLOPs", number)] if resource is None else []),
        ("energy_joules", "J", number),
        ("net_joules", "J above idle", number),
        ("train_seconds", "trained", seconds),
        ("dollars", "cost", units.dollars),
        ("grams_co2", "CO2", units.grams),
        ("lr", "lr", number),
    ):
        if not np.isnan(row[column]):
            value = show(row[column])
            after = name.startswith(("GFLOPs", "J", "bytes"))
            lines.append(f"{value} {name}" if after else f"{name} {value}")
    return "<br>".join(lines)


def _floats(values: Any, digits: int = 6) -> list[float]:
    """Return numbers for JSON, rounded to `digits` significant digits."""
    return [float(f"{v:.{digits}g}") for v in values]


def _line_traces(line: Line, fit_curves: Curves, scale: float) -> list[dict[str, Any]]:
    """Return the traces of one curve, dashed beyond the largest run, after those of its bands."""
    x, y = np.asarray(line.band.x), scale * np.asarray(line.band.y)
    last = int((x <= fit_curves.x_max * (1 + 1e-9)).sum())
    common: dict[str, Any] = {"type": "scatter", "mode": "lines", "legendgroup": line.key}
    common |= {"legendrank": 1 + fit_curves.lines.index(line)}
    common |= {} if line.shown else {"visible": "legendonly"}
    traces: list[dict[str, Any]] = []
    band = line.band
    for low, high, opacity in ((band.new_low, band.new_high, "18"), (band.low, band.high, "38")):
        if line.main:
            ends = (scale * np.maximum(np.asarray(side), 1e-12) for side in (low, high))
            lower, upper = (list(end) for end in ends)
            fill = {"fill": "toself", "fillcolor": f"{line.colour}{opacity}", "line": {"width": 0}}
            shape = {"x": _floats([*x, *x[::-1]], 4), "y": _floats([*upper, *lower[::-1]], 4)}
            traces.append(common | fill | shape | {"hoverinfo": "skip", "showlegend": False})
    width = 3 if line.main else 1.4
    for part, dash in ((slice(0, last), "solid"), (slice(max(last - 1, 0), None), "dash")):
        drawn = {"x": _floats(x[part], 4), "y": _floats(y[part], 4), "name": line.name, "hoverinfo": "name"}
        look = {"color": line.colour, "width": width, "dash": dash}
        traces.append(common | drawn | {"showlegend": dash == "solid", "line": look})
    return traces


def _curve_traces(points: ChartPoints, report: FitReport, fit_curves: Curves) -> list[dict[str, Any]]:
    """Return the traces of all curves, the main one last so that it lies on top, and the frontier."""
    scale = points.view.scale
    traces = [t for line in reversed(fit_curves.lines) for t in _line_traces(line, fit_curves, scale)]
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


def _held_out_trace(report: FitReport, scale: float) -> list[dict[str, Any]]:
    """Return rings around the runs that were held out, with what was predicted."""
    rows, quantity = report.held_out.rows if report.held_out is not None else (), report.quantity
    texts = [
        f"held out: {plain(r.y, quantity)}, predicted {plain(r.predicted, quantity)} "
        f"({plain(r.low, quantity)} to {plain(r.high, quantity)})"
        for r in rows
    ]
    ring = {"symbol": "circle-open", "size": 15, "color": style.INK, "line": {"width": 1.4}}
    trace = {"type": "scatter", "mode": "markers", "name": "Held out", "text": texts, "hoverinfo": "text"}
    placed = {"x": _floats(r.x for r in rows), "y": _floats(scale * r.y for r in rows), "marker": ring}
    return [trace | placed] if rows else []


def _shapes(fit_curves: Curves) -> list[dict[str, Any]]:
    """Return shading beyond the largest run, and the vertical lines."""
    shapes: list[dict[str, Any]] = []
    for zone in fit_curves.zones:
        colour = style.EXTRAPOLATED if zone.tested else style.UNTESTED
        place = {"yref": "paper", "y0": 0, "y1": 1, "x0": zone.low, "x1": zone.high}
        shapes.append(place | {"type": "rect", "layer": "below", "fillcolor": colour, "line": {"width": 0}})
    for x, _ in fit_curves.marks:
        place = {"yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x}
        shapes.append(place | {"type": "line", "layer": "below", "line": {"color": style.MUTED, "width": 1}})
    return shapes


def _marks(fit_curves: Curves) -> list[dict[str, Any]]:
    """Return the labels of the vertical lines, written along them from the top."""
    look = {"showarrow": False, "textangle": -90, "font": {"size": 11, "color": style.MUTED}}
    place = {"yref": "paper", "y": 0.98, "xanchor": "left", "yanchor": "top"}
    return [look | place | {"x": math.log10(x), "text": text} for x, text in fit_curves.marks]


def _symbols(frame: pd.DataFrame, mark: Mapping[Any, tuple[str, str]]) -> list[str]:
    """Return the symbol of each point: open where a check names it."""
    ends = frame[views.FLAGGED].map({True: "-open", False: ""})
    return [mark[m][1] + end for m, end in zip(frame["mark"], ends, strict=True)]


def _rims(means: pd.DataFrame) -> list[float]:
    """Return the width of each mean's rim, which is all that shows of an open symbol."""
    return [1.8 if flagged else 1.0 for flagged in means[views.FLAGGED]]


def _flagged_key(points: ChartPoints) -> list[dict[str, Any]]:
    """Return a trace without points that explains open symbols in the legend, where there are any."""
    if not points.seeds[views.FLAGGED].any():
        return []
    look = {"symbol": "circle-open", "size": 9, "color": style.MUTED, "line": {"width": 1.5}}
    name = {"name": views.FLAGGED_NAME, "marker": look, "hoverinfo": "skip"}
    return [{"type": "scatter", "mode": "markers", "x": [None], "y": [None]} | name]


def _point_traces(points: ChartPoints) -> list[dict[str, Any]]:
    tint, mark = style.tints(points.seeds["tint"]), style.marks(points.seeds["mark"])
    view, traces = points.view, []
    quantity = view.quantity
    for value, colour in tint.items():
        name = (_literal(value) or "Runs") if isinstance(value, str) else f"{points.tint_name} {value:,}"
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
                    "symbol": _symbols(seeds, mark),
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
                    f"<b>{_literal(label)}</b>{f', mean of {n}' if n > 1 else ''}<br>{plain(y, quantity)}"
                    f"{f' ({plain(low, quantity)} to {plain(high, quantity)})' if high > low else ''}"
                    f"<br>at {number(x)}"
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
                    "line": {"color": "white", "width": _rims(means)},
                    "symbol": _symbols(means, mark),
                },
            }
        )
    return traces


def spec(points: ChartPoints, report: FitReport | None) -> dict[str, Any]:
    """Return data and layout of one view for Plotly.newPlot; both axes logarithmic.

    Traces whose meta is `runs` hold as text the row's index; page.js puts the run's text there.
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
    fit_curves = curves.curves(report)
    seen = points.seeds[view.y].to_numpy()
    drawn = [] if fit_curves is None else [curves.visible(fit_curves, seen)]
    x_ticks = _ticks(np.concatenate([points.seeds[view.x], [] if fit_curves is None else [fit_curves.end]]))
    cap = 100.0 if view.quantity.counted else math.inf
    y_ticks = _ticks(view.scale * np.concatenate([seen, points.means["high"], *drawn]), cap)
    layout: dict[str, Any] = {
        "xaxis": axis | x_ticks | {"title": {"text": view.x_title}},
        "yaxis": axis | y_ticks | {"title": {"text": view.y_title, "standoff": 6}, "automargin": True},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": style.INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "margin": {"l": 56, "r": 12, "t": 32, "b": 52},
        "modebar": {"bgcolor": "white", "color": style.MUTED, "activecolor": style.INK},
        "legend": {"orientation": "h", "y": -0.17, "yanchor": "top", "x": 0, "font": {"size": 12}},
    }
    traces = _point_traces(points) + _flagged_key(points)
    if report is not None and fit_curves is not None:
        traces = _curve_traces(points, report, fit_curves) + traces + _held_out_trace(report, view.scale)
        layout["shapes"], layout["annotations"] = _shapes(fit_curves), _marks(fit_curves)
    return {"data": traces, "layout": layout}


def _ticks(values: npt.NDArray[np.float64], cap: float = math.inf) -> dict[str, Any]:
    """Return range (up to `cap`) and ticks of a logarithmic axis: decades over a wide range, else finer."""
    positive = values[values > 0]
    low, high = math.log10(positive.min()), math.log10(positive.max())
    room = max(0.04 * (high - low), 0.02)
    axis: dict[str, Any] = {"range": [low - room, min(high + room, math.log10(cap))]}
    span = high - low
    if span > 5 or low < -4 or high > 6:
        return axis | {"dtick": max(1, round(span / 6))}
    fine = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    steps = (1,) if span > 2.5 else (1, 2, 5) if span > 1 else fine
    ticks = [s * 10.0**d for d in range(math.floor(low) - 1, math.ceil(high) + 1) for s in steps]
    return axis | {"tickvals": _floats(ticks), "ticktext": [f"{float(f'{t:.4g}'):,.10g}" for t in ticks]}


def specs(
    rows: pd.DataFrame,
    fits: FitFile,
    shown: Sequence[ChartView] | None = None,
    judged_on: Target | None = None,
) -> str:
    """Return JSON {views: {key: {data, layout}}, runs: text over each row} for every view that has points.

    Args:
        rows: one row a run.
        fits: whose curves are drawn.
        shown: the views, by default those of a sweep.
        judged_on: what the rows are judged on, by default what a sweep is.
    """
    charts = {}
    rows, judged_on = rows.reset_index(drop=True), judged_on or target.of(rows)
    resource = next((report.axes.x for report in fits.reports if report.axes is not None), None)
    for view in views.of(rows) if shown is None else shown:
        points = views.select(rows, view)
        if not points.seeds.empty:
            charts[view.key] = spec(points, views.report_of(fits, view))
    runs = [_hover(row, judged_on, resource) for row in rows.to_dict("records")]
    return json.dumps({"views": charts, "runs": runs}, separators=(",", ":"), allow_nan=False)
