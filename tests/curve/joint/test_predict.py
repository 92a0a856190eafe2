"""Held-out rows judged by a law in several resources: below, within and above their intervals."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve import bootstrap
from isoflop.curve.joint import predict
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.joint.solve import estimate, solve
from isoflop.curve.laws import ReportedParameter

N, D = (side.ravel() for side in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 1e11, 6)))


def law(n, d):
    return 1.7 + 400 * n**-0.34 + 410 * d**-0.28


def solved(resamples=60, noise=0.01):
    y = law(N, D) * np.exp(noise * np.random.default_rng(0).standard_normal(len(N)))
    rows = held(np.column_stack([N, D]), y)
    return solve(JOINT_LAWS["chinchilla"], rows, ("N", "D"), "loss", resamples=resamples, seed=0)


def held(x, y):
    names = tuple(f"h{i}" for i in range(len(y)))
    return JointRows(np.array(x), np.array(y), np.arange(len(y)), None, names, ())


def test_rows_below_within_and_above_the_interval_are_told_apart():
    made = solved()
    at = np.array([[1e7, 1e9], [1e8, 1e10], [1e9, 1e11], [2e9, 2e11]])
    predicted, ends = predict.new_runs(made, at)
    np.testing.assert_allclose(predicted, law(*at.T), rtol=0.03)
    assert (ends[:, 0] < predicted).all()
    assert (predicted < ends[:, 1]).all()
    low, high = ends[:, 0] * 0.999, ends[:, 1] * 1.001
    y = np.array([low[0], predicted[1], high[2], ends[3, 1]])
    judged = predict.judge(made, held(at, y))
    assert judged.inside == 2, "an end belongs to the interval"
    assert judged.log_rmse == pytest.approx(np.sqrt(np.mean(np.log(y / predicted) ** 2)))
    assert [(r.row, r.y, r.predicted, r.low, r.high) for r in judged.rows] == [
        (f"h{i}", y[i], predicted[i], *ends[i]) for i in range(4)
    ]
    assert predict.judge(made, held(np.empty((0, 2)), [])) is None


def test_without_resamples_there_is_no_interval_to_lie_in():
    judged = predict.judge(solved(resamples=0), held([[1e7, 1e9]], [2.0]))
    assert judged.inside is None
    assert (judged.rows[0].low, judged.rows[0].high) == (None, None)


def test_the_interval_of_a_new_run_holds_the_residuals_widened_by_the_freedom_of_the_fit():
    """Resamples that all are the sample: what is left are its residuals, over 36 configurations less 5."""
    made = solved()
    residual = made.fitted.residual + 0.3  # a mean that is no part of a run's noise
    same = np.repeat(made.fitted.parameters[:1], 4001, axis=0)
    exact = dataclasses.replace(
        made, fitted=dataclasses.replace(made.fitted, parameters=same, residual=residual), resamples=4000
    )
    predicted, ends = predict.new_runs(exact, np.array([[1e7, 1e9]]))
    noise = (residual - residual.mean()) * np.sqrt(36 / 31)
    drawn = np.random.default_rng(made.seed + 1).choice(noise, (4000, 1))
    low, high = bootstrap.interval(drawn, 36, 5, level=0.95)
    np.testing.assert_allclose(np.log(ends[0] / predicted[0]), [low[0], high[0]], rtol=1e-9)


def draws_of(*values, least=-np.inf):
    return ReportedParameter("a", np.array(values), "decades", least=least)


def test_an_estimate_holds_its_own_value_and_ends_at_its_least():
    inside = estimate(draws_of(2.0, *np.linspace(1.0, 3.0, 101)), 20, 3)
    assert inside.value == 2.0
    ends = bootstrap.interval(np.linspace(1.0, 3.0, 101), 20, 3, logarithm=True, level=0.95)
    assert (inside.interval.low, inside.interval.high) == pytest.approx(tuple(ends))
    above = estimate(draws_of(9.0, *np.linspace(1.0, 3.0, 101)), 20, 3)
    assert above.interval.high == 9.0
    below = estimate(draws_of(0.5, *np.linspace(1.0, 3.0, 101)), 20, 3)
    assert below.interval.low == 0.5
    floored = estimate(draws_of(0.1, *np.linspace(-1.0, 1.0, 101), least=0.0), 20, 3)
    assert floored.interval.low == 0.0
    assert (inside.name, inside.unit) == ("a", "decades")


def test_an_end_beyond_ten_to_two_hundred_is_open_and_few_configurations_have_none():
    wide = np.r_[5.0, np.full(50, 1.0), np.full(51, 1e250)]
    assert estimate(draws_of(*wide), 20, 3).interval.high is None
    near = np.r_[5.0, np.full(50, 1.0), np.full(51, 9e150)]
    assert estimate(draws_of(*near), 20, 3).interval.high is not None
    few = estimate(draws_of(2.0, *np.linspace(1.0, 3.0, 101)), 3, 3)
    assert (few.interval.low, few.interval.high) == (None, None)
    alone = estimate(draws_of(2.0), 20, 3)
    assert (alone.interval.low, alone.interval.high) == (None, None)


def test_draws_above_zero_have_their_interval_on_a_logarithmic_scale():
    """The same draws and their logarithms: the ends are those of the logarithms."""
    logs = np.random.default_rng(0).standard_normal(400)
    of_logs = estimate(draws_of(0.1, *logs), 20, 3).interval
    of_powers = estimate(draws_of(np.exp(0.1), *np.exp(logs)), 20, 3).interval
    assert np.log([of_powers.low, of_powers.high]) == pytest.approx([of_logs.low, of_logs.high])
