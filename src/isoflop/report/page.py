"""The report of a sweep, or of a table of one's own: figures as files, and one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from isoflop import __version__, record
from isoflop.beside import beside
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.judge.checked import Checked
from isoflop.curve.language.answers import language_answers
from isoflop.curve.language.result import LanguageAnswers, OptimalTraining
from isoflop.curve.result import Excluded, FitFile, FitReport
from isoflop.report import bill, cards, check_panel, headline, packed, run_links
from isoflop.report import subject as subjects
from isoflop.report.batch_panel import BatchPanel, batch_panel
from isoflop.report.check_panel import Validity
from isoflop.report.content_policy import content_policy
from isoflop.report.costs import CostPanel, MakeCosts
from isoflop.report.data_grid_panel import DataGridPanel, columns, data_grid_panel
from isoflop.report.figures import (
    canvas,
    charts,
    inline_svg,
    paper,
    power_trace,
    shape_grid,
    sweep,
    validity,
    views,
)
from isoflop.report.figures.canvas import Drawing
from isoflop.report.figures.paper import Paper
from isoflop.report.language_panel import LanguagePanel, language_panel
from isoflop.report.levers_panel import LeversPanel, levers_panel
from isoflop.report.profiles_panel import ProfilesPanel, profiles_panel
from isoflop.report.reach_panel import ReachPanel, reach_panel
from isoflop.report.scaling_panel import ScalingPanel, scaling_panel
from isoflop.report.subject import Subject
from isoflop.report.text import law_tables, optimal_training, tables, trust
from isoflop.report.text.measured import of_all_points
from isoflop.report.text.verdict import judge
from isoflop.table import axis
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
    """A titled figure; `live` ones become interactive. None of it where the main one cannot be drawn."""

    title: str
    figure: PageFigure | None
    live: bool


def _figure(drawing: Drawing) -> PageFigure:
    return PageFigure(drawing.name, drawing.title, drawing.caption, inline_svg.img(drawing.svg, drawing.alt))


def _diagnostics(drawings: tuple[Drawing, ...]) -> list[PageFigure]:
    """Return the figures that judge the fit."""
    return [_figure(each) for each in drawings if each.name in ("residuals", "calibration")]


def _panels(subject: Subject, drawings: tuple[Drawing, ...]) -> tuple[Panel, ...]:
    """Return the main chart, then the others that could be drawn."""
    by_name = {drawing.name: drawing for drawing in drawings}
    titles = {view.key: view.title for view in subject.views}
    titles |= {"width_depth": shape_grid.title(subject.judged_on.quantity)}
    drawn = {key: _figure(by_name[key]) if key in by_name else None for key in titles}
    main = subject.views[0].key
    return tuple(
        Panel(titles[key], figure, key != "width_depth")
        for key, figure in drawn.items()
        if figure is not None or key == main
    )


def _asset(name: str) -> str:
    return importlib.resources.files("isoflop.report").joinpath(name).read_text(encoding="utf-8")


def _why_none(fits: FitFile) -> str:
    return "; ".join(f"{e.run_id}: {e.reason}" for e in fits.unfitted) or "the file of fits holds none"


@dataclasses.dataclass(frozen=True)
class Sections:
    """The parts of a page that only some subjects have; None where there is nothing to show.

    Attributes:
        valid: what the checks say.
        profiles: the panel of IsoFLOP profiles.
        data_grid: the panel of error over parameters and data.
        batch: the panel of the critical batch size.
        language: the section on language models.
        optimal: compute-optimal training, the headline of a sweep of text that crosses sizes and budgets.
        costs: what a target costs, where x is training compute.
        ahead: what a lower error takes, where x is the compute of a pass.
        scaling: how far the work can be spread over workers, as measured.
        levers: levers against the baseline, which the rest of the page is about.
    """

    valid: Validity
    profiles: ProfilesPanel | None = None
    data_grid: DataGridPanel | None = None
    batch: BatchPanel | None = None
    language: LanguagePanel | None = None
    optimal: OptimalTraining | None = None
    costs: CostPanel | None = None
    ahead: ReachPanel | None = None
    scaling: ScalingPanel | None = None
    levers: LeversPanel | None = None

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """The drawings of the panels."""
        panels = (self.levers, self.profiles, self.data_grid, self.batch)
        drawn = [each.drawing for each in panels if each is not None and each.drawing is not None]
        of_scaling = [part.drawing for part in self.scaling.parts] if self.scaling else []
        return (*drawn, *(self.language.drawings if self.language else ()), *of_scaling)


def render(subject: Subject, fits: FitFile, drawings: tuple[Drawing, ...], sections: Sections) -> str:
    """Return a page as HTML; jinja2 escapes everything but the page's own markup.

    Args:
        subject: what it is about.
        fits: the laws of every pair of axes, x in the unit that is shown.
        drawings: the figures that could be drawn.
        sections: the parts that only some subjects have.
    """
    report = views.report_of(fits, subject.views[0])
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    links = run_links.RunLinks(run_links.names(subject.rows))
    environment.filters |= {"runs": links.sentence, "run": links.entry, "anchor": run_links.anchor}
    context = {
        **_of_subject(subject, fits, report),
        **_of_sections(sections),
        **_of_fit(subject, fits, report, sections),
        **_of_figures(drawings, sections),
        "panels": _panels(subject, drawings),
        **_assets(subject, fits, sections),
    }
    return environment.from_string(_asset("page.html.j2")).render(context, contents=_contents(context))


def _contents(context: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (anchor, title) of the parts that the page has, in its order."""
    noun = context["quantity"].noun
    listed = (
        ("found", "In full", True),
        ("check", "Checks", True),
        ("trust", "Trust", context["main"] and not context["optimal"]),
        ("levers_section", "Levers", context["levers"]),
        ("data_grid_section", "Parameters and data", context["data_grid"]),
        ("critical_batch", "Batch size", context["batch"]),
        ("language", "Language", context["language"]),
        ("profiles", "IsoFLOP profiles", context["profiles"]),
        ("all_runs", "All runs", context["optimal"]),
        ("further", "Other axes", len(context["panels"]) > 1),
        ("costs", "What a target costs", context["costs"]),
        ("ahead", f"A lower {noun}", context["ahead"]),
        ("parallel", "Parallel limits", context["scaling"]),
        ("laws", "Laws", True),
        ("used", "What it took", True),
        ("bill", "Bill", context["bill"]),
        ("configurations", "Configurations", context["configs"]),
        ("runs", "Runs", True),
        ("left_out", "Left out", context["left_out"].rows),
        ("origins", "Origin of the numbers", True),
    )
    return [(anchor, title) for anchor, title, there in listed if there]


def _of_subject(subject: Subject, fits: FitFile, report: FitReport | None) -> dict[str, Any]:
    """Return what the template shows of the rows and where they come from."""
    quantity, left_out = subject.judged_on.quantity, tables.left_out(subject.table, fits)
    rows, listed, priced = subject.rows, subject.listed, bill.bill(subject.table)
    alone = subject.is_own and rows["place_id"].nunique() == len(rows)
    not_fitted = len(left_out.rows) - len(subject.dropped)
    of_records = f"Records that gave no point of the curve: {len(subject.dropped):,}. "
    of_fit = f"Rows that a fit did not use: {not_fitted:,}."
    return {
        "name": subject.name,
        "lead": subject.lead,
        "setting": subject.setting or fits.source,
        "version": __version__,
        "own": subject.is_own,
        "quantity": quantity,
        "unit_after": f" ({quantity.unit})" if quantity.unit else "",
        "resource": report.resource if report else axis.of("train_gflops"),
        "bill": priced,
        "bill_columns": bill.COLUMNS,
        "counted": subject.counted,
        "origins": subject.origins,
        "configs": None if alone else tables.configs(rows, listed),
        "runs": tables.runs(rows, listed),
        "left_out": left_out,
        "left_out_note": of_fit if subject.is_own else f"{of_records}{of_fit}",
    }


def _of_sections(sections: Sections) -> dict[str, Any]:
    profiles, data_grid, language = sections.profiles, sections.data_grid, sections.language
    batch, levers = sections.batch, sections.levers
    return {
        "check": check_panel.panel(sections.valid.checked),
        "profiles": profiles,
        "profiles_drawing": _figure(profiles.drawing) if profiles else None,
        "data_grid": data_grid,
        "data_grid_drawing": _figure(data_grid.drawing) if data_grid and data_grid.drawing else None,
        "levers": levers,
        "levers_drawing": _figure(levers.drawing) if levers and levers.drawing else None,
        "batch": batch,
        "batch_drawing": _figure(batch.drawing) if batch and batch.drawing else None,
        "language": language,
        "language_drawings": [_figure(drawing) for drawing in language.drawings] if language else [],
        "costs": sections.costs,
        "ahead": sections.ahead,
        "scaling": sections.scaling,
        "scaling_drawings": [_figure(part.drawing) for part in sections.scaling.parts]
        if sections.scaling
        else [],
    }


def _of_fit(subject: Subject, fits: FitFile, report: FitReport | None, sections: Sections) -> dict[str, Any]:
    """Return what the template shows of the fits; `report` is that of the main axes."""
    valid, optimal, judged_on = sections.valid, sections.optimal, subject.judged_on
    ahead = report.forecast if report else None
    own_x = subject.axes.x if subject.axes is not None else None
    verdict = judge(
        *(subject.rows, report, _why_none(fits), valid.checked, valid.support, optimal),
        judged_on=judged_on,
        scope=subject.scope,
        limit=valid.limit,
    )
    return {
        "verdict": verdict,
        "headline": headline.headline(
            *(verdict, subject.table, report, valid.checked, valid.support, optimal),
            resource=own_x,
            quantity=judged_on.quantity,
        ),
        "warnings": optimal.warnings if optimal else report.warnings if report else (),
        "sizes": [
            *cards.sizes(subject.table, own_x),
            *cards.least(subject.rows, judged_on.quantity),
        ],
        "optimal": optimal,
        "all_runs": optimal_training.all_runs(report) if optimal else "",
        "all_runs_warnings": report.warnings if report and optimal else (),
        "laws": [law_tables.group(each) for each in fits.reports],
        "main": law_tables.group(report) if report else None,
        "trust": trust.trust(report) if report else "",
        "all_points": of_all_points(valid.support) if report else "",
        "forecast_warnings": [w for w in ahead.warnings if "tested" not in w] if ahead else [],
        "data_grid_columns": columns(judged_on),
        "held_out": law_tables.held_out(report.held_out if report else None, judged_on.quantity),
        "held_out_percent": report.percent if report else "",
        "unfitted": _unfitted(subject, fits),
    }


def _unfitted(subject: Subject, fits: FitFile) -> list[Excluded]:
    """Return the axes that could not be fitted although a run knows their x: nobody asked for the others."""
    columns = {each.run_id: each.run_id.rpartition(" against ")[2] for each in fits.unfitted}
    unknown = {x for x in columns.values() if x in subject.rows and subject.rows[x].isna().all()}
    return [each for each in fits.unfitted if columns[each.run_id] not in unknown]


def _of_figures(drawings: tuple[Drawing, ...], sections: Sections) -> dict[str, Any]:
    """Return the figures that have a place of their own on the page."""
    of_check = (validity.TRAINING_LOSS, validity.LOSS_COLLAPSE)
    return {
        "check_drawings": [_figure(d) for d in drawings if d.name in of_check],
        "diagnostics": _diagnostics(drawings),
        "power": next((_figure(d) for d in drawings if d.name == power_trace.NAME), None),
    }


def _assets(subject: Subject, fits: FitFile, sections: Sections) -> dict[str, Any]:
    """Return the style, the scripts and the packed charts of the page."""
    rows = check_panel.flagged(subject.rows, sections.valid.checked)
    of_costs = ("costs.js", "cost_dials.js") if sections.costs else ()
    scripts = [_asset(name) for name in ("page.js", *of_costs)]
    return {
        "css": Markup(_asset("page.css")),
        "scripts": [Markup(script) for script in scripts],
        "content_policy": content_policy(*scripts, packed.plotly_source()),
        "packed_charts": Markup(packed.pack(charts.specs(rows, fits, subject.views, subject.judged_on))),
        "packed_costs": Markup(sections.costs.data) if sections.costs else None,
        "packed_plotly": Markup(packed.plotly_library()),
    }


def write_report(
    directory: Path,
    table: RunTable,
    fits: FitFile,
    answers: LanguageAnswers | None = None,
    for_paper: Paper | None = None,
    costs: MakeCosts | None = None,
    checked: Checked | None = None,
) -> Path:
    """Write the page and figures of a sweep in its folder (`write`); return the page's path.

    Args:
        directory: folder of the sweep.
        table: its runs, and the records that were dropped.
        fits: the laws of every pair of axes.
        answers: of a sweep of text, where they are known already; else they are fitted here.
        for_paper, costs, checked: as in `write`.

    Raises:
        ValueError: the table has no row, so there is nothing to report.
        OSError: disk full or not writable.
    """
    if table.rows.empty:
        raise ValueError(
            f"{directory}: no finished run to report on: see the {len(table.dropped)} dropped records"
        )
    about = subjects.of_sweep(directory, table)
    return write(about, fits, directory, answers=answers, costs=costs, for_paper=for_paper, checked=checked)


def write(
    subject: Subject,
    fits: FitFile,
    directory: Path,
    *,
    answers: LanguageAnswers | None = None,
    costs: MakeCosts | None = None,
    targets: tuple[float, ...] = (),
    for_paper: Paper | None = None,
    checked: Checked | None = None,
) -> Path:
    """Write DIR/figures/*.png, *.svg and *.csv and DIR/index.html, each atomically; return the page's path.

    Args:
        subject: what the page is about (subject.of_sweep, subject.of_table).
        fits: the laws of every pair of axes, as they were fitted.
        directory: where to write; it is made if need be.
        answers: of a sweep of text, where they are known already; else they are fitted here.
        costs: makes the section on what a target costs; without it there is none.
        targets: values of y for what a lower error takes of a pass; by default the next round ones.
        for_paper: write the figures for a paper too, to DIR/figures/paper.
        checked: what the checks say of these rows and fits, where it is known already.

    Raises:
        OSError: disk full or not writable.
    """
    main = subject.views[0]
    valid = check_panel.validity(subject.checked, subject.files, views.report_of(fits, main), checked)
    shown = subject.shown(fits)
    rows = check_panel.flagged(subject.rows, valid.checked)
    aside = beside(lambda: (_drawn_of_runs(subject, rows, valid), costs and costs(subject, valid.checked)))
    of_fits = sweep.draw(rows, shown, subject.views)
    of_runs, priced = aside()
    drawings = (*of_fits, *of_runs)
    sections = _sections(subject, fits, valid, answers, priced, targets)
    canvas.write((*drawings, *sections.drawings), directory)
    if for_paper is not None:
        paper.write((*drawings, *sections.drawings), directory, for_paper)
    path = directory / "index.html"
    record.write_bytes(path, render(subject, shown, drawings, sections).encode())
    return path


def _drawn_of_runs(subject: Subject, rows: pd.DataFrame, valid: Validity) -> tuple[Drawing, ...]:
    """Return the figures that show no fit: of the checks, and of the power while the runs trained."""
    power = power_trace.draw(subject.directory, rows) if subject.directory is not None else None
    return (*validity.draw(rows, valid.checked), *([power] if power else ()))


def _sections(
    subject: Subject,
    fits: FitFile,
    valid: Validity,
    answers: LanguageAnswers | None,
    costs: CostPanel | None,
    targets: tuple[float, ...],
) -> Sections:
    """Return the parts of the page that the subject has; `costs` is that on costs, the rest as in `write`."""
    rows, judged_on = subject.rows, subject.judged_on
    if not subject.is_own:
        answers = answers or language_answers(rows, directory=subject.directory)
    return Sections(
        valid=valid,
        profiles=profiles_panel(rows, judged_on.quantity),
        data_grid=data_grid_panel(rows, judged_on),
        batch=batch_panel(rows, subject.directory),
        language=language_panel(answers, rows, fits) if answers else None,
        optimal=answers.optimal if answers else None,
        costs=costs,
        ahead=reach_panel(views.report_of(fits, subject.views[0]), targets),
        scaling=scaling_panel(subject.directory) if subject.directory is not None else None,
        levers=levers_panel(subject.compared, subject.directory, _level(fits)),
    )


def _level(fits: FitFile) -> float:
    return fits.reports[0].level if fits.reports else Settings().level
