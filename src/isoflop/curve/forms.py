"""The shapes of the laws in one resource: ln y = c + g(v), free of units.

v = ln(x_max / x) >= 0 over the sample, so that c is ln y at x_max or, where a law levels off for small x, ln
of that level. Every function takes shape parameters theta (r, q), one row a fit, and v (n,), and returns g
(r, n) and its derivatives (r, n, q), or (r, n, 0) without `slopes`, which a sampler does not need. Sources:
M1 to M4 in Alabdulmohsin et al. (2022, "Revisiting Neural Scaling Laws in Language and Vision"); the smoothly
broken law in Caballero et al. (2023, "Broken Neural Scaling Laws").
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

B_MIN, B_MAX = 1e-3, 5.0
"""Bounds of an exponent."""
HALLEY_STEPS = 3
"""Steps of the inversion in `m4`: they end at rounding error for every k within the bounds."""

_EXPONENTS = np.geomspace(0.01, 4.0, 18)


@dataclasses.dataclass(frozen=True)
class Form:
    """A shape g of ln y = c + g(theta, v).

    Attributes:
        names: of the q shape parameters.
        evaluate: (theta (r, q), v (n,)) -> g (r, n) and its derivatives (r, n, q).
        bounds: span of ln x -> lower and upper bounds (q,).
        starts: span -> grids (g, q) of starts, one a basin; a fit starts from the best point of each.
        relaxed: span -> bounds of resamples. They are wider where a bound marks the edge of what is reported
            (a floor below 0) and is no law of nature, so that resamples spread to both sides of it.
        level: a value that c is held at, or None.
        expand: parameters (r, 1 + q) of this form -> those of the form that it restricts (fixed.py), or None.
        kept: indices (q,) of its shape parameters among those of the form that it restricts, or None.
    """

    names: tuple[str, ...]
    evaluate: Callable[[Array, Array], tuple[Array, Array]]
    bounds: Callable[[float], tuple[Array, Array]]
    starts: Callable[[float], tuple[Array, ...]]
    relaxed: Callable[[float], tuple[Array, Array]]
    level: float | None = None
    expand: Callable[[Array], Array] | None = None
    kept: tuple[int, ...] | None = None

    @property
    def free_parameters(self) -> int:
        """Number of parameters of the shape, plus one for the level c."""
        return len(self.names) + 1


def grid(*axes: Array) -> Array:
    """Return all combinations of the axes' values: (g, len(axes))."""
    return np.stack([values.ravel() for values in np.meshgrid(*axes, indexing="ij")], axis=-1)


def _columns(theta: Array) -> list[Array]:
    return [theta[:, i, None] for i in range(theta.shape[1])]


def _stacked(derivatives: list[Array]) -> Array:
    """Return derivatives (r, n) by each of q parameters as (r, n, q), each one's values next to each other.

    The solver multiplies matrices along n; that memory order spares it a strided copy.
    """
    return np.stack(derivatives, axis=1).transpose(0, 2, 1)


def _alone(g: Array) -> tuple[Array, Array]:
    """Return g (r, n) without derivatives."""
    return g, np.empty((*g.shape, 0))


def power_law(theta: Array, v: Array, *, slopes: bool = True) -> tuple[Array, Array]:
    """M1, y = A x^-b: return g = b v and its derivatives."""
    (b,) = _columns(theta)
    if not slopes:
        return _alone(b * v)
    return b * v, np.broadcast_to(v, (len(theta), len(v)))[..., None]


def power_law_floor(theta: Array, v: Array, *, slopes: bool = True) -> tuple[Array, Array]:
    """M2, y = E + A x^-b: return g = ln(1 + e^s (e^(b v) - 1)) and its derivatives.

    e^s is the share of y at x_max that falls; E = e^c (1 - e^s), so that s < 0 means a floor above 0.
    """
    s, b = _columns(theta)
    share = np.exp(s)
    falling = share * np.exp(b * v)
    whole = (1.0 - share) + falling
    if not slopes:
        return _alone(np.log(whole))
    by_b = falling / whole
    return np.log(whole), _stacked([(falling - share) / whole, by_b * v])


def m3(theta: Array, v: Array) -> tuple[Array, Array]:
    """M3, y = A (1/x + 1/x_0)^b: return g = b ln(e^v + e^m) and its derivatives.

    y levels off above x_0 = x_max e^-m.
    """
    b, m = _columns(theta)
    soft, _, fall = _gated(v - m)
    log_sum = m + soft
    return b * log_sum, _stacked([log_sum, b * fall])


def _softplus(q: Array) -> tuple[Array, Array, Array]:
    """Return ln(1 + e^q) with r and s: its slope is r where q > 0, else s; 1 minus the slope is the other.

    They share one exponential, which cannot overflow. np.logaddexp, special.expit and np.where take several
    times as long, as they are not vectorised.
    """
    size = np.abs(q)
    small = np.exp(-size)
    larger = 1.0 / (1.0 + small)
    # (q + |q|) / 2 is max(q, 0), exactly.
    return 0.5 * (q + size) + np.log1p(small), larger, small * larger


def _gated(q: Array) -> tuple[Array, Array, Array]:
    """Return ln(1 + e^q), its slope 1 / (1 + e^-q), and 1 minus the slope."""
    soft, larger, smaller = _softplus(q)
    up = q > 0
    return soft, np.where(up, larger, smaller), np.where(up, smaller, larger)


def _near_inverse(t: Array, k: Array) -> Array:
    """Return q of `_inverted` to within 0.02 relative to 1 + |q|.

    With ln(1 + e^q) = (q + sqrt(q^2 + 4 ln^2 2)) / 2, which is exact at 0 and in both limits, the equation is
    a quadratic one.
    """
    half = 0.5 * (k - 1.0)
    return np.asarray((t * (half + 1.0) - half * np.sqrt(t * t + k * (4 * math.log(2.0) ** 2))) / k)


def _inverted(t: Array, k: Array, q: Array) -> Array:
    """Return q with k ln(1 + e^q) - ln(1 + e^-q) = t, (r, n), for k (r, 1), by Halley's method from `q`.

    A sampler spends half of its time here, so that every step works in place, in five arrays.
    """
    excess = k - 1.0
    size, small, larger, missed, slope = (np.empty_like(q) for _ in range(5))
    for _ in range(HALLEY_STEPS):
        np.abs(q, out=size)
        np.exp(np.negative(size, out=small), out=small)
        np.divide(1.0, np.add(small, 1.0, out=larger), out=larger)
        # ln(1 + e^q) = max(q, 0) + ln(1 + e^-|q|), and (q + |q|) / 2 is max(q, 0), exactly.
        size += q
        size *= 0.5
        np.log1p(small, out=missed)
        missed += size
        missed *= excess
        missed += np.subtract(q, t, out=size)
        # With rise = 1 / (1 + e^-q): the slope is k rise + 1 - rise, the curvature (k - 1) rise (1 - rise),
        # and rise = 1/2 + sign(q) (larger - 1/2).
        small *= larger
        small *= larger
        larger -= 0.5
        np.copysign(larger, q, out=slope)
        slope *= excess
        slope += 1.0 + 0.5 * excess
        small *= missed
        small *= 0.5 * excess
        missed *= slope
        slope *= slope
        slope -= small
        missed /= slope
        q -= missed
    return q


def m4(theta: Array, v: Array, *, slopes: bool = True) -> tuple[Array, Array]:
    """M4, (y - E) / (e0 - y)^k = A x^-b: return g and its derivatives.

    y falls from the chance level e0 = e^c to the floor E = share e0. With y / e0 = share + (1 - share) /
    (1 + e^-q), q solves k ln(1 + e^q) - ln(1 + e^-q) = tau + b v.
    """
    tau, b, log_k, share = _columns(theta)
    k = np.exp(log_k)
    t = tau + b * v
    q = _inverted(t, k, _near_inverse(t, k))
    if not slopes:
        _, larger, smaller = _softplus(q)
        return _alone(np.log(share + (1.0 - share) * np.where(q > 0, larger, smaller)))
    soft, rise, fall = _gated(q)
    height = share + (1.0 - share) * rise
    by_t = (1.0 - share) * rise * fall / height / (k * rise + fall)
    derivatives = [by_t, by_t * v, -by_t * k * soft, fall / height]
    return np.log(height), _stacked(derivatives)


def broken_power_law(theta: Array, v: Array, *, slopes: bool = True) -> tuple[Array, Array]:
    """One smooth break, y = E + A x^-b0 (1 + (x/d)^(1/f))^-(b1 - b0)f: return g and its derivatives.

    c and s are those of `power_law_floor`. b0 and b1 are the exponents far below and far above the break at
    x = d = x_max e^-m; f is its width in ln x.
    """
    s, low, high, m, log_f = _columns(theta)
    f = np.exp(log_f)
    # Everything relative to x_max (v = 0), where g is 0.
    z, z0 = (m - v) / f, m / f
    share = np.exp(s)
    if not slopes:
        bend = f * (_softplus(z)[0] - _softplus(z0)[0])
        return _alone(np.log((1.0 - share) + share * np.exp(low * v - (high - low) * bend)))
    (soft, gate, _), (soft0, gate0, _) = _gated(z), _gated(z0)
    bend = f * (soft - soft0)
    falling = share * np.exp(low * v - (high - low) * bend)
    whole = (1.0 - share) + falling
    weight = falling / whole
    derivatives = [
        (falling - share) / whole,
        weight * (v + bend),
        -weight * bend,
        -weight * (high - low) * (gate - gate0),
        -weight * (high - low) * (bend - (gate * (m - v) - gate0 * m)),
    ]
    return np.log(whole), _stacked(derivatives)


def _box(*pairs: tuple[float, float]) -> tuple[Array, Array]:
    low, high = np.array(pairs, dtype=float).T
    return low, high


NEGATIVE_FLOOR = math.log(20.0)
"""In resamples the falling share of y at x_max may be up to 20: a floor down to -19 times that y."""


def _floor_starts(span: float) -> tuple[Array, ...]:
    """Return a grid without a floor, and one with a floor.

    In the second the falling part equals the floor at fractions of the span.
    """
    b, bend = grid(_EXPONENTS, np.array([0.05, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15])).T
    plain = np.column_stack([np.zeros_like(_EXPONENTS), _EXPONENTS])
    return plain, np.column_stack([-bend * b * span, b])


def _break_starts(span: float) -> tuple[Array, ...]:
    """Return a basin for a break in the lower half of the range and one for the upper half."""
    slopes = (np.array([0.02, 0.1, 0.5]), np.array([0.1, 0.3, 0.8, 1.5]))
    widths = np.log(np.array([0.05, 0.2]) * span)
    shares = np.array([-0.01, -0.3, -1.0])
    return tuple(
        grid(shares, *slopes, np.array(positions) * span, widths)
        for positions in ((0.75, 0.95), (0.15, 0.45))
    )


POWER_LAW = Form(
    names=("b",),
    evaluate=power_law,
    bounds=lambda span: _box((B_MIN, B_MAX)),
    starts=lambda span: (_EXPONENTS[:, None],),
    relaxed=lambda span: _box((-B_MAX, B_MAX)),
)

POWER_LAW_FLOOR = Form(
    names=("s", "b"),
    evaluate=power_law_floor,
    bounds=lambda span: _box((-B_MAX * span - 5, 0.0), (B_MIN, B_MAX)),
    starts=_floor_starts,
    relaxed=lambda span: _box((-B_MAX * span - 5, NEGATIVE_FLOOR), (B_MIN, B_MAX)),
)

M3 = Form(
    names=("b", "m"),
    evaluate=m3,
    bounds=lambda span: _box((B_MIN, B_MAX), (-12.0, span + 3)),
    starts=lambda span: (
        grid(_EXPONENTS, np.array([-6.0])),
        grid(_EXPONENTS, np.array([-2.0, 0.0, 0.3 * span, 0.6 * span])),
    ),
    relaxed=lambda span: _box((B_MIN, B_MAX), (-12.0, span + 3)),
)

M4 = Form(
    names=("tau", "b", "log_k", "share"),
    evaluate=m4,
    bounds=lambda span: _box((-40.0, 20.0), (B_MIN, 8.0), (math.log(0.05), math.log(20.0)), (0.0, 0.999)),
    starts=lambda span: tuple(
        grid(np.array([-6.0, -4.0, -2.0, 0.0, 2.0]), np.geomspace(0.1, 3, 7), ks, np.array([0.0, 0.1, 0.3]))
        for ks in (np.log([0.1, 0.3]), np.log([1.0, 3.0]))
    ),
    relaxed=lambda span: _box((-40.0, 20.0), (B_MIN, 8.0), (math.log(0.05), math.log(20.0)), (0.0, 0.999)),
)

BROKEN_POWER_LAW = Form(
    names=("s", "b0", "b1", "m", "log_f"),
    evaluate=broken_power_law,
    bounds=lambda span: _box(
        (-B_MAX * span - 5, 0.0),
        (0.0, 6.0),
        (B_MIN, 6.0),
        (-1.0, 1.2 * span),
        (math.log(0.02 * span), math.log(span)),
    ),
    starts=_break_starts,
    relaxed=lambda span: _box(
        (-B_MAX * span - 5, NEGATIVE_FLOOR),
        (0.0, 6.0),
        (B_MIN, 6.0),
        (-1.0, 1.2 * span),
        (math.log(0.02 * span), math.log(span)),
    ),
)
