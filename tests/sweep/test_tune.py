from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import compose
from isoflop.record import Record
from isoflop.sweep import grid, tune
from isoflop.sweep.grid import PlannedRun
from isoflop.table import aggregate

FACTORS = (0.5, 1.0, 2.0)


def runs(out: Path) -> tuple[PlannedRun, ...]:
    base = compose.compose_config(["model.width=8,16", "seed=3,4"], None)
    return grid.expand(dataclasses.replace(base, out=str(out)))


def leave(done: Record, trial: PlannedRun, val_error: float) -> None:
    assert done.error is not None
    error = dataclasses.replace(done.error, val=val_error)
    made = dataclasses.replace(done, run_id=trial.run_id, error=error, optim=done.optim)
    records.write(made, trial.config.directory)


def test_trials_are_the_first_seed_at_each_factor(tmp_path: Path) -> None:
    trials = tune.trials(runs(tmp_path), FACTORS)
    assert len(trials) == 2 * 3
    assert {trial.config.seed for trial in trials} == {3}
    assert {trial.config.directory for trial in trials} == {tmp_path / "tuning"}
    rates = sorted({trial.config.optim.lr for trial in trials})
    assert rates == pytest.approx([0.0015, 0.003, 0.006])


def test_the_best_on_validation_is_chosen_and_edges_are_marked(tmp_path: Path, done_record: Record) -> None:
    sweep = runs(tmp_path)
    small, large = dict.fromkeys(run.config.config_id for run in sweep)
    for trial in tune.trials(sweep, FACTORS):
        factor = trial.config.optim.lr / 0.003
        best = 1.0 if trial.config.model.width == 8 else 2.0
        leave(done_record, trial, 0.1 if factor == pytest.approx(best) else 0.2)
    choices = tune.choose(sweep, FACTORS)
    assert (choices[small].factor, choices[small].interior) == (1.0, True)
    assert (choices[large].factor, choices[large].interior) == (2.0, False)
    tuned = tune.apply_choices(sweep, choices)
    assert [run.config.optim.lr for run in tuned] == pytest.approx([0.003, 0.003, 0.006, 0.006])
    assert [run.lr_interior for run in tuned] == [True, True, False, False]
    tune.copy_trial_records(tuned)
    adopted = [records.read(path) for path in sorted((tmp_path / "records").iterdir())]
    assert {record.run_id for record in adopted} == {run.run_id for run in tuned if run.config.seed == 3}
    assert {record.optim.lr_interior for record in adopted if record.optim} == {True, False}


def test_a_shape_whose_trials_all_failed_keeps_its_rate(tmp_path: Path) -> None:
    choices = tune.choose(runs(tmp_path), FACTORS)
    assert {(choice.factor, choice.interior) for choice in choices.values()} == {(1.0, False)}


def test_a_sweep_with_a_grid_trains_no_run_twice(tmp_path: Path) -> None:
    command = ["sweep", "model.width=8,16", "seed=0,1", "sweep.lr_grid=[0.5,1,2]", "model.depth=1"]
    command += ["schedule.epochs=1", "launch.threads=1", f"out={tmp_path / 'd'}"]
    assert main.main(command) == 0
    table = aggregate.aggregate(tmp_path / "d")
    assert len(table.rows) == 4
    assert table.rows["lr_interior"].notna().all()
    assert len(list((tmp_path / "d/tuning/records").glob("*.json"))) == 6
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("d/**/records/*.json")}
    assert main.main(command) == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("d/**/records/*.json")}
