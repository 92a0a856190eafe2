"""The default prediction: laws averaged by how well they extrapolated, and the error that this average made.

Weights, error growth and calibration come from rolling extrapolation within the sample (rolling.py); no data
outside it is used.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from isoflop.curve.bootstrap import CONFIDENCE
from isoflop.curve.forecast import rolling
from isoflop.curve.forecast.rolling import Cuts
from isoflop.curve.forms import Form
from isoflop.curve.laws import LAWS, FitOptions, Law, fit_form, level_of, log_curve
from isoflop.curve.observations import Observations
from isoflop.curve.result import Calibration, HorizonError, Member

Array = npt.NDArray[np.float64]

MEMBERS = ("power_law_floor", "m3", "m4", "broken_power_law")
"""Laws that can level off. Each is a member twice: fitted to the whole range, and mostly to its upper end."""
SPARE_SCALES = 2
"""A law is a member where there are this many more distinct x than parameters."""
LEAST_BELOW, MOST_BELOW = 4, 6
"""Distinct x needed below a cut: half of all, within these limits."""
LEAST_ERROR = 1e-3
"""Extrapolation errors of ln y below this do not tell laws apart."""
LEAST_RATIO = 1.5
"""Errors are judged per unit of ln ratio, so that long extrapolations do not decide alone; below this ratio
as at it."""
NOMINAL = (0.5, 0.8, 0.95)


@dataclasses.dataclass(frozen=True)
class LawAverage:
    """Laws and their weights after rolling extrapolation.

    The errors of ln y made in extrapolation have variance noise^2 + (growth ln ratio)^2; `growth` and `noise`
    are None where nothing could be predicted. `tests` counts the cuts, `score` is the root mean square error
    of the average.
    """

    laws: tuple[Law, ...]
    members: tuple[Member, ...]
    horizons: tuple[HorizonError, ...]
    score: float | None
    tested_ratio: float | None
    growth: float | None
    noise: float | None
    tests: int
    calibration: tuple[Calibration, ...]

    @property
    def weights(self) -> Array:
        """Weights of the members, (2 laws,): all laws over the whole range, then all of the recent fits."""
        return np.array([m.weight for m in self.members])

    @property
    def reach(self) -> float:
        """Standard deviations that hold 95%: Student's t with as many degrees of freedom as tests."""
        return float(special.stdtrit(max(1, self.tests), 0.5 + CONFIDENCE / 2))


def eligible(observed: Observations) -> tuple[Law, ...]:
    """Return the laws of MEMBERS that the number of distinct x supports."""
    scales = len(np.unique(np.round(observed.v, 3)))
    return tuple(LAWS[name] for name in MEMBERS if scales >= LAWS[name].free_parameters + SPARE_SCALES)


def cuts(observed: Observations) -> Cuts:
    """Return the cuts of `observed` for rolling extrapolation."""
    scales = len(np.unique(np.round(observed.v, 3)))
    return rolling.cuts(observed, int(np.clip(scales // 2, LEAST_BELOW, MOST_BELOW)))


def errors(law: Law, observed: Observations, where: Cuts, options: FitOptions) -> Array:
    """Return ln(predicted / observed) (2, c, n) of fits below each cut; NaN where a point is not judged.

    The first are fits to the whole range, the second recent fits.
    """
    assert law.form is not None
    curve = rolling.predict(law.form, observed, where.at, level_of(law.form, options), -observed.v)
    # A curve that is not above 0 has no logarithm: it counts as a gross error, not as no error.
    return np.where(np.isfinite(where.ahead), np.nan_to_num(curve, nan=-20.0) - observed.log_y, np.nan)


def _shares(scores: Array) -> Array:
    """Return weights (m,) inverse to the extrapolation errors (m,) per unit of ln ratio; their sum is 1."""
    inverse = 1.0 / np.hypot(scores, LEAST_ERROR)
    return np.asarray(inverse / inverse.sum())


def _nested(each: Array) -> Array:
    """Return weights (c, m) of members for each cut, from the scores at cuts of smaller x alone.

    `each` (m, c) are squared scores. With these weights the average is judged at a cut by points that
    took no part in them.
    """
    members, count = each.shape
    # Cuts are ordered from the largest x down: those after i lie below it. The last has none below.
    weights = np.full((count, members), 1.0 / members)
    for i in range(count - 1):
        weights[i] = _shares(np.sqrt(each[:, i + 1 :].mean(axis=1)))
    return weights


def _error_model(ahead: Array, missed: Array) -> tuple[float, float]:
    """Return (noise, growth) with variance noise^2 + (growth ahead)^2 of errors `missed` (k,) of ln y.

    `ahead` (k,) are ln ratios of x. Non-negative least squares of the squared errors on 1 and ahead^2.
    """
    design = np.column_stack([np.ones(len(ahead)), ahead**2])
    constant, slope = optimize.nnls(design, missed**2)[0]
    return float(np.sqrt(constant)), float(np.sqrt(slope))


def _calibration(where: Cuts, missed: Array) -> tuple[Calibration, ...]:
    """Return how often intervals derived from smaller runs alone held the larger ones.

    At each cut the error model is that of the cuts below it. `missed` (c, n) are errors of ln y, NaN where a
    point is not judged.
    """
    inside: list[Array] = []
    for i in range(len(where.at) - 1):
        here, below = np.isfinite(missed[i]), np.isfinite(missed[i + 1 :])
        noise, growth = _error_model(where.ahead[i + 1 :][below], missed[i + 1 :][below])
        deviation = np.hypot(noise, growth * where.ahead[i, here])
        reach = special.stdtrit(max(1, len(where.at) - 1 - i), 0.5 + np.array(NOMINAL) / 2)
        inside.append(np.abs(missed[i, here])[:, None] <= reach * deviation[:, None])
    if not inside:
        return ()
    hits = np.concatenate(inside)
    return tuple(Calibration(n, float(h.mean()), len(hits)) for n, h in zip(NOMINAL, hits.T, strict=True))


def average(observed: Observations, options: FitOptions) -> LawAverage | None:
    """Return the laws weighted by rolling extrapolation on `observed`; None where no law is eligible.

    Each weight is inverse to the member's error per unit of ln ratio (root mean square, with equal weight for
    every cut). Without a cut all members weigh the same.
    """
    laws = eligible(observed)
    if not laws:
        return None
    where = cuts(observed)
    if not len(where.at):
        equal = 1.0 / (2 * len(laws))
        members = tuple(Member(law.name, recent, equal, None) for recent in (False, True) for law in laws)
        return LawAverage(laws, members, (), None, None, None, None, 0, ())
    missed = np.concatenate(np.stack([errors(law, observed, where, options) for law in laws], axis=1))
    judged = np.isfinite(where.ahead)
    # Errors per unit of ln ratio, so that long extrapolations do not decide alone.
    per_ratio = missed / np.maximum(where.ahead, np.log(LEAST_RATIO))
    each = np.where(judged, per_ratio**2, 0.0).sum(axis=2) / judged.sum(axis=1)
    shares = _shares(np.sqrt(each.mean(axis=1)))
    scores = [rolling.score(where.ahead, errors_of) for errors_of in missed]
    # The average's own error at each cut, with weights from the cuts below it.
    together = np.einsum("cm,mcn->cn", _nested(each), missed)
    noise, growth = _error_model(where.ahead[judged], together[judged])
    members = tuple(
        Member(law.name, recent, float(weight), score)
        for (recent, law), weight, score in zip(
            ((recent, law) for recent in (False, True) for law in laws), shares, scores, strict=True
        )
    )
    return LawAverage(
        laws=laws,
        members=members,
        horizons=rolling.horizons(where.ahead, together),
        score=rolling.score(where.ahead, together),
        tested_ratio=where.tested_ratio,
        growth=growth,
        noise=noise,
        tests=len(where.at),
        calibration=_calibration(where, together),
    )


def _whole(form: Form, observed: Observations, z: Array, rows: Array, options: FitOptions) -> Array:
    """Return ln y (r, m) of fits to the whole range.

    Args:
        form: the form.
        observed: the points (n).
        z: ln(x / x_max) (m,).
        rows: weights (r, n).
        options: those of the fit.
    """
    return log_curve(form, fit_form(form, observed, rows, options), z)


def _blended(form: Form, observed: Observations, z: Array, rows: Array, options: FitOptions) -> Array:
    """Return ln y (r, m) of recent fits, blended with fits to the whole range.

    Below x_max the recent fit gives way to that of the whole range as its weights fade: small x do not
    determine it.

    Args:
        form: the form.
        observed: the points (n).
        z: ln(x / x_max) (m,).
        rows: weights (r, n).
        options: those of the fit.
    """
    keep = rolling.fading(-z)
    recent = _whole(form, observed, z, rows * rolling.weights(observed, np.zeros(1), recent=True), options)
    return np.asarray(keep * recent + (1.0 - keep) * _whole(form, observed, z, rows, options))


def curves(
    mixture: LawAverage, observed: Observations, z: Array, weights: Array, options: FitOptions
) -> tuple[Array, Array]:
    """Return ln y of the average (m,), and one draw a resample (r, m), so that draws spread over laws too.

    Args:
        mixture: the members and their weights.
        observed: the points (n) that are fitted.
        z: ln(x / x_max) (m,) of the points of the curves.
        weights: weights (1 + r, n) of the sample and its resamples.
        options: those of the fit.
    """
    resamples = len(weights) - 1
    # Stratified draws: resample i is fitted by the member whose share of [0, 1] holds (i + 1/2) / r. Each
    # member has its weight's share of the resamples, and each resample costs one fit.
    order = (np.arange(resamples) + 0.5) / max(1, resamples) * (1 - 1e-12)
    turn = np.searchsorted(np.cumsum(mixture.weights), order)
    middle, drawn = np.zeros(len(z)), np.empty((resamples, len(z)))
    for i, member in enumerate(mixture.members):
        form = LAWS[member.law].form
        assert form is not None
        own = np.flatnonzero(turn == i)
        rows = weights[np.r_[0, 1 + own]]
        curve = (_blended if member.recent else _whole)(form, observed, z, rows, options)
        middle += member.weight * curve[0]
        drawn[own] = curve[1:]
    return middle, drawn
