"""The page's tables of laws: how well each fits and extrapolates, and its formula with its parameters."""

from __future__ import annotations

import dataclasses

from isoflop.curve.result import FitReport, HeldOut, HorizonError, LawFit
from isoflop.report.figures import style, views
from isoflop.report.text import costs, misfit
from isoflop.report.text.amounts import plain
from isoflop.report.text.costs import Halving
from isoflop.report.text.numerals import UNKNOWN, estimate, factor, interval, number, plural
from isoflop.table.target import Quantity


@dataclasses.dataclass(frozen=True)
class LawRow:
    """A law's row in the comparison; `ahead` has one text per ratio of x, `weight` is its share in the
    forecast and, in brackets, what part of it is fitted mostly to the largest runs."""

    name: str
    r_squared: str
    r_squared_of: str
    rmse: str
    ahead: tuple[str, ...]
    weight: str
    halving: str


@dataclasses.dataclass(frozen=True)
class Formula:
    """A law's formula, where it comes from, its parameters as (name, text, unit), and its warnings."""

    name: str
    formula: str
    source: str
    parameters: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Group:
    """The laws of one pair of axes. `ratios` are the columns of `ahead`, with their counts of predictions.

    `warnings` are about its points, `percent` is the level of its intervals.
    """

    title: str
    percent: str
    note: str
    warnings: tuple[str, ...]
    ratios: tuple[str, ...]
    ranks: tuple[LawRow, ...]
    formulas: tuple[Formula, ...]


def group(report: FitReport) -> Group:
    """Return the tables of one report, the forecast first where there is one."""
    ranks = [_rank(report, fit) for fit in report.fits]
    ahead = report.forecast
    if ahead is not None:
        half = costs.halving_of_forecast(ahead, report.x_max)
        factors = _ahead(ahead.horizons)
        ranks.insert(
            0, LawRow(style.law_name(style.FORECAST), UNKNOWN, "", UNKNOWN, factors, UNKNOWN, _halving(half))
        )
    return Group(
        title=views.title(report),
        percent=report.percent,
        note=_note(report),
        warnings=report.warnings,
        ratios=_ratios(report),
        ranks=tuple(ranks),
        formulas=tuple(_formula(report, fit) for fit in report.fits),
    )


def _ratios(report: FitReport) -> tuple[str, ...]:
    """Return titles such as `at 2× (12)`, with the number of predictions; none if no law was tested ahead."""
    judged = next((f.horizons for f in report.fits if f.horizons), ())
    return tuple(f"at {h.ratio:g}× ({h.predictions})" for h in judged)


def _ahead(horizons: tuple[HorizonError, ...]) -> tuple[str, ...]:
    return tuple(factor(h.log_rmse) for h in horizons)


def _halving(half: Halving) -> str:
    if half.factor is None:
        return half.reason or UNKNOWN
    bounds = f" ({interval(half.interval, 2)})" if half.interval else ""
    return f"×{number(half.factor, 2)}{bounds}"


def _rank(report: FitReport, fit: LawFit) -> LawRow:
    shares = [m for m in (report.forecast.members if report.forecast else ()) if m.law == fit.law]
    whole, drifting = sum(m.weight for m in shares), sum(m.weight for m in shares if m.drifting)
    return LawRow(
        name=style.law_name(fit.law) + misfit.mark(fit),
        r_squared=number(fit.r_squared),
        r_squared_of=fit.r_squared_of,
        rmse=number(fit.log10_rmse),
        ahead=_ahead(fit.horizons) or (UNKNOWN,) * len(_ratios(report)),
        weight=f"{100 * whole:.0f}% ({100 * drifting:.0f}%)" if shares else UNKNOWN,
        halving=_halving(costs.halving(fit, report.x_max)),
    )


def _formula(report: FitReport, fit: LawFit) -> Formula:
    alpha = (fit.paper_alpha,) if fit.paper_alpha else ()
    rows = [(p.name, estimate(p), p.unit) for p in (*fit.parameters, *alpha)]
    profile = fit.exponent_profile
    if profile is not None:
        at = next((i for i, row in enumerate(rows) if row[0] == "b"), -1)
        rows.insert(at + 1, ("b by profile likelihood", interval(profile), f"{report.percent} interval"))
    name = style.law_name(fit.law) + misfit.mark(fit)
    said = misfit.sentence(report, fit.law)
    return Formula(name, fit.formula, fit.source, tuple(rows), (*([said] if said else []), *fit.warnings))


def _note(report: FitReport) -> str:
    of = " on the efficient frontier" if report.of == "frontier" else ""
    robust = "" if report.quantile is None else f" Robust laws follow the {report.quantile:g} quantile."
    how = (
        "configurations"
        if report.resampling == "configurations"
        else "the signs of residuals (wild bootstrap)"
    )
    what, unit = (report.x, "") if report.axes is None else (report.resource.name, f" {report.resource.unit}")
    return (
        f"{plural(report.points, 'run')} of {plural(report.configs, 'configuration')} at "
        f"{plural(report.scales, 'scale')}{of}, {what} from {number(report.x_min)} to "
        f"{number(report.x_max)}{unit}; intervals from {plural(report.resamples, 'resample')} of {how} "
        f"(seed {report.bootstrap_seed}).{robust}"
    )


def held_out(held: HeldOut | None, quantity: Quantity) -> tuple[tuple[str, ...], ...]:
    """Return rows (run, x, seen, predicted, interval for a new run, inside or not) of held-out runs.

    Of a loss, how far the prediction is off in per cent comes before the last.
    """
    return tuple(
        (
            *(row.run_id, number(row.x), plain(row.y, quantity), plain(row.predicted, quantity)),
            f"{plain(row.low, quantity)} to {plain(row.high, quantity)}",
            *([] if quantity.unit == "%" else [f"{100 * (row.predicted / row.y - 1):+.1f}%"]),
            "yes" if row.low <= row.y <= row.high else "no",
        )
        for row in (held.rows if held is not None else ())
    )
