"""Which cuts there are, which horizon a prediction counts at, and which laws are members: both sides."""

import numpy as np
import pytest

from isoflop.curve.forecast import average, rolling
from isoflop.curve.laws import PLAIN


def horizon_of(ratio):
    """The ratio at which a prediction at `ratio` times the largest x counts, or None."""
    found = rolling.horizons(np.log([[ratio]]), np.array([[0.5]]))
    counted = [h.ratio for h in found if h.predictions]
    assert len(counted) <= 1
    return counted[0] if counted else None


@pytest.mark.parametrize(
    ("ratio", "at"),
    [
        (1.01, 2.0),
        (2.82, 2.0),  # the root of 2 x 4 is 2.828
        (2.84, 4.0),
        (6.32, 4.0),  # of 4 x 10, 6.325
        (6.33, 10.0),
        (15.8, 10.0),  # of 10 x 25, 15.81
        (15.9, None),
        (1.0, None),
    ],
)
def test_a_prediction_counts_at_the_nearest_ratio(ratio, at):
    assert horizon_of(ratio) == at


def observed(make_observations, x):
    x = np.asarray(x, dtype=float)
    return make_observations(x, 0.5 * x**-0.2)


def test_a_cut_needs_so_many_scales_at_or_below_it(make_observations):
    x = 10.0 ** np.arange(0, 3.5, 0.5)
    for least in (3, 4, 5, 6):
        at = rolling.cuts(observed(make_observations, x), least).at
        assert len(at) == len(x) - least
    assert len(rolling.cuts(observed(make_observations, x), 7).at) == 0


@pytest.mark.parametrize(("decades", "cuts"), [(0.351, 1), (0.349, 0)])
def test_a_cut_needs_a_third_of_a_decade_below_it(make_observations, decades, cuts):
    x = np.r_[10.0 ** (decades * np.linspace(0, 1, 4)), 10.0 ** (decades + 0.1)]
    assert len(rolling.cuts(observed(make_observations, x), 4).at) == cuts


def test_there_are_eight_cuts_at_most(make_observations):
    x = 1.5 ** np.arange(12.0)
    assert len(rolling.cuts(observed(make_observations, x), 4).at) == 8
    assert len(rolling.cuts(observed(make_observations, x[:11]), 4).at) == 7


def test_the_weight_of_a_recent_fit_falls_e_fold_in_half_a_decade():
    assert rolling.fading(np.array([0.0, 1.2, 2.4])) == pytest.approx([1.0, np.exp(-1), np.exp(-2)])
    assert rolling.fading(np.array([-1.0])) == pytest.approx([1.0])


@pytest.mark.parametrize(("scales", "members"), [(4, 0), (5, 2), (6, 2), (7, 3), (8, 4)])
def test_a_law_is_a_member_with_two_scales_to_spare(make_observations, scales, members):
    # power_law_floor and m3 have three parameters, m4 five, the broken power law six.
    laws = average.eligible(observed(make_observations, 2.0 ** np.arange(scales)))
    assert [law.free_parameters for law in laws] == [3, 3, 5, 6][:members]


@pytest.mark.parametrize(("scales", "below"), [(7, 4), (9, 4), (10, 5), (12, 6), (20, 6)])
def test_half_of_the_scales_lie_below_a_cut_but_four_to_six(make_observations, scales, below, monkeypatch):
    asked = []
    monkeypatch.setattr(rolling, "cuts", lambda _, least: asked.append(least))
    average.cuts(observed(make_observations, 2.0 ** np.arange(scales)))
    assert asked == [below]


def test_weights_are_inverse_to_the_errors_beyond_a_thousandth():
    assert average._shares(np.array([0.1, 0.3])) == pytest.approx([0.75, 0.25], rel=1e-3)
    # Errors far below 0.001 do not tell laws apart: 1 / 0.001 against 1 / hypot(0.001, 0.001).
    assert average._shares(np.array([0.0, 1e-3])) == pytest.approx(
        np.array([1.0, 2**-0.5]) / (1 + 2**-0.5), rel=1e-9
    )


def test_weights_at_a_cut_come_from_the_cuts_below_it():
    each = np.array([[9.0, 0.01, 0.04], [9.0, 0.09, 0.04]])
    weights = average._nested(each)
    expected = average._shares(np.sqrt([0.025, 0.065]))
    assert weights[0] == pytest.approx(expected)
    assert weights[1] == pytest.approx([0.5, 0.5])
    assert weights[2] == pytest.approx([0.5, 0.5])


def test_the_errors_model_is_recovered():
    ahead = np.log([2.0, 3.0, 4.0, 8.0])
    missed = np.sqrt(0.1**2 + (0.2 * ahead) ** 2)
    assert average._error_model(ahead, missed) == pytest.approx((0.1, 0.2))


def test_short_extrapolations_are_judged_as_those_of_one_and_a_half(make_observations):
    """Two members, scored by hand at cuts whose points lie at ratios of 1.2 and of 8."""
    assert pytest.approx(1.5) == average.LEAST_RATIO
    points = observed(make_observations, np.r_[1.2 ** np.arange(8.0), 30.0])
    mixture = average.average(points, PLAIN)
    assert mixture is not None
    where = average.cuts(points)
    missed = np.concatenate(
        np.stack([average.errors(law, points, where, PLAIN) for law in mixture.laws], axis=1)
    )
    judged = np.isfinite(where.ahead)
    scaled = np.where(judged, missed / np.log(np.maximum(np.exp(where.ahead), 1.5)), 0.0)
    each = (scaled**2).sum(axis=2) / judged.sum(axis=1)
    assert mixture.weights == pytest.approx(average._shares(np.sqrt(each.mean(axis=1))))
