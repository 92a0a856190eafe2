"""What the tests of laws share: points made by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from isoflop.curve.observations import Observations


def _view(x, y, *, repeats=1.0, trials=None, seed_variance=None) -> Observations:
    """Points, each a configuration of its own."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    counts = None if trials is None else np.full(len(x), float(trials))
    return Observations(x, y, np.arange(len(x)), np.full(len(x), float(repeats)), counts, seed_variance)


@pytest.fixture
def make_observations() -> Callable[..., Observations]:
    return _view
