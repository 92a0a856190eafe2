"""Rises of training loss with size: judged by two noises, nested shapes only."""

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check import noise, rises, shapes, spread, trend, undertrained

ONE_SIZE = {"sizes": (20_000,)}


def kinds(outcome):
    return {(found.kind, s.name.removeprefix("mlp ")) for found in outcome.findings for s in found.subjects}


def test_a_shape_above_a_nested_one_is_a_fault_that_names_both(make_healthy):
    outcome = undertrained.check(make_healthy(**ONE_SIZE, factor={(128, 3): 2.0}))
    (fault,) = [found for found in outcome.findings if found.severity == "fault"]
    assert fault.subjects[0].name == "mlp w128 d3"
    assert len(fault.subjects[0].run_ids) == 3
    assert "times that of the smaller mlp w128 d2" in fault.sentence
    assert "trend of the small shapes" in fault.sentence
    assert "--exclude undertrained" in fault.what_to_do


def test_a_wide_shallow_shape_above_a_narrow_deep_one_is_healthy(make_healthy):
    """w32 d1 has a loss above that of w16 d3, which is not nested in it, but below that of w16 d1."""
    table = make_healthy(widths=(8, 16, 32), **ONE_SIZE, factor={(16, 3): 0.75, (16, 2): 0.85})
    means = table.groupby("label")["train_loss"].mean()
    assert means["mlp w32 d1"] > 1.05 * means["mlp w16 d3"]
    assert ("undertrained", "w32 d1") not in kinds(undertrained.check(table))
    assert not any(kind == "borderline" for kind, _ in kinds(undertrained.check(table)))


def test_a_rise_within_the_spread_of_its_own_seeds_is_borderline(make_healthy):
    """Loss 1.15 times that of the next shallower shape, between seeds that differ by 0.25 in ln."""
    rise = 1.15 * 1.5**0.25
    table = make_healthy(**ONE_SIZE, factor={(64, 3): rise}, noise={(64, 3): 0.25})
    outcome = undertrained.check(table)
    assert ("borderline", "w64 d3") in kinds(outcome)
    assert not any(kind == "undertrained" for kind, _ in kinds(outcome))
    (found,) = [f for f in outcome.findings if f.kind == "borderline"]
    assert "Borderline" in found.sentence
    assert ", but only " in found.sentence
    assert "comparisons may show" not in found.sentence
    assert found.severity == "note"
    sure = make_healthy(**ONE_SIZE, factor={(64, 3): rise})
    assert ("undertrained", "w64 d3") in kinds(undertrained.check(sure))


def test_a_rise_that_one_of_all_comparisons_may_show_says_so(make_shape):
    """Four shapes make six pairs; only the last lies above the one before, by 3 standard errors."""
    losses = (0.0, -2.0, -4.0, -4.0 + 3 * 0.02 * np.sqrt(2 / 3))
    every = tuple(make_shape(8 * 2**i, 1, loss) for i, loss in enumerate(losses))
    pooled = noise.SeedNoise(0.02, 20)
    ((rise,), compared) = rises.rises(every, pooled)
    found = undertrained._of_rise(rise, every, pooled, compared, ())
    assert (found.kind, found.severity) == ("borderline", "note")
    assert found.sentence == (
        "w64 d1: training loss 0.0192 is 1.05 times that of the smaller w32 d1 (0.0183). Borderline: "
        "3.0 standard errors of healthy seed noise (s.d. of ln 0.02), which one of 6 comparisons may show, "
        "and 3.0 of its own (s.d. of ln 0.02 over 3 seeds)"
    )


def test_loss_that_falls_less_than_the_trend_is_a_remark_with_its_factor(make_healthy):
    table = make_healthy(**ONE_SIZE, factor={(128, 2): 1.15, (128, 3): 1.2})
    outcome = undertrained.check(table)
    (found,) = outcome.findings
    assert (found.kind, found.severity) == ("above_trend", "note")
    assert {s.name for s in found.subjects} == {"mlp w128 d2", "mlp w128 d3"}
    factor = float(found.sentence.split("mlp w128 d3 ")[1].split(" times")[0])
    assert factor == pytest.approx(1.2, rel=0.05)
    assert "power -0.2" in found.sentence


def test_the_trend_is_that_of_the_small_half(make_shape):
    falling = tuple(
        make_shape(w, d, -0.3 * np.log(w**2 * d) + (0.0 if w < 64 else 0.5))
        for w in (8, 16, 32, 64)
        for d in (1, 2, 3)
    )
    (line,) = trend.trends(falling)
    assert line.small == 6
    assert line.exponent == pytest.approx(0.3)
    large = [s for s in falling if s.width == 64]
    assert all(trend.above(line, s) and line.excess(s) == pytest.approx(0.5) for s in large)
    assert not any(trend.above(line, s) for s in falling if s.width < 64)
    assert trend.trends(falling[:4]) == ()


def test_shapes_are_compared_only_where_data_and_length_are_alike(make_healthy):
    """A small training set is memorised: its lower training loss says nothing of runs on a larger one."""
    table = make_healthy(sizes=(5_000, 80_000))
    table.loc[table["train_n"] == 5_000, "train_loss"] /= 50
    assert not undertrained.check(table).findings


def test_lengths_of_a_configuration_without_examples_seen_are_no_seeds(make_healthy):
    """A table from elsewhere: two lengths of each shape, told apart by place_id and compute only."""
    short = make_healthy(**ONE_SIZE)
    long = short.assign(
        run_id=short["run_id"] + "long",
        place_id=short["place_id"] + "long",
        train_gflops=10 * short["train_gflops"],
        train_loss=10**-0.25 * short["train_loss"],
    )
    table = pd.concat([long, short], ignore_index=True).drop(columns="examples_seen")
    losses = shapes.shape_losses(table)
    assert len(losses) == 2 * 15
    assert {each.seeds for each in losses} == {3}
    assert max(each.spread for each in losses) < 0.1, "a length ten times as long differs by 0.58"
    assert not undertrained.check(table).findings


def test_of_several_learning_rates_the_best_on_validation_is_the_shape(make_healthy):
    good = make_healthy(**ONE_SIZE)
    bad = good.assign(
        config_id=good["config_id"] + "hot",
        place_id=good["place_id"] + "hot",
        run_id=good["run_id"] + "hot",
        lr=1.0,
        train_loss=3 * good["train_loss"],
        val_loss=3 * good["val_loss"],
    )
    both = pd.concat([bad, good], ignore_index=True)
    losses = shapes.shape_losses(both)
    assert len(losses) == 15
    assert not any("hot" in each.subject.config_id for each in losses)


def test_without_seeds_a_rise_is_told_but_not_judged(make_healthy):
    outcome = undertrained.check(make_healthy(**ONE_SIZE, seeds=1, factor={(128, 3): 2.0}))
    assert {found.kind for found in outcome.findings} == {"borderline"}
    assert "without seeds it cannot be told" in outcome.findings[-1].sentence
    falling = undertrained.check(make_healthy(widths=(8, 128), depths=(1,), sizes=(20_000,), seeds=1))
    assert "seeds" in falling.not_checked


def test_without_nested_shapes_nothing_is_checked(make_healthy):
    table = make_healthy(widths=(8,), depths=(1,))
    assert "nested" in undertrained.check(table).not_checked
    assert "width or depth" in undertrained.check(table.drop(columns=["width", "depth"])).not_checked


def test_one_dimension_is_enough(make_healthy):
    table = make_healthy(depths=(1,), sizes=(20_000,), factor={(128, 1): 3.0}).drop(columns="depth")
    assert ("undertrained", "w128 d1") in kinds(undertrained.check(table))


def test_healthy_plateaus_are_hardly_ever_flagged(make_shape):
    """The worst case: all shapes have one loss, so that half of 75 comparisons rise."""
    rng = np.random.default_rng(0)
    flagged = borderline = 0
    for _ in range(200):
        each = []
        for w in (8, 16, 32, 64, 128):
            for d in (1, 2, 3):
                seeds = 0.03 * rng.standard_normal(3)
                each.append(make_shape(w, d, seeds.mean(), seeds.std(ddof=1)))
        every = tuple(each)
        found, pairs = rises.rises(every, noise.pooled_noise(every))
        assert pairs == 75
        flagged += any(rise.grade == "sure" for rise in found)
        borderline += bool(found)
    assert flagged <= 4
    assert borderline < 120


def test_pooled_noise_is_that_of_the_healthy_shapes(make_shape):
    rng = np.random.default_rng(2)
    each = [
        make_shape(w, d, 0.0, (0.03 * rng.standard_normal(3)).std(ddof=1)) for w in range(10) for d in (1, 2)
    ]
    clean = noise.pooled_noise(each)
    assert clean.deviation == pytest.approx(0.03, rel=0.25)
    assert clean.freedom >= 36
    wild = [make_shape(w, 3, 0.0, 0.3) for w in range(5)]
    spoiled = noise.pooled_noise([*each, *wild])
    assert spoiled.deviation == pytest.approx(clean.deviation, rel=0.15)
    assert spoiled.freedom <= clean.freedom + 2
    assert noise.pooled_noise(each[:1]) is None
    assert noise.pooled_noise([make_shape(w, 1, 0.0, 0.0) for w in range(5)]) is None


def test_a_single_seed_takes_the_spread_of_the_next_smaller_shape(make_shape):
    every = (make_shape(8, 1, 0.0, 0.01), make_shape(64, 1, 0.0, 0.2), make_shape(128, 1, 0.0, None, 1))
    known = noise.SeedNoise(0.02, 20)
    assert noise.own_deviation(every[2], every, known) == 0.2
    assert noise.own_deviation(every[0], every, known) == 0.02


def test_a_spread_that_stays_up_with_size_jumps(make_healthy):
    at = {(64, 3): 0.3, (128, 3): 0.4, (128, 2): 0.3}
    outcome = spread.check(make_healthy(**ONE_SIZE, noise=at))
    assert kinds(outcome) == {
        ("seed_spread", "w64 d3"),
        ("seed_spread", "w128 d3"),
        ("seed_spread", "w128 d2"),
    }
    assert "jumps with size" in outcome.findings[0].sentence


def test_one_unlucky_seed_of_a_small_shape_is_no_jump(make_healthy):
    outcome = spread.check(make_healthy(**ONE_SIZE, noise={(16, 2): 0.3}))
    assert outcome.findings == ()
    assert "mlp w16 d2 0.3" in outcome.passed


def ladder(make_healthy, hot: tuple[str, ...]) -> pd.DataFrame:
    """Trunks of 4 epochs (w64 and wider) and of 16 epochs, each with its horizons at 1, 2, 4 ... epochs.

    Args:
        make_healthy: the fixture.
        hot: points `w64 d3 @0.5` whose training loss is three times as high.
    """
    table = make_healthy(sizes=(1, 2, 4, 8, 16))
    passes = table["train_n"].astype(int)
    length = np.where(table["width"] >= 64, 4, 16)
    horizon = passes / length
    table = table.assign(
        horizon=horizon,
        examples_seen=20_000.0 * passes,
        train_n=20_000.0,
        config_id=[name.rpartition("n")[0] for name in table["place_id"]],
        label=[f"{name} @{h:g}" for name, h in zip(table["label"], horizon, strict=True)],
    )
    table.loc[table["label"].str.removeprefix("mlp ").isin(hot), "train_loss"] *= 3.0
    return table[passes <= length].reset_index(drop=True)


def test_horizons_of_trunks_of_unlike_length_are_compared_at_equal_examples(make_healthy):
    """One epoch of each trunk of 4 epochs is compared with one epoch of those of 16."""
    hot = tuple(f"w{width} d{depth} @0.25" for width in (64, 128) for depth in (1, 2, 3))
    outcome = undertrained.check(ladder(make_healthy, hot))
    assert {name for kind, name in kinds(outcome) if kind == "undertrained"} == set(hot)


def test_each_horizon_of_a_trunk_is_judged_by_itself(make_healthy):
    hot = ("w64 d3 @0.25", "w64 d3 @0.5", "w64 d3 @1")
    outcome = undertrained.check(ladder(make_healthy, hot))
    assert {name for kind, name in kinds(outcome) if kind == "undertrained"} == set(hot)
    assert len(undertrained.excluded(outcome)) == 9


def test_horizons_of_a_trunk_add_no_freedom_to_the_seed_noise(make_healthy):
    every = shapes.shape_losses(ladder(make_healthy, ()))
    assert len(every) > 50
    assert noise.pooled_noise(every).freedom == 15 * 2
