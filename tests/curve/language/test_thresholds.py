"""Pairs of equal size and compute, cost a byte along the ladder, the best rates: numbers from both sides."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isoflop.curve.language import comparable, cost, joules, shapes


def configs(*rows):
    """Rows (width, depth, size, compute), ordered as `shapes._means` orders them."""
    table = pd.DataFrame(rows, columns=["width", "depth", shapes.SIZE, shapes.COMPUTE])
    return table.sort_values([shapes.COMPUTE, shapes.SIZE], ignore_index=True)


@pytest.mark.parametrize(
    ("size", "compute", "pairs"),
    [
        (1.149, 1.0, 1),
        (1.151, 1.0, 0),
        (0.871, 1.0, 1),
        (0.868, 1.0, 0),
        (1.0, 1.099, 1),
        (1.0, 1.101, 0),
    ],
)
def test_shapes_are_paired_up_to_a_factor_of_size_and_of_compute(size, compute, pairs):
    assert len(shapes._matches(configs((8, 4, 100.0, 10.0), (16, 2, 100 * size, 10 * compute)))) == pairs


def test_pairs_differ_in_depth_and_width_and_name_the_shallower_first():
    assert shapes._matches(configs((8, 2, 100.0, 1.0), (8, 4, 101.0, 1.0))) == []
    assert shapes._matches(configs((8, 2, 100.0, 1.0), (16, 2, 101.0, 1.0))) == []
    assert shapes._matches(configs((16, 2, 101.0, 1.0), (8, 4, 100.0, 1.0))) == [(1, 0)]
    assert shapes._matches(configs((16, 2, 100.0, 1.0), (8, 4, 101.0, 1.0))) == [(0, 1)]


def test_a_shape_is_in_one_pair_at_most():
    rows = ((16, 2, 100.0, 1.0), (8, 4, 104.0, 1.0), (9, 4, 110.0, 1.0))
    assert shapes._matches(configs(*rows)) == [(0, 1)]


def test_three_pairs_give_a_mean_with_the_interval_of_student():
    values = [0.1, 0.2, 0.6]
    mean = shapes._mean("difference", values)
    reach = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) / np.sqrt(3)
    assert mean.value == pytest.approx(0.3)
    assert (mean.interval.low, mean.interval.high) == pytest.approx((0.3 - reach, 0.3 + reach))
    two = shapes._mean("difference", values[:2])
    assert two.value == pytest.approx(0.15)
    assert (two.interval.low, two.interval.high) == (None, None)


def test_the_spread_of_seeds_is_pooled_over_configurations():
    table = pd.DataFrame(
        {"config_id": ["a", "a", "b", "b", "b", "c"], shapes.BITS: [1.0, 1.2, 2.0, 2.3, 2.6, 9.0]}
    )
    # Squares about the means: 0.02 and 0.18, over 1 + 2 degrees of freedom.
    assert shapes._seed_spread(table) == pytest.approx(np.sqrt(0.2 / 3))
    assert shapes._seed_spread(table.iloc[[0, 2, 5]]) is None


def ladder(sizes, power=1.1, curve=0.0, depth=1.0, factor=1.0):
    size = np.geomspace(1e3, 1e6, sizes)
    logs = np.log(size)
    return size, np.full(sizes, depth), factor * np.exp(power * logs + curve * (logs - logs.mean()) ** 2)


def test_three_sizes_make_a_line_and_five_a_parabola():
    with pytest.raises(ValueError, match="2 sizes of model: compute a byte against size needs 3"):
        cost.byte_cost(*ladder(2))
    assert len(cost.byte_cost(*ladder(3)).coefficients) == 2
    assert len(cost.byte_cost(*ladder(4)).coefficients) == 2
    bent = cost.byte_cost(*ladder(5, curve=0.01))
    assert bent.coefficients[1:] == pytest.approx((1.1, 0.01), abs=1e-5)
    assert bent.misfit < 1e-5


def test_a_depth_of_three_sizes_has_a_level_of_its_own():
    for sizes, misfit in ((3, True), (2, False)):
        deep = ladder(sizes, depth=2.0, factor=1.5)
        both = [np.r_[a, b] for a, b in zip(ladder(4), deep, strict=True)]
        found = cost.byte_cost(*both)
        assert (found.coefficients[1] == pytest.approx(1.1, abs=1e-4)) or not misfit
        # The curve is the mean of the levels over the shapes; the misfit is the farther depth's distance.
        share = sizes / (4 + sizes)
        assert found.misfit == pytest.approx(np.log(1.5) * max(share, 1 - share), abs=1e-3)


def test_compute_that_does_not_grow_has_no_optimum():
    with pytest.raises(ValueError, match="does not grow with the size"):
        cost.byte_cost(*ladder(4, power=0.0))
    with pytest.raises(ValueError, match="does not grow with the size"):
        cost.byte_cost(*ladder(6, power=0.5, curve=-0.1))
    assert cost.byte_cost(*ladder(4, power=0.01)).coefficients[1] == pytest.approx(0.01, abs=1e-5)


def runs(*rows):
    """Rows (batch, rate, validation); all else is equal."""
    table = pd.DataFrame(rows, columns=["batch_size", "base_lr", "val_bits_per_byte"])
    return table.assign(width=8.0, depth=1.0, examples_seen=100.0)


def test_the_rate_with_the_least_mean_validation_is_kept():
    table = runs((1, 0.1, 2.0), (1, 0.1, 2.4), (1, 0.2, 2.1), (1, 0.2, 2.2), (2, 0.3, 9.0), (2, 0.3, 9.0))
    kept = comparable.comparable(table)
    assert kept.rows.index.tolist() == [2, 3, 4, 5]
    assert "tried at 1 of 2 settings" in kept.note
    assert "2 of 6 runs are left out" in kept.note
    assert kept.refused is None
    unknown = comparable.comparable(runs((1, 0.1, np.nan), (1, 0.2, np.nan), (2, 0.3, 9.0)))
    assert unknown.rows.index.tolist() == [2], "nothing but the test loss could choose"


def test_hashes_are_named_by_their_first_digits():
    assert comparable._shown("a" * 64) == "a" * 8
    assert comparable._shown("a" * 63) == "a" * 63
    assert comparable._shown(256.0) == "256"


def test_joules_are_medians_of_a_shape_and_batch_with_their_reason():
    table = pd.DataFrame(
        {
            "width": [8.0] * 4,
            "depth": [1.0] * 4,
            "batch_size": [32.0, 32.0, 32.0, 64.0],
            joules.SIZE: 100.0,
            joules.JOULES: [1.0, 2.0, 9.0, np.nan],
            joules.NET: [0.5, np.nan, np.nan, np.nan],
            "energy_reason": [None, None, None, "no counter"],
            joules.GPU_ONLY: [np.nan, 300.0, np.nan, np.nan],
        }
    )
    small, large = joules.joules_a_byte(table)
    assert (small.batch, small.joules, small.net_joules, small.on_gpu, small.reason) == (
        32,
        2.0,
        0.5,
        True,
        None,
    )
    assert (large.batch, large.joules, large.on_gpu, large.reason) == (64, None, False, "no counter")
    without = joules.joules_a_byte(table.drop(columns=joules.NET))[0]
    assert without.reason == "idle power was not measured"
    silent = joules.joules_a_byte(table.drop(columns="energy_reason"))[1]
    assert silent.reason == "no reason recorded"


def test_the_nearest_is_the_one_of_the_nearest_size_whatever_its_compute():
    rows = ((16, 2, 100.0, 1.0), (8, 4, 108.0, 1.0), (9, 4, 101.0, 1.05))
    assert shapes._matches(configs(*rows)) == [(0, 2)]


def runs_of(**changes):
    """Two shapes of equal size and compute, the deeper with two seeds."""
    table = pd.DataFrame(
        {
            "config_id": ["a", "b", "b"],
            "width": [16.0, 8.0, 8.0],
            "depth": [2.0, 4.0, 4.0],
            shapes.SIZE: [100.0, 104.0, 104.0],
            shapes.SEEN: [5e6, 4e6, 4e6],
            shapes.COMPUTE: [4.0, 4.2025, 4.2025],
            shapes.BITS: [2.0, 1.9, 1.96],
        }
    )
    return table.assign(**changes)


def test_a_pair_is_the_deeper_less_the_shallower_of_means_over_seeds():
    class Law:
        @staticmethod
        def predict(x):
            return x[:, 0] / 1000 + x[:, 1] / 1e8

    law: Any = Law()
    found = shapes.width_against_depth(runs_of(), law)
    (pair,) = found.pairs
    assert pair.compute == pytest.approx(4.1)
    assert pair.difference == pytest.approx(1.93 - 2.0)
    assert pair.explained == pytest.approx(0.004 - 0.01)
    assert found.unexplained.value == pytest.approx(-0.07 + 0.006)
    assert (pair.shallow.width, pair.shallow.depth, pair.shallow.seeds) == (16, 2, 1)
    assert (pair.deep.width, pair.deep.depth, pair.deep.seeds, pair.deep.bits) == (8, 4, 2, 1.93)
    assert (pair.paired, pair.paired_reason) == (None, "a table alone has no losses of single windows")
    assert found.seed_spread == pytest.approx(0.06 / np.sqrt(2))
    without = shapes.width_against_depth(runs_of(), None)
    assert (without.unexplained, without.pairs[0].explained) == (None, None)


def test_one_seed_has_no_spread_but_a_reason():
    found = shapes.width_against_depth(runs_of().iloc[:2], None)
    assert (found.seed_spread, found.seed_spread_reason) == (None, "no configuration has two seeds")


def test_horizons_of_a_configuration_are_shapes_of_their_own():
    found = shapes.width_against_depth(runs_of(place_id=["a", "b1", "b2"]), None)
    assert [pair.deep.seeds for pair in found.pairs] == [1]
    assert found.seed_spread is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 2.0}, "depth does not vary: there is nothing to compare at equal size"),
        ({shapes.SIZE: [100.0, 200.0, 200.0]}, r"within a factor of 1\.15 in parameters and 1\.1 in compute"),
        ({shapes.BITS: [np.nan, 1.9, 1.9]}, "depth does not vary"),
    ],
)
def test_shapes_that_cannot_be_compared_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        shapes.width_against_depth(runs_of(**changes), None)
