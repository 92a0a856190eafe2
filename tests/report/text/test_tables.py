"""The page's tables: values with their units, laws with their weights, held-out runs in or out."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve.result import Excluded, HeldOut, HeldOutRun, Interval
from isoflop.report.text import amounts, law_tables, numerals, tables
from isoflop.table import target


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999_499.0, "999,000"),
        (999_500.0, "1.00 × 10⁶"),
        (1.0005e-3, "0.00100"),
        (1.0e-4, "1.00 × 10⁻⁴"),
        (-np.inf, "-∞"),
        (1.0, "1.00"),
        (100.0, "100"),
        (1000.4, "1,000"),
    ],
)
def test_numbers_change_their_form_at_a_million_and_a_thousandth(value, text):
    assert numerals.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(119.0, "119 s"), (120.0, "2.00 min"), (7199.0, "120 min"), (7200.0, "2.00 h"), (None, "–")],
)
def test_durations_change_their_unit_at_two_of_the_next(seconds, text):
    assert numerals.seconds(seconds) == text


def test_a_log_error_is_a_factor():
    assert numerals.factor(np.log(1.25)) == "×1.25"
    assert numerals.factor(None) == "–"
    assert numerals.factor(1e6).startswith("×1.01 × 10³⁰⁴")


def test_losses_have_three_decimals_and_shares_per_cent():
    assert amounts.amount(2.31449, target.TEST_BITS) == "2.314 bits a byte"
    assert amounts.amount(None, target.TEST_BITS) == "–"
    assert amounts.amount(0.0325, target.TEST_ERROR) == "3.25%"
    assert amounts.bare(0.0325, target.TEST_ERROR, 2) == "3.2%"
    assert amounts.amount(1.25, target.TEST_LOSS) == "1.25 nats"
    assert amounts.plain(0.0325, target.TEST_ERROR) == "3.25"
    assert amounts.plain(2.31449, target.TEST_BITS) == "2.314"


def column(grid, title):
    at = [each.title for each in grid.columns].index(title)
    return [row[at] for row in grid.rows]


def test_runs_come_by_compute_and_seed_in_the_units_of_their_titles(make_table):
    rows = make_table(widths=(16, 8), depths=(1,), seeds=2).rows.assign(mfu=0.25, lr=0.003)
    grid = tables.runs(rows)
    assert column(grid, "Configuration") == ["mlp w8 d1", "mlp w8 d1", "mlp w16 d1", "mlp w16 d1"]
    assert column(grid, "Seed") == ["0", "1", "0", "1"]
    first = rows[(rows["width"] == 8) & (rows["seed"] == 0)].iloc[0]
    assert float(column(grid, "Test error (%)")[0]) == pytest.approx(100 * first["test_error"], rel=1e-3)
    assert float(column(grid, "GFLOPs")[0]) == pytest.approx(first["train_gflops"], rel=1e-3)
    assert column(grid, "MFU (%)") == ["25.00"] * 4
    assert column(grid, "Learning rate") == ["0.003"] * 4
    assert "Cost (USD)" not in [each.title for each in grid.columns], "no run knows its cost"
    assert [each.numeric for each in grid.columns][:3] == [False, True, True]


def test_configurations_have_the_mean_and_the_range_of_their_seeds(make_table):
    rows = make_table(widths=(16, 8), depths=(1,), seeds=3).rows
    grid = tables.configs(rows)
    assert column(grid, "Configuration") == ["mlp w8 d1", "mlp w16 d1"]
    assert column(grid, "Seeds") == ["3", "3"]
    small = 100 * rows.loc[rows["width"] == 8, "test_error"]
    for title, value in (
        ("Mean test error", small.mean()),
        ("Lowest", small.min()),
        ("Highest", small.max()),
    ):
        assert float(column(grid, f"{title} (%)")[0]) == pytest.approx(value, rel=1e-3)
    assert [each.title for each in grid.columns if each.sorted] == ["GFLOPs"]
    gflops = rows.groupby("width")["train_gflops"].mean()
    assert [float(text) for text in column(grid, "GFLOPs")] == pytest.approx(list(gflops), rel=1e-3)


def test_what_is_left_out_has_its_reason(make_table, make_fits):
    table = make_table()
    fits = make_fits(table)
    known = table.rows.iloc[5]
    report = dataclasses.replace(
        fits.reports[0], excluded=(Excluded(known["run_id"], "too good"), Excluded("cafe", "at chance"))
    )
    grid = tables.left_out(table, dataclasses.replace(fits, reports=(report,)))
    assert grid.rows == (
        ("feedbeef0000", "diverged", "loss became infinite at step 12"),
        (
            known["run_id"],
            "not in test_error against train_gflops",
            "too good",
        ),
        ("cafe", "not in test_error against train_gflops", "at chance"),
    )


def test_a_laws_weight_is_the_sum_of_its_members_with_the_recent_ones_in_brackets(make_table, make_fits):
    group = law_tables.group(make_fits(make_table()).reports[0])
    rows = {row.name: row for row in group.ranks}
    forecast = group.ranks[0]
    assert len(rows) == 8
    assert forecast.r_squared == forecast.weight == "–"
    weights = [row.weight for row in group.ranks[1:]]
    assert weights == ["–", "–", "–", "25% (12%)", "25% (12%)", "25% (12%)", "25% (12%)"]
    assert group.ratios == ("at 2× (12)", "at 4× (8)", "at 10× (0)")
    assert group.ranks[1].ahead == ("–", "–", "–")
    assert group.ranks[3].ahead == ("×1.11", "×1.22", "–")
    assert group.ranks[1].r_squared == "0.970"
    assert group.ranks[1].rmse == "0.0500"


def test_the_profile_interval_stands_below_the_exponent(make_table, make_fits):
    formulas = law_tables.group(make_fits(make_table()).reports[0]).formulas
    plain, robust = formulas[0], formulas[2]
    assert [name for name, _, _ in plain.parameters] == ["a", "b", "paper_alpha"]
    assert [name for name, _, _ in robust.parameters] == ["A", "b", "b by profile likelihood", "paper_alpha"]
    assert robust.parameters[2][1] == "above 0.100"


def test_the_note_of_a_fit_says_what_was_fitted(make_table, make_fits):
    report = make_fits(make_table()).reports[0]
    note = law_tables._note(report)
    assert note.startswith("60 runs of 15 configurations at 5 scales, train_gflops from ")
    assert "200 resamples of configurations (seed 0)." in note
    assert "frontier" not in note
    assert "quantile" not in note
    other = dataclasses.replace(report, of="frontier", quantile=0.1, resampling="wild")
    note = law_tables._note(other)
    assert "at 5 scales on the efficient frontier," in note
    assert "signs of residuals (wild bootstrap)" in note
    assert note.endswith("Robust laws follow the 0.1 quantile.")


def held(*row):
    runs = (HeldOutRun(*row),)
    return HeldOut("width > 8", 1, 0.1, 1, 2.0, runs)


@pytest.mark.parametrize(
    ("y", "inside"), [(0.1, "yes"), (0.2, "yes"), (0.15, "yes"), (0.0999, "no"), (0.2001, "no")]
)
def test_a_held_out_run_is_inside_up_to_the_ends(y, inside):
    (row,) = law_tables.held_out(held("a", 12_345.0, y, 0.165, 0.1, 0.2), target.TEST_ERROR)
    assert row == ("a", "12,300", numerals.number(100 * y), "16.5", "10.0 to 20.0", inside)
    (row,) = law_tables.held_out(held("a", 1.0, 2.0, 2.1, 1.9, 2.2), target.TEST_BITS)
    assert row == ("a", "1.00", "2.000", "2.100", "1.900 to 2.200", "+5.0%", "yes")
    assert law_tables.held_out(None, target.TEST_BITS) == ()


def test_an_unbounded_price_is_a_dash_or_its_reason():
    from isoflop.report.text.costs import Halving

    assert law_tables._halving(Halving("m3", None, None, None)) == "–"
    assert law_tables._halving(Halving("m3", None, None, "why")) == "why"
    assert law_tables._halving(Halving("m3", 12.3, Interval(10.0, None), None)) == "×12 (above 10)"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("GFLOPs", "train_gflops"),
        ("Energy (J)", "energy_joules"),
        ("Above idle (J)", "net_joules"),
        ("Time (s)", "train_seconds"),
        ("Cost (USD)", "dollars"),
        ("Learning rate", "lr"),
        ("Test loss (nats)", "test_loss"),
    ],
)
def test_columns_hold_the_tables_own_numbers(make_table, title, name):
    rows = make_table(widths=(8,), depths=(1,), seeds=1).rows.assign(**{name: 0.0375})
    assert float(column(tables.runs(rows), title)[0]) == 0.0375
    assert float(column(tables.configs(rows), title)[0]) == 0.0375
