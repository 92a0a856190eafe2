"""The test of a law's bend: what is rejected, how large the misfit is, and against which scatter."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isoflop.curve import fit, fixed, points, result
from isoflop.curve.laws import LAWS, PLAIN, FitOptions
from isoflop.curve.misfit import lack_of_fit
from isoflop.curve.misfit.bend import bend


def floored(x):
    return 0.05 + 0.6 * x**-0.3


def power_law(x):
    return 0.6 * x**-0.3


WIDE, NARROW = (-9.0, 9.0), (-0.01, 0.01)


def of_law(table, law="power_law", within=NARROW, options=PLAIN):
    chosen = points.select(table, "x", "y", mixed=True)
    means = chosen.means
    parameters = LAWS[law].fit(means, np.ones((1, len(means.x))), options, None)
    return lack_of_fit.lack_of_fit(LAWS[law], parameters, means, options, within, 0)


def test_few_configurations_are_tested_by_students_t_of_a_parabola(make_sweep):
    table = make_sweep(floored, configs=8)
    seen, reason = of_law(table)
    x, y = np.log(table["x"]), np.log(table["y"])
    design = np.column_stack([np.ones(8), x, x**2])
    fitted, squares, _, _ = np.linalg.lstsq(design, y, rcond=None)
    variance = float(squares[0]) / 5 * np.linalg.inv(design.T @ design)[2, 2]
    assert reason is None
    assert seen.method == "scatter between configurations"
    assert seen.p_value == pytest.approx(2 * stats.t.sf(abs(fitted[2]) / np.sqrt(variance), 5), rel=1e-6)
    # The exponent over a third of the range is that at its middle.
    middles = x.min() + np.array([1 / 6, 5 / 6]) * np.ptp(x)
    expected = tuple(-(fitted[1] + 2 * fitted[2] * middles))
    assert (seen.exponent_low, seen.exponent_high) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("law", ["power_law_ols", "power_law", "exponential"])
def test_a_floor_is_found_and_its_size_printed(make_sweep, law):
    seen, _ = of_law(make_sweep(floored, noise=0.01), law)
    assert seen.method == "wild bootstrap"
    assert seen.p_value < 0.01
    assert seen.rejected
    assert seen.exponent_low > seen.exponent_high > 0
    # About the exponential law, which levels off too soon here, the points bend the other way.
    assert (seen.factor_at_10x > 1.05) == (law != "exponential")


def test_a_pure_power_law_is_not_rejected(make_sweep):
    p = [of_law(make_sweep(power_law, seed=seed))[0].p_value for seed in range(60)]
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_the_law_that_is_true_is_not_rejected(make_sweep):
    table = make_sweep(floored, noise=0.01)
    assert of_law(table, "power_law")[0].p_value < 0.01
    assert of_law(table, "power_law_floor")[0].p_value > 0.05


def test_rejected_only_where_the_prediction_leaves_the_interval(make_sweep):
    table = make_sweep(floored, noise=0.01)
    assert of_law(table, within=NARROW)[0].rejected
    inside, _ = of_law(table, within=WIDE)
    assert inside.p_value < 0.01
    assert not inside.rejected


def test_seeds_agree_but_shapes_scatter_and_the_power_law_stands():
    # The pure error between seeds would reject any grid of shapes; the scatter of shapes does not.
    rng = np.random.default_rng(3)
    x = np.geomspace(1, 1e3, 12)
    shape = 0.1 * rng.standard_normal(12)
    table = pd.DataFrame(
        [
            {
                "run_id": f"{i}-{s}",
                "config_id": str(i),
                "x": x[i],
                "y": power_law(x[i]) * np.exp(shape[i] + e),
            }
            for i in range(12)
            for s, e in enumerate(0.001 * rng.standard_normal(3))
        ]
    )
    seen, _ = of_law(table)
    assert seen.p_value > 0.05
    assert not seen.rejected


def test_horizons_of_one_trunk_flip_together(make_sweep):
    # Five points of each configuration share its deviation: as 40 independent points they would reject.
    rng = np.random.default_rng(0)
    rejected, together = [], []
    for _ in range(40):
        own = 0.05 * rng.standard_normal(8)
        x = np.geomspace(1, 1e3, 40)
        group = np.repeat(np.arange(8), 5)
        y = power_law(x) * np.exp(own[group] + 0.002 * rng.standard_normal(40))
        rows = pd.DataFrame({"run_id": map(str, range(40)), "config_id": group.astype(str), "x": x, "y": y})
        rows["place_id"] = rows["run_id"]
        together.append(of_law(rows)[0].p_value <= 0.05)
        rejected.append(of_law(rows.assign(config_id=rows["run_id"]))[0].p_value <= 0.05)
    assert np.mean(together) < 0.25
    assert np.mean(rejected) > np.mean(together) + 0.2


def test_one_configuration_is_judged_by_runs_and_rolling_extrapolation(make_sweep):
    table = make_sweep(floored, configs=20, noise=0.002).assign(config_id="one")
    table["place_id"] = table["run_id"]
    seen, _ = of_law(table)
    assert seen.method == "runs of signs and rolling extrapolation"
    assert seen.p_value == pytest.approx(2 * min(seen.runs_p, seen.rolling_p))
    assert seen.p_value < 0.01


def test_what_cannot_be_tested_says_why(make_sweep):
    assert of_law(make_sweep(power_law, configs=4)) == (
        None,
        "4 points leave no bend that the law itself could not make",
    )
    assert "quantile" in of_law(make_sweep(power_law), options=FitOptions(quantile=0.1))[1]


def test_a_parameter_at_its_bound_is_no_direction_of_the_law(make_sweep, make_observations):
    # The fit has no floor (a bound): what is left is the parabola, as for the plain power law.
    table = make_sweep(lambda x: power_law(x) / (1 + (x / 300) ** 0.4), noise=0.01)
    observed = make_observations(table["x"], table["y"])
    parameters = LAWS["power_law_floor"].fit(observed, np.ones((1, 30)), PLAIN, None)
    assert parameters[0, 1] == 0.0
    seen = bend(LAWS["power_law_floor"], parameters, observed, PLAIN)
    assert seen is not None
    assert seen.rank == 2
    assert of_law(table, "power_law_floor")[0].p_value < 0.01


def test_the_fit_reports_it_and_json_keeps_it(make_sweep, tmp_path):
    method = fit.Method(laws=("power_law_ols", "power_law", "power_law_floor"), resamples=100)
    report = fit.fit_table(make_sweep(floored, noise=0.01), x="x", y="y", method=method)
    by_law = {each.law: each.lack_of_fit for each in report.fits}
    assert [by_law[law].rejected for law in method.laws] == [True, True, False]
    assert by_law["power_law"].p_value == pytest.approx(by_law["power_law_ols"].p_value, abs=0.01)
    path = tmp_path / "fit.json"
    result.write_fits(fit.file_of((report,), source="s"), path)
    assert path.read_text().startswith('{\n "schema": '), "a value a line, for readers and for diffs"
    assert result.read_fits(path).reports[0] == report


def test_a_fit_json_of_before_is_read(make_sweep, tmp_path):
    import msgspec

    method = fit.Method(laws=("power_law_ols",), resamples=100, forecast=False)
    report = fit.fit_table(make_sweep(power_law), x="x", y="y", method=method)
    path = tmp_path / "fit.json"
    content = msgspec.to_builtins(fit.file_of((report,), source="s"))
    for name in ("local_exponent", "late", "determination"):
        del content["reports"][0][name]
    for name in ("lack_of_fit", "lack_of_fit_reason"):
        del content["reports"][0]["fits"][0][name]
    path.write_bytes(msgspec.json.encode(content))
    read = result.read_fits(path).reports[0]
    assert (read.fits[0].lack_of_fit, read.fits[0].lack_of_fit_reason) == (None, "not tested")
    tested = dataclasses.replace(
        read.fits[0], lack_of_fit=report.fits[0].lack_of_fit, lack_of_fit_reason=None
    )
    assert tested == report.fits[0]


def test_on_the_frontier_only_its_means_are_of_law():
    x = np.repeat(np.geomspace(1, 1e3, 10), 2)
    rng = np.random.default_rng(0)
    worse = np.tile([1.0, 2.0], 10)
    rows = [
        {"run_id": f"{i}-{s}", "config_id": f"{i}", "x": x[i], "y": floored(x[i]) * worse[i] * np.exp(e)}
        for i in range(20)
        for s, e in enumerate(0.003 * rng.standard_normal(2))
    ]
    method = fit.Method(laws=("power_law",), resamples=60, of_frontier=True)
    report = fit.fit_table(pd.DataFrame(rows), x="x", y="y", method=method)
    seen = report.fits[0].lack_of_fit
    assert seen.p_value < 0.001
    assert seen.exponent_low == pytest.approx(0.27, abs=0.02)


def test_a_bend_of_rounding_rejects_nothing(make_sweep):
    bent = make_sweep(lambda x: power_law(x) * np.exp(1e-7 * np.log(x) ** 2), noise=0.0)
    seen, _ = of_law(bent, within=(-1e-9, 1e-9))
    assert seen.p_value < 0.01
    assert abs(np.log(seen.factor_at_10x)) > 1e-7
    assert not seen.rejected


def test_a_law_with_held_parameters_is_tested_in_its_own_directions(make_sweep):
    """A floor held at 0 leaves a power law: its bend is the power law's."""
    table = make_sweep(floored, configs=8)
    means = points.select(table, "x", "y", mixed=True).means
    one = np.ones((1, len(means.x)))
    (held,) = fixed.laws([LAWS["power_law_floor"]], [("E", 0.0)], means, None)
    found, straight = (
        bend(law, law.fit(means, one, PLAIN, None), means, PLAIN) for law in (held, LAWS["power_law"])
    )
    assert found.rank == straight.rank == 2
    np.testing.assert_allclose(found.shift, straight.shift, atol=1e-6)
    (held,) = fixed.laws([LAWS["power_law_floor"]], [("E", 0.04)], means, None)
    assert bend(held, held.fit(means, one, PLAIN, None), means, PLAIN).rank == 2


@pytest.mark.parametrize(("p_value", "rejected"), [(0.05, True), (0.0501, False)])
def test_a_law_is_rejected_from_one_in_twenty_on(make_sweep, monkeypatch, p_value, rejected):
    monkeypatch.setattr(lack_of_fit, "_test", lambda *args: ("wild bootstrap", p_value))
    assert of_law(make_sweep(floored, noise=0.01))[0].rejected == rejected


def test_a_prediction_at_an_end_of_the_interval_is_within_it(make_sweep, monkeypatch):
    monkeypatch.setattr(lack_of_fit, "_test", lambda *args: ("wild bootstrap", 0.01))
    table = make_sweep(floored, noise=0.01)
    monkeypatch.setattr("isoflop.curve.misfit.bend.Bend.ahead", lambda self, ratio: 0.25)
    for within, rejected in (
        ((0.25, 0.5), False),
        ((0.2501, 0.5), True),
        ((0.0, 0.25), False),
        ((0.0, 0.2499), True),
    ):
        assert of_law(table, within=within)[0].rejected == rejected


@pytest.mark.parametrize("change", [0.99e-3, 1.01e-3, -1.01e-3])
def test_a_misfit_is_at_least_a_thousandth_of_ln_y(make_sweep, monkeypatch, change):
    monkeypatch.setattr(lack_of_fit, "_test", lambda *args: ("wild bootstrap", 0.01))
    monkeypatch.setattr("isoflop.curve.misfit.bend.Bend.ahead", lambda self, ratio: change)
    seen, _ = of_law(make_sweep(floored, noise=0.01), within=(-1e-6, 1e-6))
    assert seen.rejected == (abs(change) > 1e-3)
    assert seen.factor_at_10x == pytest.approx(np.exp(change))


def test_many_configurations_flip_the_signs_of_their_hc2_residuals(make_sweep):
    """Each flipped sample is fitted anew here, a line and a parabola of ln x; the flips are the same."""
    for seed in range(4):
        table = make_sweep(lambda x: power_law(x) * np.exp(0.004 * np.log(x) ** 2), configs=16, seed=seed)
        seen, _ = of_law(table, "power_law_ols")
        x, y = np.log(table["x"].to_numpy()), np.log(table["y"].to_numpy())
        line, parabola = (np.vander(x, terms, increasing=True) for terms in (2, 3))
        hat = line @ np.linalg.pinv(line)
        inverse = np.linalg.inv(parabola.T @ parabola)

        def statistic(values, parabola=parabola, inverse=inverse):
            fitted = inverse @ parabola.T @ values
            left = values - parabola @ fitted
            return abs(fitted[2]) / np.sqrt(left @ left / 13 * inverse[2, 2])

        left = (y - hat @ y) / np.sqrt(1 - np.diag(hat))
        signs = np.where(np.random.default_rng(0).random((999, 16)) < 0.5, -1.0, 1.0)
        farther = sum(statistic(left * row) >= statistic(y) * (1 - 1e-9) for row in signs)
        assert seen.method == "wild bootstrap"
        assert seen.p_value == pytest.approx((1 + farther) / 1000, abs=1e-9)


def test_the_interval_ten_times_ahead_is_read_off_the_band_in_logarithms():
    x = np.geomspace(1, 1e4, 9)
    y = 3 * x**-0.2
    band = result.Band(
        *(tuple(each.tolist()) for each in (x, y, 0.8 * y, 1.5 * y, 0.5 * y, 2.0 * y)),
    )
    assert lack_of_fit.within(band, 300.0) == pytest.approx((np.log(0.8), np.log(1.5)))
