"""How much intervals of a curve widen towards the ends of the range: against matrices, and in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isoflop.curve import bootstrap, leverage

V = np.linspace(9.0, 0.0, 12)
EACH = np.arange(12)
ENDS = np.array([-9.0, 0.0])


def _by_matrices(v: np.ndarray, unit: np.ndarray, z: float, parameters: int) -> float:
    """The true interval of a polynomial over that of exponential weights, by dense matrices."""
    design, at = np.vander(-v, parameters), np.vander([z], parameters)
    inverse = np.linalg.inv(design.T @ design)
    away = np.eye(len(v)) - design @ inverse @ design.T
    pull = (at @ inverse @ design.T)[0]
    shown = 0.0
    units = int(unit.max()) + 1
    for u in range(units):
        mine = unit == u
        block = away[np.ix_(mine, mine)]
        shown += pull[mine] @ block @ pull[mine]
    student = stats.t.ppf(0.975, units - parameters) / stats.norm.ppf(0.975)
    return float(student * np.sqrt(pull @ pull / shown * (units + 1) / units))


@pytest.mark.parametrize("parameters", [2, 3])
@pytest.mark.parametrize("unit", [EACH, EACH // 2], ids=["single", "two means each"])
def test_the_factor_is_that_of_the_dense_matrices(unit: np.ndarray, parameters: int) -> None:
    for z in (-9.0, -4.0, 0.0, 2.3):
        factors = leverage.stretch(V, unit, np.array([z]), parameters)
        assert factors == pytest.approx([_by_matrices(V, unit, z, parameters)], rel=1e-9)


def test_seeds_of_a_place_are_one_unit() -> None:
    once = leverage.stretch(V, EACH, ENDS, 3)
    assert leverage.stretch(np.repeat(V, 3), np.repeat(EACH, 3), ENDS, 3) == pytest.approx(once)


def test_the_unit_of_x_and_the_names_of_units_do_not_matter() -> None:
    once = leverage.stretch(V, EACH, ENDS, 2)
    assert leverage.stretch(V, 7 * EACH[::-1] + 3, ENDS, 2) == pytest.approx(once)
    assert leverage.stretch(3 * V, EACH, 3 * ENDS, 2) == pytest.approx(once)
    assert leverage.stretch(V + 2, EACH, ENDS - 2, 2) == pytest.approx(once)


def test_it_is_more_at_the_ends_than_amid_the_range_and_fades_with_many_configurations() -> None:
    amid, end = leverage.stretch(V, EACH, np.array([-4.5, 0.0]), 3)
    assert end > 1.1 * amid
    many = np.linspace(9.0, 0.0, 3000)
    assert leverage.stretch(many, np.arange(3000), ENDS, 2) == pytest.approx(1.0, abs=0.01)


def test_a_lone_point_far_from_the_rest_widens_its_end_and_stays_finite() -> None:
    near, lone = leverage.stretch(
        np.array([9.1, 9.0, 8.9, 8.8, 8.7, 0.0]), EACH[:6], np.array([-9.0, 0.0]), 2
    )
    assert lone > 3 * near
    assert np.isfinite(lone)
    three = leverage.stretch(np.array([9.0] * 4 + [4.0] * 4 + [0.0]), EACH[:9], ENDS, 3)
    assert np.all(np.isfinite(three))


def test_a_mean_has_the_same_factor_everywhere() -> None:
    factors = leverage.stretch(V, EACH, np.array([-9.0, -4.0, 2.0]), 1)
    assert factors == pytest.approx(bootstrap.stretch(12, 1))


def test_laws_of_many_parameters_widen_towards_the_ends_as_a_parabola_from_their_own_level() -> None:
    six, three = (leverage.stretch(V, EACH, ENDS, parameters) for parameters in (6, 3))
    assert six / three == pytest.approx(bootstrap.stretch(12, 6) / bootstrap.stretch(12, 3))


def test_where_resamples_tell_nothing_nothing_is_stretched() -> None:
    assert np.all(leverage.stretch(V[:3], EACH[:3], ENDS, 2) == 1.0)


def test_the_interval_at_the_end_of_a_line_holds_the_truth_as_often_as_it_says() -> None:
    """2,000 lines through 12 normal points, 300 resamples each; the plain stretch holds it in 92 or 93%."""
    generator = np.random.default_rng(0)
    design = np.column_stack([np.ones(12), -V])
    y = generator.standard_normal((2000, 12))
    weights = bootstrap.resample(12, 300, generator)[1:]
    normal = np.linalg.inv(np.einsum("rn,ni,nj->rij", weights, design, design))
    at_end = np.einsum("rj,rn,nj->rn", normal[:, 0, :], weights, design)
    draws = at_end @ y.T

    def held(factor: float) -> float:
        low, high = bootstrap.stretched(draws, factor)
        return float(np.mean((low <= 0) & (high >= 0)))

    assert held(float(leverage.stretch(V, EACH, np.array([0.0]), 2)[0])) == pytest.approx(0.95, abs=0.02)
    assert held(bootstrap.stretch(12, 2)) < 0.94
