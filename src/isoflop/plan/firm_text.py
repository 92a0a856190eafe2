"""The answer to who has no data centre as text: yes or no first, then N in rows, then what decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from isoflop.config.cost import HOURS_PER_YEAR
from isoflop.config.ways import OF_RENT
from isoflop.plan.aligned import aligned
from isoflop.plan.amount import Amount
from isoflop.plan.firm_result import Assumption, End, FirmAnswer, OnGpus, Way
from isoflop.plan.result import CostForecast
from isoflop.report.text import units
from isoflop.report.text.numerals import UNKNOWN, duration, number, percent, plural, seconds

MOST_SHOWN = 6
"""Assumptions of the terminal; JSON has all."""


def lines(made: CostForecast, answer: FirmAnswer, warnings: tuple[str, ...]) -> Iterator[str]:
    """Yield the answer.

    Args:
        made: the forecast, for the unit of y.
        answer: for one target.
        warnings: of the target.
    """
    yield _sentence(made, answer)
    # The reason of a no has been said; other warnings stand before any number.
    yield from (f"! {line}" for line in (*_doubts(answer), *warnings) if line != answer.reason)
    yield ""
    yield from aligned(_known_columns([_titles(answer), *(_row(made, answer, row) for row in answer.rows)]))
    yield from _intervals(answer)
    yield from _year(answer)
    yield _own_or_cloud(answer)
    if answer.assumptions:
        yield ""
        yield from _decides(answer)
    yield ""
    yield from (f"note: {line}" for line in answer.notes)


def _sentence(made: CostForecast, answer: FirmAnswer) -> str:
    what = f"{made.quantity} {_y(made, answer.target)}"
    row = _chosen(answer)
    if answer.verdict == "no":
        return f"no: {answer.reason}{_instead(made, answer)}"
    assert row is not None
    within = f", within {' and '.join(answer.limits)}" if answer.limits else ""
    paid = (
        "" if row.way is None else f" for {units.dollars(row.paid_dollars.value)} ({_way(answer, row.way)})"
    )
    on = plural(row.gpus, "GPU")
    least = "" if row.efficiency.is_known else "at least "
    return f"yes: {what} on {on} in {least}{duration(row.days.value)}{paid}{within}"


def _instead(made: CostForecast, answer: FirmAnswer) -> str:
    """Return what the limits do buy: the least y over the numbers of GPUs."""
    known = [row for row in answer.rows if row.bought_y.value is not None]
    if not known:
        return ""
    best = min(known, key=lambda row: row.bought_y.value or 0.0)
    y = best.bought_y
    ends = f"{_y(made, y.low)} to {_y(made, y.high)}"
    return (
        f"; {' and '.join(answer.limits)} {'buys' if len(answer.limits) == 1 else 'buy'} "
        f"{_y(made, y.value)} ({ends}) on {plural(best.gpus, 'GPU')}"
    )


def _doubts(answer: FirmAnswer) -> Iterator[str]:
    if answer.is_sure:
        return
    if answer.verdict == "yes":
        yield "not sure: at the far ends of the intervals, or where they are open, the answer is no"
    else:
        yield "not sure: at the near ends of the intervals the answer is yes"


def _chosen(answer: FirmAnswer) -> OnGpus | None:
    return next((row for row in answer.rows if row.gpus == answer.gpus), None)


def _way(answer: FirmAnswer, way: Way) -> str:
    """Return how GPUs are had: rented or bought; there already, where the prices are of electricity alone."""
    if way == "own":
        return "bought"
    return "rented" if answer.case is None or _is_rent(answer.case.rent_factors) else "electricity alone"


def _is_rent(factors: Mapping[str, float] | None) -> bool:
    return factors is not None and any(key in factors for key in OF_RENT)


def _titles(answer: FirmAnswer) -> tuple[str, ...]:
    rented = _way(answer, "rent")
    titles = ("GPUs", "efficiency", "time", "energy", "CO2", rented, "own share", "to buy", "within")
    return (*titles, "buys") if answer.limits else titles[:-1]


def _row(made: CostForecast, answer: FirmAnswer, row: OnGpus) -> tuple[str, ...]:
    e = row.efficiency
    shown = "1" if row.gpus == 1 else f"{e.value:.3g}{'' if e.is_known else '?'}"
    co2 = row.kilograms_co2.value
    cells = (
        str(row.gpus),
        shown,
        duration(row.days.value),
        units.joules(row.energy_joules.value),
        units.grams(None if co2 is None else 1e3 * co2),
        units.dollars(row.rent_dollars.value),
        units.dollars(row.own_dollars.value),
        units.dollars(row.purchase_dollars),
    )
    if not answer.limits:
        return cells
    kept = UNKNOWN if row.is_within is None else "yes" if row.is_within else f"no: {', '.join(row.missed)}"
    y = row.bought_y
    return (*cells, kept, _y(made, y.value) if y.value is not None else str(y.reason))


def _known_columns(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows without the columns of which no row knows anything."""
    kept = [i for i in range(len(rows[0])) if any(row[i] != UNKNOWN for row in rows[1:])]
    return [tuple(row[i] for i in kept) for row in rows]


def _intervals(answer: FirmAnswer) -> Iterator[str]:
    row = _chosen(answer)
    if row is None or row.days.value is None:
        return
    said = [f"{duration(row.days.value)} ({_ends(row.days, duration)})"]
    cost = row.paid_dollars
    if cost.value is not None:
        said.append(f"{units.dollars(cost.value)} ({_ends(cost, units.dollars)})")
    yield f"on {plural(row.gpus, 'GPU')}, with the ends of all intervals together: {', '.join(said)}"


def _ends(amount: Amount, show: object) -> str:
    assert callable(show)
    low = "–" if amount.low is None else show(amount.low)
    return f"above {low}" if amount.high is None else f"{low} to {show(amount.high)}"


def _year(answer: FirmAnswer) -> Iterator[str]:
    year = answer.year
    if year is None:
        return
    parts = [
        f"{seconds(_times(year.device_hours.value, 3600))} of one GPU",
        units.joules(year.energy_joules.value),
    ]
    if year.kilograms_co2.value is not None:
        parts.append(units.grams(1e3 * year.kilograms_co2.value))
    if year.rent_dollars.value is not None:
        parts.append(f"{units.dollars(year.rent_dollars.value)} rented by the time used")
    if year.kept_rent_dollars is not None:
        parts.append(f"{units.dollars(year.kept_rent_dollars)} where a GPU is kept for it all year")
    yield f"a year of answers: {', '.join(parts)}"


def _own_or_cloud(answer: FirmAnswer) -> str:
    hours = answer.break_even_hours
    if hours.value is None:
        return (
            f"own hardware or cloud: unknown: {hours.reason}"
            if "never" not in str(hours.reason)
            else (f"own hardware cheaper: {hours.reason}")
        )
    share = hours.value / HOURS_PER_YEAR
    if share > 1:
        return (
            f"own hardware is never cheaper: it would take {number(hours.value)} hours a year of each GPU, "
            f"and a year has {HOURS_PER_YEAR:,.0f}"
        )
    return (
        f"own hardware is cheaper past {number(hours.value)} hours a year of each GPU ({percent(share, 2)} "
        "of the year), people and room left out"
    )


def _decides(answer: FirmAnswer) -> Iterator[str]:
    first = answer.assumptions[0]
    turning = [each for each in answer.assumptions if each.turns]
    if turning:
        names = "; ".join(each.name for each in turning)
        yield f"what decides: {names}: {'each alone' if len(turning) > 1 else 'it alone'} turns the answer:"
    else:
        yield (
            f"what decides: no assumption turns the answer alone; {first.name} moves the cost the most"
            f"{'' if first.factor is None else f', {number(first.factor, 2)} times'}:"
        )
    shown = answer.assumptions[: max(MOST_SHOWN, len(turning))]
    header = ("  assumption", "from", "", "cost", "cheaper", "to", "", "cost", "cheaper", "range")
    yield from aligned(_known_columns([header, *(_assumption(each) for each in shown)]))


def _assumption(each: Assumption) -> tuple[str, ...]:
    mark = "! " if each.turns else "  "
    return (mark + each.name, *_end(each.low), *_end(each.high), each.basis)


def _end(end: End) -> tuple[str, ...]:
    amount = units.dollars(end.dollars) if end.dollars is not None else duration(end.days)
    return end.label, end.verdict, amount, end.cheaper or UNKNOWN


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _y(made: CostForecast, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    text = number(made.scale * value)
    return f"{text}%" if made.unit == "%" else f"{text} {made.unit}".rstrip()
