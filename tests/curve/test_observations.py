import numpy as np
import pytest

from isoflop.curve import forms, observations
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
