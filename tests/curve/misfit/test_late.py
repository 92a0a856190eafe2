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


def test_the_evidence_is_the_average_over_the_stated_priors():
    """Written out with the numbers of the documentation, one curve and one deviation at a time."""
    x, y = sweep(floored, 1, 1.2, configs=8, noise=0.05)
    log_b = np.log(np.geomspace(0.04, 1.6, 32))
    of_b = np.exp(-0.5 * ((log_b - np.log(0.25)) / 0.7) ** 2)
    of_share = {0.0: 1 / 6} | {0.025 * i: 5 / 6 / 38 for i in range(1, 39)}

    priors = [
        (b, share, p * q)
        for b, p in zip(np.exp(log_b), of_b / of_b.sum(), strict=True)
        for share, q in of_share.items()
    ]
    laws = np.array([np.log(share + (1 - share) * np.exp(b * (x.max() - x))) for b, share, _ in priors])

    def likelihood(values):
        left = values - laws
        squares = ((left.T - left.mean(axis=1)) ** 2).sum(axis=0) + 2 * 0.05**2
        return np.array([prior for *_, prior in priors]) @ squares ** (-0.5 * (2 + len(values) - 1))

    def lowered(top, by):
        return np.r_[y[:-top], y[-top:] - by]

    deviations = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45)
    of_top = {top: np.mean([likelihood(lowered(top, by)) for by in deviations]) for top in (1, 2)}
    seen = late.raised(x, y)
    assert seen.log_evidence == pytest.approx(
        np.log(np.mean(list(of_top.values())) / likelihood(y)), rel=1e-6
    )
    assert seen.top == max(of_top, key=lambda top: of_top[top])
    finer = np.linspace(-0.4, 1.2, 65)
    weights = np.array([likelihood(lowered(seen.top, by)) for by in finer]) * np.exp(
        -0.5 * (finer / 0.25) ** 2
    )
    weights /= weights.sum()
    assert seen.log_factor == pytest.approx(weights @ finer, rel=1e-6)
    assert seen.above == pytest.approx(weights[finer > 1e-9].sum() + weights[np.abs(finer) < 1e-9].sum() / 2)
    assert (seen.low, seen.high) == pytest.approx(
        tuple(np.interp([0.025, 0.975], np.cumsum(weights), finer)), rel=1e-6
    )


@pytest.mark.parametrize("configs", [6, 12])
def test_the_correlation_is_shrunk_to_a_half_by_four_observations(configs):
    x, y = sweep(power_law, configs=configs, noise=0.05)
    loss = 0.7 * y + 0.05 * np.random.default_rng(9).standard_normal(configs)
    design = np.vander(x[:-2], 3)
    left = [
        values[:-2] - design @ np.linalg.lstsq(design, values[:-2], rcond=None)[0] for values in (y, loss)
    ]
    observed = left[0] @ left[1] / np.sqrt((left[0] @ left[0]) * (left[1] @ left[1]))
    freedom = configs - 2 - 3
    expected = (freedom * observed + 4 * 0.5) / (freedom + 4)
    assert late._correlation(x, y, loss) == pytest.approx(expected)
    assert late._correlation(x, y, -y) == pytest.approx(max(0.0, (2 - freedom) / (freedom + 4)))


@pytest.mark.parametrize(
    ("evidence", "above", "named"),
    [(0.8, 0.95, True), (0.79, 0.95, False), (0.8, 0.949, False)],
)
def test_a_deviation_is_named_from_its_evidence_and_its_sign_on(monkeypatch, evidence, above, named):
    x, y = sweep(power_law, configs=8)
    made = late.Raised(1, 0.1, 0.0, 0.2, above, evidence)
    monkeypatch.setattr(late, "raised", lambda *args: made)
    assert late.judge(x, y, None) == (made, evidence, named)


@pytest.mark.parametrize(("each", "named"), [(0.451, True), (0.449, False)])
def test_two_series_are_named_from_their_evidence_together_on(monkeypatch, each, named):
    x, y = sweep(power_law, configs=8)
    monkeypatch.setattr(late, "raised", lambda *args: late.Raised(1, 0.1, 0.0, 0.2, 0.99, each))
    monkeypatch.setattr(late, "_correlation", lambda *args: 0.5)
    _, evidence, seen = late.judge(x, y, y)
    assert evidence == pytest.approx(2 * each / 1.5)
    assert seen == named
