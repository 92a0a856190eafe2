import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.curve import bootstrap
from isoflop.curve.frontier import LEAST_MEANS, frontier, select

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
    efficient = frontier(x, y)
    assert set(efficient.tolist()) == undominated
    assert np.all(np.diff(np.array(x)[efficient]) >= 0)


def test_unknown_or_unequal_inputs_are_refused():
    with pytest.raises(ValueError, match="finite"):
        frontier([1.0, 2.0], [0.1, float("nan")])
    with pytest.raises(ValueError, match="one length"):
        frontier([1.0, 2.0], [0.1])


def test_runs_are_chosen_by_the_other_runs_of_their_mean():
    mean_of = np.repeat(np.arange(4), 2)
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    y = np.array([0.4, 0.4, 0.1, 0.5, 0.2, 0.2, 0.05, 0.05])
    chosen = select(mean_of, x, y, np.ones((1, 8)))[0]
    assert not chosen[2], "the lucky run's mean is judged by its unlucky other, which a cheaper mean beats"
    assert chosen[3], "the unlucky run's mean is judged by the lucky one"


def test_places_as_dear_within_a_hundredth_compete():
    x = np.array([1.0, 1.005, 10.0, 100.0])
    chosen = select(np.arange(4), x, np.array([0.5, 0.4, 0.3, 0.2]), np.ones((1, 4)))[0]
    assert chosen.tolist() == [False, True, True, True]


def test_resamples_of_seeds_choose_anew():
    generator = np.random.default_rng(0)
    mean_of = np.repeat(np.arange(8), 5)
    x = np.repeat([1.0, 10.0, 100.0, 1000.0], 2)
    y = x[mean_of] ** -0.1 * np.exp(0.05 * generator.standard_normal(40))
    weights = np.vstack([np.ones(40), generator.exponential(size=(200, 40))])
    chosen = select(mean_of, x, y, weights)
    assert np.mean((chosen[1:] != chosen[0]).any(axis=1)) > 0.1
    assert all(len(np.unique(mean_of[row])) >= 3 for row in chosen)


def test_a_resample_with_two_means_keeps_the_samples_choice_and_one_with_three_its_own():
    mean_of = np.repeat(np.arange(4), 2)
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    # A resample of the second mean's lucky run alone beats the third mean, and the fourth if that is 0.26.
    lucky = np.array([1.0, 1.0, 1e-9, 1.0, 1.0, 1.0, 1.0, 1.0])
    for last, own in ((0.26, False), (0.2, True)):
        y = np.array([0.5, 0.5, 0.55, 0.25, 0.3, 0.3, last, last])
        sample, resample = select(mean_of, x, y, np.vstack([np.ones(8), lucky]))
        assert sample.tolist() == [True, True, True, False, True, True, True, True]
        assert resample.tolist() == [True, True, True, False, not own, not own, True, True]


def test_the_frontier_of_means_of_one_run_is_never_of_two_places():
    x = np.array([1.0, 10.0, 100.0])
    three = select(np.arange(3), x, np.array([0.5, 0.4, 0.3]), np.ones((1, 3)))[0]
    assert three.tolist() == [True, True, True]
    assert LEAST_MEANS == 3


def test_means_compete_up_to_a_hundredth_apart_and_no_further():
    y = np.array([0.5, 0.4, 0.3, 0.2])
    for dearer, kept in ((1.0101, True), (1.0099, False)):
        x = np.array([1.0, dearer, 10.0, 100.0])
        assert select(np.arange(4), x, y, np.ones((1, 4)))[0][0] == kept


def test_a_dearer_mean_that_is_as_good_is_not_efficient():
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    chosen = select(np.arange(4), x, np.array([0.5, 0.4, 0.4, 0.2]), np.ones((1, 4)))[0]
    assert chosen.tolist() == [True, True, False, True]


def test_the_choice_is_that_of_comparing_each_mean_with_every_rival():
    generator = np.random.default_rng(5)
    mean_x = np.exp(generator.integers(0, 40, 60) * 0.006)  # many within 1% of each other, some equal
    mean_of = np.repeat(np.arange(60), 1 + np.arange(60) % 3)
    run_y = generator.uniform(1, 2, len(mean_of)) * mean_x[mean_of] ** -12
    weights = bootstrap.resample(len(mean_of), 20, generator)
    chosen = select(mean_of, mean_x, run_y, weights)
    for row, weight in zip(chosen, weights, strict=True):
        assert len(np.unique(mean_of[row])) >= LEAST_MEANS
        mean_y = [np.average(run_y[mean_of == i], weights=weight[mean_of == i]) for i in range(60)]
        for i, run in enumerate(mean_of):
            others = (mean_of == run) & (np.arange(len(mean_of)) != i)
            judged = np.average(run_y[others], weights=weight[others]) if others.any() else run_y[i]
            rivals = [mean_y[j] for j in range(60) if j != run and mean_x[j] <= mean_x[run] * 1.01]
            assert row[i] == (judged < min(rivals, default=np.inf))
