"""The lines of optima in compute: weights by the resamples' spread, and what leaves an exponent unknown."""

import numpy as np
import pytest

from isoflop.curve.isoflop import growth
from isoflop.curve.isoflop.bias import Bias
from isoflop.curve.isoflop.budgets import Design
from isoflop.curve.isoflop.growth import FittedParabolas
from isoflop.curve.joint.rows import JointRows

LOG_BUDGET = np.log([1e3, 1e4, 1e5, 1e6, 1e7])
OPTIMA = np.array([2.0, 3.5, 4.0, 6.0, 6.5])
SPREADS = np.array([0.1, 0.4, 0.2, 0.8, 0.1])
USABLE = np.array([True, True, True, True, False])


def design(configs=40):
    rows = JointRows(np.ones((40, 1)), np.ones(40), np.arange(40) % configs, np.ones(40), ("r",) * 40, ())
    one = np.ones((5, 1))
    return Design(rows, np.repeat(np.arange(5), 8), np.ones((40, 1)), one, one, np.zeros(40), LOG_BUDGET)


def parabolas(resamples=400):
    """Normal resamples of one size about its optima; the last column is ln of the least y."""
    noise = np.random.default_rng(0).standard_normal((resamples, 5)) * SPREADS
    values = np.vstack([OPTIMA, OPTIMA + noise])
    at_vertex = np.stack([values, np.zeros_like(values)], axis=-1)
    return FittedParabolas(np.zeros((1 + resamples, 5, 3)), -0.1, values[..., None], at_vertex, 0.95)


def fitted(made, known_bias=None, usable=USABLE, configs=40):
    (line,) = growth.fit_growth(made, design(configs), usable, ("N", "y"), known_bias)
    return line


def weights_of(draws):
    spread = (np.quantile(draws, 0.75, axis=0) - np.quantile(draws, 0.25, axis=0)) ** 2
    return 1 / (spread + np.median(spread))


def test_budgets_weigh_by_the_inverse_of_their_variance_plus_the_median():
    made = parabolas()
    line = fitted(made)
    draws = made.at_vertex[1:, USABLE, 0]
    x, weights = LOG_BUDGET[USABLE] - LOG_BUDGET[USABLE].mean(), weights_of(draws)
    slope, start = np.polyfit(x, OPTIMA[USABLE], 1, w=np.sqrt(weights))
    assert line.exponent.value == pytest.approx(slope)
    assert line.value == pytest.approx(np.exp(start))
    assert line.compute == pytest.approx(np.exp(LOG_BUDGET[USABLE].mean()))
    slopes = [np.polyfit(x, row, 1, w=np.sqrt(weights))[0] for row in draws]
    low, high = np.quantile(slopes, [0.025, 0.975])
    # 40 configurations, of which the parabolas take 40 x 16 / 40 parameters: stretched by Student's t.
    assert line.exponent.interval.low < low < slope < high < line.exponent.interval.high


def test_without_resamples_all_budgets_weigh_the_same():
    made = parabolas(0)
    line = fitted(made)
    slope = np.polyfit(LOG_BUDGET[USABLE], OPTIMA[USABLE], 1)[0]
    assert line.exponent.value == pytest.approx(slope)
    assert (line.exponent.interval.low, line.exponent.interval.high) == (None, None)


def test_an_interval_holds_its_own_exponent():
    made = parabolas()
    made.at_vertex[1:, :, 0] = OPTIMA * 1.5 + 0.01 * np.random.default_rng(1).standard_normal((400, 5))
    line = fitted(made)
    assert line.exponent.interval.low == line.exponent.value < line.exponent.interval.high
    made.at_vertex[1:, :, 0] = OPTIMA * 0.5 + 0.01 * np.random.default_rng(1).standard_normal((400, 5))
    line = fitted(made)
    assert line.exponent.interval.low < line.exponent.value == line.exponent.interval.high


def test_a_resample_of_two_optima_has_no_line():
    x = np.arange(4.0)
    values = np.array([[0.0, 1, 2, 3], [0.0, 1, 2, 3]])
    two = growth._line(x, values, np.array([[1.0, 1, 0, 0], [1.0, 1, 2, 0]]))
    assert np.isnan(two[0]).all()
    assert two[1] == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("unknown", [None, 1, 4])
def test_the_bias_is_that_of_lines_of_equal_weights(unknown):
    by_parabolas, by_law = OPTIMA[:, None] + 0.1, (0.5 * LOG_BUDGET + [0.0, 0.1, 0.0, -0.2, 0.0])[:, None]
    if unknown is not None:
        by_law[unknown] = np.nan
    made = parabolas()
    line = fitted(made, Bias("chinchilla", by_parabolas, by_law))
    if unknown == 1:
        assert line.bias is None
        return
    weights = np.sqrt(weights_of(made.at_vertex[1:, USABLE, 0]))
    expected = [np.polyfit(LOG_BUDGET[:4], side[:4, 0], 1, w=weights)[0] for side in (by_parabolas, by_law)]
    assert (line.bias.by_parabolas, line.bias.by_law) == pytest.approx(tuple(expected))
