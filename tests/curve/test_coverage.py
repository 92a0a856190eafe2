"""Do the 95% intervals hold the truth about as often as they say? A small, seeded simulation."""

import numpy as np
import pytest

from isoflop.curve import bootstrap
from isoflop.curve.laws import LAWS, PLAIN
from isoflop.curve.view import View

RESAMPLES = 150


@pytest.mark.parametrize(
    ("law", "configs", "e", "simulations"), [("polynomial", 8, 0.0, 300), ("power_floor", 12, 0.05, 60)]
)
def test_the_interval_of_the_curve_at_x_max_covers_the_truth(law, configs, e, simulations):
    generator = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, configs)
    z = np.log(x / x.max())
    truth = e + 0.6 * x**-0.3
    covered = narrow = 0
    for _ in range(simulations):
        y = truth * np.exp(0.04 * generator.standard_normal(configs))
        counts, _ = bootstrap.resample(np.eye(configs, dtype=bool), RESAMPLES, generator)
        view = View(x, y, np.arange(configs), np.ones(configs), None, None)
        parameters = LAWS[law].fit(view, np.vstack([np.ones(configs), counts]), PLAIN, None)
        curve = LAWS[law].predict(parameters, z[-1:])[1:, 0]
        low, high = bootstrap.interval(curve, configs, LAWS[law].free_parameters)
        covered += low <= truth[-1] <= high
        plain = np.quantile(curve, [0.025, 0.975])
        narrow += plain[0] <= truth[-1] <= plain[1]
    standard_error = np.sqrt(0.95 * 0.05 / simulations)
    assert abs(covered / simulations - 0.95) < 0.02 + 2 * standard_error
    assert narrow < covered
