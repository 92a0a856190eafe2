"""The page's section on language models: for text only, and what it says of a known law."""

import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.language.answers import language_answers
from isoflop.report import language_panel
from isoflop.report.page import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table(language_sweep):
    return language_sweep.language_table()


@pytest.fixture(scope="module")
def fits(table):
    method = fit.Method(laws=("power_law_ols", "power_law_floor"), resamples=40, forecast=False)
    axes = (("train_gflops", "test_bits_per_byte"),)
    return fit.fit_all(table.rows, source="synthetic", method=method, axes=axes)


@pytest.fixture(scope="module")
def panel(table, fits):
    return panel_of(table.rows, fits)


def panel_of(rows, fits):
    return language_panel.language_panel(language_answers(rows), rows, fits)


def test_the_joint_law_comes_first_and_the_bias_of_parabolas_is_said(panel):
    law, parabolas, in_compute = panel.paragraphs
    assert law.startswith("48 runs of 24 configurations")
    assert "not 6 N" in law
    assert "arXiv 2603.22339" in parabolas
    assert "see The laws" in in_compute
    assert [each.name for each in panel.drawings] == ["language_best", "language_budgets", "language_split"]
    assert panel.missing == ()


def test_the_tables_hold_both_estimates_and_what_differs(panel):
    by_title = {each.title: each for each in panel.tables}
    exponents = by_title["Exponents in compute"]
    assert len(exponents.rows) == 4
    assert all("(" in cell for row in exponents.rows for cell in row[1:]), "each with its interval"
    budgets = by_title["The optimum at each budget"]
    assert [row[0] for row in budgets.rows] == ["100", "1,000", "10,000"]
    published = by_title["Beside published exponents"]
    assert published.rows[0][0] == "This sweep"
    (chinchilla,) = (row for row in published.rows if row[0].startswith("Hoffmann"))
    assert chinchilla[2:4] == ("0.50; 0.49; 0.46", "0.50; 0.51; 0.54")
    assert all(len(row) == len(published.columns) for row in published.rows)
    joules = by_title["Joules a byte"]
    assert "Below width 128 they are launches of kernels and idle power" in joules.note
    assert joules.columns[-1] == "Net µJ a byte"
    assert joules.rows[0][2:] == ("0.210", "0.0600")
    assert "seeds of one configuration spread by" in by_title["Width against depth"].note


def test_unknown_energy_and_equal_depths_are_named_with_their_reasons(language_sweep, fits):
    rows = language_sweep.language_table(joules=False).rows
    panel = panel_of(rows[rows["depth"] == 1], fits)
    assert panel.missing[:2] == (
        "Width against depth: depth does not vary: there is nothing to compare at equal size.",
        "Joules a byte: no GPU and no readable RAPL counter on this machine.",
    )
    assert not {"Width against depth", "Joules a byte"} & {each.title for each in panel.tables}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.iloc[:1], "No joint law was fitted: "),
        (lambda rows: rows.assign(test_bits_per_byte=np.nan), "No joint law was fitted: "),
        (lambda rows: rows.assign(train_gflops=np.nan), "There is no picture at equal compute: "),
        (lambda rows: rows[rows["train_gflops"] < 200], "The parabolas give no exponent: "),
        (lambda rows: rows.assign(width=np.nan, depth=np.nan), "Width against depth: "),
        (lambda rows: rows.assign(parameters=np.nan), "N with the embedding table: "),
        (lambda rows: rows.assign(config_id="one", place_id="one"), "o interval can be given"),
    ],
)
def test_no_table_breaks_it_and_each_says_what_is_missing(table, fits, change, words):
    panel = panel_of(change(table.rows), fits)
    assert any(words in text for text in (*panel.paragraphs, *panel.missing))


def test_the_page_holds_the_section_once(table, fits, tmp_path):
    page = write_report(tmp_path, table, fits).read_text()
    assert page.count("<h2>Language: compute-optimal models</h2>") == 1
    for name in ("language_best", "language_budgets", "language_split"):
        assert page.count(f'id="{name}"') == 1
        assert (tmp_path / f"figures/{name}.svg").is_file()
