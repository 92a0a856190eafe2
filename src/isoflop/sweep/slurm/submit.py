"""Submission of a sweep to SLURM: job arrays over its missing runs, and a job that finishes it afterwards.

An array is one job to the scheduler, however many runs there are: it is queued, limited (--array=...%N) and
cancelled as a whole, while each of its tasks ends, is requeued and is accounted for on its own.
"""

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

import msgspec

from isoflop.config import Config, ConfigError
from isoflop.config.launch import LaunchConfig, SlurmConfig
from isoflop.runner import provenance
from isoflop.sweep import children, manifest, planning
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slurm import queue, source_snapshot, submission
from isoflop.sweep.slurm.queue import SlurmError
from isoflop.sweep.slurm.submission import Chunk, Submission

NOTICE_SECONDS = 120
"""Time from the signal to the time limit, as `#SBATCH --signal` in array.sbatch asks for."""
LEAST_MINUTES = 5
DEFAULT_ARRAY_SIZE = 1001
"""SLURM's own default of MaxArraySize."""


@dataclasses.dataclass(frozen=True)
class JobSettings:
    """What the jobs of a submission have in common.

    Attributes:
        directory: folder of the sweep, absolute.
        name: name of the submission.
        sweep: name of the sweep, part of the job names.
        source: copy of the source that the jobs execute.
        launch: settings of the sweep.
    """

    directory: Path
    name: str
    sweep: str
    source: Path
    launch: LaunchConfig

    @property
    def slurm(self) -> SlurmConfig:
        """Options for sbatch."""
        return self.launch.slurm

    def script(self, name: str) -> Path:
        """Return the user's own copy of a batch script in DIR/slurm, or the one that comes with isoflop."""
        own = self.directory / manifest.SUBMISSIONS / name
        return own if own.is_file() else source_snapshot.scripts() / name


def minutes(time: str) -> float:
    """Return a time limit in minutes; `time` is written as for sbatch (man sbatch, --time)."""
    days, _, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, mins, seconds = [*parts, 0, 0][:3]
        return int(days) * 1440 + hours * 60 + mins + seconds / 60
    if len(parts) == 3:
        return parts[0] * 60 + parts[1] + parts[2] / 60
    return parts[0] + (parts[1] / 60 if len(parts) == 2 else 0)


def check(launch: LaunchConfig) -> None:
    """Refuse a time limit too short to train before the signal, a number of GPUs that contradicts
    launch.devices, and launch.per_gpu=auto.

    Raises:
        ConfigError: names the setting.
    """
    slurm = launch.slurm
    if launch.per_gpu == "auto":
        raise ConfigError(
            "launch.per_gpu=auto: each task would probe its GPU anew: give a number, such as that of "
            "isoflop sweep launch.per_gpu=auto on one node"
        )
    if slurm.time is not None and minutes(str(slurm.time)) < LEAST_MINUTES:
        raise ConfigError(
            f"launch.slurm.time={slurm.time}: a task is signalled {NOTICE_SECONDS} s before its time limit: "
            f"give at least {LEAST_MINUTES} minutes"
        )
    try:
        _ = launch.gres
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_folder(directory: Path) -> None:
    """Refuse a sweep's folder whose logs sbatch could not open: it takes backslashes out of --output, and any
    other name as it is (tests/slurm/test_nodes.py).

    Raises:
        ConfigError: names the folder.
    """
    if "\\" in str(directory):
        raise ConfigError(f"{directory}: SLURM opens no log in a folder with a backslash: choose another out")


def chunks(runs: int, per_task: int, array_size: int) -> Iterator[tuple[int, int]]:
    """Yield (first line, number of tasks) of each array; an array has at most `array_size` tasks."""
    tasks = math.ceil(runs / per_task)
    for first in range(0, tasks, array_size):
        yield first * per_task + 1, min(array_size, tasks - first)


def _placement_options(slurm: SlurmConfig) -> list[str]:
    names = ("partition", "account", "qos", "constraint", "time")
    options = {name: getattr(slurm, name) for name in names} | {"mem": slurm.memory}
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


def _size_options(launch: LaunchConfig) -> list[str]:
    """Return options for one SLURM task per node, with the CPUs and GPUs of all processes on that node."""
    nodes = [f"--nodes={launch.nodes}", f"--ntasks={launch.nodes}", "--ntasks-per-node=1"]
    return [
        *(nodes if launch.nodes > 1 else []),
        f"--cpus-per-task={launch.slurm.cpus_per_task * launch.devices}",
        *([f"--gres={launch.gres}"] if launch.gres else []),
    ]


def _escape_percent(path: Path) -> str:
    """Return a path for --output, in which sbatch expands patterns such as %A."""
    return str(path).replace("%", "%%")


def array_command(job: JobSettings, runs: int, first_line: int, tasks: int, after: str | None) -> list[str]:
    """Return the sbatch command of one array.

    Everything array.sbatch needs is in its arguments, so that it depends on no environment variable.

    Args:
        job: settings of the submission.
        runs: number of runs of the whole submission.
        first_line: line of the submission's manifest at which this array begins.
        tasks: number of tasks of this array.
        after: a job that must have ended before, or None.
    """
    slurm, limit = job.slurm, f"%{job.slurm.at_once}" if job.slurm.at_once else ""
    return [
        *("sbatch", "--parsable", f"--array=0-{tasks - 1}{limit}", f"--job-name=isoflop-{job.sweep}"),
        f"--output={_escape_percent(job.directory / 'logs')}/slurm-%A_%a.out",
        f"--chdir={Path.cwd()}",
        *_size_options(job.launch),
        *_placement_options(slurm),
        *([f"--dependency=afterany:{after}"] if after else []),
        *slurm.options,
        str(job.script("array.sbatch")),
        *(str(submission.runs_path(job.directory, job.name)), str(runs), str(first_line)),
        *(str(slurm.runs_per_task), sys.executable, str(job.source), "\n".join(slurm.setup)),
    ]


def finish_command(job: JobSettings, after: Sequence[str]) -> list[str]:
    """Return the sbatch command of the job that runs when the arrays `after` have ended.

    It asks for no GPU, which it does not need, and leaves out slurm.options, which are meant for the arrays.
    """
    return [
        *("sbatch", "--parsable", f"--job-name=isoflop-{job.sweep}-finish"),
        f"--output={_escape_percent(job.directory / 'logs')}/slurm-finish-%j.out",
        f"--chdir={Path.cwd()}",
        *_placement_options(job.slurm),
        f"--dependency=afterany:{':'.join(after)}",  # afterany: also after tasks that failed
        str(job.script("finish.sbatch")),
        *(str(job.directory), job.name, sys.executable, str(job.source), "\n".join(job.slurm.setup)),
    ]


def plan(
    runs: tuple[PlannedRun, ...], on_done: children.OnDone = children.nobody_watches
) -> tuple[PlannedRun, ...]:
    """Return the runs with their planned FLOPs, largest first, after a check of every input.

    Planning happens on the CPU, since a login node has no GPU; the configurations keep their device.
    `on_done` is called with the number of runs that have been planned so far.

    Raises:
        ConfigError: a run's data, model or batch size cannot be used.
    """
    cpu_launch = dataclasses.replace(runs[0].config.launch, device="cpu", step="auto")
    on_cpu = tuple(
        dataclasses.replace(planned, config=dataclasses.replace(planned.config, launch=cpu_launch))
        for planned in runs
    )
    sized, _ = planning.plan(on_cpu, on_done)
    configs = {planned.run_id: planned.config for planned in runs}
    return tuple(dataclasses.replace(planned, config=configs[planned.run_id]) for planned in sized)


def preview(runs: int, base: Config, directory: Path) -> str:
    """Return the commands that would submit so many runs, quoted for a shell, and the script."""
    check(base.launch)
    check_folder(directory.absolute())
    try:
        array_size = queue.max_array_size()
    except SlurmError:
        array_size = DEFAULT_ARRAY_SIZE
    absolute = directory.absolute()
    job = JobSettings(
        absolute,
        submission.next_name(absolute),
        base.sweep.name,
        absolute / "source/HASH",
        base.launch,
    )
    commands: list[list[str]] = []
    before: list[str] = []
    for number, (first, tasks) in enumerate(chunks(runs, job.slurm.runs_per_task, array_size), 1):
        after = before[-1] if before and job.slurm.at_once else None
        commands.append(array_command(job, runs, first, tasks, after))
        before.append(f"JOB{number}")
    lines = [shlex.join(command) for command in (*commands, finish_command(job, before))]
    script = job.script("array.sbatch")
    return "\n".join([*lines, "", f"# {script}", script.read_text()])


def submit(
    runs: tuple[PlannedRun, ...],
    base: Config,
    directory: Path,
    *,
    follows: str | None = None,
    stage: dict[str, object] | None = None,
) -> Submission:
    """Queue the runs, in their order, and the job that finishes the sweep.

    Arrays hold at most MaxArraySize tasks. With launch.slurm.at_once they run one after another, so that the
    limit holds over all of them. DIR/slurm/NAME.json is written after each array, so that it lists every job
    that was queued even if a later array is refused.

    Args:
        runs: the runs to queue.
        base: configuration of the sweep.
        directory: folder of the sweep, or of its trials.
        follows: name of the submission of trials that this one follows.
        stage: of a submission of trials, the configuration of the sweep to submit after them.

    Raises:
        ConfigError: SLURM does not accept the options.
        SlurmError: SLURM does not answer, or accepted only some of the arrays, which stay queued.
        OSError: the folder cannot be written.
    """
    slurm, directory = base.launch.slurm, directory.absolute()
    check(base.launch)
    check_folder(directory)
    if shutil.which("sbatch") is None:
        raise ConfigError("launch=slurm: sbatch is not installed here: use a login node, or launch=local")
    array_size = queue.max_array_size()
    source = source_snapshot.take(directory)
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    name = submission.create_manifest(runs, directory)
    job = JobSettings(directory, name, base.sweep.name, source, base.launch)
    submitted = Submission(
        name=name,
        user_id=os.getuid(),
        submitted_at=provenance.now(),
        runs=len(runs),
        runs_per_task=slurm.runs_per_task,
        source=source.name,
        follows=follows,
        sweep=stage,
    )
    for first, tasks in chunks(len(runs), slurm.runs_per_task, array_size):
        after = submitted.chunks[-1].job if submitted.chunks and slurm.at_once else None
        try:
            number = _sbatch(array_command(job, len(runs), first, tasks, after))
        except (ConfigError, SlurmError) as error:
            _raise_incomplete(submitted, directory, error)
        chunk = Chunk(number, first, tasks)
        submitted = msgspec.structs.replace(submitted, chunks=(*submitted.chunks, chunk))
        submission.write_submission(submitted, directory)
    finish = _sbatch(finish_command(job, submitted.jobs))
    submitted = msgspec.structs.replace(submitted, finish_job=finish)
    submission.write_submission(submitted, directory)
    return submitted


def _raise_incomplete(submitted: Submission, directory: Path, error: Exception) -> None:
    """Raise `error` and leave nothing behind if no array was queued; say how many runs were, otherwise."""
    if not submitted.chunks:
        submission.runs_path(directory, submitted.name).unlink()
        raise error
    queued = sum(chunk.tasks for chunk in submitted.chunks) * submitted.runs_per_task
    raise SlurmError(
        f"{error}; {min(queued, submitted.runs)} of {submitted.runs} runs were queued before that: "
        "run the same command again when they have ended"
    ) from error


def _sbatch(command: list[str]) -> str:
    """Return the number of the new job."""
    try:
        return queue.run_command(*command).strip().partition(";")[0]  # NUMBER;CLUSTER on federated clusters
    except SlurmError as error:
        # sbatch exits with 1 for everything: only its message tells a dead controller from a bad option.
        if any(phrase in str(error) for phrase in ("contact", "onnection", "imed out")):
            raise
        raise ConfigError(f"SLURM refuses the job: {error}: see launch.slurm") from error


def queued_run_ids(directory: Path) -> frozenset[str]:
    """Return the run_ids whose task waits or runs.

    Raises:
        SlurmError: squeue does not answer.
    """
    submissions = submission.read_submissions(directory)
    if not submissions:
        return frozenset()
    active = queue.active_tasks({each.user_id for each in submissions})
    with_tasks = [each for each in submissions if any(task[0] in each.jobs for task in active)]
    pairs = itertools.chain.from_iterable(submission.tasks_of(directory, each).items() for each in with_tasks)
    return frozenset(run_id for run_id, task in pairs if task in active)
