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
from isoflop.report.figures import curves, legends, log_axis, style, views
from isoflop.report.figures.curves import Curves, Line
from isoflop.report.figures.views import ChartPoints, ChartView
from isoflop.report.text import lead, units
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
    drawn, tag = fit_curves.drawn(line), legends.law_tag(line)
    x, y = np.asarray(drawn.x), scale * np.asarray(drawn.y)
    last = int((x <= fit_curves.x_max * (1 + 1e-9)).sum())
    common: dict[str, Any] = {"type": "scatter", "mode": "lines", "legendgroup": line.key}
    common |= {} if line.shown else {"visible": "legendonly"}
    traces: list[dict[str, Any]] = []
    band = fit_curves.banded(line)
    for opacity, of in (("18", legends.NEW_RUN), ("38", legends.MEAN)):
        if band is not None:
            low, high = (band.new_low, band.new_high) if of == legends.NEW_RUN else (band.low, band.high)
            ends = (scale * np.maximum(np.asarray(side), 1e-12) for side in (low, high))
            at, (lower, upper) = np.asarray(band.x), (list(end) for end in ends)
            fill = {"fill": "toself", "fillcolor": f"{line.colour}{opacity}", "line": {"width": 0}}
            shape = {"x": _floats([*at, *at[::-1]], 4), "y": _floats([*upper, *lower[::-1]], 4)}
            traces.append(common | fill | shape | {"hoverinfo": "skip", "tags": [tag, of]})
    # Beyond the largest run the forecast is the thick curve.
    thick = 3.0 if line.main or line.ahead else 1.4
    ahead = thick if line.ahead or fit_curves.forecast is None else 1.4
    beyond = slice(max(last - 1, 0), None)
    for part, dash, width in ((slice(0, last), "solid", thick), (beyond, "dash", ahead)):
        if line.ahead and dash == "solid":
            continue
        shown = {"x": _floats(x[part], 4), "y": _floats(y[part], 4), "name": line.name, "hoverinfo": "name"}
        look = {"color": line.colour, "width": width, "dash": dash}
        traces.append(common | shown | {"line": look, "tags": [tag]})
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
                "tags": [legends.FRONTIER],
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
    return [trace | placed | {"tags": [legends.HELD_OUT]}] if rows else []


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


def _symbols(frame: pd.DataFrame, symbol: str) -> list[str]:
    """Return the symbol of each point: open where a check names it."""
    return [f"{symbol}-open" if flagged else symbol for flagged in frame[views.FLAGGED]]


def _rims(means: pd.DataFrame) -> list[float]:
    """Return the width of each mean's rim, which is all that shows of an open symbol."""
    return [1.8 if flagged else 1.0 for flagged in means[views.FLAGGED]]


def _point_traces(points: ChartPoints) -> list[dict[str, Any]]:
    """Return two traces for each colour and shape: single runs, and the means of configurations."""
    view, traces, means = points.view, [], points.means
    bars = means.assign(
        above=(view.scale * (means["high"] - means["y"])).clip(lower=0),
        below=(view.scale * (means["y"] - means["low"])).clip(lower=0),
    )
    seeds_of, means_of = _by_look(points.seeds), _by_look(bars)
    for value, colour in points.tints.items():
        for mark, (_, symbol) in points.marks.items():
            seeds = seeds_of.get((value, mark))
            if seeds is None:
                continue
            tags = [legends.tint_tag(value), legends.mark_tag(mark)]
            common = {"type": "scatter", "mode": "markers", "hoverinfo": "text", "tags": tags}
            runs = {
                "x": _floats(seeds[view.x]),
                "y": _floats(view.scale * seeds[view.y]),
                "text": [int(i) for i in seeds.index],
                "meta": "runs",
                "marker": {
                    "color": colour,
                    "size": 6,
                    "opacity": 0.45,
                    "symbol": _symbols(seeds, symbol),
                },
            }
            of_look = means_of.get((value, mark), bars[:0])
            traces += [common | runs, common | _means(points, of_look, colour, symbol)]
    return traces


def _by_look(frame: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """Return the rows of each (tint, mark)."""
    return dict(iter(frame.groupby(["tint", "mark"], sort=False)))


def _means(points: ChartPoints, means: pd.DataFrame, colour: str, symbol: str) -> dict[str, Any]:
    """Return the trace of the means of configurations of one colour and shape, with their bars: columns above
    and below."""
    view, quantity = points.view, points.view.quantity
    return {
        "x": _floats(means["x"]),
        "y": _floats(view.scale * means["y"]),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": _floats(means["above"]),
            "arrayminus": _floats(means["below"]),
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
        "marker": {
            "color": colour,
            "size": 10,
            "line": {"color": style.PAPER, "width": _rims(means)},
            "symbol": _symbols(means, symbol),
        },
    }


def spec(points: ChartPoints, report: FitReport | None, law: str | None = None) -> dict[str, Any]:
    """Return data and layout of one view for Plotly.newPlot, both axes logarithmic, and its legend.

    Traces whose meta is `runs` hold as text the row's index; page.js puts the run's text there. A trace is
    shown while none of its `tags` is switched off in the legend.

    Args:
        points: what is drawn.
        report: its fit, if any.
        law: of the main curve, where another report leads the page.
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
    fit_curves = curves.curves(report, law)
    seen = points.seeds[view.y].to_numpy()
    drawn = [] if fit_curves is None else [curves.visible(fit_curves, seen)]
    x_ticks = _ticks(np.concatenate([points.seeds[view.x], [] if fit_curves is None else [fit_curves.end]]))
    cap = 100.0 if view.quantity.counted else math.inf
    if fit_curves is not None and fit_curves.zones:
        x_ticks["range"][1] = min(x_ticks["range"][1], math.log10(fit_curves.end))
    y_ticks = _ticks(view.scale * np.concatenate([seen, points.means["high"], *drawn]), cap)
    layout: dict[str, Any] = {
        "xaxis": axis | x_ticks | {"title": {"text": view.x_title}},
        "yaxis": axis | y_ticks | {"title": {"text": view.y_title, "standoff": 6}, "automargin": True},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": style.INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": style.PAPER,
        "hovermode": "closest",
        "margin": {"l": 56, "r": 12, "t": 28, "b": 52},
        "modebar": {"bgcolor": style.PAPER, "color": style.MUTED, "activecolor": style.INK},
        "showlegend": False,
    }
    traces = _point_traces(points)
    if report is not None and fit_curves is not None:
        traces = _curve_traces(points, report, fit_curves) + traces + _held_out_trace(report, view.scale)
        layout["shapes"], layout["annotations"] = _shapes(fit_curves), _marks(fit_curves)
    groups = legends.groups(points, fit_curves, {tag for trace in traces for tag in trace["tags"]})
    return {"data": traces, "layout": layout, "legend": groups}


def _ticks(values: npt.NDArray[np.float64], cap: float = math.inf) -> dict[str, Any]:
    """Return range (up to `cap`) and ticks of a logarithmic axis: decades over a wide range, else finer."""
    positive = values[values > 0]
    low, high = math.log10(positive.min()), math.log10(positive.max())
    room = max(0.04 * (high - low), 0.02)
    axis: dict[str, Any] = {"range": [low - room, min(high + room, math.log10(cap))]}
    ticks = log_axis.ticks(*(10.0**end for end in axis["range"]))
    return axis | {"tickvals": _floats(ticks), "ticktext": log_axis.texts(ticks)}


def specs(
    rows: pd.DataFrame,
    fits: FitFile,
    shown: Sequence[ChartView] | None = None,
    judged_on: Target | None = None,
) -> str:
    """Return JSON of every view that has points: {views: {key: {data, layout, legend}}, runs: text over each
    row, dark: {colour: colour on a dark page}}.

    Args:
        rows: one row a run.
        fits: whose curves are drawn.
        shown: the views, by default those of a sweep.
        judged_on: what the rows are judged on, by default what a sweep is.
    """
    charts = {}
    rows, judged_on = rows.reset_index(drop=True), judged_on or target.of(rows)
    resource = next((report.axes.x for report in fits.reports if report.axes is not None), None)
    shown = views.of(rows) if shown is None else shown
    law = lead.main_law(views.report_of(fits, shown[0]))
    for view in shown:
        points = views.select(rows, view)
        if not points.seeds.empty:
            charts[view.key] = spec(points, views.report_of(fits, view), law)
    runs = [_hover(row, judged_on, resource) for row in rows.to_dict("records")]
    content = {"views": charts, "runs": runs, "dark": dict(style.DARK)}
    return json.dumps(content, separators=(",", ":"), allow_nan=False)
