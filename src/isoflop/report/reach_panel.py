"""What a lower error takes, on the page: FLOPs, and by chosen factors kWh, CO2 and dollars."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from isoflop.config.costs import Prices
from isoflop.curve import reach
from isoflop.curve.reach import Reach
from isoflop.curve.result import FitReport, Interval
from isoflop.report.figures import style
from isoflop.report.text import costs, misfit, units
from isoflop.report.text.numerals import SUPERSCRIPT, UNKNOWN, number
from isoflop.table import pricing
from isoflop.table.axis import PREFIXES, Axis
from isoflop.table.pricing import Used

LAWS = ("power_law_ols", "exponential", "power_law_floor")
"""The paper's two forms, which fit alike and part beyond the data, and the one with an irreducible error,
below which neither is to be believed where the points show one; the forecast stands beside them."""
LARGEST_PREFIX = "Y"
"""Beyond it powers of ten are written: few know the prefixes above."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """What one GPU does while it trains: chosen by the user, since FLOPs alone are neither hours nor joules.

    Attributes:
        flops_per_second: sustained, of one GPU.
        watts: its power meanwhile; None where none was chosen.
    """

    flops_per_second: float
    watts: float | None = None


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


def used(flops: float, rate: Rate | None) -> Used:
    """Return GPU-seconds and joules of so many FLOPs at a rate, unknown without one."""
    if rate is None:
        return Used(train_gflops=flops * 1e-9)
    seconds = flops / rate.flops_per_second
    joules = None if rate.watts is None else seconds * rate.watts
    return Used(device_seconds=seconds, energy_joules=joules, train_gflops=flops * 1e-9)


def reach_panel(
    report: FitReport | None,
    prices: Prices | None = None,
    rate: Rate | None = None,
    targets: Sequence[float] = (),
) -> ReachPanel | None:
    """Return what lower values of y take; None where x is no compute in a known unit, or nothing was fitted.

    Args:
        report: the fit, x in any unit.
        prices: of --cost.
        rate: of the GPU that would train.
        targets: values of y to be reached, as `reaches`.
    """
    if report is None or not report.fits or report.resource.flops is None:
        return None
    found, axis = reaches(report, targets), report.resource
    shown = [_shown(each, report, prices, rate) for each in found]
    titles = ("Energy", "CO₂", "Price")
    kept = [i for i in range(len(titles)) if any(row[i] != UNKNOWN for row in shown)]
    rows = tuple(
        (
            f"{report.quantity.title} {_target(each.target, report)}",
            style.law_name(each.law) + _mark(report, each.law),
            flops_text(each.log10_x, axis) if each.reason is None else _unreached(each, report),
            interval_text(each.interval, axis),
            *(row[i] for i in kept),
        )
        for each, row in zip(found, shown, strict=True)
    )
    heads = ("To reach", "By", axis.title.partition(" (")[0], f"{report.percent} interval")
    return ReachPanel(_paragraphs(report, prices, rate), (*heads, *(titles[i] for i in kept)), rows)


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


def _paragraphs(report: FitReport, prices: Prices | None, rate: Rate | None) -> tuple[str, ...]:
    axis = report.resource
    what = "a pass of the trained model, not its training" if axis.a_pass else axis.name
    text = [
        f"What the curves say it takes, in FLOPs of {what}. The paper's two forms part beyond the data: an "
        "amount is no better known than its form, and beyond the tested range all of it is extrapolation. "
        "The intervals of the two forms join the ends of slope and height. Where the points show an "
        "irreducible error, nothing below it is reached, whatever a form without one says."
    ]
    if rate is not None:
        watts = "" if rate.watts is None else f" and {number(rate.watts)} W"
        per = number(rate.flops_per_second * 1e-12)
        text.append(f"One GPU is taken to sustain {per} TFLOP/s{watts} (--gpu-tflops, --gpu-watts).")
    if prices is not None:
        text.append(f"Prices and CO₂ are those of {', '.join(prices.names)}; see the bill.")
    return tuple(text)


def _shown(each: Reach, report: FitReport, prices: Prices | None, rate: Rate | None) -> tuple[str, str, str]:
    """Return (energy, CO2, dollars) of one line, a dash where nothing was chosen that gives it."""
    axis = report.resource
    if each.log10_x is None or axis.flops is None or axis.a_pass:
        return UNKNOWN, UNKNOWN, UNKNOWN
    log10_flops = each.log10_x + math.log10(axis.flops)
    if log10_flops > 300:
        return UNKNOWN, UNKNOWN, UNKNOWN
    took = used(10.0**log10_flops, rate)
    pue = prices.factors.get("pue", 1.0) if prices is not None else 1.0
    energy = UNKNOWN if took.energy_joules is None else units.joules(took.energy_joules * pue)
    if prices is None:
        return energy, UNKNOWN, UNKNOWN
    grams, money = (price(prices.factors, took).value for price in (pricing.grams_co2, pricing.dollars))
    return energy, units.grams(grams), units.dollars(money)


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
