"""What was submitted to SLURM, kept in DIR/slurm: NAME.jsonl, the cells in the order of the arrays' tasks,
and NAME.json, the jobs that run them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record as records
from isoflop.sweep.grid import Cell, line
from isoflop.sweep.manifest import SUBMISSIONS

Task = tuple[str, int]
"""A task of an array: (job, index)."""


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One job array. Its task i runs the lines from `first_line` + i x cells_per_task on."""

    job: str
    first_line: int
    tasks: int


@dataclasses.dataclass(frozen=True)
class Submission:
    """`finish_job` runs when every task has ended; `follows` names the submission of learning rates that this
    one is the second stage of; `sweep`, of such a first stage, is the sweep's configuration."""

    name: str
    user_id: int
    submitted_at: str
    cells: int
    cells_per_task: int
    source: str
    chunks: tuple[Chunk, ...] = ()
    finish_job: str | None = None
    follows: str | None = None
    sweep: dict[str, Any] | None = None

    @property
    def jobs(self) -> tuple[str, ...]:
        """Every job, that of the end included."""
        return (*(chunk.job for chunk in self.chunks), *((self.finish_job,) if self.finish_job else ()))

    def task(self, line: int) -> Task | None:
        """The task that runs a line; None where its array was never submitted."""
        for chunk in self.chunks:
            index = (line - chunk.first_line) // self.cells_per_task
            if 0 <= index < chunk.tasks:
                return chunk.job, index
        return None


def cells_path(directory: Path, name: str) -> Path:
    """The cells of a submission, a manifest in the order of the tasks."""
    return directory / SUBMISSIONS / f"{name}.jsonl"


def log_path(directory: Path, task: Task) -> Path:
    """What a task printed, all its attempts one after another."""
    return directory / "logs" / f"slurm-{task[0]}_{task[1]}.out"


def next_name(directory: Path) -> str:
    """The name the next submission will have: 1, 2, ..."""
    return next(str(n) for n in itertools.count(1) if not cells_path(directory, str(n)).exists())


def open_new(cells: tuple[Cell, ...], directory: Path) -> str:
    """Write the cells of a new submission and return its name; two at a time never get the same.

    The sweep's grid, which may be long and no cell needs, is left out.
    """
    (directory / SUBMISSIONS).mkdir(parents=True, exist_ok=True)
    while True:
        name = next_name(directory)
        try:
            with cells_path(directory, name).open("xb") as file:
                file.writelines(line(cell) + b"\n" for cell in cells)
        except FileExistsError:
            continue
        return name


def write(submission: Submission, directory: Path) -> None:
    """Keep the jobs of a submission. Raises OSError where it cannot be written."""
    path = directory / SUBMISSIONS / f"{submission.name}.json"
    records.write_bytes(path, msgspec.json.format(msgspec.json.encode(submission), indent=1) + b"\n")


def read(directory: Path, name: str) -> Submission:
    """One submission.

    Raises:
        OSError: there is none of that name.
        msgspec.DecodeError: it is damaged.
    """
    return msgspec.json.decode((directory / SUBMISSIONS / f"{name}.json").read_bytes(), type=Submission)


def read_all(directory: Path) -> tuple[Submission, ...]:
    """Every submission of the sweep, oldest first; one that was never completed or is damaged is left out."""
    found = []
    for path in (directory / SUBMISSIONS).glob("*.json"):
        try:
            found.append(read(directory, path.stem))
        except (OSError, msgspec.DecodeError):
            continue
    return tuple(sorted(found, key=lambda each: (len(each.name), each.name)))


class _Line(msgspec.Struct):
    run_id: str


_LINE = msgspec.json.Decoder(_Line)


def tasks_of(directory: Path, submission: Submission) -> dict[str, Task]:
    """run_id -> the task that runs that cell, of the cells that were submitted."""
    found = {}
    with cells_path(directory, submission.name).open("rb") as file:
        for number, line in enumerate(file, 1):
            if task := submission.task(number):
                found[_LINE.decode(line).run_id] = task
    return found
