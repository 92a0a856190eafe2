"""How points lie about a law: independent noise, or noise about a curve that drifts away from the law.

The drift is the usual one of a damped local trend: the local exponent differs from the law's by an
Ornstein-Uhlenbeck process in ln x with standard deviation `size` and memory `MEMORY`, so that ln y has an
integrated one. Its likelihood is that of one normal distribution, and its path that of a Kalman filter and a
smoother (Rauch, Tung and Striebel 1965), for all particles at once. Points are ordered by rising x; state
(level, slope) of the drift.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MEMORY = 0.8
"""e-folds of x over which the local exponent returns to the law's."""
OUTLIERS = 0.03
"""Share of points whose noise is OUTLIER times as large, where nothing drifts."""
OUTLIER = 5.0


def independent(squares: Array) -> Array:
    """Return the log likelihood (p,) of n residuals, squared over their normal noise's variance, (p, n).

    A share of the points is contaminated (Tukey 1960), so that one wild run does not decide. Constants are
    left out, as they are the same for all members, and so is the variance's own part, -ln(variance) / 2. The
    array is used up.
    """
    squares *= -0.5
    wild = np.exp(squares / OUTLIER**2)
    wild *= OUTLIERS / OUTLIER
    np.exp(squares, out=squares)
    squares *= 1 - OUTLIERS
    squares += wild
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(squares, out=squares).sum(axis=1))


@dataclasses.dataclass(frozen=True)
class Step:
    """How the state moves over `ahead` (m,) of ln x; the last three are for a slope of unit variance.

    level += reach slope; slope *= keep. The innovations have variances `level`, `slope` and covariance
    `cross`.
    """

    keep: Array
    reach: Array
    level: Array
    slope: Array
    cross: Array


def step(ahead: Array) -> Step:
    """Return the transition of the state over `ahead` (m,), exactly (Gardiner 2009, 4.4.4)."""
    keep = np.exp(-ahead / MEMORY)
    reach = MEMORY * (1 - keep)
    level = 2 * MEMORY * (ahead - 2 * reach + MEMORY / 2 * (1 - keep**2))
    # For tiny steps the difference above is rounding; it is never below 0.
    return Step(keep, reach, np.maximum(level, 0.0), 1 - keep**2, MEMORY * (1 - keep) ** 2)


@dataclasses.dataclass(frozen=True)
class Modes:
    """The drift at n points as n independent modes, in units of the points' noise.

    With K the covariance of the drift for a slope of unit variance and D = diag(noise^2), residuals have the
    covariance unit^2 D + size^2 K = D^(1/2) Q (unit^2 + size^2 `power`) Q' D^(1/2) for every unit and size.

    Attributes:
        whitened: D^(-1/2) Q (n, n), which takes residuals (p, n) to modes (p, n).
        power: eigenvalues (n,) of D^(-1/2) K D^(-1/2).
        logs: sum of ln of the points' noise.
    """

    whitened: Array
    power: Array
    logs: float


def modes(log_x: Array, noise: Array) -> Modes:
    """Return the modes of points at log_x (n,), rising, whose noise is `noise` (n,) times one unit."""
    since = log_x - log_x[0]
    earlier = np.minimum(since[:, None], since)
    fade = np.exp(-since / MEMORY)
    # The double integral of exp(-|u - w| / MEMORY) over u and w, from the first point to either point.
    decays = fade[:, None] + fade - 1 - np.exp(-np.abs(since[:, None] - since) / MEMORY)
    covariance = MEMORY**2 * (2 * earlier / MEMORY + decays)
    power, vectors = np.linalg.eigh(covariance / np.outer(noise, noise))
    return Modes(vectors / noise[:, None], np.maximum(power, 0.0), float(np.log(noise).sum()))


def drifting(residual: Array, of: Modes, unit: Array, size: Array) -> Array:
    """Return the log likelihood (p,) of residuals about a law from which the curve drifts.

    A constant is left out, as in `independent`.

    Args:
        residual: ln y minus the law's (p, n), by rising x.
        of: the modes of the points.
        unit: standard deviation (p,) of ln y of a point whose noise is 1.
        size: standard deviation (p,) of the local exponent about the law's.
    """
    variance = np.multiply.outer(size**2, of.power)
    variance += np.square(unit)[:, None]
    squares = residual @ of.whitened
    squares *= squares
    squares /= variance
    squares += np.log(variance, out=variance)
    return np.asarray(-0.5 * squares.sum(axis=1) - of.logs)


@dataclasses.dataclass(frozen=True)
class Path:
    """Means and covariances (n, p) of level and slope: filtered, or smoothed."""

    level: Array
    slope: Array
    level_variance: Array
    cross: Array
    slope_variance: Array


def filtered(residual: Array, log_x: Array, variance: Array, size: Array) -> Path:
    """Return the states given the points up to each.

    Args:
        residual: ln y minus the law's (p, n), by rising x.
        log_x: ln x (n,).
        variance: of the noise (p, n).
        size: standard deviation (p,) of the local exponent about the law's.
    """
    moves = step(np.diff(log_x, prepend=log_x[0]))
    power = size**2
    # Each step takes one row: points come first.
    residual, variance = np.ascontiguousarray(residual.T), np.ascontiguousarray(variance.T)
    level, slope, cross, spread = (np.zeros_like(size) for _ in range(4))
    steep = power.copy()
    gain, turn, change, error, whole = (np.empty_like(size) for _ in range(5))
    states = []
    for i, (keeps, reach) in enumerate(zip(moves.keep.tolist(), moves.reach.tolist(), strict=True)):
        # Prediction. In place: arrays of particles are so short that a new one costs as much as its values.
        level += np.multiply(slope, reach, out=change)
        spread += np.multiply(cross, 2 * reach, out=change)
        spread += np.multiply(steep, reach**2, out=change)
        spread += np.multiply(power, moves.level[i], out=change)
        cross += np.multiply(steep, reach, out=change)
        cross *= keeps
        cross += np.multiply(power, moves.cross[i], out=change)
        steep *= keeps**2
        steep += np.multiply(power, moves.slope[i], out=change)
        slope *= keeps
        # Update by the point.
        np.add(spread, variance[i], out=whole)
        np.subtract(residual[i], level, out=error)
        np.divide(spread, whole, out=gain)
        np.divide(cross, whole, out=turn)
        level += np.multiply(gain, error, out=change)
        slope += np.multiply(turn, error, out=change)
        steep -= np.multiply(turn, cross, out=change)
        np.subtract(1.0, gain, out=gain)
        cross *= gain
        spread *= gain
        states.append([each.copy() for each in (level, slope, spread, cross, steep)])
    return Path(*(np.stack(each) for each in zip(*states, strict=True)))


def smoothed(path: Path, log_x: Array, size: Array) -> Path:
    """Return the states given all points, from the filtered ones (n, p)."""
    moves, power = step(np.diff(log_x, prepend=log_x[0])), size**2
    out = [(path.level[-1], path.slope[-1], path.level_variance[-1], path.cross[-1], path.slope_variance[-1])]
    for i in range(len(log_x) - 2, -1, -1):
        keeps, reach = moves.keep[i + 1], moves.reach[i + 1]
        a, b, c = path.level_variance[i], path.cross[i], path.slope_variance[i]
        # Predicted covariance P = F C F' + Q and the gain C F' P^-1, both 2 x 2, written out.
        aa = a + 2 * reach * b + reach**2 * c + power * moves.level[i + 1]
        bb = keeps * (b + reach * c) + power * moves.cross[i + 1]
        cc = keeps**2 * c + power * moves.slope[i + 1]
        det = np.maximum(aa * cc - bb**2, 1e-300)
        f11, f12, f21, f22 = a + reach * b, keeps * b, b + reach * c, keeps * c
        g11, g12 = (f11 * cc - f12 * bb) / det, (f12 * aa - f11 * bb) / det
        g21, g22 = (f21 * cc - f22 * bb) / det, (f22 * aa - f21 * bb) / det
        later = out[-1]
        level = later[0] - (path.level[i] + reach * path.slope[i])
        slope = later[1] - keeps * path.slope[i]
        d11, d12, d22 = later[2] - aa, later[3] - bb, later[4] - cc
        out.append(
            (
                path.level[i] + g11 * level + g12 * slope,
                path.slope[i] + g21 * level + g22 * slope,
                a + g11**2 * d11 + 2 * g11 * g12 * d12 + g12**2 * d22,
                b + g11 * (g21 * d11 + g22 * d12) + g12 * (g21 * d12 + g22 * d22),
                c + g21**2 * d11 + 2 * g21 * g22 * d12 + g22**2 * d22,
            )
        )
    return Path(*(np.stack(each[::-1]) for each in zip(*out, strict=True)))
