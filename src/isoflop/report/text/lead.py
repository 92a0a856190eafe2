"""Which law describes the points: one answer for the verdict's sentence, its figures, the main curve of every
chart and the first lines of the terminal, so that none of them can name another."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pandas as pd

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.result import FitReport
from isoflop.report.text import costs, measured, misfit

Kind = Literal["unfitted", "flat", "short", "undertrained", "floor", "bends", "power", "joint"]
FLOORED = "power_law_floor"
PLAIN = ("power_law_ols", "power_law")
"""The power laws without an irreducible error, the paper's own fit first."""


@dataclasses.dataclass(frozen=True)
class Lead:
    """What kind of curve the points show, and the law that describes it.

    Attributes:
        kind: unfitted (no fit), flat (no fall is established), short (too little was measured), undertrained
            (it bends, but only through undertrained shapes), floor (it bends towards an irreducible error),
            bends (the power law is rejected), power (one power law describes it), joint (a joint law of size
            and data, read at the best size of each budget).
        law: its name; None where no law of one resource describes the points.
    """

    kind: Kind
    law: str | None = None


def lead(report: FitReport | None, seeds: pd.Series[int], support: FloorSupport | None = None) -> Lead:
    """Return what a fit shows.

    Args:
        report: the fit of the main axes, if any.
        seeds: number of seeds of each configuration.
        support: what it says without undertrained shapes, where there are any among its points.
    """
    if report is None:
        return Lead("unfitted")
    if measured.no_fall(report) is not None:
        return Lead("flat")
    if measured.gaps(report, seeds):
        return Lead("short")
    return of_points(report, support)


def of_points(report: FitReport, support: FloorSupport | None = None) -> Lead:
    """Return which law describes the points, however few they are: the part of `lead` that needs no rows."""
    if costs.floor(report) is not None and costs.floor_identified(report):
        only = report.floor_by_undertrained or (support is not None and support.only_by_undertrained)
        return Lead("undertrained") if only else Lead("floor", FLOORED)
    plain = next((name for name in PLAIN if costs.law(report, name) is not None), None)
    if plain is None or misfit.rejected(costs.law(report, plain)):
        return Lead("bends")
    return Lead("power", plain)


def main_law(report: FitReport | None) -> str | None:
    """Return the law that every chart draws as its main curve; where none describes the points, one that
    bends. None where nothing was fitted."""
    if report is None or not report.fits:
        return None
    law = of_points(report).law or FLOORED
    return law if costs.law(report, law) is not None else report.fits[0].law
