import numpy as np
import pytest

from isoflop.curve import forms, frontier, solver
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.forecast import average, rolling
from isoflop.curve.forecast.rolling import Cuts
from isoflop.curve.laws import LAWS, PLAIN, FitOptions

X = np.geomspace(1, 1e4, 20)
Y = 0.03 + 0.6 * X**-0.35


def noisy(seed=0, noise=0.03):
    return Y * np.exp(noise * np.random.default_rng(seed).standard_normal(20))


def test_what_lies_above_a_cut_is_never_looked_at(make_observations):
    y = noisy()
    where = average.cuts(make_observations(X, y))
    changed = y.copy()
    lowest = where.at.max()
    above = np.log(X.max() / X) < lowest - 2e-3
    changed[above] *= 3.0
    last = int(where.at.argmax())
    for law in average.MEMBERS:
        one, other = (
            rolling.predict(LAWS[law].form, make_observations(X, values), where.at, None, np.zeros(1))[
                :, last
            ]
            for values in (y, changed)
        )
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_errors_are_those_of_fits_done_one_by_one(make_observations):
    y = noisy()
    at = make_observations(X, y)
    where = average.cuts(at)
    batched = average.errors(LAWS["power_law_floor"], at, where, PLAIN)[0]
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


def test_weights_at_a_cut_come_from_cuts_below_it_alone():
    each = np.random.default_rng(0).random((5, 4))
    base = average._nested(each)
    changed = each.copy()
    changed[:, :3] *= np.arange(1, 6)[:, None]
    np.testing.assert_array_equal(average._nested(changed)[2:], base[2:])
    assert not np.allclose(average._nested(changed)[0], base[0])
    np.testing.assert_allclose(base.sum(axis=1), 1.0)
    np.testing.assert_allclose(base[3], 0.2)


def test_the_error_model_gives_known_noise_and_growth_back():
    generator = np.random.default_rng(0)
    ahead = generator.uniform(0.1, 2.5, 20000)
    missed = np.hypot(0.05, 0.2 * ahead) * generator.standard_normal(20000)
    noise, growth = average._error_model(ahead, missed)
    assert noise == pytest.approx(0.05, rel=0.15)
    assert growth == pytest.approx(0.2, rel=0.05)


def test_the_forecast_finds_the_law_and_says_how_far_it_was_tested(make_table):
    report = fit_table(
        make_table(X, Y, seeds=3, noise=0.02), method=Method(resamples=100, laws=("power_law_floor",))
    )
    made = report.forecast
    assert sum(member.weight for member in made.members) == pytest.approx(1)
    assert {member.law for member in made.members} == set(average.MEMBERS)
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
        make_table(X[::6], Y[::6], seeds=2), method=Method(resamples=60, laws=("power_law_ols",))
    )
    assert report.forecast is None
    assert "4 compute scales" in report.forecast_reason


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


@pytest.fixture(scope="module")
def averaged():
    from isoflop.curve.observations import Observations

    observed = Observations(X, noisy(), np.arange(20), np.ones(20), None, None)
    return observed, average.average(observed, PLAIN)


def test_shares_are_inverse_to_the_error():
    shares = average._shares(np.array([0.1, 0.2, 0.4]))
    np.testing.assert_allclose(shares, np.array([4, 2, 1]) / 7, rtol=1e-3)
    np.testing.assert_allclose(average._shares(np.zeros(4)), 0.25)


def test_calibration_counts_what_smaller_runs_made_intervals_for(averaged):
    points, mixture = averaged
    where = average.cuts(points)
    judged = int(np.isfinite(where.ahead[:-1]).sum())
    assert [c.nominal for c in mixture.calibration] == list(average.NOMINAL)
    assert all(c.predictions == judged for c in mixture.calibration)
    shares = [c.observed for c in mixture.calibration]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


def test_calibration_is_near_nominal_for_errors_of_the_model_itself():
    generator = np.random.default_rng(1)
    hits = []
    for _ in range(200):
        ahead = np.tile(np.linspace(0.2, 2.2, 8), (7, 1))
        missed = np.hypot(0.02, 0.05 * ahead) * generator.standard_normal(ahead.shape)
        hits.append([c.observed for c in average._calibration(Cuts(np.arange(7.0), ahead), missed)])
    # Student's t for few cuts is wider than the normal that made the errors: at least nominal
    mean = np.mean(hits, axis=0)
    assert np.all(mean > np.array(average.NOMINAL) - 0.03)
    assert mean[0] < 0.7


def test_calibration_intervals_come_from_smaller_runs_only():
    generator = np.random.default_rng(2)
    ahead = np.tile(np.linspace(0.2, 2.2, 6), (4, 1))
    missed = 0.05 * generator.standard_normal((4, 6))
    huge = missed.copy()
    huge[0] = 100.0
    (first, *_), (second, *_) = (
        average._calibration(Cuts(np.arange(4.0), ahead), errors) for errors in (missed, huge)
    )
    below = average._calibration(Cuts(np.arange(3.0), ahead[1:]), missed[1:])[0]
    assert second.observed * second.predictions == pytest.approx(below.observed * below.predictions)
    assert first.predictions == second.predictions == 18


def test_weights_sum_to_one_and_fall_with_the_extrapolation_error(averaged):
    _, mixture = averaged
    assert len(mixture.members) == 2 * len(mixture.laws)
    assert mixture.weights.sum() == pytest.approx(1, rel=1e-12)
    assert np.all(mixture.weights > 0)
    best = max(mixture.members, key=lambda m: m.weight)
    worst = min(mixture.members, key=lambda m: m.weight)
    assert best.extrapolation_log_rmse < worst.extrapolation_log_rmse


def test_the_forecast_is_the_weighted_mean_of_its_members_and_draws_are_shared_by_weight(averaged):
    observed, mixture = averaged
    counts = np.random.default_rng(0).multinomial(20, np.ones(20) / 20, 100).astype(float)
    weights = np.vstack([np.ones(20), counts])
    middle, drawn = average.curves(mixture, observed, np.linspace(-9, 2, 7), weights, PLAIN)
    assert drawn.shape == (100, 7)
    assert np.isfinite(drawn).all()
    truth = np.log(0.03 + 0.6 * (X.max() * np.exp(np.linspace(-9, 2, 7))) ** -0.35)
    assert np.abs(middle - truth)[:-1].max() < 0.12
    assert np.abs(np.median(drawn, axis=0) - middle)[:-1].max() < 0.05


def test_few_scales_carry_no_law_and_some_carry_few(make_observations):
    assert average.average(make_observations(X[:4], noisy()[:4]), PLAIN) is None
    some = average.average(make_observations(X[:5], noisy()[:5]), PLAIN)
    assert [law.name for law in some.laws] == ["power_law_floor", "m3"]
    if some.tested_ratio is None:
        assert {m.weight for m in some.members} == {0.25}


def test_m4_is_averaged_with_its_chance_held(make_observations):
    observed = make_observations(X, noisy())
    free, held = (average.average(observed, FitOptions(chance=chance)) for chance in (None, 0.9))
    scores = [
        [m.extrapolation_log_rmse for m in mixture.members if m.law == "m4"] for mixture in (free, held)
    ]
    assert scores[0] != scores[1]


def test_at_small_x_the_recent_members_equal_the_whole_range(averaged):
    observed, mixture = averaged
    weights = np.vstack([np.ones(20), np.random.default_rng(0).exponential(size=(200, 20))])
    z = np.log(observed.x[[int(observed.x.argmin())]] / observed.x.max())
    drawn = average.curves(mixture, observed, z, weights, PLAIN)[1]
    law = LAWS["power_law_floor"]
    whole = law.log_predict(law.fit(observed, weights, PLAIN, None), z)[1:]
    assert drawn.std() < 2 * whole.std()
