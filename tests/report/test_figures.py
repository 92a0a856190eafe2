import struct
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from isoflop.report import drawn, figures, points, style

NAMES = {"error_compute", "error_joules", "error_seconds", "loss_compute", "width_depth"}


def png_size(payload: bytes) -> tuple[int, int]:
    return struct.unpack(">II", payload[16:24])


def test_every_figure_is_a_whole_png_and_svg_with_words(sweep):
    directory, table, fits = sweep
    drawings = figures.draw(table.rows, fits)
    assert {d.name for d in drawings} == NAMES
    paths = figures.write(drawings, directory)
    assert {p.name for p in paths} == {f"{n}.{s}" for n in NAMES for s in ("png", "svg")}
    for drawing in drawings:
        assert drawing.png.startswith(b"\x89PNG")
        assert len(drawing.png) > 20_000
        assert min(png_size(drawing.png)) >= 400
        root = ElementTree.fromstring(drawing.svg)
        words = " ".join(root.itertext())
        assert drawing.alt
        assert "%" in words or "nats" in words
    main = " ".join(ElementTree.fromstring(drawings[0].svg).itertext())
    for label in (
        "Training compute (GFLOPs)",
        "Test error (%)",
        "Power law",
        "Frontier",
        "extrapolated",
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
    figure = figures.chart(points.select(table.rows, points.VIEWS[0]), None)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="energy_joules"):
        figures.chart(points.select(table.rows, points.VIEWS[1]), None)


def test_the_grid_holds_the_mean_of_each_shape(make_table):
    rows = make_table(seeds=3).rows
    cells = figures.grid_cells(rows)
    chosen = rows[(rows["width"] == 16) & (rows["depth"] == 2)]
    assert cells.loc[2, 16] == pytest.approx(chosen["test_error"].mean())
    assert cells.shape == (3, 5)


def test_a_name_with_a_dollar_sign_is_no_formula(make_table, make_fits):
    table = make_table()
    table.rows["architecture"] = "a$b_{$<&>"
    table.rows["width"] = np.nan
    svg = figures.draw(table.rows, make_fits(table))[0].svg
    assert "a$b_{$<&>" in "".join(ElementTree.fromstring(svg).itertext())


def test_an_inlined_drawing_is_small_well_formed_and_keeps_its_ids_apart(sweep):
    _, table, fits = sweep
    first, second = (
        drawn.inline(d.svg, prefix, 'say "<b>"')
        for d, prefix in zip(figures.draw(table.rows, fits), "ab", strict=False)
    )
    assert len(first) < 40_000
    root = ElementTree.fromstring(first)
    assert root.attrib["aria-label"] == 'say "<b>"'
    ids = [
        {e.attrib["id"] for e in ElementTree.fromstring(s).iter() if "id" in e.attrib}
        for s in (first, second)
    ]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "style=" not in first


def test_colours_of_sizes_and_laws_are_distinct():
    tints = style.tints([8, 16, 32, 64])
    assert len(set(tints.values())) == 4
    laws = {style.law_colour(law) for law in ("polynomial", "power_floor", "exponential")}
    assert len(laws) == 3
    assert not laws & set(tints.values())
