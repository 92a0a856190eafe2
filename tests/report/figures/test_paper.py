"""Figures for papers: the width as printed, legible type, nothing cut, and the data beside each."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from isoflop.curve.result import FitFile
from isoflop.report.figures import canvas, curves, drawn_data, paper, sweep
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text import lead
from isoflop.table.aggregate import RunTable

MakeTable = Callable[..., RunTable]
MakeFits = Callable[..., FitFile]


@pytest.fixture
def drawings(make_table: MakeTable, make_fits: MakeFits) -> tuple[Drawing, ...]:
    """The figures of a sweep."""
    table = make_table(joules=True)
    return sweep.draw(table.rows, make_fits(table))


@pytest.mark.parametrize(
    ("given", "inches"),
    [("3.3in", 3.3), ("84mm", 84 / 25.4), ("8.4 cm", 8.4 / 2.54), ("240pt", 240 / 72.27), (5, 5.0)],
)
def test_a_width_is_read_in_the_units_of_journals(given: str | float, inches: float) -> None:
    assert paper.inches(given) == pytest.approx(inches)


@pytest.mark.parametrize("given", ["0in", "1.9in", "21in", "84", "wide", "-3in", "3.3", "", "in"])
def test_a_width_that_is_none_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(ValueError, match=r"^--width .*: give ") as caught:
        paper.inches(given)
    assert "\n" not in str(caught.value)


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="--format jpg: give pdf, svg, png"):
        paper.paper(["pdf,jpg"], None)
    assert paper.paper([], None) is None
    assert paper.paper(["png,pdf", "png"], "3in") == paper.Paper(("png", "pdf"), 3.0)
    assert paper.paper([], "3in") == paper.Paper(("pdf",), 3.0)


def shown(figure: Figure) -> list[Text]:
    """The text of a figure that is in view."""
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("width", [2.5, 3.3, 6.75])
def test_type_is_legible_and_nothing_is_cut_at_any_width(drawings: tuple[Drawing, ...], width: float) -> None:
    for drawing in drawings:
        figure = drawing.figure
        paper.resized(figure, width)
        wide, tall = figure.get_size_inches()
        assert wide == pytest.approx(width)
        assert tall < 2.2 * width
        edge = figure.bbox
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                for at, tick in zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False):
                    tick.set_visible(bool(low <= at <= high))
        for text in shown(figure):
            assert 7.0 <= float(text.get_fontsize()) <= 9.0, text.get_text()
            box = text.get_window_extent()
            inside = edge.x0 - 1 <= box.x0 and box.x1 <= edge.x1 + 1 and edge.y0 - 1 <= box.y0
            assert inside, f"{drawing.name}: {text.get_text()!r} is cut"
            assert box.y1 <= edge.y1 + 1, f"{drawing.name}: {text.get_text()!r} is cut"


def test_labels_of_ticks_stay_apart_in_a_column(drawings: tuple[Drawing, ...]) -> None:
    for drawing in drawings:
        paper.resized(drawing.figure, 3.3)
        for axes in drawing.figure.axes:
            low, high = sorted(axes.get_xlim())
            labels = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            boxes = [t.get_window_extent() for at, t in labels if low <= at <= high and t.get_text()]
            boxes.sort(key=lambda box: box.x0)
            apart = [b.x0 - a.x1 for a, b in itertools.pairwise(boxes)]
            assert all(gap > 0 for gap in apart), (drawing.name, apart)


def test_a_pdf_has_its_size_and_embeds_truetype(drawings: tuple[Drawing, ...], tmp_path: Path) -> None:
    written = paper.write(drawings[:1], tmp_path, paper.Paper(("pdf", "svg", "png"), 3.3))
    folder = tmp_path / "figures" / "paper"
    assert [path.name for path in written] == [
        f"error_compute.{kind}" for kind in ("pdf", "svg", "png", "csv")
    ]
    pdf = (folder / "error_compute.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf)
    assert box is not None
    assert float(box[1]) == pytest.approx(72 * 3.3, abs=0.1)
    assert b"/Subtype /Type3" not in pdf
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf
    svg = (folder / "error_compute.svg").read_text()
    assert "<text" not in svg, "outlines, which need no font"
    assert f'width="{72 * 3.3:g}pt"' in svg


def rows_of(drawing: Drawing) -> list[dict[str, str]]:
    """The data of a drawing."""
    return list(csv.DictReader(io.StringIO(drawn_data.as_csv(drawing.figure))))


def test_the_data_beside_a_figure_are_what_is_drawn(make_table: MakeTable, make_fits: MakeFits) -> None:
    table = make_table()
    fits = make_fits(table)
    (drawing, *_) = sweep.draw(table.rows, fits)
    rows = rows_of(drawing)
    runs = [row for row in rows if row["kind"] == "run"]
    assert len(runs) == len(table.rows)
    assert sorted(float(row["x"]) for row in runs) == pytest.approx(
        sorted(table.rows["train_gflops"]), rel=1e-8
    )
    assert sorted(float(row["y"]) for row in runs) == pytest.approx(
        sorted(100 * table.rows["test_error"]), rel=1e-8
    )
    assert {row["y_title"] for row in rows} == {"Test error (%)"}
    assert {row["x_title"] for row in rows} == {"Training compute (GFLOPs)"}
    drawn = curves.curves(fits.reports[0], lead.main_law(fits.reports[0]))
    assert drawn is not None
    band = drawn.banded(drawn.main)
    assert band is not None
    named = f"{drawn.main.name}; 95%, mean"
    mean = [row for row in rows if row["kind"] == "band" and row["series"] == named]
    assert [float(row["low"]) for row in mean] == pytest.approx(list(100 * np.array(band.low)), rel=1e-6)
    assert [float(row["high"]) for row in mean] == pytest.approx(list(100 * np.array(band.high)), rel=1e-6)
    assert all(row["series"].startswith("Width ") for row in runs)


def test_figures_of_a_page_have_their_data_beside_them(drawings: tuple[Drawing, ...], tmp_path: Path) -> None:
    canvas.write(drawings, tmp_path)
    for drawing in drawings:
        assert len(rows_of(drawing)) > 1, drawing.name
        assert (tmp_path / "figures" / f"{drawing.name}.csv").is_file()
