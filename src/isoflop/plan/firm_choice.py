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
    if limits.deadline is not None:
        return min(within, key=lambda gpus: (_cost(case, gpus), gpus))
    return min(within, key=lambda gpus: (_known(firm_case.days(case, gpus)), gpus))


def nearest(case: Case, limits: Limits) -> int:
    """Return the GPUs whose worst excess over a limit is the least: those of which a no is told."""

    def worst(gpus: int) -> float:
        return max(map(_known, firm_case.shares(case, gpus, limits).values()), default=0.0)

    return min((gpus for gpus, _ in case.efficiencies), key=lambda gpus: (worst(gpus), gpus))


def way(case: Case, gpus: int) -> Way | None:
    """Return how to have the GPUs for this alone: rented, or bought where all of the purchase costs less."""
    rent, own = firm_case.rent_payable(case, gpus), firm_case.own_payable(case, gpus)
    if rent is None and own is None:
        return None
    return "rent" if _known(rent) <= _known(own) else "own"


def cheaper(case: Case, gpus: int) -> Way | None:
    """Return which costs less for this training where GPUs that are bought are used as much as assumed; None
    where one of both is unknown."""
    taken = firm_case.training(case, gpus)
    if taken.rent_dollars is None or taken.own_dollars is None:
        return None
    return "rent" if taken.rent_dollars <= taken.own_dollars else "own"


def dollars(case: Case, gpus: int, chosen: Way | None) -> float | None:
    """Return dollars to pay for the training in one way: rent, or all of the purchase and electricity."""
    taken = firm_case.training(case, gpus)
    if chosen != "own":
        return taken.rent_dollars if chosen == "rent" else None
    assert case.bought is not None
    return None if taken.power_dollars is None else taken.power_dollars + gpus * case.bought.dollars


def _cost(case: Case, gpus: int) -> float:
    paid = dollars(case, gpus, way(case, gpus))
    return _known(firm_case.training(case, gpus).device_hours) if paid is None else paid


def _known(value: float | None) -> float:
    return math.inf if value is None else value
