"""Fits whose bands reach far enough for costs, and the same as they are shown and saved."""

from __future__ import annotations

import dataclasses

from isoflop.curve.forecast.holdout import MARGIN
from isoflop.curve.predict import BAND_BEYOND
from isoflop.curve.result import Band, FitFile, FitReport

ROUNDING = 1e-9
"""The last x of a band may lie so much beyond the end that was asked for, as a share of it."""


def near(fits: FitFile) -> FitFile:
    """Return fits with bands that end where those of a fit with the default method do.

    Up to there the numbers are the same to the last digit, however far a band goes on (curve/predict.py):
    so one fit serves the page's figures, fit.json and the forecast of costs.
    """
    return dataclasses.replace(fits, reports=tuple(map(_near, fits.reports)))


def _near(report: FitReport) -> FitReport:
    end = BAND_BEYOND * report.x_max
    if report.held_out is not None:  # its runs are drawn too, as far as they lie ahead
        end = max([end, *(MARGIN * row.x for row in report.held_out.rows)])
    ahead = report.forecast
    return dataclasses.replace(
        report,
        fits=tuple(dataclasses.replace(fit, band=_cut(fit.band, end)) for fit in report.fits),
        forecast=None if ahead is None else dataclasses.replace(ahead, band=_cut(ahead.band, end)),
    )


def _cut(band: Band, end: float) -> Band:
    """Return a band up to its first x that is no less than `end`; whole where it ends before."""
    count = sum(x < end * (1 - ROUNDING) for x in band.x) + 1
    return Band(*(getattr(band, field.name)[:count] for field in dataclasses.fields(Band)))
