"""The section on parallel limits, its drawing, and the lines of the terminal, of simulated timings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.parallel import simulated

from isoflop.cli.terminal import scaling_table
from isoflop.parallel import scaling, tracked
from isoflop.record import parallel
from isoflop.report import scaling_panel
from isoflop.report.text import scaling as text
from isoflop.track import parallel as tracker


def _groups(*workers: int) -> tuple[scaling.Group, ...]:
    return scaling.groups(simulated.records(*workers, noise=0.0))


def test_a_folder_without_measurements_has_no_section(tmp_path: Path) -> None:
    assert scaling_panel.scaling_panel(tmp_path) is None
    parallel.write(simulated.records(1)[0], tmp_path)
    assert scaling_panel.scaling_panel(tmp_path) is None  # one worker is compared with nothing


def test_the_section_holds_a_row_a_number_of_workers_and_its_drawing_the_speedups(tmp_path: Path) -> None:
    for record in simulated.records(1, 2, 4):
        parallel.write(record, tmp_path)
    panel = scaling_panel.scaling_panel(tmp_path)
    assert panel is not None
    (part,) = panel.parts
    assert [row[:2] for row in part.rows] == [
        ("", "1"),
        *((name, n) for name in ("strong", "weak") for n in ("2", "4")),
    ]
    assert all(len(row) == len(part.columns) for row in part.rows)
    assert "beyond N* = 31" in " ".join(part.lines)
    labels = part.drawing.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["S = N", "Amdahl", "Gustafson", "strong scaling", "weak scaling"]
    scaling_panel.write_figures(scaling.groups(parallel.read_all(tmp_path)), tmp_path)
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".svg", ".csv"}


def test_the_terminal_fits_into_80_columns_and_names_what_is_unknown() -> None:
    made = simulated.records(1, 2, noise=0.03)
    with (out := Console(width=80, highlight=False)).capture() as shown:
        scaling_table.show(scaling.groups(made), out)
    printed = shown.get()
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    words = " ".join(printed.split())
    assert "a + bN and N* unknown: takes three numbers of workers or more, and there are 2" in words
    assert words.count("share of peak unknown: simulated") == 1
    assert words.count("energy unknown: simulated") == 1


def test_one_worker_is_said_to_measure_no_communication() -> None:
    (line,) = text.notes(_groups(1))[2:]
    assert line.startswith("one worker measures no communication: speed-up, serial fraction, a, b and N*")
    assert text.notes(_groups(1, 2))[2:] == (text.LEGEND,)


def test_a_share_of_peak_is_of_all_workers_together() -> None:
    from isoflop.record import PeakRate

    peak = PeakRate(4e9, "fp32", "simulated")
    known = [
        dataclasses.replace(record, peak=peak, peak_reason=None)
        for record in simulated.records(1, 2, weak=False, communicates=False, noise=0.0)
    ]
    (group,) = scaling.groups(known)
    one, two = group.rows
    assert one.peak_share == pytest.approx(0.25)
    assert two.peak_share == pytest.approx(0.25 * two.efficiency.value)
    assert "25.0% of its dense peak" in " ".join(text.lines(group))


def test_a_tracker_gets_a_row_a_number_of_workers(make_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tracked.rows(_groups(1, 2))
    assert list(rows) == [1, 2]
    assert rows[2]["matmul/strong/speedup"] == pytest.approx(1 / (0.51 + 0.006))
    assert "matmul/weak/serial_fraction" in rows[2]
    assert "matmul/strong/serial_fraction" not in rows[1]
    tracker.send(make_config(), rows)  # no tracker, nothing sent
    with pytest.raises(ValueError, match=r"^tracker=csv: isoflop parallel sends to tracker=wandb, or none"):
        tracker.check(make_config("tracker=csv").tracker)
