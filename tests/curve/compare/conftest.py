"""Simulated sweeps of one law: shapes at equally spaced ln x, seeds with noise of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

Law = Callable[[np.ndarray], np.ndarray]


def _sweep(
    law: Law,
    *,
    seed: int,
    sizes: int = 5,
    seeds: int = 3,
    decades: float = 3.0,
    noise: float = 0.02,
    misfit: np.ndarray | None = None,
) -> pd.DataFrame:
    """A table of runs; `misfit` (sizes,) is added to ln y of all seeds of a shape."""
    generator = np.random.default_rng(seed)
    x = np.geomspace(1.0, 10.0**decades, sizes)
    rows = [
        {
            "run_id": f"{seed}-{i}-{s}",
            "config_id": f"{seed}-{i}",
            "seed": float(s),
            "width": 8.0 * 2**i,
            "depth": 1.0,
            "train_gflops": x[i],
            "test_loss": float(law(x[i]))
            * np.exp(noise * generator.normal() + (0.0 if misfit is None else misfit[i])),
        }
        for i in range(sizes)
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def sweep() -> Callable[..., pd.DataFrame]:
    return _sweep
