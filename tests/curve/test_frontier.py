import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.curve.frontier import frontier

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
