"""Tables as aggregate.tabulate returns them, made from a known law."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from isoflop import aggregate
from isoflop.curve.view import View


def _table(x, y, *, seeds: int = 1, noise: float = 0.0, seed: int = 0, **columns) -> pd.DataFrame:
    """One configuration an x, `seeds` runs each; y times lognormal noise of configuration and run."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    generator = np.random.default_rng(seed)
    config = np.repeat(np.arange(len(x)), seeds)
    shared = noise * generator.standard_normal(len(x))[config]
    own = noise * generator.standard_normal(len(config))
    known = {
        "run_id": [f"run{i}" for i in range(len(config))],
        "config_id": [f"config{i}" for i in config],
        "trunk_id": [f"config{i}" for i in config],
        "seed": np.tile(np.arange(seeds, dtype=float), len(x)),
        "train_gflops": x[config],
        "test_error": y[config] * np.exp(shared + own),
        "chance_error": 0.9,
        "test_n": 10000.0,
        "device": "cpu",
        "precision": "fp32",
        "data": "toy",
        "isoflop_version": "1",
        "git_commit": "abc",
    }
    rows = pd.DataFrame(known).assign(**columns)
    text = [name for name in aggregate.COLUMNS if name in aggregate.TEXT]
    for name in aggregate.COLUMNS:
        if name not in rows:
            rows[name] = pd.Series(
                [None if name in text else np.nan] * len(rows), dtype=object if name in text else float
            )
    return rows[list(aggregate.COLUMNS)]


@pytest.fixture
def make_table() -> Callable[..., pd.DataFrame]:
    return _table


def _view(x, y, *, repeats=1.0, trials=None, seed_variance=None) -> View:
    """Points, each a configuration of its own."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    counts = None if trials is None else np.full(len(x), float(trials))
    return View(x, y, np.arange(len(x)), np.full(len(x), float(repeats)), counts, seed_variance)


@pytest.fixture
def make_view() -> Callable[..., View]:
    return _view
