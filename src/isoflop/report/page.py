"""The report of a sweep: figures as files, and one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from isoflop import __version__, record
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.result import FitFile, FitReport
from isoflop.report import check_panel, packed
from isoflop.report.check_panel import Validity
from isoflop.report.data_grid_panel import DataGridPanel, columns, data_grid_panel
from isoflop.report.figures import (
    canvas,
    charts,
    inline_svg,
    power_trace,
    shape_grid,
    sweep,
    validity,
    views,
)
from isoflop.report.figures.canvas import Drawing
from isoflop.report.language_panel import LanguagePanel, language_panel
from isoflop.report.profiles_panel import ProfilesPanel, profiles_panel
from isoflop.report.text import costs, law_tables, tables, trust
from isoflop.report.text.amounts import amount, bare
from isoflop.report.text.measured import of_all_points
from isoflop.report.text.numerals import compact, interval, number, plural, seconds
from isoflop.report.text.origins import origins
from isoflop.report.text.verdict import judge
from isoflop.table import target
from isoflop.table.aggregate import RunTable


@dataclasses.dataclass(frozen=True)
class Card:
    """A headline number with its title and one line of context."""

    title: str
    value: str
    note: str


@dataclasses.dataclass(frozen=True)
class PageFigure:
    """A drawing on the page: its file's stem, title, caption, and the <img> element that shows it."""

    name: str
    title: str
    caption: str
    img: Markup


@dataclasses.dataclass(frozen=True)
class Panel:
    """A titled figure, or the reason there is none; `live` figures become interactive."""

    title: str
    figure: PageFigure | None
    live: bool
    missing: str


def _halving_card(report: FitReport, support: FloorSupport | None) -> Card:
    """Return the price of half the error or loss: by the law with a floor if one is seen, else the plain one.

    A floor that only undertrained shapes show is none.
    """
    shown = costs.floor_identified(report) and (support is None or support.stands)
    floored = costs.law(report, "power_law_floor") if shown else None
    plain = floored or costs.law(report, "power_law_ols")
    assert plain is not None
    half = costs.halving(plain, report.x_max)
    value = f"×{number(half.factor, 2)}" if half.factor is not None else "no finite factor"
    note = f"compute from the largest run, by the power law{' with a floor' if floored else ''}"
    return Card(f"To halve the {target.quantity(report.y).noun}", value, note + _of_all_points(support))


def _of_all_points(support: FloorSupport | None) -> str:
    """Return the end of a card's note that tells its number from the verdict's, which has no such points."""
    return "" if support is None else "; all points, undertrained shapes too"


def _forecast_card(report: FitReport, support: FloorSupport | None) -> Card | None:
    """Return the forecast at ten times the compute, or at the end of its band."""
    if report.forecast is None:
        return None
    band = report.forecast.band
    ratio = band.x[-1] / report.x_max
    quantity = target.quantity(report.y)
    bounds = f"95% {bare(band.low[-1], quantity, 2)} to {bare(band.high[-1], quantity, 2)}; "
    tested = report.forecast.tested_ratio
    note = "untested" if tested is None or tested < ratio else f"tested to {compact(tested, 3)}×"
    return Card(
        f"Forecast at {number(ratio, 2)}× compute",
        amount(band.y[-1], quantity, 2),
        bounds + note + _of_all_points(support),
    )


def _cards(table: RunTable, report: FitReport | None, support: FloorSupport | None) -> tuple[Card, ...]:
    rows, cards, all_points = table.rows, [], _of_all_points(support)
    quantity = target.of(rows).quantity
    plain = costs.law(report, "power_law_ols") if report else None
    b = costs.exponent(report) if report else None
    if plain is not None and b is not None and report is not None:
        cards.append(
            Card(
                "Exponent b",
                number(b.value),
                f"95% {interval(b.interval)}; {quantity.noun} ∝ compute to the −b{all_points}",
            )
        )
        if plain.paper_alpha is not None:
            note = f"95% {interval(plain.paper_alpha.interval)}; per training compute{all_points}"
            cards.append(Card("alpha = 1/b", number(plain.paper_alpha.value), note))
        cards.append(_halving_card(report, support))
    if len(rows):
        best = rows.sort_values(quantity.column).iloc[0]
        note = f"{best['label']}, seed {best['seed']:.0f}"
        least = amount(float(best[quantity.column]), quantity)
        cards.append(Card(f"Least {quantity.title.lower()}", least, note))
    shapes = plural(rows["config_id"].nunique(), "configuration")
    cards.append(Card("Runs", f"{len(rows):,}", f"of {shapes}, {plural(rows['seed'].nunique(), 'seed')}"))
    compute = rows["train_gflops"].dropna()
    if len(compute):
        span = f"one run: {number(compute.min())} to {number(compute.max())}"
        cards.append(Card("Training compute", f"{number(compute.sum())} GFLOPs", span))
    joules, net = rows["energy_joules"].dropna(), rows["net_joules"].dropna()
    if len(joules):
        above_idle = f", {number(net.sum())} J above idle" if len(net) == len(joules) else ""
        note = f"known for {plural(len(joules), 'run')}{above_idle}"
        cards.append(Card("Training energy", f"{number(joules.sum())} J", note))
    else:
        cards.append(Card("Training energy", "unknown", "see the reason below"))
    cards.append(Card("Training time", seconds(float(rows["train_seconds"].sum())), "summed over runs"))
    forecast = _forecast_card(report, support) if report else None
    if forecast is not None:
        cards.insert(min(3, len(cards)), forecast)
    excluded = len(report.excluded) if report else 0
    cards.append(
        Card("Left out", f"{len(table.dropped) + excluded:,}", "dropped or not fitted, with reasons")
    )
    return tuple(cards)


def _reasons(rows: pd.DataFrame) -> str:
    """Return why joules are unknown, each reason with its number of runs."""
    counts = (
        rows.loc[rows["energy_joules"].isna(), "energy_reason"].fillna("no reason recorded").value_counts()
    )
    return "; ".join(f"{reason} ({plural(int(count), 'run')})" for reason, count in counts.items())


def _figure(drawing: Drawing) -> PageFigure:
    return PageFigure(drawing.name, drawing.title, drawing.caption, inline_svg.img(drawing.svg, drawing.alt))


def _diagnostics(drawings: tuple[Drawing, ...]) -> list[PageFigure]:
    """Return the figures that judge the fit."""
    return [_figure(each) for each in drawings if each.name in ("residuals", "calibration")]


def _panels(rows: pd.DataFrame, drawings: tuple[Drawing, ...]) -> tuple[Panel, ...]:
    by_name, name = {d.name: d for d in drawings}, target.of(rows).quantity.title.lower()
    axes = {view.key: view.x for view in views.of(rows)}
    titles = {view.key: view.title for view in views.of(rows)} | {"width_depth": shape_grid.title(rows)}
    panels = []
    for key, title in titles.items():
        drawing = by_name.get(key)
        figure = None if drawing is None else _figure(drawing)
        missing = ""
        if axes.get(key) == "energy_joules" and rows["energy_joules"].isna().any():
            which = "Some joules are unknown" if drawing else "No joules are known, so there is no chart"
            missing = f"{which}: {_reasons(rows)}."
        elif drawing is None:
            missing = {
                "width_depth": "No run has both a width and a depth, so there is no grid.",
                "loss_compute": "No run has a known test loss and training compute, so there is no chart.",
                "error_seconds": "No run has a known training time, so there is no chart.",
                "error_compute": "No run has a known training compute and an error above 0: no chart.",
            }.get(key, f"No run has this x and a known {name}, so there is no chart.")
        panels.append(Panel(title, figure, key != "width_depth", missing))
    return tuple(panels)


def _asset(name: str) -> str:
    return importlib.resources.files("isoflop.report").joinpath(name).read_text(encoding="utf-8")


def _why_none(fits: FitFile) -> str:
    return "; ".join(f"{e.run_id}: {e.reason}" for e in fits.unfitted) or "the file of fits holds none"


def render(
    name: str,
    directory: Path,
    table: RunTable,
    fits: FitFile,
    drawings: tuple[Drawing, ...],
    profiles: ProfilesPanel,
    valid: Validity,
    data_grid: DataGridPanel | None = None,
    language: LanguagePanel | None = None,
) -> str:
    """Return the page of a sweep as HTML; jinja2 escapes everything but the page's own markup.

    Args:
        name: The sweep's name.
        directory: The sweep's folder, whose records give the provenance.
        table: The runs, and the records that were dropped.
        fits: The laws of every pair of axes.
        drawings: The figures that could be drawn.
        profiles: The panel of IsoFLOP profiles.
        valid: What the checks say.
        data_grid: The panel of error over parameters and data; None where the sweep does not cross them.
        language: The section on language models; None where no run is of text.
    """
    judged_on = target.of(table.rows)
    report = views.report_of(fits, views.of(table.rows)[0])
    ahead = report.forecast if report else None
    left_out = tables.left_out(table, fits)
    context = {
        "name": name,
        "version": __version__,
        "quantity": judged_on.quantity,
        "verdict": judge(table.rows, report, _why_none(fits), valid.checked, valid.support),
        "check": check_panel.panel(valid.checked),
        "check_drawings": [
            _figure(d) for d in drawings if d.name in (validity.TRAINING_LOSS, validity.LOSS_COLLAPSE)
        ],
        "warnings": report.warnings if report else (),
        "cards": _cards(table, report, valid.support),
        "panels": _panels(table.rows, drawings),
        "laws": [law_tables.group(each) for each in fits.reports],
        "main": law_tables.group(report) if report else None,
        "trust": trust.trust(report) if report else "",
        "all_points": of_all_points(valid.support) if report else "",
        "forecast_warnings": [w for w in ahead.warnings if "tested" not in w] if ahead else [],
        "diagnostics": _diagnostics(drawings),
        "power": next((_figure(d) for d in drawings if d.name == power_trace.NAME), None),
        "profiles": profiles,
        "profiles_drawing": _figure(profiles.drawing) if profiles.drawing else None,
        "data_grid": data_grid,
        "data_grid_columns": columns(judged_on),
        "data_grid_drawing": _figure(data_grid.drawing) if data_grid and data_grid.drawing else None,
        "language": language,
        "language_drawings": [_figure(drawing) for drawing in language.drawings] if language else [],
        "held_out": law_tables.held_out(report.held_out if report else None, judged_on.quantity),
        "unfitted": fits.unfitted,
        "configs": tables.configs(table.rows),
        "runs": tables.runs(table.rows),
        "left_out": left_out,
        "left_out_note": (
            f"Records that gave no point of the curve: {len(table.dropped):,}. "
            f"Rows that a fit did not use: {len(left_out.rows) - len(table.dropped):,}."
        ),
        "origins": origins(table.rows, directory),
        "css": Markup(_asset("page.css")),
        "js": Markup(_asset("page.js")),
        "packed_charts": Markup(
            packed.pack(charts.specs(check_panel.flagged(table.rows, valid.checked), fits))
        ),
        "packed_plotly": Markup(packed.plotly_library()),
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    return environment.from_string(_asset("page.html.j2")).render(context)


def write_report(directory: Path, table: RunTable, fits: FitFile) -> Path:
    """Write DIR/figures/*.png and *.svg and DIR/index.html, each atomically; return the page's path.

    Raises:
        ValueError: the table has no row, so there is nothing to report.
        OSError: disk full or not writable.
    """
    if table.rows.empty:
        raise ValueError(
            f"{directory}: no finished run to report on: see the {len(table.dropped)} dropped records"
        )
    power = power_trace.draw(directory, table.rows)
    valid = check_panel.validity(directory, table.rows, views.report_of(fits, views.of(table.rows)[0]))
    rows = check_panel.flagged(table.rows, valid.checked)
    drawings = (
        *(*sweep.draw(rows, fits), *validity.draw(rows, valid.checked)),
        *([power] if power else ()),
    )
    profiles, data_grid = profiles_panel(table.rows), data_grid_panel(table.rows)
    language = language_panel(table.rows, fits)
    panels = [each.drawing for each in (profiles, data_grid) if each is not None and each.drawing is not None]
    canvas.write((*drawings, *panels, *(language.drawings if language else ())), directory)
    path = directory / "index.html"
    name = directory.resolve().name
    html = render(name, directory, table, fits, drawings, profiles, valid, data_grid, language)
    record.write_bytes(path, html.encode())
    return path
