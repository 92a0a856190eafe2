"""What a lower error takes, on the page of a table whose x is the compute of one pass: FLOPs of that pass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from isoflop.curve import reach
from isoflop.curve.reach import Reach
from isoflop.curve.result import FitReport, Interval
from isoflop.report.figures import style
from isoflop.report.text import costs, misfit
from isoflop.report.text.numerals import SUPERSCRIPT, UNKNOWN, number
from isoflop.table.axis import PREFIXES, Axis

LAWS = ("power_law_ols", "exponential", "power_law_floor")
"""The paper's two forms, which fit alike and part beyond the data, and the one with an irreducible error,
below which neither is to be believed where the points show one; the forecast stands beside them."""
ABOUT = (
    "What the curves say it takes, in FLOPs of a pass of the trained model, not its training. The paper's "
    "two forms part beyond the data: an amount is no better known than its form, and beyond the tested range "
    "all of it is extrapolation. The intervals of the two forms join the ends of slope and height. Where the "
    "points show an irreducible error, nothing below it is reached, whatever a form without one says."
)
LARGEST_PREFIX = "Y"
"""Beyond it powers of ten are written: few know the prefixes above."""


@dataclasses.dataclass(frozen=True)
class ReachPanel:
    """Paragraphs, and a table with a row for each target and law."""

    paragraphs: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def reaches(report: FitReport, targets: Sequence[float] = ()) -> tuple[Reach, ...]:
    """Return where the paper's two forms, the power law with a floor and the forecast come to each target.

    Args:
        report: the fit of the main axes.
        targets: values of y; by default the next round ones below the end of the curve.
    """
    chosen = tuple(targets) or reach.round_targets(reach.end_of(report))
    laws = [fit for name in LAWS if (fit := costs.law(report, name)) is not None]
    found = []
    for target in chosen:
        found += [reach.of_law(report, fit, target) for fit in laws]
        if report.forecast is not None:
            found.append(reach.of_band(costs.FORECAST, report.forecast.band, target))
    return tuple(found)


def reach_panel(report: FitReport | None, targets: Sequence[float] = ()) -> ReachPanel | None:
    """Return what lower values of y take of a pass; None where x is no compute of one, or nothing was fitted.

    What training takes is costed instead (cost_panel).

    Args:
        report: the fit, x in any unit.
        targets: values of y to be reached, as `reaches`.
    """
    if report is None or not report.fits or report.resource.flops is None or not report.resource.a_pass:
        return None
    axis = report.resource
    rows = tuple(
        (
            f"{report.quantity.title} {_target(each.target, report)}",
            style.law_name(each.law) + _mark(report, each.law),
            flops_text(each.log10_x, axis) if each.reason is None else _unreached(each, report),
            interval_text(each.interval, axis),
        )
        for each in reaches(report, targets)
    )
    heads = ("To reach", "By", axis.title.partition(" (")[0], f"{report.percent} interval")
    return ReachPanel((ABOUT,), heads, rows)


def _target(value: float, report: FitReport) -> str:
    """Return a target in the fewest digits: 5%, 2.5 nats."""
    scaled = f"{report.quantity.scale * value:.6g}"
    unit = report.quantity.unit
    return f"{scaled}%" if unit == "%" else f"{scaled} {unit}".strip()


def _mark(report: FitReport, law: str) -> str:
    fit = costs.law(report, law)
    return "" if fit is None else misfit.mark(fit)


def _unreached(each: Reach, report: FitReport) -> str:
    """Return why a target is not reached: the forecast's band ends, or the curve does not come so far."""
    if report.forecast is None or not (each.reason or "").startswith("not within"):
        return each.reason or UNKNOWN
    return f"beyond {flops_text(math.log10(report.forecast.band.x[-1]), report.resource)}, where it ends"


def flops_text(log10_x: float | None, axis: Axis) -> str:
    """Return an amount of compute in FLOPs with the prefix that suits it: `3.21 ZFLOP`, or `10⁴⁵ FLOP`."""
    if log10_x is None or axis.flops is None:
        return UNKNOWN
    power = log10_x + math.log10(axis.flops)
    if power >= PREFIXES[LARGEST_PREFIX] + 3:
        mantissa, exponent = 10.0 ** (power % 1.0), str(math.floor(power))
        return f"{number(mantissa, 2)} × 10{exponent.translate(SUPERSCRIPT)} FLOP"
    prefix = next(p for p, at in reversed(PREFIXES.items()) if at <= max(power, 0.0))
    return f"{number(10.0 ** (power - PREFIXES[prefix]))} {prefix}FLOP"


def interval_text(interval: Interval | None, axis: Axis) -> str:
    """Return an interval of compute, its unbounded ends named; a dash where there is none."""
    if interval is None or (interval.low is None and interval.high is None):
        return UNKNOWN
    if interval.high is None:
        return f"above {flops_text(interval.low, axis)}"
    if interval.low is None:
        return f"below {flops_text(interval.high, axis)}"
    return f"{flops_text(interval.low, axis)} to {flops_text(interval.high, axis)}"
