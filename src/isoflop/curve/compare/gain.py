"""The compute-equivalent gain: how much more compute the baseline needs for what the other arm reaches.

It depends on scale wherever exponents or irreducible errors differ (Gundlach et al. 2025, arXiv 2511.21622),
so it is given at several y, each with what both arms need for it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, leverage
from isoflop.curve.compare.interval import Spread
from isoflop.curve.compare.result import Gain, GainAt
from isoflop.curve.observations import Observations
from isoflop.curve.result import Interval

Array = npt.NDArray[np.float64]

ROWS, POINTS = 5, 60
LEAST_OVERLAP = 1e-3
"""Least range of ln y that both curves cover."""


@dataclasses.dataclass(frozen=True)
class Curves:
    """One arm's curve y = E + F (x / x_max)^-b and its resamples, (1 + r,) each, the sample's first.

    Attributes:
        name: of the arm.
        floor: E.
        log_falling: ln F.
        exponent: b.
        observed: the points that it was fitted to.
        unit: the unit (n,) of each.
        parameters: number of parameters of the law.
    """

    name: str
    floor: Array
    log_falling: Array
    exponent: Array
    observed: Observations
    unit: npt.NDArray[np.intp]
    parameters: int

    @property
    def log_x_max(self) -> float:
        """ln of the largest x."""
        return float(np.log(self.observed.x.max()))

    def y(self, x: Array) -> Array:
        """Return y (1 + r, m) at x (m,)."""
        z = np.log(x) - self.log_x_max
        return self.floor[:, None] + np.exp(self.log_falling[:, None] - self.exponent[:, None] * z)

    def log_x(self, y: Array) -> Array:
        """Return ln x (1 + r, m) at which the curve is y (m,): inf where it never falls so far."""
        over = y - self.floor[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (self.log_falling[:, None] - np.log(np.maximum(over, 0.0))) / self.exponent[:, None]
        falls = self.exponent[:, None] > 0
        return np.where(falls & (over > 0), self.log_x_max + z, np.where(falls, np.inf, np.nan))

    def range(self) -> tuple[float, float]:
        """Return the least and the largest y of the sample's curve over its runs."""
        ends = self.y(np.array([self.observed.x.max(), self.observed.x.min()]))[0]
        return float(ends[0]), float(ends[1])

    def wider(self, log_x: Array) -> Array:
        """Return the factor (m,) by which a curve's interval at ln x is wider than that of its parameters."""
        z = np.clip(log_x - self.log_x_max, -self.observed.v.max(), 0.0)
        units = len(np.unique(self.unit))
        factor = leverage.stretch(self.observed.v, self.unit, z, self.parameters)
        return factor / bootstrap.stretch(units, self.parameters)


def gain(baseline: Curves, other: Curves, spread: Spread) -> tuple[Gain | None, str | None]:
    """Return the gain over the y that the arms reach, or None with the reason why it is unknown.

    Rows and curve go from the largest to the least y of either arm, with those marked that lie beyond the
    runs of one of them; where no y lies within both, there is no gain.
    """
    (low, high), (low_other, high_other) = baseline.range(), other.range()
    for each, (least, most) in ((baseline, (low, high)), (other, (low_other, high_other))):
        if math.log(most / least) < LEAST_OVERLAP:
            return None, f"the curve of {each.name} does not fall: no compute reaches another y"
    inner = max(low, low_other), min(high, high_other)
    if inner[0] * math.exp(LEAST_OVERLAP) >= inner[1]:
        return None, (
            f"no y lies within both: {baseline.name} goes from {high:.4g} down to {low:.4g}, {other.name} "
            f"from {high_other:.4g} to {low_other:.4g}. Train larger runs of one, or smaller of the other"
        )
    outer = min(low, low_other), max(high, high_other)
    rows = [*np.geomspace(inner[1], inner[0], ROWS)]
    rows += [y for y in outer if not inner[0] * (1 - 1e-9) <= y <= inner[1] * (1 + 1e-9)]
    curve = np.unique(np.concatenate([np.geomspace(*outer, POINTS), inner]))
    made = (_at(baseline, other, np.sort(np.array(ys))[::-1], inner, spread) for ys in (rows, curve))
    return Gain(*made), None


def _at(
    baseline: Curves, other: Curves, y: Array, inner: tuple[float, float], spread: Spread
) -> tuple[GainAt, ...]:
    """Return the gain at each y (m,).

    Args:
        baseline, other: the curves.
        y: where.
        inner: the range of y within both arms' runs.
        spread: how an interval follows from resamples.
    """
    first, second = baseline.log_x(y), other.log_x(y)
    with np.errstate(invalid="ignore"):
        log_gain = first - second  # inf - inf, where neither reaches y, is no number
    wider = np.maximum(baseline.wider(first[0]), other.wider(second[0]))
    found = []
    for j, at in enumerate(y):
        value = float(log_gain[0, j])
        bounds = Interval(None, None)
        if math.isfinite(value):
            logs = spread.interval(log_gain[1:, j], value, float(wider[j]))
            bounds = Interval(_exp(logs.low), _exp(logs.high))
        found.append(
            GainAt(
                y=float(at),
                x_baseline=_exp(float(first[0, j])),
                x_other=_exp(float(second[0, j])),
                gain=_exp(value),
                interval=bounds,
                inside=bool(inner[0] * (1 - 1e-9) <= at <= inner[1] * (1 + 1e-9)),
            )
        )
    return tuple(found)


def _exp(value: float | None) -> float | None:
    """Return e^value; None where it is unknown, infinite or beyond all numbers."""
    return math.exp(value) if value is not None and abs(value) < 600 else None
