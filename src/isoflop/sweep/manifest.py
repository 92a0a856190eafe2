"""Cells from a manifest: one of its lines, or a range of them, run wherever this is called.

Records go to the folder that the manifest lies in, whatever that folder was called when it was written. The
copy that a SLURM submission works from lies in DIR/slurm and belongs to DIR.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.config.launch import LaunchConfig
from isoflop.record import Record, State
from isoflop.sweep.grid import Cell
from isoflop.sweep.planning import Slots
from isoflop.track import feed

SUBMISSIONS = "slurm"
WORST_FIRST: tuple[State, ...] = ("interrupted", "failed", "oom", "diverged", "done")
_CELL = msgspec.json.Decoder(Cell)


def directory_of(path: Path) -> Path:
    """The sweep's folder that a manifest belongs to."""
    folder = path.parent
    return folder.parent if folder.name == SUBMISSIONS and path.name != "manifest.jsonl" else folder


def decode(line: bytes, path: Path, number: int) -> Cell:
    """The cell of line `number`, with its records beside the manifest.

    Raises:
        ConfigError: the line is damaged, or its configuration is not one of this version.
    """
    try:
        cell = _CELL.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: line {number} is damaged or of another version of isoflop ({error}): "
            "run isoflop sweep again to write it anew"
        ) from error
    return dataclasses.replace(cell, config=dataclasses.replace(cell.config, out=str(directory_of(path))))


def read(path: Path, first: int = 1, last: int | None = None) -> tuple[Cell, ...]:
    """The cells of lines `first` to `last`, counted from 1; to the end where `last` is None.

    Raises:
        ConfigError: there is no such manifest or line, or a line cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such manifest: give the manifest.jsonl of a sweep")
    if first < 1 or (last is not None and last < first):
        raise ConfigError(f"lines {first}-{last}: lines are counted from 1")
    with path.open("rb") as file:
        taken = enumerate(itertools.islice(file, first - 1, last), first)
        cells = tuple(decode(line, path, number) for number, line in taken)
    if not cells or (last is not None and len(cells) < last - first + 1):
        asked = f"line {first}" if last == first else f"lines {first}-{last or ''}"
        raise ConfigError(f"{path}: no {asked}: it ends with line {first + len(cells) - 1}")
    return cells


def bounds(text: str) -> tuple[int, int]:
    """`3-7` or `3` as the first and the last line.

    Raises:
        ConfigError: it is neither.
    """
    if not (found := re.fullmatch(r"(\d+)(?:-(\d+))?", text)):
        raise ConfigError(f"--cells {text}: give lines of the manifest, such as 1-10")
    return int(found[1]), int(found[2] or found[1])


def run_line(path: Path, number: int, *, again: bool = False) -> tuple[Record, ...]:
    """Run the cell of one line in this process, as `isoflop run` would: its records.

    Raises:
        ValueError: the line or its input cannot be used.
        RecordBusyError: another process is running the cell.
        OSError: a record could not be written.
    """
    (cell,) = read(path, number, number)
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest

    launch = dataclasses.replace(cell.config.launch, threads=_slots(cell.config.launch).threads)
    config = dataclasses.replace(cell.config, launch=launch)
    found = run.run(config, RunRequest(lr_interior=cell.lr_interior, again=again))
    feed.wait(config.directory, config.tracker.wait_seconds)
    return found


def run_range(path: Path, first: int, last: int) -> tuple[tuple[Cell, tuple[Record, ...]], ...]:
    """Run the cells of a range, each in a process of its own: those run with their records, none where
    another process is running a cell.

    A task that SLURM started once more takes up only what it has not accounted for.

    Raises:
        ValueError: a line cannot be used.
        KeyboardInterrupt: asked to stop; what was in hand is accounted for.
        OSError: a record cannot be written.
    """
    from isoflop.sweep.local import launch as local

    cells = read(path, first, last)
    if int(os.environ.get("SLURM_RESTART_COUNT", "0")):
        cells = tuple(cell for cell in cells if not _accounted_since(cell, path))
    found: dict[str, tuple[Record, ...]] = {}
    if cells:
        slots = _slots(cells[0].config.launch)
        local.run_cells(cells, slots, lambda cell, ended: found.update({cell.run_id: ended}))
        feed.wait(cells[0].config.directory, cells[0].config.tracker.wait_seconds)
    return tuple((cell, found[cell.run_id]) for cell in cells)


def worst(ended: Iterable[tuple[Cell, tuple[Record, ...]]]) -> State:
    """The state that decides the exit code of a range; a cell that another process runs counts as failed."""
    states: set[State] = set()
    for _, found in ended:
        states |= {record.state for record in found} or {"failed"}
    return next((state for state in WORST_FIRST if state in states), "done")


def _accounted_since(cell: Cell, path: Path) -> bool:
    """Whether every point has a record, written after the manifest, that is not to be gone on with."""
    written = path.stat().st_mtime
    for run_id in cell.config.point_ids.values():
        record = records.path_of(cell.config.directory, run_id)
        try:
            state = records.read_state(record)
            if state == "interrupted" or (state != "done" and record.stat().st_mtime < written):
                return False
        except (records.RecordError, OSError):
            return False
    return True


def _slots(launch: LaunchConfig, environment: Mapping[str, str] = os.environ) -> Slots:
    """What a task of the manifest may use: a cell at a time, or `per_gpu` a GPU, with the threads that SLURM
    gave it, or one."""
    gpus = _gpus(environment)
    per_gpu = launch.per_gpu if isinstance(launch.per_gpu, int) else 1
    groups = Slots(1, 1, gpus, launch.devices).groups
    workers = launch.workers or max(1, groups * per_gpu)
    cores = int(environment.get("SLURM_CPUS_PER_TASK", "1"))
    threads = launch.threads or max(1, cores // (workers * launch.devices))
    return Slots(workers, threads, gpus, launch.devices)


def _gpus(environment: Mapping[str, str]) -> int:
    """GPUs that SLURM gave the task; 0 where it says nothing of them."""
    if "SLURM_JOB_ID" not in environment:
        return 0
    if "SLURM_GPUS_ON_NODE" in environment:
        return int(environment["SLURM_GPUS_ON_NODE"])
    return len([each for each in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if each])
