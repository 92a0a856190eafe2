"""Before a sweep: what each cell will cost, whether its input is good, and how many run at a time.

Whatever needs torch is asked of a child process; the supervisor imports none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

from isoflop.config import Config, ConfigError
from isoflop.config.launch import LaunchConfig, Shared
from isoflop.sweep.grid import Cell

PRELOAD = ["isoflop.sweep.local.preload"]


@dataclasses.dataclass(frozen=True)
class Slots:
    """Cells at a time, and threads of each process. `gpus` is 0 on a CPU. A cell takes `devices` GPUs next to
    each other: slot i those of group i modulo the number of groups."""

    workers: int
    threads: int
    gpus: int
    devices: int = 1

    @property
    def groups(self) -> int:
        """Groups of GPUs for a cell each; 0 on a CPU."""
        return max(1, self.gpus // self.devices) if self.gpus else 0

    @property
    def shared(self) -> Shared:
        """What cells have together: a GPU, or only the processor."""
        if 0 < self.groups < self.workers:
            return "gpu"
        return "processor" if self.workers > 1 else "nothing"

    def device_index(self, slot: int) -> int:
        """The first GPU of a slot; 0 on a CPU."""
        return slot % self.groups * self.devices if self.gpus else 0


def context() -> ForkServerContext:
    """Where children come from: a fork server that has torch imported."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOAD)
    return made


def ask(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns in a child process; its ValueError is raised here.

    Raises:
        ConfigError: the function's ValueError.
        RuntimeError: the child died, or raised something else; `what` says what it was for.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    child = context().Process(target=_answer, args=(there, function, arguments))
    child.start()
    there.close()
    try:
        kind, value = here.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"{what} failed: its process ended with code {child.exitcode}") from None
    except KeyboardInterrupt:
        child.kill()
        raise
    child.join()
    if kind == "value":
        return value
    raise ConfigError(value) if kind == "input" else RuntimeError(f"{what} failed: {value}")


def _answer(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        said = ("value", function(*arguments))
    except ValueError as error:
        said = ("input", str(error))
    except Exception as error:
        said = ("failed", f"{type(error).__name__}: {error}")
    with contextlib.suppress(OSError):  # the parent may be gone
        pipe.send(said)


def _plan_all(configs: tuple[Config, ...]) -> tuple[tuple[float | None, ...], int]:
    """In a child: planned training FLOPs of each cell, and how many GPUs there are. One count a shape."""
    import torch

    from isoflop.runner import prepare

    plans: dict[str, float | None] = {}
    ids = [config.config_id for config in configs]
    for config, config_id in zip(configs, ids, strict=True):
        if config_id not in plans:
            plan = prepare.prepare(config, torch.device("cpu")).plan
            plans[config_id] = plan.planned_train_flops
    device = prepare.pick_device(configs[0].launch)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    return tuple(plans[config_id] for config_id in ids), gpus


def plan(cells: tuple[Cell, ...]) -> tuple[tuple[Cell, ...], int]:
    """The cells with their planned FLOPs, largest first, and the number of GPUs.

    Every input is tried here, so that bad input is found before anything is trained.

    Raises:
        ConfigError: a cell's data, model or batch cannot be used.
        RuntimeError: the planning process died.
    """
    planned, gpus = ask("planning", _plan_all, tuple(cell.config for cell in cells))
    made = [dataclasses.replace(c, planned_train_flops=p) for c, p in zip(cells, planned, strict=True)]
    return tuple(sorted(made, key=lambda cell: -(cell.planned_train_flops or 0.0))), gpus


def slots(launch: LaunchConfig, gpus: int, per_gpu: int = 1) -> Slots:
    """How many cells run at a time: `per_gpu` a group of launch.devices GPUs, or one for as many CPU cores as
    it has threads, unless launch.workers says."""
    cores, devices = len(os.sched_getaffinity(0)), launch.devices
    threads = launch.threads or 1
    groups = Slots(1, 1, gpus, devices).groups
    workers = launch.workers or groups * per_gpu or max(1, cores // (threads * devices))
    if gpus and not launch.threads:
        threads = max(1, cores // (workers * devices))
    return Slots(workers, threads, gpus, devices)
