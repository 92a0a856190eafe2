"""Where every cell of a sweep stands: manifest, records, signs of life and SLURM's word joined."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.record import SCHEMA, heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.sweep import manifest, tune
from isoflop.sweep.slurm import queue, reconcile, submission
from isoflop.sweep.slurm.queue import Active, SlurmError
from isoflop.sweep.slurm.submission import Submission, Task

CellState = Literal["running", "lost", "failed", "oom", "diverged", "interrupted", "pending", "done"]
STATES: tuple[CellState, ...] = (
    *("running", "lost", "failed", "oom", "diverged", "interrupted", "pending", "done"),
)
FRESH_SECONDS = 120.0
"""A sign of life from another machine that is older is none: an evaluation may take a while."""


@dataclasses.dataclass(frozen=True)
class CellStatus:
    """One cell. `share_done` of its steps and the estimated `seconds_left` are those of its last sign of
    life, while it runs; `log` is a file that exists."""

    run_id: str
    settings: dict[str, Any]
    state: CellState
    reason: str | None
    log: str | None
    attempt: int | None
    share_done: float | None
    seconds_left: float | None


@dataclasses.dataclass(frozen=True)
class Status:
    """All cells of a sweep in the manifest's order; `notes` say what could not be found out."""

    directory: str
    counts: dict[str, int]
    cells: tuple[CellStatus, ...]
    notes: tuple[str, ...]


class _Schedule(msgspec.Struct):
    cooldowns: tuple[float, ...] = ()


class _Settings(msgspec.Struct):
    schedule: _Schedule


class _Line(msgspec.Struct):
    run_id: str
    settings: dict[str, Any]
    config: _Settings


class _Head(msgspec.Struct):
    """Of a record, what tells how it ended. Every schema has these."""

    schema: int
    state: records.State
    attempt: int = 1
    reason: str | None = None


_LINE, _HEAD = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_Head)


@dataclasses.dataclass(frozen=True)
class _Found:
    """The record of a point; `written` is its file's time. A damaged one says so in `damage`."""

    head: _Head | None
    written: float
    damage: str | None


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is known of one cell, before it is judged. `submitted` is when its last submission was written."""

    run_id: str
    points: tuple[_Found | None, ...]
    sign: tuple[Heartbeat, float] | None
    task: Task | None
    submitted: float
    active: Active | None
    log: str | None


def read(directory: Path) -> Status:
    """Where the sweep in a folder stands; while its learning rates are tried, the trials.

    Raises:
        ConfigError: the folder has no manifest, or it cannot be read.
    """
    if not (directory / "manifest.jsonl").is_file() and (directory / tune.FOLDER).is_dir():
        directory = directory / tune.FOLDER
    path = directory / "manifest.jsonl"
    if not path.is_file():
        raise ConfigError(f"{directory}: no manifest.jsonl: give the folder of a sweep")
    made = submission.read_all(directory)
    tasks: dict[str, tuple[Task, float]] = {}
    for each in made:
        written = submission.cells_path(directory, each.name).stat().st_mtime
        tasks |= {run_id: (task, written) for run_id, task in submission.tasks_of(directory, each).items()}
    now, notes = _active(made)
    signs, logs = _names(directory / "progress"), _names(directory / "logs")
    cells = []
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        line = _line(text, path, number)
        run_id, (task, written) = line.run_id, tasks.get(line.run_id, (None, 0.0))
        known = _Known(
            run_id,
            tuple(_found(directory, point) for point in _points(line, text, path, number)),
            heartbeat.last(directory, run_id) if f"{run_id}.json" in signs else None,
            task,
            written,
            now.get(task) if task else None,
            _log(directory, logs, run_id, task),
        )
        cells.append(_judge(known, line.settings))
    cells = _explain(cells, {run_id: task for run_id, (task, _) in tasks.items()}, directory)
    counted = collections.Counter(cell.state for cell in cells)
    return Status(
        str(directory), {state: counted[state] for state in STATES if counted[state]}, tuple(cells), notes
    )


def _line(text: bytes, path: Path, number: int) -> _Line:
    try:
        return _LINE.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: line {number} is damaged ({error}): run isoflop sweep again") from error


def _points(line: _Line, text: bytes, path: Path, number: int) -> tuple[str, ...]:
    """Ids of the cell's records."""
    if not line.config.schedule.cooldowns:
        return (line.run_id,)
    return tuple(manifest.decode(text, path, number).config.point_ids.values())


def _active(made: tuple[Submission, ...]) -> tuple[Mapping[Task, Active], tuple[str, ...]]:
    if not made:
        return {}, ()
    try:
        return queue.active({each.user_id for each in made}), ()
    except SlurmError as error:
        return {}, (
            f"SLURM does not say what waits or runs ({error}): cells of its arrays may be lost or not",
        )


def _names(folder: Path) -> frozenset[str]:
    with contextlib.suppress(OSError):
        return frozenset(os.listdir(folder))  # noqa: PTH208 (names only, of 10,000 files)
    return frozenset()


def _found(directory: Path, run_id: str) -> _Found | None:
    path = f"{directory}/records/{run_id}.json"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (10,000 of them)
            written, payload = os.fstat(file.fileno()).st_mtime, file.read()
    except OSError:
        return None
    try:
        head = _HEAD.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _Found(None, written, f"{path}: damaged ({error}): the cell runs again")
    if head.schema > SCHEMA:
        return _Found(None, written, f"{path}: of a newer isoflop: upgrade")
    return _Found(head, written, None)


def _log(directory: Path, names: frozenset[str], run_id: str, task: Task | None) -> str | None:
    """The traceback of a cell, or what its task printed."""
    candidates = [directory / "logs" / f"{run_id}.log"]
    candidates += [submission.log_path(directory, task)] if task else []
    return next((str(path) for path in candidates if path.name in names), None)


def _alive(sign: tuple[Heartbeat, float] | None) -> bool:
    """Whether a sign of life is recent or, from this machine, its process is there."""
    if sign is None:
        return False
    last, age = sign
    if last.host != socket.gethostname():
        return age < FRESH_SECONDS
    try:
        os.kill(last.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _judge(known: _Known, settings: dict[str, Any]) -> CellStatus:
    """The state of a cell, from what is known of it."""
    state, reason = _state(known)
    heads = [found.head for found in known.points if found and found.head]
    attempts = [head.attempt for head in heads] + ([known.sign[0].attempt] if known.sign else [])
    share = left = None
    if state == "running" and known.sign and _alive(known.sign):
        last = known.sign[0]
        share = last.steps_done / last.steps if last.steps else None
        left = last.train_seconds * (1 / share - 1) if share else None
    return CellStatus(
        known.run_id,
        settings,
        state,
        reason,
        known.log if state not in ("done", "pending") else None,
        max(attempts, default=None),
        share,
        left,
    )


def _state(known: _Known) -> tuple[CellState, str | None]:
    heads = [found.head if found else None for found in known.points]
    if all(head is not None and head.state == "done" for head in heads):
        return "done", None
    worst = next(found for found in known.points if not (found and found.head and found.head.state == "done"))
    head = worst.head if worst else None
    newer = known.sign is not None and (head is None or known.sign[0].attempt > head.attempt)
    if newer and _alive(known.sign):
        return "running", None
    if known.active is not None:
        return _queued(known, worst)
    if head is not None and not newer:
        assert head.state != "done"
        return head.state, head.reason
    if newer and known.sign:
        last, age = known.sign
        return "lost", f"process {last.pid} on {last.host} gave its last sign of life {_ago(age)} ago"
    if worst and worst.damage:
        return "lost", worst.damage
    return ("lost", None) if known.task else ("pending", "not started")


def _queued(known: _Known, worst: _Found | None) -> tuple[CellState, str | None]:
    """A cell whose task waits or runs."""
    active, task = known.active, known.task
    assert active is not None
    assert task is not None
    name = f"SLURM task {task[0]}_{task[1]}"
    if worst and worst.head and worst.written >= known.submitted and worst.head.state != "interrupted":
        assert worst.head.state != "done"
        return worst.head.state, worst.head.reason
    if active.runs:
        return "running", f"{name} runs on {active.reason}"
    return "pending", f"{name} waits: {active.reason}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _explain(cells: Iterable[CellStatus], tasks: Mapping[str, Task], directory: Path) -> list[CellStatus]:
    """Ask SLURM how the tasks of lost cells ended; one that ran out of memory is no longer lost."""
    cells = list(cells)
    asked = {
        cell.run_id: tasks[cell.run_id] for cell in cells if cell.state == "lost" and cell.run_id in tasks
    }
    if not asked:
        return cells
    ended = queue.ended(sorted({job for job, _ in asked.values()}))
    return [
        _explained(cell, asked[cell.run_id], ended, directory) if cell.run_id in asked else cell
        for cell in cells
    ]


def _explained(
    cell: CellStatus, task: Task, ended: Mapping[Task, queue.Ended], directory: Path
) -> CellStatus:
    found = reconcile.fate(task, ended.get(task), submission.log_path(directory, task))
    reason = f"{cell.reason}; {found.reason}" if cell.reason else found.reason
    return dataclasses.replace(cell, state="oom" if found.state == "oom" else "lost", reason=reason)
