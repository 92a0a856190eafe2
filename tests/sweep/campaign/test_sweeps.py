"""Training of what fits: what is left out is named and stays pending, failures show their traceback."""

from __future__ import annotations

import dataclasses

import pytest

from isoflop import record as records
from isoflop.sweep import manifest, planning, status
from isoflop.sweep.campaign import sweeps
from isoflop.sweep.campaign.budget import CostedRun, Pace
from isoflop.sweep.campaign.sweeps import Allowance
from isoflop.sweep.grid import PlannedRun

pytestmark = pytest.mark.slow


@pytest.fixture
def costed(make_config):
    """costed(seed, seconds, *overrides) -> a run of a tiny perceptron with a predicted time."""

    def make(seed, seconds, *overrides):
        config = make_config("model=mlp", "meter=none", "launch.workers=1", f"seed={seed}", *overrides)
        return CostedRun(PlannedRun(config.run_id, {"seed": seed}, config), seconds)

    return make


def allowed(seconds):
    return Allowance(seconds, start_seconds=1.0, gpus=0, pace=Pace(1e9, 1e9))


def test_what_does_not_fit_is_neither_planned_nor_trained(costed, monkeypatch, tmp_path):
    monkeypatch.setattr(planning, "plan", lambda runs: pytest.fail("planned"))
    wanted = [costed(0, 30.0), costed(1, 20.0)]
    trained = sweeps.train(wanted, wanted[0].planned.config.directory, allowed(11.0), pytest.fail)
    assert (trained.runs, trained.done, trained.failures) == (2, 0, ())
    assert [(each.what, each.why) for each in trained.left_out] == [
        ("mlp w8 d1, seed 0", "predicted 30 s, which no longer fits"),
        ("mlp w8 d1, seed 1", "predicted 20 s, which no longer fits"),
    ]


def test_a_second_call_trains_what_was_left_out(costed):
    wanted = [costed(0, 100.0), costed(1, 100.0)]
    directory = wanted[0].planned.config.directory
    lines: list[str] = []
    first = sweeps.train(wanted, directory, allowed(190.0), lines.append)
    assert (first.done, [each.what for each in first.left_out]) == (1, ["mlp w8 d1, seed 1"])
    assert first.predicted_seconds == 100.0
    assert first.pace.predicted_seconds == 1e9 + 100.0
    assert len(lines) == 1
    assert "seed 0: test error" in lines[0]
    assert [run.run_id for run in manifest.read_runs(directory / "manifest.jsonl")] == [
        each.planned.run_id for each in wanted
    ]
    assert status.read_status(directory).counts["pending"] == 1
    written = records.path_of(directory, wanted[0].planned.run_id).stat().st_mtime_ns
    second = sweeps.train(wanted, directory, allowed(300.0), lines.append)
    assert (second.done, second.left_out) == (2, ())
    assert records.path_of(directory, wanted[0].planned.run_id).stat().st_mtime_ns == written


def test_a_failure_shows_its_traceback_at_once(costed, misbehave):
    misbehave("from isoflop.runner import trajectory; trajectory.warm_trainer = None")
    wanted = [costed(0, None)]
    lines: list[str] = []
    trained = sweeps.train(wanted, wanted[0].planned.config.directory, allowed(300.0), lines.append)
    assert trained.failures == ("mlp w8 d1, seed 0: failed",)
    assert trained.predicted_seconds is None
    assert "failed: TypeError" in lines[0]
    assert "Traceback (most recent call last)" in lines[1]


def test_runs_on_several_gpus_share_the_time(costed):
    runs = [costed(seed, 10.0) for seed in range(4)]
    one = allowed(22.0).select(runs)
    two = dataclasses.replace(allowed(22.0), gpus=2).select(runs)
    assert (len(one.chosen), len(two.chosen)) == (2, 4)
