"""Which cuts there are, which horizon a prediction counts at: both sides."""

import numpy as np
import pytest

from isoflop.curve.forecast import rolling


def horizon_of(ratio):
    """The ratio at which a prediction at `ratio` times the largest x counts, or None."""
    found = rolling.horizons(np.log([[ratio]]), np.array([[0.5]]))
    counted = [h.ratio for h in found if h.predictions]
    assert len(counted) <= 1
    return counted[0] if counted else None


@pytest.mark.parametrize(
    ("ratio", "at"),
    [
        (1.01, 2.0),
        (2.82, 2.0),  # the root of 2 x 4 is 2.828
        (2.84, 4.0),
        (6.32, 4.0),  # of 4 x 10, 6.325
        (6.33, 10.0),
        (15.8, 10.0),  # of 10 x 25, 15.81
        (15.9, None),
        (1.0, None),
    ],
)
def test_a_prediction_counts_at_the_nearest_ratio(ratio, at):
    assert horizon_of(ratio) == at


def observed(make_observations, x):
    x = np.asarray(x, dtype=float)
    return make_observations(x, 0.5 * x**-0.2)


def test_a_cut_needs_so_many_scales_at_or_below_it(make_observations):
    x = 10.0 ** np.arange(0, 3.5, 0.5)
    for least in (3, 4, 5, 6):
        at = rolling.cuts(observed(make_observations, x), least).at
        assert len(at) == len(x) - least
    assert len(rolling.cuts(observed(make_observations, x), 7).at) == 0


@pytest.mark.parametrize(("decades", "cuts"), [(0.351, 1), (0.349, 0)])
def test_a_cut_needs_a_third_of_a_decade_below_it(make_observations, decades, cuts):
    x = np.r_[10.0 ** (decades * np.linspace(0, 1, 4)), 10.0 ** (decades + 0.1)]
    assert len(rolling.cuts(observed(make_observations, x), 4).at) == cuts


def test_there_are_eight_cuts_at_most(make_observations):
    x = 1.5 ** np.arange(12.0)
    assert len(rolling.cuts(observed(make_observations, x), 4).at) == 8
    assert len(rolling.cuts(observed(make_observations, x[:11]), 4).at) == 7


@pytest.mark.parametrize(("scales", "below"), [(7, 4), (9, 4), (10, 5), (12, 6), (20, 6)])
def test_half_of_the_scales_lie_below_a_cut_but_four_to_six(make_observations, scales, below, monkeypatch):
    asked = []
    monkeypatch.setattr(rolling, "cuts", lambda _, least: asked.append(least))
    rolling.usual_cuts(observed(make_observations, 2.0 ** np.arange(scales)))
    assert asked == [below]
