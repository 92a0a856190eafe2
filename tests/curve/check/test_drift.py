import numpy as np

from isoflop.curve.check import drift


def test_an_anchor_whose_cost_per_example_rises_is_named(make_healthy):
    table = make_healthy(sizes=(20_000,))
    assert "stay within 5%" in drift.check(table).passed
    table.loc[(table["seed"] == 2) & (table["place_id"] == "w8d1n20000"), "energy_joules"] *= 1.12
    (found,) = drift.check(table).findings
    assert "mlp w8 d1: joules per example changed by +12.0%" in found.sentence
    assert found.severity == "warning"
    assert len(found.subjects[0].run_ids) == 3


def test_seconds_that_fall_are_drift_too(make_healthy):
    table = make_healthy(sizes=(20_000,)).drop(columns="energy_joules")
    table.loc[table["seed"] == 0, "train_seconds"] *= 1.2
    found = drift.check(table).findings
    assert len(found) == 15
    assert all("seconds per example changed by -16.7%" in each.sentence for each in found)


def test_cost_per_example_counts_and_not_cost(make_healthy):
    """An anchor that is trained longer at the end costs more, but no more per example."""
    table = make_healthy(sizes=(20_000,))
    late = table["seed"] == 2
    table.loc[late, ["energy_joules", "train_seconds", "examples_seen"]] *= 3.0
    assert drift.check(table).passed


def test_seeds_run_one_after_another_are_no_anchor(make_healthy):
    table = make_healthy(sizes=(20_000,)).sort_values(["place_id", "seed"])
    start = np.datetime64("2026-01-01T00:00:00") + np.arange(len(table)) * np.timedelta64(10, "s")
    outcome = drift.check(table.assign(started_at=[f"{each}+00:00" for each in start]))
    assert outcome.not_checked == "needs an anchor: one shape run in each third of the sweep"
    assert "anchor" in drift.check(table.assign(started_at="2026-01-01T00:00:00+00:00")).not_checked
