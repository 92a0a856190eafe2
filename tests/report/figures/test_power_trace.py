"""The drawn power of a run, from polls that are made up: a square wave between idle and busy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.report.figures import power_trace
from isoflop.table.power_rows import power_rows

BUSY, IDLE = 600.0, 100.0


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    """Three runs, the one of most joules without polls, two devices polled every 0.1 s for a minute."""
    (tmp_path / "power").mkdir()
    polls = []
    for tick in range(600):
        watts = BUSY if 100 <= tick < 500 else IDLE
        polls += [{"time": 7.0 + tick / 10, "uuid": f"GPU-{i}", "watts": watts + 10 * i} for i in range(2)]
    (tmp_path / "power" / "second.jsonl").write_text("\n".join(map(json.dumps, polls)))
    return pd.DataFrame(
        {
            "run_id": ["first", "second", "third"],
            "label": ["mlp w8", "mlp w4", "mlp w2"],
            "seed": [0, 1, 2],
            "energy_joules": [5e4, 4.82e4, np.nan],
            "energy_grade": ["A", "B", None],
        }
    )


def test_the_run_of_most_joules_that_has_polls_is_drawn(rows: pd.DataFrame, tmp_path: Path) -> None:
    drawing = power_trace.draw(tmp_path, rows)
    assert drawing is not None
    assert "mlp w4, seed 1" in drawing.caption
    assert "48,200 J in its training window, grade B" in drawing.caption
    assert "2 devices" in drawing.alt
    assert "100 to 610" in drawing.alt
    assert drawing.png.startswith(b"\x89PNG")
    assert "Power in watts" in drawing.svg


def test_the_area_under_the_line_is_the_energy(rows: pd.DataFrame, tmp_path: Path) -> None:
    trace = pd.DataFrame(power_rows(tmp_path / "power" / "second.jsonl"))
    (line, other) = power_trace.chart(trace).axes[0].get_lines()
    x, y = (np.asarray(data, dtype=float) for data in line.get_data())
    assert np.trapezoid(y, x) == pytest.approx(40 * BUSY + 20 * IDLE, rel=0.01)
    assert np.asarray(other.get_ydata(), dtype=float).max() == BUSY + 10


def test_without_polls_or_joules_nothing_is_drawn(rows: pd.DataFrame, tmp_path: Path) -> None:
    assert power_trace.draw(tmp_path / "absent", rows) is None
    assert power_trace.draw(tmp_path, rows.assign(energy_joules=np.nan)) is None
