"""The curves that a chart shows of a fit: which of them at first, and how far ahead they were tested."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Band, FitReport, LawFit
from isoflop.report.figures import style
from isoflop.report.text.numerals import compact

Array = npt.NDArray[np.float64]

THIN = ("power_law_ols", "exponential")
"""The paper's laws, always drawn; the others are to be switched on in the interactive chart."""
LEAST_ZONE = 1.2
"""A region of x that spans less than this factor is not shaded."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve. `main` is the one with the bands; `shown` says whether it is drawn at first."""

    key: str
    name: str
    colour: str
    band: Band
    main: bool
    shown: bool


@dataclasses.dataclass(frozen=True)
class Zone:
    """A stretch of x beyond the largest run. `tested`: rolling extrapolation reached as far ahead."""

    low: float
    high: float
    tested: bool


@dataclasses.dataclass(frozen=True)
class Curves:
    """The curves of one fit, the main one first; they run from the least x to `end`.

    Beyond `x_max` all is extrapolated; beyond `tested_x` (x_max where nothing was tested) it is untested.
    `percent` is the level of their bands.
    """

    lines: tuple[Line, ...]
    x_max: float
    tested_x: float
    end: float
    percent: str = "95%"

    @property
    def main(self) -> Line:
        """The curve that the page's numbers refer to."""
        return self.lines[0]

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The shaded regions beyond the largest run."""
        turn = min(self.tested_x, self.end)
        zones = (Zone(self.x_max, turn, True), Zone(turn, self.end, False))
        return tuple(z for z in zones if z.high > z.low * LEAST_ZONE)

    @property
    def marks(self) -> tuple[tuple[float, str], ...]:
        """(x, text) of the vertical lines: the largest run, and how far ahead forecasts were tested."""
        if self.end <= self.x_max * LEAST_ZONE:
            return ()
        ratio = self.tested_x / self.x_max
        if ratio <= LEAST_ZONE:
            return ((self.x_max, "largest run; untested beyond"),)
        if self.tested_x > self.end / LEAST_ZONE:
            return ((self.x_max, f"largest run; tested to ×{compact(ratio, 3)}"),)
        return ((self.x_max, "largest run"), (self.tested_x, f"×{compact(ratio, 3)}: untested beyond"))


def main_fit(report: FitReport) -> LawFit | None:
    """Return the law to show where there is no forecast: the one with a floor if fitted, else the first."""
    return next(
        (f for f in report.fits if f.law == "power_law_floor"), report.fits[0] if report.fits else None
    )


def curves(report: FitReport | None) -> Curves | None:
    """Return what to draw of `report`, or None where it holds no curve."""
    if report is None or not report.fits:
        return None
    ahead, best = report.forecast, main_fit(report)
    lines = []
    if ahead is not None:
        lines.append(_line(style.FORECAST, ahead.band, main=True, shown=True))
    for fit in report.fits:
        main = ahead is None and fit is best
        lines.append(_line(fit.law, fit.band, main=main, shown=main or fit.law in THIN))
    lines.sort(key=lambda line: not line.main)
    tested = _tested_ratio(report) or 1.0
    return Curves(
        tuple(lines), report.x_max, report.x_max * max(1.0, tested), max(lines[0].band.x), report.percent
    )


def _tested_ratio(report: FitReport) -> float | None:
    """Return how far ahead rolling extrapolation reached: of the forecast, or about that of the main law."""
    if report.forecast is not None:
        return report.forecast.tested_ratio
    best = main_fit(report)
    return max((h.ratio for h in best.horizons if h.predictions), default=None) if best else None


def _line(key: str, band: Band, *, main: bool, shown: bool) -> Line:
    return Line(key, style.law_name(key), style.law_colour(key), band, main, shown)


def at(band: Band, x: Array) -> Array:
    """Return the curve at x (n,), interpolated on logarithmic axes; held at its ends outside."""
    return np.asarray(np.exp(np.interp(np.log(x), np.log(band.x), np.log(band.y))))


def visible(fit_curves: Curves, y: Array) -> Array:
    """Return values that the y axis must reach: the drawn curves, and the mean's band beyond the largest run.

    The band counts within a factor of three of the points' y (n,): one that is wider is cut by the frame.
    """
    low, high = float(y.min()) / 3, float(y.max()) * 3
    parts = [np.asarray(line.band.y) for line in fit_curves.lines if line.shown]
    beyond = np.asarray(fit_curves.main.band.x) >= fit_curves.x_max
    parts += [np.asarray(side)[beyond] for side in (fit_curves.main.band.low, fit_curves.main.band.high)]
    return np.asarray(np.clip(np.concatenate(parts), low, high))
