"""The rules by which a claim is judged from an interval; the thresholds are argued in docs/paper.md.

A claim agrees with what was found only where the whole interval lies on the claim's side and is narrow enough
to speak of it. It disagrees where the whole interval lies beyond the claim, however wide. Everything between
is compatible but not decisive: a tie, or an interval that would agree with nearly anything.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from isoflop.curve.estimate import Interval
from isoflop.curve.judge.answer import ANSWERS, Answer, Ruling

WIDEST_EXPONENT = 2.0
"""An interval of an exponent must be narrower than this factor from end to end: the paper's own of ImageNet,
7.0 to 13.9, is just that narrow, and what is wider says less than the claim that it judges."""
WIDEST_AMOUNT = 10.0
"""The same for amounts and their growth: the paper prints whole powers of ten."""
WIDEST_GAP = math.log(2.0)
"""The same for a difference of errors of prediction in ln y: a factor of 2 in y."""
ABOUT = math.sqrt(WIDEST_EXPONENT)
"""A figure that is given without an interval is read as known to this factor either way, as well as the
paper knows its exponent."""


@dataclasses.dataclass(frozen=True)
class Width:
    """The widest interval that may agree: a factor from low to high end, or a difference of the two."""

    of: Literal["factor", "difference"]
    widest: float

    def size(self, found: Interval) -> float:
        """Return how wide an interval is; infinite where an end is unbounded, or a factor reaches 0."""
        if found.low is None or found.high is None:
            return math.inf
        if self.of == "difference":
            return found.high - found.low
        return found.high / found.low if found.low > 0 else math.inf

    def admits(self, found: Interval) -> bool:
        """Return whether the interval is narrower than the widest."""
        return self.size(found) < self.widest

    def said(self, found: Interval) -> str:
        """Return how wide the interval is, beside what it may be."""
        size = self.size(found)
        unit = "a factor of " if self.of == "factor" else ""
        wide = "without bound" if math.isinf(size) else f"{unit}{size:.3g} wide"
        return f"its interval is {wide}, where less than {unit}{self.widest:.3g} decides"


EXPONENT = Width("factor", WIDEST_EXPONENT)
AMOUNT = Width("factor", WIDEST_AMOUNT)
LOG10_AMOUNT = Width("difference", math.log10(WIDEST_AMOUNT))
LOG_ERROR = Width("difference", WIDEST_GAP)


def about(value: float) -> Interval:
    """Return the interval that a figure given without one stands for."""
    return Interval(value / ABOUT, value * ABOUT)


def of_range(found: Interval, claimed: Interval, width: Width) -> Ruling:
    """Judge a claim that gives a value with a range, `claimed`, both of whose ends are known.

    Args:
        found: the 95% interval of what was found; an unbounded end is None.
        claimed: the range.
        width: the widest interval that may agree.
    """
    assert claimed.low is not None
    assert claimed.high is not None
    if found.low is None and found.high is None:
        return Ruling("cannot be told", "no interval could be given")
    low, high = _ends(found)
    if high < claimed.low or low > claimed.high:
        side = "below" if high < claimed.low else "above"
        return Ruling("disagrees", f"the whole interval lies {side} what is claimed")
    if not (claimed.low <= low and high <= claimed.high):
        return Ruling("compatible but not decisive", "the interval reaches beyond what is claimed")
    return _if_narrow(found, width, "the whole interval lies within what is claimed")


def of_bound(found: Interval, bound: float, side: Literal["at most", "at least"], width: Width) -> Ruling:
    """Judge a claim that something is at most, or at least, `bound`; the bound itself is within the claim.

    Args:
        found: the 95% interval of what was found; an unbounded end is None.
        bound: what is claimed.
        side: on which the claim holds.
        width: the widest interval that may agree.
    """
    if found.low is None and found.high is None:
        return Ruling("cannot be told", "no interval could be given")
    low, high = _ends(found)
    below = side == "at most"
    if low > bound if below else high < bound:
        return Ruling("disagrees", f"the whole interval lies {'above' if below else 'below'} {bound:.3g}")
    if high > bound if below else low < bound:
        return Ruling("compatible but not decisive", f"the interval includes {bound:.3g}")
    return _if_narrow(found, width, f"the whole interval is {side} {bound:.3g}")


def together(*rulings: Ruling) -> Ruling:
    """Return the ruling on a claim of several parts: it agrees only where all do, and fails with any."""
    order: tuple[Answer, ...] = ("disagrees", "cannot be told", "compatible but not decisive", "agrees")
    assert set(order) == set(ANSWERS)
    worst = min(rulings, key=lambda each: order.index(each.answer))
    return Ruling(worst.answer, worst.why)


def _ends(found: Interval) -> tuple[float, float]:
    low = -math.inf if found.low is None else found.low
    return low, math.inf if found.high is None else found.high


def _if_narrow(found: Interval, width: Width, why: str) -> Ruling:
    if width.admits(found):
        return Ruling("agrees", why)
    return Ruling("compatible but not decisive", f"{why}, but {width.said(found)}")
