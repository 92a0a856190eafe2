"""The dry run's table: what it would train, and costs that were measured or are unknown."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.config import compose
from isoflop.record import Record
from isoflop.sweep import dry_run, grid, planning, step_costs
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.step_costs import FILE

TABLE = Path(step_costs.__file__).with_name(FILE)


def runs_of(*overrides: str) -> tuple[PlannedRun, ...]:
    return grid.expand(compose.compose_config(overrides, None))


def plan_of(directory: Path, *overrides: str, **settings: Any) -> dry_run.SweepPlan:
    runs = runs_of(*overrides)
    return dry_run.plan_sweep(runs, directory, left=[r.run_id for r in runs], **settings)


@pytest.fixture(scope="module")
def site() -> planning.Site:
    return planning.lay_out(runs_of("seed=0,1"))[1]


def test_every_row_of_the_shipped_table_is_read_and_is_positive() -> None:
    rows = list(csv.DictReader(TABLE.read_text().splitlines()))
    known = step_costs.shipped()
    assert len(known) == len(rows) == 21
    assert all(cost.seconds > 0 and cost.joules for cost in known.values())
    by_width = [c.seconds for step, c in known.items() if step.model[2] >= 8 and step.model[3] == 3]
    assert by_width == sorted(by_width), "a wider network's step takes longer, from 8 channels on"


@pytest.mark.slow
def test_seconds_and_joules_by_hand_on_a_measured_device(tmp_path: Path) -> None:
    overrides = ("recipe=scaling", "data=cifar10", "model.width=64", "model.depth=3", "schedule.epochs=10")
    plan = plan_of(tmp_path, *overrides, "seed=0,1", device="h200")
    (line,) = plan.lines
    steps = 10 * (45000 // 512)
    assert line.runs == 2
    assert line.epochs == (10.0,)
    row = next(
        r for r in csv.DictReader(TABLE.read_text().splitlines()) if (r["width"], r["depth"]) == ("64", "3")
    )
    assert line.seconds == pytest.approx(2 * steps * float(row["seconds_per_step"]))
    assert line.joules == pytest.approx(2 * steps * float(row["joules_per_step"]))
    assert line.run_flops == pytest.approx(3882630144 * steps * 512), "as the H200's records hold it"
    cooled = plan_of(tmp_path, *overrides, "schedule.cooldowns=[0.5,1]", "seed=0,1", device="H200").lines[0]
    branch = round(0.3 * round(0.5 * steps))
    assert cooled.seconds == pytest.approx(2 * (steps + branch) * float(row["seconds_per_step"]))
    assert cooled.epochs == (5.0, 10.0)


@pytest.mark.slow
def test_what_nobody_measured_is_unknown_and_the_folder_s_own_runs_come_first(
    tmp_path: Path, done_record: Record, site: planning.Site
) -> None:
    tiny = ("model.width=8,16", "model.depth=1", "schedule.epochs=1", "seed=0")
    before = plan_of(tmp_path, *tiny)
    assert [line.seconds for line in before.lines] == [None, None]
    assert before.total.timed == 0
    measured = dataclasses.replace(
        done_record, provenance=dataclasses.replace(done_record.provenance, device=site.device)
    )
    records.write(measured, tmp_path)
    by_label = {line.label: line for line in plan_of(tmp_path, *tiny).lines}
    line = by_label["width 8, depth 1"]
    assert done_record.time is not None
    assert line.seconds == pytest.approx(done_record.time.train_seconds)
    assert line.source == "folder"
    assert line.joules is None, "a run on this machine has no joules"
    assert by_label["width 16, depth 1"].seconds is None
    total = plan_of(tmp_path, *tiny).total
    assert (total.timed, total.runs, total.metered) == (1, 2, 0)


@pytest.mark.slow
def test_runs_that_differ_in_learning_rate_and_seed_are_one_line(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "model.width=8,16", "model.depth=1", "optim.lr=0.1,0.4,0.2", "seed=0,1")
    assert {line.label for line in plan.lines} == {f"width {w}, depth 1, lr 0.1 to 0.4" for w in (8, 16)}
    assert [(line.runs, line.left) for line in plan.lines] == [(6, 6)] * 2
    assert plan.total.runs == 12


@pytest.mark.slow
def test_the_table_on_the_terminal_trains_and_writes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", "sweep=ladder", "model.width=8,16", "model.depth=1", "--dry-run", "--on", "H200"]
    assert main.main(sweep) == output.DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert "width 16, depth 1 1,2,4,8,16 2" in shown
    assert "width 128, depth 1 (held out)" in shown
    assert "device: NVIDIA H200 seconds and joules: steps x the median step of this shape" in shown
    assert max(map(len, dry_run.RULE)) < 110
    assert list(here.iterdir()) == []


def test_another_device_is_refused_without_a_dry_run_and_where_nothing_was_measured(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["sweep", "model.width=4,8", "--on", "H200"]) == output.INPUT
    assert "give --dry-run too" in capsys.readouterr().err
    assert main.main(["sweep", "model.width=4,8", "--dry-run", "--on", "abacus"]) == output.INPUT
    assert "no steps were measured there: give one of NVIDIA H200" in capsys.readouterr().err
    assert list(here.iterdir()) == []
