"""Simulated pairs of sweeps: what moved is told, what did not is said with what could have been seen."""

import dataclasses

import msgspec
import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.compare import hypotheses
from isoflop.curve.compare.arms import ArmRuns
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.compare.front import compare, compare_tables
from isoflop.curve.compare.result import Comparison, NullTest
from isoflop.curve.points import NothingToFitError

FEW = Settings(resamples=199)


def plain(x):
    return 2.0 * x**-0.3


def floored(x):
    return 0.05 + x**-0.3


def of(first, second, **settings):
    found = compare_tables(
        {"old": first, "new": second}, y="test_loss", settings=dataclasses.replace(FEW, **settings)
    )
    return found.contrasts[0]


def difference(contrast, quantity, given):
    return next(each for each in contrast.differences if (each.quantity, each.given) == (quantity, given))


def test_a_halved_scale_is_a_factor_of_compute(sweep):
    found = of(sweep(plain, seed=4), sweep(lambda x: plain(x) / 2, seed=5))
    assert (found.moved, found.law) == ("factor", "power_law")
    factor = difference(found, "ln factor", "one b")
    assert factor.interval.low < np.log(2 ** (1 / 0.3)) < factor.interval.high
    assert factor.smallest_seen < 0.5
    b = difference(found, "b", "E = 0")
    assert b.interval.low < 0 < b.interval.high
    assert all(row.interval.low < 2 ** (1 / 0.3) < row.interval.high for row in found.gain.rows if row.inside)
    assert "by a factor of compute" in found.verdict[0]


def test_a_changed_exponent_makes_the_factor_depend_on_scale(sweep):
    found = of(sweep(plain, seed=0), sweep(lambda x: 2.0 * x**-0.33, seed=1))
    assert found.moved == "exponent"
    b = difference(found, "b", "E = 0")
    assert b.interval.low < 0.03 < b.interval.high
    assert b.interval.low > 0
    inside = [row.gain for row in found.gain.rows if row.inside]
    assert inside == sorted(inside)
    assert inside[-1] > 1.5
    assert "depends on scale" in found.verdict[0]


@pytest.mark.slow
def test_a_halved_scale_over_a_floor_is_a_factor(sweep):
    found = of(sweep(floored, seed=0, sizes=9), sweep(lambda x: 0.05 + 0.5 * x**-0.3, seed=1, sizes=9))
    assert (found.moved, found.law) == ("factor", "power_law_floor")
    factor = difference(found, "ln factor", "one b and E")
    assert factor.interval.low < np.log(2 ** (1 / 0.3)) < factor.interval.high


@pytest.mark.slow
def test_another_irreducible_error_is_told_from_another_exponent(sweep):
    found = of(sweep(floored, seed=2, sizes=10), sweep(lambda x: 0.15 + x**-0.3, seed=3, sizes=10))
    assert found.moved == "irreducible error"
    floor = difference(found, "E", "a b each")
    assert floor.interval.low < 0.1 < floor.interval.high


def test_what_does_not_differ_cannot_be_told_and_says_what_could_be_seen(sweep):
    found = of(sweep(plain, seed=0), sweep(plain, seed=1))
    assert found.moved == "cannot be told"
    assert "cannot be told apart" in found.verdict[0]
    assert "would have been seen" in found.verdict[1]
    assert "would have been seen" in found.verdict[2]
    assert found.tests[0].p > 0.05


@pytest.mark.slow
def test_four_sizes_of_three_seeds_see_a_change_of_b_of_a_fiftieth(sweep):
    # By noise that is known it is 0.0200 (test_interval.py); with noise estimated from the runs a tenth more.
    seen = []
    for i in range(12):
        tables = (sweep(plain, seed=100 * i + k, sizes=4, decades=2, noise=0.03) for k in (1, 2))
        found = of(*tables, resamples=100, seed=i, law="power_law")
        seen.append(difference(found, "b", "E = 0").smallest_seen)
    assert np.median(seen) == pytest.approx(0.021, abs=0.003)


@pytest.mark.slow
def test_pairs_that_share_a_misfit_are_told_apart_where_resampled_together(sweep):
    misfit = 0.1 * np.random.default_rng(3).normal(size=5)
    first, second = (
        sweep(law, seed=i, misfit=misfit) for i, law in enumerate((plain, lambda x: 0.9 * plain(x)))
    )
    paired = of(first, second)
    apart = of(first, second.assign(width=second["width"] + 1))
    assert paired.pairing.relative_width < 0.5
    assert apart.pairing.relative_width is None
    widths = [
        np.subtract(*[getattr(difference(each, "b", "E = 0").interval, end) for end in ("high", "low")])
        for each in (paired, apart)
    ]
    assert widths[0] < widths[1] / 2
    # Samples of the tests keep what pairs share, so that they see what the interval shows.
    assert paired.tests[1].p < 0.02
    assert apart.tests[1].p > 0.05
    share = difference(paired, "ln y", "5 pairs")
    assert share.interval.low < np.log(0.9) < share.interval.high < 0
    assert not [each for each in apart.differences if each.quantity == "ln y"]


def test_the_slope_of_pairs_is_the_difference_of_exponents(sweep):
    found = of(sweep(plain, seed=0), sweep(lambda x: 2.0 * x**-0.33, seed=1))
    slope = difference(found, "slope of ln y", "5 pairs")
    assert slope.value == pytest.approx(-difference(found, "b", "E = 0").value, abs=0.004)
    assert slope.interval.low < -0.03 < slope.interval.high < 0


def test_the_curves_are_those_of_isoflop_fit(sweep):
    misfit = 0.1 * np.random.default_rng(3).normal(size=(2, 5))
    first, second = (sweep(plain, seed=i, misfit=misfit[i]) for i in (0, 1))
    found = compare_tables({"old": first, "new": second}, y="test_loss", settings=FEW)
    report = fit.fit_table(first, y="test_loss", method=fit.Method(laws=("power_law",), resamples=199))
    assert found.arms[0].parameters == report.fits[0].parameters
    assert found.contrasts[0].pairing.unit == "configurations"
    b = [next(p.value for p in arm.parameters if p.name == "b") for arm in found.arms]
    assert difference(found.contrasts[0], "b", "E = 0").value == pytest.approx(b[1] - b[0], rel=1e-9)


@pytest.mark.slow
def test_the_units_of_x_and_y_reach_no_answer(sweep):
    tables = [sweep(floored, seed=i) for i in (0, 1)]
    scaled = [table.assign(train_gflops=table["train_gflops"] * 1e9) for table in tables]
    first, second = of(*tables, resamples=100), of(*scaled, resamples=100)
    assert [test.p for test in first.tests] == [test.p for test in second.tests]
    for before, after in zip(first.gain.rows, second.gain.rows, strict=True):
        assert after.gain == pytest.approx(before.gain, rel=1e-6)


def test_swapped_arms_have_the_inverse_gain(sweep):
    tables = sweep(plain, seed=0), sweep(lambda x: plain(x) / 2, seed=1)
    forth, back = of(*tables, resamples=100), of(*tables[::-1], resamples=100)
    for row, other in zip(forth.gain.rows, back.gain.rows, strict=True):
        assert row.gain * other.gain == pytest.approx(1.0)
    assert forth.tests[0].statistic == pytest.approx(back.tests[0].statistic)


def test_several_arms_are_tested_with_holm(sweep):
    tables = {"a": sweep(plain, seed=0), "b": sweep(plain, seed=1), "c": sweep(plain, seed=2)}
    found = compare_tables(tables, y="test_loss", settings=dataclasses.replace(FEW, resamples=100))
    judged = [test for each in found.contrasts for test in each.tests[1:3]]
    least = min(judged, key=lambda test: test.p)
    assert least.p_holm == pytest.approx(min(1.0, 4 * least.p))
    assert all(test.p_holm >= test.p for test in judged)
    assert found.contrasts[0].tests[0].p_holm is None


def test_holm_steps_down():
    tests = [NullTest("", 1.0, p, None, 99, None) for p in (0.01, 0.04, 0.03)]
    tests.append(NullTest("", None, None, None, 0, "few"))
    assert [each.p_holm for each in hypotheses.holm(tests)] == pytest.approx([0.03, 0.06, 0.06, None])


def test_a_comparison_survives_json(sweep):
    found = compare_tables(
        {"old": sweep(plain, seed=0), "new": sweep(plain, seed=1)},
        y="test_loss",
        settings=dataclasses.replace(FEW, resamples=100),
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


def test_another_level_gives_narrower_intervals(sweep):
    tables = sweep(plain, seed=0), sweep(plain, seed=1)
    wide, narrow = (difference(of(*tables, level=level), "b", "E = 0").interval for level in (0.95, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def runs(name, table, x="train_gflops", y="test_loss"):
    return ArmRuns(name, table, x, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: runs("new", t, y="other"), "y is test_loss in old and other in new: say --y"),
        (lambda t: runs("new", t, x="flops"), "x is train_gflops in old and flops in new: say --x"),
        (lambda t: runs("old", t), "old is given twice"),
        (
            lambda t: runs("new", t.assign(data="cifar10")),
            r"data sets differ \(data\): digits in old, cifar10",
        ),
        (lambda t: runs("new", t.assign(test_n=99.0)), "sizes of the test set differ"),
        (lambda t: runs("new", t.assign(test_loss=0.5)), "new: test_loss is 0.5 in every run"),
        (lambda t: runs("new", t[t["width"] < 20]), "new: .* 2 distinct compute scales"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(sweep, change, message):
    first = sweep(plain, seed=0).assign(data="digits", test_n=719.0)
    second = sweep(plain, seed=1).assign(data="digits", test_n=719.0, flops=1.0, other=1.0)
    with pytest.raises(ValueError, match=message):
        compare([runs("old", first), change(second)], dataclasses.replace(FEW, resamples=100))


def test_mixed_data_are_compared_with_a_warning(sweep):
    first, second = sweep(plain, seed=0).assign(data="a"), sweep(plain, seed=1).assign(data="b")
    found = of(first, second, mixed=True, resamples=100)
    assert any("data sets differ" in warning for warning in found.warnings)


def test_text_and_images_have_no_error_in_common(sweep):
    first, second = (sweep(plain, seed=i).assign(domain=name) for i, name in enumerate(("image", "text")))
    with pytest.raises(ValueError, match="old was trained on images and new on texts"):
        compare([runs("old", first), runs("new", second)], FEW)


def test_a_run_is_not_compared_with_itself(sweep):
    table = sweep(plain, seed=0)
    with pytest.raises(ValueError, match="15 runs are in old and in new, such as 0-0-0"):
        compare([runs("old", table), runs("new", table)], FEW)


def test_an_arm_that_cannot_be_fitted_is_named_beside_those_that_can(sweep):
    tables = {"a": sweep(plain, seed=0), "b": sweep(plain, seed=1).head(3), "c": sweep(plain, seed=2)}
    found = compare_tables(tables, y="test_loss", settings=dataclasses.replace(FEW, resamples=100))
    assert [each.other for each in found.contrasts] == ["c"]
    assert [each.run_id for each in found.not_compared] == ["b"]
    with pytest.raises(NothingToFitError, match=r"^b: "):
        compare_tables({"b": tables["b"], "c": tables["c"]}, y="test_loss", settings=FEW)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(law="m4"), "power_law or power_law_floor"),
        (Settings(resamples=10), "at least 100"),
        (Settings(level=1.5), "level is 1.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(sweep, settings, message):
    with pytest.raises(ValueError, match=message):
        compare([runs("a", sweep(plain, seed=0)), runs("b", sweep(plain, seed=1))], settings)


def test_no_overlap_leaves_the_gain_unknown_and_the_rest_told(sweep):
    low = sweep(plain, seed=0, decades=2)
    high = sweep(plain, seed=1, decades=2)
    found = of(low, high.assign(train_gflops=high["train_gflops"] * 1e4, test_loss=high["test_loss"] / 16))
    assert found.gain is None
    assert "no y lies within both" in found.gain_reason
    assert difference(found, "b", "E = 0").smallest_seen is not None


def test_three_sizes_give_no_interval_and_say_so(sweep):
    found = of(sweep(plain, seed=0, sizes=3, seeds=1), sweep(plain, seed=1, sizes=3, seeds=1), resamples=100)
    b = difference(found, "b", "E = 0")
    assert (b.interval.low, b.interval.high, b.smallest_seen) == (None, None, None)
    assert any("rough" in warning for warning in found.warnings)
