"""Fits of groups side by side on the terminal: exponents and irreducible errors with their intervals."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from isoflop.cli.terminal import notes
from isoflop.cli.terminal.console import OUT
from isoflop.cli.terminal.left_out import show_excluded
from isoflop.curve.groups import GroupedFits, GroupFit
from isoflop.curve.joint.result import JointFit
from isoflop.curve.result import FitReport
from isoflop.report.text import costs, fit_lines, misfit
from isoflop.report.text.notes import Note
from isoflop.report.text.numerals import plural

COMPARED = ("power_law", "power_law_floor")
"""Laws that are compared where all are fitted."""


def show(fits: GroupedFits, *, full: bool, all_notes: bool) -> None:
    """Print the groups: at most five notes unless `all_notes` or `full`, and all laws if `full`."""
    OUT.print(f"{plural(len(fits.groups), 'group')} of {fits.by}: {_what(fits.groups[0])}", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    rows = [row for group in fits.groups for row in _lines(group, full=full)]
    for name in (fits.by, *_header(fits.groups[0])):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    OUT.print(table)
    for group in fits.groups:
        if isinstance(group.fit, JointFit) or not hasattr(group.fit, "reports"):
            continue
        report = group.fit.reports[0]
        for line in (
            *(f"* {said}" for said in misfit.rejections(report)),
            fit_lines.forecast_sentence(report),
        ):
            OUT.print(f"{group.value}: {line}", markup=False)
    for each in fits.unfitted:
        OUT.print(f"not fitted: {each.run_id}: {each.reason}", markup=False)
    show_excluded(fits.excluded, OUT)
    said = [Note(text) for text in fits.notes]
    said += [Note(f"{group.value}: {text}") for group in fits.groups for text in _warnings(group)]
    notes.show(said, every=full or all_notes)


def _what(group: GroupFit) -> str:
    if hasattr(group.fit, "reports"):
        report = group.fit.reports[0]
        return f"{report.y} against {report.x}"
    if isinstance(group.fit, JointFit):
        return f"{group.fit.law}, {group.fit.y} against {' and '.join(group.fit.resources)}"
    return f"IsoFLOP profiles of {group.fit.y} over {' and '.join(group.fit.sizes)}"


def _header(group: GroupFit) -> tuple[str, ...]:
    if hasattr(group.fit, "reports"):
        percent = fit_lines.percent(group.fit.reports[0].level)
        return ("rows", "law", f"b ({percent})", f"E ({percent})", f"alpha ({percent})", "rmse")
    if isinstance(group.fit, JointFit):
        return ("rows", *(each.name for each in group.fit.parameters), "rmse")
    return ("rows", "budgets", *(f"{name} exponent" for name in (*group.fit.sizes, *group.fit.companions)))


def _lines(group: GroupFit, *, full: bool) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a group: one a law in one resource, else one."""
    if hasattr(group.fit, "reports"):
        yield from _of_report(group, group.fit.reports[0], full=full)
    elif isinstance(group.fit, JointFit):
        estimates = (fit_lines.estimate(each) for each in group.fit.parameters)
        yield group.value, str(group.rows), *estimates, f"{group.fit.log10_rmse:.3f}"
    else:
        count = len((*group.fit.sizes, *group.fit.companions))
        growth = [fit_lines.estimate(each.exponent) for each in group.fit.growth or ()]
        yield group.value, str(group.rows), str(len(group.fit.budgets)), *(growth or ["-"] * count)


def _of_report(group: GroupFit, report: FitReport, *, full: bool) -> Iterator[tuple[str, ...]]:
    named = [fit for fit in report.fits if fit.law in COMPARED]
    for i, fit in enumerate(report.fits if full or not named else named):
        slope = costs.parameter(fit, "b") or costs.parameter(fit, "b1")
        first = (group.value, str(group.rows)) if i == 0 else ("", "")
        star = "*" if misfit.rejected(fit) else ""
        values = (fit_lines.estimate(slope, star), fit_lines.estimate(costs.parameter(fit, "E")))
        yield *first, fit.law, *values, fit_lines.estimate(fit.paper_alpha, star), f"{fit.log10_rmse:.3f}"


def _warnings(group: GroupFit) -> tuple[str, ...]:
    if not hasattr(group.fit, "reports"):
        warnings: tuple[str, ...] = group.fit.warnings
        return warnings
    report = group.fit.reports[0]
    return (*report.warnings, *(f"{fit.law}: {text}" for fit in report.fits for text in fit.warnings))
