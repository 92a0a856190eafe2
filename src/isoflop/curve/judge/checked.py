"""What the checks say of the rows of a fit, worked out once: for fit.json, the first screen and the page."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.check import floor, front
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.judge import limit
from isoflop.curve.judge.answer import Judgement
from isoflop.curve.result import FitFile


@dataclasses.dataclass(frozen=True)
class Checked:
    """What the checks say of the rows of a fit.

    Attributes:
        report: every check of the rows, without what a sweep's folder keeps beside them.
        axes: x and y of the first report of the fits.
        supports: of each report, its floor without undertrained shapes.
        limit: the verdict of the first report on the paper's limit.
    """

    report: CheckReport
    axes: tuple[str, str]
    supports: tuple[FloorSupport | None, ...]
    limit: Judgement | None


def of_fits(rows: pd.DataFrame, fits: FitFile) -> Checked:
    """Return what the checks say of `rows` (one a run, with the columns of a sweep) and of their fits."""
    report, first = front.check(rows), fits.reports[0]
    supports = tuple(floor.support(rows, each, report) for each in fits.reports)
    return Checked(report, (first.x, first.y), supports, limit.of_report(rows, first, report))
