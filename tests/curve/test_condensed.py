"""Fits on nodes of ln x against fits to every point, on the same resamples."""

import numpy as np
import pytest

from isoflop.curve import bootstrap, condensed, fixed, points, predict, solver
from isoflop.curve.condensed import Resamples
from isoflop.curve.laws import LAWS, PLAIN, Axes
from isoflop.curve.robust import fit_condensed, problem_of

Z = np.log([1e-5, 1e-3, 0.03, 1.0, 10.0])


def _noisy(make_observations, points, *, trials=None, tails=False):
    """Points on 0.05 + 0.6 x^-0.3 over five decades with 5% noise, of Student's t with tails."""
    generator = np.random.default_rng(points)
    noise = generator.standard_t(3, points) if tails else generator.standard_normal(points)
    x = np.sort(10 ** generator.uniform(0, 5, points))
    y = (0.05 + 0.6 * x**-0.3) * np.exp(0.05 * noise)
    if trials is not None:
        y = generator.binomial(trials, np.minimum(y, 0.9)) / trials
    return make_observations(x, y, trials=trials)


def _direct(law, observed, weights, monkeypatch):
    """Parameters of every resample fitted to all points."""
    with monkeypatch.context() as patched:
        patched.setattr(condensed, "MOST_NODES", 10**9)
        return LAWS[law].fit(observed, weights, PLAIN, None)


@pytest.mark.parametrize("trials", [None, 10_000])
@pytest.mark.parametrize("tails", [False, True])
@pytest.mark.parametrize(
    ("law", "most", "of_width"),
    [("power_law", 0.05, 0.04), ("power_law_floor", 0.02, 0.04), ("m3", 0.05, 0.04), ("m4", 0.3, 0.06)],
)
def test_each_resample_has_the_curve_of_a_fit_to_every_point(
    make_observations, monkeypatch, law, most, of_width, tails, trials
):
    """Draws agree one by one, far within their spread, and the ends of intervals within their Monte Carlo
    standard error, 4% of the width with 300 resamples (m4, with a k in doubt: 1.5 of it)."""
    observed = _noisy(make_observations, 100, tails=tails, trials=trials)
    weights = bootstrap.resample(100, 300, np.random.default_rng(1))
    direct = LAWS[law].log_predict(_direct(law, observed, weights, monkeypatch), Z)
    fast = LAWS[law].log_predict(LAWS[law].fit(observed, weights, PLAIN, None), Z)
    np.testing.assert_allclose(fast[0], direct[0], rtol=1e-9)
    away = np.abs(fast - direct)[1:] / direct[1:].std(axis=0)
    assert np.quantile(away, 0.95) < most
    ends = np.quantile(direct[1:], [0.025, 0.975], axis=0), np.quantile(fast[1:], [0.025, 0.975], axis=0)
    assert np.all(np.abs(ends[1] - ends[0]) < of_width * np.ptp(ends[0], axis=0))


def test_the_second_round_removes_the_error_of_the_first(make_observations, monkeypatch):
    observed = _noisy(make_observations, 60)
    weights = bootstrap.resample(60, 100, np.random.default_rng(1))
    form, one = LAWS["power_law_floor"].form, weights[:1]
    problem = problem_of(form, observed, one, PLAIN)
    sample = solver.solve(problem, one, solver.FINE)[0]
    resamples = Resamples(weights[1:], np.arange(60))
    direct = _direct("power_law_floor", observed, weights, monkeypatch)[1:]
    errors = [
        np.median(np.abs(condensed.resample(problem, sample, resamples, None, again) - direct), axis=0)
        for again in (None, problem)
    ]
    assert np.all(errors[1] < 0.2 * errors[0])


@pytest.mark.parametrize("law", ["power_law", "power_law_floor"])
def test_with_many_points_the_sample_is_the_optimum_of_all_points(make_observations, monkeypatch, law):
    # The noise is estimated by coarse fits, which end up to a millionth away from each other.
    monkeypatch.setattr(solver, "COARSE", solver.Effort(1e-9, 1e-14, 60))
    one = np.ones((1, 2100))
    fast = LAWS[law].fit(_noisy(make_observations, 2100), one, PLAIN, None)
    monkeypatch.setattr(condensed, "MANY", 10**9)
    direct = _direct(law, _noisy(make_observations, 2100), one, monkeypatch)
    curves = [LAWS[law].log_predict(parameters, Z) for parameters in (fast, direct)]
    np.testing.assert_allclose(curves[0], curves[1], rtol=0, atol=1e-7)


def test_signs_are_flipped_on_the_nodes_as_on_all_points(make_table, monkeypatch):
    x = np.geomspace(1, 1e5, 80)

    chosen = points.select(
        make_table(x, 0.05 + 0.6 * x**-0.3, noise=0.05).drop(columns="test_n"), "train_gflops", "test_error"
    )
    sample = predict.resample(chosen, 100, 3, wild=True)
    law = LAWS["power_law_floor"]
    fast = law.log_predict(sample.fit(law, PLAIN), Z)
    monkeypatch.setattr(condensed, "MOST_NODES", 10**9)
    direct = law.log_predict(sample.fit(law, PLAIN), Z)
    assert np.quantile(np.abs(fast - direct)[1:] / direct[1:].std(axis=0), 0.95) < 0.02


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("power_law", (("b", 0.25),)),
        ("power_law_floor", (("E", 0.0),)),
        ("power_law_floor", (("E", 0.04),)),
        ("power_law_floor", (("b", 0.3),)),
        ("m3", (("x_0", 1e6),)),
        ("m4", (("e0", 0.9), ("k", 1.0))),
        ("broken_power_law", (("d", 100.0), ("f", 1.0))),
    ],
)
def test_held_parameters_are_held_on_the_nodes_as_on_all_points(make_table, monkeypatch, name, fix, wild):
    x = np.geomspace(1, 1e5, 60)
    table = make_table(x, 0.05 + 0.6 * x**-0.3, noise=0.05).drop(columns="test_n")
    chosen = points.select(table, "train_gflops", "test_error")
    sample = predict.resample(chosen, 100, 3, wild=wild)
    (law,) = fixed.laws([LAWS[name]], fix, sample.observations, None)
    axes = Axes(np.log(1e5), "x", "y")

    def fitted():
        parameters = sample.fit(law, PLAIN)
        for each in law.describe(parameters, axes):
            if each.name in dict(fix):
                np.testing.assert_array_equal(each.draws, dict(fix)[each.name])
        return parameters

    fast = fitted()
    assert fast.shape == (101, 1 + len(LAWS[name].form.names))
    monkeypatch.setattr(condensed, "MOST_NODES", 10**9)
    direct = fitted()
    np.testing.assert_allclose(fast[0], direct[0], rtol=1e-7, atol=1e-9)
    fast, direct = (law.log_predict(parameters, Z) for parameters in (fast, direct))
    assert np.quantile(np.abs(fast - direct)[1:] / direct[1:].std(axis=0), 0.95) < 0.1


def test_nodes_share_out_linear_functions_exactly():
    v = np.sort(np.random.default_rng(0).uniform(0, 10, 500))
    at = condensed.nodes(v)
    assert len(at.v) <= condensed.MOST_NODES
    sums = at.of_units(np.ones(500), np.arange(500) % 3, 3)
    for unit in range(3):
        own = v[np.arange(500) % 3 == unit]
        assert sums[unit].sum() == pytest.approx(len(own))
        assert sums[unit] @ at.v == pytest.approx(own.sum())


def test_few_distinct_scales_are_nodes_themselves():
    v = np.repeat(np.linspace(0, 3, 7), 20)
    at = condensed.nodes(v)
    np.testing.assert_array_equal(at.v, np.linspace(0, 3, 7))
    np.testing.assert_allclose(at.of_units(np.ones(140), np.zeros(140, dtype=int), 1), 20.0)


def test_blocks_spread_as_configurations_do(make_observations, monkeypatch):
    """Of a power law, whose standard error is known: residual deviation over root of the sum of squares."""
    monkeypatch.setattr(bootstrap, "MOST_UNITS", 500)
    observed = _noisy(make_observations, 4000)
    block, blocks = bootstrap.blocks(4000, 0)
    assert (blocks, np.bincount(block).tolist()) == (500, [8] * 500)
    line = make_observations(
        observed.x, 0.6 * observed.x**-0.3 * np.exp(observed.log_y - np.log(0.05 + 0.6 * observed.x**-0.3))
    )
    draws = bootstrap.resample(blocks, 600, np.random.default_rng(2))
    parameters = fit_condensed(LAWS["power_law"].form, line, Resamples(draws, block), PLAIN)
    expected = 0.05 / np.sqrt(0.95 * np.sum((line.v - line.v.mean()) ** 2))
    assert parameters[1:, 1].std() == pytest.approx(expected, rel=0.1)
