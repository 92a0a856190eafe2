"""What the checks say, word for word where a number is in it, and the cases at their edges."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isoflop.curve.check import confounding, drift, learning_rate, loss_curves, mixture, noise, shapes, spread
from isoflop.curve.check.anchors import AnchorReading


def only(outcome):
    (found,) = outcome.findings
    return found


def reading(joules, seconds=1.0, config_id="c", shape="mlp w8"):
    return AnchorReading("2026-01-01", config_id, shape, "GPU", joules, seconds, "")


@pytest.mark.parametrize(("last", "change"), [(1.12, "+12.0%"), (0.8, "-20.0%")])
def test_a_drift_says_by_how_much_cost_changed_and_between_what(make_healthy, last, change):
    found = only(drift.check(make_healthy(), [reading(1.0), reading(2.0), reading(last)]))
    assert found.sentence == (
        f"mlp w8: joules per example changed by {change} from the first reading to the last, more than 5%: "
        "the device warmed up or was shared"
    )
    assert found.what_to_do.startswith("do not compare joules of early and late runs")


def test_readings_that_stay_are_listed_with_how_many_there_were(make_healthy):
    outcome = drift.check(make_healthy(), [reading(1.0), reading(1.01), reading(1.02)])
    assert outcome.passed == "joules and seconds per example of mlp w8, metered 3 times, stay within 5%"
    unknown = drift.check(make_healthy(), [reading(None), reading(2.0), reading(3.0)])
    assert unknown.findings == (), "an unknown reading is compared with none"
    slower = only(drift.check(make_healthy(), [reading(1.0), reading(1.0, seconds=1.2)]))
    assert "seconds per example changed by +20.0%" in slower.sentence


def test_thirds_are_of_time_and_the_last_moment_is_in_the_last():
    start = pd.Timestamp("2026-01-01", tz="UTC")
    hours = [0.0, 1.0, 2.0, 3.0]
    rows = pd.DataFrame({"config_id": ["a"] * 4, "start": [start + pd.Timedelta(hours=h) for h in hours]})
    (anchor,) = drift._anchors(rows)
    assert anchor["third"].tolist() == [0, 1, 2, 2]
    assert drift._anchors(rows.iloc[:3].assign(config_id=list("aab"))) == []
    assert drift._anchors(rows.iloc[[1, 1, 1]]) == [], "no time passed"


def test_the_best_rates_are_counted_by_label_else_by_configuration(make_healthy):
    table = make_healthy(sizes=(20_000,))
    assert learning_rate.check(table).passed.startswith(
        "the best of a grid on validation for each of 15 shapes"
    )
    ids = table.drop(columns="label").assign(config_id=table["run_id"])
    assert learning_rate.check(ids).passed.startswith(
        "the best of a grid on validation for each of 45 shapes"
    )


def test_one_base_rate_scaled_by_a_rule_is_one_choice(make_healthy):
    table = make_healthy(sizes=(20_000,)).assign(lr_interior=np.nan, base_lr=0.1)
    table["lr"] = np.where(table["width"] == 8, 0.1, 0.05)
    assert "the learning rate is 0.1 for every shape" in only(learning_rate.check(table)).sentence
    carried = only(learning_rate.check(table.assign(parametrization="completep"))).sentence
    assert carried == (
        "the learning rate is 0.1 at the base shape, carried to the others by the parametrization (mup or "
        "completep) and to other batches and lengths by the recipe's rule, not tuned to each"
    )
    same = only(learning_rate.check(table.assign(parametrization="mup", lr=0.1))).sentence
    assert "by the recipe's rule" not in same
    mixed = table.assign(parametrization=np.where(table["width"] == 8, "mup", "standard"))
    assert only(learning_rate.check(mixed)).severity == "warning"


def test_lengths_within_a_fiftieth_are_equal_and_the_range_is_said(make_healthy):
    table = make_healthy(sizes=(20_000,))
    assert confounding.EQUAL == 1.02
    table["examples_seen"] = np.where(table["width"] == 8, 50_000.0, 51_000.0)
    assert (
        "every run sees 51,000 examples of one training set of 20,000"
        in only(confounding.check(table)).sentence
    )
    table["examples_seen"] = np.where(table["width"] == 8, 50_000.0, 51_001.0)
    assert "draw on one training set of 20,000" in only(confounding.check(table)).sentence
    one = make_healthy(widths=(8,), depths=(1,))
    assert confounding.check(one).passed == "one size: compute varies by examples seen, 15,000 to 240,000"


def test_records_that_cannot_be_read_have_no_curve(tmp_path):
    assert loss_curves.read(tmp_path, ["absent"]) == {}
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "broken.json").write_text("{")
    assert loss_curves.read(tmp_path, ["broken", "absent"]) == {}


def test_a_mixture_names_the_fewer_runs_and_cuts_long_values(make_healthy):
    table = make_healthy(sizes=(20_000,))
    passed = mixture.check(table).passed
    assert passed.startswith("one value each of ")
    assert "devices" in passed
    assert "precisions" not in passed, "a recipe may vary: only code and hardware are listed"
    table.loc[table["width"] == 8, "device"] = "A" * 41
    found = only(mixture.check(table))
    assert ("A" * 40 in found.sentence, "A" * 41 in found.sentence) == (True, False)
    assert {subject.name for subject in found.subjects} == {"mlp w8 d1", "mlp w8 d2", "mlp w8 d3"}
    table = make_healthy(sizes=(20_000,))
    table.loc[table["width"] == 8, "git_commit"] = "b" * 40
    found = only(mixture.check(table))
    assert f"{'a' * 10}, {'b' * 10}, all in one fit" in found.sentence
    assert found.what_to_do.endswith("--mixed fits them together")


def test_other_data_under_one_name_are_of_the_fewer_runs(make_healthy):
    table = make_healthy(sizes=(20_000,)).assign(data="c4", split_sha256="aaaa")
    table.loc[table["width"] == 8, "split_sha256"] = "bbbb"
    found = only(mixture.check(table))
    assert found.severity == "warning"
    assert {subject.name for subject in found.subjects} == {"mlp w8 d1", "mlp w8 d2", "mlp w8 d3"}


def test_pooled_noise_starts_from_the_median_over_its_own_expectation(make_shape):
    """Four shapes of two degrees of freedom: a fifth that is far off does not count."""
    usual = [make_shape(2.0**i, 1, 0.0, spread=s) for i, s in enumerate((0.018, 0.02, 0.022, 0.02))]
    healthy = np.array([0.018, 0.02, 0.022, 0.02])
    found = noise.pooled_noise([*usual, make_shape(64, 1, 0.0, spread=0.5)])
    assert found.freedom == 8
    assert found.deviation == pytest.approx(np.sqrt(np.mean(healthy**2)))
    same = noise.pooled_noise([make_shape(2.0**i, 1, 0.0, spread=0.0) for i in range(4)])
    assert same is None, "all seeds have one loss"


def test_a_spread_is_compared_with_chi_squared_once_in_a_thousand(make_shape):
    limit = np.sqrt(stats.chi2.isf(noise.UNUSUAL, 2) / 2)
    for factor, counted in ((0.9, 12), (1.3, 10)):
        many = [make_shape(2.0**i, 1, 0.0, spread=0.02) for i in range(5)]
        off = make_shape(64, 1, 0.0, spread=0.02 * limit * factor)
        assert noise.pooled_noise([*many, off]).freedom == counted


def test_shapes_of_one_group_are_told_apart_by_size_and_ordered_by_compute(make_healthy):
    table = make_healthy(widths=(32, 8), depths=(1,), sizes=(20_000, 5_000))
    found = shapes.shape_losses(table)
    assert [each.compute for each in found] == sorted(each.compute for each in found)
    assert [(each.width, each.seeds) for each in found] == [(8, 3), (8, 3), (32, 3), (32, 3)]
    assert len({each.group for each in found}) == 2, "sizes of the training set are groups of their own"


def test_a_large_spread_that_larger_shapes_do_not_repeat_is_told_and_no_jump(make_healthy):
    table = make_healthy(sizes=(20_000,), depths=(1,), noise={(8, 1): 0.5})
    passed = spread.check(table).passed
    assert "; by more at single smaller shapes, which larger ones do not repeat: mlp w8 d1 0.5" in passed
    calm = make_healthy(sizes=(20_000,), depths=(1,))
    assert "by more at single" not in spread.check(calm).passed
    jumps = make_healthy(sizes=(20_000,), depths=(1,), noise={(128, 1): 0.5})
    found = only(spread.check(jumps))
    assert "mlp w128 d1 0.5" in found.sentence
    assert {subject.name for subject in found.subjects} == {"mlp w128 d1"}
