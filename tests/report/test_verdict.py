import dataclasses

import numpy as np
import pytest

from isoflop.report import costs
from isoflop.report.verdict import judge


def say(table, fits):
    return judge(table.rows, fits.reports[0], "")


def paragraph(verdict):
    return " ".join(verdict.sentences)


def test_a_clear_power_law_agrees_within_the_range_measured(make_table, make_fits):
    table = make_table()
    found = say(table, make_fits(table, exponent=0.15, spread=0.01))
    assert found.answer == "agrees"
    assert "within the range measured" in found.headline
    text = paragraph(found)
    assert "b = 0.150 (95% interval 0.140 to 0.160)" in text
    assert "alpha = 1/b = 6.67 (6.25 to 7.14)" in text
    assert "under the power law, 100 times the compute (95% interval 76 to 140)" in text
    assert "cannot confirm or refute the paper's ImageNet figure (alpha about 9)" in text
    assert "per forward pass" in text


def test_a_fall_steeper_than_the_limit_disagrees_but_says_where(make_table, make_fits):
    table = make_table(exponent=0.35)
    found = say(table, make_fits(table, exponent=0.35, spread=0.02))
    assert found.answer == "disagrees"
    assert "within the range measured" in found.headline
    assert "says nothing of others" in paragraph(found)


def test_an_interval_across_the_limit_cannot_be_told(make_table, make_fits):
    table = make_table()
    found = say(table, make_fits(table, exponent=0.25, spread=0.03))
    assert found.answer == "cannot be told"
    assert "includes 4" in paragraph(found)


def test_a_floor_that_the_data_show_means_no_single_exponent(make_table, make_fits):
    table = make_table(floor=0.12, exponent=0.3)
    fits = make_fits(table, floor=0.12)
    assert costs.floor_identified(fits.reports[0])
    found = say(table, fits)
    assert found.answer == "cannot be told"
    assert "floor of about 12%" in found.headline
    assert "under the power law with a floor, impossible" in paragraph(found)
    assert not any("Floor: not identified" in c for c in found.caveats)


def test_a_floor_whose_interval_reaches_zero_is_a_caveat(make_table, make_fits):
    table = make_table()
    assert any("Floor: not identified" in c for c in say(table, make_fits(table)).caveats)


def test_a_flat_curve_cannot_be_told(make_table, make_fits):
    table = make_table(exponent=0.0)
    found = say(table, make_fits(table, exponent=0.01, spread=0.02))
    assert found.answer == "cannot be told"
    assert "flat curve cannot be ruled out" in paragraph(found)


def test_an_error_that_rises_prices_nothing(make_table, make_fits):
    table = make_table(exponent=-0.1)
    found = say(table, make_fits(table, exponent=-0.1, spread=0.02))
    assert found.answer == "cannot be told"
    assert "rises" in found.headline
    assert "the fitted error does not fall" in paragraph(found)


def test_one_seed_a_configuration_is_too_little(make_table, make_fits):
    table = make_table(seeds=1)
    found = say(table, make_fits(table))
    assert found.answer == "cannot be told"
    assert "single seed" in paragraph(found)
    assert any(c.startswith("Seeds: 1 for each configuration; with one seed alone") for c in found.caveats)


def test_a_short_span_or_few_configurations_are_too_little(make_table, make_fits):
    short = make_table(widths=(32, 40, 48), depths=(1, 2))
    assert "decades" in paragraph(say(short, make_fits(short)))
    assert say(short, make_fits(short)).answer == "cannot be told"
    few = make_table(widths=(8, 256), depths=(1,))
    assert say(few, make_fits(few)).answer == "cannot be told"
    assert "2 configurations" in paragraph(say(few, make_fits(few)))


def test_without_a_fit_the_reason_is_given(make_table):
    table = make_table()
    found = judge(table.rows, None, "train_gflops is unknown in every run")
    assert found.answer == "cannot be told"
    assert "train_gflops is unknown in every run" in paragraph(found)


def test_halving_follows_each_laws_formula(make_table, make_fits):
    table = make_table()
    report = make_fits(table, exponent=0.2, spread=0.01).reports[0]
    by_law = {fit.law: fit for fit in report.fits}
    assert costs.halving(by_law["polynomial"], report.x_max).factor == pytest.approx(2**5)
    start = costs.level(by_law["exponential"], report.x_max)
    rise = costs.parameter(by_law["exponential"], "b").value
    factor = costs.halving(by_law["exponential"], report.x_max).factor
    assert 1 / start + rise * np.log10(factor) == pytest.approx(2 / start)
    bent = by_law["power_floor"]
    start, ground = costs.level(bent, report.x_max), costs.parameter(bent, "E").value
    factor = costs.halving(bent, report.x_max).factor
    fallen = ground + (start - ground) * factor ** -costs.parameter(bent, "b").value
    assert fallen == pytest.approx(start / 2)


def test_costs_beyond_all_measure_are_not_written_out(make_table, make_fits):
    table = make_table()
    report = make_fits(table, exponent=0.002, spread=0.001).reports[0]
    found = costs.halving(report.fits[0], report.x_max)
    assert found.factor is None
    assert "more than 10^100" in found.reason


def test_caveats_come_from_the_data(make_table, make_fits):
    table = make_table()
    text = " ".join(say(table, make_fits(table)).caveats)
    assert "Test set: 1,000 images, so one image is 0.10%" in text
    assert "Learning rate: 0.01 for every shape" in text
    assert "Training set: fixed at 4,000 images" in text
    assert "Mixed" not in text
    rows = table.rows.copy()
    rows.loc[0, "device"] = "NVIDIA H100"
    rows.loc[0, "lr"] = 0.1
    mixed = " ".join(say(dataclasses.replace(table, rows=rows), make_fits(table)).caveats)
    assert "Mixed devices: NVIDIA H100, cpu" in mixed
    assert "0.01 to 0.1, but not several for every shape" in mixed
