"""The checks of a sweep on the terminal, and the laws with and without the points that they name."""

from __future__ import annotations

from rich.table import Table

from isoflop.cli.terminal.console import OUT
from isoflop.curve.check.floor import parameter
from isoflop.curve.check.front import CheckReport
from isoflop.curve.judge.answer import Judgement
from isoflop.curve.result import FitReport
from isoflop.report.text import check_lines, costs, misfit, ruled
from isoflop.report.text.fit_lines import estimate, percent


def show(report: CheckReport) -> None:
    """Print every check: findings, worst first, then what passed, then what could not be checked."""
    OUT.print(check_lines.heading(report), markup=False)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=11, no_wrap=True)
    table.add_column(overflow="fold", max_width=max(40, min(OUT.width, 110) - 12))
    for outcome, sentence in check_lines.rows(report):
        table.add_row(outcome, _literal(sentence))
    OUT.print(table)


def show_verdict(verdict: Judgement) -> None:
    """Print the verdict on the paper's limit in a line."""
    OUT.print(ruled.line(verdict), markup=False)


def _literal(text: str) -> str:
    return text.replace("[", "\\[")


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
