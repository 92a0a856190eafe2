"""The page of a sweep with levers: its fit is the baseline's, and a section compares the others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests import lever_sweep
from tests.lever_sweep import Arm

import isoflop
from isoflop.api import ending, rows
from isoflop.api.rows import Choice
from isoflop.curve.joint import resources
from isoflop.curve.levers import compare
from isoflop.report import levers_panel as panels
from isoflop.report.figures import levers as drawing
from isoflop.table import aggregate

ARMS = {"muon": Arm(gain=2.0), "pruning": Arm(prior=2.0, settings="rounds=3", density=0.2)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep's folder whose records are simulated."""
    path = tmp_path / "swept"
    table = lever_sweep.folder(path, lever_sweep.rows(ARMS, sizes=6))
    (path / "left_out.json").write_text(json.dumps([{"lever": "fp8", "why": "no such type here"}]))
    monkeypatch.setattr(aggregate, "aggregate", lambda directory, prices=None: table)
    monkeypatch.setattr(panels, "_resamples", lambda rows, level: 160)
    return path


def test_without_levers_there_is_no_section(folder: Path) -> None:
    assert panels.levers_panel(None, folder, 0.95) is None


@pytest.mark.slow
def test_the_page_fits_the_baseline_and_compares_the_levers(folder: Path) -> None:
    page = isoflop.write_report(folder, resamples=100).read_text()
    assert "18 runs of 6 configurations" in page
    lead = re.search(r'<p class="lead">(.*?)</p>', page, re.DOTALL)
    assert lead is not None
    assert "Runs with a lever (36 of 54) are compared below and not part of this fit" in lead[1]
    assert '<a href="#levers_section">Levers</a>' in page
    section = page[page.index('<section id="levers_section">') :]
    section = section[: section.index("</section>")]
    assert '<th scope="row">muon</th>' in section
    assert '<th scope="row">pruning</th>' in section
    assert "left out: fp8: no such type here" in section
    assert section.count("<img") == 1
    assert "Inference, lever over baseline" in section
    assert (folder / "figures/levers.svg").is_file()
    assert len(pd.read_csv(folder / "table.csv")) == 54, "the table holds all runs"
    fits = json.loads((folder / "fit.json").read_text())
    assert sum("runs with a lever" in each for each in fits["reports"][0]["warnings"]) == 1


def test_what_cannot_be_compared_is_said(folder: Path) -> None:
    table = aggregate.aggregate(folder).rows
    few = table[(table["lever"] != "none") | (table["test_error"] > 2)]
    few = pd.concat([few, table[(table["lever"] == "none")].assign(test_error=0.95)], ignore_index=True)
    panel = panels.levers_panel(few, folder, 0.95)
    assert panel is not None
    assert panel.drawing is None
    assert panel.lines[0].startswith("Runs differ in their lever, but nothing could be compared: baseline: ")


@pytest.mark.slow
def test_the_figure_has_the_baseline_all_levers_and_a_panel_of_prior_work() -> None:
    from isoflop.curve.compare.contrast import Settings

    runs = compare.of_table(lever_sweep.rows(ARMS, sizes=4), "simulated", None)
    report = compare.compare(runs, Settings(resamples=160))
    figure = drawing.figure(report)
    curves, side, own, total = figure.axes
    legends: Any = side.artists
    labels = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert labels == ["baseline", "muon", "pruning", "beyond the runs"]
    assert curves.get_legend() is None, "no legend over data"
    assert own.get_ylim() == total.get_ylim()
    assert own.get_xlim() == total.get_xlim()
    assert own.xaxis_inverted()
    colours = {line.get_color() for line in curves.lines}
    assert len(colours) == 3
    drawn = drawing.draw(report)
    assert drawn.name == "levers"
    assert "prior work counted in" in drawn.caption


def of(folder: Path, **choice: Any) -> rows.Rows:
    return rows.of_sweep(aggregate.aggregate(folder), folder, Choice(**choice), custom=True)


def test_rows_of_a_sweep_with_levers_are_the_baselines(folder: Path) -> None:
    chosen = of(folder)
    assert set(chosen.table["lever"]) == {"none"}
    assert chosen.compared is not None
    assert len(chosen.compared) == 54
    assert set(of(folder, where="lever == 'muon'").table["lever"]) == {"muon"}
    assert of(folder, where="lever == 'muon'").compared is None
    assert len(of(folder, by="lever").table) == 54
    with pytest.raises(ValueError, match="and none of the baseline are no one curve"):
        of(folder, where="lever != 'none'")


@pytest.mark.slow
def test_fit_forecast_plan_check_compare_and_the_end_of_a_sweep_are_of_the_baseline(folder: Path) -> None:
    note = "runs with a lever (36 of 54) are compared by isoflop levers and not part of this fit"
    fitted = isoflop.fit(folder, laws="power_law", resamples=100, x="train_gflops")
    assert len(fitted.runs) == 18
    assert any(note in each for each in fitted.report.warnings)
    assert any(note in each for each in isoflop.check(folder).notes)
    costed = isoflop.forecast(folder, error=0.05, resamples=100)
    assert any(note in each for each in costed.result.notes)
    ended = ending.of_sweep(folder, aggregate.aggregate(folder))
    assert any(note in each for each in ended.lines)
    assert "power" in ended.verdict
    split = isoflop.compare(folder, by="lever", baseline="none", resamples=100)
    assert {of.other for of in split.result.contrasts} == {"muon", "pruning"}


def test_a_joint_law_is_of_the_baseline(folder: Path) -> None:
    read = resources.read_resources(folder, ("n", "d"), {})
    assert set(read.table["lever"]) == {"none"}
    assert any("not part of this fit" in each for each in read.warnings)
