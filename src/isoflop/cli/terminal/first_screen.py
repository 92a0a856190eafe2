"""The first screen of a fit in one resource: curve, laws, forecast and notes in 24 lines of 80 columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from isoflop.cli.terminal import fit_table, notes
from isoflop.cli.terminal.console import OUT
from isoflop.curve.result import Excluded, FitFile, FitReport, HeldOut, LawFit
from isoflop.report.text import costs, misfit
from isoflop.report.text.numerals import plural

LINES = 24
MOST_REASONS = 2
"""Reasons for which rows are left out that are said; --full names each row."""


def show(fits: FitFile, *, every_note: bool = False) -> None:
    """Print what a fit says in a screen; `every_note` prints all notes, however many lines they take."""
    report = fits.reports[0]
    lines = [fit_table.heading(report), *_curve(report)]
    for line in lines:
        OUT.print(line, markup=False)
    OUT.print(_laws(report))
    rejections = [
        part for line in misfit.rejections(report) for part in notes.wrapped(f"* {line}", OUT.width)
    ]
    after = [*rejections, *fit_table.forecast_lines(report), *_others(fits.reports[1:])]
    if report.held_out is not None:
        after.append(_held_out(report.held_out))
    excluded = dict.fromkeys((*(each for one in fits.reports for each in one.excluded), *fits.dropped))
    after += [
        *_left_out(list(excluded)),
        *(f"not fitted: {each.run_id} (--full: why)" for each in fits.unfitted),
    ]
    for line in after:
        OUT.print(line, markup=False)
    checks, last = fits.notes[:-1], fits.notes[-1:]
    used = sum(map(_lines, (*lines, *after, *last))) + len(report.fits) + 1
    said = [*notes.of_file(fits), *([notes.Note(" ".join(checks))] if checks else [])]
    # The prompt takes the last line of the screen.
    notes.show(said, every=every_note, lines=LINES - 1 - used, also="; --full: alpha, errors, rows left out")
    for line in last:
        OUT.print(line, markup=False)


def _lines(text: str) -> int:
    """Return the lines that a text takes on the screen."""
    return max(1, math.ceil(len(text) / OUT.width))


def _curve(report: FitReport) -> list[str]:
    """Return the sentence that says how y falls: with an irreducible error where one is identified."""
    by_law = {fit.law: fit for fit in report.fits}
    floor, plain = by_law.get("power_law_floor"), by_law.get("power_law")
    e = costs.parameter(floor, "E") if floor is not None else None
    if floor is not None and e is not None and e.interval.low is not None and e.interval.low > 0:
        return [
            f"falls towards E {_estimate(floor, 'E')} as x^-b, b {_estimate(floor, 'b')} (power_law_floor)"
        ]
    if plain is not None:
        alpha = (
            ""
            if plain.paper_alpha is None
            else f", alpha {fit_table.estimate(plain.paper_alpha, _star(plain))}"
        )
        return [f"falls as x^-b, b {_estimate(plain, 'b')}{alpha} (power_law)"]
    return []


def _estimate(fit: LawFit, name: str) -> str:
    return fit_table.estimate(costs.parameter(fit, name), _star(fit) if name == "b" else "")


def _star(fit: LawFit) -> str:
    """Return the mark of a law that the points reject; the lines with * say why."""
    return "*" if misfit.rejected(fit) else ""


def _laws(report: FitReport) -> Table:
    """Return a line for each law: b, E, and how far off it was on larger runs than it was fitted to."""
    percent = fit_table.percent(report.level)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("law", f"b ({percent})", f"E ({percent})", "off by"):
        table.add_column(name, no_wrap=True)
    for fit in report.fits:
        slope = costs.parameter(fit, "b") or costs.parameter(fit, "b1")
        values = (fit_table.estimate(slope, _star(fit)), fit_table.estimate(costs.parameter(fit, "E")))
        tested = [horizon for horizon in fit.horizons if horizon.log_rmse is not None]
        off = f"{fit_table.factor(tested[-1].log_rmse)} at {tested[-1].ratio:g}x" if tested else "-"
        table.add_row(fit.law, *values, off)
    return table


def _others(reports: Sequence[FitReport]) -> list[str]:
    """Return a line for each further pair of axes."""
    lines = []
    for report in reports:
        law = next((fit for fit in report.fits if fit.law == "power_law_floor"), report.fits[0])
        slope = costs.parameter(law, "b")
        lines.append(f"{report.y} against {report.x}: b {fit_table.estimate(slope, _star(law))} ({law.law})")
    return lines


def _held_out(held: HeldOut) -> str:
    runs = plural(held.runs, "run")
    return (
        f"held out ({held.law}), {held.expression}: {runs} up to {held.largest_ratio:.3g} times the largest "
        f"x; off by {fit_table.factor(held.log_rmse)}; {held.inside_new_run_interval} of {held.runs} inside"
    )


def _left_out(excluded: Sequence[Excluded]) -> list[str]:
    """Return how many rows are left out, and the most frequent reasons."""
    if not excluded:
        return []
    reasons = Counter(_kind(each.reason) for each in excluded).most_common()
    said = "; ".join(f"{count} {reason}" for reason, count in reasons[:MOST_REASONS])
    more = "; ..." if len(reasons) > MOST_REASONS else ""
    return [f"left out: {plural(len(excluded), 'row')}: {said}{more}"]


def _kind(reason: str) -> str:
    """Return a reason without the values of its row."""
    if "at chance" in reason:
        return "at chance"
    return reason.partition(": ")[0]
