import dataclasses

import numpy as np
import pytest

from isoflop.curve import forms, observations, solver
from isoflop.curve.laws import PLAIN, problem_of

X = np.geomspace(1, 1e5, 200)
TRUTH = 0.03 + 0.6 * X**-0.4


def _spread(points):
    return observations.spread(points, forms.POWER_LAW_FLOOR, np.ones((1, len(points.x))), None)


def test_the_deviation_of_plain_points_is_their_noise(make_observations):
    y = TRUTH * np.exp(0.05 * np.random.default_rng(0).standard_normal(200))
    spread = _spread(make_observations(X, y))
    np.testing.assert_allclose(spread.deviation, spread.deviation[0])
    assert spread.deviation[0] == pytest.approx(0.05, rel=0.15)
    assert spread.threshold == pytest.approx(1.345, rel=0.15)


def test_counting_noise_alone_is_judged_by_the_binomial_and_widest_where_errors_are_few(make_observations):
    count = np.random.default_rng(1).binomial(2000, TRUTH)
    points = make_observations(X, count / 2000, trials=2000)
    spread = _spread(points)
    expected = np.sqrt((1 - TRUTH) / (2000 * TRUTH))
    assert np.median(spread.deviation / expected) == pytest.approx(1, abs=0.2)
    assert spread.deviation[-1] > 2 * spread.deviation[0]


def test_noise_beyond_counting_is_separated_from_it(make_observations):
    generator = np.random.default_rng(2)
    y = TRUTH * np.exp(0.15 * generator.standard_normal(200))
    points = make_observations(X, generator.binomial(10000, np.minimum(y, 0.95)) / 10000, trials=10000)
    spread = _spread(points)
    assert np.median(spread.deviation) == pytest.approx(0.15, rel=0.2)


def test_points_without_any_noise_keep_a_finite_spread(make_observations):
    spread = _spread(make_observations(X, TRUTH))
    assert np.all(spread.deviation > 0)
    assert np.isfinite(spread.threshold)
    one = np.ones((1, 200))
    assert np.isfinite(problem_of(forms.POWER_LAW_FLOOR, make_observations(X, TRUTH), one, PLAIN).threshold)


def test_a_spread_is_found_once_a_view_form_and_weights(make_observations):
    points = make_observations(X, TRUTH * np.exp(0.05 * np.random.default_rng(0).standard_normal(200)))
    one = np.ones((1, 200))
    first = observations.spread(points, forms.POWER_LAW_FLOOR, one, None)
    assert observations.spread(points, forms.POWER_LAW_FLOOR, one.copy(), None) is first
    others = (
        observations.spread(points, forms.POWER_LAW, one, None),
        observations.spread(points, forms.POWER_LAW_FLOOR, np.linspace(0.5, 1, 200)[None], None),
        observations.spread(points, forms.POWER_LAW_FLOOR, one, -3.0),
    )
    assert all(other is not first for other in others)
    assert others[0].deviation[0] > first.deviation[0]


def test_0_errors_have_a_place_at_half_an_error(make_observations):
    points = make_observations([1, 10, 100], [0.5, 0.1, 0.0], trials=99)
    assert np.exp(points.log_y[2]) == pytest.approx(0.5 / 100)
    assert len(points.positive.x) == 2
    assert len(points.positive.trials) == 2
    assert points.v.tolist() == pytest.approx([np.log(100), np.log(10), 0])


def test_spread_tells_seeds_from_counting(make_observations):
    """Points that scatter as binomial counts do are weighed so; those that scatter less are not."""
    generator = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 200)
    truth = 0.5 * x**-0.5
    one = np.ones((1, 200))
    counted = generator.binomial(4000, truth) / 4000
    sure = truth * np.exp(0.003 * generator.standard_normal(200))
    shares = []
    for y in (counted, sure):
        at = make_observations(x, y, trials=4000)
        deviation = observations.spread(at, forms.POWER_LAW, one, None).deviation
        shares.append(deviation[-1] / np.sqrt(at.binomial_variance()[-1]))
    assert shares[0] == pytest.approx(1.0, abs=0.2)
    assert shares[1] < 0.15


def test_the_binomial_variance_is_that_of_a_counted_share():
    shares = np.array([0.2, 0.5, 1.0, 1.2])
    np.testing.assert_allclose(observations.binomial(shares, 100.0), [0.04, 0.01, 0.0, 0.0])
    np.testing.assert_allclose(observations.binomial(shares[:2], np.array([50.0, 200.0])), [0.08, 0.005])


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_noise_of_a_quantile_is_the_check_loss_with_its_derivatives(make_observations, quantile):
    """Half the square of the error times the slope of its side, in units of the residuals' spread."""
    y = TRUTH * np.exp(0.05 * np.random.default_rng(0).standard_normal(200))
    points, one = make_observations(X, y), np.ones((1, 200))
    judge, threshold = observations.quantile_noise(points, forms.POWER_LAW_FLOOR, one, quantile)
    assert threshold == pytest.approx(0.1 * min(quantile, 1 - quantile))
    rows = np.zeros(1, dtype=np.intp)
    law = points.log_y[None] + np.linspace(-0.2, 0.2, 200)[None]
    value, pull, curvature = judge(law, rows)
    unit = np.sqrt(quantile**2 / curvature[0, 0])
    assert unit == pytest.approx(0.05, rel=0.15), "points above the law have the slope `quantile`"
    error = (points.log_y[None] - law) / unit
    slope = np.where(error > 0, quantile, 1 - quantile)
    np.testing.assert_allclose(value, 0.5 * (slope * error) ** 2)
    step = 1e-6
    above, below = (judge(law + sign * step, rows)[0] for sign in (1, -1))
    np.testing.assert_allclose(-pull, (above - below) / (2 * step), rtol=1e-4, atol=1e-6)
    more, less = (judge(law + sign * step, rows)[1] for sign in (1, -1))
    np.testing.assert_allclose(curvature, -(more - less) / (2 * step), rtol=1e-6)


def test_without_counts_the_misfit_is_the_robust_variance_over_the_freedom():
    residual = np.array([-0.3, -0.1, 0.05, 0.1, 0.2, 9.0])
    seeds = np.full(6, 1e-3)
    middle = (1.4826 * np.median(np.abs(residual))) ** 2 * 6 / 4
    misfit, share = observations.components(residual, 2, seeds, np.zeros(6))
    assert (misfit, share) == (pytest.approx(middle - 1e-3, rel=1e-4), 0.0)
    # A fit of as many parameters as points has no freedom: one is counted.
    many, _ = observations.components(residual, 6, np.zeros(6), np.zeros(6))
    assert many == pytest.approx(middle * 4, rel=1e-4)
    least, _ = observations.components(residual, 2, np.full(6, 1e6), np.zeros(6))
    assert least == solver.LEAST_SPREAD**2


def test_counts_and_seeds_are_told_from_the_misfit():
    """Squares that are exactly 4e-4 + seeds + half of the binomial variance, with both signs."""
    counting = np.geomspace(1e-4, 1e-2, 400)
    seeds = np.full(400, 2e-4)
    residual = np.sqrt(4e-4 + seeds + 0.5 * counting) * np.tile([1, -1], 200)
    misfit, share = observations.components(residual, 0, seeds, counting)
    assert (misfit, share) == pytest.approx((4e-4, 0.5), rel=0.02)
    wide = residual * np.sqrt(2.5)
    assert observations.components(wide, 0, seeds, counting)[1] == 1.0, "a count scatters by no more"
    calm = np.full(400, 1e-9)
    least = observations.components(calm, 0, np.zeros(400), counting)
    assert least == (solver.LEAST_SPREAD**2, pytest.approx(0.0, abs=1e-12))


def test_views_keep_what_belongs_to_their_points(make_observations):
    points = make_observations([1, 10, 100], [0.5, 0.1, 0.2], trials=99)
    taken = dataclasses.replace(points, seed_variance=0.01).take(np.array([True, False, True]))
    assert (taken.x.tolist(), taken.y.tolist(), taken.config.tolist()) == ([1, 100], [0.5, 0.2], [0, 2])
    assert (taken.repeats.tolist(), taken.trials.tolist(), taken.seed_variance) == ([1, 1], [99, 99], 0.01)
