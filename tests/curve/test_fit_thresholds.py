"""What a fit warns of and refuses: each number from both sides."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve import bootstrap, coverage, fit, laws, points
from isoflop.curve.fit import Method

X = np.geomspace(1.0, 1000.0, 20)
Y = 0.05 + 0.5 * X**-0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resamples": 40}, None),
        ({"resamples": 39}, "at least 40"),
        ({"quantile": 0.001}, None),
        ({"quantile": 0.0}, "between 0 and 1"),
        ({"quantile": 1.0}, "between 0 and 1"),
        ({"chance": 1.0}, None),
        ({"chance": 1.001}, "at most 1"),
        ({"chance": 0.0}, "above 0"),
        ({"wild": True}, None),
        ({"of_frontier": True}, None),
        ({"wild": True, "of_frontier": True}, "drop one"),
    ],
)
def test_settings_are_checked_at_their_ends(changes, message):
    method = dataclasses.replace(Method(), **changes)
    if message is None:
        method.check()
    else:
        with pytest.raises(ValueError, match=message):
            method.check()


def outliers(make_table, factors, noise=0.01):
    """The warnings about runs on a known law whose ln y is off by `noise` in turns, and by ln of factors."""
    y = Y * np.exp(noise * np.where(np.arange(20) % 2, 1.0, -1.0))
    for i, factor in factors.items():
        y[i] = Y[i] * factor
    chosen = points.select(make_table(X, y), "train_gflops", "test_error")
    return fit._outliers(chosen)


def test_a_run_four_robust_deviations_away_is_named(make_table):
    # Residuals of 0.02 in turns have a robust deviation of 0.0297, so that the limit is near 0.119.
    assert outliers(make_table, {10: np.exp(0.11)}, noise=0.02) == []
    (said,) = outliers(make_table, {10: np.exp(0.135)}, noise=0.02)
    assert said == "1 run lies over 4 robust standard deviations from the rest: run10"


def test_a_twentieth_is_no_outlier_however_small_the_noise(make_table):
    assert outliers(make_table, {10: 1.045}, noise=1e-4) == []
    assert outliers(make_table, {10: 0.945}, noise=1e-4) != []


def test_more_than_a_tenth_of_the_runs_are_no_outliers(make_table):
    (said,) = outliers(make_table, {8: 1.3, 11: 1.3}, noise=1e-3)
    assert said.startswith("2 runs lie over 4 robust")
    assert outliers(make_table, {6: 1.3, 9: 1.3, 12: 1.3}, noise=1e-3) == []


def fitted(make_table, x, y, **settings):
    method = Method(
        laws=("power_law_ols", "m4", "broken_power_law"), resamples=40, forecast=False, **settings
    )
    return fit.fit_table(make_table(x, y), method=method)


@pytest.mark.parametrize(("configs", "rough"), [(9, True), (10, False)])
def test_under_ten_configurations_intervals_are_rough(make_table, configs, rough):
    x = np.geomspace(1.0, 1000.0, configs)
    report = fitted(make_table, x, 0.5 * x**-0.2 * (1 + 0.01 * (-1.0) ** np.arange(configs)))
    assert any("under 10: the intervals are rough" in warning for warning in report.warnings) == rough


@pytest.mark.parametrize(
    ("scales", "left_out"),
    [(6, ["m4", "broken_power_law"]), (7, ["broken_power_law"]), (8, [])],
)
def test_a_law_of_many_parameters_needs_two_scales_more(make_table, scales, left_out):
    x = np.geomspace(1.0, 1000.0, scales)
    report = fitted(make_table, x, 0.5 * x**-0.2 * (1 + 0.01 * (-1.0) ** np.arange(scales)))
    names = [each.law for each in report.fits]
    assert names == [n for n in ("power_law_ols", "m4", "broken_power_law") if n not in left_out]
    said = [w for w in report.warnings if "compute scales carry" in w]
    assert said == (
        [f"{', '.join(left_out)}: more parameters than {scales} compute scales carry, not fitted"]
        if left_out
        else []
    )


@pytest.mark.parametrize(("decades", "short"), [(1.99, True), (2.01, False)])
def test_under_two_decades_exponent_and_floor_are_hard_to_separate(make_table, decades, short):
    x = np.geomspace(1.0, 10**decades, 8)
    chosen = points.select(make_table(x, 0.5 * x**-0.2, seeds=2), "train_gflops", "test_error")
    assert any("under two" in warning for warning in chosen.warnings) == short


def test_two_seeds_are_enough_to_separate_their_spread(make_table):
    table = make_table(X, Y, seeds=2)
    assert points.select(table, "train_gflops", "test_error").warnings == ()
    (said,) = points.select(table.iloc[1:], "train_gflops", "test_error").warnings
    assert said.startswith("1 of 20 configurations have fewer than 2 seeds")


@pytest.mark.parametrize(
    ("name", "value", "chance", "counted", "reason"),
    [
        ("test_error", 0.5, 0.9, True, None),
        ("test_error", 0.9, 0.9, True, "at chance"),
        ("test_error", 0.8999, 0.9, True, None),
        ("test_error", 0.0, 0.9, True, None),
        ("test_error", 0.0, 0.9, False, "unknown number"),
        ("test_error", -0.001, 0.9, True, "outside"),
        ("test_error", 1.0, 1.01, True, None),
        ("test_error", 1.001, 1.01, True, "outside"),
        ("test_loss", 1.5, 0.9, False, None),
        ("test_loss", 0.0, 0.9, False, "needs it above 0"),
        ("test_loss", 1e-9, 0.9, False, None),
    ],
)
def test_what_y_may_be(name, value, chance, counted, reason):
    problem = points._y_problem(name, value, chance, counted)
    assert (problem is None) == (reason is None)
    assert reason is None or reason in problem


def test_a_long_list_of_values_is_cut_after_four():
    assert points._shown(["a", "b", "c", "d"]) == "a, b, c, d"
    assert points._shown(["a", "b", "c", "d", "e"]) == "a, b, c, d and 1 more"


def test_a_floor_is_identified_where_its_interval_is_above_its_bound():
    def ends(draws, factor=1.0):
        return bootstrap.stretched(draws, factor)

    draws = np.r_[0.1, np.linspace(0.05, 0.15, 100)]
    assert laws._floor_warnings(draws, 1.0, ends) == ()
    (said,) = laws._floor_warnings(np.r_[0.1, np.linspace(-0.01, 0.15, 100)], 1.0, ends)
    assert "includes 0" in said
    (said,) = laws._floor_warnings(np.r_[0.9e-6, draws], 1.0, ends)
    assert "at its bound 0" in said
    assert laws._floor_warnings(np.r_[1.1e-6, np.full(9, 0.1)], 1.0, ends) == ()
    (said,) = laws._floor_warnings(draws, 1.0, lambda each: ends(each, 3.0))
    assert "includes 0" in said, "with few configurations the interval is stretched"


@pytest.mark.parametrize(("slope", "known"), [(1.1e-6, True), (0.9e-6, False), (-0.1, False)])
def test_a_flat_curve_has_no_local_alpha(slope, known):
    assert bool(laws._local(np.array([slope]))) == known


@pytest.mark.parametrize(("configs", "simulated"), [(1, 8), (10, 8), (11, 15), (21, 15), (22, 30), (500, 30)])
def test_the_simulation_nearest_in_ratio_is_cited(configs, simulated):
    # The root of 8 x 15 is 10.95, that of 15 x 30 is 21.2.
    assert coverage.nearest(configs) == simulated


@pytest.mark.parametrize("share", [coverage.LEAST, coverage.MOST])
def test_coverage_at_the_ends_of_what_is_called_95_percent_gives_no_warning(monkeypatch, share):
    def warning(value):
        monkeypatch.setattr(coverage, "MEASURED", {("m3", False, 8): {"b": (value, 1000)}})
        return coverage.warning("m3", "b", coverage.Fitted(8, False, 0.058, 3.0))

    assert warning(share) is None
    assert warning(share + (0.001 if share == coverage.MOST else -0.001)) is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"laws": ()}, "no law to fit: name one of power_law_ols, exponential, power_law"),
        ({"laws": ("powerlaw",)}, "unknown law powerlaw: did you mean power_law"),
        ({"laws": ("chinchilla",)}, "chinchilla is a law in several resources, not one of --laws: say --law"),
        ({"level": 0.5}, "level is 0.5: give the share that an interval holds"),
        ({"level": 1.0}, "level is 1: give the share that an interval holds"),
        ({"level": 95.0}, "level is 95: give the share that an interval holds"),
    ],
)
def test_laws_and_levels_that_are_none_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Method(), **changes).check()
    dataclasses.replace(Method(), level=0.501).check()


def estimated(value, draws, *, least=-np.inf, reciprocal=False, configs=20, level=0.95):
    reported = laws.ReportedParameter("b", np.r_[value, draws], "unit", reciprocal, least)
    found = fit.estimate(reported, configs, 2, level)
    assert (found.name, found.unit) == ("b", "unit")
    return found.value, found.interval.low, found.interval.high


DRAWS = np.exp(0.3 * np.random.default_rng(0).standard_normal(400))


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_an_interval_is_taken_on_a_logarithmic_scale_where_all_draws_are_above_0(level):
    low, high = bootstrap.interval(DRAWS, 20, 2, logarithm=True, level=level)
    assert estimated(1.0, DRAWS, level=level) == (1.0, pytest.approx(low), pytest.approx(high))
    below = np.r_[DRAWS, -0.01]
    low, high = bootstrap.interval(below, 20, 2, logarithm=False, level=level)
    assert estimated(1.0, below, level=level) == (1.0, pytest.approx(low), pytest.approx(high))


def test_what_cannot_be_below_its_least_ends_there_and_has_no_logarithm():
    low, high = bootstrap.interval(DRAWS, 20, 2, logarithm=False, level=0.95)
    assert estimated(1.0, DRAWS, least=0.0)[1:] == (pytest.approx(low), pytest.approx(high))
    assert estimated(1.0, DRAWS, least=0.8)[1] == 0.8


def test_an_interval_holds_its_own_value():
    assert estimated(9.0, DRAWS)[2] == 9.0
    assert estimated(0.01, DRAWS)[1] == 0.01


def test_a_reciprocal_has_the_ends_of_its_denominator_turned_around():
    low, high = bootstrap.interval(DRAWS, 20, 2, logarithm=True, level=0.95)
    found = estimated(0.5, DRAWS, reciprocal=True)
    assert found == (2.0, pytest.approx(1 / high), pytest.approx(1 / low))
    below = np.r_[DRAWS[:200] - 1.5, DRAWS[200:]]
    assert bootstrap.interval(below, 20, 2, logarithm=False, level=0.95)[0] < 0
    value, low, high = estimated(0.5, below, reciprocal=True)
    assert (value, high) == (2.0, None), "with a denominator of 0 in the interval there is no upper end"
    assert low is not None
    value, low, high = estimated(0.5, below - 5.0, reciprocal=True)
    assert (low, high) == (None, None)


def test_too_few_configurations_have_no_interval():
    assert estimated(1.0, DRAWS, configs=2) == (1.0, None, None)
    assert estimated(2.0, DRAWS, configs=2, reciprocal=True) == (0.5, None, None)


@pytest.mark.parametrize(("slope", "known"), [(1e-6, True), (0.0, False), (-0.1, False)])
def test_alpha_is_the_inverse_of_a_slope_that_falls(slope, known):
    law = laws.LAWS["power_law_ols"]
    reported = (laws.ReportedParameter("b", np.full(101, slope), "", False),)
    found, reason = fit._alpha(law, reported, 20, 0.95)
    if known:
        assert (found.name, found.value, reason) == ("paper_alpha", pytest.approx(1e6), None)
    else:
        assert (found, reason) == (None, f"b is {slope:.3g}, not above 0: y does not fall with x")


def test_up_to_three_runs_that_lie_far_off_are_named(make_table):
    x = np.geomspace(1.0, 1000.0, 40)
    y = (0.05 + 0.5 * x**-0.3) * np.exp(0.01 * np.where(np.arange(40) % 2, 1.0, -1.0))
    for count, named in (
        (2, "run10, run20"),
        (3, "run10, run20, run30"),
        (4, "run10, run20, run30 and 1 more"),
    ):
        off = y.copy()
        off[[10, 20, 30, 35][:count]] *= np.exp([0.3, -0.3, 0.3, -0.3])[:count]
        (said,) = fit._outliers(points.select(make_table(x, off), "train_gflops", "test_error"))
        assert said == f"{count} runs lie over 4 robust standard deviations from the rest: {named}"


@pytest.mark.parametrize(
    ("y", "most", "used"),
    [("test_loss", 0.5, False), ("score", 0.5, True), ("score", 0.9, False), ("score", 0.8999, True)],
)
def test_chance_is_a_level_of_what_stays_below_it(make_table, y, most, used):
    table = make_table(X, Y).assign(**{y: np.geomspace(most, most / 3, 20)})
    chosen = points.select(table, "train_gflops", y, mixed=True)
    level, warnings = fit._chance(chosen, y, Method(chance=0.9))
    assert level == (0.9 if used else None)
    assert warnings == (() if used else (f"chance 0.9 is not used: {y} does not start from it",))
    assert fit._chance(chosen, y, Method()) == (chosen.chance, ())
