"""What is said first of a fit in one resource: curve, laws, forecast, what was left out, and notes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.result import Excluded, FitFile, FitReport, HeldOut, LawFit
from isoflop.report.text import costs, fit_lines, lead, misfit, notes, ruled
from isoflop.report.text.notes import Note
from isoflop.report.text.numerals import plural

MOST_REASONS = 2
"""Reasons for which rows are left out that are said."""


@dataclasses.dataclass(frozen=True)
class FirstScreen:
    """The terminal and notebooks show these, in this order.

    Attributes:
        curve: what is fitted, and how y falls.
        laws: the header of a table with a row a law, then the rows.
        result: rejections, forecast, further axes, held-out runs and what was left out.
        notes: on the fit, of which the first few are shown.
        last: the verdict on the paper's limit, and what the checks found.
    """

    curve: tuple[str, ...]
    laws: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]
    notes: tuple[Note, ...]
    last: tuple[str, ...]


def first_screen(
    fits: FitFile, width: int, *, why: str = "--full: why", support: FloorSupport | None = None
) -> FirstScreen:
    """Return what is said first of a fit.

    Args:
        fits: the fit.
        width: letters at which long lines are folded.
        why: where it is said why axes could not be fitted.
        support: what the fit says without undertrained shapes, where that is known.
    """
    report = fits.reports[0]
    excluded = dict.fromkeys((*(each for one in fits.reports for each in one.excluded), *fits.dropped))
    rejections = [part for line in misfit.rejections(report) for part in notes.wrapped(f"* {line}", width)]
    checks, last = fits.notes[:-1], fits.notes[-1:]
    return FirstScreen(
        curve=(fit_lines.heading(report), *_curve(report, support)),
        laws=_laws(report),
        result=(
            *rejections,
            *fit_lines.forecast_lines(report),
            *_others(fits.reports[1:]),
            *([] if report.held_out is None else [_held_out(report.held_out)]),
            *_left_out(list(excluded)),
            *(f"not fitted: {each.run_id} ({why})" for each in fits.unfitted),
        ),
        notes=(*notes.of_file(fits), *([Note(" ".join(checks))] if checks else [])),
        last=(*([] if fits.verdict is None else notes.wrapped(ruled.short(fits.verdict), width)), *last),
    )


def _curve(report: FitReport, support: FloorSupport | None) -> list[str]:
    """Return the sentence that says how y falls, by the law that leads the page too."""
    shown = lead.of_points(report, support)
    fit = None if shown.law is None else costs.law(report, shown.law)
    if fit is None:
        only = ", but only through undertrained shapes" if shown.kind == "undertrained" else ""
        return [f"bends{only}: no single exponent describes it"] if report.fits else []
    if shown.kind == "floor":
        return [f"falls towards E {_estimate(fit, 'E')} as x^-b, b {_estimate(fit, 'b')} ({fit.law})"]
    alpha = "" if fit.paper_alpha is None else f", alpha {fit_lines.estimate(fit.paper_alpha)}"
    return [f"falls as x^-b, b {_estimate(fit, 'b')}{alpha} ({fit.law})"]


def _estimate(fit: LawFit, name: str) -> str:
    return fit_lines.estimate(costs.parameter(fit, name), _star(fit) if name == "b" else "")


def _star(fit: LawFit) -> str:
    """Return the mark of a law that the points reject; the lines with * say why."""
    return "*" if misfit.rejected(fit) else ""


def _laws(report: FitReport) -> tuple[tuple[str, ...], ...]:
    """Return a row for each law: b, E, and how far off it was on larger runs than it was fitted to."""
    percent = fit_lines.percent(report.level)
    rows = [("law", f"b ({percent})", f"E ({percent})", "off by")]
    for fit in report.fits:
        slope = costs.parameter(fit, "b") or costs.parameter(fit, "b1")
        values = (fit_lines.estimate(slope, _star(fit)), fit_lines.estimate(costs.parameter(fit, "E")))
        tested = [horizon for horizon in fit.horizons if horizon.log_rmse is not None]
        off = f"{fit_lines.factor(tested[-1].log_rmse)} at {tested[-1].ratio:g}x" if tested else "-"
        rows.append((fit.law, *values, off))
    return tuple(rows)


def _others(reports: Sequence[FitReport]) -> list[str]:
    """Return a line for each further pair of axes."""
    lines = []
    for report in reports:
        law = next((fit for fit in report.fits if fit.law == "power_law_floor"), report.fits[0])
        slope = costs.parameter(law, "b")
        lines.append(f"{report.y} against {report.x}: b {fit_lines.estimate(slope, _star(law))} ({law.law})")
    return lines


def _held_out(held: HeldOut) -> str:
    runs = plural(held.runs, "run")
    return (
        f"held out ({held.law}), {held.expression}: {runs} up to {held.largest_ratio:.3g} times the largest "
        f"x; off by {fit_lines.factor(held.log_rmse)}; {held.inside_new_run_interval} of {held.runs} inside"
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
