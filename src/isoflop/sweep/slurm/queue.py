"""Queries to SLURM: squeue for tasks that wait or run, sacct for tasks that ended, and scontrol where the
cluster keeps no accounting."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from isoflop.sweep.slurm.submission import Task

TIMEOUT_SECONDS = 60
ACTIVE = (
    *("PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD"),
    *("REQUEUE_FED", "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD"),
)
"""Job states from which a task can still come to run, or in which it runs."""


class SlurmError(RuntimeError):
    """A SLURM command does not answer or fails."""


@dataclasses.dataclass(frozen=True)
class ActiveTask:
    """A task that waits or runs; `reason` is why it waits, or the node on which it runs."""

    state: str
    reason: str

    @property
    def has_started(self) -> bool:
        """Whether it runs, or is just ending."""
        return self.state not in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING")


@dataclasses.dataclass(frozen=True)
class EndedTask:
    """A task that ended: its SLURM job state, `code:signal`, and the node."""

    state: str
    exit_code: str
    node: str


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the variables of the job it may be part of.

    Inside a job SLURM sets SLURM_CPUS_PER_TASK and the like, and sbatch would take them as options.
    """
    kept = ("SLURM_CONF", "SLURM_CONF_SERVER")
    return {name: v for name, v in os.environ.items() if not name.startswith("SLURM_") or name in kept}


def run_command(*command: str) -> str:
    """Return what a SLURM command prints.

    Raises:
        SlurmError: the command does not exist, failed, or did not answer within TIMEOUT_SECONDS.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            env=clean_environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{command[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise SlurmError(f"{command[0]}: {lines[0]}")
    return done.stdout


def active_tasks(user_ids: Iterable[int]) -> dict[Task, ActiveTask]:
    """Return every task of these users that waits or runs; a job that is not an array is task 0 of itself.

    Raises:
        SlurmError: squeue does not answer.
    """
    users = ",".join(str(number) for number in sorted(set(user_ids)))
    # -r: one line per task instead of one per array; %F|%K: job of the array and index in it.
    output = run_command("squeue", "-h", "-r", "-u", users, "-o", "%F|%K|%T|%r|%N")
    active = {}
    for line in output.splitlines():
        job, index, state, reason, node = line.split("|", 4)
        number = int(index) if index.isdigit() else 0
        active[job, number] = ActiveTask(state, node or reason)
    return active


def ended_tasks(jobs: Sequence[str]) -> dict[Task, EndedTask]:
    """Return how the tasks of these jobs ended, without those that run or that SLURM no longer knows."""
    if not jobs:
        return {}
    try:
        output = run_command(
            *("sacct", "-X", "-n", "-P", "-j", ",".join(jobs), "-o", "JobID,State,ExitCode,NodeList")
        )
    except SlurmError:
        return _ended_without_accounting(jobs)
    ended = {}
    for line in output.splitlines():
        job_id, state, code, node = line.split("|", 3)
        if state.split()[0] not in ACTIVE:  # the first word: "CANCELLED by 1000"
            for task in parse_tasks(job_id):
                ended[task] = EndedTask(state, code, node)
    return ended


def parse_tasks(job_id: str) -> Iterator[Task]:
    """Yield the tasks of a SLURM job id: `17_3`, `17_[0-2,5%2]` or `18`.

    Tasks that were cancelled while they waited share one line of sacct, with their indices in brackets.
    """
    job, _, index = job_id.partition("_")
    for part in re.sub(r"[\[\]]|%\d+", "", index or "0").split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            for number in range(int(first), int(last.partition(":")[0] or first) + 1):
                yield job, number


def _ended_without_accounting(jobs: Sequence[str]) -> dict[Task, EndedTask]:
    """Return what the controller remembers: by default, jobs that ended within the last five minutes."""
    ended = {}
    for job in jobs:
        try:
            output = run_command("scontrol", "-o", "show", "job", job)
        except SlurmError:
            continue
        for line in output.splitlines():
            values = dict(re.findall(r"(\w+)=(\S*)", line))
            state = values.get("JobState", "PENDING")
            if state in ACTIVE:
                continue
            end = EndedTask(state, values.get("ExitCode", ""), values.get("NodeList", ""))
            for task in parse_tasks(f"{job}_{values.get('ArrayTaskId', '0')}"):
                ended[task] = end
    return ended


def max_array_size() -> int:
    """Return the number of tasks that one array may have on this cluster.

    Raises:
        SlurmError: the controller does not answer, or the cluster has no arrays.
    """
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", run_command("scontrol", "show", "config"), re.MULTILINE)
    size = int(match[1]) if match else 1001
    if size < 1:
        raise SlurmError("this cluster has no job arrays (MaxArraySize=0)")
    return size
