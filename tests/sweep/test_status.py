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
from isoflop.record import Record, heartbeat
from isoflop.record.heartbeat import Heartbeat, HeartbeatWriter
from isoflop.sweep import grid, retry, status
from isoflop.sweep.grid import Cell
from isoflop.sweep.slurm import submission
from isoflop.sweep.slurm.submission import Chunk, Submission
from isoflop.sweep.status import CellStatus

MakeConfig = Callable[..., Config]
Leave = Callable[..., None]
DEAD = 2**22 + 1
"""No process has this number: it is above the kernel's greatest."""


@pytest.fixture
def cells(make_config: MakeConfig) -> tuple[Cell, ...]:
    made = grid.expand(make_config("model.width=4,8,16"))
    grid.write_manifest(made, made[0].config.directory)
    return made


@pytest.fixture
def leave(done_record: Record) -> Leave:
    """leave(cell, "failed"): a record of the cell in that state."""

    def write(cell: Cell, state: Any, attempt: int = 1, run_id: str | None = None) -> None:
        reason = None if state == "done" else f"{state} for the test"
        made = dataclasses.replace(
            done_record, run_id=run_id or cell.run_id, state=state, attempt=attempt, reason=reason
        )
        records.write(made, cell.config.directory)

    return write


def sign(
    cell: Cell, attempt: int = 1, pid: int | None = None, host: str | None = None, age: float = 0
) -> None:
    last = Heartbeat(attempt, 25, 100, 10.0, host or socket.gethostname(), pid or os.getpid(), None)
    HeartbeatWriter(cell.config.directory, cell.run_id).write(last)
    path = heartbeat.path_of(cell.config.directory, cell.run_id)
    os.utime(path, (time.time() - age, time.time() - age))


def queued(cells: tuple[Cell, ...], tasks: int, written_ago: float = 0) -> None:
    """A submission of the cells as job 7, whose first `tasks` tasks were taken."""
    directory = cells[0].config.directory
    name = submission.open_new(cells, directory)
    made = Submission(name, 0, "now", len(cells), 1, "source", (Chunk("7", 1, tasks),))
    submission.write(made, directory)
    then = time.time() - written_ago
    os.utime(submission.cells_path(directory, name), (then, then))


def slurm_says(folder: Path, monkeypatch: pytest.MonkeyPatch, *, squeue: str = "", sacct: str = "") -> None:
    """Commands that answer as SLURM's own."""
    folder.mkdir(exist_ok=True)
    for name, text in (("squeue", squeue), ("sacct", sacct)):
        (folder / f"{name}.txt").write_text(text)
        (folder / name).write_text(f'#!/bin/sh\ncat "{folder}/{name}.txt"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def by_width(directory: Path) -> dict[int, CellStatus]:
    return {cell.settings["model.width"]: cell for cell in status.read(directory).cells}


def test_records_and_signs_of_life_tell_states(cells: tuple[Cell, ...], leave: Leave) -> None:
    directory = cells[0].config.directory
    leave(cells[0], "done")
    leave(cells[1], "diverged")
    sign(cells[2])
    found = by_width(directory)
    assert [found[width].state for width in (4, 8, 16)] == ["done", "diverged", "running"]
    assert found[8].reason == "diverged for the test"
    assert (found[16].share_done, found[16].seconds_left) == (0.25, 30.0)
    assert status.read(directory).counts == {"running": 1, "diverged": 1, "done": 1}


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
def test_a_process_is_there_or_was_lately(
    pid: int | None, host: str | None, age: float, state: str, cells: tuple[Cell, ...]
) -> None:
    sign(cells[0], pid=pid, host=host, age=age)
    found = by_width(cells[0].config.directory)[4]
    assert found.state == state
    assert (found.reason is None) == (state == "running")


def test_the_newer_attempt_counts(cells: tuple[Cell, ...], leave: Leave) -> None:
    leave(cells[0], "interrupted", attempt=1)
    sign(cells[0], attempt=1, pid=DEAD)
    leave(cells[1], "interrupted", attempt=1)
    sign(cells[1], attempt=2, pid=DEAD)
    leave(cells[2], "failed", attempt=1)
    sign(cells[2], attempt=2)
    found = by_width(cells[0].config.directory)
    assert [found[width].state for width in (4, 8, 16)] == ["interrupted", "lost", "running"]
    assert found[8].attempt == 2


def test_a_cell_with_cooldowns_is_done_when_every_point_is(make_config: MakeConfig, leave: Leave) -> None:
    (cell,) = grid.expand(make_config("seed=range(0,1)", "schedule.cooldowns=[0.5,1]"))
    directory = cell.config.directory
    grid.write_manifest((cell,), directory)
    half, whole = cell.config.point_ids.values()
    leave(cell, "done", run_id=half)
    assert status.read(directory).counts == {"pending": 1}
    leave(cell, "oom", run_id=whole)
    assert status.read(directory).counts == {"oom": 1}
    leave(cell, "done", run_id=whole)
    assert status.read(directory).counts == {"done": 1}


def test_slurm_says_what_waits_and_how_the_rest_ended(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(cells, 3)
    directory = cells[0].config.directory
    log = directory / "logs/slurm-7_2.out"
    log.parent.mkdir()
    log.write_text("task 7_2 on n1\nslurmstepd: error: Exceeded job memory limit\n")
    slurm_says(
        tmp_path / "bin",
        monkeypatch,
        squeue="7|1|PENDING|Resources|\n9|0|RUNNING|None|n1\n",
        sacct="7_0|NODE_FAIL|0:0|n3\n7_1|PENDING|0:0|\n7_2|FAILED|0:9|n1\n",
    )
    found = by_width(directory)
    assert [found[width].state for width in (4, 8, 16)] == ["lost", "pending", "oom"]
    assert "7_0 ended as NODE_FAIL" in str(found[4].reason)
    assert "7_1 waits: Resources" in str(found[8].reason)
    assert found[16].log == str(log)


def test_a_record_from_before_the_submission_does_not_count(
    cells: tuple[Cell, ...], leave: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(cells[0], "failed")
    queued(cells, 3, written_ago=-5)
    slurm_says(tmp_path / "bin", monkeypatch, squeue="7|0|PENDING|Priority|\n7|1|RUNNING|None|n1\n")
    leave(cells[1], "failed")
    late = time.time() + 10
    os.utime(records.path_of(cells[1].config.directory, cells[1].run_id), (late, late))
    found = by_width(cells[0].config.directory)
    assert [found[width].state for width in (4, 8)] == ["pending", "failed"]


def test_without_slurm_it_says_what_it_cannot_know(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(cells[:2], 1)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    found = status.read(cells[0].config.directory)
    assert "SLURM does not say" in found.notes[0]
    states = {cell.settings["model.width"]: cell.state for cell in found.cells}
    assert states == {4: "lost", 8: "pending", 16: "pending"}, "the array of the second was never taken"


def test_a_damaged_record_is_lost_and_a_missing_manifest_refused(
    cells: tuple[Cell, ...], leave: Leave, tmp_path: Path
) -> None:
    leave(cells[0], "done")
    records.path_of(cells[0].config.directory, cells[0].run_id).write_text("{")
    found = by_width(cells[0].config.directory)[4]
    assert (found.state, "damaged" in str(found.reason)) == ("lost", True)
    with pytest.raises(ConfigError, match="no manifest"):
        status.read(tmp_path)


def test_the_terminal_shows_counts_and_what_needs_a_look(
    cells: tuple[Cell, ...], leave: Leave, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = cells[0].config.directory
    leave(cells[0], "done")
    leave(cells[1], "failed")
    sign(cells[2])
    lines = list(status_table.lines(status.read(directory)))
    assert lines[0] == f"{directory}: 3 cells: 1 running, 1 failed, 1 done"
    assert lines[1].split()[0:2] == ["running", cells[2].run_id]
    assert lines[1].endswith("width=16  25% done, 0:30 left")
    assert lines[3].strip() == "failed for the test"
    assert len(lines) == 4
    assert main.main(["status", str(directory), "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"] == {"running": 1, "failed": 1, "done": 1}
    assert {cell["run_id"] for cell in shown["cells"]} == {cell.run_id for cell in cells}


def test_retry_names_the_states_to_run_again(cells: tuple[Cell, ...], leave: Leave) -> None:
    directory = cells[0].config.directory
    leave(cells[0], "oom")
    leave(cells[1], "failed")

    def chosen(text: str | None) -> list[int | None]:
        found = retry.select(cells, directory, retry.states(text))
        return [cell.config.model.width for cell in found]

    assert chosen(None) == [8, 16]
    assert chosen("oom") == [4, 16]
    assert chosen("oom, failed,lost") == [4, 8, 16]
    leave(cells[2], "done")
    assert chosen("diverged") == []
    with pytest.raises(ConfigError, match="--retry done: give one or more of"):
        retry.states("failed,done")


def test_a_retried_cell_runs_again(cells: tuple[Cell, ...], leave: Leave) -> None:
    directory = cells[0].config.directory
    for cell in cells:
        leave(cell, "oom")
    command = ["sweep", "model.width=4,8,16", "model.depth=1", "schedule.epochs=1", "launch.threads=1"]
    command += [f"out={directory}", "sweep.name=again"]
    assert main.main(command) == 1
    assert status.read(directory).counts == {"oom": 3}
    assert main.main([*command, "--retry", "oom", "--dry-run"]) == 0
    assert status.read(directory).counts == {"oom": 3}, "a dry run changes nothing"
    assert main.main([*command, "--retry", "oom"]) == 0
    assert status.read(directory).counts == {"done": 3}
    assert {cell.attempt for cell in status.read(directory).cells} == {2}


def test_ten_thousand_cells_would_take_under_three_seconds(
    make_config: MakeConfig, done_record: Record
) -> None:
    """A fifth of them in a fifth of the time, in seconds of the processor: others may be using it too."""
    cells = grid.expand(make_config("seed=range(0,2000)"))
    directory = cells[0].config.directory
    grid.write_manifest(cells, directory)
    text = records.write(done_record, directory).read_bytes()
    for cell in cells[1:]:
        records.path_of(directory, cell.run_id).write_bytes(text)
    taken = []
    for _ in range(3):
        began = time.process_time()
        found = status.read(directory)
        taken.append(time.process_time() - began)
    assert found.counts["done"] >= 1_999
    assert min(taken) < 0.6
