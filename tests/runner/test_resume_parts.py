"""The parts of going on after an interruption: which checkpoint counts, what was lost, what is kept."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec.structs import replace

from isoflop import record as records
from isoflop import signals
from isoflop.config import Config, ConfigError
from isoflop.meter.energy.polls import Window
from isoflop.record import Record, heartbeat
from isoflop.runner import attempt, checkpoint, checkpoint_check, energy, provenance, session
from isoflop.runner.checkpoint import Checkpoint
from isoflop.runner.checkpoint_check import PRESENT, TRUNK
from isoflop.runner.state import TrainingState
from isoflop.signals import InterruptedRunError
from isoflop.train import snapshot_file
from isoflop.train.loop import DivergedError
from isoflop.train.state import Snapshot

MakeConfig = Callable[..., Config]
HORIZONS = ("schedule=steps", "schedule.epochs=null", "schedule.steps=24", "schedule.cooldowns=[0.25,0.5,1]")


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    """A run of three points."""
    return make_config(*HORIZONS)


def snapshot(step: int) -> Snapshot:
    return Snapshot(step, (torch.full((2,), float(step)),), torch.get_rng_state(), None)


def saved(config: Config, step: int, **changed: Any) -> TrainingState:
    state = TrainingState(run_id=config.run_id, **({"steps_done": step} | changed))
    assert checkpoint.save(config, Checkpoint(state, {PRESENT: snapshot(step)}))
    return state


@pytest.fixture
def load(config: Config, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Checkpoint | None]:
    """load() -> the checkpoint that a trainer of two weights would go on from; any step is one of the run."""
    monkeypatch.setattr(checkpoint_check, "problem", lambda state, snapshots, plan: None)
    trainer: Any = types.SimpleNamespace(snapshot=lambda: snapshot(0), device=torch.device("cpu"))
    plan: Any = None
    return lambda: checkpoint.load(config, trainer, plan)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("isoflop: ") for line in capsys.readouterr().err.splitlines()]


# ---- the checkpoint


def test_the_newest_checkpoint_counts(
    config: Config, load: Callable[[], Checkpoint | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert load() is None
    assert checkpoint.read_state(config) is None
    for step in (5, 9):
        state = saved(config, step)
    found = load()
    assert found is not None
    assert (found.state, found.snapshots[PRESENT].step) == (state, 9)
    assert checkpoint.read_state(config) == state
    assert said(capsys) == []
    assert checkpoint.path_of(config) == config.directory / "checkpoints" / f"{config.run_id}.pt"


def test_a_damaged_one_gives_way_to_the_one_before_and_then_to_the_start(
    config: Config, load: Callable[[], Checkpoint | None], capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (5, 9):
        saved(config, step)
    newest, older = snapshot_file.generations(checkpoint.path_of(config))
    newest.write_bytes(newest.read_bytes()[:-1])
    found = load()
    assert found is not None
    assert found.state.steps_done == 5
    damaged = "damaged (its SHA-256 differs)"
    assert said(capsys) == [
        f"checkpoint {newest} is not used: {damaged}",
        f"run {config.run_id} goes on from the checkpoint before, {older}",
    ]
    state = checkpoint.read_state(config)
    assert state is not None
    assert state.steps_done == 5
    assert said(capsys) == [], "the state alone is read in silence"
    older.write_bytes(b"")
    assert load() is None
    assert said(capsys) == [
        f"checkpoint {newest} is not used: {damaged}",
        f"checkpoint {older} is not used: {damaged}",
        f"run {config.run_id} starts from its first step",
    ]


def test_a_checkpoint_that_is_missing_is_not_spoken_of(
    config: Config, load: Callable[[], Checkpoint | None], capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (5, 9):
        saved(config, step)
    newest, _ = snapshot_file.generations(checkpoint.path_of(config))
    newest.unlink()
    found = load()
    assert found is not None
    assert found.state.steps_done == 5
    assert said(capsys) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run_id": "another"}, "of another run, another"),
        ({"horizon_index": 1}, "earlier points have lost their records"),
    ],
)
def test_one_that_is_not_this_runs_does_not_count(
    change: dict[str, Any],
    reason: str,
    config: Config,
    load: Callable[[], Checkpoint | None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = replace(saved(config, 9), **change)
    checkpoint.save(config, Checkpoint(state, {PRESENT: snapshot(9)}))
    found = load()
    assert found is not None, "the one before"
    assert said(capsys)[0] == f"checkpoint {checkpoint.path_of(config)} is not used: {reason}"


def test_one_of_another_network_does_not_count(
    config: Config, load: Callable[[], Checkpoint | None], capsys: pytest.CaptureFixture[str]
) -> None:
    other = dataclasses.replace(snapshot(9), tensors=(torch.zeros(3),))
    state = TrainingState(run_id=config.run_id, steps_done=9)
    for snapshots in ({PRESENT: other}, {PRESENT: snapshot(9), TRUNK: other}):
        checkpoint.save(config, Checkpoint(state, snapshots))
        assert load() is None
        assert said(capsys)[0].endswith("is not used: of another network, optimizer or kind of device")


def test_numbers_that_no_run_reaches_are_refused(
    config: Config,
    load: Callable[[], Checkpoint | None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved(config, 9)
    monkeypatch.setattr(checkpoint_check, "problem", lambda state, snapshots, plan: "step=-5")
    assert load() is None
    assert said(capsys)[0].endswith("is not used: step=-5")


def test_a_header_that_is_no_state_is_refused(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot_file.save(checkpoint.path_of(config), "{}", {PRESENT: snapshot(1)})
    assert checkpoint.read_state(config) is None
    with pytest.raises(snapshot_file.UnusableError, match="its training state cannot be read"):
        checkpoint._decoded(config, "{}")


def test_the_points_before_have_records_or_wait(config: Config, done_record: Record) -> None:
    first, second, _ = config.point_ids.values()

    def exist(index: int, *waiting: float) -> bool:
        points: Any = tuple(types.SimpleNamespace(horizon=horizon) for horizon in waiting)
        state: Any = types.SimpleNamespace(horizon_index=index, awaiting_replay=points)
        return checkpoint._earlier_points_exist(config, state)

    assert (exist(0), exist(1), exist(1, 0.25), exist(2, 0.25)) == (True, False, True, False)
    records.write(dataclasses.replace(done_record, run_id=first), config.directory)
    assert (exist(1), exist(2), exist(2, 0.5)) == (True, False, True)
    records.write(dataclasses.replace(done_record, run_id=second), config.directory)
    assert exist(2)


@pytest.mark.parametrize("generation", [0, 1])
def test_a_folder_in_its_place_is_refused(generation: int, config: Config) -> None:
    checkpoint.check_place(config)
    path = snapshot_file.generations(checkpoint.path_of(config))[generation]
    path.mkdir(parents=True)
    with pytest.raises(ConfigError, match=f"^{path}: a folder is in the place of a checkpoint"):
        checkpoint.read_state(config)


def test_a_run_that_is_done_leaves_neither_checkpoint_nor_heartbeat(config: Config) -> None:
    for step in (5, 9):
        saved(config, step)
    beat = checkpoint.heartbeat_of(1, 9, 24, 2.0)
    heartbeat.HeartbeatWriter(config.directory, config.run_id).write(beat)
    checkpoint.discard(config)
    assert list((config.directory / "checkpoints").iterdir()) == []
    assert list((config.directory / "progress").iterdir()) == []


def test_a_full_disk_costs_the_checkpoint(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, header: str, snapshots: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(snapshot_file, "save", full)
    state = TrainingState(run_id=config.run_id)
    assert checkpoint.save(config, Checkpoint(state, {PRESENT: snapshot(1)})) is False
    path = checkpoint.path_of(config)
    assert said(capsys) == [f"no checkpoint was written: {path}: No space left on device"]


# ---- what was lost


@pytest.mark.parametrize(
    ("state", "lost"),
    [
        (None, (17, 9.0)),
        (TrainingState(run_id="a", steps_done=10, trained_seconds=6.5), (7, 2.5)),
        (TrainingState(run_id="a", steps_done=17, trained_seconds=9.0), (0, 0.0)),
        (TrainingState(run_id="a", steps_done=20, trained_seconds=11.0), (0, 0.0)),
    ],
)
def test_what_was_done_after_the_checkpoint_is_lost(
    state: TrainingState | None, lost: tuple[int, float], config: Config
) -> None:
    assert checkpoint.lost_work(config, state) == (0, 0.0), "no attempt was before"
    beat = checkpoint.heartbeat_of(1, 17, 24, 9.0)
    heartbeat.HeartbeatWriter(config.directory, config.run_id).write(beat)
    assert checkpoint.lost_work(config, state) == lost


def test_a_heartbeat_names_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "")
    beat = heartbeat.Heartbeat(3, 17, 24, 9.0, socket.gethostname(), os.getpid(), None)
    assert checkpoint.heartbeat_of(3, 17, 24, 9.0) == beat
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert checkpoint.heartbeat_of(3, 17, 24, 9.0) == dataclasses.replace(beat, slurm_job="77")


def test_a_state_begins_at_nothing_and_survives_its_file() -> None:
    fresh = TrainingState(run_id="a")
    numbers = ("horizon_index", "charged_step", "steps_done", "wasted_steps")
    seconds = ("trained_seconds", "uncharged_seconds", "wasted_seconds")
    assert [getattr(fresh, name) for name in (*numbers, *seconds)] == [0] * 7
    assert (fresh.trajectory.train_seconds, fresh.trajectory.eval_seconds) == (0, 0)
    assert msgspec.json.decode(msgspec.json.encode(fresh), type=TrainingState) == fresh


# ---- how an attempt ends


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (DivergedError("the training loss was NaN"), "diverged", "the training loss was NaN"),
        (InterruptedRunError("SIGTERM after step 3"), "interrupted", "SIGTERM after step 3"),
        (
            signals.StopNow("SIGHUP received"),
            "interrupted",
            "SIGHUP received before training: run it again to go on",
        ),
        (KeyboardInterrupt(), "interrupted", "asked to stop twice: stopped at once"),
        (MemoryError("too much"), "oom", "too much"),
    ],
)
def test_the_state_that_an_error_stands_for(
    error: BaseException, state: str, reason: str, config: Config
) -> None:
    assert attempt._outcome_here(error, config) == (state, reason)
    assert not (config.directory / "logs").exists()


def test_a_bug_has_its_traceback_in_a_log(config: Config) -> None:
    log = config.directory / "logs" / f"{config.run_id}.log"
    assert attempt._outcome_here(KeyError("x"), config) == ("failed", f"KeyError: 'x' (traceback in {log})")
    assert "KeyError" in log.read_text()


class World:
    """Two processes, of which this is number `rank`; `reported` is what the first to fail has said."""

    group = "a group"

    def __init__(self, rank: int, reported: tuple[str, str] | None = None) -> None:
        self.rank, self.is_main, self.reported = rank, rank == 0, reported
        self.said: list[tuple[str, str]] = []

    def reported_failure(self) -> tuple[str, str] | None:
        return self.reported

    def report_failure(self, state: str, reason: str) -> None:
        self.said.append((state, reason))


@pytest.mark.parametrize("peer", [True, False])
def test_the_process_that_fails_first_says_why(
    peer: bool, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "is_peer_failure", lambda error: peer)
    error = MemoryError("too much\nmore")
    world: Any = World(1, ("oom", "process 0: why"))
    assert attempt._outcome_of(error, config, world) == (
        ("oom", "process 0: why") if peer else ("oom", "too much")
    )
    assert world.said == ([] if peer else [("oom", "process 1: too much")])
    silent: Any = World(1)
    if peer:
        noticed = "another process of this run ended or fell silent: too much"
        assert attempt._outcome_of(error, config, silent) == ("failed", noticed)
    main: Any = World(0)
    attempt._outcome_of(error, config, main)
    assert main.said == [], "the main process writes the record itself"
    stopped: Any = World(1)
    attempt._outcome_of(InterruptedRunError("SIGTERM"), config, stopped)
    assert stopped.said == []


# ---- which records an attempt writes


def test_a_run_is_finished_when_every_point_is(config: Config, done_record: Record) -> None:
    points = [dataclasses.replace(done_record, run_id=run_id) for run_id in config.point_ids.values()]
    for number, point in enumerate(points):
        assert attempt.finished(config) == ()
        records.write(dataclasses.replace(point, state="failed", reason="a test"), config.directory)
        assert attempt.finished(config) == ()
        records.write(point, config.directory)
        assert attempt._is_done(config, list(config.point_ids)[number])
    assert attempt.finished(config) == tuple(points)


@pytest.fixture
def writer(config: Config, monkeypatch: pytest.MonkeyPatch, done_record: Record) -> Callable[..., Any]:
    """writer(main=..., again=...) -> a writer of records, whose failures cost 2 s a point."""

    def without_point(config: Config, origin: Any, horizon: float, **values: Any) -> Record:
        run_id = config.point_ids[horizon]
        assert (values["attempt"], values["seconds"]) == (3, 2.0)
        return dataclasses.replace(done_record, run_id=run_id, state=values["state"], reason=values["reason"])

    monkeypatch.setattr(provenance, "record_without_point", without_point)

    def made(*, main: bool = True, again: bool = False) -> Any:
        context: Any = types.SimpleNamespace(
            attempt=3,
            clock=types.SimpleNamespace(charge=lambda: 2.0),
            world=types.SimpleNamespace(is_main=main),
        )
        nothing: Any = None
        request: Any = types.SimpleNamespace(again=again, lr_interior=None)
        return attempt._RecordWriter(config, nothing, nothing, request, context)

    return made


def stored(config: Config) -> list[str | None]:
    paths = [attempt._path(config, horizon) for horizon in config.point_ids]
    return [records.find_state(path) for path in paths]


def test_a_failure_is_that_of_every_point_that_was_not_reached(
    config: Config, writer: Callable[..., Any], done_record: Record
) -> None:
    first, *_ = config.point_ids.values()
    records.write(dataclasses.replace(done_record, run_id=first), config.directory)
    made = writer()
    made.write_failure("oom", "too much")
    assert stored(config) == ["done", "oom", "oom"]
    assert [each.state for each in made.all_records()] == ["done", "oom", "oom"]


def test_trained_again_a_point_is_never_replaced_by_a_failure(
    config: Config, writer: Callable[..., Any], done_record: Record
) -> None:
    for run_id in config.point_ids.values():
        records.write(dataclasses.replace(done_record, run_id=run_id), config.directory)
    made = writer(again=True)
    made.write_failure("failed", "why")
    assert stored(config) == ["done"] * 3
    assert [each.state for each in made.all_records()] == ["failed"] * 3, "what this attempt came to"


def test_another_process_than_the_main_one_writes_nothing(config: Config, writer: Callable[..., Any]) -> None:
    made = writer(main=False)
    made.write_failure("failed", "why")
    assert stored(config) == [None] * 3
    assert len(made.all_records()) == 3


# ---- the meter that is kept


class Meter:
    """Stands in for the meter of a session: notes what is asked of it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.settings, self.calls = settings, list[Any]()

    def __enter__(self) -> Meter:
        self.calls.append("enter")
        return self

    def __exit__(self, *error: Any) -> None:
        self.calls.append("exit")

    def use_idle(self, idle: Any) -> None:
        self.calls.append(("idle", idle))

    def forget_polls_before(self, moment: float) -> None:
        self.calls.append(("forget", moment))

    def mark(self) -> int:
        return 5

    def polls_since(self, mark: int) -> bytes:
        return f"polls since {mark}\n".encode()


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WindowMeter", Meter)
    monkeypatch.setattr(energy, "gpu_uuids", lambda device: ("GPU-a",))
    monkeypatch.setattr(energy, "processor", lambda shared: shared)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    for name, value in (("_open", {}), ("_known_idle", None), ("_shared", "nothing"), ("_own_processes", 1)):
        monkeypatch.setattr(session, name, value)


CPU = torch.device("cpu")


@pytest.mark.usefixtures("sessions")
def test_one_meter_serves_all_runs_of_a_process(config: Config, make_config: MakeConfig) -> None:
    first: Any = session.of(config, CPU)
    calls = first.meter.calls
    assert session.of(config, CPU) is first
    assert session.of(make_config("model.width=16"), CPU) is first
    other: Any = session.of(make_config("meter.period_seconds=0.25"), CPU)
    assert other is not first
    assert calls == ["enter", "exit"]
    assert other.meter.settings["period_seconds"] == 0.25
    elsewhere: Any = session.of(dataclasses.replace(config, out=f"{config.out}/elsewhere"), CPU)
    assert elsewhere is not other
    session.close_all()
    assert session._open == {}
    assert elsewhere.meter.calls[-1] == "exit"


@pytest.mark.usefixtures("sessions")
def test_a_session_is_told_of_its_sweep(config: Config) -> None:
    made: Any = session.of(config, CPU)
    assert (made.meter.settings["host"], made.meter.settings["own_processes"]) == ("nothing", 1)
    session.close_all()
    session.configure(idle={"GPU-a": (60.0, None)}, shared="gpu", own_processes=3)
    made = session.of(config, CPU)
    assert (made.meter.settings["host"], made.meter.settings["own_processes"]) == ("gpu", 3)
    assert made.meter.calls == ["enter", ("idle", {"GPU-a": (60.0, None)})]


@pytest.mark.usefixtures("sessions")
def test_the_windows_of_a_shape_add_up_until_the_next_shape(config: Config) -> None:
    made: Any = session.of(config, CPU)
    made.begin("a shape")
    assert made.meter.calls[1:] == [("forget", 90.0)], "what lies around the first edge is kept"
    made.add("run 1", [Window(0.0, 2.0)], 64)
    made.begin("a shape")
    made.add("run 2", [Window(3.0, 4.5), Window(5.0, 6.0)], 32)
    assert made.work.runs == ("run 1", "run 2")
    assert (len(made.work.windows), made.work.examples, made.work.seconds) == (3, 96, 4.5)
    made.begin("another")
    assert made.work == session.ShapeWork("another")
    assert (made.work.examples, made.work.seconds) == (0, 0)


@pytest.mark.usefixtures("sessions")
def test_each_run_keeps_its_own_polls(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config.directory / "power" / f"{config.run_id}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an earlier attempt\n")

    def failing_run() -> None:
        with session.kept_meter(config, CPU) as meter:
            assert meter is session.of(config, CPU).meter
            raise KeyError

    with pytest.raises(KeyError):
        failing_run()
    assert path.read_bytes() == b"an earlier attempt\npolls since 5\n"
    made: Any = session.of(config, CPU)
    assert made.work.shape_id == config.shape_id
    made.copy_polls(5, config.directory / "no folder" / "polls")
    common = config.directory / "power" / f"worker-{os.getpid()}.jsonl"
    common.touch()
    made.close()
    assert not common.exists()
    monkeypatch.setattr(made.meter, "polls_since", lambda mark: b"")
    made.copy_polls(5, config.directory / "power" / "none")
    assert not (config.directory / "power" / "none").exists()
