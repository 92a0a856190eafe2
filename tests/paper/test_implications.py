import dataclasses

import numpy as np
import pytest

from isoflop.curve.result import Band, Estimate, FitFile, FitReport, Interval, LawFit
from isoflop.paper import facts, forms, implications, published
from isoflop.paper.models import Models

TODAY = implications.today(
    1e15, dollars_per_gpu_hour=10.0, grams_co2_per_kwh=366.0, pue=1.58, source="made up"
)


def test_todays_conversion_by_hand():
    rate = 0.4e15
    assert TODAY.flops_per_dollar == pytest.approx(rate * 3600 / 10)
    kwh_per_flop = 700 * 1.58 / rate / 3.6e6
    assert TODAY.flops_per_pound == pytest.approx(453.59237 / (kwh_per_flop * 366))
    assert TODAY.flops_per_dollar_range == pytest.approx(
        (TODAY.flops_per_dollar / 2, TODAY.flops_per_dollar * 1.5)
    )


def test_the_papers_table_agrees_with_its_own_points_and_conversions():
    """Two independent checks of recalled numbers: alpha from two rows against alpha of the published
    points, and each row's dollars and pounds against its GFLOPs to within the rounding."""
    result = implications.analyse(TODAY, None)
    for slope in result.slopes:
        assert slope.alpha == pytest.approx(slope.alpha_of_points, rel=0.05)
    for bill in result.bills:
        assert bill.mark == "M"
        pounds = bill.log10_gflops + 9 - np.log10(facts.FLOPS_PER_POUND_CO2)
        dollars = bill.log10_gflops + 9 - np.log10(facts.FLOPS_PER_DOLLAR)
        assert bill.log10_pounds_paper == pytest.approx(pounds, abs=1.11)
        assert bill.log10_dollars_paper == pytest.approx(dollars, abs=1.11)


def test_the_forms_disagree_by_what_the_table_says():
    orders = {(d.source, d.error): d.orders for d in implications.analyse(TODAY, None).disagreements}
    assert orders["paper: ImageNet", 0.05] == 8
    assert orders["paper: CoNLL 2003", 0.01] == 120


def _published(alpha=9.0, n=60):
    compute = np.geomspace(0.1, 100, n)
    error = 0.3 * compute ** (-1 / alpha) * np.exp(0.01 * np.random.default_rng(0).standard_normal(n))
    models = Models(
        source="torchvision",
        compute_name="forward_gflops",
        family_rule="given",
        names=tuple(map(str, range(n))),
        families=tuple(f"f{i % 15}" for i in range(n)),
        error=tuple(error),
        compute=tuple(compute),
        parameters=(None,) * n,
        year=(None,) * n,
        excluded=(),
    )
    return published.analyse(models, resamples=200)


def test_a_bill_of_published_models_by_hand():
    result = implications.analyse(TODAY, _published(), targets=[0.05])
    bill = next(b for b in result.bills if b.source == "models: torchvision" and b.form == "polynomial")
    training = np.log10(3 * 90 * 1_281_167)
    assert bill.log10_gflops == pytest.approx(training + 9 * np.log10(0.3 / 0.05), abs=0.2)
    assert bill.interval.low < bill.log10_gflops < bill.interval.high
    assert bill.log10_dollars_today == pytest.approx(bill.log10_gflops + 9 - np.log10(TODAY.flops_per_dollar))
    assert any("not training compute" in note for note in result.notes)


def test_published_models_without_a_pass_are_not_priced():
    hours = dataclasses.replace(_published(), compute_name="gpu_hours")
    with pytest.raises(ValueError, match="need forward_gflops"):
        implications.analyse(TODAY, hours)


def _fits(b, interval, form="polynomial"):
    x = (1.0, 10.0, 100.0, 1000.0)
    y = tuple(0.5 * v**-b for v in x)
    same = (y, y, y, y, y)
    law = LawFit(
        law=forms.LAW_OF_FORM[form],
        formula="",
        source="",
        parameters=(Estimate("b", b, interval, ""),),
        paper_alpha=None,
        paper_alpha_reason="",
        exponent_profile=None,
        r_squared=1.0,
        r_squared_of="",
        log10_rmse=0.0,
        band=Band(x, *same),
        horizons=(),
        extrapolation_log_rmse=None,
        warnings=(),
    )
    report = FitReport(
        x="train_gflops",
        y="test_error",
        of="all",
        quantile=None,
        points=4,
        configs=4,
        scales=4,
        x_min=1.0,
        x_max=100.0,
        frontier_run_ids=(),
        fits=(law,),
        forecast=None,
        forecast_reason="",
        held_out=None,
        excluded=(),
        warnings=(),
        resamples=100,
        resampling="configurations",
        bootstrap_seed=0,
    )
    return FitFile(2, "made up", "0", (report,), ())


def test_a_bill_of_a_measured_sweep_by_hand():
    fits = _fits(0.25, Interval(0.2, 0.3))
    result = implications.analyse(TODAY, None, [("mine", fits)], targets=[0.005])
    bills = {b.form: b for b in result.bills if b.source == "sweep: mine"}
    straight = bills["polynomial"]
    assert straight.log10_gflops == pytest.approx(8.0)  # 0.5 C^-1/4 = 0.005 at C = 1e8
    fall = np.log10(0.5 * 100**-0.25 / 0.005)
    assert straight.interval.low == pytest.approx(2 + fall / 0.3)
    assert straight.interval.high == pytest.approx(2 + fall / 0.2)
    assert bills["exponential"].log10_gflops is None
    assert "does not reach" in bills["exponential"].reason
    apart = next(d for d in result.disagreements if d.source == "sweep: mine")
    assert apart.orders is None
    assert apart.reason


def test_a_slope_that_may_be_flat_leaves_the_bill_open_above():
    result = implications.analyse(TODAY, None, [("mine", _fits(0.25, Interval(-0.1, 0.3)))], targets=[0.005])
    bill = next(b for b in result.bills if b.source == "sweep: mine" and b.form == "polynomial")
    assert bill.interval.high is None


@pytest.mark.parametrize("target", [0.0, 1.0, 5.0, -0.1])
def test_a_target_is_a_share(target):
    with pytest.raises(ValueError, match="share between 0 and 1"):
        implications.analyse(TODAY, None, targets=[target])


def test_a_fit_without_error_against_compute_is_refused():
    fits = FitFile(2, "x", "0", (), ())
    with pytest.raises(ValueError, match="no test_error against train_gflops"):
        implications.analyse(TODAY, None, [("mine", fits)])


def test_equivalents_by_hand():
    counts = dict(implications.equivalents(np.log10(252_000), None))
    assert 10 ** counts["car lifetimes"] == pytest.approx(2)
    assert "years of the world's product" not in counts
