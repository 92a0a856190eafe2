"""The test of a constraint: its statistic, what makes it impossible, and the noise it is judged by."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve import observations, solver
from isoflop.curve.compare import arms, hypotheses, models, pairing
from isoflop.curve.compare.arms import ArmRuns
from isoflop.curve.forms import POWER_LAW, POWER_LAW_FLOOR
from isoflop.curve.observations import Observations


def power(x):
    return x**-0.3


def units_of(*tables):
    chosen = [
        arms.select(ArmRuns(name, table, "train_gflops", "test_loss"), least_energy_grade="C", mixed=False)
        for name, table in zip(("old", "new"), tables, strict=True)
    ]
    return pairing.units(*chosen)


def judged(units, bootstraps=60, generator=None):
    both = hypotheses.sample(units, POWER_LAW)
    free = models.apart(both, POWER_LAW)
    generator = generator or np.random.default_rng(0)
    return hypotheses.test("same", models.one_exponent(both), free, both, units, bootstraps, generator)


def test_the_statistic_is_the_rise_of_the_loss_over_the_least_loss():
    found = hypotheses._statistic(np.array([1.5, 1.0, 0.9]), np.array([1.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [0.5, 0.0, 0.0])
    assert hypotheses._statistic(np.array([1.0]), np.array([0.0]))[0] > 1e200, "no division by 0"


def test_it_is_the_f_statistic_of_two_slopes_over_their_freedom(sweep):
    """Power laws of ten points each, noise of equal size: (R0 - R1) / R1 of two lines by least squares."""
    units = units_of(
        sweep(power, seed=0, sizes=10, seeds=1), sweep(lambda x: x**-0.32, seed=1, sizes=10, seeds=1)
    )
    both = hypotheses.sample(units, POWER_LAW)
    both = dataclasses.replace(both, deviation=np.full(20, 0.02), threshold=1e3)
    found = hypotheses.test(
        *("same", models.one_exponent(both), models.apart(both, POWER_LAW), both, units, 10),
        np.random.default_rng(0),
    )
    u = -both.v
    arm = both.arm
    two_lines = np.column_stack([arm, 1 - arm, u * arm, u * (1 - arm)])
    one_slope = np.column_stack([arm, 1 - arm, u])
    r1, r0 = (np.linalg.lstsq(design, both.log_y, rcond=None)[1][0] for design in (two_lines, one_slope))
    assert found.statistic == pytest.approx((r0 - r1) / r1, rel=1e-3)


class _Constant:
    """A generator whose every choice is the value of the list that is named."""

    def __init__(self, index):
        self.index = index
        self.choices = np.zeros(0)

    def choice(self, values, size):
        self.choices = np.sort(np.asarray(values))
        return np.full(size, np.asarray(values)[self.index])


def test_weights_are_webbs_and_samples_that_equal_the_data_count_in_p(sweep):
    """With every weight 1 each bootstrap sample is the sample itself: all reach the statistic."""
    units = units_of(sweep(power, seed=0), sweep(lambda x: x**-0.35, seed=1))
    one = _Constant(4)
    found = judged(units, 30, one)
    np.testing.assert_allclose(one.choices**2, [1.5, 1.0, 0.5, 0.5, 1.0, 1.5])
    assert one.choices.sum() == pytest.approx(0.0)
    assert (found.p, found.bootstraps, found.reason) == (1.0, 30, None)


def test_the_least_p_is_one_over_the_samples_and_the_data(sweep):
    units = units_of(sweep(power, seed=0, noise=1e-3), sweep(lambda x: x**-0.6, seed=1, noise=1e-3))
    assert judged(units, 60).p == pytest.approx(1 / 61)


@pytest.mark.parametrize(("count", "able"), [(2, False), (3, True)])
def test_units_must_be_more_than_half_of_the_parameters(sweep, count, able):
    """Two power laws have four parameters."""
    units = units_of(sweep(power, seed=0), sweep(power, seed=1))
    unit = tuple(each % count for each in units.unit)
    found = judged(dataclasses.replace(units, unit=unit, count=count), 10)
    assert (found.p is not None) == able
    assert able or found.reason == "30 points for 4 parameters"
    assert able or found.bootstraps == 0


def points(x, y, trials=None):
    return Observations(x, y, np.arange(len(x)), np.ones(len(x)), trials, None)


def test_arms_of_few_points_share_one_misfit():
    """It is estimated from the residuals about both lines, beside the variance of seeds and of counts."""
    generator = np.random.default_rng(3)
    x = np.geomspace(1, 1e3, 7)
    both = tuple(
        dataclasses.replace(
            points(x, 0.5 * x**-0.1 * np.exp(size * generator.standard_normal(7)), np.full(7, 1e4)),
            seed_variance=variance,
        )
        for size, variance in ((0.05, 1e-4), (0.06, None))
    )
    deviation, threshold = hypotheses._pooled(both, POWER_LAW)
    line = [np.polyval(np.polyfit(np.log(x), each.log_y, 1), np.log(x)) for each in both]
    residual = np.concatenate([each.log_y - at for each, at in zip(both, line, strict=True)])
    by_seeds = np.repeat([1e-4, 0.0], 7)
    counting = np.concatenate([each.binomial_variance() for each in both])
    misfit, share = observations.components(residual, 4, by_seeds, counting)
    np.testing.assert_allclose(deviation, np.sqrt(misfit + by_seeds + share * counting), rtol=0.04)
    assert threshold == pytest.approx(solver.threshold_of(residual / deviation, least=0.5), rel=0.08)


@pytest.mark.parametrize(("few", "form"), [(4, POWER_LAW), (5, POWER_LAW_FLOOR)])
def test_a_floor_is_fitted_for_the_noise_from_five_points_on(monkeypatch, few, form):
    seen = []
    solve = solver.solve

    def watched(problem, *rest):
        seen.append(problem.form)
        return solve(problem, *rest)

    monkeypatch.setattr(solver, "solve", watched)
    x = np.geomspace(1, 1e3, few)
    y = 0.1 + x**-0.3 * np.exp(0.02 * np.random.default_rng(0).standard_normal(few))
    hypotheses._pooled((points(x, y), points(x, y)), POWER_LAW_FLOOR)
    assert set(seen) == {form}


@pytest.mark.parametrize(("fewest", "pooled"), [(7, True), (8, False)])
def test_from_eight_points_on_each_arm_has_its_own_noise(sweep, fewest, pooled):
    quiet, loud = (
        sweep(power, seed=i, sizes=size, seeds=1, noise=noise)
        for i, (size, noise) in enumerate([(fewest, 0.01), (9, 0.1)])
    )
    both = hypotheses.sample(units_of(quiet, loud), POWER_LAW)
    first, second = both.deviation[:fewest], both.deviation[fewest:]
    assert (first.mean() == pytest.approx(second.mean())) == pooled
    if not pooled:
        own = observations.spread(units_of(quiet, loud).observed[0], POWER_LAW, np.ones((1, fewest)), None)
        np.testing.assert_allclose(first, own.deviation)
    assert both.arm.tolist() == [0.0] * fewest + [1.0] * 9
    # v is measured from the largest x of both.
    assert both.v[0] == pytest.approx(np.log(1e3))
    assert min(both.v) == 0.0
