"""A fit in one resource on the terminal: laws, forecast, held-out runs and warnings."""

from __future__ import annotations

from rich.table import Table

from isoflop.cli.terminal.console import OUT
from isoflop.cli.terminal.left_out import show_excluded
from isoflop.curve.result import Excluded, FitFile, FitReport, HeldOut
from isoflop.report.text import costs, misfit
from isoflop.report.text.fit_lines import estimate, factor, forecast_lines, heading, percent
from isoflop.report.text.numerals import plural


def show_all(fits: FitFile) -> None:
    """Print everything that a FitFile says: every report, what was left out, and every note."""
    shown: set[Excluded] = set()
    for report in fits.reports:
        show(report, tuple(entry for entry in report.excluded if entry not in shown))
        shown.update(report.excluded)
    for entry in fits.dropped:
        OUT.print(f"dropped {entry.run_id} ({entry.reason})", markup=False)
    for note in fits.notes:
        OUT.print(note, markup=False)
    for unfitted in fits.unfitted:
        OUT.print(f"not fitted: {unfitted.run_id}: {unfitted.reason}", markup=False)


def show(report: FitReport, excluded: tuple[Excluded, ...] = ()) -> None:
    """Print the laws of one pair of axes, the forecast, held-out runs and every warning, 100 columns wide.

    Args:
        report: the laws.
        excluded: the rows that are named as left out: those of the report, less what was named before.
    """
    OUT.print(heading(report), markup=False)
    level = percent(report.level)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    names = ("law", f"b ({level})", f"E ({level})", f"alpha ({level})", "rmse", "2x", "4x", "10x", "wt")
    for name in names:
        table.add_column(name, overflow="fold")
    for fit in report.fits:
        at_horizons = [factor(h.log_rmse).removeprefix("x") for h in fit.horizons] or ["-"] * 3
        weights = [m.weight for m in (report.forecast.members if report.forecast else ()) if m.law == fit.law]
        slope = costs.parameter(fit, "b") or costs.parameter(fit, "b1")
        star = "*" if misfit.rejected(fit) else ""
        table.add_row(
            *(fit.law, estimate(slope, star), estimate(costs.parameter(fit, "E"))),
            estimate(fit.paper_alpha, star),
            *(f"{fit.log10_rmse:.3f}", *at_horizons, f"{sum(weights):.0%}" if weights else "-"),
        )
    OUT.print(table)
    OUT.print(
        "rmse: of log10 y; 2x, 4x, 10x: factor by which fits to smaller runs were off; wt: forecast weight"
    )
    for line in misfit.rejections(report):
        OUT.print(f"* {line}", markup=False)
    _show_forecast(report)
    if report.held_out is not None:
        _show_held_out(report.held_out, level)
    show_excluded(excluded, OUT)
    for warning in dict.fromkeys(report.warnings):
        OUT.print(f"note: {warning}", markup=False)
    for fit in report.fits:
        for warning in fit.warnings:
            OUT.print(f"note: {fit.law}: {warning}", markup=False)


def _show_forecast(report: FitReport) -> None:
    """Print the forecast beyond the largest run, and how far off it was where it could be tested."""
    for line in forecast_lines(report):
        OUT.print(line, markup=False)
    forecast = report.forecast
    if forecast is None:
        return
    tested = [f"{factor(h.log_rmse)} at {h.ratio:g}x" for h in forecast.horizons if h.log_rmse is not None]
    if tested:
        OUT.print(f"  off by {', '.join(tested)} where smaller runs predicted larger ones", markup=False)
    for warning in forecast.warnings:
        OUT.print(f"  {warning}", markup=False)


def _show_held_out(held: HeldOut, level: str) -> None:
    """Print the held-out runs beside the forecast that was made without them."""
    table = Table(box=None, pad_edge=False)
    for name in ("held out", "x", "seen", "predicted", f"{level}, new run", "inside"):
        table.add_column(name, justify="left" if name == "held out" else "right")
    for row in held.rows:
        inside = "yes" if row.low <= row.y <= row.high else "no"
        numbers = (f"{value:.4g}" for value in (row.x, row.y, row.predicted))
        table.add_row(row.run_id, *numbers, f"{row.low:.3g} to {row.high:.3g}", inside)
    OUT.print(table)
    OUT.print(
        f"{held.expression}: {plural(held.runs, 'run')} up to {held.largest_ratio:.3g} times the largest x "
        f"fitted; off by {factor(held.log_rmse)}; {held.inside_new_run_interval} of {held.runs} inside",
        markup=False,
    )
