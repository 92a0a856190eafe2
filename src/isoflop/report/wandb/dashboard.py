"""The W&B workspace and report of a sweep, as wandb-workspaces describes them, without a network."""

from __future__ import annotations

import json
from typing import Any

from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import interface as wr
from wandb_workspaces.workspaces import interface as ws

from isoflop.curve.result import FitFile, FitReport
from isoflop.report.text import misfit
from isoflop.report.text.numerals import estimate, factor
from isoflop.report.text.trust import trust
from isoflop.table.target import IMAGES, TEXT, Target
from isoflop.track.wandb_run import FIGURES, REPORT, RUN

WIDTH = wr.Config("model.width")
PALE, DARK = "#cfe1f2", "#08306b"
NARROW, WIDE = 12, 24
"""Half and all of a report's grid."""
COLUMNS = ("train_gflops", "energy_joules", "energy_grade", "mfu", "reason")
"""Columns of the list of runs after its state and what it is judged on."""
MOST_DEVICES = 8


def _layout(width: int) -> wr.Layout:
    """Return a panel's width and height; the grid finds its position."""
    return wr.Layout(w=width, h=9)


def _scatter(x: str, y: str, title: str) -> wr.ScatterPlot:
    """Return a plot of `y` against `x`, both logarithmic, coloured by width."""
    tint = [wr.GradientPoint(PALE, offset=0), wr.GradientPoint(DARK, offset=100)]
    return wr.ScatterPlot(
        title=title,
        x=x,
        y=y,
        z=WIDTH,
        log_x=True,
        log_y=True,
        gradient=tint,
        layout=_layout(NARROW),
    )


def scatters(judged_on: Target = IMAGES) -> list[Any]:
    """Return the plots that show how error or loss falls."""
    y, title = judged_on.y, judged_on.quantity.title
    return [
        _scatter("train_gflops", y, f"{title} against training GFLOPs, coloured by width"),
        _scatter("energy_joules", y, f"{title} against joules, coloured by width"),
    ]


def _coordinates(judged_on: Target) -> wr.ParallelCoordinatesPlot:
    """Return parallel coordinates of what was chosen and what it cost and gave."""
    log = {"model.width", "optim.lr", "train_gflops", "energy_joules", judged_on.y}
    settings = [wr.Config(name) for name in ("model.width", "model.depth", "optim.lr", "optim.batch_size")]
    results = [wr.SummaryMetric(name) for name in ("train_gflops", "energy_joules", judged_on.y)]
    columns = [wr.ParallelCoordinatesPlotColumn(m, log=m.name in log) for m in (*settings, *results)]
    return wr.ParallelCoordinatesPlot(columns, title="Settings and their results", layout=_layout(WIDE))


def _curve(x: str, name: str, judged_on: Target) -> wr.LinePlot:
    """Return the curve of validation error, or of bits per byte of text, against `x`, which is called
    `name`."""
    return wr.LinePlot(
        title=f"Validation {judged_on.quantity.noun} against {name}",
        x=f"curve/{x}",
        y=[f"curve/{judged_on.validation}"],
        log_x=True,
        log_y=True,
        layout=_layout(NARROW),
    )


def _training(name: str, title: str, judged_on: Target) -> wr.LinePlot:
    """Return `name` over training, against the examples."""
    title = f"{title} against {judged_on.examples}"
    loss = name in ("train_loss", "train_bits_per_byte")
    return wr.LinePlot(
        title=title,
        x="training/examples",
        y=[f"training/{name}"],
        log_x=loss,
        log_y=loss,
        layout=_layout(NARROW),
    )


def _sections(judged_on: Target) -> list[ws.Section]:
    loss = "train_bits_per_byte" if judged_on.domain == TEXT else "train_loss"
    power = [f"power/device_{number}_watts" for number in range(MOST_DEVICES)]
    failed = wr.BarPlot(
        title="Runs without a point, by sweep",
        metrics=["failed"],
        groupby=wr.Config("sweep_name"),
        groupby_aggfunc="sum",
        layout=_layout(NARROW),
    )
    wasted = wr.BarPlot(
        title="Seconds whose work was lost", metrics=["wasted_seconds"], layout=_layout(NARROW)
    )
    chosen = (
        (f"How {judged_on.quantity.noun} falls", scatters(judged_on)),
        ("Which settings matter", [_coordinates(judged_on)]),
        (
            "Curves",
            [
                _curve("examples", judged_on.examples, judged_on),
                _curve("train_gflops", "training GFLOPs", judged_on),
                _curve("energy_joules", "joules", judged_on),
                _curve("train_seconds", "seconds of training", judged_on),
            ],
        ),
        (
            "Training",
            [
                _training(loss, "Training loss", judged_on),
                _training("learning_rate", "Learning rate", judged_on),
                _training("examples_per_second", f"{judged_on.examples.capitalize()} a second", judged_on),
                _training("watts", "Watts", judged_on),
            ],
        ),
        (
            "Power",
            [wr.LinePlot(title="Watts of each device", x="power/seconds", y=power, layout=_layout(WIDE))],
        ),
        ("Failures", [failed, wasted]),
    )
    return [ws.Section(name=name, panels=panels, is_open=True) for name, panels in chosen]


def _only(sweep: str, kind: str) -> list[Any]:
    """Return the filter of one sweep's W&B runs of one job type, RUN or REPORT."""
    return [expr.Config("sweep_name") == sweep, expr.Metric("JobType") == kind]


def workspace(sweep: str, project: str, entity: str, judged_on: Target = IMAGES) -> ws.Workspace:
    """Return the saved workspace of one sweep's runs."""
    pinned = ("state", judged_on.y, *COLUMNS)
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"isoflop {sweep}",
        sections=_sections(judged_on),
        settings=ws.WorkspaceSettings(max_runs=100, remove_legends_from_panels=True),
        runset_settings=ws.RunsetSettings(
            filters=_only(sweep, RUN), pinned_columns=[f"summary:{name}" for name in pinned]
        ),
        auto_generate_panels=False,
    )


def report(
    sweep: str, project: str, entity: str, fits: FitFile | None, judged_on: Target = IMAGES
) -> wr.Report:
    """Return the report of one sweep: the fits, the figures, and the runs behind them.

    Args:
        sweep: its name.
        project, entity: of W&B.
        fits: its laws, None before the first fit.
        judged_on: what its runs are judged on.
    """
    runs, drawn = (
        wr.Runset(name=kind, filters=_only(sweep, kind))  # of the report's own project
        for kind in (RUN, REPORT)
    )
    figures = wr.MediaBrowser(
        title="Figures", num_columns=2, media_keys=[f"{FIGURES}*"], layout=_layout(WIDE)
    )
    return wr.Report(
        project=project,
        entity=entity,
        title=f"isoflop {sweep}"[:128],
        description=f"How {judged_on.quantity.noun} falls as training compute grows.",
        blocks=[
            wr.MarkdownBlock(text="\n".join(_markdown(fits))),
            wr.PanelGrid(runsets=[runs], panels=[*scatters(judged_on), _coordinates(judged_on)]),
            wr.PanelGrid(runsets=[drawn], panels=[figures]),
        ],
        width="fluid",
    )


def _markdown(fits: FitFile | None) -> list[str]:
    """Return the fits as lines of Markdown: a table per pair of axes, warnings, and what was left out."""
    if fits is None:
        return ["There is no fit yet: run `isoflop fit DIR --save` and upload again."]
    lines: list[str] = []
    for report in fits.reports:
        lines += [f"## {report.y} against {report.x}", *_table(report), ""]
        lines += [f"- {warning}" for warning in report.warnings]
        lines += [f"- left out: {entry.run_id}: {entry.reason}" for entry in report.excluded]
    lines += [f"- not fitted: {entry.run_id}: {entry.reason}" for entry in fits.unfitted]
    return lines


def _table(report: FitReport) -> list[str]:
    """Return the laws of one pair of axes as a Markdown table."""
    rows = [
        f"| {fit.law} | {'; '.join(f'{p.name} = {estimate(p)}' for p in fit.parameters)} "
        f"| {'' if fit.paper_alpha is None else estimate(fit.paper_alpha)}{misfit.mark(fit)} "
        f"| {fit.log10_rmse:.4f} | {factor(fit.extrapolation_log_rmse)} |"
        for fit in report.fits
    ]
    head = [
        f"| law | parameters ({report.percent} interval) | alpha = 1/b | log10 RMSE | extrapolation |",
        "|---|---|---|---|---|",
    ]
    counts = f"{report.points} points of {report.configs} configurations, {report.resamples} resamples."
    return [counts, "", *head, *rows, "", trust(report)]


def specification(view: ws.Workspace, page: wr.Report) -> dict[str, Any]:
    """Return both as the JSON that is sent to W&B."""
    models = {"workspace": view._to_model(), "report": page._to_model()}
    return {
        name: json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
        for name, model in models.items()
    }
