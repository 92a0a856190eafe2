"""What is shown of runs and sweeps while they train: words, intervals, live displays, without training."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from isoflop.api import live, log_lines, sweep_state
from isoflop.api import progress_text as text
from isoflop.config import Config
from isoflop.record import CurvePoint, Record, heartbeat
from isoflop.record.heartbeat import Heartbeat, HeartbeatWriter
from isoflop.sweep import grid
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import MeterIdle, MeterShape

MakeConfig = Callable[..., Config]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def beat(**changes: object) -> Heartbeat:
    made = Heartbeat(1, 1_200, 4_000, 6.0, socket.gethostname(), os.getpid(), None)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def runs(make_config: MakeConfig) -> tuple[PlannedRun, ...]:
    made = grid.expand(make_config("model.width=4,8,16"))
    return tuple(dataclasses.replace(run, planned_train_flops=1e9) for run in made)


def write_beat(run: PlannedRun, written: Heartbeat) -> None:
    HeartbeatWriter(run.config.directory, run.run_id).write(written)


def as_failed(record: Record) -> Record:
    return dataclasses.replace(record, state="failed", reason="RuntimeError: [bold] no memory")


def test_a_run_in_hand_is_told_in_the_words_of_the_page() -> None:
    known = beat(val_error=0.12345, val_loss=0.5, train_flops=45.6e9, watts=312.4)
    assert text.parts(known) == (
        "step 1,200 of 4,000",
        "validation error 12.3%",
        "45.6 GFLOPs",
        "312 W",
        "14.0 s left",
    )
    assert text.parts(None) == ("starting", "", "", "", "")
    assert text.parts(beat(steps=0, steps_done=7)) == ("step 7", "", "", "", "")
    of_text = beat(val_loss=0.6931471805599453, val_error=0.5, of_text=True)
    assert text.parts(of_text)[1] == "validation loss 1.000 bits a byte"
    assert text.parts(beat(val_loss=0.25))[1] == "validation loss 0.250 nats"


def test_a_heartbeat_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    path = heartbeat.path_of(tmp_path, "old")
    path.parent.mkdir()
    path.write_text(
        '{"attempt":1,"steps_done":3,"steps":6,"train_seconds":2,"host":"n1","pid":1,"slurm_job":null}'
    )
    found = heartbeat.last(tmp_path, "old")
    assert found is not None
    assert (found[0].watts, found[0].seconds_left) == (None, 2.0)


def test_a_sweep_counts_what_ended_and_what_failed(runs: tuple[PlannedRun, ...], done_record: Record) -> None:
    clock = Clock()
    state = sweep_state.SweepState(runs, clock)
    assert text.counted(state.snapshot()) == "0 of 3 runs ended"
    clock.now = 10.0
    state.tick((runs[0], MeterIdle(runs[0].config, "first")))
    write_beat(runs[0], beat())
    clock.now = 20.0
    snapshot = state.snapshot()
    assert [each.name for each in snapshot.in_hand] == ["mlp w4 d1, seed 0", "measuring the idle GPU"]
    assert snapshot.in_hand[0].beat is not None
    # 30% took 10 s, so each takes 33 s, two at a time.
    assert snapshot.seconds_left == pytest.approx((0.7 * 100 / 3 + 2 * 100 / 3) / 2)
    state.end(runs[0], (done_record,))
    assert state.snapshot().in_hand[0].name == "measuring the idle GPU"
    state.end(runs[1], (as_failed(done_record),))
    state.end(runs[2], ())
    assert (state.ended, state.failed) == (3, 1)
    assert text.counted(state.snapshot()).startswith("3 of 3 runs ended, 1 failed")


def test_a_heartbeat_of_an_earlier_attempt_is_not_this_runs(runs: tuple[PlannedRun, ...]) -> None:
    clock = Clock()
    write_beat(runs[0], beat())
    old = heartbeat.path_of(runs[0].config.directory, runs[0].run_id)
    os.utime(old, (old.stat().st_mtime - 100, old.stat().st_mtime - 100))
    state = sweep_state.SweepState(runs, clock)
    state.tick(runs[:1])
    clock.now = 5.0
    assert state.snapshot().in_hand[0].beat is None


def test_what_a_sweep_sets_beside_the_shape_is_in_a_runs_name(make_config: MakeConfig) -> None:
    (run,) = grid.expand(make_config("schedule.epochs=range(2,3)"))
    assert text.name_of_run(run) == "mlp w8 d1, seed 0, epochs=2"
    assert text.name_of_job(MeterShape(run.config, "id")) == "metering mlp w8 d1"


def test_pauses_between_lines_grow_to_five_minutes() -> None:
    clock = Clock()
    pauses, due = log_lines.Pauses(clock), []
    for second in range(3_601):
        clock.now = float(second)
        if pauses.due():
            due.append(second)
    assert due[:6] == [10, 30, 70, 150, 310, 610]
    assert {late - early for early, late in itertools.pairwise(due[4:])} == {300}


def test_lines_of_a_small_sweep_name_each_run(runs: tuple[PlannedRun, ...], done_record: Record) -> None:
    clock, said = Clock(), list[str]()
    logged = log_lines.LoggedRuns(runs, said.append, clock=clock)
    clock.now = 5.0
    logged.tick(runs[:1])
    assert said == []
    write_beat(runs[0], beat(val_error=0.5))
    clock.now = 11.0
    logged.tick(runs[:1])
    assert said[0].startswith("0 of 3 runs ended, about ")
    assert "; now mlp w4 d1, seed 0: step 1,200 of 4,000, validation error 50.0%" in said[0]
    logged.ended(runs[0], (done_record,))
    logged.ended(runs[1], (as_failed(done_record),))
    assert said[1].startswith("1 of 3: mlp w4 d1, seed 0: error ")
    assert said[2] == "2 of 3: mlp w8 d1, seed 0: failed: RuntimeError: [bold] no memory"
    logged.end()
    assert len(said) == 3


def test_lines_of_a_large_sweep_are_few(runs: tuple[PlannedRun, ...], done_record: Record) -> None:
    many = tuple(dataclasses.replace(runs[0], run_id=f"{number}") for number in range(1_000))
    said = list[str]()
    logged = log_lines.LoggedRuns(many, said.append, clock=Clock())
    for number, run in enumerate(many):
        logged.ended(run, (as_failed(done_record) if number < 150 else done_record,))
    logged.end()
    assert len(said) == log_lines.MOST_FAILURES + 1
    assert said[-1] == "1,000 of 1,000 runs ended in 0 s, 150 failed"


def drawn(runs: tuple[PlannedRun, ...], done_record: Record, *, height: int, width: int = 110) -> str:
    """What a live display of a sweep writes to a terminal of that size: all three in hand, one failure."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, height=height, color_system=None)
    with Live(console=console, auto_refresh=False, transient=True) as on:
        shown = live.LiveRuns(runs, on)
        shown.tick(runs)
        for run in runs:
            write_beat(run, beat(val_error=0.25, train_flops=3e12, watts=85.0))
        shown.ended(runs[2], (as_failed(done_record),))
        shown._drawn_at = float("-inf")
        shown.tick(runs[:2])
    return screen.getvalue()


def test_the_live_display_shows_runs_in_hand_and_keeps_failures(
    runs: tuple[PlannedRun, ...], done_record: Record
) -> None:
    seen = drawn(runs, done_record, height=24)
    assert "mlp w16 d1, seed 0: failed: RuntimeError: [bold] no memory" in seen
    assert "1 of 3 runs ended, 1 failed" in seen
    row = next(line for line in reversed(seen.splitlines()) if "mlp w4 d1, seed 0" in line)
    assert row.split("  ")[1] == "mlp w4 d1, seed 0"
    for part in ("step 1,200 of 4,000", "validation error 25.0%", "3.00 TFLOPs", "85.0 W", "14.0 s left"):
        assert part in row


def test_a_low_terminal_gets_as_many_runs_as_it_has_lines(
    runs: tuple[PlannedRun, ...], done_record: Record
) -> None:
    seen = drawn(runs, done_record, height=live.LINES_BESIDE_RUNS + 1)
    last = seen[seen.rindex("1 of 3 runs ended") :]
    assert "and 1 more" in last
    assert last.count("step 1,200") == 1


def test_a_single_run_fits_into_a_terminal_of_80_columns() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    known = beat(val_error=0.12345, train_flops=45.6e9, watts=312.4)
    console.print(live.of_run("resnet w16 d2, seed 0", known))
    first, second = screen.getvalue().splitlines()
    assert first.rstrip().endswith("resnet w16 d2, seed 0, 14.0 s left")
    assert second == "  step 1,200 of 4,000  validation error 12.3%  45.6 GFLOPs  312 W"
    console.print(live.of_run("mlp w8 d1, seed 0", None))
    assert screen.getvalue().rstrip().endswith("mlp w8 d1, seed 0, preparing")


def test_the_log_of_a_job_names_runs_in_hand_and_leaves_ends_to_their_own_lines(
    runs: tuple[PlannedRun, ...], done_record: Record
) -> None:
    clock, said = Clock(), list[str]()
    logged = log_lines.LoggedRuns(runs, said.append, ends=False, clock=clock)
    logged.tick(runs)
    logged.ended(runs[2], (done_record,))
    clock.now = 10.0
    logged.tick(runs[:2])
    logged.end()
    (only,) = said
    assert only.startswith("1 of 3 runs ended")
    assert only.endswith("; now mlp w4 d1, seed 0: starting; mlp w8 d1, seed 0: starting")


def test_a_run_of_less_than_a_second_shows_its_evaluations(make_config: MakeConfig) -> None:
    state = live.RunState(make_config())
    assert state.latest() is None
    point = CurvePoint(5, 320, 0.2, 0.4, 1.2, 2e6, None, None, "not known at this point")
    state.evaluated(point, 20)
    latest = state.latest()
    assert latest is not None
    assert text.parts(latest)[:3] == ("step 5 of 20", "validation error 40.0%", "2.00 MFLOPs")
