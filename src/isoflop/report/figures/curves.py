"""The curves that a chart shows of a fit: which of them at first, and how far ahead they were tested.

The main curve is the law that the page's sentence names, the same in every chart. Its bands cover what was
measured; beyond the largest run they are those of the forecast, where one was made.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Band, FitReport, LawFit
from isoflop.report.figures import style
from isoflop.report.text import lead, trust
from isoflop.report.text.numerals import compact

Array = npt.NDArray[np.float64]

THIN = ("power_law_ols", "exponential")
"""The paper's laws, always drawn; the others are to be switched on in the interactive chart."""
LEAST_ZONE = 1.2
"""A region of x that spans less than this factor is not shaded."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        key: name of the law, or style.FORECAST.
        name, colour: for readers.
        band: the curve, with the bands of its mean and of a new run.
        main: whether it is that of the page's sentence.
        shown: whether it is drawn at first.
        ahead: whether it is the forecast, which is drawn beyond the largest run alone.
    """

    key: str
    name: str
    colour: str
    band: Band
    main: bool
    shown: bool
    ahead: bool = False


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
        """The curve of the law that the page's sentence names."""
        return self.lines[0]

    @property
    def forecast(self) -> Line | None:
        """The forecast, where one was made."""
        return next((line for line in self.lines if line.ahead), None)

    def drawn(self, line: Line) -> Band:
        """Return the stretch of x over which a curve is drawn."""
        return cut(line.band, low=self.x_max) if line.ahead else line.band

    def banded(self, line: Line) -> Band | None:
        """Return the stretch over which the bands of a curve are drawn, None where it has none."""
        if line.ahead:
            return cut(line.band, low=self.x_max)
        if not line.main:
            return None
        return line.band if self.forecast is None else cut(line.band, high=self.x_max)

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


def main_fit(report: FitReport, law: str | None = None) -> LawFit | None:
    """Return the fit of the main curve: of `law` if it was fitted, else of the law that leads the report."""
    names = (law, lead.main_law(report))
    return next((fit for name in names for fit in report.fits if fit.law == name), None)


def curves(report: FitReport | None, law: str | None = None) -> Curves | None:
    """Return what to draw of `report`, or None where it holds no curve.

    Args:
        report: the fit of the axes that are drawn.
        law: of the main curve, where another report leads the page.
    """
    best = None if report is None else main_fit(report, law)
    if report is None or best is None:
        return None
    lines = [_line(fit, main=fit is best) for fit in sorted(report.fits, key=lambda fit: fit is not best)]
    ahead = report.forecast
    if ahead is not None:
        key = style.FORECAST
        line = Line(key, style.law_name(key), style.law_colour(key), ahead.band, False, True, ahead=True)
        lines.insert(1, line)
    tested = max(1.0, _tested_ratio(report, best) or 1.0)
    end = max((ahead.band if ahead is not None else best.band).x)
    return Curves(tuple(lines), report.x_max, min(report.x_max * tested, end), end, report.percent)


def _tested_ratio(report: FitReport, best: LawFit) -> float | None:
    """Return how far ahead rolling extrapolation reached: of the forecast, or about that of the main law."""
    if report.forecast is not None:
        return trust.tested_ratio(report)
    return max((h.ratio for h in best.horizons if h.predictions), default=None)


def _line(fit: LawFit, *, main: bool) -> Line:
    name, colour = style.law_name(fit.law), style.law_colour(fit.law)
    return Line(fit.law, name, colour, fit.band, main, main or fit.law in THIN)


def cut(band: Band, low: float = 0.0, high: float = np.inf) -> Band:
    """Return the part of a band from `low` to `high`, with a point at the end that lies inside it."""
    x = np.asarray(band.x)
    ends = [end for end in (low, high) if x[0] < end < x[-1]]
    at_x = np.unique(np.concatenate([x[(x >= low) & (x <= high)], ends]))
    sides = (band.y, band.low, band.high, band.new_low, band.new_high)
    log_x, grid = np.log(at_x), np.log(x)
    parts = (np.exp(np.interp(log_x, grid, np.log(np.maximum(side, 1e-12)))) for side in sides)
    return Band(tuple(at_x.tolist()), *(tuple(part.tolist()) for part in parts))


def at(band: Band, x: Array) -> Array:
    """Return the curve at x (n,), interpolated on logarithmic axes; held at its ends outside."""
    return np.asarray(np.exp(np.interp(np.log(x), np.log(band.x), np.log(band.y))))


def visible(fit_curves: Curves, y: Array) -> Array:
    """Return values that the y axis must reach: the curves, and the mean's band beyond the largest run.

    The band counts within a factor of three of the points' y (n,): one that is wider is cut by the frame.
    """
    low, high = float(y.min()) / 3, float(y.max()) * 3
    parts = [np.asarray(fit_curves.drawn(line).y) for line in fit_curves.lines if line.shown]
    beyond = cut((fit_curves.forecast or fit_curves.main).band, low=fit_curves.x_max)
    parts += [np.asarray(side) for side in (beyond.low, beyond.high)]
    return np.asarray(np.clip(np.concatenate(parts), low, high))
