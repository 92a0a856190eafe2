"""What a change moved: one rule over the tests, and sentences that say it with what could have been seen."""

from __future__ import annotations

import math

from isoflop.curve.compare.result import Contrast, Difference, Moved, NullTest
from isoflop.curve.result import Interval

SAME, NO_FACTOR, FACTOR, EXPONENT, FLOOR = range(5)
"""Order of a contrast's tests; the last two are made under a law with a floor."""
JUDGED = (NO_FACTOR, FACTOR)
"""The tests that say what moved, whose p is adjusted for their number."""


def moved(of: Contrast, at: float) -> Moved:
    """Return what a change moved, by tests at the share `at` of false alarms.

    If the curves are not the same up to a factor of compute, it is the parameter without which they do not
    fit; under a power law without a floor that is the exponent. Else it is the factor, if there is one.
    """
    if not _rejected(of.tests[FACTOR], at):
        return "factor" if _rejected(of.tests[NO_FACTOR], at) else "cannot be told"
    if len(of.tests) <= EXPONENT:
        return "exponent"
    exponent, floor = _rejected(of.tests[EXPONENT], at), _rejected(of.tests[FLOOR], at)
    if exponent and floor:
        return "exponent and irreducible error"
    if exponent or floor:
        return "exponent" if exponent else "irreducible error"
    return "shape"


def _rejected(test: NullTest, at: float) -> bool:
    p = test.p if test.p_holm is None else test.p_holm
    return p is not None and p <= at


def sentences(of: Contrast, level: float) -> tuple[str, ...]:
    """Return the verdict: what moved, by how much, and what could have been seen."""
    share = f"{100 * level:.3g}%"
    return (
        _moved(of, 1 - level),
        _factor(of, share),
        _exponent(of, share),
        *_floor(of, share),
        *_pairs(of, share),
    )


def _moved(of: Contrast, at: float) -> str:
    no_factor, factor = (_p(of.tests[k]) for k in JUDGED)
    if of.moved == "cannot be told":
        return _not_told(of, at)
    if of.moved == "factor":
        return (
            f"{of.other} moves the curve by a factor of compute ({no_factor} for none); that the factor "
            f"depends on scale cannot be told ({factor})."
        )
    start = f"What {of.other} is worth depends on scale ({factor} for one factor of compute)"
    return {
        "exponent": f"{start}: the exponent b moves.",
        "irreducible error": f"{start}: the irreducible error E moves.",
        "exponent and irreducible error": f"{start}: exponent b and irreducible error E both move.",
        "shape": f"{start}; whether b or E moves cannot be told.",
    }[of.moved]


def _not_told(of: Contrast, at: float) -> str:
    same, names = of.tests[SAME], f"{of.other} and {of.baseline}"
    if same.p is None:
        return f"{names} cannot be told apart: {same.reason}."
    if same.p <= at:
        return f"{names} are not one curve ({_p(same)}), but what moves cannot be told."
    return f"{names} cannot be told apart: one curve fits both ({_p(same)})."


def _p(test: NullTest) -> str:
    if test.p is None:
        return "not tested"
    p = test.p if test.p_holm is None else test.p_holm
    return f"p = {p:.2g}"


def headline(of: Contrast, quantity: str) -> Difference:
    """Return the difference of a quantity that the law of the verdict stands for."""
    own = [each for each in of.differences if each.quantity == quantity]
    return own[0] if quantity == "b" and of.law == "power_law" else own[-1]


def _factor(of: Contrast, share: str) -> str:
    factor = headline(of, "ln factor")
    low, high = (
        None if end is None else math.exp(end) for end in (factor.interval.low, factor.interval.high)
    )
    seen = "" if factor.smallest_seen is None else f"; {_grown(factor.smallest_seen)} would have been seen"
    start = (
        "For equal" if of.moved in ("factor", "cannot be told") else "As one factor for all scales, for equal"
    )
    return (
        f"{start} y {of.baseline} needs {_short(math.exp(factor.value))} times the compute of "
        f"{of.other} ({share} {bounds(Interval(low, high))}{seen})."
    )


def _grown(log_factor: float) -> str:
    return f"a factor of {_short(math.exp(min(log_factor, 600.0)))}"


def _exponent(of: Contrast, share: str) -> str:
    b = headline(of, "b")
    return f"Exponent b ({b.given}): {_change(b, share)}."


def _floor(of: Contrast, share: str) -> tuple[str, ...]:
    if of.law == "power_law":
        return ()
    floor = headline(of, "E")
    return (f"Irreducible error E ({floor.given}): {_change(floor, share)}.",)


def _pairs(of: Contrast, share: str) -> tuple[str, ...]:
    """Return what paired configurations say without a law, if there are any."""
    pairs = next((each for each in of.differences if each.quantity == "ln y"), None)
    if pairs is None:
        return ()
    ends = [pairs.interval.low, pairs.value, pairs.interval.high]
    low, value, high = (100 * math.expm1(end) for end in ends if end is not None)
    p = "" if pairs.p is None else f", p = {pairs.p:.2g}"
    bounds_of = f"{share} {low:+.2g}% to {high:+.2g}%{p}"
    return (f"Without a law, over {pairs.given}: y differs by {value:+.2g}% ({bounds_of}).",)


def _change(of: Difference, share: str) -> str:
    seen = (
        "no change could have been seen"
        if of.smallest_seen is None
        else f"a change of {_short(of.smallest_seen)} would have been seen"
    )
    return f"{of.value:+.3g} ({share} {bounds(of.interval)}); {seen}"


def bounds(of: Interval) -> str:
    """Return `0.1 to 0.3`, or what is known of an interval."""
    if of.low is None and of.high is None:
        return "unbounded"
    if of.low is None or of.high is None:
        return f"below {_short(of.high)}" if of.low is None else f"above {_short(of.low)}"
    return f"{_short(of.low)} to {_short(of.high)}"


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"
