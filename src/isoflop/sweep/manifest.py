"""Runs of a manifest: reading its lines, and executing one line or a range of them in place.

Records go to the folder that holds the manifest, wherever that folder is now. The copy of a manifest that a
SLURM submission works from lies in DIR/slurm and belongs to DIR.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError, keys
from isoflop.config.launch import LaunchConfig
from isoflop.record import Record, State
from isoflop.runner import variables
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slots import Slots
from isoflop.track import feed

if TYPE_CHECKING:
    from isoflop.sweep.local.agenda import Job

SUBMISSIONS = "slurm"
"""Folder of a sweep that holds the manifests of its SLURM submissions."""
WORST_FIRST: tuple[State, ...] = ("interrupted", "failed", "oom", "diverged", "done")
_DECODER = msgspec.json.Decoder(PlannedRun)


def directory_of(path: Path) -> Path:
    """Return the sweep's folder that a manifest belongs to."""
    folder = path.parent
    return folder.parent if folder.name == SUBMISSIONS and path.name != "manifest.jsonl" else folder


def decode_line(line: bytes, path: Path, number: int) -> PlannedRun:
    """Return the run of line `number` of the manifest at `path`, its records beside that manifest.

    Raises:
        ConfigError: the line is damaged, or its configuration is not one of this version.
    """
    try:
        planned = _decode_renamed(line) if keys.has_old_name(line) else _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: line {number} is damaged or was written by another version of isoflop ({error}): "
            "run isoflop sweep again to rewrite it"
        ) from error
    config = dataclasses.replace(planned.config, out=str(directory_of(path)))
    return dataclasses.replace(planned, config=config)


def _decode_renamed(line: bytes) -> PlannedRun:
    """Decode a line that was written before some keys were renamed. Raises msgspec.DecodeError."""
    config = keys.with_current_names(msgspec.json.decode(line, type=_Line).config)
    return _DECODER.decode(msgspec.json.encode(msgspec.json.decode(line) | {"config": config}))


class _Line(msgspec.Struct):
    config: dict[str, Any]


def read_runs(path: Path, first: int = 1, last: int | None = None) -> tuple[PlannedRun, ...]:
    """Return the runs of lines `first` to `last`, counted from 1; to the end if `last` is None.

    Raises:
        ConfigError: there is no such manifest or line, or a line cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such manifest: give the manifest.jsonl of a sweep")
    wanted = f"line {first}" if last == first else f"lines {first}-{last or ''}"
    if first < 1 or (last is not None and last < first):
        raise ConfigError(f"{wanted}: give line numbers in order, counted from 1")
    with path.open("rb") as file:
        lines = enumerate(itertools.islice(file, first - 1, last), first)
        runs = tuple(decode_line(line, path, number) for number, line in lines)
    if not runs or (last is not None and len(runs) < last - first + 1):
        raise ConfigError(f"{path}: no {wanted}: it ends with line {first + len(runs) - 1}")
    return runs


def parse_range(text: str) -> tuple[int, int]:
    """Return the first and the last line of `3-7` or `3`.

    Raises:
        ConfigError: the text has neither form.
    """
    if not (match := re.fullmatch(r"(\d+)(?:-(\d+))?", text)):
        raise ConfigError(f"--runs {text}: give lines of the manifest, such as 1-10")
    return int(match[1]), int(match[2] or match[1])


def run_line(path: Path, number: int, *, again: bool = False) -> tuple[Record, ...]:
    """Execute the run of one line in this process, as `isoflop run` would, and return its records.

    Raises:
        ValueError: the line or its input cannot be used.
        RecordBusyError: another process is executing the run.
        OSError: a record could not be written.
    """
    (planned,) = read_runs(path, number, number)
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest

    launch = dataclasses.replace(planned.config.launch, threads=task_slots(planned.config.launch).threads)
    config = dataclasses.replace(planned.config, launch=launch)
    written = run.run(config, RunRequest(lr_interior=planned.lr_interior, again=again))
    feed.wait(config.directory, feed.longest_wait(config.tracker))
    return written


class Shown(Protocol):
    """Shows the runs of a range while they are executed."""

    def ended(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Take a run that ended."""

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Take the jobs in hand, several times a second."""


Shows = Callable[[Sequence[PlannedRun]], AbstractContextManager[Shown]]
"""Given the runs to execute, is open meanwhile, and gives what shows them."""


class _Unseen:
    def ended(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Show nothing."""

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Show nothing."""


@contextlib.contextmanager
def unseen(runs: Sequence[PlannedRun]) -> Iterator[Shown]:
    """Show nothing of the runs of a range."""
    yield _Unseen()


def run_range(
    path: Path, first: int, last: int, shows: Shows = unseen
) -> tuple[tuple[PlannedRun, tuple[Record, ...]], ...]:
    """Execute the runs of a range of lines, each in a process of its own.

    Returns each executed run with its records; the records are empty if another process is executing the run.

    Args:
        path: the manifest.
        first, last: its lines, counted from 1.
        shows: shows the runs meanwhile.

    Raises:
        ValueError: a line cannot be used.
        KeyboardInterrupt: asked to stop; every run that was started has a record.
        OSError: a record cannot be written.
    """
    from isoflop.sweep.local import launch as local

    runs = read_runs(path, first, last)
    if variables.integer(os.environ, "SLURM_RESTART_COUNT"):
        # SLURM requeued this task: runs that it finished or that failed before must not start again.
        runs = tuple(planned for planned in runs if not _is_settled(planned, path))
    ended: dict[str, tuple[Record, ...]] = {}
    if runs:
        slots = task_slots(runs[0].config.launch)
        with shows(runs) as shown:

            def on_run_end(planned: PlannedRun, written: tuple[Record, ...]) -> None:
                ended[planned.run_id] = written
                shown.ended(planned, written)

            local.run_all(runs, slots, on_run_end, on_tick=shown.tick)
        feed.wait(runs[0].config.directory, feed.longest_wait(runs[0].config.tracker))
    return tuple((planned, ended[planned.run_id]) for planned in runs)


def worst_state(ended: Iterable[tuple[PlannedRun, tuple[Record, ...]]]) -> State:
    """Return the state that decides the exit code of a range of runs.

    A run without records, which another process is executing, counts as failed.
    """
    states: set[State] = set()
    for _, written in ended:
        states |= {record.state for record in written} or {"failed"}
    return next((state for state in WORST_FIRST if state in states), "done")


def _is_settled(planned: PlannedRun, path: Path) -> bool:
    """Return whether no point of the run is to be trained again by a requeued task.

    A point is settled if it is done, or if its record is newer than the manifest at `path` and does not say
    interrupted. An older record is from before the submission, which asked for the run to be tried again.
    """
    submitted = path.stat().st_mtime
    for run_id in planned.config.point_ids.values():
        record = records.path_of(planned.config.directory, run_id)
        state = records.find_state(record)
        if state is None or state == "interrupted":
            return False
        if state != "done" and record.stat().st_mtime < submitted:
            return False
    return True


def task_slots(launch: LaunchConfig, environment: Mapping[str, str] = os.environ) -> Slots:
    """Return how many runs a task of the manifest executes at a time, and with how many threads.

    One run at a time, or `per_gpu` on each GPU that SLURM allocated; they share the CPUs that SLURM
    allocated. Outside SLURM that is one run with one thread.

    Raises:
        ConfigError: launch.per_gpu=auto with GPUs, which a task does not probe.
    """
    gpus = _allocated_gpus(environment)
    if gpus and launch.per_gpu == "auto":
        raise ConfigError("launch.per_gpu=auto: a task of a job does not probe its GPU: give a number")
    per_gpu = launch.per_gpu if isinstance(launch.per_gpu, int) else 1
    groups = Slots(1, 1, gpus, launch.devices).groups
    workers = launch.workers or max(1, groups * per_gpu)
    cores = variables.integer(environment, "SLURM_CPUS_PER_TASK") or 1
    threads = launch.threads or max(1, cores // (workers * launch.devices))
    return Slots(workers, threads, gpus, launch.devices)


def _allocated_gpus(environment: Mapping[str, str]) -> int:
    """Return the number of GPUs that SLURM allocated to the task; 0 outside SLURM."""
    if not environment.get("SLURM_JOB_ID"):
        return 0
    if (gpus := variables.integer(environment, "SLURM_GPUS_ON_NODE")) is not None:
        return gpus
    return len([each for each in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if each])
