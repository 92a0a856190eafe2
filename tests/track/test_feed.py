"""Trackers: what reaches them, and that none of them can stop, slow or change a run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop import extras
from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config
from isoflop.record import CurvePoint, Record
from isoflop.runner import run
from isoflop.table.power_rows import power_rows
from isoflop.track import feed as tracker
from isoflop.track import resend as tracker_resend

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
WAIT_SECONDS = 60.0

OWN = '''
import json, os, sys, time
from pathlib import Path

class Keeper:
    """Writes every call to a file."""
    def begin(self, run):
        self.path = Path(run.directory) / f"events-{run.run_id}-{run.attempt}.jsonl"
        self.path.write_text("")
        self.write(begin=run.sweep, label=run.label, width=run.identity["model"]["width"], pid=os.getpid())
    def write(self, **event):
        with self.path.open("a") as file:
            file.write(json.dumps(event) + chr(10))
    def point(self, point, steps_done):
        self.write(examples=point.examples, val_error=point.val_error, step=point.step, steps_done=steps_done)
    def interval(self, interval, steps_done):
        self.trained = getattr(self, "trained", 0) + 1
        self.last = (interval.step, interval.train_loss, interval.watts, steps_done)
    def end(self, ending):
        if hasattr(self, "trained"):
            self.write(intervals=self.trained, last=self.last)
        records = [(r.run_id, r.error and r.error.test) for r in ending.records]
        self.write(end=ending.state, records=records, files=[p.name for p in ending.files])

class Hangs(Keeper):
    def begin(self, run):
        while True:
            time.sleep(1)

class Slow(Keeper):
    def begin(self, run):
        super().begin(run)
        until = time.process_time() + 2
        while time.process_time() < until:
            pass

class Once(Keeper):
    """Fails in the first process of a run."""
    def begin(self, run):
        marker = Path(run.directory) / f"failed-{run.run_id}"
        if not marker.exists():
            marker.touch()
            raise OSError("no room")
        super().begin(run)

class Raises(Keeper):
    def begin(self, run):
        raise OSError("No space left on device")

class Dies(Keeper):
    def begin(self, run):
        os._exit(9)

class Loud(Keeper):
    def point(self, point, steps_done):
        raise RuntimeError("no such metric")
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[str, ...]]]:
    """own("Keeper") -> overrides that name a tracker of a module of the user's."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "own_trackers.py").write_text(OWN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(folder))
    yield lambda name: ("tracker=custom", f"tracker.path=own_trackers:{name}", "tracker.wait_seconds=20")
    sys.modules.pop("own_trackers", None)


def events(directory: Path) -> list[dict[str, Any]]:
    (path,) = directory.glob("events-*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def point(step: int) -> CurvePoint:
    return CurvePoint(step, 32 * step, 0.1, 0.5, 1.0, None, "not counted", None, "not metered")


def same(one: Record, two: Record) -> bool:
    return (one.error, one.loss, len(one.curve)) == (two.error, two.loss, len(two.curve))


def test_a_tracker_of_ones_own_gets_what_the_record_holds(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]]
) -> None:
    config = make_config(*own("Keeper"))
    (record,) = run.run(config)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    first, *points, trained, last = events(config.directory)
    assert (first["begin"], first["label"], first["width"]) == (config.directory.name, "mlp w8 d1", 8)
    assert first["pid"] != os.getpid()
    assert [(p["examples"], p["val_error"], p["step"]) for p in points] == [
        (p.examples, p.val_error, p.step) for p in record.curve
    ]
    assert record.intervals
    end = record.intervals[-1]
    assert trained == {
        "intervals": len(record.intervals),
        "last": [end.end_step, end.mean_loss, end.watts, end.end_step],
    }
    assert record.error is not None
    assert last == {
        "end": "done",
        "records": [[record.run_id, record.error.test]],
        "files": [f"{record.run_id}.json"],
    }


def test_the_tracker_to_copy_writes_lines(make_config: MakeConfig) -> None:
    config = make_config("tracker=custom")
    (record,) = run.run(config)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    text = (config.directory / "lines" / f"{config.run_id}.jsonl").read_text()
    first, *rows, last = map(json.loads, text.splitlines())
    assert first["cell"] == config.identity
    points = [line["point"] for line in rows if "point" in line]
    assert [point["val_loss"] for point in points] == [p.val_loss for p in record.curve]
    trained = [line["interval"] for line in rows if "interval" in line]
    assert record.intervals
    assert [each["train_loss"] for each in trained] == [each.mean_loss for each in record.intervals]
    assert record.error is not None
    assert last["summary"]["test_error"] == record.error.test


def test_cooldowns_are_one_run_whose_steps_never_fall(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]]
) -> None:
    config = make_config(*own("Keeper"), "schedule.epochs=2", "schedule.cooldowns=[0.5,1]")
    finished = run.run(config)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    _, *points, trained, last = events(config.directory)
    assert trained["last"][0] < trained["last"][-1], "steps of both branches"
    done = [p["steps_done"] for p in points]
    assert done == sorted(done)
    assert [p["step"] for p in points] != sorted(p["step"] for p in points)
    assert [run_id for run_id, _ in last["records"]] == [r.run_id for r in finished]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Raises", "OSError: No space left on device"),
        ("Dies", "ended with exit code 9"),
        ("Loud", "RuntimeError: no such metric"),
        ("Absent", "AttributeError"),
    ],
)
def test_a_tracker_that_fails_costs_one_line(
    make_config: MakeConfig,
    own: Callable[[str], tuple[str, ...]],
    capfd: pytest.CaptureFixture[str],
    done_record: Record,
    name: str,
    message: str,
) -> None:
    config = make_config(*own(name))
    (record,) = run.run(config)
    assert same(record, done_record), "training is the same to the last bit"
    assert tracker.wait(config.directory, WAIT_SECONDS)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("isoflop: tracker")]
    assert len(lines) == 1
    assert message in lines[0]


def test_a_tracker_that_hangs_is_given_up_after_its_time(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    config = make_config(*own("Hangs"), "tracker.wait_seconds=1")
    assert run.run(config)[0].state == "done"
    assert tracker.wait(config.directory, WAIT_SECONDS)
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(r"tracker custom: no progress for 1\.?\d* s, .* s after the run: given up", line)
    assert tracker_resend.missing(config.tracker, config.directory) == (
        "tracker custom: 1 run is not complete there: run the same command again to send what is done from "
        "the records, without training"
    )


def test_a_tracker_that_works_longer_than_its_time_is_waited_for(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    config = make_config(*own("Slow"), "tracker.wait_seconds=0.5")
    run.run(config)
    assert tracker.wait(config.directory, tracker.longest_wait(config.tracker))
    assert events(config.directory)[-1]["end"] == "done"
    assert "given up" not in capfd.readouterr().err
    assert tracker_resend.missing(config.tracker, config.directory) is None


def test_what_a_tracker_lost_is_sent_again_from_the_record(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]]
) -> None:
    """Two horizons, whose curves share a trunk: each evaluation is sent once, in the order of training."""
    settings = ("schedule.epochs=2", "schedule.cooldowns=[0.5,1]")
    config = make_config(*own("Hangs"), *settings, "tracker.wait_seconds=0.2")
    finished = run.run(config)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    kept = make_config(*own("Keeper"), *settings)
    assert tracker_resend.send_again([kept], config.directory) == 1
    assert tracker.wait(config.directory, WAIT_SECONDS)
    _, *points, trained, last = events(config.directory)
    assert trained["intervals"] == len({each for record in finished for each in record.intervals or ()})
    steps = [p["steps_done"] for p in points]
    assert steps == sorted(set(steps))
    assert len(points) == len({point for record in finished for point in record.curve})
    assert last["end"] == "done"
    assert tracker_resend.send_again([kept], config.directory) == 0
    assert tracker_resend.missing(kept.tracker, config.directory) is None


def test_a_sweep_says_what_a_tracker_lost_and_the_same_command_repairs_it(
    own: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "swept"
    command = ["sweep", "data=digits", "model.width=4,8", "model.depth=1", "schedule.epochs=1", f"out={out}"]
    command += [*own("Once"), "tracker.wait_seconds=5", "sweep.name=lost"]

    def sweep() -> subprocess.CompletedProcess[str]:
        # A process of its own: a fork server that another test has left has the PYTHONPATH of that one.
        line = [sys.executable, "-m", "isoflop", *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=300, check=True)

    assert "tracker custom: 2 runs are not complete there" in sweep().stderr
    assert not list(out.glob("events-*"))
    said = sweep()
    assert "2 runs sent again from their records" in said.stdout
    assert "not complete" not in said.stderr
    assert len(list(out.glob("events-*"))) == 2


def test_a_tracker_that_is_stopped_takes_no_time_and_loses_events(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Far more than a pipe holds, to a process that reads nothing."""
    config = make_config(*own("Keeper"))
    feed = tracker.Feed(config)
    feed.begin(1)
    assert feed._process is not None
    pid = feed._process.pid
    os.kill(pid, signal.SIGSTOP)
    clock = time.perf_counter()
    for step in range(5000):
        feed.point(point(step), step)
    assert time.perf_counter() - clock < 2
    feed.end(())
    assert "events were dropped: it did not keep up" in capfd.readouterr().err
    os.kill(pid, signal.SIGKILL)
    assert tracker.wait(config.directory, WAIT_SECONDS)


def test_a_run_that_is_killed_ends_its_tracker(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]]
) -> None:
    config = make_config(*own("Keeper"))
    with tracker.Feed(config) as feed:
        feed.begin(1)
        feed.point(point(3), 3)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    assert events(config.directory)[-1] == {"end": "killed", "records": [], "files": []}


@pytest.mark.parametrize(("attempt", "state"), [(1, "done"), (2, "killed")])
def test_a_run_that_is_killed_after_its_record_was_written_has_ended_as_it_says(
    make_config: MakeConfig,
    own: Callable[[str], tuple[str, ...]],
    done_record: Record,
    attempt: int,
    state: str,
) -> None:
    """The record is the first attempt's: it says nothing of the end of a second one."""
    config = make_config(*own("Keeper"))
    assert done_record.run_id == config.run_id
    assert done_record.attempt == 1
    with tracker.Feed(config) as feed:
        feed.begin(attempt)
        records.write(done_record, config.directory)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    end = events(config.directory)[-1]
    assert end["end"] == state
    assert len(end["records"]) == len(end["files"]) == (state == "done")


def test_waiting_is_bounded_and_sees_the_trackers_of_other_processes(
    make_config: MakeConfig, own: Callable[[str], tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(*own("Hangs"), "tracker.wait_seconds=2")
    assert tracker.wait(config.directory, 0), "nothing has begun"
    with tracker.Feed(config) as feed:
        feed.begin(1)
    known = list(tracker._RUNNING)
    monkeypatch.setattr(tracker, "_RUNNING", [])
    assert not tracker.wait(config.directory, 0.1)
    assert tracker.wait(config.directory, WAIT_SECONDS)
    for _, process in known:
        process.wait()


def test_curves_that_cannot_be_written_cost_a_line(
    make_config: MakeConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    config = make_config("tracker=csv")
    config.directory.mkdir()
    (config.directory / "curves").write_text("a file in the way")
    assert run.run(config)[0].state == "done"
    assert "isoflop: tracker csv:" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("tracker=custom", "tracker.path=no_colon"), "my.module:Tracker"),
        (("tracker=custom", "tracker.path=isoflop_absent:Tracker"), "no module isoflop_absent"),
        (("tracker=csv", "tracker.mode=offline"), "takes no mode"),
        (("tracker=csv", "tracker.entity=me"), "takes no entity"),
        (("tracker=wandb", "tracker.mode=sometimes"), "online, offline, disabled"),
        (("tracker=wandb", "tracker.project=null"), "needs project"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    assert main.main(["run", *overrides, f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_there_is_named(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tracker.NEEDS, "wandb", ("isoflop_absent",))
    monkeypatch.setitem(extras.PACKAGES, "isoflop_absent", ("wandb", "wandb"))
    (tmp_path / "isoflop_absent").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    needs = r"^tracker=wandb needs wandb, which is not installed: pip install 'isoflop\[wandb\]'$"
    with pytest.raises(extras.MissingExtraError, match=needs):
        run.run(make_config("tracker=wandb", "tracker.mode=offline"))
    assert run.run(make_config("tracker=wandb", "tracker.mode=disabled"))[0].state == "done"


def test_the_power_trace_keeps_its_mean_and_its_time(tmp_path: Path) -> None:
    lines = [{"uuid": "GPU-a", "name": "A", "power_field": "instant", "board": "GPU-a", "mig": False}]
    for k in range(2000):
        lines.append({"time": 100 + 0.1 * k, "uuid": "GPU-a", "watts": 100.0 + (k % 2), "joules": 10.0 * k})
        lines.append({"time": 100 + 0.1 * k, "uuid": "cpu", "joules": 5.0 * k})
    path = tmp_path / "polls.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"time": 3')
    rows = power_rows(path, most=100)
    assert len(rows) == 100
    assert rows[-1]["power/seconds"] == pytest.approx(199.9, abs=2)
    assert all(row["power/device_0_watts"] == pytest.approx(100.5, abs=0.1) for row in rows)
    assert all(row["power/device_1_watts"] == pytest.approx(50, abs=0.1) for row in rows)
    assert power_rows(tmp_path / "absent.jsonl") == power_rows(None) == []
