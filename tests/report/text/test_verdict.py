import dataclasses

import numpy as np
import pytest

from isoflop.curve.check import front
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.judge import limit
from isoflop.curve.judge.answer import Judgement, Reason
from isoflop.curve.result import Estimate, Interval
from isoflop.report.text import costs, trust
from isoflop.report.text.verdict import judge


def ruled(answer, *causes, b=0.12):
    """A verdict on the limit as curve/judge makes it, laid by hand."""
    reasons = tuple(Reason(cause, f"because of {cause}") for cause in causes)
    why = reasons[0].sentence if reasons else "the whole interval is at most 0.25"
    exponent = Estimate("b", b, Interval(b - 0.02, b + 0.02), "1")
    alpha = Estimate("paper_alpha", 1 / b, Interval(1 / (b + 0.02), 1 / (b - 0.02)), "1")
    return Judgement(limit.CLAIM, answer, why, reasons, limit.RMS, 60, 15, exponent, alpha)


def say(table, fits, answer=None):
    return judge(table.rows, fits.reports[0], "", limit=answer)


def paragraph(verdict):
    return " ".join((*verdict.sentences, *verdict.outlook))


def test_a_clear_power_law_that_agrees_says_how_the_error_falls(make_table, make_fits):
    table = make_table()
    verdict = say(table, make_fits(table, exponent=0.15, spread=0.01), ruled("agrees"))
    assert verdict.answer == "agrees"
    assert verdict.headline == "Error falls as compute to the power −0.150 (0.140 to 0.160)."
    assert verdict.against == "The paper's limit of k⁴ agrees with these runs."
    text = paragraph(verdict)
    assert "b = 0.150 (95% interval 0.140 to 0.160)" in text
    assert "alpha = 1/b = 6.67 (6.25 to 7.14)" in text
    assert "K times less error needs at least k⁴ times the compute: agrees. The whole interval is" in text
    assert "root mean square error ∝ compute^−b, b = 0.120 (0.100 to 0.140)" in text
    assert "under the power law (OLS), 100 times the compute (95% interval 76 to 140)" in text
    assert "cannot confirm or refute the paper's ImageNet figure (alpha about 9)" in text
    assert "per forward pass" in text


def test_a_fall_steeper_than_the_limit_disagrees_but_says_where(make_table, make_fits):
    table = make_table(exponent=0.35)
    verdict = say(table, make_fits(table, exponent=0.35, spread=0.02), ruled("disagrees", b=0.4))
    assert verdict.answer == "disagrees"
    assert verdict.against == "The paper's limit of k⁴ disagrees with these runs."
    assert "says nothing of others" in paragraph(verdict)


def test_what_does_not_decide_is_called_compatible(make_table, make_fits):
    table = make_table()
    verdict = say(table, make_fits(table, exponent=0.25), ruled("compatible but not decisive", b=0.25))
    assert verdict.answer == "compatible but not decisive"
    assert "compatible with these runs, not decided" in verdict.against


def test_what_cannot_be_told_says_why_in_a_few_words(make_table, make_fits):
    table = make_table()
    untold = ruled("cannot be told", "decades", "seeds", "fixed data", "law rejected")
    against = say(table, make_fits(table), untold).against
    assert against == "Whether the paper's limit of k⁴ holds cannot be told: too little was measured."
    text = paragraph(say(table, make_fits(table), untold))
    assert "Because of decades; because of seeds; because of fixed data; because of law rejected" in text


def test_a_sweep_is_judged_by_the_rows_where_nobody_has_judged_it(make_table, make_fits):
    table = make_table()
    verdict = say(table, make_fits(table))
    assert verdict.answer == "cannot be told"
    assert "no root mean square error is recorded" in verdict.against
    assert "these runs hold no Brier score" in paragraph(verdict)


def test_a_floor_that_the_data_show_means_no_single_exponent(make_table, make_fits):
    table = make_table(floor=0.12, exponent=0.3)
    fits = make_fits(table, floor=0.12)
    assert costs.floor_identified(fits.reports[0])
    verdict = say(table, fits)
    assert verdict.answer == "cannot be told"
    assert "floor of about 12%" in verdict.headline
    assert "under the power law with a floor, impossible" in paragraph(verdict)
    assert not any("Floor: not identified" in c for c in verdict.caveats)


def test_a_floor_whose_interval_reaches_zero_is_a_caveat(make_table, make_fits):
    table = make_table()
    assert any("Floor: not identified" in c for c in say(table, make_fits(table)).caveats)


def test_a_flat_curve_cannot_be_told(make_table, make_fits):
    table = make_table(exponent=0.0)
    verdict = say(table, make_fits(table, exponent=0.01, spread=0.02))
    assert verdict.answer == "cannot be told"
    assert "flat curve cannot be ruled out" in paragraph(verdict)


def test_an_error_that_rises_prices_nothing(make_table, make_fits):
    table = make_table(exponent=-0.1)
    verdict = say(table, make_fits(table, exponent=-0.1, spread=0.02))
    assert verdict.answer == "cannot be told"
    assert verdict.headline == "Error rises with compute in these runs."
    assert "the fitted error does not fall" in paragraph(verdict)


def test_too_little_is_named_with_what_is_needed(make_table, make_fits):
    single = make_table(seeds=1)
    assert "single seed" in paragraph(say(single, make_fits(single)))
    short = make_table(widths=(32, 40, 48), depths=(1, 2))
    assert "decades" in paragraph(say(short, make_fits(short)))
    few = make_table(widths=(8, 256), depths=(1,))
    assert "2 configurations" in paragraph(say(few, make_fits(few)))


def test_without_a_fit_the_reason_is_given(make_table):
    table = make_table()
    verdict = judge(table.rows, None, "train_gflops is unknown in every run")
    assert verdict.answer == "cannot be told"
    assert "train_gflops is unknown in every run" in paragraph(verdict)


def test_halving_follows_each_laws_formula(make_table, make_fits):
    table = make_table()
    report = make_fits(table, exponent=0.2, spread=0.01).reports[0]
    by_law = {fit.law: fit for fit in report.fits}
    assert costs.halving(by_law["power_law_ols"], report.x_max).factor == pytest.approx(2**5)
    start = costs.level(by_law["exponential"], report.x_max)
    rise = costs.parameter(by_law["exponential"], "b").value
    factor = costs.halving(by_law["exponential"], report.x_max).factor
    assert 1 / start + rise * np.log10(factor) == pytest.approx(2 / start)
    bent = by_law["power_law_floor"]
    start, ground = costs.level(bent, report.x_max), costs.parameter(bent, "E").value
    factor = costs.halving(bent, report.x_max).factor
    fallen = ground + (start - ground) * factor ** -costs.parameter(bent, "b").value
    assert fallen == pytest.approx(start / 2)


def test_costs_beyond_all_measure_are_not_written_out(make_table, make_fits):
    table = make_table()
    report = make_fits(table, exponent=0.002, spread=0.001).reports[0]
    verdict = costs.halving(report.fits[0], report.x_max)
    assert verdict.factor is None
    assert "more than 10^100" in verdict.reason


def test_caveats_come_from_the_data(make_table, make_fits):
    table = make_table()
    text = " ".join(say(table, make_fits(table)).caveats)
    assert "Test set: 1,000 images, so one image is 0.10%" in text
    assert "Sensitivity: leaving out one width" in text


def test_what_the_checks_own_is_not_said_twice(make_table, make_fits):
    table = make_table()
    text = " ".join(say(table, make_fits(table)).caveats)
    assert not any(word in text for word in ("Learning rate:", "Training set:", "Seeds:", "Mixed"))


SUPPORT = FloorSupport(
    names=("mlp w128 d3",),
    runs=4,
    floor=Estimate("E", 0.12, Interval(0.1, 0.14), "fraction"),
    identified=True,
    exponent=Estimate("b", 0.15, Interval(0.14, 0.16), "1"),
    floor_without=Estimate("E", 0.08, Interval(0.07, 0.09), "fraction"),
    stands=True,
    exponent_without=Estimate("b", 0.22, Interval(0.2, 0.24), "1"),
    reason=None,
)


def undertrained_table(make_table):
    table = make_table(floor=0.12, exponent=0.3)
    worst = (table.rows["width"] == 128) & (table.rows["depth"] == 3)
    rows = table.rows.assign(train_loss=table.rows["train_loss"].where(~worst, 2.0))
    checked = front.check(rows)
    assert checked.undertrained_names == ("mlp w128 d3",)
    return dataclasses.replace(table, rows=rows), checked


def test_a_floor_is_claimed_at_its_value_without_undertrained_shapes(make_table, make_fits):
    table, checked = undertrained_table(make_table)
    report = make_fits(table, floor=0.12).reports[0]
    verdict = judge(table.rows, report, "", checked, SUPPORT)
    assert "floor of about 8.0% without undertrained shapes" in verdict.headline
    text = paragraph(verdict)
    assert (
        "Without the undertrained shape mlp w128 d3 (4 runs) the floor is 8.00% (95% interval 7.00% to 9.00%)"
        in text
    )
    assert "with them 12.0%" in text
    assert "drawn hollow" in text
    assert "Without them b is 0.220 (0.200 to 0.240)" in text


def test_a_long_list_of_undertrained_shapes_is_cut(make_table, make_fits):
    table, checked = undertrained_table(make_table)
    report = make_fits(table, floor=0.12).reports[0]
    names = tuple(f"w64 d3 @{share}" for share in range(10))
    text = paragraph(judge(table.rows, report, "", checked, dataclasses.replace(SUPPORT, names=names)))
    assert "the undertrained shapes w64 d3 @0, w64 d3 @1, " in text
    assert "w64 d3 @5 and 4 more (4 runs)" in text
    assert "w64 d3 @6" not in text


def test_no_floor_is_claimed_from_undertrained_shapes(make_table, make_fits):
    table, checked = undertrained_table(make_table)
    report = make_fits(table, floor=0.12).reports[0]
    verdict = judge(table.rows, report, "", checked, dataclasses.replace(SUPPORT, stands=False))
    assert verdict.answer == "cannot be told"
    assert "only through shapes that were not trained well" in verdict.headline
    assert "floor of about" not in verdict.headline
    assert "supported only by the undertrained shape mlp w128 d3 (4 runs)" in paragraph(verdict)


def test_undertrained_shapes_that_are_left_out_are_named(make_table, make_fits):
    table, checked = undertrained_table(make_table)
    verdict = judge(table.rows, make_fits(table).reports[0], "", checked, None)
    assert "Left out as undertrained: mlp w128 d3" in paragraph(verdict)


def test_the_forecast_prices_halving_by_its_own_curve_and_says_what_was_tested(make_table, make_fits):
    table = make_table()
    report = make_fits(table, exponent=0.4).reports[0]
    ahead = report.forecast
    start = costs.level(ahead, report.x_max)
    x = np.array(ahead.band.x)
    steep = start * (x / report.x_max) ** -0.5
    sides = (tuple(steep), tuple(0.9 * steep), tuple(1.1 * steep))
    band = dataclasses.replace(ahead.band, y=sides[0], low=sides[1], high=sides[2])
    verdict = costs.halving_of_forecast(dataclasses.replace(ahead, band=band), report.x_max)
    assert verdict.factor == pytest.approx(2**2, rel=1e-6)
    assert verdict.interval.low == pytest.approx((2 * 0.9) ** 2, rel=1e-6)
    assert verdict.interval.high == pytest.approx((2 * 1.1) ** 2, rel=1e-6)
    flat = dataclasses.replace(ahead.band, y=tuple(start * np.ones_like(x)), low=sides[1])
    verdict = costs.halving_of_forecast(dataclasses.replace(ahead, band=flat), report.x_max)
    assert verdict.factor is None
    assert "not within 10 times the largest run, though its band allows it from 3.2 times" in verdict.reason


def test_without_a_forecast_the_reason_is_told(make_table, make_fits):
    table = make_table()
    fits = make_fits(table)
    bare = dataclasses.replace(fits.reports[0], forecast=None, forecast_reason="a quantile is fitted")
    assert trust.trust(bare) == "There is no averaged forecast: a quantile is fitted."
    assert "by the forecast" not in paragraph(say(table, dataclasses.replace(fits, reports=(bare,))))


def test_an_untested_forecast_is_called_untested(make_table, make_fits):
    table = make_table()
    assert "The forecast is untested" in trust.trust(make_fits(table, tested_ratio=None).reports[0])
    assert "tested up to 4 times" in trust.trust(make_fits(table).reports[0])


def test_every_law_has_a_price_or_a_reason(make_table, make_fits):
    table = make_table()
    for fit in make_fits(table).reports[0].fits:
        verdict = costs.halving(fit, 100.0)
        assert (verdict.factor is None) != (verdict.reason is None)
