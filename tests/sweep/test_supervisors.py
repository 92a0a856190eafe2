"""Who works on a sweep: announced while it is planned and trained, gone afterwards, and read by status."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.cli import main
from isoflop.cli.terminal import status_table, watch
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.sweep import grid, status, supervisors
from isoflop.sweep.supervisors import Supervisor, announced

MakeConfig = Callable[..., Config]
DEAD = 2**22 + 1


def leave(directory: Path, *, host: str, pid: int, age: float = 0.0) -> Path:
    """Leave the file of a process as one that was killed does."""
    path = directory / supervisors.FOLDER / f"{host}-{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Supervisor("planning", 12, 54, "ada", host, pid, "isoflop sweep sweep=ladder", 10.0)
    path.write_text(json.dumps({name: getattr(made, name) for name in made.__struct_fields__}))
    os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    return path


def test_planning_is_seen_before_there_is_a_manifest(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "sweep"
    with pytest.raises(ConfigError, match="give the folder of a sweep"):
        status.read_status(directory)
    with announced(directory, "planning", 54) as announce:
        announce._written_at = float("-inf")
        announce(12)
        states = status.read_status(directory)
        (line,) = status_table.lines(states)
    assert line.startswith(f"{directory}: planning 12 of 54 runs, for ")
    assert f" on {socket.gethostname()}, process {os.getpid()}: " in line
    assert not (tmp_path / "new").exists(), "folders that were made for it are gone"


def test_a_folder_that_holds_something_stays(tmp_path: Path) -> None:
    with announced(tmp_path / "sweep", "training", 2):
        (tmp_path / "sweep/manifest.jsonl").touch()
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["manifest.jsonl"]


def test_a_folder_that_cannot_be_written_costs_only_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with announced(tmp_path / "file" / "sweep", "training", 2) as announce:
        announce(1)


@pytest.mark.parametrize(
    ("host", "pid", "age", "seen"),
    [
        (None, None, 1_000.0, True),
        (None, DEAD, 0.0, False),
        ("elsewhere", 1, 5.0, True),
        ("elsewhere", 1, 1_000.0, False),
    ],
)
def test_the_dead_do_not_count(
    host: str | None, pid: int | None, age: float, seen: bool, tmp_path: Path
) -> None:
    leave(tmp_path, host=host or socket.gethostname(), pid=pid or os.getpid(), age=age)
    found = supervisors.active(tmp_path)
    assert bool(found) == seen
    assert all(age <= each.seconds - 10.0 <= age + 60.0 for each in found), "its file is so old"


def test_the_next_sweep_removes_what_dead_processes_left_here(tmp_path: Path) -> None:
    ours = leave(tmp_path, host=socket.gethostname(), pid=DEAD)
    others = leave(tmp_path, host="elsewhere", pid=DEAD, age=1_000.0)
    with announced(tmp_path, "planning", 1):
        assert (ours.exists(), others.exists()) == (False, True)


def test_a_damaged_file_is_nobody(tmp_path: Path) -> None:
    leave(tmp_path, host=socket.gethostname(), pid=os.getpid()).write_text('{"phase"')
    assert supervisors.active(tmp_path) == ()


class Looks:
    """A clock, and a sleep that lets something happen between two looks."""

    def __init__(self, *events: Callable[[], Any]) -> None:
        self.now, self.events = 0.0, list(events)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.events:
            self.events.pop(0)()


def test_a_watch_lasts_until_every_run_has_ended(
    make_config: MakeConfig, leave_record: Callable[..., None]
) -> None:
    runs = grid.expand(make_config("model.width=4,8"))
    directory = runs[0].config.directory
    with announced(directory, "planning", 2):
        states = status.read_status(directory)
        shown: list[dict[str, int]] = []
        looks = Looks(
            lambda: grid.write_manifest(runs, directory),
            lambda: leave_record(runs[0], "done"),
            lambda: leave_record(runs[1], "failed"),
            lambda: (directory / supervisors.FOLDER / f"{socket.gethostname()}-{os.getpid()}.json").unlink(),
        )
        states = watch.follow(
            directory, states, lambda now: shown.append(now.counts), looks.clock, looks.sleep
        )
    assert shown == [{}, {"pending": 2}, {"pending": 1, "done": 1}, {"failed": 1, "done": 1}]
    assert watch.exit_code(states) == 1


def test_a_watch_ends_where_nobody_works(make_config: MakeConfig) -> None:
    runs = grid.expand(make_config("model.width=4,8"))
    directory = runs[0].config.directory
    grid.write_manifest(runs, directory)
    looks = Looks()
    states = watch.follow(
        directory, status.read_status(directory), lambda now: None, looks.clock, looks.sleep
    )
    assert watch.IDLE_SECONDS <= looks.now < watch.IDLE_SECONDS + 2 * watch.PAUSE_SECONDS
    assert watch.exit_code(states) == 75


def test_a_sweep_whose_planning_fails_does_not_count_as_done(tmp_path: Path) -> None:
    looks = Looks()
    with announced(tmp_path, "planning", 2):
        states = status.read_status(tmp_path)
    after = watch.follow(tmp_path, states, lambda now: None, looks.clock, looks.sleep)
    assert looks.now >= watch.IDLE_SECONDS
    assert watch.exit_code(after) == 75


@pytest.fixture
def leave_record(done_record: Record) -> Callable[..., None]:
    import dataclasses

    from isoflop import record as records

    def write(run: grid.PlannedRun, state: Any) -> None:
        reason = None if state == "done" else "for the test"
        made = dataclasses.replace(done_record, run_id=run.run_id, state=state, reason=reason)
        records.write(made, run.config.directory)

    return write


def test_a_finished_folder_is_one_line(
    make_config: MakeConfig, leave_record: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = grid.expand(make_config("model.width=4,8"))
    directory = runs[0].config.directory
    grid.write_manifest(runs, directory)
    for run in runs:
        leave_record(run, "done")
    assert main.main(["status", str(directory), "--watch"]) == 0
    assert capsys.readouterr() == (f"{directory}: 2 runs: 2 done\n", "")
    leave_record(runs[1], "failed")
    assert main.main(["status", str(directory), "--watch"]) == 1
    assert capsys.readouterr() == (f"{directory}: 2 runs: 1 failed, 1 done\n", "")


def test_an_empty_folder_and_json_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([str(tmp_path), "--watch"], [str(tmp_path / "none"), "--watch"]):
        assert main.main(["status", *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert "no manifest.jsonl and no records" in lines[0]
    assert main.main(["status", str(tmp_path), "--watch", "--json", "-"]) == 2
    assert "give one of them" in capsys.readouterr().err
