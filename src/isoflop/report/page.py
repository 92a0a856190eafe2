"""The report of a sweep: figures as files, and one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from isoflop import __version__, record
from isoflop.curve.language.answers import language_answers
from isoflop.curve.language.result import LanguageAnswers, OptimalTraining
from isoflop.curve.result import FitFile
from isoflop.report import bill, cards, check_panel, packed
from isoflop.report.check_panel import Validity
from isoflop.report.content_policy import content_policy
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
from isoflop.report.text import law_tables, optimal_training, tables, trust
from isoflop.report.text.measured import of_all_points
from isoflop.report.text.numerals import plural
from isoflop.report.text.origins import origins
from isoflop.report.text.verdict import judge
from isoflop.table import target
from isoflop.table.aggregate import RunTable


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
    optimal: OptimalTraining | None = None,
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
        optimal: Compute-optimal training, the headline of a sweep of text that crosses sizes and budgets.
    """
    judged_on = target.of(table.rows)
    report = views.report_of(fits, views.of(table.rows)[0])
    ahead = report.forecast if report else None
    left_out = tables.left_out(table, fits)
    context = {
        "name": name,
        "version": __version__,
        "quantity": judged_on.quantity,
        "verdict": judge(table.rows, report, _why_none(fits), valid.checked, valid.support, optimal),
        "check": check_panel.panel(valid.checked),
        "check_drawings": [
            _figure(d) for d in drawings if d.name in (validity.TRAINING_LOSS, validity.LOSS_COLLAPSE)
        ],
        "warnings": optimal.warnings if optimal else report.warnings if report else (),
        "cards": cards.cards(table, report, valid.support, optimal),
        "bill": bill.bill(table),
        "bill_columns": bill.COLUMNS,
        "optimal": optimal,
        "all_runs": optimal_training.all_runs(report) if optimal else "",
        "all_runs_warnings": report.warnings if report and optimal else (),
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
        "held_out_percent": report.percent if report else "",
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
        "content_policy": content_policy(_asset("page.js"), packed.plotly_source()),
        "packed_charts": Markup(
            packed.pack(charts.specs(check_panel.flagged(table.rows, valid.checked), fits))
        ),
        "packed_plotly": Markup(packed.plotly_library()),
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    return environment.from_string(_asset("page.html.j2")).render(context)


def write_report(
    directory: Path, table: RunTable, fits: FitFile, answers: LanguageAnswers | None = None
) -> Path:
    """Write DIR/figures/*.png and *.svg and DIR/index.html, each atomically; return the page's path.

    Args:
        directory: folder of the sweep.
        table: its runs, and the records that were dropped.
        fits: the laws of every pair of axes.
        answers: of a sweep of text, where they are known already; else they are fitted here.

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
    answers = answers or language_answers(table.rows, directory=directory)
    optimal = answers.optimal if answers else None
    language = language_panel(answers, table.rows, fits) if answers else None
    panels = [each.drawing for each in (profiles, data_grid) if each is not None and each.drawing is not None]
    canvas.write((*drawings, *panels, *(language.drawings if language else ())), directory)
    path = directory / "index.html"
    name = directory.resolve().name
    html = render(name, directory, table, fits, drawings, profiles, valid, data_grid, language, optimal)
    record.write_bytes(path, html.encode())
    return path
