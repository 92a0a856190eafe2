"""What SLURM says of tasks: squeue of those that wait or run, sacct (or scontrol, without accounting) of
those that ended."""

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


class SlurmError(RuntimeError):
    """SLURM does not answer, or does not do what it was asked for."""


@dataclasses.dataclass(frozen=True)
class Active:
    """A task that waits or runs; `reason` is why it waits, or the node it runs on."""

    state: str
    reason: str

    @property
    def runs(self) -> bool:
        """Whether it has begun."""
        return self.state not in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING")


@dataclasses.dataclass(frozen=True)
class Ended:
    """A task that ended: SLURM's word for it, code:signal, and the node."""

    state: str
    exit_code: str
    node: str


def environment() -> dict[str, str]:
    """This process's, without what SLURM set in it for the job it may be in."""
    kept = ("SLURM_CONF", "SLURM_CONF_SERVER")
    return {name: v for name, v in os.environ.items() if not name.startswith("SLURM_") or name in kept}


def ask(*words: str) -> str:
    """What a SLURM command prints.

    Raises:
        SlurmError: there is no such command, it failed, or it did not answer in a minute.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment(), check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{words[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise SlurmError(f"{words[0]}: {said[0]}")
    return done.stdout


def active(user_ids: Iterable[int]) -> dict[Task, Active]:
    """Every task of these users that waits or runs; a job that is no array is task 0 of itself.

    Raises:
        SlurmError: squeue does not answer.
    """
    named = ",".join(str(number) for number in sorted(set(user_ids)))
    printed = ask("squeue", "-h", "-r", "-u", named, "-o", "%F|%K|%T|%r|%N")
    found = {}
    for line in printed.splitlines():
        job, index, state, reason, node = line.split("|", 4)
        number = int(index) if index.isdigit() else 0
        found[job, number] = Active(state, node or reason)
    return found


def ended(jobs: Sequence[str]) -> dict[Task, Ended]:
    """How the tasks of these jobs ended, as far as SLURM knows: nothing of jobs it has forgotten."""
    if not jobs:
        return {}
    try:
        printed = ask("sacct", "-X", "-n", "-P", "-j", ",".join(jobs), "-o", "JobID,State,ExitCode,NodeList")
    except SlurmError:
        return _without_accounting(jobs)
    found = {}
    for line in printed.splitlines():
        words, state, code, node = line.split("|", 3)
        if state.split()[0] not in ACTIVE:
            for task in tasks(words):
                found[task] = Ended(state, code, node)
    return found


def tasks(words: str) -> Iterator[Task]:
    """`17_3`, `17_[0-2,5%2]` or `18` as tasks."""
    job, _, index = words.partition("_")
    for part in re.sub(r"[\[\]]|%\d+", "", index or "0").split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            for number in range(int(first), int(last.partition(":")[0] or first) + 1):
                yield job, number


def _without_accounting(jobs: Sequence[str]) -> dict[Task, Ended]:
    """What the controller still remembers: by default, of jobs that ended in the last five minutes."""
    found = {}
    for job in jobs:
        try:
            printed = ask("scontrol", "-o", "show", "job", job)
        except SlurmError:
            continue
        for line in printed.splitlines():
            values = dict(re.findall(r"(\w+)=(\S*)", line))
            state = values.get("JobState", "PENDING")
            if state not in ACTIVE:
                index = values.get("ArrayTaskId", "0")
                where = (f"{job}_{index}", values.get("ExitCode", ""), values.get("NodeList", ""))
                found.update({task: Ended(state, *where[1:]) for task in tasks(where[0])})
    return found


def max_array_size() -> int:
    """Tasks that one array may have on this cluster.

    Raises:
        SlurmError: the controller does not answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.MULTILINE)
    size = int(found[1]) if found else 1001
    if size < 1:
        raise SlurmError("this cluster has no job arrays (MaxArraySize=0)")
    return size
