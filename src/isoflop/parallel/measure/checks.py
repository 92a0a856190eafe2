"""Refuse what cannot be measured, before anything is started."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from isoflop.config import Config, ConfigError
from isoflop.meter.device import hardware
from isoflop.parallel.measure import sizes
from isoflop.parallel.measure.jobs import LEAST_REPEATS, Ask, Device, Job, jobs
from isoflop.runner import ranks, variables

GIBIBYTE = 2**30
LEAST_SIDE, LEAST_ROWS = 16, 64
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def device_of(config: Config) -> Device:
    """Return what a worker is on this machine: a GPU where there is one, else launch.threads cores.

    Raises:
        ConfigError: a GPU was asked for and there is none, it lacks the precision, or there are fewer cores
            than threads.
    """
    import torch

    from isoflop.runner.prepare import pick_device
    from isoflop.train import precision

    device = pick_device(config.launch)
    precision.check(config, device)
    if device.type == "cuda":
        return Device("cuda", torch.cuda.get_device_name(device), torch.cuda.device_count())
    threads, cores = config.launch.threads or 1, len(os.sched_getaffinity(0))
    if threads > cores:
        raise ConfigError(f"launch.threads={threads}: this machine gives {cores} cores: set it to fewer")
    return Device("cpu", hardware.describe_cpu(), cores // threads)


def check_workers(ask: Ask, config: Config, device: Device, environ: Mapping[str, str]) -> None:
    """Refuse numbers of workers that cannot be compared, or are not there.

    Raises:
        ConfigError: one line that names the option.
    """
    given = "--workers " + ",".join(map(str, ask.workers))
    if ranks.from_environment(environ) is not None:
        raise ConfigError(
            "isoflop parallel starts its workers itself: start it once, without torchrun or srun"
        )
    if min(ask.workers) < 1:
        raise ConfigError(f"{given}: give numbers above 0, such as 1,2,4")
    if len(ask.workers) == 1:
        raise ConfigError(
            f"{given}: a speed-up takes two numbers of workers or more, such as 1,2 (--one-worker measures "
            "the rates of one)"
        )
    if any(after <= before for before, after in zip(ask.workers, ask.workers[1:], strict=False)):
        raise ConfigError(f"{given}: give them in increasing order, each once")
    if ask.workers[0] != 1:
        raise ConfigError(f"{given}: begin with 1, which the others are compared with")
    check_machine(ask, config, device, environ)


def check_machine(ask: Ask, config: Config, device: Device, environ: Mapping[str, str]) -> None:
    """Refuse more workers than this machine, or the nodes of the job, have. Raises ConfigError."""
    most, nodes = ask.workers[-1], config.launch.nodes
    if nodes > (there := variables.integer(environ, "SLURM_JOB_NUM_NODES") or 1):
        raise ConfigError(
            f"launch.nodes={nodes}: start it in a SLURM job of as many nodes (this one has {there}), as with "
            f"salloc --nodes={nodes}"
        )
    if most > device.per_node * nodes:
        threads = config.launch.threads or 1
        what = "GPUs" if device.kind == "cuda" else f"workers of {threads} core{'s' * (threads > 1)}"
        where = f"{nodes} nodes have" if nodes > 1 else "this machine has"
        raise ConfigError(
            f"--workers {most}: {where} {device.per_node * nodes} {what}: give at most that many"
        )
    for workers in ask.workers:
        if workers > device.per_node and workers % device.per_node:
            raise ConfigError(
                f"--workers {workers}: a node has {device.per_node}: beyond that give multiples of it"
            )


def check_sizes(ask: Ask) -> None:
    """Refuse sizes and numbers of timings that say nothing. Raises ConfigError."""
    if ask.repeats < LEAST_REPEATS:
        raise ConfigError(f"--repeats {ask.repeats}: an interval takes {LEAST_REPEATS} timings or more")
    if not 0 < ask.seconds <= 600:
        raise ConfigError(f"--seconds {ask.seconds:g}: give the length of a timing, above 0 and up to 600")
    if ask.rows < LEAST_ROWS:
        raise ConfigError(f"--matrix {ask.rows}: give {LEAST_ROWS} rows or more")
    if ask.side < max(LEAST_SIDE, ask.workers[-1]):
        least = max(LEAST_SIDE, ask.workers[-1])
        raise ConfigError(f"--grid {ask.side}: give {least} points or more along an edge")


def check_payloads(ask: Ask, config: Config, device: Device) -> None:
    """Refuse a batch that cannot be shared, data that cannot be read, and what does not fit into memory.

    Raises:
        ConfigError: names the option and the number of workers.
    """
    parameters = _parameters(config) if "training" in ask.payloads else 0
    for workers in ask.workers:
        of_nodes = for_workers(config, device, workers)
        for job in jobs(ask, config, device, workers):
            if job.payload == "training":
                of_nodes.launch.check_batch(job.amount, config.model.context or 1)
            _check_memory(job, of_nodes, device, parameters)
    if "training" in ask.payloads:
        _check_data(ask, config)


def _parameters(config: Config) -> int:
    """Return the parameters of the model, of which no weight is made."""
    from isoflop.runner.prepare import weightless
    from isoflop.train import data

    facts = data.facts(config)
    twin = weightless(config.model, facts.input_shape, facts.classes)
    return sum(parameter.numel() for parameter in twin.parameters())


def _check_data(ask: Ask, config: Config) -> None:
    """Read the data with the largest batch. Raises ConfigError."""
    import torch

    from isoflop.runner.prepare import prepare

    workers = ask.workers[-1] if "weak" in ask.scalings else 1
    largest = dataclasses.replace(
        config.optim, batch_size=sizes.weak("training", config.optim.batch_size, workers)
    )
    try:
        prepare(dataclasses.replace(config, optim=largest), torch.device("cpu"))
    except ValueError as error:
        of_weak = f"weak scaling to {workers} workers: " if workers > 1 else ""
        raise ConfigError(f"{of_weak}{error}") from error


def for_workers(config: Config, device: Device, workers: int) -> Config:
    """Return the configuration of that many workers: launch.devices on each of launch.nodes."""
    nodes = -(-workers // device.per_node)
    launch = dataclasses.replace(
        config.launch,
        devices=workers // nodes,
        nodes=nodes,
        sync_batchnorm=config.launch.sync_batchnorm and workers > 1,
    )
    return dataclasses.replace(config, launch=launch)


def _check_memory(job: Job, config: Config, device: Device, parameters: int) -> None:
    """Refuse a payload that does not fit into the memory of a node, or of a GPU. Raises ConfigError."""
    if job.payload == "training":
        option, each = f"model {config.model.name}", parameters * sizes.PARAMETER_BYTES
    elif job.payload == "matmul":
        element = 2 if device.kind == "cuda" and config.precision.compute not in ("fp32", "tf32") else 4
        option = f"--matrix {job.settings['rows']}"
        each = sizes.matrix_bytes(job.amount, job.workers, element)
    else:
        option = f"--grid {job.settings['side']}"
        each = sizes.grid_bytes(job.settings["side"], job.amount, job.workers)
    needed = each if device.kind == "cuda" else each * config.launch.devices
    free = free_bytes(device)
    if free is not None and needed > free:
        where = "a GPU" if device.kind == "cuda" else "this machine"
        raise ConfigError(
            f"{option} with --workers {job.workers} ({job.scaling} scaling) takes "
            f"{needed / GIBIBYTE:.3g} GiB and {where} has {free / GIBIBYTE:.3g} GiB free: make it smaller"
        )


def free_bytes(device: Device) -> float | None:
    """Return the free memory of a GPU, or of this machine and its control group; None where unknown."""
    if device.kind == "cuda":
        import torch

        return float(torch.cuda.mem_get_info()[0])
    free = [amount for amount in (_meminfo(), _cgroup()) if amount is not None]
    return min(free) if free else None


def _meminfo() -> float | None:
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _cgroup() -> float | None:
    """Return what the control group of a container may still take; None without a limit."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return float(limit) - float(used) if limit != "max" else None
