"""A sweep as a SLURM job array over its missing cells, and a job that finishes it when they have ended."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from isoflop.config import Config, ConfigError
from isoflop.config.launch import LaunchConfig, SlurmConfig
from isoflop.runner import provenance
from isoflop.sweep import manifest, planning
from isoflop.sweep.grid import Cell
from isoflop.sweep.slurm import queue, source_snapshot, submission
from isoflop.sweep.slurm.queue import SlurmError
from isoflop.sweep.slurm.submission import Chunk, Submission

NOTICE_SECONDS = 120
"""What array.sbatch asks SLURM for: from the signal to the time limit."""
LEAST_MINUTES = 5
DEFAULT_ARRAY_SIZE = 1001
"""SLURM's own default of MaxArraySize."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is common to the jobs of a submission."""

    directory: Path
    name: str
    sweep: str
    source: Path
    launch: LaunchConfig

    @property
    def slurm(self) -> SlurmConfig:
        """What is asked of sbatch."""
        return self.launch.slurm

    def script(self, name: str) -> Path:
        """The user's own copy in DIR/slurm, or the one that comes with isoflop."""
        own = self.directory / manifest.SUBMISSIONS / name
        return own if own.is_file() else source_snapshot.scripts() / name


def minutes(time: str) -> float:
    """sbatch's way to write a time limit, in minutes."""
    days, _, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, mins, seconds = [*parts, 0, 0][:3]
        return int(days) * 1440 + hours * 60 + mins + seconds / 60
    if len(parts) == 3:
        return parts[0] * 60 + parts[1] + parts[2] / 60
    return parts[0] + (parts[1] / 60 if len(parts) == 2 else 0)


def check(launch: LaunchConfig) -> None:
    """Refuse a time limit that leaves no time to train before the notice of its end, and GPUs that are not
    those of launch.devices.

    Raises:
        ConfigError: names the setting.
    """
    slurm = launch.slurm
    if slurm.time is not None and minutes(str(slurm.time)) < LEAST_MINUTES:
        raise ConfigError(
            f"launch.slurm.time={slurm.time}: a task is told to stop {NOTICE_SECONDS} s before the end: "
            f"give at least {LEAST_MINUTES} minutes"
        )
    try:
        _ = launch.gres
    except ValueError as error:
        raise ConfigError(str(error)) from error


def chunks(cells: int, per_task: int, array_size: int) -> Iterator[tuple[int, int]]:
    """(first line, tasks) of each array: all cells, at most `array_size` tasks an array."""
    tasks = math.ceil(cells / per_task)
    for first in range(0, tasks, array_size):
        yield first * per_task + 1, min(array_size, tasks - first)


def _place(slurm: SlurmConfig) -> list[str]:
    named = ("partition", "account", "qos", "constraint", "time")
    given = {name: getattr(slurm, name) for name in named} | {"mem": slurm.memory}
    return [f"--{name}={value}" for name, value in given.items() if value is not None]


def _size(launch: LaunchConfig) -> list[str]:
    """One task a node, with the processors and GPUs of all its processes."""
    nodes = [f"--nodes={launch.nodes}", f"--ntasks={launch.nodes}", "--ntasks-per-node=1"]
    return [
        *(nodes if launch.nodes > 1 else []),
        f"--cpus-per-task={launch.slurm.cpus_per_task * launch.devices}",
        *([f"--gres={launch.gres}"] if launch.gres else []),
    ]


def _plain(path: Path) -> str:
    """A path in which sbatch sees no pattern."""
    return str(path).replace("%", "%%")


def array_command(job: Job, cells: int, first_line: int, tasks: int, after: str | None) -> list[str]:
    """The sbatch call of one array; `after` is a job that must have ended."""
    slurm, limit = job.slurm, f"%{job.slurm.at_once}" if job.slurm.at_once else ""
    return [
        *("sbatch", "--parsable", f"--array=0-{tasks - 1}{limit}", f"--job-name=isoflop-{job.sweep}"),
        f"--output={_plain(job.directory / 'logs')}/slurm-%A_%a.out",
        f"--chdir={Path.cwd()}",
        *_size(job.launch),
        *_place(slurm),
        *([f"--dependency=afterany:{after}"] if after else []),
        *slurm.options,
        str(job.script("array.sbatch")),
        *(str(submission.cells_path(job.directory, job.name)), str(cells), str(first_line)),
        *(str(slurm.cells_per_task), sys.executable, str(job.source), "\n".join(slurm.setup)),
    ]


def finish_command(job: Job, after: Sequence[str]) -> list[str]:
    """The sbatch call of the job that runs when the arrays `after` have ended."""
    return [
        *("sbatch", "--parsable", f"--job-name=isoflop-{job.sweep}-finish"),
        f"--output={_plain(job.directory / 'logs')}/slurm-finish-%j.out",
        f"--chdir={Path.cwd()}",
        *_place(job.slurm),
        f"--dependency=afterany:{':'.join(after)}",
        str(job.script("finish.sbatch")),
        *(str(job.directory), job.name, sys.executable, str(job.source), "\n".join(job.slurm.setup)),
    ]


def plan(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """The cells with their planned FLOPs, largest first. Every input is tried; no GPU is needed for it.

    Raises:
        ConfigError: a cell's data, model or batch cannot be used.
    """
    here = dataclasses.replace(cells[0].config.launch, device="cpu", step="auto")
    on_cpu = tuple(
        dataclasses.replace(cell, config=dataclasses.replace(cell.config, launch=here)) for cell in cells
    )
    planned, _ = planning.plan(on_cpu)
    configs = {cell.run_id: cell.config for cell in cells}
    return tuple(dataclasses.replace(cell, config=configs[cell.run_id]) for cell in planned)


def preview(cells: int, base: Config, directory: Path) -> str:
    """What would be submitted, as a shell would be given it, and the script. Nothing is written."""
    check(base.launch)
    try:
        array_size = queue.max_array_size()
    except SlurmError:
        array_size = DEFAULT_ARRAY_SIZE
    absolute = directory.absolute()
    job = Job(
        absolute,
        submission.next_name(absolute),
        base.sweep.name,
        absolute / "source/HASH",
        base.launch,
    )
    commands: list[list[str]] = []
    before: list[str] = []
    for number, (first, tasks) in enumerate(chunks(cells, job.slurm.cells_per_task, array_size), 1):
        after = before[-1] if before and job.slurm.at_once else None
        commands.append(array_command(job, cells, first, tasks, after))
        before.append(f"JOB{number}")
    lines = [shlex.join(words) for words in (*commands, finish_command(job, before))]
    script = job.script("array.sbatch")
    return "\n".join([*lines, "", f"# {script}", script.read_text()])


def submit(
    cells: tuple[Cell, ...],
    base: Config,
    directory: Path,
    *,
    follows: str | None = None,
    stage: dict[str, object] | None = None,
) -> Submission:
    """Queue the cells, in their order, and the job that finishes the sweep.

    Arrays hold at most MaxArraySize tasks; with launch.slurm.at_once they run one after another, so that the
    limit holds over all of them.

    Raises:
        ConfigError: SLURM does not take the options.
        SlurmError: SLURM does not answer; or it took only some of the arrays, which are kept.
        OSError: the folder cannot be written.
    """
    slurm, directory = base.launch.slurm, directory.absolute()
    check(base.launch)
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "launch=slurm: there is no sbatch here: submit on a login node, or take launch=local"
        )
    array_size = queue.max_array_size()
    source = source_snapshot.take(directory)
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    name = submission.open_new(cells, directory)
    job = Job(directory, name, base.sweep.name, source, base.launch)
    made = Submission(
        name=name,
        user_id=os.getuid(),
        submitted_at=provenance.now(),
        cells=len(cells),
        cells_per_task=slurm.cells_per_task,
        source=source.name,
        follows=follows,
        sweep=stage,
    )
    for first, tasks in chunks(len(cells), slurm.cells_per_task, array_size):
        after = made.chunks[-1].job if made.chunks and slurm.at_once else None
        try:
            number = _sbatch(array_command(job, len(cells), first, tasks, after))
        except (ConfigError, SlurmError) as error:
            _give_up(made, directory, error)
        made = dataclasses.replace(made, chunks=(*made.chunks, Chunk(number, first, tasks)))
        submission.write(made, directory)
    finish = _sbatch(finish_command(job, made.jobs))
    made = dataclasses.replace(made, finish_job=finish)
    submission.write(made, directory)
    return made


def _give_up(made: Submission, directory: Path, error: Exception) -> None:
    """Nothing was taken: leave nothing behind. Some arrays were: say so."""
    if not made.chunks:
        submission.cells_path(directory, made.name).unlink()
        raise error
    queued = sum(chunk.tasks for chunk in made.chunks) * made.cells_per_task
    raise SlurmError(
        f"{error}; {min(queued, made.cells)} of {made.cells} cells were queued before that: "
        "run the same command again when they have ended"
    ) from error


def _sbatch(command: list[str]) -> str:
    """The number of the new job."""
    try:
        return queue.ask(*command).strip().partition(";")[0]
    except SlurmError as error:
        if any(word in str(error) for word in ("contact", "onnection", "imed out")):
            raise
        raise ConfigError(f"SLURM refuses the job: {error}: see launch.slurm") from error


def busy(directory: Path) -> frozenset[str]:
    """run_ids of the cells whose task waits or runs.

    Raises:
        SlurmError: squeue does not answer.
    """
    known = submission.read_all(directory)
    if not known:
        return frozenset()
    now = queue.active({each.user_id for each in known})
    alive = [each for each in known if any(task[0] in each.jobs for task in now)]
    pairs = itertools.chain.from_iterable(submission.tasks_of(directory, each).items() for each in alive)
    return frozenset(run_id for run_id, task in pairs if task in now)
