"""A cell by as many processes as launch.devices and launch.nodes say; by one, it is `run.run` and no more.

Alone on a machine, `run` starts torchrun, which starts the processes of the cell and ends them all where one
ends badly; in a SLURM job of several nodes it does so on each of them, through srun. Where torchrun or srun
has started several processes already, each of them joins the others. The process that starts torchrun trains
nothing: it hands on signals and sees that the cell has its records.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from isoflop import config as configs
from isoflop import record as records
from isoflop import signals
from isoflop.config import Config, ConfigError
from isoflop.config.launch import LaunchConfig, Shared
from isoflop.record import CurvePoint, Record, RecordBusyError, State
from isoflop.runner import provenance, ranks
from isoflop.runner.provenance import Machine
from isoflop.runner.ranks import Place

Watch = Callable[[CurvePoint, int], None]

POLL_SECONDS = 0.1
LAST_SECONDS = 5.0
"""How long processes may take to end after the chief has said what came of the cell."""
ASKED_SECONDS = 45.0
"""How long srun may take to end the processes of other nodes; torchrun gives its own 30 s."""
PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
NEVER_SAID = "the processes ended before they could say"


@dataclasses.dataclass(frozen=True)
class Task:
    """What the processes of a cell are told, in a file."""

    config: dict[str, Any]
    device_index: int
    command_line: str
    lr_interior: bool | None
    again: bool
    shared: Shared
    folder: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the chief says in the end: its records, or what kept it from making any."""

    records: tuple[Record, ...] = ()
    input: str | None = None
    busy: str | None = None
    system: tuple[int | None, str, str | None] | None = None


def run(
    config: Config,
    *,
    device_index: int = 0,
    command_line: str | None = None,
    lr_interior: bool | None = None,
    again: bool = False,
    shared: Shared = "nothing",
    watch: Watch | None = None,
) -> tuple[Record, ...]:
    """`run.run` by launch.devices processes a node, the first of them on GPU `device_index`.

    Returns and raises as `run.run`; a process that dies costs the attempt, which is recorded as failed, and
    the next attempt goes on from the checkpoint.
    """
    place = ranks.find(os.environ)
    ranks.check(config.launch, place, os.environ)
    command = command_line or provenance.command()
    try:
        config.launch.check_batch(config.optim.batch_size)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if config.launch.processes == 1:
        from isoflop.runner import attempt as one

        return one.run(
            config,
            device_index=device_index,
            command_line=command,
            lr_interior=lr_interior,
            again=again,
            shared=shared,
            watch=watch,
        )
    with _folder_of(config) as folder:
        task = Task(configs.to_dict(config), device_index, command, lr_interior, again, shared, folder)
        return _join(task, place, watch) if place else _Supervisor(config, task, watch).run()


@contextlib.contextmanager
def _folder_of(config: Config) -> Iterator[str]:
    """A folder for the processes of a cell to talk in: beside its records where other nodes must see it."""
    within = config.directory if config.launch.nodes > 1 else None
    if within:
        within.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".isoflop-", dir=within) as folder:
            yield folder
    finally:
        if within:
            with contextlib.suppress(OSError):  # other things are in it
                within.rmdir()


def is_chief() -> bool:
    """Whether this process is the one that speaks, where torchrun or srun has started several."""
    place = ranks.find(os.environ)
    return place is None or place.rank == 0


class _BrokenError(Exception):
    """The cell failed; the others must see this process end, and not wait for it."""

    def __init__(self, found: tuple[Record, ...]) -> None:
        super().__init__()
        self.found = found


def _join(task: Task, place: Place, watch: Watch | None) -> tuple[Record, ...]:
    """Train as one of several processes."""
    import torch

    from isoflop.runner import attempt as one
    from isoflop.runner.prepare import pick_device
    from isoflop.train import distributed

    config = configs.from_dict(task.config)
    # A scheduler that gives every task a GPU of its own lets it see no other.
    alone_on_gpu = "LOCAL_RANK" not in os.environ and torch.cuda.device_count() == 1
    index = task.device_index + (0 if alone_on_gpu else place.local_rank)
    device = pick_device(config.launch, index)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    os.environ |= {"MASTER_ADDR": place.master, "MASTER_PORT": str(place.port)}
    limit = config.launch.parallel_timeout_seconds
    try:
        with distributed.process_group(place.rank, place.ranks, device, limit) as world:
            found = one.run(
                config,
                device_index=index,
                command_line=task.command_line,
                lr_interior=task.lr_interior,
                again=task.again,
                shared=task.shared,
                watch=watch,
                world=world,
            )
            if found[-1].state in ("failed", "oom"):
                raise _BrokenError(found)
            return found
    except _BrokenError as broken:
        return broken.found


class _Supervisor:
    """Starts torchrun for one cell and waits until it has its records."""

    def __init__(self, config: Config, task: Task, watch: Watch | None) -> None:
        self._config, self._task, self._watch = config, task, watch
        self._folder = Path(task.folder)
        self._attempt, self._began = provenance.next_attempt(config), time.monotonic()
        self._started_at = provenance.now()

    def run(self) -> tuple[Record, ...]:
        """The records of the cell; those that its processes did not come to write are written here."""
        path = self._folder / "task.json"
        path.write_bytes(msgspec.json.encode(self._task))
        with signals.watched() as stop, _torchrun(self._config, path) as agent:
            with (self._folder / "points").open("a+b") as points:
                points.seek(0)
                asked, said = False, None
                while agent.poll() is None:
                    time.sleep(POLL_SECONDS)
                    self._show(points)
                    if said is None and (self._folder / "outcome").exists():
                        said = time.monotonic()
                    if said is not None and time.monotonic() - said > LAST_SECONDS:
                        _end(agent, self._config)
                    if stop.reason is not None and not asked:
                        asked = True
                        self._ask(agent, stop.reason)
                self._show(points)
            code = agent.wait()
        try:
            outcome = msgspec.json.decode((self._folder / "outcome").read_bytes(), type=Outcome)
        except OSError:
            outcome = Outcome()
        if outcome.busy is not None:
            raise RecordBusyError(outcome.busy)
        if outcome.input is not None:
            raise ConfigError(outcome.input)
        if outcome.system is not None:
            raise OSError(*outcome.system)
        if outcome.records:
            return outcome.records
        if stop.reason is not None:
            return self._account("interrupted", f"{stop.reason}: run it again to go on")
        count = self._config.launch.processes
        return self._account("failed", f"one of its {count} processes died or hung (exit code {code})")

    def _ask(self, agent: subprocess.Popen[bytes], word: str) -> None:
        """Hand a signal on to the chief, who stops all at the same step; or end what has not begun yet."""
        number = signal.SIGINT if "Ctrl-C" in word else signal.Signals[word.split()[0]]
        try:
            os.kill(int((self._folder / "chief").read_text()), number)
        except (OSError, ValueError):
            agent.terminate()

    def _show(self, points: IO[bytes]) -> None:
        """Tell the watch of evaluations that were written since; a line that is half written waits."""
        while line := points.readline():
            if not line.endswith(b"\n"):
                points.seek(-len(line), os.SEEK_CUR)
                return
            if self._watch:
                self._watch(*msgspec.json.decode(line, type=tuple[CurvePoint, int]))

    def _account(self, state: State, reason: str) -> tuple[Record, ...]:
        config, found = self._config, []
        origin = provenance.gather(
            config,
            _unknown_machine(config),
            started_at=self._started_at,
            command_line=self._task.command_line,
        )
        for horizon, run_id in config.point_ids.items():
            path = records.path_of(config.directory, run_id)
            written = self._written(path)
            if written is not None:
                found.append(written)
                continue
            record = provenance.without_point(
                *(config, origin, horizon),
                state=state,
                reason=reason,
                attempt=self._attempt,
                seconds=time.monotonic() - self._began,
            )
            if not records.is_done(path):
                records.write(record, config.directory)
            found.append(record)
        return tuple(found)

    def _written(self, path: Path) -> Record | None:
        """The record at `path` if this attempt wrote it, or did not need to."""
        try:
            record = records.read(path)
        except (records.RecordError, OSError):
            return None
        kept = record.state == "done" and not self._task.again
        return record if kept or record.attempt >= self._attempt else None


def _unknown_machine(config: Config) -> Machine:
    threads = _threads(config)
    precision = config.precision.compute
    return Machine(NEVER_SAID, NEVER_SAID, precision, threads, {}, gpu=None, gpu_reason=NEVER_SAID)


def _threads(config: Config) -> int:
    """The cores that each process has, unless the configuration says."""
    return config.launch.threads or max(1, len(os.sched_getaffinity(0)) // config.launch.devices)


@contextlib.contextmanager
def _torchrun(config: Config, task: Path) -> Iterator[subprocess.Popen[bytes]]:
    """torchrun in a session of its own, so that Ctrl-C comes to the cell once; gone when this is left."""
    environ = os.environ | {"OMP_NUM_THREADS": str(_threads(config))}
    agent = subprocess.Popen(
        [*_on_every_node(config), sys.executable, "-m", "isoflop.runner.run", "supervise", str(task)],
        env=environ | _meeting(config),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield agent
    finally:
        _end(agent, config)


def _on_every_node(config: Config) -> list[str]:
    """What starts the torchrun of each node: nothing but itself on one."""
    if config.launch.nodes == 1:
        return []
    cpus = os.environ.get("SLURM_CPUS_PER_TASK")  # which a step does not take over from its job
    size = [f"--nodes={config.launch.nodes}", f"--ntasks={config.launch.nodes}", "--ntasks-per-node=1"]
    return [
        "srun",
        *size,
        *([f"--cpus-per-task={cpus}"] if cpus else []),
        "--input=none",
        "--kill-on-bad-exit=0",
    ]


def _meeting(config: Config) -> dict[str, str]:
    """Where the torchruns of several nodes meet: the first node of the job, which this process is on."""
    if config.launch.nodes == 1:
        return {}
    with socket.socket() as tried:
        tried.bind(("", 0))
        port = tried.getsockname()[1]
    return {"ISOFLOP_MASTER": f"{ranks.first_node(os.environ, 'JOB')}:{port}"}


def _end(agent: subprocess.Popen[bytes], config: Config) -> None:
    """End torchrun, and with it all processes. srun must be asked: it has nothing to kill other nodes' with
    once it is gone."""
    if agent.poll() is None and config.launch.nodes > 1:
        agent.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(ASKED_SECONDS)
    if agent.poll() is None:
        agent.kill()
        agent.wait()


def _end_with_parent(number: signal.Signals) -> None:
    """Get this signal when the parent is gone, however it went: without one a process would keep its GPU."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, number)


def _supervise(path: str) -> int:
    """torchrun itself: one process a device, all ended where one of them ends badly."""
    from torch import distributed
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    _end_with_parent(signal.SIGTERM)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    launch = configs.from_dict(msgspec.json.decode(Path(path).read_bytes(), type=Task).config).launch
    here = ["--monitor-interval=0.1", f"--nproc-per-node={launch.devices}", *_meeting_place(launch)]
    options = torchrun.parse_args([*here, "--module", "isoflop.runner.run", "rank", path])  # type: ignore[no-untyped-call]
    try:
        torchrun.run(options)  # type: ignore[no-untyped-call]
    except (ChildFailedError, SignalException, distributed.DistError):
        return 1
    return 0


def _meeting_place(launch: LaunchConfig) -> list[str]:
    """torchrun's options for one node, or for this one of several: srun numbers them from the first."""
    if launch.nodes == 1:
        return ["--standalone", "--local-addr=127.0.0.1"]
    master, _, port = os.environ["ISOFLOP_MASTER"].rpartition(":")
    limit = f"--rdzv-conf=timeout={math.ceil(launch.parallel_timeout_seconds)}"
    number = f"--node-rank={os.environ['SLURM_PROCID']}"
    return [f"--nnodes={launch.nodes}", number, f"--master-addr={master}", f"--master-port={port}", limit]


def _rank(path: str) -> int:
    """One process of a cell; the chief says in the end what came of it. 1 where the others must be ended."""
    _end_with_parent(signal.SIGKILL)
    task = msgspec.json.decode(Path(path).read_bytes(), type=Task)
    place = ranks.find(os.environ)
    assert place is not None, "torchrun says which process this is"
    folder = Path(task.folder)
    if place.rank == 0:
        records.write_bytes(folder / "chief", str(os.getpid()).encode())
    try:
        outcome = Outcome(_join(task, place, _to_file(folder / "points") if place.rank == 0 else None))
    except RecordBusyError as error:
        outcome = Outcome(busy=str(error))
    except ValueError as error:
        outcome = Outcome(input=str(error))
    except OSError as error:
        outcome = Outcome(system=(error.errno, error.strerror or str(error), error.filename))
    if place.rank == 0:
        records.write_bytes(folder / "outcome", msgspec.json.encode(outcome))
    elif not outcome.records:
        # Where the first process ends badly torchrun ends the others: let the chief say why.
        deadline = time.monotonic() + LAST_SECONDS
        while not (folder / "outcome").exists() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    good = bool(outcome.records) and outcome.records[-1].state not in ("failed", "oom")
    return 0 if good else 1


def _to_file(path: Path) -> Watch:
    def write(point: CurvePoint, steps: int) -> None:
        with contextlib.suppress(OSError), path.open("ab") as file:
            file.write(msgspec.json.encode((point, steps)) + b"\n")

    return write


if __name__ == "__main__":
    sys.exit(_supervise(*sys.argv[2:]) if sys.argv[1] == "supervise" else _rank(*sys.argv[2:]))
