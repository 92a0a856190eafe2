"""The best split of counted compute: the closed form where C = 6 N D, direct search where it is not."""

import numpy as np
import pytest
from scipy import optimize

from isoflop.curve.language.cost import ByteCost, byte_cost
from isoflop.curve.language.split import best_size

LOG_C = np.log(np.geomspace(1e11, 1e13, 5))


def _best(law, cost):
    """The best ln N at LOG_C, in FLOPs."""
    factors, exponents = np.log([[law.a, law.b]]), np.array([[law.alpha, law.beta]])
    return best_size(factors, exponents, cost, LOG_C)[0]


def test_with_six_n_d_it_is_the_closed_form(language_sweep):
    law = language_sweep.LAW
    size = np.geomspace(1e3, 1e6, 9)
    cost = byte_cost(size, np.ones(9), 6 * size)
    assert cost.misfit == pytest.approx(0, abs=1e-6)
    best = _best(law, cost)
    grows = law.beta / (law.alpha + law.beta)
    front = (law.alpha * law.a / (law.beta * law.b)) ** (1 / (law.alpha + law.beta))
    assert best == pytest.approx(np.log(front * (np.exp(LOG_C) / 6) ** grows), abs=1e-5)


def test_with_counted_flops_it_is_where_a_search_finds_it(language_sweep):
    ladder = [shape for shape in language_sweep.LADDER if shape[1] == 1]
    size = np.array([language_sweep.without_embeddings(*shape) for shape in ladder])
    flops = np.array([language_sweep.flops_per_byte(*shape) for shape in ladder])
    cost = byte_cost(size, np.ones(len(size)), flops)
    assert cost.misfit < 0.02
    best = _best(language_sweep.LAW, cost)
    for log_c, log_size in zip(LOG_C, best, strict=True):
        assert np.exp(log_size) == pytest.approx(language_sweep.optimum(np.exp(log_c))[0], rel=0.03)

        def bits(u, log_c=log_c):
            return language_sweep.LAW.bits(np.exp(u), np.exp(log_c - cost.log(u)))

        searched = optimize.minimize_scalar(bits, bounds=(5, 16), method="bounded", options={"xatol": 1e-9})
        assert log_size == pytest.approx(searched.x, abs=1e-4)


def test_a_law_without_a_gain_from_size_ends_at_the_bound():
    size = np.geomspace(1e3, 1e6, 9)
    cost = byte_cost(size, np.ones(9), 6 * size)
    best = best_size(np.array([[-np.inf, 5.0]]), np.array([[0.4, 0.3]]), cost, LOG_C)
    assert np.isfinite(best).all()
    assert (best < np.log(1e3)).all()


def test_each_depth_has_a_level_and_none_bends_the_slope():
    """Small sizes at depth 1, large ones at depth 2, which costs twice as much: pooled it is too steep."""
    size = np.r_[np.geomspace(1e3, 1e5, 6), np.geomspace(1e4, 1e6, 6)]
    depth = np.repeat([1.0, 2.0], 6)
    cost = byte_cost(size, depth, size * depth)
    assert cost.slope(np.log(size)) == pytest.approx(1)
    assert cost.misfit == pytest.approx(np.log(2) / 2, abs=1e-5)
    pooled = byte_cost(size, np.full(12, np.nan), size * depth)
    assert pooled.slope(np.log(np.array([3e4])))[0] > 1.1


def test_beyond_the_sizes_the_curve_is_a_straight_line():
    cost = ByteCost((0.0, 1.0, 0.1), centre=0.0, low=-1.0, high=1.0, misfit=0.0)
    u = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    assert cost.slope(u) == pytest.approx([0.8, 0.8, 1.0, 1.2, 1.2])
    assert cost.log(u) == pytest.approx([-0.9 - 1.6, -0.9, 0.0, 1.1, 1.1 + 2.4])


def test_what_has_no_optimum_is_refused():
    with pytest.raises(ValueError, match="2 sizes of model"):
        byte_cost(np.array([1e3, 1e4, 1e4]), np.ones(3), np.array([1.0, 2.0, 2.0]))
    size = np.geomspace(1e3, 1e6, 6)
    with pytest.raises(ValueError, match="does not grow"):
        byte_cost(size, np.ones(6), 1 / size)


def test_no_run_has_no_size():
    with pytest.raises(ValueError, match=r"^0 sizes of model"):
        byte_cost(np.array([]), np.array([]), np.array([]))
