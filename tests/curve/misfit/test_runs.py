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


def test_many_signs_are_judged_by_the_normal_limit(monkeypatch):
    residual = np.random.default_rng(1).standard_normal(280)
    exact = runs.runs_p(residual)
    monkeypatch.setattr(runs, "MOST_COUNTED", 100)
    assert runs.runs_p(residual) == pytest.approx(exact, abs=0.003)


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


def test_recursive_residuals_are_those_of_refitting():
    rng = np.random.default_rng(2)
    x = np.sort(rng.uniform(0, 7, 9))
    y, design = 1 - 0.3 * x + rng.standard_normal(9), np.column_stack([np.ones(9), x])
    errors = []
    for i in range(2, 9):
        line = np.linalg.lstsq(design[:i], y[:i], rcond=None)[0]
        leverage = design[i] @ np.linalg.inv(design[:i].T @ design[:i]) @ design[i]
        errors.append((y[i] - design[i] @ line) / np.sqrt(1 + leverage))
    expected = stats.ttest_1samp(errors, 0.0).pvalue
    assert runs.rolling_p(y, design) == pytest.approx(expected, rel=1e-9)


def test_first_points_that_all_but_coincide_are_no_trouble():
    rng = np.random.default_rng(3)
    x = np.r_[np.linspace(0, 1e-9, 6), np.linspace(1, 7, 30)]
    p = runs.rolling_p(-0.3 * x + 0.05 * rng.standard_normal(36), np.column_stack([np.ones(36), x]))
    assert 0 < p <= 1


def test_rolling_needs_three_errors():
    x = np.linspace(0, 1, 4)
    assert runs.rolling_p(x**2, np.column_stack([np.ones(4), x])) is None
