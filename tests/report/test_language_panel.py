"""The page's section on language models: for text only, and what it says of a known law."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.language.answers import language_answers
from isoflop.report import language_panel
from isoflop.report.page import write_report
from isoflop.report.text import language_tables

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
    assert joules.note == "Medians over runs, and net of idle power.", "a processor's, with no launches"
    assert joules.columns[-1] == "Net µJ a byte"
    assert joules.rows[0][1:2] + joules.rows[0][3:] == ("2,048", "0.210", "0.0600")
    assert "seeds of one configuration spread by" in by_title["Width against depth"].note


def test_joules_of_a_gpu_are_told_by_batch_and_are_launches_below_a_width(table, fits):
    rows = table.rows.assign(power_limit_watts=700.0)
    small = rows["train_gflops"] < 200
    rows["batch_size"] = np.where(small, 512, 4096)
    rows["joules_per_example"] *= np.where(small, 8, 1)
    joules = {each.title: each for each in panel_of(rows, fits).tables}["Joules a byte"]
    assert "Below width 128 they are launches of kernels and idle power" in joules.note
    by_shape: dict[str, list[str]] = {}
    for row in joules.rows:
        by_shape.setdefault(row[0], []).append(row[1])
    assert max(len(batches) for batches in by_shape.values()) == 2, "one row a shape and batch"


def test_budgets_are_joined_though_their_computes_are_not_the_same_floats(table):
    first = language_answers(table.rows, resamples=0).sizes[0]
    off = tuple(
        dataclasses.replace(each, compute=each.compute * (1 + 1e-15)) for each in first.split.at_budgets
    )
    moved = dataclasses.replace(first, split=dataclasses.replace(first.split, at_budgets=off))
    assert [each.compute for each in off] != [each.compute for each in first.profiles.budgets]
    assert all(law and parabola for _, law, parabola in language_tables._joined(moved))
    assert len(language_tables._joined(moved)) == 3


def test_runs_of_two_texts_have_one_line_and_no_answers(table, fits):
    texts = ["books" if i % 2 else "python" for i in range(len(table.rows))]
    panel = panel_of(table.rows.assign(data=texts), fits)
    assert (panel.paragraphs, panel.drawings, panel.tables) == ((), (), ())
    assert panel.missing[0].startswith("The runs are of 2 texts (data: books, python)")


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
