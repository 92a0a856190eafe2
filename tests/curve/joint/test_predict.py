"""Held-out rows judged by a law in several resources: below, within and above their intervals."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve import bootstrap
from isoflop.curve.joint import predict
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.joint.solve import solve

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
