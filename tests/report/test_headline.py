"""The first screen: sentence, figures, main curve and terminal name one law, by construction."""

from __future__ import annotations

import dataclasses

import pytest

from isoflop.curve.check import front
from isoflop.curve.result import LackOfFit
from isoflop.report import headline
from isoflop.report.figures import curves
from isoflop.report.text import first_screen, lead
from isoflop.report.text.verdict import judge

BENT = LackOfFit("wild bootstrap", 0.0042, 0.1, None, 0.31, 0.12, 1.5, True)


def rejected(fits):
    """The fits, the plain power laws of the first rejected by the points."""
    first = fits.reports[0]
    laws = tuple(
        dataclasses.replace(fit, lack_of_fit=BENT) if fit.law in lead.PLAIN else fit for fit in first.fits
    )
    return dataclasses.replace(fits, reports=(dataclasses.replace(first, fits=laws), *fits.reports[1:]))


@pytest.fixture(params=["power", "floor", "bends", "short", "flat", "unfitted"])
def kind(request):
    return request.param


@pytest.fixture
def shown(kind, make_table, make_fits):
    """A table, its fits and report of that kind of curve, and the page's headline of them."""
    table = make_table(seeds=1 if kind == "short" else 4)
    fits = make_fits(
        table, exponent=-0.01 if kind == "flat" else 0.15, floor=0.12 if kind == "floor" else None
    )
    fits = rejected(fits) if kind == "bends" else fits
    report = None if kind == "unfitted" else fits.reports[0]
    checked = front.check(table.rows)
    verdict = judge(table.rows, report, "why", checked)
    assert verdict.lead.kind == kind
    return fits, report, verdict, headline.headline(verdict, table, report, checked)


def test_four_figures_none_of_which_contradicts_the_sentence(kind, shown):
    _, _, _, said = shown
    assert len(said.figures) == headline.MOST
    titles = [card.title for card in said.figures]
    assert ("Exponent b" in titles) == (kind == "power")
    assert ("Irreducible error E" in titles) == (kind == "floor")
    if "no single exponent" in said.sentence or "too little" in said.sentence:
        assert not any("xponent" in title or "halve" in title for title in titles)
    if kind in ("short", "flat", "unfitted"):
        assert not any("Forecast" in title for title in titles)


def test_the_sentence_says_what_was_found_and_the_answer_stands_apart(shown):
    _, _, verdict, said = shown
    assert not said.sentence.startswith(("Cannot", "Agrees", "Disagrees"))
    assert said.sentence[0].isupper()
    assert said.sentence.endswith(".")
    assert verdict.answer in said.against


@pytest.mark.parametrize("kind", ["power", "floor", "bends"], indirect=True)
def test_the_terminal_and_the_main_curve_name_the_law_of_the_sentence(shown):
    fits, report, verdict, said = shown
    line = first_screen.first_screen(fits, 100).curve[1]
    drawn = curves.curves(report)
    assert drawn is not None
    if verdict.lead.law is None:
        assert line == "bends: no single exponent describes it"
        assert drawn.main.key == lead.FLOORED
        assert "no single exponent describes it" in said.sentence
    else:
        assert line.endswith(f"({verdict.lead.law})")
        assert drawn.main.key == verdict.lead.law


def test_bands_are_the_laws_where_it_was_measured_and_the_forecasts_beyond(make_table, make_fits):
    report = make_fits(make_table(), floor=0.12).reports[0]
    drawn = curves.curves(report)
    assert drawn is not None
    assert drawn.forecast is not None
    measured, ahead = drawn.banded(drawn.main), drawn.banded(drawn.forecast)
    assert measured is not None
    assert ahead is not None
    assert measured.x[-1] == pytest.approx(report.x_max) == ahead.x[0]
    assert measured.x[0] == pytest.approx(report.x_min)
    assert [line for line in drawn.lines if drawn.banded(line) is not None] == [drawn.main, drawn.forecast]
    alone = curves.curves(dataclasses.replace(report, forecast=None))
    assert alone is not None
    band = alone.banded(alone.main)
    assert band is not None
    assert band.x[-1] == pytest.approx(10 * report.x_max)
