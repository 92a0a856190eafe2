import json
from pathlib import Path

import numpy as np

from isoflop.curve.check import anchors, drift


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


def readings(*joules: float | None, gpu: str = "GPU-1") -> bytes:
    whens = ("first", "middle", "last")
    lines = [
        {
            "when": when,
            "config_id": "c",
            "shape": "resnet w16 d1",
            "gpu": gpu,
            "joules_per_example": value,
            "seconds_per_example": 1e-5,
            "measured_at": "2026-01-01T00:00:00+00:00",
            "temperature_celsius": 40.0,
        }
        for when, value in zip(whens, joules, strict=True)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_the_metered_anchor_is_judged_and_not_the_runs(make_healthy, tmp_path):
    """Records of a shape share its joules per example: only the anchor's readings can show a drift."""
    table = make_healthy(sizes=(20_000,))
    table.loc[table["seed"] == 2, "energy_joules"] *= 1.5
    path = tmp_path / "anchors.jsonl"
    path.write_bytes(readings(2e-3, 2.02e-3, 2.04e-3) + b'{"when": "fir')
    outcome = drift.check(table, anchors.read(tmp_path))
    assert outcome.passed is not None
    assert "resnet w16 d1, metered 3 times, stay within 5%" in outcome.passed
    path.write_bytes(readings(2e-3, 2.1e-3, 2.2e-3) + readings(1e-3, None, 1.001e-3, gpu="GPU-2"))
    (found,) = drift.check(table, anchors.read(tmp_path)).findings
    assert "resnet w16 d1: joules per example changed by +10.0% from the first reading" in found.sentence


def test_runs_are_judged_by_their_own_joules(make_healthy):
    table = make_healthy(sizes=(20_000,))
    table["own_joules"] = table["energy_joules"]
    table.loc[table["seed"] == 2, "own_joules"] *= 1.12
    assert len(drift.check(table).findings) == 15
    assert anchors.read(Path("/nonexistent")) == ()


def test_an_anchor_is_a_configuration_on_one_gpu_with_two_readings():
    def reading(gpu, config_id):
        return anchors.AnchorReading("2026-01-01", config_id, "w8d1", gpu, 1.0, 1.0, "first")

    one, other, alone = reading("a", "x"), reading("a", "x"), reading("b", "x")
    assert anchors.by_anchor([one, alone, other]) == [[one, other]]
    assert anchors.by_anchor([one, alone]) == []
