"""What the limits buy on N GPUs: the largest training that keeps them, and the y of a law there."""

from __future__ import annotations

import math

from isoflop.config import ConfigError
from isoflop.curve.result import Band, FitReport, LawFit
from isoflop.plan import firm_case, make
from isoflop.plan.amount import Amount, unknown
from isoflop.plan.firm_setting import SIDES, Setting, Side
from isoflop.plan.make import FORECAST
from isoflop.report.text.numerals import number


def largest(report: FitReport, law: str, setting: Setting) -> dict[int, tuple[Amount, Amount]]:
    """Return GPUs -> the GFLOPs of the largest training that keeps the limits, and the y of the law there."""
    limits = setting.limits
    if not limits.texts:
        none = unknown("neither a budget nor a deadline was given")
        return dict.fromkeys(setting.gpus, (none, none))
    spans = {gpus: [_solve(report, setting, gpus, side) for side in SIDES] for gpus in setting.gpus}
    if all(value is None for value, _, _ in spans.values()):
        option = "--budget" if limits.budgets else "--deadline"
        bought = setting.ways.bought
        alone = setting.ways.rent is None and bought is not None
        why = f" (one GPU alone is bought for {bought.dollars:,.0f} dollars)" if alone and bought else ""
        raise ConfigError(
            f"{option} {' '.join(limits.texts)}: it buys no run on any number of these GPUs: less than "
            f"the smallest run, {number(10.0 ** make.log_smallest(report))} GFLOPs, where curves begin{why}"
        )
    curve = _curve(report, law)
    found = {}
    for gpus, (value, low, high) in spans.items():
        if value is None:
            none = unknown("it buys no run")
            found[gpus] = (none, none)
            continue
        # Where all takes more (the high ends), less is bought.
        span = (value, high, low)
        ends = (None if end is None else 10.0**end for end in (high, low))
        found[gpus] = (Amount(10.0**value, *ends), make.law_reach(report, law, *curve, span).y)
    return found


def _curve(report: FitReport, law: str) -> tuple[LawFit | None, Band]:
    if law == FORECAST and report.forecast is not None:
        return None, report.forecast.band
    fit = next(each for each in report.fits if each.law == law)
    return fit, fit.band


def _solve(report: FitReport, setting: Setting, gpus: int, side: Side) -> float | None:
    """Return log10 of the GFLOPs of the largest training that keeps the limits; None where it is below the
    smallest run, or an end is open."""

    def excess(log10: float) -> float:
        taken = firm_case.shares(setting.case_at(log10, side), gpus, setting.limits).values()
        worst = max(math.inf if each is None else each for each in taken)
        return math.log(max(worst, 1e-300)) if math.isfinite(worst) else 700.0

    from scipy import optimize  # takes long to import, and a page needs none of it

    least, most = make.log_smallest(report), make.log_largest(report) + math.log10(make.BEYOND)
    if excess(least) > 0:
        return None
    if excess(most) < 0:
        return most
    return float(optimize.brentq(excess, least, most, xtol=1e-9))
