"""The process that starts torchrun for one run: it hands on signals, and sees to it that every horizon has a
record.

It imports no torch. In a SLURM job of several nodes it starts one torchrun on each, through srun.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from isoflop import record as records
from isoflop import signals
from isoflop.config import Config, ConfigError
from isoflop.record import CurvePoint, Record, RecordBusyError, State
from isoflop.runner import provenance, ranks
from isoflop.runner.provenance import Machine
from isoflop.runner.rank import LAST_SECONDS, MODULE, POLL_SECONDS
from isoflop.runner.request import Watch
from isoflop.runner.task import Outcome, Task

ASKED_SECONDS = 45.0
"""How long srun may take to end the processes of other nodes; torchrun gives its own 30 s."""
NEVER_REPORTED = "the processes ended before they could report this"


def supervise(config: Config, task: Task, watch: Watch | None) -> tuple[Record, ...]:
    """Train a run by several processes and return its records. Raises as `runner.run.run`."""
    return _Supervisor(config, task, watch).run()


class _Supervisor:
    """Starts torchrun for one run and waits until the run has its records."""

    def __init__(self, config: Config, task: Task, watch: Watch | None) -> None:
        self._config, self._task, self._watch = config, task, watch
        self._files = task.files
        self._attempt, self._began = provenance.next_attempt(config), time.monotonic()
        self._started_at = provenance.now()

    def run(self) -> tuple[Record, ...]:
        """Return the records of the run; those that its processes did not come to write are written here."""
        self._files.task.write_bytes(msgspec.json.encode(self._task))
        with signals.watched() as stop, torchrun(self._config, self._files.task) as agent:
            self._wait(agent, stop)
            code = agent.wait()
        outcome = Outcome.read(self._files)
        if outcome.busy is not None:
            raise RecordBusyError(outcome.busy)
        if outcome.input_error is not None:
            raise ConfigError(outcome.input_error)
        if outcome.os_error is not None:
            raise OSError(*outcome.os_error)
        if outcome.records:
            return outcome.records
        if stop.reason is not None:
            return self._records_without_point("interrupted", f"{stop.reason}: run it again to go on")
        count = self._config.launch.processes
        return self._records_without_point(
            "failed", f"one of its {count} processes died or hung (exit code {code})"
        )

    def _wait(self, agent: subprocess.Popen[bytes], stop: signals.Stop) -> None:
        """Wait for torchrun, showing evaluations and handing on signals meanwhile."""
        with self._files.evaluations.open("a+b") as evaluations:
            evaluations.seek(0)
            handed_on, outcome_since = False, None
            while agent.poll() is None:
                time.sleep(POLL_SECONDS)
                self._show(evaluations)
                if outcome_since is None and self._files.outcome.exists():
                    outcome_since = time.monotonic()
                # Once the outcome is written nothing more can come: a rank that still hangs is ended.
                if outcome_since is not None and time.monotonic() - outcome_since > LAST_SECONDS:
                    _end(agent, self._config)
                if stop.reason is not None and not handed_on:
                    handed_on = True
                    self._hand_on(agent, stop.reason)
            self._show(evaluations)

    def _hand_on(self, agent: subprocess.Popen[bytes], reason: str) -> None:
        """Send the signal to the main process, which stops all ranks at the same step.

        Where it has not started yet, end torchrun instead.
        """
        number = signal.SIGINT if "Ctrl-C" in reason else signal.Signals[reason.split()[0]]
        try:
            os.kill(int(self._files.main_pid.read_text()), number)
        except (OSError, ValueError):
            agent.terminate()

    def _show(self, evaluations: IO[bytes]) -> None:
        """Call the watch for evaluations written since; a line that is only half written waits."""
        while line := evaluations.readline():
            if not line.endswith(b"\n"):
                evaluations.seek(-len(line), os.SEEK_CUR)
                return
            if self._watch:
                self._watch(*msgspec.json.decode(line, type=tuple[CurvePoint, int]))

    def _records_without_point(self, state: State, reason: str) -> tuple[Record, ...]:
        """Return a record for each horizon, writing those that the processes did not."""
        config, gathered = self._config, []
        origin = provenance.gather(
            config,
            _unknown_machine(config),
            started_at=self._started_at,
            command_line=self._task.request.command_line or provenance.command(),
        )
        for horizon, run_id in config.point_ids.items():
            path = records.path_of(config.directory, run_id)
            written = self._written(path)
            if written is not None:
                gathered.append(written)
                continue
            record = provenance.record_without_point(
                *(config, origin, horizon),
                state=state,
                reason=reason,
                attempt=self._attempt,
                seconds=time.monotonic() - self._began,
            )
            if not records.is_done(path):
                records.write(record, config.directory)
            gathered.append(record)
        return tuple(gathered)

    def _written(self, path: Path) -> Record | None:
        """Return the record at `path` if this attempt wrote it, or did not need to."""
        record = records.find(path)
        if record is None:
            return None
        kept = record.state == "done" and not self._task.request.again
        return record if kept or record.attempt >= self._attempt else None


def _unknown_machine(config: Config) -> Machine:
    threads = _threads(config)
    precision = config.precision.compute
    return Machine(
        NEVER_REPORTED, NEVER_REPORTED, precision, threads, {}, gpu=None, gpu_reason=NEVER_REPORTED
    )


def _threads(config: Config) -> int:
    """Return the threads of each process: its share of the cores, unless the configuration says."""
    return config.launch.threads or max(1, len(os.sched_getaffinity(0)) // config.launch.devices)


@contextlib.contextmanager
def torchrun(config: Config, task: Path, module: str = MODULE) -> Iterator[subprocess.Popen[bytes]]:
    """Start torchrun, in a session of its own so that Ctrl-C reaches the run once; it is gone afterwards.

    Each of its processes is `python -m MODULE train TASK`.
    """
    environ = os.environ | {"OMP_NUM_THREADS": str(_threads(config))}
    agent = subprocess.Popen(
        [*_on_every_node(config), sys.executable, "-m", MODULE, "supervise", str(task), module],
        env=environ | _master(config),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield agent
    finally:
        _end(agent, config)


def _on_every_node(config: Config) -> list[str]:
    """Return the srun command that starts the torchrun of each node; nothing on one node."""
    if config.launch.nodes == 1:
        return []
    cpus = os.environ.get("SLURM_CPUS_PER_TASK")  # a step does not inherit this from its job
    size = [f"--nodes={config.launch.nodes}", f"--ntasks={config.launch.nodes}", "--ntasks-per-node=1"]
    return [
        "srun",
        *size,
        *([f"--cpus-per-task={cpus}"] if cpus else []),
        "--input=none",
        "--kill-on-bad-exit=0",
    ]


def _master(config: Config) -> dict[str, str]:
    """Return where the torchruns of several nodes meet: on the first node of the job, which is this one."""
    if config.launch.nodes == 1:
        return {}
    with socket.socket() as tried:
        tried.bind(("", 0))
        port = tried.getsockname()[1]
    return {"ISOFLOP_MASTER": f"{ranks.first_node(os.environ, 'JOB')}:{port}"}


def _end(agent: subprocess.Popen[bytes], config: Config) -> None:
    """End torchrun, and all processes with it.

    srun is asked first: once it has been killed, nothing is left that could end the processes of other nodes.
    """
    if agent.poll() is None and config.launch.nodes > 1:
        agent.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(ASKED_SECONDS)
    if agent.poll() is None:
        agent.kill()
        agent.wait()
