import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.curve.frontier import frontier, select

_POINT = st.tuples(st.integers(0, 6), st.integers(0, 6))


def test_the_frontier_of_five_points_is_the_hand_found_one():
    assert frontier([3, 1, 2, 5, 4], [0.2, 0.5, 0.6, 0.1, 0.2]).tolist() == [1, 0, 3]


@given(st.lists(_POINT, max_size=30))
def test_the_frontier_holds_exactly_the_points_that_nothing_dominates(points):
    x, y = ([p[i] for p in points] for i in (0, 1))
    undominated = {
        i
        for i, (a, b) in enumerate(points)
        if not any(c <= a and d <= b and (c, d) != (a, b) for c, d in points)
    }
    found = frontier(x, y)
    assert set(found.tolist()) == undominated
    assert np.all(np.diff(np.array(x)[found]) >= 0)


def test_unknown_or_unequal_inputs_are_refused():
    with pytest.raises(ValueError, match="finite"):
        frontier([1.0, 2.0], [0.1, float("nan")])
    with pytest.raises(ValueError, match="one length"):
        frontier([1.0, 2.0], [0.1])


def _select_slowly(place, place_x, run_y, drawn):
    """The rule of frontier.select, run by run and place by place."""
    means = {p: np.mean(run_y[place == p]) for p in range(len(place_x))}
    chosen = np.zeros((len(drawn), len(place)), dtype=bool)
    for row, counts in enumerate(drawn):
        for run, own in enumerate(place):
            mates = [y for i, y in enumerate(run_y) if place[i] == own and i != run]
            judged = np.mean(mates) if mates else run_y[run]
            cheaper = [
                means[p]
                for p in range(len(place_x))
                if counts[p] > 0 and (place_x[p], means[p]) < (place_x[own], means[own]) and p != own
            ]
            chosen[row, run] = counts[own] > 0 and judged < min(cheaper, default=np.inf)
        if len(set(place[chosen[row]])) < 3:
            chosen[row] = chosen[0] & (counts[place] > 0)
    return chosen


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_cross_fitted_frontier_is_that_of_a_direct_loop(seed, seeds):
    generator = np.random.default_rng(seed)
    place_x = np.exp(generator.uniform(0, 8, 15))
    place = np.repeat(np.arange(15), seeds)
    run_y = place_x[place] ** -0.2 * np.exp(0.3 * generator.standard_normal(len(place)))
    drawn = np.vstack([np.ones(15), generator.multinomial(15, np.ones(15) / 15, 30)])
    found = select(place, place_x, run_y, drawn)
    assert np.array_equal(found, _select_slowly(place, place_x, run_y, drawn))
    assert not found[:, place][:, drawn[0][place] == 0].any()


def test_without_noise_the_cross_fitted_frontier_is_the_plain_one():
    x = np.geomspace(1, 1e4, 12)
    y = x**-0.2
    y[[3, 7]] *= 3
    place = np.repeat(np.arange(12), 3)
    found = select(place, x, y[place], np.ones((1, 12)))[0]
    assert set(place[found]) == set(frontier(x, y).tolist())


def test_choosing_by_the_other_seeds_lowers_the_bias_of_the_frontier():
    """Configurations of one x differ in luck only: the plain frontier takes the luckiest."""
    generator = np.random.default_rng(0)
    scales, configs, seeds = 8, 6, 3
    x = np.repeat(np.geomspace(1, 1e4, scales), configs) * np.exp(0.01 * np.arange(scales * configs))
    place = np.repeat(np.arange(len(x)), seeds)
    plain, crossed = [], []
    for _ in range(150):
        log_y = -0.2 * np.log(x[place]) + 0.1 * generator.standard_normal(len(place))
        mean = np.bincount(place, np.exp(log_y)) / seeds
        kept = np.isin(place, frontier(x, mean))
        chosen = select(place, x, np.exp(log_y), np.ones((1, len(x))))[0]
        truth = -0.2 * np.log(x[place])
        plain.append(np.mean((log_y - truth)[kept]))
        crossed.append(np.mean((log_y - truth)[chosen]))
    assert np.mean(plain) < -0.03
    assert abs(np.mean(crossed)) < 0.4 * abs(np.mean(plain))
