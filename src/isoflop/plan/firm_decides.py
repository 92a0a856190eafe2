"""Which assumption decides: one at a time goes to the ends of its plausible range, all else stays."""

from __future__ import annotations

import math

from isoflop.plan import firm_case, firm_choice, firm_ranges
from isoflop.plan.firm_case import Case
from isoflop.plan.firm_ranges import Range
from isoflop.plan.firm_result import Assumption, End, Way
from isoflop.plan.firm_setting import Setting
from isoflop.plan.result import LawCost, TargetCost


def assumptions(
    target: TargetCost,
    cost: LawCost,
    setting: Setting,
    case: Case | None,
    gpus: int | None,
    way: Way | None,
) -> tuple[Assumption, ...]:
    """Return every assumption that has a range, those that turn the answer first, then by what they move.

    Args:
        target, cost: what the target costs, and by the law that answers.
        setting: prices, numbers of GPUs and limits.
        case: the plain numbers of the answer; None where the target is not reached.
        gpus, way: of the answer, on which costs are compared.
    """
    is_yes = case is not None and firm_choice.choose(case, setting.limits) is not None
    ranges = list(firm_ranges.of_curve(target, cost, setting))
    if case is not None and cost.log10_train_gflops is not None:
        ranges += firm_ranges.of_rates(setting, case, cost.log10_train_gflops)
        ranges += firm_ranges.of_prices(case)
        ranges += firm_ranges.of_use(setting, case)
    moved = [_judged(each, setting, is_yes, gpus, way) for each in ranges]
    return tuple(
        sorted(
            (each for each in moved if each.turns or each.turns_way or (each.factor or 1.0) > 1),
            key=lambda each: (not each.turns, not each.turns_way, -(each.factor or math.inf)),
        )
    )


def _judged(each: Range, setting: Setting, is_yes: bool, gpus: int | None, way: Way | None) -> Assumption:
    on = gpus if gpus is not None else setting.gpus[0]
    low, high = (
        _end(label, case, setting, on, way) for label, case in zip(each.labels, each.cases, strict=True)
    )
    ends = [end.days if low.dollars is None or high.dollars is None else end.dollars for end in (low, high)]
    known = [value for value in ends if value]
    factor = max(known) / min(known) if len(known) == 2 else None
    turns = any((end.verdict == "yes") != is_yes for end in (low, high))
    turns_way = low.cheaper != high.cheaper and None not in (low.cheaper, high.cheaper)
    return Assumption(each.name, each.basis, low, high, turns, turns_way, factor)


def _end(label: str, case: Case | None, setting: Setting, gpus: int, way: Way | None) -> End:
    if case is None:
        return End(label, "no", None, None, None)
    fits = firm_choice.choose(case, setting.limits) is not None
    chosen = way if way is not None else firm_choice.way(case, gpus)
    days, dollars = firm_case.days(case, gpus), firm_choice.dollars(case, gpus, chosen)
    return End(label, "yes" if fits else "no", days, dollars, firm_choice.cheaper(case, gpus))
