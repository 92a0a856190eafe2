"""The bias of parabolas: known where the law is, small on a narrow design; a reason where it is unknown."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.curve.isoflop.result import Profiles

ALPHA, BETA = 0.25, 0.5
A, B, E = 480 * 5e8 ** (ALPHA - 0.35), 2100 * 1e10 ** (BETA - 0.37), 1.8
BUDGETS = np.geomspace(1e18, 1e21, 4)


def law(n, d):
    return E + A / n**ALPHA + B / d**BETA


def optimum(compute):
    return (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)) * (compute / 6) ** (BETA / (ALPHA + BETA))


def design(low, high, noise=0.0, step_cost=0.0):
    """Chinchilla's law at 4 budgets and 9 sizes from e^low to e^high times the optimum; a step's compute may
    grow faster than 6 N with the size."""
    budget, u = (axis.ravel() for axis in np.meshgrid(BUDGETS, np.linspace(low, high, 9)))
    n = optimum(budget) * np.exp(u)
    d = budget / (6 * n) * np.exp(-step_cost * u**2)
    y = law(n, d) * np.exp(noise * np.random.default_rng(0).standard_normal(len(n)))
    return pd.DataFrame({"C": budget, "N": n, "D": d, "loss": y})


def profiles(table, companions=("D",), data="D", **settings):
    return fit_profiles(table, "C", ("N",), "loss", companions, data=data, resamples=0, **settings)


def test_without_noise_the_bias_is_all_that_stands_between_parabola_and_law():
    fitted = profiles(design(-2.3, 2.3))
    assert fitted.bias_law == "chinchilla"
    for budget in fitted.budgets:
        size, seen = budget.optimum
        assert size.value < 0.9 * optimum(budget.compute), "sizes far from the optimum draw the vertex away"
        assert size.value / budget.bias[0] == pytest.approx(optimum(budget.compute), rel=2e-3)
        at_law = budget.compute / (6 * optimum(budget.compute))
        assert seen.value / budget.bias[1] == pytest.approx(at_law, rel=2e-3)


def test_near_the_optimum_there_is_hardly_any():
    for budget in profiles(design(-0.5, 0.5)).budgets:
        assert budget.bias[0] == pytest.approx(1, abs=0.01)


def test_the_laws_own_optimum_follows_the_data_that_each_budget_saw():
    """Where the compute of a step is no power of the size, the closed form for 6 N D would be off."""
    table = design(-2.3, 2.3, step_cost=0.05)

    def along(u, compute):
        n = optimum(compute) * np.exp(u)
        return law(n, compute / (6 * n) * np.exp(-0.05 * u**2))

    for budget in profiles(table).budgets:
        least = optimize.minimize_scalar(
            along, bounds=(-2, 2), args=(budget.compute,), method="bounded", options={"xatol": 1e-8}
        )
        truth = optimum(budget.compute) * np.exp(least.x)
        assert budget.optimum[0].value / budget.bias[0] == pytest.approx(truth, rel=5e-3)


def test_the_bias_of_the_exponent_is_that_of_the_lines():
    lopsided = pd.concat(
        [
            design(low, low + 4)[lambda t, c=c: t["C"] == c]
            for low, c in zip((-3, -2.3, -1.6, -1), BUDGETS, strict=True)
        ],
        ignore_index=True,
    )
    fitted = profiles(lopsided)
    bias = fitted.growth[0].bias
    assert bias.by_law == pytest.approx(BETA / (ALPHA + BETA), abs=1e-3)
    assert bias.by_parabolas == pytest.approx(fitted.growth[0].exponent.value, abs=1e-3)
    assert msgspec.json.decode(msgspec.json.encode(fitted), type=Profiles) == fitted


def test_two_sizes_have_a_bias_each():
    width, depth, c = (
        axis.ravel() for axis in np.meshgrid(np.geomspace(64, 2048, 6), [2.0, 5.0, 13.0, 32.0], BUDGETS)
    )
    d = c / (72 * width**2 * depth)
    y = 0.4 + 6 * width**-0.45 + 1.5 * depth**-0.6 + 3e3 * d**-0.35
    table = pd.DataFrame({"C": c, "width": width, "depth": depth, "d": d, "y": y})
    fitted = fit_profiles(table, "C", ("width", "depth"), "y", ("d",), data="d", resamples=0)
    assert fitted.bias_law == "width_depth_data"
    known = [budget for budget in fitted.budgets if budget.bias is not None]
    assert known
    for budget in known:
        best = [each.value / off for each, off in zip(budget.optimum, budget.bias, strict=True)][:2]

        def at(logs, c=budget.compute):
            w, h = np.exp(logs)
            return 6 * w**-0.45 + 1.5 * h**-0.6 + 3e3 * (c / (72 * w**2 * h)) ** -0.35

        least = optimize.minimize(
            at, np.log(best), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14}
        )
        np.testing.assert_allclose(best, np.exp(least.x), rtol=0.01)


@pytest.mark.parametrize(
    ("companions", "data", "reason"),
    [((), None, "no column of data"), (("D",), "D", "no joint law in N and D")],
)
def test_an_unknown_bias_has_its_reason(companions, data, reason):
    table = design(-1, 1)
    if data:
        table = table.assign(D=1e9 * (1 + 1e-3 * np.arange(len(table)) % 3))
    fitted = profiles(table, companions, data)
    assert fitted.bias_law is None
    assert reason in fitted.bias_reason
    assert all(budget.bias is None for budget in fitted.budgets)
