import itertools

import numpy as np
import pytest
from scipy import stats

from isoflop.curve.misfit import runs


@pytest.mark.parametrize("signs", ["++---+", "+++---", "+-+-+-", "++----", "+--+-+-"])
def test_probability_of_few_runs_is_that_of_counting_all_orders(signs):
    above = signs.count("+")
    orders = [
        [i in chosen for i in range(len(signs))]
        for chosen in itertools.combinations(range(len(signs)), above)
    ]
    count = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in orders]
    here = 1 + sum(a != b for a, b in itertools.pairwise(signs))
    residual = np.array([1.0 if sign == "+" else -1.0 for sign in signs])
    assert runs.runs_p(residual) == pytest.approx(np.mean(np.array(count) <= here))


def test_signs_almost_all_alike_make_no_test():
    assert runs.runs_p(np.array([1.0, 1, 1, 1, -1])) is None
    assert runs.runs_p(np.array([1.0, 1, 1, -1, -1])) is not None


def test_rolling_errors_of_a_straight_line_are_students_t():
    rng = np.random.default_rng(0)
    x = np.linspace(0, 7, 12)
    design = np.column_stack([np.ones(12), x])
    p = [runs.rolling_p(1 - 0.3 * x + 0.05 * rng.standard_normal(12), design) for _ in range(400)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    bent = [runs.rolling_p(0.05 * (x - 3.5) ** 2 + 0.05 * rng.standard_normal(12), design) for _ in range(50)]
    assert np.mean(np.array(bent) < 0.05) > 0.8


def test_rolling_needs_three_errors():
    x = np.linspace(0, 1, 4)
    assert runs.rolling_p(x**2, np.column_stack([np.ones(4), x])) is None
