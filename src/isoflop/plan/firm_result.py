"""The answer to who has no data centre: frozen dataclasses of plain numbers, for JSON, text and pages."""

from __future__ import annotations

import dataclasses
from typing import Literal

from isoflop.plan.amount import Amount
from isoflop.plan.efficiency import Efficiency
from isoflop.plan.firm_case import Case

Verdict = Literal["yes", "no"]
Way = Literal["rent", "own"]


@dataclasses.dataclass(frozen=True)
class OnGpus:
    """What the training takes on a number of GPUs, and what the limits buy there.

    Attributes:
        gpus: N.
        efficiency: speed-up over N.
        days: from the start to the end.
        device_hours: of all GPUs added up.
        energy_joules: of the GPUs, before PUE.
        kilograms_co2, rent_dollars: by the chosen prices.
        own_dollars: a bought GPU's share for these hours, with electricity.
        purchase_dollars: of all N GPUs; None without a purchase price.
        paid_dollars: to pay for the training in the way that is cheaper for it alone.
        way: that way; None without prices.
        is_within: whether all limits are kept; None where the target is not reached.
        missed: texts of the limits that are exceeded.
        bought_gflops, bought_y: the largest training that keeps the limits, and the y of the law there.
    """

    gpus: int
    efficiency: Efficiency
    days: Amount
    device_hours: Amount
    energy_joules: Amount
    kilograms_co2: Amount
    rent_dollars: Amount
    own_dollars: Amount
    purchase_dollars: float | None
    paid_dollars: Amount
    way: Way | None
    is_within: bool | None
    missed: tuple[str, ...]
    bought_gflops: Amount
    bought_y: Amount


@dataclasses.dataclass(frozen=True)
class Year:
    """What a year of answers takes: the time that one GPU computes them, and what that costs.

    Attributes:
        device_hours, energy_joules, kilograms_co2, rent_dollars, own_dollars: as of OnGpus.
        kept_rent_dollars: rent of one GPU that is kept the whole year, busy or not.
    """

    device_hours: Amount
    energy_joules: Amount
    kilograms_co2: Amount
    rent_dollars: Amount
    own_dollars: Amount
    kept_rent_dollars: float | None


@dataclasses.dataclass(frozen=True)
class End:
    """The answer with one assumption at one end of its range.

    Attributes:
        label: the end, such as `2.27 dollars an hour`.
        verdict: the answer there.
        days, dollars: on the GPUs and in the way of the answer; None where unknown or not reached.
        cheaper: of an hour rented and an hour bought, at the assumed use; None where one is unknown.
    """

    label: str
    verdict: Verdict
    days: float | None
    dollars: float | None
    cheaper: Way | None


@dataclasses.dataclass(frozen=True)
class Assumption:
    """What the answer does when one assumption takes the ends of its plausible range.

    Attributes:
        name: of the assumption.
        basis: where the range is from.
        low, high: the ends.
        turns: whether an end turns the answer.
        turns_way: whether it turns which is cheaper, rented or bought.
        factor: by which the dollars, else the days, of the ends differ; None where an end has none.
    """

    name: str
    basis: str
    low: End
    high: End
    turns: bool
    turns_way: bool
    factor: float | None


@dataclasses.dataclass(frozen=True)
class FirmAnswer:
    """Is a target reachable without a data centre, by when, on how many GPUs, rented or bought.

    Attributes:
        target: the y.
        law: by which; `forecast` is the average of the laws.
        verdict: the answer, of the values.
        reason: why it is no; None where it is yes.
        is_sure: whether the end of all intervals together that speaks against the answer gives it too.
        gpus: N of the answer: with a deadline the cheapest that keeps it, else the fastest within the budget;
            of a no, the one that comes nearest. None where the target is not reached on any.
        way: of that row; None without prices.
        limits: budgets and the deadline, as given.
        rows: each number of GPUs.
        year: of answers; None where no queries were named, or the target is not reached.
        break_even_hours: a year of use of each GPU past which buying costs less than renting.
        assumptions: those that turn the answer first, then by how much they move the cost.
        case, low, high: the plain numbers of which all this is made (firm_case), of the values and of both
            ends; None where the target is not reached.
        notes: what is left out, and how efficiency was formed.
    """

    target: float
    law: str
    verdict: Verdict
    reason: str | None
    is_sure: bool
    gpus: int | None
    way: Way | None
    limits: tuple[str, ...]
    rows: tuple[OnGpus, ...]
    year: Year | None
    break_even_hours: Amount
    assumptions: tuple[Assumption, ...]
    case: Case | None
    low: Case | None
    high: Case | None
    notes: tuple[str, ...]
