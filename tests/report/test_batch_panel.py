"""The page's section on the critical batch size: of a real sweep, of others, and without a fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from isoflop.report import batch_panel as panels
from isoflop.report.batch_panel import batch_panel
from isoflop.table import aggregate

RESULTS = Path(__file__).parents[2] / "results/batch-digits-cpu"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return aggregate.aggregate(RESULTS).rows


@pytest.mark.slow
def test_a_sweep_over_batch_sizes_has_a_figure_and_a_row_a_batch_size(rows: pd.DataFrame) -> None:
    panel = batch_panel(rows, RESULTS)
    assert panel is not None
    assert panel.drawing is not None
    assert panel.text.startswith("Steps against images to validation loss 0.15, the lowest that all batch")
    assert "Critical batch size" in panel.text
    assert [row[0] for row in panel.rows] == ["4", "8", "16", "32", "64", "128", "256", "512"]
    assert {len(row) for row in panel.rows} == {len(panel.columns)}
    assert "Steps against images" in panel.drawing.title


def test_other_sweeps_have_none(rows: pd.DataFrame) -> None:
    assert batch_panel(rows, None) is None
    two = rows[rows["batch_size"].isin([4, 8])]
    assert batch_panel(two, RESULTS) is None
    assert batch_panel(rows.assign(parameters=range(len(rows))), RESULTS) is None, "several shapes"


def test_where_no_size_can_be_fitted_the_page_says_why(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "records").mkdir()
    for run_id in rows.loc[rows["batch_size"] == 64, "run_id"]:
        shutil.copy(RESULTS / f"records/{run_id}.json", tmp_path / "records")
    monkeypatch.setattr(panels, "LEAST", 1)
    panel = batch_panel(rows, tmp_path)
    assert panel is not None
    assert panel.drawing is None
    assert "no critical one was fitted: " in panel.text
    assert "all runs have batch size 64" in panel.text
