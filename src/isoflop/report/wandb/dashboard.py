"""The W&B workspace and report of a sweep, as wandb-workspaces describes them, without a network."""

from __future__ import annotations

import json
from typing import Any

from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import interface as wr
from wandb_workspaces.workspaces import interface as ws

from isoflop.curve.result import FitFile, FitReport
from isoflop.report.text.numerals import estimate, factor
from isoflop.report.text.trust import trust
from isoflop.track.wandb_run import FIGURES

WIDTH = wr.Config("model.width")
PALE, DARK = "#cfe1f2", "#08306b"
NARROW, WIDE = 12, 24
"""Half and all of a report's grid."""
COLUMNS = ("state", "test_error", "train_gflops", "energy_joules", "energy_grade", "mfu", "reason")
MOST_DEVICES = 8


def _place(width: int) -> wr.Layout:
    """A place of its own for each panel: the grid moves it."""
    return wr.Layout(w=width, h=9)


def _scatter(x: str, title: str) -> wr.ScatterPlot:
    """Test error against `x`, both logarithmic, a colour a width."""
    tint = [wr.GradientPoint(PALE, offset=0), wr.GradientPoint(DARK, offset=100)]
    return wr.ScatterPlot(
        title=title,
        x=x,
        y="test_error",
        z=WIDTH,
        log_x=True,
        log_y=True,
        gradient=tint,
        layout=_place(NARROW),
    )


def scatters() -> list[Any]:
    """How error falls: the sweep's own question."""
    return [
        _scatter("train_gflops", "Test error against training GFLOPs, coloured by width"),
        _scatter("energy_joules", "Test error against joules, coloured by width"),
    ]


def _coordinates() -> wr.ParallelCoordinatesPlot:
    """What the good cells have in common; the learning rate and all that grows with size logarithmic."""
    log = {"model.width", "optim.lr", "train_gflops", "energy_joules", "test_error"}
    dials = [wr.Config(name) for name in ("model.width", "model.depth", "optim.lr", "optim.batch_size")]
    results = [wr.SummaryMetric(name) for name in ("train_gflops", "energy_joules", "test_error")]
    columns = [wr.ParallelCoordinatesPlotColumn(m, log=m.name in log) for m in (*dials, *results)]
    return wr.ParallelCoordinatesPlot(columns, title="Dials and what came of them", layout=_place(WIDE))


def _curve(x: str, title: str) -> wr.LinePlot:
    return wr.LinePlot(
        title=title, x=f"curve/{x}", y=["curve/val_error"], log_x=True, log_y=True, layout=_place(NARROW)
    )


def _sections() -> list[ws.Section]:
    power = [f"power/device_{number}_watts" for number in range(MOST_DEVICES)]
    failed = wr.BarPlot(
        title="Cells that gave no point, by sweep",
        metrics=["failed"],
        groupby=wr.Config("sweep_name"),
        groupby_aggfunc="sum",
        layout=_place(NARROW),
    )
    wasted = wr.BarPlot(
        title="Seconds whose work was lost", metrics=["wasted_seconds"], layout=_place(NARROW)
    )
    chosen = (
        ("How error falls", scatters()),
        ("Which dials matter", [_coordinates()]),
        (
            "Curves",
            [
                _curve("examples", "Validation error against examples"),
                _curve("train_gflops", "Validation error against training GFLOPs"),
                _curve("energy_joules", "Validation error against joules"),
            ],
        ),
        (
            "Power",
            [wr.LinePlot(title="Watts of each device", x="power/seconds", y=power, layout=_place(WIDE))],
        ),
        ("Failures", [failed, wasted]),
    )
    return [ws.Section(name=name, panels=panels, is_open=True) for name, panels in chosen]


def _only(sweep: str, kind: str) -> list[Any]:
    """The runs of one sweep that are cells, or its report."""
    return [expr.Config("sweep_name") == sweep, expr.Metric("JobType") == kind]


def workspace(sweep: str, project: str, entity: str) -> ws.Workspace:
    """The saved view of one sweep's cells."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"isoflop {sweep}",
        sections=_sections(),
        settings=ws.WorkspaceSettings(max_runs=100, remove_legends_from_panels=True),
        runset_settings=ws.RunsetSettings(
            filters=_only(sweep, "cell"), pinned_columns=[f"summary:{name}" for name in COLUMNS]
        ),
        auto_generate_panels=False,
    )


def report(sweep: str, project: str, entity: str, fits: FitFile | None) -> wr.Report:
    """The report of one sweep: what the fit says, the figures, and the cells behind them."""
    runs, drawn = (
        wr.Runset(name=kind, filters=_only(sweep, kind))  # of the report's own project
        for kind in ("cell", "report")
    )
    figures = wr.MediaBrowser(title="Figures", num_columns=2, media_keys=[f"{FIGURES}*"], layout=_place(WIDE))
    return wr.Report(
        project=project,
        entity=entity,
        title=f"isoflop {sweep}"[:128],
        description="How error falls as training compute grows.",
        blocks=[
            wr.MarkdownBlock(text="\n".join(_in_words(fits))),
            wr.PanelGrid(runsets=[runs], panels=[*scatters(), _coordinates()]),
            wr.PanelGrid(runsets=[drawn], panels=[figures]),
        ],
        width="fluid",
    )


def _in_words(fits: FitFile | None) -> list[str]:
    """The fits as Markdown: a table a pair of axes, then what was left out and warned of."""
    if fits is None:
        return ["There is no fit yet: run `isoflop report DIR` and upload again."]
    lines: list[str] = []
    for found in fits.reports:
        lines += [f"## {found.y} against {found.x}", *_table(found), ""]
        lines += [f"- {warning}" for warning in found.warnings]
        lines += [f"- left out: {entry.run_id}: {entry.reason}" for entry in found.excluded]
    lines += [f"- not fitted: {entry.run_id}: {entry.reason}" for entry in fits.unfitted]
    return lines


def _table(found: FitReport) -> list[str]:
    rows = [
        f"| {fit.law} | {'; '.join(f'{p.name} = {estimate(p)}' for p in fit.parameters)} "
        f"| {'' if fit.paper_alpha is None else estimate(fit.paper_alpha)} | {fit.log10_rmse:.4f} "
        f"| {factor(fit.extrapolation_log_rmse)} |"
        for fit in found.fits
    ]
    head = [
        "| law | parameters (95% interval) | alpha = 1/b | log10 RMSE | extrapolation |",
        "|---|---|---|---|---|",
    ]
    counted = f"{found.points} points of {found.configs} configurations, {found.resamples} resamples."
    return [counted, "", *head, *rows, "", trust(found)]


def specification(view: ws.Workspace, page: wr.Report) -> dict[str, Any]:
    """Both as the JSON that is sent to W&B."""
    made = {"workspace": view._to_model(), "report": page._to_model()}
    return {
        name: json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
        for name, model in made.items()
    }
