"""The default prediction: laws averaged by how well they extrapolated, and the error that this made.

Weights, error growth and calibration come from rolling extrapolation within the sample (rolling.py): nothing
outside it is looked at.
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
from isoflop.curve.laws import LAWS, Law, Options, fit_form, level_of, log_curve
from isoflop.curve.observations import View
from isoflop.curve.result import Calibration, Horizon, Member

Array = npt.NDArray[np.float64]

MEMBERS = ("power_law_floor", "m3", "m4", "broken_power_law")
"""Laws that can level off. Each counts twice: fitted to the whole range, and mostly to its upper end."""
SPARE_SCALES = 2
"""A law is a member where there are this many more distinct x than parameters."""
LEAST_BELOW, MOST_BELOW = 4, 6
"""Distinct x needed below a cut: half of all, within these."""
LEAST_ERROR = 1e-3
"""Extrapolation errors of ln y below this do not tell laws apart."""
LEAST_RATIO = 1.5
"""Errors are judged per unit of ln ratio, so that long extrapolations do not decide alone; below this ratio
as at it."""
NOMINAL = (0.5, 0.8, 0.95)


@dataclasses.dataclass(frozen=True)
class Averaged:
    """Laws and their weights after rolling extrapolation on a view.

    `growth`, `noise`: the errors of ln y made in extrapolation have variance noise^2 + (growth ln ratio)^2,
    None where nothing could be predicted. `tests` counts the cuts.
    """

    laws: tuple[Law, ...]
    members: tuple[Member, ...]
    horizons: tuple[Horizon, ...]
    score: float | None
    tested_ratio: float | None
    growth: float | None
    noise: float | None
    tests: int
    calibration: tuple[Calibration, ...]

    @property
    def weights(self) -> Array:
        """Of the members, (2 laws,): every law over the whole range, then every law fitted recently."""
        return np.array([m.weight for m in self.members])

    @property
    def reach(self) -> float:
        """How many standard deviations hold 95%: Student's t for as many tests as there were."""
        return float(special.stdtrit(max(1, self.tests), 0.5 + CONFIDENCE / 2))


def eligible(view: View) -> tuple[Law, ...]:
    """The members that so many distinct x can carry."""
    scales = len(np.unique(np.round(view.v, 3)))
    return tuple(LAWS[name] for name in MEMBERS if scales >= LAWS[name].free_parameters + SPARE_SCALES)


def cuts(view: View) -> Cuts:
    """Where the view is cut for rolling extrapolation."""
    scales = len(np.unique(np.round(view.v, 3)))
    return rolling.cuts(view, int(np.clip(scales // 2, LEAST_BELOW, MOST_BELOW)))


def errors(law: Law, view: View, where: Cuts, options: Options) -> Array:
    """ln(predicted / seen) (2, c, n) of fits below each cut, whole range and recent; NaN where not judged."""
    assert law.form is not None
    curve = rolling.predict(law.form, view, where.at, level_of(law.form, options), -view.v)
    return np.where(np.isfinite(where.ahead), np.nan_to_num(curve, nan=-20.0) - view.log_y, np.nan)


def _shares(scores: Array) -> Array:
    """Weights (m,) inverse to the extrapolation errors (m,) per unit of ln ratio."""
    inverse = 1.0 / np.hypot(scores, LEAST_ERROR)
    return np.asarray(inverse / inverse.sum())


def _nested(each: Array) -> Array:
    """Squared scores (m, c) of members at cuts -> weights (c, m) that only cuts of smaller x decide.

    Cuts are ordered from the largest x down, so that those after one lie below it; with none, all alike.
    """
    members, count = each.shape
    found = np.full((count, members), 1.0 / members)
    for i in range(count - 1):
        found[i] = _shares(np.sqrt(each[:, i + 1 :].mean(axis=1)))
    return found


def _error_model(ahead: Array, missed: Array) -> tuple[float, float]:
    """(noise, growth) of errors (k,) of ln y at ln ratios (k,): squares regressed on squares, both >= 0."""
    design = np.column_stack([np.ones(len(ahead)), ahead**2])
    constant, slope = optimize.nnls(design, missed**2)[0]
    return float(np.sqrt(constant)), float(np.sqrt(slope))


def _calibration(where: Cuts, missed: Array) -> tuple[Calibration, ...]:
    """How often intervals that only smaller runs made held the larger; missed (c, n), NaN if not judged."""
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


def average(view: View, options: Options) -> Averaged | None:
    """Rolling extrapolation of all members on `view`, and the weights that follow; None without a member."""
    laws = eligible(view)
    if not laws:
        return None
    where = cuts(view)
    if not len(where.at):
        equal = 1.0 / (2 * len(laws))
        members = tuple(Member(law.name, recent, equal, None) for recent in (False, True) for law in laws)
        return Averaged(laws, members, (), None, None, None, None, 0, ())
    missed = np.concatenate(np.stack([errors(law, view, where, options) for law in laws], axis=1))
    judged = np.isfinite(where.ahead)
    per_ratio = missed / np.maximum(where.ahead, np.log(LEAST_RATIO))
    each = np.where(judged, per_ratio**2, 0.0).sum(axis=2) / judged.sum(axis=1)
    shares = _shares(np.sqrt(each.mean(axis=1)))
    scores = [rolling.score(where.ahead, errors_of) for errors_of in missed]
    together = np.einsum("cm,mcn->cn", _nested(each), missed)
    noise, growth = _error_model(where.ahead[judged], together[judged])
    members = tuple(
        Member(law.name, recent, float(weight), score)
        for (recent, law), weight, score in zip(
            ((recent, law) for recent in (False, True) for law in laws), shares, scores, strict=True
        )
    )
    return Averaged(
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


def _whole(form: Form, view: View, z: Array, rows: Array, options: Options) -> Array:
    """ln y (r, m) at z of fits with `rows` (r, n) of weights."""
    return log_curve(form, fit_form(form, view, rows, options), z)


def _blended(form: Form, view: View, z: Array, rows: Array, options: Options) -> Array:
    """ln y (r, m) at z of recent fits with `rows` (r, n) of weights, and of whole ones as those fade."""
    keep = rolling.fading(-z)
    recent = _whole(form, view, z, rows * rolling.weights(view, np.zeros(1), recent=True), options)
    return np.asarray(keep * recent + (1.0 - keep) * _whole(form, view, z, rows, options))


def curves(found: Averaged, view: View, z: Array, weights: Array, options: Options) -> tuple[Array, Array]:
    """ln y at z (m,): the average (m,), and a draw a resample (r, m) from `weights` (1 + r, n).

    Members take turns by weight: each resample is fitted by one, so that draws spread over laws as well.
    Below x_max a recent member turns into the whole range's as its weights fade: it knows nothing of small x.
    """
    resamples = len(weights) - 1
    order = (np.arange(resamples) + 0.5) / max(1, resamples) * (1 - 1e-12)
    turn = np.searchsorted(np.cumsum(found.weights), order)
    middle, drawn = np.zeros(len(z)), np.empty((resamples, len(z)))
    for i, member in enumerate(found.members):
        form = LAWS[member.law].form
        assert form is not None
        own = np.flatnonzero(turn == i)
        rows = weights[np.r_[0, 1 + own]]
        curve = (_blended if member.recent else _whole)(form, view, z, rows, options)
        middle += member.weight * curve[0]
        drawn[own] = curve[1:]
    return middle, drawn
