"""The front door: measure what is not measured yet, each number of workers by a torchrun of its own."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from isoflop import extras, record
from isoflop.config import Config, ConfigError
from isoflop.parallel.measure import checks
from isoflop.parallel.measure.jobs import Ask, Assignment, Device, Job, jobs
from isoflop.record import parallel
from isoflop.record.parallel import ParallelRecord
from isoflop.runner import provenance, supervisor
from isoflop.runner.request import RunRequest
from isoflop.runner.task import Task, shared_folder

WORKER = "isoflop.parallel.measure.worker"
JOBS, FAILURE = "jobs.json", "failure.json"
"""Files of the task's folder: an Assignment, and (whether it is the input's fault, why) of what ended it."""
LOCK = "parallel"
Said = Callable[[str], None]


class MeasuringError(OSError):
    """Workers ended before they had measured everything; what they had measured is kept."""


def machine(config: Config) -> tuple[Config, Device]:
    """Return the configuration with the threads of a worker, and what a worker is here.

    Raises:
        ConfigError: as checks.device_of.
        MissingExtraError: torch is not installed.
    """
    extras.check("isoflop parallel", "torch")
    device = checks.device_of(config)
    if device.kind == "cpu" and config.launch.threads is None:
        config = dataclasses.replace(config, launch=dataclasses.replace(config.launch, threads=1))
    return config, device


def check(config: Config, ask: Ask, device: Device, *, one_worker: bool = False) -> None:
    """Refuse what cannot be measured; nothing was started or written. Raises ConfigError."""
    checks.check_sizes(ask)
    if one_worker:
        checks.check_machine(ask, config, device, os.environ)
    else:
        checks.check_workers(ask, config, device, os.environ)
    checks.check_payloads(ask, config, device)


def measure(config: Config, ask: Ask, device: Device, said: Said) -> tuple[ParallelRecord, ...]:
    """Measure what is asked for and has no record yet, and return the records of all of it.

    Args:
        config: gives the shape, the device, the meter and the folder.
        ask: what `check` has accepted.
        device: as `machine` returned it.
        said: is called with a line when a number of workers has been measured.

    Raises:
        MeasuringError: workers ended early. Run again, what they had measured is not measured again.
        ConfigError: the workers found the input at fault.
        RecordBusyError: another process measures into the same folder.
    """
    with record.claim(config.directory, LOCK):
        for workers in ask.workers:
            missing = tuple(
                job for job in _jobs(ask, config, device, workers) if ask.again or not _known(job, config)
            )
            if not missing:
                continue
            began = time.monotonic()
            _start(checks.for_workers(config, device, workers), missing, ask)
            said(f"{plural(workers)}: {len(missing)} measured in {time.monotonic() - began:.0f} s")
    return of_ask(config, ask, device)


def of_ask(config: Config, ask: Ask, device: Device) -> tuple[ParallelRecord, ...]:
    """Return the records of all that is asked for. Raises as parallel.read."""
    return tuple(
        parallel.read(_path(job, config))
        for workers in ask.workers
        for job in jobs(ask, config, device, workers)
    )


def _path(job: Job, config: Config) -> Path:
    return parallel.path_of(config.directory, job.payload, job.scaling, job.workers, job.group_id)


def _known(job: Job, config: Config) -> bool:
    """Return whether a job has a record; a damaged one is refused rather than replaced."""
    path = _path(job, config)
    return path.exists() and parallel.read(path) is not None


def _jobs(ask: Ask, config: Config, device: Device, workers: int) -> tuple[Job, ...]:
    """Return the jobs, those of several workers with the steps of a timing of one."""
    wanted = jobs(ask, config, device, workers)
    if workers == 1:
        return wanted
    base = {job.payload: parallel.read(_path(job, config)).steps for job in jobs(ask, config, device, 1)}
    return tuple(dataclasses.replace(job, steps=base[job.payload]) for job in wanted)


def _start(config: Config, missing: tuple[Job, ...], ask: Ask) -> None:
    """Have the workers measure, and wait for them. Raises as `measure`."""
    with shared_folder(config) as folder:
        task = Task.of(config, RunRequest(), provenance.command(), folder)
        directory = str(config.directory.absolute())
        assignment = Assignment(directory, missing, ask.repeats, ask.seconds)
        task.files.task.write_bytes(msgspec.json.encode(task))
        (folder / JOBS).write_bytes(msgspec.json.encode(assignment))
        with supervisor.torchrun(config, task.files.task, WORKER) as agent:
            code = agent.wait()
        if code == 0:
            return
        workers = missing[0].workers
        if not (folder / FAILURE).exists():
            raise MeasuringError(
                f"one of {plural(workers)} died (exit code {code}): run it again to measure what is missing"
            )
        input_error, reason = msgspec.json.decode((folder / FAILURE).read_bytes(), type=tuple[bool, str])
        if input_error:
            raise ConfigError(reason)
        raise MeasuringError(f"with {plural(workers)}: {reason}: run it again to measure what is missing")


def plural(workers: int) -> str:
    """Return `1 worker`, `2 workers`."""
    return f"{workers} worker{'s' * (workers > 1)}"
