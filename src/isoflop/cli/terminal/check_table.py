"""The checks of a sweep on the terminal, and the laws with and without the points that they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from isoflop.cli.terminal.console import OUT
from isoflop.cli.terminal.fit_table import estimate, percent
from isoflop.curve.check.finding import SEVERITIES, SHOWN, Finding
from isoflop.curve.check.floor import FloorSupport, parameter
from isoflop.curve.check.front import TITLES, CheckReport, title
from isoflop.curve.result import FitReport
from isoflop.report.text import costs, misfit
from isoflop.report.text.numerals import plural


def show(report: CheckReport) -> None:
    """Print every check: findings, worst first, then what passed, then what could not be checked."""
    runs, configs = plural(report.runs, "run"), plural(report.configs, "configuration")
    OUT.print(f"{runs} of {configs}: {counts(report)}", markup=False)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=11, no_wrap=True)
    table.add_column(overflow="fold", max_width=max(40, min(OUT.width, 110) - 12))
    for found in report.findings:
        table.add_row(found.severity, _literal(f"{title(found)}: {found.sentence}"))
        table.add_row("", _literal(f"-> {found.what_to_do}{_runs(found)}"))
    for outcome in report.outcomes:
        if outcome.passed is not None:
            table.add_row("passed", _literal(f"{TITLES[outcome.check]}: {outcome.passed}"))
    for outcome in report.outcomes:
        if outcome.not_checked is not None:
            table.add_row("not checked", _literal(f"{TITLES[outcome.check]}: {outcome.not_checked}"))
    OUT.print(table)


def counts(report: CheckReport) -> str:
    """Return `2 faults, 3 warnings, 5 notes`, or that there is none."""
    number = Counter(found.severity for found in report.findings)
    parts = [plural(number[severity], severity) for severity in SEVERITIES if number[severity]]
    return ", ".join(parts) if parts else "nothing found"


def _literal(text: str) -> str:
    return text.replace("[", "\\[")


def _runs(found: Finding) -> str:
    """Return the ids of the runs that a finding is about, if they are not all."""
    ids = [run_id for subject in found.subjects for run_id in subject.run_ids]
    if not ids:
        return ""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f" (runs {', '.join(ids[:SHOWN])}{more})"


def show_fits(every: FitReport, without: FitReport) -> None:
    """Print exponent and irreducible error of the laws with all points and without the excluded ones."""
    level = percent(every.level)
    table = Table(box=None, pad_edge=False, title=f"{every.y} against {every.x}", title_justify="left")
    for name in ("law", "points", f"b ({level})", f"E ({level})"):
        table.add_column(name, overflow="fold")
    fitted = {fit.law for fit in without.fits}
    for law in (fit.law for fit in every.fits if fit.law in fitted):
        for report in (every, without):
            slope = parameter(report, law, "b") or parameter(report, law, "b1")
            e = estimate(parameter(report, law, "E"))
            star = "*" if misfit.rejected(costs.law(report, law)) else ""
            table.add_row(law if report is every else "", str(report.points), estimate(slope, star), e)
    OUT.print(table)
    for line in (*misfit.rejections(every), *misfit.rejections(without)):
        OUT.print(f"* {line}", markup=False)


def support_lines(supports: Sequence[tuple[FitReport, FloorSupport]]) -> list[str]:
    """Return what becomes of exponents and irreducible errors without the points of undertrained shapes."""
    if not supports:
        return []
    first = supports[0][1]
    names, runs = ", ".join(first.names), plural(first.runs, "run")
    lines = [f"undertrained: {names} ({runs}): training loss rose with size. Without them"]
    for report, support in supports:
        without = f"b {estimate(support.exponent_without)}, E {estimate(support.floor_without)}"
        if support.reason is not None:
            without = f"nothing can be fitted: {support.reason}"
        elif support.only_by_undertrained:
            without += "; no irreducible error is claimed, since none is identified without them"
        lines.append(f"  {report.y} against {report.x}: {without}")
    return [*lines, "  (--exclude undertrained fits without them)"]
