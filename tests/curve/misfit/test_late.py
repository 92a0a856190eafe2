import numpy as np
import pytest
from scipy import integrate, stats

from isoflop.curve import fit
from isoflop.curve.misfit import late


def floored(x):
    return 0.05 + 0.6 * x**-0.3


def power_law(x):
    return 0.6 * x**-0.3


def sweep(truth, top=0, factor=1.0, noise=0.03, seed=0, configs=30):
    x = np.geomspace(1, 1e3, configs)
    raised = np.where(np.arange(configs) >= configs - top, np.log(factor), 0.0)
    return np.log(x), np.log(truth(x)) + raised + noise * np.random.default_rng(seed).standard_normal(configs)


def judged(*args, loss=None, **kwargs):
    x, y = sweep(*args, **kwargs)
    return late.judge(x, y, loss)


@pytest.mark.parametrize("truth", [power_law, floored])
@pytest.mark.parametrize("top", [1, 2])
def test_a_raised_top_is_named_with_its_factor(truth, top):
    seen, evidence, named = judged(truth, top, 1.3)
    assert named
    assert evidence > 3
    assert seen.top == top
    assert seen.log_factor == pytest.approx(np.log(1.3), abs=0.07)
    assert seen.low < np.log(1.3) < seen.high


@pytest.mark.parametrize("truth", [power_law, floored])
def test_a_top_on_the_curve_is_not_named(truth):
    named = [judged(truth, seed=seed, configs=12, noise=0.05)[2] for seed in range(60)]
    assert np.mean(named) <= 0.12


def test_large_scatter_is_no_evidence():
    named = [judged(power_law, seed=seed, configs=12, noise=0.3)[2] for seed in range(40)]
    assert np.mean(named) <= 0.1


def test_a_training_loss_that_rises_too_adds_evidence_and_one_that_does_not_takes_it_away():
    x, y = sweep(power_law, 1, 1.15, noise=0.04, seed=4)
    _, alone, _ = late.judge(x, y, None)
    _, loss = sweep(lambda x: 2.5 * power_law(x), 1, 1.15, noise=0.04, seed=5)
    _, healthy = sweep(lambda x: 2.5 * power_law(x), noise=0.04, seed=6)
    assert late.judge(x, y, loss)[1] > alone > late.judge(x, y, healthy)[1]


def test_the_same_series_twice_is_no_more_evidence_than_once():
    x, y = sweep(power_law, 1, 1.2)
    once, twice = late.judge(x, y, None)[1], late.judge(x, y, y)[1]
    assert twice == pytest.approx(once, rel=0.1)


def test_likelihood_is_the_integral_over_level_and_noise():
    x, y = sweep(power_law, configs=6, noise=0.05)
    curve = late._curves(x)[200]
    scale, freedom = late.NOISE_FREEDOM * late.NOISE**2, late.NOISE_FREEDOM

    def integral(values):
        left = values - values.mean() - curve

        def of(log_variance):
            variance = np.exp(log_variance)
            # The level integrates to the root of the variance times the likelihood about the mean.
            of_data = np.exp(stats.norm.logpdf(left, 0, np.sqrt(variance)).sum()) * np.sqrt(variance)
            return of_data * stats.chi2.pdf(scale / variance, freedom) * scale / variance

        return integrate.quad(of, np.log(1e-6), np.log(9), limit=200)[0]

    lowered = late._lowered(y, 1, np.array([0.15]))[0]
    assert lowered[-1] == y[-1] - 0.15
    squares = [np.sum((values - values.mean() - curve) ** 2) + scale for values in (y, lowered)]
    closed = -0.5 * (freedom + 5) * np.log(squares[1] / squares[0])
    assert closed == pytest.approx(np.log(integral(lowered) / integral(y)), abs=1e-3)
    # And over the grid of curves the likelihoods are averaged by their prior.
    b, share, log_prior = late._priors()
    assert np.exp(log_prior).sum() == pytest.approx(1)
    assert np.exp(log_prior[share == 0]).sum() == pytest.approx(late.NO_FLOOR)
    whole = np.array([np.sum((y - y.mean() - each) ** 2) + scale for each in late._curves(x)])
    expected = np.log(np.sum(np.exp(log_prior) * whole ** (-0.5 * (freedom + 5))))
    assert late._log_likelihoods(late._curves(x), y[None])[0] == pytest.approx(expected)
    assert (b > 0).all()


def test_the_unit_of_x_and_of_y_does_not_matter():
    x, y = sweep(floored, 1, 1.2)
    assert late.judge(x + 20, y - 3, None)[1] == pytest.approx(late.judge(x, y, None)[1], rel=1e-9)


def test_the_fits_notes_name_it_and_say_what_it_changes(make_sweep):
    table = make_sweep(power_law)
    top = table["x"] >= table["x"].nlargest(2).min()
    table.loc[top, "y"] *= 1.3
    method = fit.Method(laws=("power_law",), resamples=60, forecast=False)
    report = fit.fit_table(table, x="x", y="y", method=method)
    assert report.late.deviates
    assert report.late.names == ("c28", "c29")
    assert report.late.run_ids == ("c28", "c29")
    assert report.late.exponent_without == pytest.approx(0.3, abs=0.01)
    assert report.late.exponent < report.late.exponent_without
    assert report.late.at_10x_without == pytest.approx(power_law(1e4), rel=0.1)
    (note,) = [w for w in report.warnings if "largest" in w]
    assert "the largest two configurations (c28, c29) lie above the curve of the smaller ones, 1.3" in note
    assert f"b is {report.late.exponent_without:.3g} in place of {report.late.exponent:.3g}" in note
    quiet = fit.fit_table(make_sweep(power_law), x="x", y="y", method=method)
    assert not quiet.late.deviates
    assert not [w for w in quiet.warnings if "largest" in w]


def test_too_few_configurations_are_not_judged(make_sweep):
    method = fit.Method(laws=("power_law",), resamples=60, forecast=False)
    assert fit.fit_table(make_sweep(power_law, configs=5), x="x", y="y", method=method).late is None
    assert fit.fit_table(make_sweep(power_law, configs=6), x="x", y="y", method=method).late is not None
