"""What was submitted to SLURM, kept in DIR/slurm: NAME.jsonl, the runs in the order of the arrays' tasks, and
NAME.json, the jobs that execute them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.sweep.grid import PlannedRun, encode_line
from isoflop.sweep.manifest import SUBMISSIONS

Task = tuple[str, int]
"""A task of a job array: (job, index)."""


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One job array. Its task i executes the lines from `first_line` + i x runs_per_task on."""

    job: str
    first_line: int
    tasks: int


class Submission(msgspec.Struct, frozen=True, rename={"runs": "cells", "runs_per_task": "cells_per_task"}):
    """One submission, as DIR/slurm/NAME.json holds it. The file keeps the key names of earlier releases.

    Attributes:
        name: 1, 2, ... in a sweep's folder.
        user_id: whose jobs they are, for squeue.
        submitted_at: time of the submission.
        runs: number of runs.
        runs_per_task: runs that a task executes, one after another.
        source: name of the copy of the source in DIR/source that the jobs execute.
        chunks: the job arrays that were queued.
        finish_job: the job that runs when every task has ended.
        follows: name of the submission of trials, in DIR/tuning, that this one is the second stage of.
        sweep: of a submission of trials, the configuration of the sweep to submit after them.
    """

    name: str
    user_id: int
    submitted_at: str
    runs: int
    runs_per_task: int
    source: str
    chunks: tuple[Chunk, ...] = ()
    finish_job: str | None = None
    follows: str | None = None
    sweep: dict[str, Any] | None = None

    @property
    def jobs(self) -> tuple[str, ...]:
        """Every job, the finish job included."""
        return (*(chunk.job for chunk in self.chunks), *((self.finish_job,) if self.finish_job else ()))

    def task(self, line: int) -> Task | None:
        """Return the task that executes a line; None if its array was never submitted."""
        for chunk in self.chunks:
            index = (line - chunk.first_line) // self.runs_per_task
            if 0 <= index < chunk.tasks:
                return chunk.job, index
        return None


def runs_path(directory: Path, name: str) -> Path:
    """Return the manifest of a submission, its runs in the order of the tasks."""
    return directory / SUBMISSIONS / f"{name}.jsonl"


def log_path(directory: Path, task: Task) -> Path:
    """Return the file with the output of a task, all its attempts one after another."""
    return directory / "logs" / f"slurm-{task[0]}_{task[1]}.out"


def next_name(directory: Path) -> str:
    """Return the name that the next submission will have: 1, 2, ..."""
    return next(str(n) for n in itertools.count(1) if not runs_path(directory, str(n)).exists())


def create_manifest(runs: tuple[PlannedRun, ...], directory: Path) -> str:
    """Write the runs of a new submission and return its name.

    The file is made by exclusive creation, so two submissions at the same time never share a name, and then
    written. Raises OSError.
    """
    (directory / SUBMISSIONS).mkdir(parents=True, exist_ok=True)
    while True:
        name = next_name(directory)
        try:
            runs_path(directory, name).open("xb").close()
        except FileExistsError:
            continue
        records.write_bytes(runs_path(directory, name), b"".join(encode_line(each) + b"\n" for each in runs))
        return name


def write_submission(submission: Submission, directory: Path) -> None:
    """Write DIR/slurm/NAME.json. Raises OSError if it cannot be written."""
    path = directory / SUBMISSIONS / f"{submission.name}.json"
    records.write_bytes(path, msgspec.json.format(msgspec.json.encode(submission), indent=1) + b"\n")


def read_submission(directory: Path, name: str) -> Submission:
    """Return one submission.

    Raises:
        OSError: there is none of that name.
        msgspec.DecodeError: its file is damaged.
    """
    return msgspec.json.decode((directory / SUBMISSIONS / f"{name}.json").read_bytes(), type=Submission)


def read_submissions(directory: Path) -> tuple[Submission, ...]:
    """Return every submission of the sweep, oldest first, without those that queued nothing.

    Raises:
        ConfigError: a file is damaged: runs that it says are queued would be submitted twice.
        OSError: a file cannot be read.
    """
    submissions = []
    for path in (directory / SUBMISSIONS).glob("*.json"):
        try:
            submissions.append(read_submission(directory, path.stem))
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{path}: damaged ({error}): remove it when the sweep's jobs (squeue shows them) have ended"
            ) from error
    return tuple(sorted(submissions, key=lambda each: (len(each.name), each.name)))  # 9 before 10


class _Line(msgspec.Struct):
    run_id: str


_LINE = msgspec.json.Decoder(_Line)


def tasks_of(directory: Path, submission: Submission) -> dict[str, Task]:
    """Map the run_id of each run that was submitted to the task that executes it."""
    tasks = {}
    with runs_path(directory, submission.name).open("rb") as file:
        for number, line in enumerate(file, 1):
            if task := submission.task(number):
                tasks[_LINE.decode(line).run_id] = task
    return tasks
