"""What the measurements of `isoflop parallel` say, as rows and lines for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence

from isoflop.parallel.intervals import Bounded
from isoflop.parallel.scaling import Group, Row
from isoflop.report.text.numerals import UNKNOWN, number, percent, plural

PAYLOADS = {
    "training": "Data-parallel training",
    "matmul": "Dense matrix product",
    "cg": "Sparse conjugate gradient",
}
UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6))
"""Units of the seconds of a step, the largest first."""
LEGEND = (
    "in brackets 95% intervals; strong: one worker's work is shared, weak: each worker has as much; "
    "E: speed-up / N; 1 - alpha: serial fraction (Karp and Flatt; of weak scaling Gustafson's); c/c/w: "
    "shares of compute, communication and waiting in a step with a barrier before each exchange"
)


def title(group: Group) -> str:
    """Return what was measured, on what and how often."""
    backend = "" if group.backend == "none" else f", {group.backend}"
    return f"{PAYLOADS[group.payload]}, {group.size}: {group.device}{backend}, {group.repeats} timings each"


def bounded(value: Bounded | None, digits: int = 3, scale: float = 1.0) -> str:
    """Return `1.83 (1.71, 1.94)`, a missing end as an infinite one; a dash where unknown."""
    if value is None:
        return UNKNOWN
    if value.low == value.high:
        return number(scale * value.value, digits)
    low = "-∞" if value.low is None else number(scale * value.low, 2)
    high = "∞" if value.high is None else number(scale * value.high, 2)
    return f"{number(scale * value.value, digits)} ({low}, {high})"


def columns(group: Group) -> tuple[str, ...]:
    """Return the titles of `rows`."""
    return ("", "N", f"{_unit(group)[0]} a step", "speed-up", "E", "1 - alpha", "c/c/w %")


def rows(group: Group) -> tuple[tuple[str, ...], ...]:
    """Return strong scaling, then weak; one worker, which is the base of both, stands once."""
    scale = _unit(group)[1]
    shown = [row for row in group.rows if row.scaling == "strong" or row.workers > 1]
    return tuple((row.scaling if row.workers > 1 else "", *_row(row, scale)) for row in shown)


def _unit(group: Group) -> tuple[str, float]:
    """Return the unit in which one worker's step is no small fraction, and what turns seconds into it."""
    seconds = group.rows[0].seconds.value
    return next((unit for unit in UNITS if seconds * unit[1] >= 0.5), UNITS[-1])


def _row(of: Row, scale: float) -> tuple[str, ...]:
    serial = of.serial_fraction or of.scaled_serial_fraction
    return (
        str(of.workers),
        bounded(of.seconds, 2, scale),
        bounded(of.speedup, 2),
        f"{of.efficiency.value:.0%}",
        bounded(serial, 2),
        "/".join(f"{100 * share:.0f}" for share in (of.compute, of.communication, of.waiting)),
    )


def lines(group: Group) -> tuple[str, ...]:
    """Return what the rows come to: laws, limit, communication and rates, a line each."""
    said = [_amdahl(group), _gustafson(group), _communication(group), _rate(group), _joules(group)]
    return tuple(line for line in said if line)


def _amdahl(group: Group) -> str:
    rows = group.of("strong")
    if len(rows) < 2:
        return ""
    if group.speedup_limit is None:
        limit = f"limit 1/(1 - alpha) unknown: {group.speedup_limit_reason}"
    else:
        limit = f"at {rows[-1].workers} workers the limit 1/(1 - alpha) is {bounded(group.speedup_limit)}"
    return f"Amdahl: serial fraction {bounded(group.serial_fraction, 2)} of one worker's time; {limit}"


def _gustafson(group: Group) -> str:
    rows = group.of("weak")
    if len(rows) < 2 or group.scaled_serial_fraction is None:
        return ""
    last = rows[-1]
    return (
        f"Gustafson: work that grows with the workers is done {bounded(last.speedup)} times as fast by "
        f"{last.workers}; serial fraction {bounded(group.scaled_serial_fraction, 2)} of their time"
    )


def _communication(group: Group) -> str:
    if len(group.of("strong")) < 2:
        return ""
    if group.fixed_seconds is None:
        return f"communication a + bN and N* unknown: {group.fixed_seconds_reason}"
    fit = (
        f"communication a + bN of a step: a = {bounded(group.fixed_seconds, 2, 1e6)} us, "
        f"b = {bounded(group.seconds_per_worker, 2, 1e6)} us"
    )
    if group.turning_point is None:
        return f"{fit}; N* unknown: {group.turning_point_reason}"
    return f"{fit}; beyond N* = {bounded(group.turning_point, 2)} workers a step takes longer"


def _rate(group: Group) -> str:
    one = group.rows[0]
    if one.flops_per_second is None:
        return ""
    rate = f"one worker: {number(one.flops_per_second * 1e-9)} GFLOP/s"
    if one.peak_share is None:
        return rate
    last = group.of("strong")[-1]
    of_last = f", {last.workers} workers of theirs {percent(last.peak_share)}" if last is not one else ""
    return f"{rate}, {percent(one.peak_share)} of its dense peak{of_last}"


def _joules(group: Group) -> str:
    rows = group.of("strong")
    if any(each.joules is None for each in rows):
        return ""
    each = ", ".join(f"{number(at.joules)} J with {plural(at.workers, 'worker')}" for at in rows)
    return f"energy of a step: {each}"


def notes(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return what is unknown and why, each reason once, and what the columns mean."""
    rows = [row for group in groups for row in group.rows]
    peaks = dict.fromkeys(row.peak_reason for row in rows if row.peak_reason)
    joules = dict.fromkeys(row.joules_reason for row in rows if row.joules_reason)
    return (
        *(f"share of peak unknown: {reason}" for reason in peaks),
        *(f"energy unknown: {reason}" for reason in joules),
        alone(groups) or LEGEND,
    )


def alone(groups: Sequence[Group]) -> str | None:
    """Return what cannot be said of one worker; None where several were measured."""
    if any(row.workers > 1 for group in groups for row in group.rows):
        return None
    return (
        "one worker measures no communication: speed-up, serial fraction, a, b and N* take two workers or "
        "more"
    )
