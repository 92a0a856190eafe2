"""benchmarks/recipe.py on made-up losses: which recipes it accepts, and the change of error it reports."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks/recipe.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(name: str, best: float, rise: float = 0.0, error: float = 0.4) -> pd.DataFrame:
    """Losses that fall by 0.1 with each doubling of width and 0.02 with each block, parabolas around `best`.

    `rise` is added at depth 3. Seeds differ by 0.01 in training loss and by 1% in error.
    """
    made = []
    grid = itertools.product((16, 32), (1, 2, 3), (0.1, 0.2, 0.4), (-1, 0, 1))
    for width, depth, lr, luck in grid:
        loss = 1.5 - 0.1 * math.log2(width / 16) - 0.02 * depth + 0.1 * math.log2(lr / best) ** 2
        loss += rise * (depth == 3) + 0.01 * luck
        losses = (loss, loss + 0.05, error * math.exp(0.01 * luck))
        made.append((name, width, depth, lr, luck + 1, 10, *losses))
    columns = ("recipe", "width", "depth", "lr", "seed", "classes", "train", "val", "test_error")
    return pd.DataFrame(made, columns=columns)


def test_a_recipe_by_which_larger_networks_train_better_is_accepted(recipe: ModuleType) -> None:
    verdict = recipe.judge(rows("good", 0.2), "good")
    assert verdict.accepted
    assert verdict.interior
    assert verdict.seed_sd == pytest.approx(0.01)
    assert verdict.largest_rise == pytest.approx(-0.02)
    # Student's t with 6 shapes x (3 - 1) degrees of freedom, of a difference of two means of 3 seeds.
    assert verdict.tolerance == pytest.approx(2.1788 * 0.01 * math.sqrt(2 / 3), rel=1e-4)


def test_a_rise_with_depth_an_edge_of_the_grid_and_a_dead_run_are_refused(recipe: ModuleType) -> None:
    risen = recipe.judge(rows("bad", 0.2, rise=0.1), "bad")
    assert not risen.accepted
    assert risen.largest_rise == pytest.approx(0.08)
    assert risen.largest_rise_at in ("w16 d2 to w16 d3", "w32 d2 to w32 d3")
    assert not recipe.judge(rows("edge", 0.4), "edge").interior
    dead = rows("dead", 0.2)
    dead.loc[0, "train"] = math.log(10)
    assert recipe.judge(dead, "dead").died == 1
    dead.loc[0, "train"] = np.nan
    assert not recipe.judge(dead, "dead").accepted


def test_the_change_of_error_is_paired_by_shape_and_seed(recipe: ModuleType) -> None:
    both = pd.concat([rows("old", 0.2), rows("new", 0.4, error=0.36)])
    mean, low, high = recipe.change_of_error(both, "new", "old")
    assert (mean, low, high) == pytest.approx((-0.1, -0.1, -0.1)), "the seeds' own errors cancel"
