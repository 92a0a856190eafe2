"""One of several processes that train a run: python -m isoflop.runner.rank supervise|train TASK [MODULE].

`supervise` is torchrun itself, in a process of its own so that signals and crashes stay there; `train` is one
rank under it, of this module or of another one that is named.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from isoflop import config as configs
from isoflop.config import Config
from isoflop.config.launch import LaunchConfig
from isoflop.record import CurvePoint, Record, RecordBusyError, write_bytes
from isoflop.runner import ranks
from isoflop.runner.ranks import Rank
from isoflop.runner.request import Watch
from isoflop.runner.task import Files, Outcome, Task

if TYPE_CHECKING:
    import torch

    from isoflop.train.distributed import World

POLL_SECONDS = 0.1
LAST_SECONDS = 5.0
"""How long processes may take to end after the main process has written the outcome."""
MODULE = "isoflop.runner.rank"
PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
ENDS_WORLD = ("failed", "oom")
"""States after which the other processes must be ended: they wait in an exchange that will never come."""


class _BrokenWorldError(Exception):
    """The run failed: this process must leave the process group without waiting for the others."""

    def __init__(self, records: tuple[Record, ...]) -> None:
        super().__init__()
        self.records = records


def join(task: Task, rank: Rank, watch: Watch | None) -> tuple[Record, ...]:
    """Train as one of several processes and return the records. Raises as `runner.run.run`."""
    import dataclasses

    from isoflop.runner.attempt import run_attempt
    from isoflop.runner.prepare import pick_device

    config = configs.from_dict(task.config)
    index = task.request.device_index + local_index(rank)
    device = pick_device(config.launch, index)
    try:
        with joined(config, rank, device) as world:
            request = dataclasses.replace(task.request, device_index=index)
            records = run_attempt(config, request, watch=watch, world=world)
            if records[-1].state in ENDS_WORLD:
                raise _BrokenWorldError(records)
            return records
    except _BrokenWorldError as broken:
        return broken.records


def local_index(rank: Rank) -> int:
    """Return the number of a rank's GPU among those that it sees."""
    import torch

    # A scheduler that gives every task a GPU of its own shows it no other: local_rank must not count then.
    has_own_gpu = not os.environ.get("LOCAL_RANK") and torch.cuda.device_count() == 1
    return 0 if has_own_gpu else rank.local_rank


@contextlib.contextmanager
def joined(config: Config, rank: Rank, device: torch.device) -> Iterator[World]:
    """Join the process group of a rank, on its device. Raises as `distributed.process_group`."""
    import torch

    from isoflop.train import distributed

    if device.type == "cuda":
        torch.cuda.set_device(device)
    os.environ |= {"MASTER_ADDR": rank.master_addr, "MASTER_PORT": str(rank.master_port)}
    limit = config.launch.parallel_timeout_seconds
    with distributed.process_group(rank.rank, rank.world_size, device, limit) as world:
        yield world


def _train(task: Task) -> int:
    """Be one rank; return 1 where torchrun must end the other ranks."""
    die_with_parent(signal.SIGKILL)
    rank = ranks.from_environment(os.environ)
    assert rank is not None, "torchrun sets RANK"
    files, is_main = task.files, rank.rank == 0
    if is_main:
        write_bytes(files.main_pid, str(os.getpid()).encode())
    outcome = _outcome(task, rank, _to_file(files.evaluations) if is_main else None)
    if is_main:
        outcome.write(files)
    elif not outcome.records:
        _wait_for_outcome(files)
    good = bool(outcome.records) and outcome.records[-1].state not in ENDS_WORLD
    return 0 if good else 1


def _outcome(task: Task, rank: Rank, watch: Watch | None) -> Outcome:
    try:
        return Outcome(join(task, rank, watch))
    except RecordBusyError as error:
        return Outcome(busy=str(error))
    except ValueError as error:
        return Outcome(input_error=str(error))
    except OSError as error:
        return Outcome(os_error=(error.errno, error.strerror or str(error), error.filename))


def _wait_for_outcome(files: Files) -> None:
    """Let the main process write why the run ended: torchrun ends it as soon as this process ends badly."""
    deadline = time.monotonic() + LAST_SECONDS
    while not files.outcome.exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _to_file(path: Path) -> Watch:
    """Return a watch that appends each evaluation to a file."""

    def write(point: CurvePoint, steps: int) -> None:
        with contextlib.suppress(OSError), path.open("ab") as file:
            file.write(msgspec.json.encode((point, steps)) + b"\n")

    return write


def _supervise(task: Task, path: str, module: str) -> int:
    """Be torchrun: start one process a device, and end them all where one of them ends badly."""
    from torch import distributed
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    die_with_parent(signal.SIGTERM)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    launch = configs.from_dict(task.config).launch
    options = ["--monitor-interval=0.1", f"--nproc-per-node={launch.devices}", *_rendezvous(launch)]
    arguments = [*options, "--module", module, "train", path]
    try:
        torchrun.run(torchrun.parse_args(arguments))  # type: ignore[no-untyped-call]
    except (ChildFailedError, SignalException, distributed.DistError):
        return 1
    return 0


def _rendezvous(launch: LaunchConfig) -> list[str]:
    """Return torchrun's options for one node, or for this one of several, which srun numbers from 0."""
    if launch.nodes == 1:
        return ["--standalone", "--local-addr=127.0.0.1"]
    master, _, port = os.environ["ISOFLOP_MASTER"].rpartition(":")
    limit = f"--rdzv-conf=timeout={math.ceil(launch.parallel_timeout_seconds)}"
    number = f"--node-rank={os.environ['SLURM_PROCID']}"
    return [f"--nnodes={launch.nodes}", number, f"--master-addr={master}", f"--master-port={port}", limit]


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this signal when the parent ends, however it ends.

    A rank whose parent was killed would otherwise keep its GPU.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, number)


def main(role: str, path: str, module: str = MODULE) -> int:
    """Be torchrun (`supervise`) or one rank (`train`) of the task at `path`; return the exit code.

    `module` is what torchrun starts for each rank.
    """
    task = Task.read(Path(path))
    return _supervise(task, path, module) if role == "supervise" else _train(task)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
