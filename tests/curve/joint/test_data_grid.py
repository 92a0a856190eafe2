"""Sizes crossed with data sets: a known law's best sizes and its error on the paper's path come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.joint import data_grid
from isoflop.curve.joint.fit import fit_joint
from isoflop.curve.result import Estimate
from isoflop.report import data_grid_panel
from isoflop.table import held_out

A, B, E, ALPHA, BETA = 40.0, 30.0, 0.01, 0.6, 0.5
SIZES = 3000.0 * np.array([1, 4, 16, 64, 256])
SETS = np.array([5625.0, 11250.0, 22500.0, 45000.0])
MakeTable = Callable[..., pd.DataFrame]


def law(size: Any, n: Any) -> Any:
    return E + A * size**-ALPHA + B * n**-BETA


def crossed(make: MakeTable, noise: float = 0.0, seeds: int = 2) -> pd.DataFrame:
    size, n = (each.ravel() for each in np.meshgrid(SIZES, SETS))
    table = make(size * n * 1e-6, law(size, n), seeds=seeds, noise=noise)
    size, n = np.repeat(size, seeds), np.repeat(n, seeds)
    return table.assign(parameters=size, train_n=n, examples_seen=16 * n, epochs=16.0)


def fitted(rows: pd.DataFrame, resamples: int = 0) -> data_grid.GrowthPath:
    fit = fit_joint(
        rows, "chinchilla", ("parameters", "train_n"), "test_error", resamples, compute="train_gflops"
    )
    assert fit.growth is not None
    return fit.growth


def holds(estimate: Estimate, truth: float) -> bool:
    low, high = estimate.interval.low, estimate.interval.high
    return low is not None and high is not None and low <= truth <= high


def best_by_search(n: float) -> float:
    """The size with the least error of all that spend the same size x images as (size, n) itself."""
    sizes = np.geomspace(1, 1e9, 20_001)
    gain_of_size = ALPHA * A * sizes**-ALPHA
    return float(sizes[np.abs(np.log(gain_of_size / (BETA * B * n**-BETA))).argmin()])


def test_a_known_law_gives_its_best_sizes_and_its_error_on_the_path(make_table: MakeTable) -> None:
    growth = fitted(crossed(make_table))
    assert growth.data == tuple(SETS)
    assert growth.growth.value == pytest.approx(BETA / ALPHA, rel=1e-3)
    for n, best in zip(SETS, growth.best, strict=True):
        assert best.value == pytest.approx(best_by_search(n), rel=5e-3)
        spent = best.value * n
        others = law(spent / (n * np.array([0.7, 1.4])), n * np.array([0.7, 1.4]))
        assert law(best.value, n) < others.min(), "of all splits of the same compute it is the best"
    ratio = growth.parameters_per_example
    assert ratio == pytest.approx(np.exp(np.log(SIZES).mean() - np.log(SETS).mean()))
    errors = [law(ratio * n, n) for n in SETS]
    assert [at.error.value for at in growth.path] == pytest.approx(errors, rel=1e-4)
    b = np.log(errors[0] / errors[-1]) / (2 * np.log(8))
    assert growth.exponent.value == pytest.approx(b, rel=1e-3)
    assert growth.alpha.value == pytest.approx(1 / b, rel=1e-3)
    assert growth.exponent_of_data.value == pytest.approx(2 * b, rel=1e-3)


def test_the_intervals_hold_the_truth_under_noise(make_table: MakeTable) -> None:
    growth = fitted(crossed(make_table, noise=0.02), resamples=200)
    assert holds(growth.growth, BETA / ALPHA)
    assert all(holds(best, best_by_search(n)) for n, best in zip(SETS, growth.best, strict=True))
    ratio = growth.parameters_per_example
    assert all(holds(at.error, law(ratio * at.data, at.data)) for at in growth.path)


def test_a_best_size_beyond_those_trained_is_called_extrapolated(make_table: MakeTable) -> None:
    rows = crossed(make_table)
    inside = fitted(rows)
    assert all(best.outside is None for best in inside.best) == bool(
        SIZES.min() <= best_by_search(SETS[0]) and best_by_search(SETS[-1]) <= SIZES.max()
    )
    small = fitted(rows[rows["parameters"] > best_by_search(SETS[-1])])
    least = SIZES[best_by_search(SETS[-1]) < SIZES].min()
    assert {best.outside for best in small.best} == {f"below the smallest parameters measured, {least:.4g}"}
    assert [at.outside is None for at in small.path] == [at.parameters >= least for at in small.path]


def test_only_sizes_crossed_with_data_at_equal_epochs_are_a_grid(make_table: MakeTable) -> None:
    rows = crossed(make_table)
    assert data_grid.is_grid(rows)
    assert not data_grid.is_grid(rows.assign(train_n=45000.0, examples_seen=45000.0 * 16))
    assert not data_grid.is_grid(rows.assign(examples_seen=rows["examples_seen"].max())), "equal steps"
    # An epoch drops its last partial batch, which is a large part of a small set.
    dropped = rows.assign(train_n=rows["train_n"] - 5000, batch_size=512.0)
    dropped["examples_seen"] = 16 * (dropped["train_n"] // 512 * 512)
    assert data_grid.is_grid(dropped)
    assert not data_grid.is_grid(dropped.drop(columns="batch_size"))
    pairs = set(zip(SIZES[:4], SETS, strict=True))
    along = rows[[pair in pairs for pair in zip(rows["parameters"], rows["train_n"], strict=True)]]
    assert not data_grid.is_grid(along), "one size a data set says nothing about each alone"
    assert not data_grid.is_grid(rows.assign(**{held_out.COLUMN: 1.0})), "held-out rows are not fitted"


def test_rows_without_an_amount_are_not_looked_at(make_table: MakeTable) -> None:
    rows = crossed(make_table)
    for name in ("parameters", "train_n", "examples_seen"):
        for unknown in (0.0, np.nan, "?"):
            first = rows.head(1).astype({name: object}).assign(**{name: unknown})
            assert data_grid.is_grid(pd.concat([first, rows], ignore_index=True)), (name, unknown)
    assert not data_grid.is_grid(rows.assign(train_n=0.0))


def test_a_set_smaller_than_a_batch_is_passed_over_whole(make_table: MakeTable) -> None:
    rows = crossed(make_table)
    assert data_grid.is_grid(rows.assign(batch_size=2 * SETS.max()))
    # The smallest set alone is below the batch, whose multiples the others are.
    sets = rows["train_n"].map(dict(zip(SETS, [300.0, 512.0, 1024.0, 2048.0], strict=True)))
    assert data_grid.is_grid(rows.assign(train_n=sets, examples_seen=16 * sets, batch_size=512.0))
    assert not data_grid.is_grid(
        rows.assign(train_n=sets, examples_seen=16 * sets.clip(512.0), batch_size=512.0)
    )


@pytest.mark.parametrize(
    ("spread", "grid"), [(1.049, True), (1.051, False)], ids=["within a twentieth", "beyond"]
)
def test_epochs_may_differ_by_a_twentieth(make_table: MakeTable, spread: float, grid: bool) -> None:
    rows = crossed(make_table)
    longer = rows["train_n"] == SETS[1]
    seen = rows["examples_seen"].where(~longer, rows["examples_seen"] * spread)
    assert data_grid.is_grid(rows.assign(examples_seen=seen)) == grid


def test_three_sizes_on_three_sets_with_three_quarters_of_the_pairs_are_crossed() -> None:
    def pairs(sizes: int, sets: int, left_out: int = 0) -> Any:
        every = [(10.0 ** (1 + i), 2.0 ** (3 + j)) for i in range(sizes) for j in range(sets)]
        return np.array(every[left_out:] * 2)

    assert data_grid._crossed(pairs(3, 3))
    assert not data_grid._crossed(pairs(2, 3))
    assert not data_grid._crossed(pairs(3, 2))
    assert data_grid._crossed(pairs(3, 12))
    assert not data_grid._crossed(pairs(3, 13))
    assert data_grid._crossed(pairs(4, 4, left_out=4)[:-4])
    assert data_grid._crossed(pairs(4, 5)[[i for i in range(20) if i % 5 or i == 0]])
    diagonal = pairs(4, 4)[[0, 1, 4, 5, 6, 9, 10, 11, 14, 15]]
    assert not data_grid._crossed(diagonal)


def test_the_page_shows_a_grid_and_nothing_for_another_sweep(make_table: MakeTable) -> None:
    rows = crossed(make_table, noise=0.02)
    panel = data_grid_panel.data_grid_panel(rows)
    assert panel is not None
    assert panel.drawing is not None
    assert panel.drawing.name == "data_grid"
    assert len(panel.rows) == len(SETS)
    assert all(len(row) == len(data_grid_panel.COLUMNS) for row in panel.rows)
    assert "k times less error takes k to the power" in panel.text
    assert data_grid_panel.data_grid_panel(rows.assign(train_n=45000.0)) is None
