"""Laws in several resources: published numbers, known laws recovered, units, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from isoflop.curve import solver
from isoflop.curve.joint import allocation, forms
from isoflop.curve.joint import fit as fit_module
from isoflop.curve.joint.fit import fit_joint
from isoflop.curve.joint.result import JointFit
from isoflop.curve.solver import Problem

SCALING = Path(__file__).parents[3] / "../shared/data/scaling"
LEAST = 0.00101827402


def _read(name):
    path = SCALING / name
    if not path.exists():
        pytest.skip(f"no {name} in ../shared/data/scaling")
    return pd.read_csv(path) if name.endswith("csv") else pd.read_json(path, lines=True)


@pytest.fixture(scope="module")
def chinchilla():
    """The 240 points of Besiroglu et al. 2024: the five highest losses dropped, D = FLOP / 6N."""
    rows = _read("chinchilla_points.csv").sort_values("loss").iloc[:-5]
    return pd.DataFrame(
        {"N": rows["Model Size"], "D": rows["Training FLOP"] / (6 * rows["Model Size"]), "loss": rows["loss"]}
    )


def _fit(rows, resamples=0, **settings):
    return fit_joint(rows, "chinchilla", ("N", "D"), "loss", resamples, **settings)


@pytest.mark.parametrize("order", range(3))
def test_chinchilla_is_the_published_optimum_in_any_order_of_rows(chinchilla, order):
    fit = _fit(chinchilla.sample(frac=1, random_state=order), seed=order)
    assert fit.points == 240
    assert fit.objective == pytest.approx(LEAST, abs=1e-9)
    assert fit.value("exponent_parameters") == pytest.approx(0.34731, abs=5e-5)
    assert fit.value("exponent_data") == pytest.approx(0.36717, abs=5e-5)
    for name, value in (("A", 477.83), ("B", 2143.4), ("E", 1.8172)):
        assert fit.value(name) == pytest.approx(value, rel=1e-3)


def test_one_start_may_end_in_a_bad_place_that_the_grid_of_starts_leaves(chinchilla):
    logs = np.log(chinchilla[["N", "D", "loss"]].to_numpy())

    def loss(p):
        parts = np.column_stack([p[0] - p[3] * logs[:, 0], p[1] - p[4] * logs[:, 1], np.full(240, p[2])])
        law = np.logaddexp.reduce(parts, axis=1)
        residual = logs[:, 2] - law
        size, pull = np.abs(residual), -np.clip(residual, -1e-3, 1e-3)
        weight = pull[:, None] * np.exp(parts - law[:, None])
        down = np.r_[weight.sum(axis=0), -(weight[:, :2] * logs[:, :2]).sum(axis=0)]
        return np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum() * 1e3, 1e3 * down

    # Where a start ends depends on rounding, and so on the machine: of these some stop far off on every one.
    starts = [[20, a, e, 2, beta] for a in (5, 10, 20) for e in (0, 0.5) for beta in (0.5, 1)]
    ends = [
        optimize.minimize(loss, start, jac=True, method="BFGS").fun / 1e3
        for start in (*starts, [0, 0, -1, 0, 0])
    ]
    assert max(ends) > 1.05 * LEAST
    assert ends[-1] == pytest.approx(LEAST, abs=1e-8)
    assert _fit(chinchilla).objective <= min(ends) + 1e-12


def test_bootstrap_standard_errors_are_the_published_ones(chinchilla):
    fit = _fit(chinchilla, 400, seed=1)
    assert fit.standard_errors["exponent_parameters"] == pytest.approx(0.015, abs=0.003)
    assert fit.standard_errors["exponent_data"] == pytest.approx(0.021, abs=0.004)
    (n_grows, d_grows) = fit.allocation.exponents
    assert n_grows.value == pytest.approx(0.5139, abs=1e-3)
    assert n_grows.value + d_grows.value == pytest.approx(1)
    assert n_grows.interval.low < 0.5 < n_grows.interval.high
    assert msgspec.json.decode(msgspec.json.encode(fit), type=JointFit) == fit


def test_every_resample_is_at_the_minimum_that_long_effort_from_random_starts_finds(chinchilla):
    generator = np.random.default_rng(0)
    v = np.log(chinchilla[["N", "D"]].max() / chinchilla[["N", "D"]]).to_numpy()
    log_y = np.log(chinchilla["loss"].to_numpy())[None]
    weights = generator.multinomial(240, np.ones(240) / 240, 20).astype(float)
    problem = Problem(forms.CHINCHILLA, v, log_y, solver.log_error(log_y), 1e-3, newton=True)
    _, reached = solver.solve(problem, weights, solver.Effort(1e-7, 1e-10, 200), relaxed=True)

    def loss(p, w):
        size = np.abs(log_y[0] - p[0] - forms.additive(p[None, 1:], v)[0][0])
        return 1e3 * float(w @ np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)))

    for w, ours in zip(weights[:3], reached[:3], strict=True):
        for _ in range(2):
            start = np.r_[generator.uniform(0.6, 1.0), -generator.uniform(0.2, 2), generator.uniform(-1, 1)]
            start = np.r_[start, generator.uniform(0.1, 0.8, 2)]
            free = [(None, None), (-20, 3), (-30, 30), (1e-3, 5), (1e-3, 5)]
            other = optimize.minimize(loss, start, args=(w,), method="L-BFGS-B", bounds=free)
            assert ours <= other.fun / 1e3 * (1 + 1e-9)


def _sweep(law, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    width, depth, data = np.exp(generator.uniform([5, 1.5, 14], [8, 4, 22], (120, 3)).T)
    n = 12 * width**2 * depth
    if law == "width_depth_data":
        y = 0.4 + 6 * width**-0.45 + 1.5 * depth**-0.6 + 90 * data**-0.35
        x = {"width": width, "depth": depth, "data": data}
    else:
        y = 0.02 + 9 * n**-0.3 + 60 * data**-0.35
        x = {"n": n, "d": data}
    if law == "rosenfeld":
        y = 0.9 * y / np.hypot(y, 0.4)
    return pd.DataFrame(x | {"y": y * np.exp(noise * generator.standard_normal(120))}), tuple(x)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("chinchilla", {"E": 0.02, "A": 9, "B": 60, "exponent_parameters": 0.3, "exponent_data": 0.35}),
        (
            "width_depth_data",
            {"E": 0.4, "A": 6, "B": 1.5, "C": 90, "exponent_width": 0.45, "exponent_depth": 0.6}
            | {"exponent_data": 0.35},
        ),
        (
            "rosenfeld",
            {"c": 0.05, "b": 22.5, "a": 150, "e0": 0.9, "exponent_parameters": 0.3, "exponent_data": 0.35},
        ),
    ],
)
def test_noiseless_points_give_the_law_back(law, expected):
    table, resources = _sweep(law)
    fit = fit_joint(table, law, resources, "y", 0)
    for name, value in expected.items():
        assert fit.value(name) == pytest.approx(value, rel=1e-4), name
    predicted = fit.predict(table[list(resources)].to_numpy())
    np.testing.assert_allclose(predicted, table["y"], rtol=1e-6)


@pytest.mark.parametrize("law", ["chinchilla", "width_depth_data", "rosenfeld"])
@pytest.mark.parametrize("delta", [1e-3, None])
def test_predictions_do_not_depend_on_units(law, delta):
    table, resources = _sweep(law, noise=0.02)
    here = fit_joint(table, law, resources, "y", 0, delta=delta)
    other = table.copy()
    factors = np.array([1e-9, 1e3, 7e5])[: len(resources)]
    other[list(resources)] *= factors
    there = fit_joint(other, law, resources, "y", 0, delta=delta)
    x = table[list(resources)].to_numpy()
    np.testing.assert_allclose(there.predict(x * factors), here.predict(x), rtol=1e-9)


def test_a_known_chance_level_is_held():
    table, resources = _sweep("rosenfeld", noise=0.01)
    fit = fit_joint(table, "rosenfeld", resources, "y", 0, chance=0.9)
    assert fit.value("e0") == pytest.approx(0.9)


def test_the_optimal_split_is_where_the_law_is_least_at_that_compute():
    b, powers = np.array([[0.45, 0.6, 0.35]]), np.array([2.0, 1.0, 1.0])
    log_factors = np.log([[6.0, 1.5, 90.0]])
    for compute in (20.0, 40.0):
        best = allocation.optimum(log_factors, b, powers, compute)[0]
        assert best @ powers == pytest.approx(compute)

        def law(free, compute=compute):
            logs = np.r_[free, compute - free @ powers[:2]]
            return np.exp(log_factors[0] - b[0] * logs).sum()

        least = optimize.minimize(law, best[:2] + 0.3, tol=1e-12)
        np.testing.assert_allclose(least.x, best[:2], atol=1e-3)
    grows = (allocation.optimum(log_factors, b, powers, 40.0) - best)[0]
    np.testing.assert_allclose(grows, 0, atol=1e-12)
    steps = allocation.optimum(log_factors, b, powers, 41.0) - allocation.optimum(
        log_factors, b, powers, 40.0
    )
    np.testing.assert_allclose(steps, allocation.exponents(b, powers))


@pytest.mark.parametrize(
    ("form", "k"),
    [
        (forms.CHINCHILLA, 2),
        (forms.WIDTH_DEPTH_DATA, 3),
        (forms.ROSENFELD, 2),
        (forms.FREE_ROSENFELD, 2),
    ],
)
def test_derivatives_are_those_of_differences(form, k):
    generator = np.random.default_rng(0)
    v = generator.uniform(0, 5, (7, k))
    theta = generator.uniform(-0.8, 0.8, (3, len(form.names)))
    theta[:, -k:] = np.abs(theta[:, -k:]) + 0.1
    theta[:, len(form.names) - 2 * k] -= 1.0
    _, slopes = form.evaluate(theta, v)
    for i in range(len(form.names)):
        step = np.zeros(len(form.names))
        step[i] = 1e-6
        numeric = (form.evaluate(theta + step, v)[0] - form.evaluate(theta - step, v)[0]) / 2e-6
        np.testing.assert_allclose(slopes[..., i], numeric, atol=1e-8)


def test_gemstones_predicts_shapes_it_has_not_seen():
    rows = _read("gemstones_hot.jsonl")
    shape = rows["width"].astype(str) + "x" + rows["depth"].astype(str)
    shapes = sorted(set(shape))
    held = shape.isin(shapes[::4])
    fit = fit_joint(
        *(rows[~held], "width_depth_data", ("width", "depth", "tokens"), "final_loss", 100),
        **{"group": "run_name", "held_out": rows[held]},
    )
    assert fit.configs == len(shapes) - len(shapes[::4])
    assert fit.held_out is not None
    assert fit.held_out.log_rmse < 0.02
    assert fit.held_out.inside > 0.9 * len(fit.held_out.rows)
    assert all(np.isfinite(e.value) for e in fit.parameters)


def test_what_cannot_be_fitted_is_refused_in_words():
    table, resources = _sweep("chinchilla", noise=0.01)
    with pytest.raises(ValueError, match="did you mean chinchilla"):
        fit_joint(table, "chinchila", resources, "y")
    with pytest.raises(ValueError, match="a column for each, not 3"):
        fit_joint(table, "chinchilla", (*resources, "y"), "y")
    with pytest.raises(ValueError, match="no column m"):
        fit_joint(table, "chinchilla", ("m", "d"), "y")
    with pytest.raises(ValueError, match="column of its own"):
        fit_joint(table, "chinchilla", ("n", "n"), "y")
    with pytest.raises(ValueError, match="5 distinct combinations"):
        fit_joint(table.head(5), "chinchilla", resources, "y")
    with pytest.raises(ValueError, match="n has 2 distinct values"):
        fit_joint(table.assign(n=np.where(table["n"] > 1e7, 2e7, 1e6)), "chinchilla", resources, "y")
    with pytest.raises(ValueError, match="vary one while holding the other"):
        fit_joint(table.assign(d=20 * table["n"]), "chinchilla", resources, "y")
    with pytest.raises(ValueError, match="same in every row"):
        fit_joint(table.assign(y=1.0), "chinchilla", resources, "y")
    with pytest.raises(ValueError, match="no chance level"):
        fit_joint(table, "chinchilla", resources, "y", chance=0.9)
    with pytest.raises(ValueError, match="resamples is 5"):
        fit_joint(table, "chinchilla", resources, "y", 5)
    with pytest.raises(ValueError, match="delta is 0"):
        fit_joint(table, "chinchilla", resources, "y", delta=0.0)


def test_rows_without_a_logarithm_are_excluded_by_name():
    table, resources = _sweep("chinchilla", noise=0.01)
    table.loc[[3, 7], "n"] = [np.nan, 0.0]
    table.loc[9, "y"] = np.inf
    fit = fit_joint(table, "chinchilla", resources, "y", 0)
    reasons = {e.run_id: e.reason for e in fit.excluded}
    assert reasons["row 4"] == "unknown n"
    assert "n is 0" in reasons["row 8"]
    assert "y is inf" in reasons["row 10"]
    assert fit.points == 117


def test_errors_at_each_rows_own_chance_level_are_left_out():
    table, resources = _sweep("chinchilla", noise=0.01)
    errors = table.rename(columns={"y": "test_error"}).assign(chance_error=0.9)
    errors.loc[5, "chance_error"] = errors.loc[5, "test_error"]
    errors.loc[6, "chance_error"] = np.nan
    fit = fit_joint(errors, "chinchilla", resources, "test_error", 0)
    assert [e.run_id for e in fit.excluded] == ["row 6"]
    assert "at chance" in fit.excluded[0].reason
    assert fit_joint(table.assign(chance_error=0.0), "chinchilla", resources, "y", 0).excluded == ()


def test_the_split_is_at_the_largest_compute_and_ten_times_it_or_at_the_compute_named():
    table, resources = _sweep("chinchilla")
    largest = float((6 * table["n"] * table["d"]).max())
    split = fit_joint(table, "chinchilla", resources, "y", 0).allocation
    assert [at.compute for at in split.optima] == pytest.approx([largest, 10 * largest])
    grown = split.optima[1].best[0].value / split.optima[0].best[0].value
    assert np.log10(grown) == pytest.approx(split.exponents[0].value)
    at_ten_times = fit_joint(table, "chinchilla", resources, "y", 0, at_compute=10 * largest).allocation
    assert at_ten_times.optima == split.optima[1:]


def test_a_floor_that_the_points_do_not_identify_gives_a_warning():
    table, resources = _sweep("chinchilla")
    table["y"] = (9 * table["n"] ** -0.3 + 60 * table["d"] ** -0.35) * np.exp(
        0.03 * np.random.default_rng(1).standard_normal(120)
    )
    fit = fit_joint(table, "chinchilla", resources, "y", 100)
    assert any("floor not identified" in warning for warning in fit.warnings)


def test_few_configurations_give_no_interval_but_a_warning():
    table, resources = _sweep("chinchilla", noise=0.01)
    fit = fit_joint(table.assign(shape=np.arange(120) % 5), "chinchilla", resources, "y", 60, group="shape")
    assert any("no interval can be given" in warning for warning in fit.warnings)
    assert all(e.interval.low is None and e.interval.high is None for e in fit.parameters)
    assert set(fit.standard_errors.values()) == {None}


def test_a_resource_that_does_not_matter_has_no_best_split():
    table, resources = _sweep("chinchilla")
    fit = fit_joint(table.assign(y=0.02 + 9 * table["n"] ** -0.3), "chinchilla", resources, "y", 0)
    assert fit.allocation is None
    assert any("data explains nothing" in warning for warning in fit.warnings)


@pytest.mark.parametrize("law", ["chinchilla", "width_depth_data"])
def test_the_ratio_of_the_best_split_is_that_of_its_parts(law):
    table, resources = _sweep(law)
    for optimum in fit_joint(table, law, resources, "y", 0).allocation.optima:
        values = {each.name: each.value for each in optimum.best}
        if law == "chinchilla":
            ratio = values["optimal_data"] / values["optimal_parameters"]
            assert values["examples_per_parameter"] == pytest.approx(ratio)
        else:
            ratio = values["optimal_width"] / values["optimal_depth"]
            assert values["width_per_depth"] == pytest.approx(ratio)


@pytest.mark.parametrize("low", [0.91, 0.89])
@pytest.mark.parametrize("high", [1.09, 1.11])
def test_compute_that_strays_from_the_product_by_more_than_a_tenth_is_named(low, high):
    """A fifth of the rows at each end: the ends hold 80% of the ratios between them."""
    table, resources = _sweep("chinchilla")
    strays = np.repeat([low, 1.0, high], [24, 72, 24])
    found = fit_joint(
        table.assign(spent=7e-9 * table["n"] * table["d"] * strays),
        "chinchilla",
        resources,
        "y",
        0,
        compute="spent",
    )
    said = [warning for warning in found.warnings if warning.startswith("spent is")]
    assert bool(said) == (low < 0.9 or high > 1.1)
    assert found.allocation.factor == pytest.approx(7e-9)
    assert found.allocation.compute_unit == "spent"
    assert found.allocation.basis == "the median of spent over the product of resources"
    if said:
        assert said[0] == (
            f"spent is {low:.2f} to {high:.2f} times 7e-09 x the product of resources in 80% of rows: the "
            "optimal split is as rough"
        )


def test_what_was_measured_holds_the_ratio_of_the_split_too():
    table, resources = _sweep("chinchilla")
    best = {
        each.name: each
        for each in fit_joint(table, "chinchilla", resources, "y", 0).allocation.optima[1].best
    }
    ratio = table["d"] / table["n"]
    measured = best["examples_per_parameter"].measured
    assert (measured.quantity, measured.least, measured.largest) == (
        "examples per parameter",
        pytest.approx(ratio.min()),
        pytest.approx(ratio.max()),
    )
    assert best["optimal_data"].measured.largest == pytest.approx(table["d"].max())
    table, resources = _sweep("width_depth_data")
    (_, beyond) = fit_joint(table, "width_depth_data", resources, "y", 0).allocation.optima
    assert beyond.outside is not None
    measured = next(each for each in beyond.best if each.name == "width_per_depth").measured
    assert measured.largest == pytest.approx((table["width"] / table["depth"]).max())


def test_errors_of_a_fit_are_in_decades_and_standard_errors_those_of_the_resamples():
    table, resources = _sweep("chinchilla", noise=0.02)
    kept: list[Any] = []
    found = fit_joint(table, "chinchilla", resources, "y", 60, keep=kept.append)
    (solved,) = kept
    predicted = found.predict(table[list(resources)].to_numpy())
    assert found.log10_rmse == pytest.approx(
        np.sqrt(np.mean(np.log10(table["y"] / predicted) ** 2)), rel=1e-6
    )
    exponents = solved.fitted.parameters[1:, -2]
    assert found.standard_errors["exponent_parameters"] == pytest.approx(exponents.std(ddof=1))


def test_amounts_are_cut_at_ten_to_two_hundred():
    cut = fit_module._powers(np.log([1e150, 3.0]) * np.array([2.0, 1.0]))
    np.testing.assert_allclose(cut, [1e200, 3.0])
    np.testing.assert_allclose(fit_module._powers(np.array([-1e4])), [1e-200])


@pytest.mark.parametrize(
    ("law", "resources", "message"),
    [
        ("chinchila", ("n", "d"), "unknown law chinchila: did you mean chinchilla"),
        ("chinchilla", ("n",), "chinchilla is a law of parameters, data: name a column for each, not 1"),
    ],
)
def test_an_unknown_law_or_too_few_columns_are_refused(law, resources, message):
    table, _ = _sweep("chinchilla")
    with pytest.raises(ValueError, match=message):
        fit_joint(table, law, resources, "y", 0)


@pytest.mark.parametrize("delta", [0.0, -1.0, np.inf, np.nan])
def test_a_threshold_must_be_above_zero_and_finite(delta):
    table, resources = _sweep("chinchilla")
    with pytest.raises(ValueError, match="give Huber's threshold of ln y, above 0"):
        fit_joint(table, "chinchilla", resources, "y", 0, delta=delta)
