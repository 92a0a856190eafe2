"""Sweeps with a known curve, as a table and as points."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


def _table(truth, configs=30, noise=0.03, seed=0, decades=3.0, **columns) -> pd.DataFrame:
    """One run a configuration, evenly spread over the decades, normal noise of ln y."""
    rng = np.random.default_rng(seed)
    x = np.geomspace(1, 10**decades, configs)
    ids = [f"c{i}" for i in range(configs)]
    y = truth(x) * np.exp(noise * rng.standard_normal(configs))
    return pd.DataFrame({"run_id": ids, "config_id": ids, "x": x, "y": y} | columns)


@pytest.fixture
def make_sweep() -> Callable[..., pd.DataFrame]:
    return _table
