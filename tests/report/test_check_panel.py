"""The page's section on validity, and undertrained points drawn apart."""

import dataclasses
import json

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from isoflop.curve.check import collapse, front
from isoflop.curve.check.loss_curves import LossCurve
from isoflop.curve.check.sweep_files import SweepFiles
from isoflop.report import check_panel
from isoflop.report.figures import canvas, charts, sweep, validity, views
from isoflop.report.page import write_report


@pytest.fixture(scope="module")
def undertrained(make_table):
    """A table whose largest shape has a training loss far above that of the others."""
    table = make_table()
    worst = (table.rows["width"] == 128) & (table.rows["depth"] == 3)
    return dataclasses.replace(
        table, rows=table.rows.assign(train_loss=table.rows["train_loss"].where(~worst, 2.0))
    )


def test_the_section_shows_faults_in_full_folds_notes_and_says_what_was_not_checked(undertrained):
    panel = check_panel.panel(front.check(undertrained.rows))
    assert panel.lines[0].severity == "fault"
    assert panel.lines[0].sentence.startswith("mlp w128 d3: training loss")
    assert all(line.sentence.endswith(".") and line.what_to_do.endswith(".") for line in panel.lines)
    assert all(line.severity == "note" for line in panel.notes)
    assert ("Thermal drift", "needs examples_seen") in panel.not_checked
    assert panel.headline.startswith("12 checks: 1 fault")


@pytest.mark.slow
def test_the_page_says_it_and_draws_the_points_hollow(undertrained, make_fits, tmp_path):
    text = write_report(tmp_path, undertrained, make_fits(undertrained)).read_text()
    assert "Is this sweep valid?" in text
    assert '<span class="tag fault">fault</span> <b>Undertrained shape.</b> mlp w128 d3' in text
    assert "<b>Thermal drift:</b> needs examples_seen" in text
    for name in ("error_compute", "training_loss", "residuals"):
        assert "Undertrained" in (tmp_path / "figures" / f"{name}.svg").read_text()
    rows = check_panel.flagged(undertrained.rows, front.check(undertrained.rows))
    spec = json.loads(charts.specs(rows, make_fits(undertrained)))["views"]["error_compute"]
    traces = spec["data"]
    symbols = [s for t in traces if t.get("meta") == "runs" for s in t["marker"]["symbol"]]
    assert sum(symbol.endswith("-open") for symbol in symbols) == 4
    named = [entry["name"] for part in spec["legend"] for entry in part["entries"]]
    assert named.count("Undertrained") == 1


def test_hollow_markers_are_those_of_the_flagged_configuration(undertrained):
    rows = check_panel.flagged(undertrained.rows, front.check(undertrained.rows))
    with matplotlib.rc_context(canvas.RC):
        figure = sweep.chart(views.select(rows, views.VIEWS[0]), None)
    white = (1.0, 1.0, 1.0)
    hollow = [
        len(np.asarray(each.get_offsets()))
        for each in figure.axes[0].collections
        if isinstance(each, PathCollection) and tuple(np.asarray(each.get_facecolor())[0, :3]) == white
    ]
    assert sorted(hollow) == [1, 4], "one mean and its four seeds"


def test_a_sweep_without_faults_has_no_key_for_them(make_table, make_fits):
    table = make_table()
    rows = check_panel.flagged(table.rows, front.check(table.rows))
    assert not rows[views.FLAGGED].any()
    legend = json.loads(charts.specs(rows, make_fits(table)))["views"]["error_compute"]["legend"]
    assert "Undertrained" not in [entry["name"] for part in legend for entry in part["entries"]]


def test_collapse_is_drawn_where_loss_curves_are_known(make_table):
    rows = make_table(depths=(1,)).rows
    rows = rows.assign(examples_seen=100 * rows["width"])
    ends = np.geomspace(0.01, 1, 40)
    curves = {
        run: LossCurve(tuple(ends * seen), tuple(loss * ends**-0.3))
        for run, seen, loss in zip(rows["run_id"], rows["examples_seen"], rows["train_loss"], strict=True)
    }
    checked = front.check(rows, SweepFiles(curves))
    assert isinstance(checked.collapse, collapse.Collapse)
    drawings = {d.name: d for d in validity.draw(check_panel.flagged(rows, checked), checked)}
    assert set(drawings) == {"training_loss", "loss_collapse"}
    assert "5 sizes" in drawings["loss_collapse"].caption
    assert "mlp w128 d1" in drawings["loss_collapse"].svg
    assert "trend" not in drawings["training_loss"].caption, "three small shapes give no trend"
