"""State of every run of a sweep, from its manifest, records and heartbeats and from what SLURM reports."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.record import SCHEMA, heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.sweep import manifest, recorded, supervisors, tune
from isoflop.sweep.slurm import queue, reconcile, submission
from isoflop.sweep.slurm.queue import ActiveTask, EndedTask, SlurmError
from isoflop.sweep.slurm.submission import Submission, Task
from isoflop.sweep.supervisors import Supervisor

RunState = Literal["running", "lost", "failed", "oom", "diverged", "interrupted", "pending", "done"]
STATES: tuple[RunState, ...] = (
    *("running", "lost", "failed", "oom", "diverged", "interrupted", "pending", "done"),
)
"""States in the order of attention they need. `lost` runs began, or were submitted, and left no record."""

NOT_STARTED = "not started"
"""Reason of a pending run for which no task waits."""


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """State of one run.

    Attributes:
        run_id: id of the run.
        settings: what the grid sets for it, as dotted keys.
        state: one of STATES.
        reason: why, where there is something to say.
        log: a file that exists and may say more.
        attempt: number of the latest attempt, if there was one.
        share_done: share of the steps done by the latest heartbeat, while it runs.
        seconds_left: estimated from that heartbeat.
        beat: that heartbeat.
    """

    run_id: str
    settings: dict[str, Any]
    state: RunState
    reason: str | None
    log: str | None
    attempt: int | None
    share_done: float | None
    seconds_left: float | None
    beat: Heartbeat | None = None


class Status(msgspec.Struct, frozen=True, rename={"runs": "cells"}):
    """State of a sweep: its runs in the manifest's order (`cells` in JSON, as in earlier releases), their
    number in each state, notes on what could not be determined, and the processes that plan or supervise it.
    """

    directory: str
    counts: dict[str, int]
    runs: tuple[RunStatus, ...]
    notes: tuple[str, ...]
    supervisors: tuple[Supervisor, ...] = ()


# Of each file only what the status needs is decoded: 10,000 records take half a second.


class _Schedule(msgspec.Struct):
    cooldowns: tuple[float, ...] = ()


class _Settings(msgspec.Struct):
    schedule: _Schedule


class _Line(msgspec.Struct):
    run_id: str
    settings: dict[str, Any]
    config: _Settings


class _Head(msgspec.Struct):
    """The fields of a record that say how the run ended. Every schema has them."""

    schema: int
    state: records.State
    attempt: int = 1
    reason: str | None = None


_LINE, _HEAD = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_Head)


@dataclasses.dataclass(frozen=True)
class _PointRecord:
    """A record file: its head, or None and in `damage` what is wrong with it; `written` is its mtime.

    `is_newer` says that it is whole, and of a schema that this release does not read: no command replaces it.
    """

    head: _Head | None
    written: float
    damage: str | None
    is_newer: bool = False


@dataclasses.dataclass(frozen=True)
class _Evidence:
    """What is known of one run before its state is decided.

    Attributes:
        run_id: id of the run.
        points: the record of each point, or None.
        heartbeat: the latest one and its age in seconds.
        task: the SLURM task that was submitted for the run last.
        submitted: time of that submission, by the file system's clock.
        active: that task in the queue, if it waits or runs.
        log: a file that exists and may say more.
    """

    run_id: str
    points: tuple[_PointRecord | None, ...]
    heartbeat: tuple[Heartbeat, float] | None
    task: Task | None
    submitted: float
    active: ActiveTask | None
    log: str | None


def read_status(directory: Path) -> Status:
    """Return the status of the sweep in a folder; while its learning rates are being chosen, of the trials.

    A folder without a manifest may hold runs that isoflop.Recorder recorded: then of these. Of a sweep that
    is being planned for the first time no run is known yet, but who plans it.

    Raises:
        ConfigError: the folder has no manifest and no records and is not being planned, or the manifest
            cannot be read.
    """
    by = supervisors.active(directory)
    if not (directory / "manifest.jsonl").is_file():
        if not by and (directory / tune.FOLDER).is_dir():
            directory = directory / tune.FOLDER
            by = supervisors.active(directory)
        if by and not (directory / "manifest.jsonl").is_file():
            return Status(str(directory), {}, (), (), by)
    planned = _planned_runs(directory)
    submissions = submission.read_submissions(directory)
    tasks: dict[str, tuple[Task, float]] = {}
    for each in submissions:  # oldest first: the latest task of a run counts
        written = submission.runs_path(directory, each.name).stat().st_mtime
        tasks |= {run_id: (task, written) for run_id, task in submission.tasks_of(directory, each).items()}
    active, notes = _query_queue(submissions)
    # Listing the folders once is much cheaper than asking for two files of each run.
    heartbeats, logs = _file_names(directory / "progress"), _file_names(directory / "logs")
    runs = []
    for run_id, settings, point_ids in planned:
        task, submitted = tasks.get(run_id, (None, 0.0))
        evidence = _Evidence(
            run_id,
            tuple(_read_point(directory, point) for point in point_ids),
            heartbeat.last(directory, run_id) if f"{run_id}.json" in heartbeats else None,
            task,
            submitted,
            active.get(task) if task else None,
            _find_log(directory, logs, run_id, task),
        )
        runs.append(_run_status(evidence, settings))
    runs = _explain_lost(runs, {run_id: task for run_id, (task, _) in tasks.items()}, directory)
    counts = collections.Counter(each.state for each in runs)
    counted: dict[str, int] = {state: counts[state] for state in STATES if counts[state]}
    return Status(str(directory), counted, tuple(runs), notes, by)


_Planned = tuple[str, dict[str, Any], tuple[str, ...]]
"""Id of a run, its settings, and the ids of its records."""


def _planned_runs(directory: Path) -> Iterator[_Planned]:
    """Return the runs of the manifest or, without one, those that were recorded. Raises as `read_status`."""
    path = directory / "manifest.jsonl"
    if path.is_file():
        return _manifest_runs(path)
    found = recorded.runs_in(directory)
    if not found:
        raise ConfigError(f"{directory}: no manifest.jsonl and no records: give the folder of a sweep")
    return iter([(run_id, settings, (run_id,)) for run_id, settings in found.items()])


def _manifest_runs(path: Path) -> Iterator[_Planned]:
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        line = _decode_line(text, path, number)
        yield line.run_id, line.settings, _point_ids(line, text, path, number)


def _decode_line(text: bytes, path: Path, number: int) -> _Line:
    try:
        return _LINE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: line {number} is damaged ({error}): run isoflop sweep again") from error


def _point_ids(line: _Line, text: bytes, path: Path, number: int) -> tuple[str, ...]:
    """Return the ids of the run's records; only a run with cooldowns needs its whole configuration for it."""
    if not line.config.schedule.cooldowns:
        return (line.run_id,)
    return tuple(manifest.decode_line(text, path, number).config.point_ids.values())


def _query_queue(
    submissions: tuple[Submission, ...],
) -> tuple[Mapping[Task, ActiveTask], tuple[str, ...]]:
    """Return the tasks that wait or run, or a note that SLURM could not be asked."""
    if not submissions:
        return {}, ()
    try:
        return queue.active_tasks({each.user_id for each in submissions}), ()
    except SlurmError as error:
        note = f"cannot ask SLURM which tasks wait or run ({error}): runs shown as lost may still be queued"
        return {}, (note,)


def _file_names(folder: Path) -> frozenset[str]:
    with contextlib.suppress(FileNotFoundError):
        return frozenset(os.listdir(folder))  # noqa: PTH208 (names only, of 10,000 files)
    return frozenset()


def _read_point(directory: Path, run_id: str) -> _PointRecord | None:
    path = f"{directory}/records/{run_id}.json"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (10,000 of them)
            written, payload = os.fstat(file.fileno()).st_mtime, file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _PointRecord(None, 0.0, f"{path}: cannot be read ({error.strerror}): isoflop sweep refuses it")
    try:
        head = _HEAD.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _PointRecord(None, written, f"{path}: damaged ({error}): isoflop sweep trains the run again")
    if head.schema > SCHEMA:
        return _PointRecord(None, written, records.newer_schema(path, head.schema), is_newer=True)
    return _PointRecord(head, written, None)


def _find_log(directory: Path, names: frozenset[str], run_id: str, task: Task | None) -> str | None:
    """Return the traceback of a run or, if there is none, the output of its task."""
    candidates = [directory / "logs" / f"{run_id}.log"]
    candidates += [submission.log_path(directory, task)] if task else []
    return next((str(path) for path in candidates if path.name in names), None)


def _is_alive(beat: tuple[Heartbeat, float] | None) -> bool:
    """Return whether the process of a heartbeat exists or, on another machine, wrote it recently."""
    return beat is not None and heartbeat.process_lives(beat[0].host, beat[0].pid, beat[1])


def _run_status(evidence: _Evidence, settings: dict[str, Any]) -> RunStatus:
    state, reason = _decide_state(evidence)
    attempts = [point.head.attempt for point in evidence.points if point and point.head]
    attempts += [evidence.heartbeat[0].attempt] if evidence.heartbeat else []
    beat = None
    if state == "running" and evidence.heartbeat and _is_alive(evidence.heartbeat):
        beat = evidence.heartbeat[0]
    return RunStatus(
        evidence.run_id,
        settings,
        state,
        reason,
        evidence.log if state not in ("done", "pending") else None,
        max(attempts, default=None),
        beat.share_done if beat else None,
        beat.seconds_left if beat else None,
        beat,
    )


def _decide_state(evidence: _Evidence) -> tuple[RunState, str | None]:
    """Return state and reason of a run, from the first of these that applies: its records are done, a live
    heartbeat, its task in the queue, its record, a damaged record, a dead heartbeat, a task that ended.

    Damage says what a rerun would meet, and a dead process would only invite one: of all points that are not
    done, a record of a newer schema comes first, also before the state of another point.
    """
    open_points = [point for point in evidence.points if not _is_done(point)]
    if not open_points:
        return "done", None
    point = open_points[0]
    head = point.head if point else None
    beat = evidence.heartbeat
    # A heartbeat that belongs to the attempt of the record is what a failed attempt leaves behind.
    newer = beat is not None and (head is None or beat[0].attempt > head.attempt)
    if newer and _is_alive(beat):
        return "running", None
    if evidence.active is not None:
        return _state_of_active(evidence, point)
    # In a sort that keeps the order of equals: False, a newer schema, comes first.
    damaged = sorted(
        (each for each in open_points if each and each.damage), key=lambda each: not each.is_newer
    )
    if damaged and damaged[0].is_newer:
        return "lost", damaged[0].damage
    if head is not None and not newer:
        assert head.state != "done"
        return head.state, head.reason
    if damaged:
        return "lost", damaged[0].damage
    if newer and beat:
        progress, age = beat
        return "lost", f"process {progress.pid} on {progress.host}: last heartbeat {_format_age(age)} ago"
    return ("lost", None) if evidence.task else ("pending", NOT_STARTED)


def _is_done(point: _PointRecord | None) -> bool:
    return point is not None and point.head is not None and point.head.state == "done"


def _state_of_active(evidence: _Evidence, point: _PointRecord | None) -> tuple[RunState, str | None]:
    """Return state and reason of a run whose task waits or runs.

    A task may execute several runs, so this one may have ended although the task has not: its record is then
    newer than the submission. After `interrupted` the task is requeued and the run resumes.
    """
    active, task = evidence.active, evidence.task
    assert active is not None
    assert task is not None
    name = f"SLURM task {task[0]}_{task[1]}"
    if point and point.head and point.written >= evidence.submitted and point.head.state != "interrupted":
        assert point.head.state != "done"
        return point.head.state, point.head.reason
    if active.has_started:
        return "running", f"{name} runs on {active.reason}"
    return "pending", f"{name} waits: {active.reason}"


def _format_age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _explain_lost(runs: Iterable[RunStatus], tasks: Mapping[str, Task], directory: Path) -> list[RunStatus]:
    """Ask SLURM how the tasks of lost runs ended: a run that exceeded its memory becomes `oom`, and one whose
    end somebody asked for `interrupted`, as the job that finishes the sweep will record it."""
    runs = list(runs)
    lost = {each.run_id: tasks[each.run_id] for each in runs if each.state == "lost" and each.run_id in tasks}
    if not lost:
        return runs
    ended = queue.ended_tasks(sorted({job for job, _ in lost.values()}))
    return [
        _with_task_end(each, lost[each.run_id], ended, directory) if each.run_id in lost else each
        for each in runs
    ]


def _with_task_end(
    status: RunStatus, task: Task, ended: Mapping[Task, EndedTask], directory: Path
) -> RunStatus:
    task_end = ended.get(task)
    end = reconcile.interpret_end(task, task_end, submission.log_path(directory, task))
    reason = f"{status.reason}; {end.reason}" if status.reason else end.reason
    known = end.state == "oom" or (task_end is not None and task_end.state.startswith(reconcile.ASKED_FOR))
    return dataclasses.replace(status, state=end.state if known else "lost", reason=reason)
