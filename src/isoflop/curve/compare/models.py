"""Nested models of two curves: one for both, the same up to a factor of compute, and one each.

A curve is y = E + A x^-b, or with E = 0. A model is a list of blocks, each a form fitted to some of the
points: one form for both arms where they share a parameter, one each where they share none. Forms of both
arms take v (n, 2): ln(x_ref / x), and 0 or 1 for the arm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoflop.curve import forms, observations, solver
from isoflop.curve.forms import B_MAX, B_MIN, NEGATIVE_FLOOR, Form
from isoflop.curve.solver import Effort, Noise, Problem

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_EXPONENTS = np.geomspace(0.02, 3.0, 12)
_SHARES = np.log([0.999, 0.9, 0.7, 0.5, 0.3, 0.1])
"""Logarithms of the falling share of y at x_ref, for starts."""
_RATIOS = np.array([0.5, 0.8, 1.0, 1.25, 2.0])
_SHIFTS = np.array([-1.0, -0.3, 0.0, 0.3, 1.0])

THINNED = 60
"""Starts of a grid that the fits to resamples keep."""


@dataclasses.dataclass(frozen=True)
class Both:
    """The points of two arms as one sample.

    Attributes:
        v: ln(x_ref / x) (n,), x_ref being the largest x of either arm; the baseline's points come first.
        arm: 0 or 1 (n,).
        log_y: ln y (n,).
        deviation: standard deviation of ln y (n,).
        threshold: Huber's.
        y, trials: share of errors and the images (n,) that it was counted on; None where they are unknown.
    """

    v: Array
    arm: Array
    log_y: Array
    deviation: Array
    threshold: float
    y: Array | None = None
    trials: Array | None = None

    def noise(self, points: Index, log_y: Array | None) -> Noise:
        """Return the noise of some points (m,): of ln y (r or 1, n) in place of their own, or of their own.

        The latter is binomial where y was counted, as in `isoflop fit`.
        """
        deviation = self.deviation[points]
        if log_y is not None:
            return solver.log_error(log_y[:, points], deviation)
        if self.y is None or self.trials is None:
            return solver.log_error(self.log_y[None, points], deviation)
        trials, y = self.trials[points], self.y[points]
        counting = observations.binomial(np.exp(self.log_y[points]), trials)
        return solver.binomial(y * trials, trials, deviation**2 - counting)

    @property
    def middle(self) -> float:
        """The middle of the other arm's v, where its level is told apart best from its exponent."""
        own = self.v[self.arm == 1]
        return float(own.min() + own.max()) / 2


@dataclasses.dataclass(frozen=True)
class Block:
    """A form, the indices (m,) of the points it is fitted to, and their v, (m,) or (m, 2)."""

    form: Form
    points: Index
    v: Array


Model = tuple[Block, ...]


def fit(
    model: Model,
    both: Both,
    log_y: Array | None,
    weights: Array,
    effort: Effort,
    *,
    relaxed: bool = False,
) -> tuple[tuple[Array, ...], Array]:
    """Return the parameters (r, 1 + q) of each block, and the losses (r,) summed over blocks.

    Args:
        model: the blocks.
        both: the points.
        log_y: ln y (r or 1, n) in the place of the points' own, None for these.
        weights: weights (r, n).
        effort: when a minimisation ends.
        relaxed: use the bounds of resamples (Form.relaxed).
    """
    parameters, total = [], np.zeros(len(weights))
    for block in model:
        own = (both.log_y[None] if log_y is None else log_y)[:, block.points]
        noise = both.noise(block.points, log_y)
        problem = Problem(block.form, block.v, own, noise, both.threshold)
        # A trial step of a relaxed floor may make a curve negative: its loss is no number, and it is refused.
        with np.errstate(invalid="ignore", divide="ignore"):
            fitted, loss = solver.solve(problem, weights[:, block.points], effort, relaxed=relaxed)
        parameters.append(fitted)
        total = total + loss
    return tuple(parameters), total


def near(model: Model, parameters: tuple[Array, ...]) -> Model:
    """Return the model with fewer starts for its resamples: the sample's fit (1, 1 + q), and a thinned grid.

    Only forms of both arms have grids so large that these count.
    """
    blocks = []
    for block, fitted in zip(model, parameters, strict=True):
        if block.v.ndim == 1:
            blocks.append(block)
            continue
        (grid,) = block.form.starts(float(np.ptp(block.v[:, 0])))
        start = np.vstack([fitted[:1, 1:], grid[:: max(1, len(grid) // THINNED)]])
        form = dataclasses.replace(block.form, starts=_always(start))
        blocks.append(dataclasses.replace(block, form=form))
    return tuple(blocks)


def _always(start: Array) -> Callable[[float], tuple[Array, ...]]:
    """Return Form.starts of one basin with a grid that does not depend on the span."""
    return lambda span: (start,)


def curve(model: Model, parameters: tuple[Array, ...], count: int) -> Array:
    """Return ln y (r, count) of the fitted blocks at the points."""
    log_y = np.empty((len(parameters[0]), count))
    for block, own in zip(model, parameters, strict=True):
        log_y[:, block.points] = solver.log_curve(block.form, own, block.v)
    return log_y


def apart(both: Both, form: Form) -> Model:
    """Return the free model: a curve of `form` for each arm."""
    blocks = []
    for which in (0, 1):
        points = np.flatnonzero(both.arm == which)
        blocks.append(Block(form, points, both.v[points] - both.v[points].min()))
    return tuple(blocks)


def together(both: Both, form: Form) -> Model:
    """Return the model of one curve for both arms."""
    return (Block(form, np.arange(len(both.v)), both.v),)


def _joint(both: Both, form: Form) -> Model:
    return (Block(form, np.arange(len(both.v)), np.column_stack([both.v, both.arm])),)


def _level_ratio(both: Both) -> float:
    """Return about ln(y of the other arm / y of the baseline) at equal x, from straight lines."""
    lines = [np.polyfit(both.v[both.arm == i], both.log_y[both.arm == i], 1) for i in (0, 1)]
    return float(np.polyval(lines[1], both.middle) - np.polyval(lines[0], both.middle))


def one_exponent(both: Both) -> Model:
    """Return power laws without a floor and with one exponent: the same up to a factor of compute, or of y.

    Parameters: ln y of the baseline at x_ref, b, and ln(other's y / baseline's).
    """

    def evaluate(theta: Array, v: Array) -> tuple[Array, Array]:
        b, ratio = theta[:, :1], theta[:, 1:]
        at, arm = v.T
        derivatives = np.broadcast_to(np.stack([at, arm], axis=-1), (len(theta), len(at), 2))
        return b * at + ratio * arm, derivatives

    start = forms.grid(_EXPONENTS, _level_ratio(both) + 0.3 * _SHIFTS)
    return _joint(
        both, _form(("b", "ratio"), evaluate, [(B_MIN, B_MAX), (-50, 50)], {0: (-B_MAX, B_MAX)}, start)
    )


def one_curve_shifted(both: Both) -> Model:
    """Return curves with a floor that are the same up to a factor of compute: y_other(x) = y_baseline(k x).

    Parameters: ln y of the baseline at x_ref, s, b (forms.power_law_floor), and ln k.
    """

    def evaluate(theta: Array, v: Array) -> tuple[Array, Array]:
        s, b, gain = (theta[:, i, None] for i in range(3))
        at, arm = v.T
        shifted = at - gain * arm
        share = np.exp(s)
        falling = share * np.exp(b * shifted)
        whole = 1.0 - share + falling
        f = falling / whole
        return np.log(whole), np.stack([(falling - share) / whole, f * shifted, -f * b * arm], axis=-1)

    shares, b, shift = forms.grid(_SHARES, _EXPONENTS, _SHIFTS).T
    # Where the curve falls with its local exponent b x share, a ratio of y is this factor of x.
    gain = -_level_ratio(both) / (b * np.exp(shares)) * (1 + shift)
    start = np.column_stack([shares, b, np.clip(gain, -20, 20)])
    return _joint(
        both,
        _form(
            ("s", "b", "gain"),
            evaluate,
            [_share(both), (B_MIN, B_MAX), (-60, 60)],
            {0: (_share(both)[0], NEGATIVE_FLOOR)},
            start,
        ),
    )


def one_floor(both: Both) -> Model:
    """Return curves with one irreducible error, and a scale and an exponent each.

    Parameters: ln y of the baseline at x_ref, its s and b (forms.power_law_floor), ln(falling part of the
    other arm / that of the baseline) in the middle of the other arm, and its b.
    """
    middle = both.middle

    def evaluate(theta: Array, v: Array) -> tuple[Array, Array]:
        s, b, ratio, b_other = (theta[:, i, None] for i in range(4))
        at, arm = v.T
        share = np.exp(s)
        rise = np.where(arm > 0, b * middle + ratio + b_other * (at - middle), b * at)
        falling = share * np.exp(rise)
        whole = 1.0 - share + falling
        f = falling / whole
        return np.log(whole), np.stack(
            [
                (falling - share) / whole,
                f * np.where(arm > 0, middle, at),
                f * arm,
                f * arm * (at - middle),
            ],
            axis=-1,
        )

    s, b, shift, ratio = forms.grid(_SHARES, _EXPONENTS[::2], _SHIFTS, _RATIOS).T
    # A floor takes a larger share of y, so that falling parts differ by more than y does.
    start = np.column_stack([s, b, _level_ratio(both) * (1 + shift), b * ratio])
    return _joint(
        both,
        _form(
            ("s", "b", "ratio", "b_other"),
            evaluate,
            [_share(both), (B_MIN, B_MAX), (-60, 60), (B_MIN, B_MAX)],
            {0: (_share(both)[0], NEGATIVE_FLOOR)},
            start,
        ),
    )


def one_exponent_floors(both: Both) -> Model:
    """Return curves with one exponent, and a scale and an irreducible error each.

    Parameters: ln y of the baseline at x_ref, its s, b, ln(other's y at x_ref / baseline's), the other's s.
    """

    def evaluate(theta: Array, v: Array) -> tuple[Array, Array]:
        s, b, level, s_other = (theta[:, i, None] for i in range(4))
        at, arm = v.T
        share = np.exp(np.where(arm > 0, s_other, s))
        falling = share * np.exp(b * at)
        whole = 1.0 - share + falling
        by_s = (falling - share) / whole
        ones = np.broadcast_to(arm, by_s.shape)
        return level * arm + np.log(whole), np.stack(
            [by_s * (arm == 0), falling * at / whole, ones, by_s * arm], axis=-1
        )

    s, b, shift, other = forms.grid(_SHARES, _EXPONENTS[::2], _SHIFTS, _SHARES).T
    start = np.column_stack([s, b, _level_ratio(both) + 0.3 * shift, other])
    wide = (_share(both)[0], NEGATIVE_FLOOR)
    return _joint(
        both,
        _form(
            ("s", "b", "level", "s_other"),
            evaluate,
            [_share(both), (B_MIN, B_MAX), (-50, 50), _share(both)],
            {0: wide, 3: wide},
            start,
        ),
    )


def _share(both: Both) -> tuple[float, float]:
    """Return the bounds of s: no floor below 0, as those of forms.POWER_LAW_FLOOR."""
    return -B_MAX * float(np.ptp(both.v)) - 5, 0.0


def _form(
    names: tuple[str, ...],
    evaluate: Callable[[Array, Array], tuple[Array, Array]],
    bounds: list[tuple[float, float]],
    relaxed: dict[int, tuple[float, float]],
    start: Array,
) -> Form:
    """Return a form of both arms.

    Args:
        names: of its parameters.
        evaluate: as Form.evaluate.
        bounds: of each parameter.
        relaxed: those that are others in resamples, by index.
        start: a grid (g, q) of starts.
    """
    low, high = np.array(bounds, dtype=float).T
    wide = np.array([relaxed.get(i, pair) for i, pair in enumerate(bounds)], dtype=float).T
    return Form(
        names=names,
        evaluate=evaluate,
        bounds=lambda span: (low, high),
        starts=_always(start),
        relaxed=lambda span: (wide[0], wide[1]),
    )
