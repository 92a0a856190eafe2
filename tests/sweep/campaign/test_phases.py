"""Phases that time cuts off: a search for a recipe that goes on in a later call, a pass that stops."""

from __future__ import annotations

import dataclasses
import time

import pytest

from isoflop import record as records
from isoflop.sweep import manifest
from isoflop.sweep.campaign import journal, phases, summary, sweeps, trials
from isoflop.sweep.campaign.journal import LeftOut
from isoflop.sweep.campaign.phases import METERING_CUT, Phases, Predictions
from isoflop.sweep.campaign.plan import REHEARSAL, Phase
from isoflop.sweep.campaign.sweeps import Trained
from isoflop.sweep.local import metering_pass
from isoflop.table import held_out

RECIPE = Phase("recipe", "recipe", 1.0)
METERING = Phase("metering", "metering", 1.0)
PLAN = dataclasses.replace(REHEARSAL, start_seconds=1.0)
SEARCH = PLAN.recipe
TRIALS = len(SEARCH.candidates) + len(SEARCH.shapes) - 1
"""Of a search whose first recipe is accepted."""


@dataclasses.dataclass
class Trainer:
    """Stands in for the training of trials: at most `limit` of them end, with losses that fall with size."""

    limit: int = 0
    trained: dict[str, float] = dataclasses.field(default_factory=dict)

    def train(self, wanted, folder, allowance, say):
        left_out = []
        for each in wanted:
            run_id, model = each.planned.run_id, each.planned.config.model
            if run_id in self.trained:
                continue
            if self.limit:
                self.limit -= 1
                self.trained[run_id] = 1.0 / (model.width * model.depth)
            else:
                left_out.append(LeftOut(run_id, "time"))
        done = len(wanted) - len(left_out)
        return Trained(len(wanted), done, (), tuple(left_out), 0.0, allowance.pace)

    def losses(self, trials, folder):
        return {key: self.trained[run.run_id] for key, run in trials.items() if run.run_id in self.trained}


@pytest.fixture
def trainer(monkeypatch):
    made = Trainer()
    monkeypatch.setattr(sweeps, "train", made.train)
    monkeypatch.setattr(trials, "losses", made.losses)
    return made


@pytest.fixture
def call(monkeypatch, tmp_path):
    """call(phase) -> what became of a phase in a new call of the campaign."""
    known = Predictions({}, dict.fromkeys(SEARCH.shapes), 0)
    monkeypatch.setattr(Phases, "_predict", lambda self, of_sweeps: known)
    return lambda phase: Phases(PLAN, [phase], tmp_path, lambda line: None).execute(phase, 60.0)


@pytest.mark.parametrize("first", [0, 1, len(SEARCH.candidates), TRIALS - 1])
def test_a_search_that_time_cut_off_goes_on_in_the_next_call(first, trainer, call, tmp_path):
    trainer.limit = first
    assert call(RECIPE).state == "partial"
    cut = journal.read_decision(tmp_path)
    assert not cut.accepted
    assert cut.untried
    assert "Time cut the search off" in summary.write(tmp_path)
    assert "The same command goes on with them." in summary.write(tmp_path)

    trainer.limit = 100
    assert call(RECIPE).state == "done"
    decision = journal.read_decision(tmp_path)
    assert (decision.accepted, decision.untried) == (True, 0)
    assert len(trainer.trained) == TRIALS, "nothing twice, nothing beyond the accepted recipe"
    assert "Time cut the search off" not in summary.write(tmp_path)
    assert call(RECIPE).message.startswith("decided before: ")
    assert len(trainer.trained) == TRIALS


@pytest.mark.parametrize("sign", ["record", "declaration"])
def test_a_decision_that_a_sweep_has_begun_with_stays_and_the_summary_says_so(
    sign, trainer, call, tmp_path, done_record
):
    trainer.limit = 2
    call(RECIPE)
    before = (tmp_path / journal.RECIPE).read_bytes()
    if sign == "record":
        records.write(done_record, tmp_path / "ladder-digits")
    else:
        records.write_bytes(tmp_path / "ladder-digits" / held_out.FILE, b"{}")
    trainer.limit = 100
    report = call(RECIPE)
    assert (report.state, report.left_out[0].why) == ("partial", phases.KEPT)
    assert len(trainer.trained) == 2
    assert (tmp_path / journal.RECIPE).read_bytes() == before
    assert "Sweeps have begun under this decision, which therefore stays" in summary.write(tmp_path)


def test_the_metering_pass_gets_the_seconds_left_and_names_what_it_left(
    call, tmp_path, done_record, monkeypatch
):
    """Two folders, the first of which takes 59.5 of 60 seconds: for the second one too few are left."""
    for name in ("a", "b"):
        records.write(done_record, tmp_path / name)
    clock, limits = [1000.0], []

    def run_pass(runs, folder, *, seconds):
        limits.append(seconds)
        clock[0] += 59.5
        return 3

    monkeypatch.setattr(manifest, "read_runs", lambda path: ())
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(metering_pass, "run_pass", run_pass)
    report = call(METERING)
    assert limits == [60.0]
    assert (report.state, report.message) == ("partial", "joules of 3 points completed")
    assert [each.what for each in report.left_out] == ["b"]


def test_shapes_at_which_the_metering_pass_was_stopped_are_left_out(call, tmp_path, done_record, monkeypatch):
    records.write(done_record, tmp_path / "a")
    clock = [1000.0]

    def run_pass(runs, folder, *, seconds):
        clock[0] += seconds
        return 0

    monkeypatch.setattr(manifest, "read_runs", lambda path: ())
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(metering_pass, "run_pass", run_pass)
    monkeypatch.setattr(metering_pass, "shapes_to_meter", lambda runs, folder: ("s", "t"))
    report = call(METERING)
    assert report.state == "partial"
    assert report.left_out == (LeftOut("2 shapes of a", METERING_CUT),)
