"""Does a lever leave the exponent as it is? Judged from the difference of exponents with its interval.

The claim is that what makes training cheaper is worth one factor of compute at every scale. No lever shows it
by a difference that merely was not seen: the smallest that would have been seen must be small too.
"""

from __future__ import annotations

from collections.abc import Sequence

from isoflop.curve.judge import rules
from isoflop.curve.judge.answer import Ruling
from isoflop.curve.levers.result import LeverRow

WIDEST_UNSEEN = 0.05
"""Largest change of b that may go unseen where a lever is said to leave b as it is: b of errors lies between
0.1 and 0.6, so that this is a tenth to a half of it."""
_MOVES_B = ("exponent", "exponent and irreducible error")


def of_levers(levers: Sequence[LeverRow]) -> Ruling:
    """Judge all levers together (rules.together); one that cannot be told leaves the claim open."""
    if not levers:
        return Ruling("cannot be told", "no lever was compared with a baseline")
    return rules.together(*(of_lever(each) for each in levers))


def of_lever(row: LeverRow) -> Ruling:
    """Judge one lever over its own training compute.

    It disagrees where the test says that b moves and the interval leaves out 0; it cannot be told where a
    change of WIDEST_UNSEEN would not have been seen; it agrees where the whole interval lies within that.
    """
    if row.own is None:
        return Ruling("cannot be told", f"{row.name}: {row.reason}")
    b = row.own.b
    low, high = b.interval.low, b.interval.high
    if row.own.moved in _MOVES_B and low is not None and high is not None and not low <= 0 <= high:
        return Ruling("disagrees", f"{row.name} changes b by {b.value:+.3g} ({low:.3g} to {high:.3g})")
    if b.smallest_seen is None or b.smallest_seen > WIDEST_UNSEEN:
        size = "any change of b" if b.smallest_seen is None else f"a change of b below {b.smallest_seen:.2g}"
        return Ruling("cannot be told", f"{row.name}: {size} would not have been seen")
    if row.own.moved == "shape":
        why = "its gain depends on scale, and whether b or E moves cannot be told"
        return Ruling("compatible but not decisive", f"{row.name}: {why}")
    if low is not None and high is not None and low >= -WIDEST_UNSEEN and high <= WIDEST_UNSEEN:
        return Ruling("agrees", f"changes of b lie within {WIDEST_UNSEEN:g} of 0")
    return Ruling(
        "compatible but not decisive", f"{row.name}: its change of b may be above {WIDEST_UNSEEN:g}"
    )
