"""Each number on which a check hangs, from both sides."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isoflop.curve.check import chance, collapse, confounding, drift, noise, repetition, rises, spread, trend
from isoflop.curve.check.loss_curves import LossCurve


def flagged(outcome):
    assert outcome.not_checked is None, outcome.not_checked
    return bool(outcome.findings)


@pytest.mark.parametrize(("error", "near"), [(0.72, False), (0.73, True), (0.80, True), (0.81, True)])
def test_an_error_within_a_tenth_of_guessing_is_near_it(error, near):
    table = pd.DataFrame(
        {
            "run_id": ["a", "b"],
            "config_id": ["a", "b"],
            "test_error": [error, 0.1],
            "chance_error": [0.8, 0.8],
        }
    )
    outcome = chance.check(table)
    assert flagged(outcome) == near
    if near:
        above = int(error >= 0.8)
        assert f"1 of 2 runs are near the error of guessing (0.8), {above} of them at or above it" in (
            outcome.findings[0].sentence
        )


def test_a_test_set_whose_interval_reaches_guessing_is_near_it():
    # Of 400 images, 0.26 wrong has a Wilson interval up to 0.305; guessing is wrong at 0.3 and at 0.31.
    table = {"run_id": ["a"], "config_id": ["a"], "test_error": [0.26], "test_n": [400.0]}
    assert flagged(chance.check(pd.DataFrame(table | {"chance_error": [0.3]})))
    assert not flagged(chance.check(pd.DataFrame(table | {"chance_error": [0.31]})))
    unknown = pd.DataFrame(table | {"chance_error": [0.3]}).assign(test_n=np.nan)
    assert not flagged(chance.check(unknown))


@pytest.mark.parametrize(
    ("ratio", "kind"), [(1.019, "compute grows by size alone"), (1.021, "rise together")]
)
def test_lengths_within_a_fiftieth_are_one(ratio, kind):
    sizes = np.array([1e3, 1e4, 1e5, 1e6])
    seen = 5e4 * ratio ** np.linspace(0, 1, 4)
    table = pd.DataFrame({"parameters": sizes, "examples_seen": seen, "run_id": list("abcd")})
    (found,) = confounding.check(table.assign(config_id=table["run_id"])).findings
    assert kind in found.sentence


@pytest.mark.parametrize(("share", "together"), [(0.985, True), (0.975, False)])
def test_size_and_data_correlated_beyond_098_cannot_be_told_apart(share, together):
    size = np.array([-3.0, -1.0, 1.0, 3.0])
    across = np.array([1.0, -1.0, -1.0, 1.0])  # uncorrelated with size
    slope = np.sqrt(share / (1 - share) * (across @ across) / (size @ size))
    table = pd.DataFrame(
        {"parameters": np.exp(size), "examples_seen": np.exp(20 + slope * size + across)}
    ).assign(run_id=list("abcd"), config_id=list("abcd"))
    assert flagged(confounding.check(table)) == together


@pytest.mark.parametrize(
    ("factor", "drifted"), [(1.049, False), (1.051, True), (0.953, False), (0.951, True)]
)
def test_a_cost_that_moves_by_more_than_a_twentieth_drifts(make_healthy, factor, drifted):
    table = make_healthy(sizes=(20_000,)).drop(columns="train_seconds")
    table.loc[table["seed"] == 2, "energy_joules"] *= factor
    assert flagged(drift.check(table)) == drifted


@pytest.mark.parametrize(("passes", "often"), [(4.0, False), (4.07, False), (4.09, True)])
def test_more_than_four_passes_and_the_part_of_a_batch_are_often(make_healthy, passes, often):
    table = make_healthy()
    table["examples_seen"] = passes * table["train_n"]
    assert flagged(repetition.check(table)) == often
    assert repetition.too_often(table).all() == often
    assert not repetition.too_often(table.drop(columns="train_n")).any()


def test_passes_that_hardly_differ_are_one_number(make_healthy):
    table = make_healthy()
    table["examples_seen"] = np.where(table["seed"] == 0, 2.0, 2.03) * table["train_n"]
    assert repetition.check(table).passed == "each training example was seen 2.03 times"
    table["examples_seen"] = np.where(table["seed"] == 0, 2.0, 2.05) * table["train_n"]
    assert repetition.check(table).passed == "each training example was seen 2 to 2.05 times"


def two_shapes(make_shape, score, spread_=0.02, seeds=3, noise_=0.02, freedom=20):
    """A small and a large shape that rises by `score` standard errors of the noise, and that noise."""
    step = score * noise_ * np.sqrt(2 / seeds)
    every = (make_shape(8, 1, 0.0, spread_, seeds), make_shape(16, 1, step, spread_, seeds))
    return every, noise.SeedNoise(noise_, freedom)


def test_a_rise_counts_from_one_in_a_hundred_under_seed_noise(make_shape):
    limit = stats.t.isf(0.01, 20)
    assert rises.rises(*two_shapes(make_shape, 0.99 * limit))[0] == ()
    (rise,), pairs = rises.rises(*two_shapes(make_shape, 1.01 * limit))
    assert pairs == 1
    assert rise.grade == "sure"
    assert rise.score == pytest.approx(1.01 * limit)
    assert rise.factor == pytest.approx(np.exp(rise.large.log_loss))


def test_a_rise_must_exceed_its_own_spread_at_one_in_twenty(make_shape):
    own = stats.norm.isf(0.05)
    for spread_, grade in ((0.02 * 5 / own * 1.01, "within own spread"), (0.02 * 5 / own * 0.99, "sure")):
        ((rise,), _) = rises.rises(*two_shapes(make_shape, 5.0, spread_))
        assert rise.grade == grade
        assert rise.own_score == pytest.approx(5.0 * 0.02 / spread_)
        assert rise.own_deviation == spread_


def test_a_rise_beyond_one_comparison_but_not_all_of_them_is_one_of_many(make_shape):
    known = noise.SeedNoise(0.02, 20)
    # Four shapes in a row make six pairs; only the last lies above the third.
    in_one, of_six = stats.t.isf(0.01, 20), stats.t.isf(0.01 / 6, 20)
    for score, grade in (
        (0.99 * of_six, "one of many"),
        (1.01 * of_six, "sure"),
        (1.01 * in_one, "one of many"),
    ):
        step = score * 0.02 * np.sqrt(2 / 3)
        losses = (0.0, -2.0, -4.0, -4.0 + step)
        every = tuple(make_shape(8 * 2**i, 1, loss) for i, loss in enumerate(losses))
        ((rise,), pairs) = rises.rises(every, known)
        assert (pairs, rise.grade, rise.small.width) == (6, grade, 32)


def falling(make_shape, count, scatter=0.01):
    """Shapes on a line of slope -0.3 but for a zigzag, of compute w^2 each."""
    return tuple(
        make_shape(2.0**i, 1, -0.6 * i * np.log(2) + (scatter if i % 2 else -scatter)) for i in range(count)
    )


def test_five_small_shapes_make_a_trend(make_shape):
    assert trend.trends(falling(make_shape, 8)) == ()
    (line,) = trend.trends(falling(make_shape, 9))
    assert line.small == 5
    assert line.largest_small == 2.0**8


def test_a_shape_is_above_the_trend_beyond_its_99_percent_limit(make_shape):
    small = falling(make_shape, 10)[:5]
    x = np.log([s.compute for s in small])
    y = np.array([s.log_loss for s in small])
    fitted = stats.linregress(x, y)
    residual = y - fitted.intercept - fitted.slope * x
    deviation = np.sqrt(residual @ residual / 3)
    for share, above in ((0.99, False), (1.01, True)):
        for i in range(5, 10):
            at = np.log(2.0 ** (2 * i))
            widening = np.sqrt(1 + 1 / 5 + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
            limit = stats.t.ppf(0.99, 3) * deviation * widening
            high = make_shape(2.0**i, 1, fitted.intercept + fitted.slope * at + share * limit)
            others = [s for s in falling(make_shape, 10) if s.width != 2.0**i]
            (line,) = trend.trends([*others, high])
            assert trend.above(line, high) == above
            assert line.limit(high.compute) == pytest.approx(limit)
            assert not trend.above(line, dataclasses.replace(high, group=1))


def test_four_degrees_of_freedom_make_seed_noise(make_shape):
    four = [make_shape(w, 1, 0.0, 0.02, 2) for w in (8, 16, 32, 64)]
    pooled = noise.pooled_noise(four)
    assert pooled.freedom == 4
    assert pooled.deviation == pytest.approx(0.02)
    assert noise.pooled_noise(four[:3]) is None


def test_a_spread_as_large_once_in_a_thousand_is_not_healthy(make_shape):
    limit = np.sqrt(stats.chi2.isf(0.001, 2) / 2)
    # Variances spread as chi2 with two degrees of freedom says: their median and mean agree.
    variances = 0.02**2 * stats.chi2.isf((np.arange(398) + 0.5) / 398, 2) / 2
    clean = [make_shape(w, 1, 0.0, variance**0.5) for w, variance in enumerate(variances, 2)]
    for factor, kept in ((0.97, True), (1.03, False)):
        wild = make_shape(1, 1, 0.0, 0.02 * factor * limit)
        assert (noise.pooled_noise([*clean, wild]).freedom == 2 * 399) == kept


def test_a_spread_is_large_by_an_f_test_over_all_shapes(make_healthy, make_shape):
    pooled = noise.SeedNoise(0.02, 20)
    limit = 0.02 * np.sqrt(stats.f.isf(0.01 / 15, 2, 20))
    assert spread._is_large(make_shape(8, 1, 0.0, 1.01 * limit), pooled, 15)
    assert not spread._is_large(make_shape(8, 1, 0.0, 0.99 * limit), pooled, 15)


def ladder(make_healthy, growth):
    """Three sizes on data that grow from 10,000 examples by `growth` in all."""
    table = make_healthy(widths=(8, 32, 128), depths=(1,), sizes=(10_000,))
    share = np.log(table["width"] / 8) / np.log(16)
    seen = 10_000 * growth**share
    return table.assign(examples_seen=seen, train_n=seen)


@pytest.mark.parametrize(("growth", "enough"), [(1.51, True), (1.49, False)])
def test_data_that_grow_by_half_grow_with_size(make_healthy, make_curves, growth, enough):
    table = ladder(make_healthy, growth)
    seen = collapse.measure(table, make_curves(table))
    assert isinstance(seen, collapse.Collapse) == enough
    two = table[table["width"] != 32]
    assert isinstance(collapse.measure(two, make_curves(two)), str)


def test_the_deviation_and_noise_of_a_collapse_are_root_mean_squares(make_healthy):
    """Losses 1 + c x^-1 with c = 1, e^0.1, e^0.2: after the last part is divided out, nothing is left."""
    table = ladder(make_healthy, 4.0)
    ends = np.geomspace(0.01, 1.0, 200)
    sizes = {8.0: 0.0, 32.0: 0.1, 128.0: 0.2}
    curves = {}
    for row in table.to_dict("records"):
        level = np.exp(sizes[row["width"]] + 0.05 * (row["seed"] - 1))
        curves[row["run_id"]] = LossCurve(tuple(ends * row["examples_seen"]), tuple(1.0 + level / ends))
    seen = collapse.measure(table, curves)
    assert not isinstance(seen, str)
    assert seen.irreducible == pytest.approx(1.0, rel=0.01)
    assert seen.deviation < 1e-3
    # Seeds at -0.05, 0, 0.05 of ln reducible loss: s.d. 0.05, of a mean of three 0.05 / sqrt 3.
    assert seen.noise == pytest.approx(0.05 / np.sqrt(3), rel=0.01)
    assert [curve.seeds for curve in seen.curves] == [3, 3, 3]
    assert [curve.size for curve in seen.curves] == [64.0, 1024.0, 16384.0]
    assert all(curve.ratio[-1] == pytest.approx(1.0) for curve in seen.curves)
    assert seen.share[-1] == pytest.approx(np.sqrt(0.08 ** (1 / 12)), rel=1e-6)


def test_shapes_of_one_compute_make_no_trend(make_shape):
    line = falling(make_shape, 9)
    equal = tuple(dataclasses.replace(shape, compute=5.0) for shape in line)
    assert trend.trends(equal) == ()
