import base64
import dataclasses
import struct
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from isoflop.curve.laws import LAWS
from isoflop.curve.result import HeldOut, HeldOutRun
from isoflop.report.figures import canvas, curves, diagnostics, inline_svg, shape_grid, style, views
from isoflop.report.figures import sweep as figures
from isoflop.table.target import TEST_ERROR

pytestmark = pytest.mark.slow

NAMES = {
    "residuals",
    "calibration",
    "error_compute",
    "error_joules",
    "error_seconds",
    "loss_compute",
    "width_depth",
}


def png_size(payload: bytes) -> tuple[int, int]:
    return struct.unpack(">II", payload[16:24])


def test_every_figure_is_a_whole_png_and_svg_with_words(sweep):
    directory, table, fits = sweep
    drawings = figures.draw(table.rows, fits)
    assert {d.name for d in drawings} == NAMES
    paths = canvas.write(drawings, directory)
    assert {p.name for p in paths} == {f"{n}.{s}" for n in NAMES for s in ("png", "svg", "csv")}
    for drawing in drawings:
        assert drawing.png.startswith(b"\x89PNG")
        assert len(drawing.png) > 20_000
        assert min(png_size(drawing.png)) >= 400
        root = ElementTree.fromstring(drawing.svg)
        words = " ".join(root.itertext())
        assert drawing.alt
        assert "%" in words or "nats" in words or "forecast" in words
    main = " ".join(ElementTree.fromstring(drawings[0].svg).itertext())
    for label in (
        "Training compute (GFLOPs)",
        "Test error (%)",
        "Forecast",
        "95%, mean",
        "95%, new run",
        "Power law (OLS)",
        "Exponential",
        "Frontier",
        "largest run",
        "×4: untested beyond",
        "Width",
    ):
        assert label in main


def test_a_figure_is_the_same_twice(sweep):
    _, table, fits = sweep
    first, second = (figures.draw(table.rows, fits)[0] for _ in range(2))
    assert first.svg == second.svg
    assert first.png == second.png


def test_what_is_unknown_everywhere_has_no_figure(make_table, make_fits):
    table = make_table(joules=False)
    names = {d.name for d in figures.draw(table.rows, make_fits(table))}
    assert names == NAMES - {"error_joules"}


def test_a_table_without_fits_is_drawn_all_the_same(make_table):
    table = make_table()
    figure = figures.chart(views.select(table.rows, views.VIEWS[0]), None)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="energy_joules"):
        figures.chart(views.select(table.rows, views.VIEWS[1]), None)


def test_the_grid_holds_the_mean_of_each_shape(make_table):
    rows = make_table(seeds=3).rows
    cells = shape_grid.mean_errors(rows, TEST_ERROR)
    chosen = rows[(rows["width"] == 16) & (rows["depth"] == 2)]
    assert cells.loc[2, 16] == pytest.approx(chosen["test_error"].mean())
    assert cells.shape == (3, 5)


def test_a_name_with_a_dollar_sign_is_no_formula(make_table, make_fits):
    table = make_table()
    table.rows["architecture"] = "a$b_{$<&>"
    table.rows["width"] = np.nan
    svg = figures.draw(table.rows, make_fits(table))[0].svg
    assert "a$b_{$<&>" in "".join(ElementTree.fromstring(svg).itertext())


def test_a_drawing_stands_in_a_page_as_it_was_drawn(sweep):
    _, table, fits = sweep
    drawing = figures.draw(table.rows, fits)[0]
    root = ElementTree.fromstring(str(inline_svg.img(drawing.svg, 'say "<b>"')).replace('">', '"/>'))
    assert root.tag == "img"
    assert root.attrib["alt"] == 'say "<b>"'
    kind, _, encoded = root.attrib["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(encoded).decode() == inline_svg.themed(drawing.svg)
    assert len(drawing.svg) < 120_000


def test_colours_of_sizes_and_laws_are_distinct():
    tints = style.tints([8, 16, 32, 64])
    assert len(set(tints.values())) == 4
    laws = {style.law_colour(law) for law in (style.FORECAST, *LAWS)}
    assert len(laws) == 1 + len(LAWS) == 8
    assert not laws & set(tints.values())


def test_residuals_are_of_the_runs_that_were_fitted_against_the_forecast(make_table, make_fits):
    table = make_table()
    report = make_fits(table).reports[0]
    chosen = views.select(table.rows, views.VIEWS[0])
    left_out = table.rows["run_id"].iloc[:2]
    held = HeldOut("train_gflops>1", 1, 0.1, 1, 2.0, (HeldOutRun(left_out[0], 1.0, 0.1, 0.1, 0.05, 0.2),))
    excluded = dataclasses.replace(report.excluded[0], run_id=left_out[1])
    report = dataclasses.replace(report, held_out=held, excluded=(excluded,))
    rows = diagnostics.used(chosen, report)
    assert len(rows) == len(table.rows) - 2
    assert not set(left_out) & set(rows["run_id"])
    (drawing, _) = diagnostics.draw(chosen, report)
    ratio = rows["test_error"] / curves.at(report.forecast.band, rows["train_gflops"].to_numpy())
    typical = np.exp(np.sqrt(np.mean(np.log(ratio) ** 2)))
    assert f"a factor of {typical:.2f}" in drawing.caption
    assert f"Of {len(rows)} runs" in drawing.caption


def test_calibration_counts_and_says_when_there_are_too_few(make_table, make_fits):
    table = make_table()
    report = make_fits(table).reports[0]
    chosen = views.select(table.rows, views.VIEWS[0])
    with matplotlib.rc_context(canvas.RC):
        many = diagnostics.draw(chosen, report)[1]
    words = " ".join(ElementTree.fromstring(many.svg).itertext())
    for count in ("24/40", "34/40", "36/40"):
        assert count in words
    assert "too few" not in many.caption
    judged = tuple(dataclasses.replace(c, predictions=10) for c in report.forecast.calibration)
    few = dataclasses.replace(report, forecast=dataclasses.replace(report.forecast, calibration=judged))
    assert "Only 10 predictions: too few" in diagnostics.draw(chosen, few)[1].caption
    none = dataclasses.replace(report, forecast=None, forecast_reason="a quantile is fitted")
    assert [d.name for d in diagnostics.draw(chosen, none)] == ["residuals"]


def test_a_band_beyond_all_measure_does_not_hide_the_points(make_table, make_fits):
    table = make_table()
    report = make_fits(table).reports[0]
    band = report.forecast.band
    wild = dataclasses.replace(
        band, high=tuple(1e6 for _ in band.high), new_high=tuple(1e7 for _ in band.high)
    )
    report = dataclasses.replace(report, forecast=dataclasses.replace(report.forecast, band=wild))
    axes = figures.chart(views.select(table.rows, views.VIEWS[3]), report).axes[0]
    most = table.rows["test_loss"].max()
    assert most <= axes.get_ylim()[1] < 6 * most
