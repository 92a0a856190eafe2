"""A rejected law's exponent never stands alone: in sentences, tables, cards and the verdict."""

import dataclasses

import pytest

from isoflop.curve.result import Estimate, Interval, LackOfFit, LocalExponent
from isoflop.report.text import law_tables, loss_verdict, measured, misfit
from isoflop.report.text.verdict import judge

BENT = LackOfFit("wild bootstrap", 0.0042, 0.1, None, 0.31, 0.12, 1.5, True)
LOCAL = LocalExponent(
    Estimate("local_exponent", 0.11, Interval(0.08, 0.14), ""),
    Estimate("local_alpha", 9.09, Interval(7.1, 12.5), ""),
    ("power_law_floor", "m3"),
)


def bending(report, misfit_of=BENT, local=LOCAL):
    fits = tuple(
        dataclasses.replace(fit, lack_of_fit=misfit_of) if fit.law.startswith("power_law_ols") else fit
        for fit in report.fits
    )
    return dataclasses.replace(report, fits=fits, local_exponent=local)


@pytest.fixture
def report(make_table, make_fits):
    return bending(make_fits(make_table()).reports[0])


def test_the_sentence_says_how_the_exponent_changes_what_that_changes_and_what_to_quote(report):
    assert misfit.sentence(report, "power_law_ols") == (
        "That law is rejected: the exponent is 0.310 over the lowest third of ln x and 0.120 over the "
        "highest (p = 0.0042, wild bootstrap), so that error comes to 1.50 times what it predicts at 10 "
        "times the largest x; at the largest x the averaged local exponent is 0.110 (0.0800 to 0.140), "
        "alpha = 9.09 (7.10 to 12.5)."
    )
    assert misfit.sentence(report, "power_law") == ""
    least = dataclasses.replace(BENT, p_value=0.001)
    assert "(p < 0.001, wild bootstrap)" in misfit.change(least)


def test_a_misfit_inside_the_interval_rejects_nothing(report):
    inside = bending(report, dataclasses.replace(BENT, rejected=False))
    assert misfit.rejections(inside) == ()
    assert misfit.sentence(inside, "power_law_ols") == ""
    assert not misfit.rejected(inside.fits[0])
    assert not misfit.rejected(None)


def test_lines_name_every_rejected_law_once(report):
    lines = misfit.rejections(report)
    assert lines[0].startswith(
        "rejected: power_law_ols. About power_law_ols the points bend: the exponent is"
    )
    assert lines[1].startswith("at the largest x the averaged local exponent is 0.110")
    assert len(misfit.rejections(dataclasses.replace(report, local_exponent=None))) == 1
    # A law without an exponent needs none in its place.
    other = dataclasses.replace(report.fits[1], lack_of_fit=BENT)
    assert other.paper_alpha is None
    alone = dataclasses.replace(report, fits=(other, *report.fits[2:]))
    assert len(misfit.rejections(alone)) == 1
    assert misfit.sentence(alone, other.law).endswith("at 10 times the largest x.")


def test_the_tables_of_the_page_mark_the_law_and_say_why(report):
    group = law_tables.group(report)
    assert "Power law (OLS) (rejected)" in [row.name for row in group.ranks]
    (formula,) = [f for f in group.formulas if f.name == "Power law (OLS) (rejected)"]
    assert formula.warnings[0] == misfit.sentence(report, "power_law_ols")
    assert "Power law" in [row.name for row in group.ranks]


def test_the_measured_sentence_and_the_prices_carry_the_rejection(report):
    assert misfit.sentence(report, "power_law_ols") in measured.measured(report)
    assert "under the power law (OLS) (rejected), 100 times the compute" in measured.prices(report)


def test_the_verdict_compares_no_rejected_exponent(report, make_table):
    verdict = judge(make_table().rows, report, "")
    assert verdict.answer == "cannot be told"
    bends = "Error falls and the curve bends: at the largest run as compute to the power −0.110"
    assert verdict.headline.startswith(bends)
    assert any("averaged local exponent is 0.110" in sentence for sentence in verdict.sentences)


def test_a_language_sweeps_headline_says_so_too(report, make_table):
    seeds = make_table().rows.groupby("config_id")["seed"].nunique()
    headline, _ = loss_verdict.answer(report, seeds, None)
    assert "the curve bends, so no single exponent describes it" in headline
    assert "0.150" not in headline
