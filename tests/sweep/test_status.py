from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.cli.terminal import status_table
from isoflop.config import Config, ConfigError
from isoflop.record import SCHEMA, Record, heartbeat
from isoflop.record.heartbeat import Heartbeat, HeartbeatWriter
from isoflop.sweep import grid, retry, status
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slurm import queue, submission
from isoflop.sweep.slurm.submission import Chunk, Submission
from isoflop.sweep.status import RunStatus

MakeConfig = Callable[..., Config]
Leave = Callable[..., None]
DEAD = 2**22 + 1
"""A process id that does not exist: it is above the largest of the kernel."""


@pytest.fixture
def runs(make_config: MakeConfig) -> tuple[PlannedRun, ...]:
    made = grid.expand(make_config("model.width=4,8,16"))
    grid.write_manifest(made, made[0].config.directory)
    return made


@pytest.fixture
def leave(done_record: Record) -> Leave:
    """leave(run, "failed") writes a record of the run in that state."""

    def write(run: PlannedRun, state: Any, attempt: int = 1, run_id: str | None = None) -> None:
        reason = None if state == "done" else f"{state} for the test"
        made = dataclasses.replace(
            done_record, run_id=run_id or run.run_id, state=state, attempt=attempt, reason=reason
        )
        records.write(made, run.config.directory)

    return write


def write_heartbeat(
    run: PlannedRun, attempt: int = 1, pid: int | None = None, host: str | None = None, age: float = 0
) -> None:
    last = Heartbeat(attempt, 25, 100, 10.0, host or socket.gethostname(), pid or os.getpid(), None)
    HeartbeatWriter(run.config.directory, run.run_id).write(last)
    path = heartbeat.path_of(run.config.directory, run.run_id)
    os.utime(path, (time.time() - age, time.time() - age))


def queued(runs: tuple[PlannedRun, ...], tasks: int, written_ago: float = 0) -> None:
    """Write a submission of the runs as job 7, whose first `tasks` tasks were queued."""
    directory = runs[0].config.directory
    name = submission.create_manifest(runs, directory)
    made = Submission(name, 0, "now", len(runs), 1, "source", (Chunk("7", 1, tasks),))
    submission.write_submission(made, directory)
    then = time.time() - written_ago
    os.utime(submission.runs_path(directory, name), (then, then))


def stub_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, *, squeue: str = "", sacct: str = "") -> None:
    """Install stubs of squeue and sacct that print these texts."""
    folder.mkdir(exist_ok=True)
    for name, text in (("squeue", squeue), ("sacct", sacct)):
        (folder / f"{name}.txt").write_text(text)
        (folder / name).write_text(f'#!/bin/sh\ncat "{folder}/{name}.txt"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def by_width(directory: Path) -> dict[int, RunStatus]:
    return {run.settings["model.width"]: run for run in status.read_status(directory).runs}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (119.9, "120 s"), (120, "2 min"), (600, "10 min"), (36_000, "600 min")],
)
def test_an_age_is_told_in_seconds_and_then_in_minutes(seconds: float, text: str) -> None:
    assert status._format_age(seconds) == text


@pytest.mark.parametrize(("age", "alive"), [(119.9, True), (120.0, False)])
def test_another_machine_has_two_minutes_to_write(age: float, alive: bool) -> None:
    beat = Heartbeat(1, 25, 100, 10.0, "elsewhere", DEAD, None)
    assert status._is_alive((beat, age)) == alive
    assert status._is_alive(None) is False


@pytest.mark.parametrize(
    ("done", "steps", "share", "left"),
    [(25, 100, 0.25, 30.0), (0, 100, 0.0, None), (100, 100, 1.0, 0.0), (0, 0, None, None)],
)
def test_the_time_left_is_that_of_the_steps_left(
    done: int, steps: int, share: float | None, left: float | None, runs: tuple[PlannedRun, ...]
) -> None:
    beat = Heartbeat(3, done, steps, 10.0, socket.gethostname(), os.getpid(), None)
    HeartbeatWriter(runs[0].config.directory, runs[0].run_id).write(beat)
    first = by_width(runs[0].config.directory)[4]
    assert (first.state, first.share_done, first.seconds_left, first.attempt) == ("running", share, left, 3)
    assert by_width(runs[0].config.directory)[8].attempt is None


def test_a_log_is_shown_where_something_may_have_gone_wrong(
    runs: tuple[PlannedRun, ...], leave: Leave
) -> None:
    logs = runs[0].config.directory / "logs"
    logs.mkdir(parents=True)
    for run, state in zip(runs, ("done", "failed", None), strict=True):
        (logs / f"{run.run_id}.log").touch()
        if state:
            leave(run, state)
    statuses = by_width(runs[0].config.directory)
    assert [statuses[width].log for width in (4, 8, 16)] == [None, str(logs / f"{runs[1].run_id}.log"), None]


def test_states_are_in_the_order_of_attention() -> None:
    in_order = ["running", "lost", "failed", "oom", "diverged", "interrupted", "pending", "done"]
    assert list(status.STATES) == in_order


def test_a_damaged_line_of_the_manifest_is_named(runs: tuple[PlannedRun, ...]) -> None:
    path = runs[0].config.directory / "manifest.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{", *lines[1:]]))
    with pytest.raises(ConfigError, match=rf"^{path}: line 2 is damaged .*: run isoflop sweep again$"):
        status.read_status(runs[0].config.directory)


def test_a_record_of_before_its_attempt_was_counted_is_the_first(runs: tuple[PlannedRun, ...]) -> None:
    path = records.path_of(runs[0].config.directory, runs[0].run_id)
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 1, "state": "failed"}')
    first = by_width(runs[0].config.directory)[4]
    assert (first.state, first.reason, first.attempt) == ("failed", None, 1)


def test_while_rates_are_chosen_the_status_is_that_of_the_trials(
    runs: tuple[PlannedRun, ...], leave: Leave
) -> None:
    directory = runs[0].config.directory
    (directory / "tuning").mkdir()
    assert status.read_status(directory).directory == str(directory)
    (directory / "manifest.jsonl").rename(directory / "tuning" / "manifest.jsonl")
    trials = status.read_status(directory)
    assert (trials.directory, trials.counts) == (str(directory / "tuning"), {"pending": 3})
    assert [run.reason for run in trials.runs] == ["not started"] * 3


def test_states_come_from_records_and_heartbeats(runs: tuple[PlannedRun, ...], leave: Leave) -> None:
    directory = runs[0].config.directory
    leave(runs[0], "done")
    leave(runs[1], "diverged")
    write_heartbeat(runs[2])
    statuses = by_width(directory)
    assert [statuses[width].state for width in (4, 8, 16)] == ["done", "diverged", "running"]
    assert statuses[8].reason == "diverged for the test"
    assert (statuses[16].share_done, statuses[16].seconds_left) == (0.25, 30.0)
    assert status.read_status(directory).counts == {"running": 1, "diverged": 1, "done": 1}


@pytest.mark.parametrize(
    ("pid", "host", "age", "state"),
    [
        (None, None, 0, "running"),
        (DEAD, None, 0, "lost"),
        (None, None, 1000, "running"),
        (DEAD, "elsewhere", 5, "running"),
        (DEAD, "elsewhere", 1000, "lost"),
    ],
)
def test_a_run_is_running_if_its_process_exists_or_wrote_lately(
    pid: int | None, host: str | None, age: float, state: str, runs: tuple[PlannedRun, ...]
) -> None:
    write_heartbeat(runs[0], pid=pid, host=host, age=age)
    first = by_width(runs[0].config.directory)[4]
    assert first.state == state
    assert (first.reason is None) == (state == "running")


def test_the_newer_attempt_counts(runs: tuple[PlannedRun, ...], leave: Leave) -> None:
    leave(runs[0], "interrupted", attempt=1)
    write_heartbeat(runs[0], attempt=1, pid=DEAD)
    leave(runs[1], "interrupted", attempt=1)
    write_heartbeat(runs[1], attempt=2, pid=DEAD)
    leave(runs[2], "failed", attempt=1)
    write_heartbeat(runs[2], attempt=2)
    statuses = by_width(runs[0].config.directory)
    assert [statuses[width].state for width in (4, 8, 16)] == ["interrupted", "lost", "running"]
    assert statuses[8].attempt == 2


def test_a_run_with_cooldowns_is_done_when_every_point_is(make_config: MakeConfig, leave: Leave) -> None:
    (run,) = grid.expand(make_config("seed=range(0,1)", "schedule.cooldowns=[0.5,1]"))
    directory = run.config.directory
    grid.write_manifest((run,), directory)
    half, whole = run.config.point_ids.values()
    leave(run, "done", run_id=half)
    assert status.read_status(directory).counts == {"pending": 1}
    leave(run, "oom", run_id=whole)
    assert status.read_status(directory).counts == {"oom": 1}
    leave(run, "done", run_id=whole)
    assert status.read_status(directory).counts == {"done": 1}


def test_slurm_knows_which_tasks_wait_and_how_others_ended(
    runs: tuple[PlannedRun, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(runs, 3)
    directory = runs[0].config.directory
    log = directory / "logs/slurm-7_2.out"
    log.parent.mkdir()
    log.write_text("task 7_2 on n1\nslurmstepd: error: Exceeded job memory limit\n")
    stub_slurm(
        tmp_path / "bin",
        monkeypatch,
        squeue="7|1|PENDING|Resources|\n9|0|RUNNING|None|n1\n",
        sacct="7_0|NODE_FAIL|0:0|n3\n7_1|PENDING|0:0|\n7_2|FAILED|0:9|n1\n",
    )
    statuses = by_width(directory)
    assert [statuses[width].state for width in (4, 8, 16)] == ["lost", "pending", "oom"]
    assert "7_0 ended as NODE_FAIL" in str(statuses[4].reason)
    assert "7_1 waits: Resources" in str(statuses[8].reason)
    assert statuses[16].log == str(log)


def test_a_record_from_before_the_submission_does_not_count(
    runs: tuple[PlannedRun, ...], leave: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(runs[0], "failed")
    queued(runs, 3, written_ago=-5)
    stub_slurm(tmp_path / "bin", monkeypatch, squeue="7|0|PENDING|Priority|\n7|1|RUNNING|None|n1\n")
    leave(runs[1], "failed")
    late = time.time() + 10
    os.utime(records.path_of(runs[1].config.directory, runs[1].run_id), (late, late))
    statuses = by_width(runs[0].config.directory)
    assert [statuses[width].state for width in (4, 8)] == ["pending", "failed"]


def test_without_slurm_a_note_says_what_is_unknown(
    runs: tuple[PlannedRun, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(runs[:2], 1)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    sweep = status.read_status(runs[0].config.directory)
    assert "cannot ask SLURM" in sweep.notes[0]
    states = {run.settings["model.width"]: run.state for run in sweep.runs}
    assert states == {4: "lost", 8: "pending", 16: "pending"}, "the array of the second was never queued"


def test_a_damaged_record_is_lost_and_a_missing_manifest_refused(
    runs: tuple[PlannedRun, ...], leave: Leave, tmp_path: Path
) -> None:
    leave(runs[0], "done")
    records.path_of(runs[0].config.directory, runs[0].run_id).write_text("{")
    first = by_width(runs[0].config.directory)[4]
    assert (first.state, "damaged" in str(first.reason)) == ("lost", True)
    with pytest.raises(ConfigError, match="no manifest"):
        status.read_status(tmp_path)


@pytest.mark.parametrize(("newer", "state"), [(0, "done"), (1, "lost")])
def test_a_record_of_a_newer_schema_is_not_done(
    newer: int, state: str, runs: tuple[PlannedRun, ...], leave: Leave
) -> None:
    leave(runs[0], "done")
    path = records.path_of(runs[0].config.directory, runs[0].run_id)
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + newer}'))
    first = by_width(runs[0].config.directory)[4]
    assert first.state == state
    assert first.reason == (records.newer_schema(path, SCHEMA + 1) if newer else None)


@pytest.mark.parametrize("text", [f'{{"schema": {SCHEMA + 1}, "state": "failed"}}', '{"schema'])
def test_what_a_rerun_would_meet_comes_before_a_dead_process(text: str, runs: tuple[PlannedRun, ...]) -> None:
    """A heartbeat that was left behind invites a rerun, which a record of a newer schema refuses."""
    path = records.path_of(runs[0].config.directory, runs[0].run_id)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    write_heartbeat(runs[0], attempt=2, pid=DEAD)
    first = by_width(runs[0].config.directory)[4]
    assert first.state == "lost"
    assert str(first.reason).startswith(f"{path}: ")
    assert "heartbeat" not in str(first.reason)


def test_a_record_that_cannot_be_read_is_not_missing(runs: tuple[PlannedRun, ...]) -> None:
    path = records.path_of(runs[0].config.directory, runs[0].run_id)
    path.mkdir(parents=True)
    first = by_width(runs[0].config.directory)[4]
    assert first.state == "lost"
    assert f"{path}: cannot be read (Is a directory)" in str(first.reason)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (None, "running"),
        (PermissionError(1, "another user's"), "running"),
        (ProcessLookupError(3, "gone"), "lost"),
    ],
)
def test_the_process_of_another_user_exists(
    answer: OSError | None, state: str, runs: tuple[PlannedRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heartbeat(runs[0], pid=4321)
    asked: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        asked.append((pid, number))
        if answer is not None:
            raise answer

    monkeypatch.setattr(os, "kill", kill)
    assert by_width(runs[0].config.directory)[4].state == state
    assert set(asked) == {(4321, 0)}, "signal 0 only asks"


@pytest.mark.parametrize(
    ("slurm_state", "written_after", "record", "state"),
    [
        ("PENDING", 10, "interrupted", "pending"),  # requeued: it will resume
        ("RUNNING", 10, "interrupted", "running"),  # started again
        ("COMPLETING", 10, "interrupted", "running"),
        ("REQUEUED", 10, "interrupted", "pending"),
        ("RUNNING", 10, "failed", "failed"),  # one run of several in the task
        ("RUNNING", -10, "failed", "running"),  # the record of the submission before
        ("PENDING", 10, "oom", "oom"),
        ("PENDING", -10, "oom", "pending"),
    ],
)
def test_a_requeued_task_waits_or_runs_whatever_its_interrupted_record_says(
    slurm_state: str,
    written_after: float,
    record: str,
    state: str,
    runs: tuple[PlannedRun, ...],
    leave: Leave,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queued(runs, 3, written_ago=100)
    leave(runs[0], record)
    written = time.time() - 100 + written_after
    os.utime(records.path_of(runs[0].config.directory, runs[0].run_id), (written, written))
    stub_slurm(tmp_path / "bin", monkeypatch, squeue=f"7|0|{slurm_state}|BeginTime|\n")
    first = by_width(runs[0].config.directory)[4]
    assert first.state == state
    if state == "pending":
        assert first.reason == "SLURM task 7_0 waits: BeginTime"
    if state == record:
        assert first.reason == f"{record} for the test"


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        ("CANCELLED by 1000", "interrupted"),
        ("PREEMPTED", "interrupted"),
        ("DEADLINE", "interrupted"),
        ("NODE_FAIL", "lost"),
        ("FAILED", "lost"),
        ("TIMEOUT", "lost"),
        ("COMPLETED", "lost"),
        ("OUT_OF_MEMORY", "oom"),
    ],
)
def test_a_lost_run_is_accounted_for_by_the_end_of_its_task(
    ended: str,
    state: str,
    runs: tuple[PlannedRun, ...],
    leave: Leave,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the first, which left a heartbeat and no record; the others are done, or never had a task."""
    queued(runs, 2)
    write_heartbeat(runs[0], pid=DEAD, age=300)
    leave(runs[1], "done")
    stub_slurm(tmp_path / "bin", monkeypatch, sacct=f"7_0|{ended}|0:15|n1\n7_1|CANCELLED|0:0|n1\n")
    statuses = by_width(runs[0].config.directory)
    assert [statuses[width].state for width in (4, 8, 16)] == [state, "done", "pending"]
    reason = str(statuses[4].reason)
    assert "last heartbeat 5 min ago; SLURM task 7_0 " in reason
    assert ("needed more memory" if state == "oom" else f"ended as {ended}, code 0:15") in reason
    assert statuses[8].reason is None


def test_only_lost_runs_with_a_task_ask_slurm(
    runs: tuple[PlannedRun, ...], leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended_tasks(jobs: list[str]) -> dict[object, object]:
        raise AssertionError(f"asked for {jobs}")

    monkeypatch.setattr(queue, "ended_tasks", ended_tasks)
    write_heartbeat(runs[0], pid=DEAD)
    leave(runs[1], "failed")
    statuses = by_width(runs[0].config.directory)
    assert [statuses[width].state for width in (4, 8, 16)] == ["lost", "failed", "pending"]


def test_the_terminal_shows_counts_and_runs_that_need_attention(
    runs: tuple[PlannedRun, ...], leave: Leave, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = runs[0].config.directory
    leave(runs[0], "done")
    leave(runs[1], "failed")
    write_heartbeat(runs[2])
    lines = list(status_table.lines(status.read_status(directory)))
    assert lines[0] == f"{directory}: 3 runs: 1 running, 1 failed, 1 done"
    assert lines[1].split()[0:2] == ["running", runs[2].run_id]
    assert lines[1].endswith("width=16  step 25 of 100, 30.0 s left")
    assert lines[3].strip() == "failed for the test"
    assert len(lines) == 4
    assert main.main(["status", str(directory), "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"] == {"running": 1, "failed": 1, "done": 1}
    assert {run["run_id"] for run in shown["cells"]} == {run.run_id for run in runs}


def test_retry_selects_states(runs: tuple[PlannedRun, ...], leave: Leave) -> None:
    directory = runs[0].config.directory
    leave(runs[0], "oom")
    leave(runs[1], "failed")

    def chosen(text: str | None) -> list[int | None]:
        selected = retry.select(runs, directory, retry.parse_states(text))
        return [run.config.model.width for run in selected]

    assert chosen(None) == [8, 16]
    assert chosen("oom") == [4, 16]
    assert chosen("oom, failed,lost") == [4, 8, 16]
    leave(runs[2], "done")
    assert chosen("diverged") == []
    with pytest.raises(ConfigError, match="--retry done: give one or more of"):
        retry.parse_states("failed,done")


@pytest.mark.torch
def test_a_retried_run_is_trained_again(runs: tuple[PlannedRun, ...], leave: Leave) -> None:
    directory = runs[0].config.directory
    for run in runs:
        leave(run, "oom")
    command = ["sweep", "model.width=4,8,16", "model.depth=1", "schedule.epochs=1", "launch.threads=1"]
    command += [f"out={directory}", "sweep.name=again"]
    assert main.main(command) == 1
    assert status.read_status(directory).counts == {"oom": 3}
    assert main.main([*command, "--retry", "oom", "--dry-run"]) == 0
    assert status.read_status(directory).counts == {"oom": 3}, "a dry run changes nothing"
    assert main.main([*command, "--retry", "oom"]) == 0
    assert status.read_status(directory).counts == {"done": 3}
    assert {run.attempt for run in status.read_status(directory).runs} == {2}


def test_ten_thousand_runs_would_take_under_three_seconds(
    make_config: MakeConfig, done_record: Record
) -> None:
    """2,000 of them in a fifth of the time, in CPU seconds because other processes may be running."""
    runs = grid.expand(make_config("seed=range(0,2000)"))
    directory = runs[0].config.directory
    grid.write_manifest(runs, directory)
    text = records.write(done_record, directory).read_bytes()
    for run in runs[1:]:
        records.path_of(directory, run.run_id).write_bytes(text)
    taken = []
    for _ in range(3):
        began = time.process_time()
        sweep = status.read_status(directory)
        taken.append(time.process_time() - began)
    assert sweep.counts["done"] >= 1_999
    assert min(taken) < 0.6
