"""Which law leads: one choice for the first line of the terminal and the headline of the page."""

from __future__ import annotations

from isoflop.curve.check import floor
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.judge.answer import Headline
from isoflop.curve.result import FitReport, LawFit

FLOOR = "power_law_floor"
PLAIN = ("power_law_ols", "power_law")
"""The plain power laws: the paper's least squares leads where it was fitted."""


def headline(report: FitReport, support: FloorSupport | None = None) -> Headline:
    """Return the law that leads a fit.

    An irreducible error leads where it is identified (check/floor.py) and stands without undertrained shapes;
    else the plain power law, whose exponent is not quoted for the whole curve where the points reject it.

    Args:
        report: the fit.
        support: what it says without undertrained shapes, where any are among its points.
    """
    by_law = {each.law: each for each in report.fits}
    only_by_undertrained = support is not None and support.only_by_undertrained
    if FLOOR in by_law and floor.identified(report) and (support is None or support.stands):
        return Headline(FLOOR, "floor", only_by_undertrained)
    plain = next((by_law[name] for name in PLAIN if name in by_law), None)
    if plain is None:
        return Headline(None, "none", only_by_undertrained)
    return Headline(plain.law, "bends" if _rejected(plain) else "plain", only_by_undertrained)


def _rejected(law: LawFit) -> bool:
    return law.lack_of_fit is not None and law.lack_of_fit.rejected
