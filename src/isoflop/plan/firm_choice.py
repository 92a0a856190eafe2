"""Which number of GPUs keeps the limits, and which of them is the answer."""

from __future__ import annotations

import math

from isoflop.plan import firm_case
from isoflop.plan.firm_case import Case, Limits
from isoflop.plan.firm_result import Way


def missed(case: Case, gpus: int, limits: Limits) -> tuple[str, ...]:
    """Return the limits that a number of GPUs does not keep; one whose amount is unknown is not kept."""
    taken = firm_case.shares(case, gpus, limits)
    return tuple(name for name, share in taken.items() if share is None or share > 1)


def choose(case: Case, limits: Limits) -> int | None:
    """Return the GPUs of the answer, None where no number keeps the limits.

    With a deadline the cheapest that keeps it, by dollars, else by device-hours; without one the fastest that
    the budgets allow. Of equals the fewest.
    """
    within = [gpus for gpus, _ in case.efficiencies if not missed(case, gpus, limits)]
    if not within:
        return None
    if limits.deadline_seconds is not None:
        return min(within, key=lambda gpus: (_cost(case, gpus), gpus))
    return min(within, key=lambda gpus: (_known(firm_case.days(case, gpus)), gpus))


def nearest(case: Case, limits: Limits) -> int:
    """Return the GPUs whose worst excess over a limit is the least: those of which a no is told."""

    def worst(gpus: int) -> float:
        return max(map(_known, firm_case.shares(case, gpus, limits).values()), default=0.0)

    return min((gpus for gpus, _ in case.efficiencies), key=lambda gpus: (worst(gpus), gpus))


def way(case: Case, gpus: int, limits: Limits) -> Way | None:
    """Return the cheaper way to have the GPUs; a purchase that a budget of dollars does not pay is none."""
    taken = firm_case.training(case, gpus)
    rent, own = taken.rent_dollars, taken.own_dollars
    budget = min((each.amount for each in limits.budgets if each.kind == "dollars"), default=math.inf)
    if own is not None and _known(firm_case.own_payable(case, gpus)) > budget and rent is not None:
        own = None
    if rent is None and own is None:
        return None
    return "rent" if _known(rent) <= _known(own) else "own"


def dollars(case: Case, gpus: int, chosen: Way | None) -> float | None:
    """Return dollars of the training in one way: the rent, or the share of the purchase with electricity."""
    taken = firm_case.training(case, gpus)
    return {"rent": taken.rent_dollars, "own": taken.own_dollars, None: None}[chosen]


def _cost(case: Case, gpus: int) -> float:
    taken = firm_case.training(case, gpus)
    known = [each for each in (taken.rent_dollars, taken.own_dollars) if each is not None]
    return min(known) if known else _known(taken.device_hours)


def _known(value: float | None) -> float:
    return math.inf if value is None else value
