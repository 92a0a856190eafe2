"""What a target costs, on the page: the forecast of costs as tables, and as data for the page's dials."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from isoflop.config.costs import Prices
from isoflop.curve import reach
from isoflop.curve.check.front import CheckReport
from isoflop.curve.result import FitReport
from isoflop.plan import cost_dials, grid, make, rates
from isoflop.plan import rows as plan_rows
from isoflop.plan.amount import Amount
from isoflop.plan.costing import Costing
from isoflop.plan.firm import LEFT_OUT
from isoflop.plan.grid import Curve, Part
from isoflop.plan.make import FORECAST, Question
from isoflop.plan.result import CostForecast, LawCost, TargetCost
from isoflop.plan.sizes import sizes
from isoflop.plan.text import ends, gflops, kilograms
from isoflop.report import packed
from isoflop.report.costs import CostPanel, Row, TargetTable
from isoflop.report.figures import style
from isoflop.report.rate import Rate
from isoflop.report.subject import Subject
from isoflop.report.text import misfit, units
from isoflop.report.text.numerals import SUPERSCRIPT, UNKNOWN, number, plural, seconds

AVERAGE = "Average of the laws"
DECIMALS = 5
"""Of the logarithms that a page holds: 0.001% of an amount."""
HARDEST = 0.25
"""The scale of targets ends at the hardest one of the table, or at this share of what the runs reached."""
_SPENT: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("device_seconds", "Device time", seconds),
    ("energy_joules", "Energy", units.joules),
    ("kilograms_co2", "CO₂", kilograms),
    ("dollars", "Price", units.dollars),
)


@dataclasses.dataclass(frozen=True)
class CostAsk:
    """What the section is made of.

    Attributes:
        report: the fit of the main axes, whose bands reach make.BEYOND times the largest run.
        rows: that were fitted, with the columns x and y of the fit.
        targets: values of y for the table; by default round ones about the end of the curve.
        rate: of a GPU, in place of what the rows measured.
    """

    report: FitReport
    rows: pd.DataFrame
    targets: tuple[float, ...] = ()
    rate: Rate | None = None


def cost_panel(ask: CostAsk, subject: Subject, checked: CheckReport) -> CostPanel | None:
    """Return the section; None where x is no training compute in a known unit, or nothing was fitted.

    Args:
        ask: the fit and what is asked of it.
        subject: what the page is about: its rows and prices.
        checked: the checks of the rows.
    """
    report = ask.report
    if not report.fits or report.resource.flops is None or report.resource.a_pass:
        return None
    costing = _costing(subject, ask)
    chosen = ask.targets or _round_about(report)
    made = make.forecast(subject.name, report, checked, costing, Question(chosen, ()))
    plain = dataclasses.replace(costing, prices=None, queries_per_day=None)
    of_scale = make.forecast(
        subject.name, report, checked, plain, Question(_scale(report, chosen, subject.checked), ())
    )
    start, sets = _start(report, of_scale, chosen), cost_dials.shipped()
    return CostPanel(
        gist=_gist(report, next(each for each in of_scale.targets if each.target == start)),
        warnings=_warnings(report, made),
        notes=_notes(report, made, ask),
        dials=cost_dials.of_one(report.quantity, len(of_scale.targets), start, subject.prices, sets),
        firm_dials=cost_dials.of_firm(subject.prices, sets),
        tables=tuple(_table(report, made, each) for each in made.targets),
        data=packed.pack(json.dumps(_data(report, of_scale, plain, subject.prices), separators=(",", ":"))),
    )


def _warnings(report: FitReport, made: CostForecast) -> tuple[str, ...]:
    """Return what is to be known first, the rejected laws by the names that the page gives them."""
    said = [line for line in made.warnings if not line.startswith("the points reject")]
    rejected = [style.law_in_sentence(style.law_name(fit.law)) for fit in report.fits if misfit.rejected(fit)]
    if rejected:
        said.append(f"the points reject the {' and the '.join(rejected)}: no amount by these stands alone")
    return tuple(map(_sentence, said))


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:].rstrip('.')}."


def _costing(subject: Subject, ask: CostAsk) -> Costing:
    """Return what a compute takes; one query a day, so that days of break-even are queries."""
    report = ask.report
    rows = plan_rows.prepared(subject.checked, ask.rows, report)
    of_size = sizes(plan_rows.fitted(rows, report), report)
    if ask.rate is not None:
        of_time = rates.chosen(ask.rate.flops_per_second * 1e-9, ask.rate.watts, None)
    else:
        device = plan_rows.most_used(rows)
        of_time = rates.measured(plan_rows.on_device(rows, device), of_size, device, report.level)
    return Costing(of_size, of_time, subject.prices, 1.0)


def _round_about(report: FitReport) -> tuple[float, ...]:
    """Return the last round value that the curve has reached at the largest run, and the next two."""
    end = reach.end_of(report)
    reached = [each for each in reach.round_targets(3 * end, 4) if end <= each < _limit(report, ())]
    return (*reached[-1:], *reach.round_targets(end))


def _limit(report: FitReport, chance: Iterable[float]) -> float:
    """Return the value that targets lie below: of errors that of guessing, where it is known."""
    return min([1.0, *chance]) if report.quantity.noun == "error" else math.inf


def _scale(report: FitReport, chosen: Sequence[float], checked: pd.DataFrame) -> tuple[float, ...]:
    """Return the targets of the dial: from what the smallest runs reach to the hardest of the tables."""
    limit = _limit(report, checked["chance_error"].dropna() if "chance_error" in checked else ())
    easiest = max(min(limit, max(fit.band.y[0] for fit in report.fits)), *chosen)
    hardest = min(*chosen, HARDEST * reach.end_of(report))
    return tuple(each for each in grid.scale(hardest, easiest, chosen) if each < limit or each in chosen)


def _start(report: FitReport, of_scale: CostForecast, chosen: Sequence[float]) -> float:
    """Return the first target of the tables beyond what the runs reached to which the average comes, or where
    there is none, any law; else the hardest that is reached, else the easiest."""
    reached = [
        target.target
        for target in of_scale.targets
        if target.target in chosen and (cost := _main(target)) is not None and cost.reason is None
    ]
    ahead = [target for target in reached if target < reach.end_of(report)]
    return max(ahead, default=min(reached, default=max(chosen)))


def _main(target: TargetCost) -> LawCost | None:
    """Return the average, or where there is none, a law that reaches the target and is not rejected."""
    average = next((cost for cost in target.costs if cost.law == FORECAST), None)
    known = [cost for cost in target.costs if cost.reason is None and not cost.rejected]
    return average or next(iter(known), None)


def law_name(law: str, rejected: bool) -> str:
    """Return the name of a law as tables show it."""
    return AVERAGE if law == FORECAST else f"{style.law_name(law)}{f' ({misfit.REJECTED})' * rejected}"


def _gist(report: FitReport, target: TargetCost) -> str:
    cost = _main(target)
    text = make.shown(report, target.target)
    if cost is None or cost.reason is not None:
        return f"{text}: {'no law reaches it' if cost is None else f'not reached: {cost.reason}'}"
    took = [_cell(cost.training.train_gflops, gflops, _beyond(cost))]
    if cost.training.device_seconds.value is not None:
        took.append((f"{seconds(cost.training.device_seconds.value)} of one device", ""))
    by = AVERAGE.lower() if cost.law == FORECAST else style.law_in_sentence(style.law_name(cost.law))
    return f"{text}: {', '.join(f'{a} ({b})' if b else a for a, b in took)}, by the {by}"


def _beyond(cost: LawCost) -> str:
    """Return a power of ten, for a compute that no number holds."""
    return f"10{str(round((cost.log10_train_gflops or 0.0) + 9)).translate(SUPERSCRIPT)} FLOPs"


def _cell(amount: Amount, show: Callable[[float | None], str], beyond: str = UNKNOWN) -> tuple[str, str]:
    """Return an amount and its interval; one that is given and not estimated has none."""
    if amount.value is None:
        return beyond, ""
    if amount.low == amount.value == amount.high:
        return show(amount.value), ""
    return show(amount.value), ends(amount, show)


def _table(report: FitReport, made: CostForecast, target: TargetCost) -> TargetTable:
    spent = [
        each
        for each in _SPENT
        if any(getattr(cost.training, each[0]).value is not None for cost in target.costs)
    ]
    rows = []
    for cost in sorted(target.costs, key=lambda each: each.law != FORECAST):
        times = UNKNOWN if cost.times_largest is None else number(cost.times_largest)
        if cost.reason is None:
            cells = [_cell(cost.training.train_gflops, gflops, _beyond(cost)), (times, "")]
            cells += [_cell(getattr(cost.training, name), show) for name, _, show in spent]
        else:
            low = cost.training.train_gflops.low
            cells = [
                (f"not reached: {cost.reason}", "" if low is None else f"if at all, above {gflops(low)}")
            ]
        rows.append(Row(law_name(cost.law, cost.rejected), tuple(cells)))
    return TargetTable(
        title=f"{report.quantity.title} {make.shown(report, target.target)}",
        warnings=tuple(map(_sentence, target.warnings)),
        columns=(
            "By",
            f"Training compute ({report.percent})",
            "× largest run",
            *(title for _, title, _ in spent),
        ),
        rows=tuple(rows),
        differ=_differ(target),
        answers=_answers(_main(target)),
    )


def _differ(target: TargetCost) -> str:
    each = target.disagreement
    reached = f"{each.reached} of {plural(each.laws, 'law')} reach it"
    if each.orders is None or each.least is None or each.most is None:
        return f"{reached}."
    least, most = (style.law_in_sentence(style.law_name(name)) for name in (each.least, each.most))
    return f"{reached}: {number(each.orders, 2)} orders of magnitude from {least} to {most}."


def _answers(cost: LawCost | None) -> str:
    """Return the model's size and data, a query's compute, and after how many queries these are as much."""
    if cost is None or cost.reason is not None or cost.inference is None:
        return ""
    said = []
    for amount, show, text in (
        (cost.training.parameters, number, "{} parameters"),
        (cost.training.examples, number, "{} examples in training"),
        (cost.inference.gflops_per_query, gflops, "{} a query, forward"),
        (cost.inference.break_even_days, number, "as much for queries as for training after {} of them"),
    ):
        if amount.value is not None:
            said.append(text.format(f"{show(amount.value)} ({ends(amount, show)})"))
    by = AVERAGE if cost.law == FORECAST else style.law_name(cost.law)
    return f"{by}: {'; '.join(said)}." if said else ""


def _notes(report: FitReport, made: CostForecast, ask: CostAsk) -> tuple[str, ...]:
    """Return how the amounts were formed; the note on queries is the dial's own."""
    notes = [note for note in made.notes if not note.startswith("inference:")]
    notes.append(
        "a query is one example, forward, at the efficiency of training; serving in batches of other sizes "
        "differs"
    )
    notes.append(
        "energy is that of the devices; PUE multiplies it in CO2 and in a price of electricity alone"
    )
    if made.device is not None:
        notes.append(f"device time is of one {made.device}; several add up their hours")
    notes.append(
        "on several GPUs device time, energy, CO2 and price of training are those of one GPU / efficiency: "
        "GPUs that wait for each other are counted at the power of training; answers are by the time that "
        "one GPU computes them"
    )
    notes.append(
        "own share is GPU-hours x purchase / (years x 8,760 x use of the hours), and electricity x PUE; "
        "own hardware is cheaper past (purchase / years) / (rent - electricity of an hour) hours a year"
    )
    notes.append(LEFT_OUT)
    notes.append(
        f"the numbers are those of isoflop forecast with --resamples {report.resamples}, of which a slider "
        "takes the round targets; between them logarithms are interpolated"
    )
    return tuple(map(_sentence, notes))


def _data(
    report: FitReport, made: CostForecast, costing: Costing, prices: Prices | None
) -> dict[str, object]:
    """Return what costs.js reads: logarithms in units of DECIMALS, relative to the first of a part."""
    found = grid.curves(made, costing)
    order = sorted(found, key=lambda each: each.law != FORECAST)
    reasons = list(dict.fromkeys(p.reason for curve in order for p in curve.points if p.reason is not None))
    warned = [tuple(map(_sentence, target.warnings)) for target in made.targets]
    warnings = list(dict.fromkeys(line for lines in warned for line in lines))
    quantity = report.quantity
    return {
        "name": quantity.title,
        "unit": quantity.unit,
        "scale": quantity.scale,
        "percent": report.percent,
        "targets": [target.target for target in made.targets],
        "largest": _integer(math.log10(made.largest_gflops)),
        "decimals": DECIMALS,
        "average": bool(order) and order[0].law == FORECAST,
        "curves": [_curve(curve, reasons) for curve in order],
        "reasons": reasons,
        "warnings": warnings,
        "warned": [[warnings.index(line) for line in lines] for lines in warned],
        "factors": dict(prices.factors) if prices is not None else {},
        "units": units.STEPS,
    }


def _curve(curve: Curve, reasons: list[str]) -> dict[str, object]:
    points: list[list[object]] = []
    for point in curve.points:
        at, low, high = point.span
        if at is None:
            assert point.reason is not None
            points.append([reasons.index(point.reason), None if low is None else _integer(low)])
            continue
        span = [_integer(at), *(None if end is None else _integer(end) - _integer(at) for end in (low, high))]
        points.append([*span, *(_relative(part) for part in point.parts)])
    law = "" if curve.law == FORECAST else style.law_in_sentence(style.law_name(curve.law))
    return {
        "name": law_name(curve.law, curve.rejected),
        "law": law,
        "rejected": curve.rejected,
        "points": points,
    }


def _relative(part: Part | None) -> list[int | None] | None:
    if part is None:
        return None
    first, *others = part
    return [_integer(first), *(None if each is None else _integer(each) - _integer(first) for each in others)]


def _integer(log10: float) -> int:
    return round(log10 * 10.0**DECIMALS)
