"""A known share of the bend is found; the committed table follows from the committed records."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.table import aggregate

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "results/cifar10-h200-fixed-recipe"


@pytest.fixture(scope="module")
def recipe_share():
    spec = importlib.util.spec_from_file_location("recipe_share", ROOT / "benchmarks/recipe_share.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def bent(excess, floor):
    """Shapes on power laws; at width 64 the loss is `excess` times, the error `floor` times what they say."""
    rows = []
    for width in (2, 4, 8, 16, 32, 64):
        for depth in (1, 2, 3):
            compute = 100.0 * width**2 * depth
            loss = 5 * compute**-0.3 * (excess if width == 64 else 1)
            gap = floor if width == 64 else 1
            row = {"width": width, "depth": depth, "train_gflops": compute, "train_loss": loss}
            rows.append({**row, "test_loss": loss, "test_error": 0.4 * loss**0.8 * gap})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("excess", "gap", "share"), [(2.0, 1.0, 1.0), (1.0, 1.5, 0.0), (2.0, 2.0**0.8, 0.5)])
def test_the_share_of_a_known_bend(recipe_share, excess, gap, share):
    result = recipe_share.shares(bent(excess, gap), 16, (8, 32))
    wide = result[result["width"] == 64]
    assert wide["loss_over_trend"].to_numpy() == pytest.approx(excess)
    assert wide["share, power law"].to_numpy() == pytest.approx(share, abs=1e-9)
    assert result.loc[result["width"] < 64, "share, power law"].isna().all()  # no bend, nothing to share


def test_the_map_that_the_points_follow_has_no_residual(recipe_share):
    residuals = recipe_share.map_residuals(bent(1.0, 1.0), (8, 32))
    assert residuals["power law"] < 1e-12 < residuals["exponential"]


def test_too_few_shapes_are_one_line(recipe_share):
    with pytest.raises(ValueError, match="0 shapes up to width 1 and 9"):
        recipe_share.shares(bent(1.0, 1.0), 1, (8, 32))


def test_the_committed_table_follows_from_the_committed_records(recipe_share):
    rows = aggregate.aggregate(KEPT).rows
    result = recipe_share.shares(recipe_share.shapes(rows), 16, (8, 32))
    pd.testing.assert_frame_equal(
        result, pd.read_csv(KEPT / "recipe_share.csv"), atol=1e-6, check_dtype=False
    )
    worst = result.set_index(["width", "depth"])["loss_over_trend"]
    assert worst[64, 3] > 1.9
    assert worst[128, 3] > 3
    best = result.loc[result["test_error"].idxmin()]
    assert (best["width"], best["depth"]) == (64, 2)
    assert np.ptp([best[f"share, {name}"] for name in ("parabola in logs", "parabola")]) < 0.05
