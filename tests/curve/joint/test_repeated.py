"""Data seen several times: a known worth of repeats comes back; where it cannot be told, that is said."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from isoflop.curve.joint import repeated
from isoflop.curve.joint.fit import fit_joint
from isoflop.curve.joint.result import JointFit
from isoflop.curve.joint.rows import JointRows

E, A, ALPHA, B, BETA, R_STAR = 0.02, 9.0, 0.35, 60.0, 0.4, 6.0
COLUMNS = ("n", "d", "unique")


def law(n, d, unique, r_star=R_STAR):
    """Muennighoff et al. 2023, equation 5, with D' of their equation 11."""
    used = np.minimum(d, unique)
    repeats = d / used - 1
    effective = used + used * r_star * (1 - np.exp(-repeats / r_star))
    return E + A / n**ALPHA + B / effective**BETA


def rows(noise=0.0, r_star=R_STAR, sets=(4e4, 4e5, 4e6), passes=(0.5, 1, 4, 16, 64)) -> pd.DataFrame:
    n, unique, times = (
        each.ravel() for each in np.meshgrid(np.geomspace(1e4, 1e7, 5), sets, passes, indexing="ij")
    )
    y = law(n, times * unique, unique, r_star)
    y = y * np.exp(noise * np.random.default_rng(0).standard_normal(len(y)))
    return pd.DataFrame(
        {"n": n, "d": times * unique, "unique": unique, "y": y, "compute": 6 * n * times * unique}
    )


def fit(table: pd.DataFrame, resamples: int = 0, **settings) -> JointFit:
    return fit_joint(table, "chinchilla_repeated", COLUMNS, "y", resamples, compute="compute", **settings)


@pytest.mark.parametrize("r_star", [0.5, 6.0, 40.0])
def test_noiseless_rows_give_the_law_back(r_star):
    table = rows(r_star=r_star)
    found = fit(table)
    truth = {"E": E, "A": A, "B": B, "exponent_parameters": ALPHA, "exponent_data": BETA, "R_star": r_star}
    for name, value in truth.items():
        assert found.value(name) == pytest.approx(value, rel=1e-3), name
    np.testing.assert_allclose(found.predict(table[list(COLUMNS)].to_numpy()), table["y"], rtol=1e-6)
    assert found.roles == ("parameters", "data", "unique")


def test_with_noise_the_interval_holds_the_truth():
    found = fit(rows(noise=0.02), 200)
    (r_star,) = (each for each in found.parameters if each.name == "R_star")
    assert r_star.interval.low < R_STAR < r_star.interval.high < 3 * R_STAR
    assert not any("R_star" in warning for warning in found.warnings)


def test_predictions_and_r_star_do_not_depend_on_units():
    table = rows(noise=0.02)
    here, there = (
        fit(table),
        fit(table.assign(n=table["n"] * 1e-6, d=table["d"] * 700, unique=table["unique"] * 700)),
    )
    assert there.value("R_star") == pytest.approx(here.value("R_star"), rel=1e-6)


def test_the_best_split_is_where_the_law_is_least_at_that_compute():
    """With the largest data set, by search."""
    found = fit(rows())
    for at in found.allocation.optima:
        spent = at.compute / 6

        def error(log_n, spent=spent):
            return law(math.exp(log_n), spent / math.exp(log_n), 4e6)

        least = optimize.minimize_scalar(error, bounds=(0, 40), method="bounded", options={"xatol": 1e-9})
        best = {each.name: each for each in at.best}
        assert best["optimal_parameters"].value == pytest.approx(math.exp(least.x), rel=0.01)
        seen = best["optimal_data"].value
        assert seen == pytest.approx(spent / best["optimal_parameters"].value, rel=1e-6)
        assert best["passes"].value == pytest.approx(seen / 4e6)
    first, last = (math.log(at.best[0].value) for at in found.allocation.optima)
    n_grows, d_grows = (each.value for each in found.allocation.exponents)
    assert n_grows + d_grows == pytest.approx(1)
    assert n_grows < (last - first) / math.log(10), "the more passes, the more of compute goes to size"


def test_it_is_the_optimum_of_chinchilla_where_data_are_plenty():
    """With the data set never passed over, the split is Lagrange's closed form."""
    b, log_factors = np.array([[0.3, 0.4]]), np.log([[9.0, 60.0]])
    best = repeated.best_split(log_factors, b, np.array([5.0]), 1e30, 40.0)[0]
    gains = np.log(b[0]) + log_factors[0] - b[0] * best
    assert gains[0] == pytest.approx(gains[1])
    assert best.sum() == pytest.approx(40.0)


def test_derivatives_are_those_of_differences():
    generator = np.random.default_rng(0)
    v = np.column_stack([generator.uniform(0, 5, (7, 2)), -generator.uniform(0, 3, 7)])
    theta = np.column_stack([generator.uniform(-2, -0.1, 3), *generator.uniform(0.1, 0.8, (3, 3)).T])
    theta = np.column_stack([theta, generator.uniform(-1, 4, 3)])
    derivatives = repeated.shape(theta, v)[1]
    for j in range(5):
        step = 1e-6 * np.eye(5)[j]
        slope = (repeated.shape(theta + step, v)[0] - repeated.shape(theta - step, v)[0]) / 2e-6
        np.testing.assert_allclose(derivatives[..., j], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("passes", "reason"),
    [((10,), "each example was seen 10 times in every run"), ((0.1, 0.3, 1), "seen twice")],
)
def test_passes_that_do_not_vary_fall_back_to_chinchilla_and_say_so(passes, reason):
    table = rows(passes=passes)
    found = fit(table)
    assert found.law == "chinchilla"
    assert found.resources == ("n", "d")
    assert reason in found.warnings[0]
    assert found.warnings[0].endswith("chinchilla is fitted")
    plain = fit_joint(table, "chinchilla", ("n", "d"), "y", 0, compute="compute")
    assert found.objective == plain.objective


def test_repeats_as_good_as_new_are_called_so_and_have_no_upper_end():
    found = fit(rows(noise=0.02, r_star=1e9), 100)
    (r_star,) = (each for each in found.parameters if each.name == "R_star")
    assert r_star.interval.high is None
    assert any("new examples" in warning for warning in found.warnings)


def test_one_amount_of_unique_data_is_named():
    found = fit(rows(noise=0.02, sets=(4e5,)), 100)
    assert any("R_star rests on 1 amount of unique data" in warning for warning in found.warnings)


def test_held_out_rows_are_predicted_with_their_passes():
    table = rows(noise=0.01)
    last = table["d"] / table["unique"] == 64
    found = fit(table[~last], 100, held_out=table[last])
    assert found.held_out.log_rmse < 0.1
    plain = fit_joint(table[~last], "chinchilla", ("n", "d"), "y", 0, held_out=table[last])
    assert plain.held_out.log_rmse > 2 * found.held_out.log_rmse


LOW, HIGH = (math.exp(end) for end in repeated.LOG_R_STAR)


def unsettled(r_star, *resamples, passes=(2.0, 16.0), sets=(1e4, 2e4, 4e4)):
    x = np.array([(1e6, unique, seen) for unique in sets for seen in passes])
    seen = JointRows(x, np.ones(len(x)), np.arange(len(x)), None, (), ())
    return repeated.unsettled(seen, np.array([r_star, *resamples]), 0.025)


@pytest.mark.parametrize(
    ("r_star", "said"),
    [
        (
            0.991 * HIGH,
            "repeats count as new examples in these rows, up to 16 passes: R_star is at its bound",
        ),
        (0.989 * HIGH, None),
        (1.009 * LOW, "repeats count for nothing in these rows: R_star is at its bound"),
        (1.011 * LOW, None),
    ],
)
def test_r_star_at_a_bound_is_named(r_star, said):
    assert unsettled(r_star, *[15.0] * 40) == ([said] if said else [])


def test_r_star_without_an_upper_end_is_named():
    text = ["R_star has no upper end: repeats may count as new examples"]
    assert unsettled(15.0, *[15.0] * 38, HIGH, HIGH) == text
    assert unsettled(15.0, *[15.0] * 39, HIGH) == [], "1 of 40 is the 2.5% outside"
    assert unsettled(15.0) == []


def test_amounts_of_unique_data_count_where_they_were_seen_more_than_once():
    few = "R_star rests on {} of unique data: train on smaller parts of it too, to tell repeats from data"
    assert unsettled(15.0, sets=(1e4, 2e4)) == [few.format("2 amounts")]
    assert unsettled(15.0, passes=(1.1,)) == [few.format("0 amounts")]
    assert unsettled(15.0, passes=(1.11,)) == []
