import numpy as np
import pytest

from isoflop.curve import forms, frontier, solver
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.forecast import members, rolling
from isoflop.curve.laws import LAWS, PLAIN

ROBUST = ("power_law_floor", "m3", "m4", "broken_power_law")
X = np.geomspace(1, 1e4, 20)
Y = 0.03 + 0.6 * X**-0.35


def noisy(seed=0, noise=0.03):
    return Y * np.exp(noise * np.random.default_rng(seed).standard_normal(20))


def test_what_lies_above_a_cut_is_never_looked_at(make_observations):
    y = noisy()
    where = rolling.usual_cuts(make_observations(X, y))
    changed = y.copy()
    lowest = where.at.max()
    above = np.log(X.max() / X) < lowest - 2e-3
    changed[above] *= 3.0
    last = int(where.at.argmax())
    for law in ROBUST:
        one, other = (
            rolling.predict(LAWS[law].form, make_observations(X, values), where.at, None, np.zeros(1))[last]
            for values in (y, changed)
        )
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_errors_are_those_of_fits_done_one_by_one(make_observations):
    y = noisy()
    at = make_observations(X, y)
    where = rolling.usual_cuts(at)
    batched = rolling.errors(LAWS["power_law_floor"], at, where, PLAIN)
    for cut, row in zip(where.at, batched, strict=True):
        below = np.log(X.max() / X) >= cut - 1e-3
        log_y = np.log(y[below])[None]
        part = solver.Problem(
            forms.POWER_LAW_FLOOR, np.log(X[below].max() / X[below]), log_y, solver.log_error(log_y)
        )
        alone = solver.solve(part, np.ones((1, int(below.sum()))), solver.FINE)[0]
        curve = LAWS["power_law_floor"].log_predict(alone, np.log(X / X[below].max()))[0]
        judged = np.isfinite(row)
        assert judged.any()
        assert not judged[below].any()
        np.testing.assert_allclose(row[judged], (curve - np.log(y))[judged], atol=0.02)


def test_the_forecast_finds_the_law_and_says_how_far_it_was_tested(make_table):
    report = fit_table(
        make_table(X, Y, seeds=3, noise=0.02), method=Method(resamples=100, laws=("power_law_floor",))
    )
    made = report.forecast
    assert sum(member.weight for member in made.members) == pytest.approx(1)
    assert {member.law for member in made.members} == {each.prior.law for each in members.MEMBERS}
    assert 10 < made.tested_ratio <= np.sqrt(250) * 1.01
    assert [h.ratio for h in made.horizons] == [2.0, 4.0, 10.0]
    band = made.band
    truth = 0.03 + 0.6 * np.array(band.x) ** -0.35
    assert np.all((np.array(band.low) < truth * 1.02) & (truth < np.array(band.high) * 1.02))
    measured = np.array(band.x) <= X.max()
    assert np.abs(np.log(np.array(band.y) / truth))[measured].max() < 0.06
    order = np.stack([band.new_low, band.low, band.y, band.high, band.new_high])
    assert np.all(np.diff(order, axis=0) >= -1e-12)
    assert [c.nominal for c in made.calibration] == [0.5, 0.8, 0.95]
    assert made.calibration[0].observed <= made.calibration[2].observed


@pytest.mark.parametrize("factor", [1e9, 7.3e-4])
def test_the_unit_of_x_does_not_change_the_forecast(make_table, factor):
    table = make_table(X, noisy(), seeds=2, noise=0.02)
    scaled = table.assign(train_gflops=table["train_gflops"] * factor)
    one, other = (
        fit_table(t, method=Method(resamples=60, laws=("power_law_ols",))).forecast.band
        for t in (table, scaled)
    )
    np.testing.assert_allclose(np.array(other.x), np.array(one.x) * factor, rtol=1e-9)
    np.testing.assert_allclose(other.y, one.y, rtol=1e-9)
    np.testing.assert_allclose(other.new_high, one.new_high, rtol=1e-6)


def test_too_few_scales_make_no_forecast_but_a_reason(make_table):
    report = fit_table(
        make_table(X[::7], Y[::7], seeds=2), method=Method(resamples=60, laws=("power_law_ols",))
    )
    assert report.forecast is None
    assert "3 compute scales: a forecast needs 4" in report.forecast_reason


def _plain_frontier(mean_of, mean_x, run_y, weights):
    """Run by run: the mean of its mean's other runs below every mean that is no dearer."""
    chosen = np.zeros((len(weights), len(mean_of)), dtype=bool)
    for r, row in enumerate(weights):
        for i, own in enumerate(mean_of):
            rest = (mean_of == own) & (np.arange(len(mean_of)) != i)
            value = np.average(run_y[rest], weights=row[rest])
            rivals = [
                np.average(run_y[mean_of == q], weights=row[mean_of == q])
                for q in range(len(mean_x))
                if q != own and mean_x[q] <= 1.01 * mean_x[own]
            ]
            chosen[r, i] = all(value < other for other in rivals)
    return chosen


def test_the_cross_fitted_frontier_is_the_one_by_definition():
    generator = np.random.default_rng(3)
    mean_of = np.repeat(np.arange(12), 3)
    mean_x = generator.permutation(np.geomspace(1, 100, 12))
    mean_x[3] = 1.005 * mean_x[4]
    run_y = (mean_x**-0.3)[mean_of] * np.exp(0.2 * generator.standard_normal(36))
    weights = np.vstack([np.ones(36), generator.exponential(size=(6, 36))])
    expected = _plain_frontier(mean_of, mean_x, run_y, weights)
    enough = [len(set(mean_of[row])) >= frontier.LEAST_MEANS for row in expected]
    chosen = frontier.select(mean_of, mean_x, run_y, weights)
    assert sum(enough) > 3
    np.testing.assert_array_equal(chosen[enough], expected[enough])


def test_cross_fitting_takes_the_luck_out_of_the_frontier():
    """Many equal shapes at each compute: the best of them is lucky, and its other seeds say so."""
    generator = np.random.default_rng(0)
    plain, crossed = [], []
    for _ in range(200):
        mean_x = np.repeat(np.geomspace(1, 1e3, 8), 6) * np.exp(1e-3 * generator.random(48))
        mean_of = np.repeat(np.arange(48), 3)
        truth = np.log(mean_x**-0.3)[mean_of]
        log_y = truth + 0.1 * generator.standard_normal(144)
        mean = np.bincount(mean_of, np.exp(log_y)) / 3
        best = np.isin(mean_of, frontier.frontier(mean_x, mean))
        plain.append((log_y - truth)[best].mean())
        chosen = frontier.select(mean_of, mean_x, np.exp(log_y), np.ones((1, 144)))[0]
        crossed.append((log_y - truth)[chosen].mean())
    assert np.mean(plain) < -0.02
    assert abs(np.mean(crossed)) < 0.2 * abs(np.mean(plain))


def test_a_wild_bootstrap_keeps_every_run_and_flips_configurations_together(make_table):
    table = make_table(X, noisy(), seeds=3, noise=0.05)
    wild, usual = (
        fit_table(
            table, method=Method(laws=("power_law_ols", "power_law"), resamples=400, wild=w, forecast=False)
        )
        for w in (True, False)
    )
    assert (wild.resampling, usual.resampling) == ("wild", "configurations")
    for one, other in zip(wild.fits, usual.fits, strict=True):
        (b, same) = (next(p for p in f.parameters if p.name == "b") for f in (one, other))
        assert b.value == pytest.approx(same.value, rel=1e-12)
        width, reference = (p.interval.high - p.interval.low for p in (b, same))
        assert width == pytest.approx(reference, rel=0.5)


def test_the_profile_interval_is_where_the_constrained_loss_crosses(make_observations):
    from scipy import stats

    from isoflop.curve import profile_likelihood
    from isoflop.curve.laws import problem_of

    observed = make_observations(X, noisy(noise=0.05))
    law = LAWS["power_law_floor"]
    parameters = law.fit(observed, np.ones((1, 20)), PLAIN, None)
    interval = profile_likelihood.exponent_interval(law, observed, 20, parameters, PLAIN)
    problem = problem_of(forms.POWER_LAW_FLOOR, observed, np.ones((1, 20)), PLAIN)
    least = solver.solve(problem, np.ones((1, 20)), solver.FINE)[1][0]
    limit = least * (1 + stats.f.ppf(0.95, 1, 17) / 17)
    for end in (interval.low, interval.high):
        loss = solver.solve(problem, np.ones((1, 20)), solver.FINE, held=(1, np.array([end])))[1][0]
        assert loss == pytest.approx(limit, rel=0.02)
    assert interval.low < parameters[0, 2] < interval.high
