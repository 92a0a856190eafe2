"""Planning of a sweep: the FLOPs of each run, a check of its input, and how many runs execute at a time.

Everything that needs torch happens in a child process; the supervisor does not import torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import sys
import time
import types
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from isoflop import extras, signals
from isoflop.config import Config, ConfigError, DataConfig
from isoflop.config.launch import LaunchConfig, Shared
from isoflop.sweep.grid import PlannedRun

PRELOAD = ["isoflop.sweep.local.preload"]


@dataclasses.dataclass(frozen=True)
class Slots:
    """Places in which runs execute at the same time.

    A run takes a group of `devices` neighbouring GPUs. Slot i uses group i modulo the number of groups, so
    that with more workers than groups several runs share the GPUs of a group.

    Attributes:
        workers: runs at the same time.
        threads: CPU threads of each process.
        gpus: GPUs of this machine; 0 for runs on the CPU.
        devices: processes of one run, and its GPUs if there are any.
    """

    workers: int
    threads: int
    gpus: int
    devices: int = 1

    @property
    def groups(self) -> int:
        """Number of groups of GPUs, each for one run; 0 on a CPU."""
        return max(1, self.gpus // self.devices) if self.gpus else 0

    @property
    def shared(self) -> Shared:
        """What runs that execute at the same time share: a GPU, or only the processor."""
        if 0 < self.groups < self.workers:
            return "gpu"
        return "processor" if self.workers > 1 else "nothing"

    @property
    def warm(self) -> bool:
        """Whether a worker goes on from run to run: on a GPU, where a new process costs seconds."""
        return self.gpus > 0

    def device_index(self, slot: int) -> int:
        """Return the first GPU of a slot; 0 on a CPU."""
        return slot % self.groups * self.devices if self.gpus else 0


def forkserver_context() -> ForkServerContext:
    """Return the context that child processes come from: a fork server that has imported torch.

    Fork alone would copy the supervisor's threads and signal handlers; spawn would import torch again, for
    seconds, in every child.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def start_child(
    target: Callable[..., Any], arguments: tuple[Any, ...], *, name: str | None = None, daemon: bool = False
) -> ForkServerProcess:
    """Start a child from the fork server, both of them with the stop signals held back (signals.held).

    SLURM, and a terminal that closes, signal every process at once. A fork server that dies of that takes the
    children with it that are still to come, and a child that is just starting leaves no record.

    Args:
        target: main function of the child; it calls signals.unhold or signals.shielded first.
        arguments: what it is called with; they are pickled.
        name, daemon: as for multiprocessing.Process.
    """
    process = forkserver_context().Process(target=target, args=arguments, name=name, daemon=daemon)
    with signals.held():
        resource_tracker.ensure_running()
    # Anew: starting the resource tracker unblocks SIGINT and SIGTERM on its way out.
    with signals.held():
        forkserver.ensure_running()
    # Not held: this waits until the fork server has imported torch, for seconds, and the child's mask is that
    # of the fork server.
    with _main_module_left_out():
        process.start()
    return process


@contextlib.contextmanager
def _main_module_left_out() -> Iterator[None]:
    """Let no child that is started inside import the main module of this process.

    multiprocessing would execute it in each child, which needs nothing of it: a user's script that calls
    run_sweep without `if __name__ == "__main__"` would start the sweep again in every one of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def wait_for_fork_server() -> None:
    """Return once the fork server can give children at once, so that later starts need not be interrupted.

    Raises:
        KeyboardInterrupt: a signal asked the process to stop: there is nothing to save yet.
        RuntimeError: the fork server does not work.
    """
    with signals.interrupting():
        call_in_child("starting a process", os.getpid)


OnDone = Callable[[int], object]
"""Called with the number of runs that have been planned."""


def nobody_watches(done: int) -> None:
    """Show nothing: the OnDone of a caller who waits for the result alone."""


def call_in_child(
    purpose: str, function: Callable[..., Any], *arguments: Any, on_done: OnDone = nobody_watches
) -> Any:
    """Return what `function` returns in a child process.

    Args:
        purpose: what the call is for, such as "planning": the subject of error messages.
        function: importable function, called with `arguments`, which are pickled.
        arguments: positional arguments.
        on_done: called here with what the function gives to `tell_done` there.

    Raises:
        ConfigError: the function raised ValueError.
        OSError: it raised one.
        RuntimeError: the child died, or the function raised something else.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = start_child(_call_and_send, (sender, function, arguments))
    sender.close()  # only the child holds the other end now, so its death ends recv with EOFError
    try:
        while (message := receiver.recv())[0] == "done":
            on_done(message[1])
        kind, value = message
    except EOFError:
        child.join()
        raise RuntimeError(f"{purpose} failed: its process ended with code {child.exitcode}") from None
    except KeyboardInterrupt:
        child.kill()
        raise
    child.join()
    if kind == "value":
        return value
    if kind == "os":
        raise OSError(*value)
    raise ConfigError(value) if kind == "input" else RuntimeError(f"{purpose} failed: {value}")


_parent: list[Connection] = []
"""In a child of `call_in_child`, the pipe to its parent."""
TELL_SECONDS = 0.1
"""A child says how far it is at most so often."""
_told_at = [float("-inf")]


def tell_done(done: int) -> None:
    """Tell the parent of this child process, if it is one, how many runs have been planned."""
    now = time.monotonic()
    if _parent and now - _told_at[0] >= TELL_SECONDS:
        _told_at[0] = now
        with contextlib.suppress(OSError):  # the parent may have been killed
            _parent[0].send(("done", done))


def _call_and_send(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signals.shielded()  # asked to stop, the parent kills this process
    _parent.append(pipe)
    outcome = reply(function, arguments)
    with contextlib.suppress(OSError):  # the parent may have been killed
        pipe.send(outcome)


def reply(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Return (kind, value) of a call for the parent: what it returned, or why it failed, by whose fault."""
    try:
        return "value", function(*arguments)
    except ValueError as error:  # MissingExtraError is one
        return "input", str(error)
    except ImportError as error:
        line = extras.explain(error, "training")
        return ("input", line) if line else ("failed", f"{type(error).__name__}: {error}")
    except OSError as error:
        return "os", (error.errno, error.strerror or str(error), error.filename)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run will do, as far as it is known before training.

    Attributes:
        train_flops: training FLOPs of trunk and cooldown branches.
        point_flops: those of each point, which are of the trunk up to its branch and of that branch.
        steps: of trunk and branches.
        ends: steps after which each point ends.
        epoch_steps: steps of one pass over the training part.
        input_shape: sizes of an image, or of a window.
        parameters_without_embeddings: of a language model, without its token embeddings; else None.
    """

    train_flops: float | None
    point_flops: tuple[float | None, ...]
    steps: int
    ends: tuple[int, ...]
    epoch_steps: int
    input_shape: tuple[int, ...]
    parameters_without_embeddings: int | None = None


@dataclasses.dataclass(frozen=True)
class Site:
    """The machine that plans: its device as records name it, the precision that `auto` means there, and its
    number of GPUs."""

    device: str
    precision: str
    gpus: int


def _lay_out_in_child(configs: tuple[Config, ...]) -> tuple[tuple[RunPlan, ...], Site]:
    """Return the plan of each run, from public facts of the data sets where possible, and this machine."""
    from isoflop.runner import own_model, prepare
    from isoflop.train.data import Facts, facts

    plans: dict[str, RunPlan] = {}
    read: dict[tuple[DataConfig, int | None], Facts] = {}
    sizes = own_model.Sizes()
    for number, config in enumerate(configs):
        tell_done(number)
        if config.config_id not in plans:
            of_data = config.data, config.model.context
            known = read[of_data] = read.get(of_data) or facts(config)
            config.check_batch()
            count, plan = prepare.lay_out(config, known)
            sizes.add(config.model, known.input_shape, known.classes, count)
            each, batch = count.train_flops_per_example, config.optim.batch_size
            plans[config.config_id] = RunPlan(
                train_flops=plan.planned_train_flops,
                point_flops=tuple(prepare.times(h.end_step * batch, each) for h in plan.horizons),
                steps=plan.all_steps,
                ends=tuple(h.end_step for h in plan.horizons),
                epoch_steps=known.train_n // batch,
                input_shape=known.input_shape,
                parameters_without_embeddings=prepare.parameters_without_embeddings(config, known),
            )
    sizes.check()
    return tuple(plans[config.config_id] for config in configs), site(configs[0].launch)


def site(launch: LaunchConfig) -> Site:
    """Return this machine as runs would use it; imports torch, so it is for a child process."""
    import torch

    from isoflop.meter.device import hardware

    gpus = torch.cuda.device_count() if launch.device != "cpu" else 0
    device = torch.cuda.get_device_name() if gpus else hardware.describe_cpu()
    return Site(device, "bf16" if gpus else "fp32", gpus)


def lay_out(
    runs: tuple[PlannedRun, ...], on_done: OnDone = nobody_watches
) -> tuple[tuple[RunPlan, ...], Site]:
    """Return the plan of each run, in the order of `runs`, without reading images; and this machine.

    `on_done` is called with the number of runs that have been planned so far.

    Raises:
        ConfigError: a run's model or batch size cannot be used.
        RuntimeError: the planning process died.
    """
    configs = tuple(each.config for each in runs)
    plans, here = call_in_child("planning", _lay_out_in_child, configs, on_done=on_done)
    return plans, here


@dataclasses.dataclass(frozen=True)
class _Planned:
    """What planning learned of a configuration: its training FLOPs, and its counted work, pickled.

    The supervisor only hands the work on: to read it, it would have to import torch.
    """

    train_flops: float | None
    counted: bytes


_counted: dict[str, bytes] = {}
"""shape_id -> counted work, pickled, of all shapes that this process has planned."""


def counted_work(shape_id: str) -> bytes | None:
    """Return the counted work of a shape that was planned here, for `take_over_counted_work`; else None."""
    return _counted.get(shape_id)


def take_over_counted_work(counted: bytes | None) -> None:
    """Spare this process, a child, the counting of a shape whose work its supervisor sends."""
    if counted is not None:
        from isoflop.runner import prepare

        prepare.remember(pickle.loads(counted))


def _plan_in_child(
    configs: tuple[Config, ...], counted: tuple[bytes, ...]
) -> tuple[dict[str, _Planned], int]:
    """Return what is planned for each config_id, and the number of GPUs.

    Args:
        configs: of all runs.
        counted: work that was counted before.

    Raises:
        ValueError: a run's input cannot be used, or what it has reached so far was trained on other data.
    """
    import torch

    from isoflop.runner import own_model, prepare, same_data

    sizes = own_model.Sizes()
    for each in counted:
        take_over_counted_work(each)
    planned: dict[str, _Planned] = {}
    splits: dict[str, str] = {}
    for number, config in enumerate(configs):
        tell_done(number)
        config_id = config.config_id
        if config_id not in planned:
            prepared = prepare.prepare(config, torch.device("cpu"), reread_changed=False)
            data = prepared.data
            sizes.add(config.model, data.input_shape, data.classes, prepared.count)
            work = pickle.dumps(prepare.counted_work(config, prepared))
            planned[config_id] = _Planned(prepared.plan.planned_train_flops, work)
            splits[config_id] = prepared.data.split_sha256
        same_data.check(config, splits[config_id])
    sizes.check()
    device = prepare.pick_device(configs[0].launch)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    return planned, gpus


def plan(
    runs: tuple[PlannedRun, ...], on_done: OnDone = nobody_watches
) -> tuple[tuple[PlannedRun, ...], int]:
    """Return the runs with their planned FLOPs, largest first, and the number of GPUs.

    `on_done` is called with the number of runs that have been planned so far.

    The input of every configuration is prepared here, so that bad input is found before training starts.
    The shapes with the largest runs go first so that no long run is left over for the end, when other workers
    are idle; runs of one shape follow one another, to be compiled and metered together. Work is counted
    once a configuration, since it does not depend on the seed, and `counted_work` keeps it for the processes
    that will train.

    Raises:
        ConfigError: a run's data, model or batch size cannot be used, or the data have changed since another
            part of the sweep was trained.
        RuntimeError: the planning process died.
    """
    ids = [planned.config.config_id for planned in runs]
    distinct = {config_id: planned.config for config_id, planned in zip(ids, runs, strict=True)}
    shapes = {config_id: config.shape_id for config_id, config in distinct.items()}
    known = tuple({shape: _counted[shape] for shape in shapes.values() if shape in _counted}.values())
    all_configs = tuple(planned.config for planned in runs)
    by_config, gpus = call_in_child("planning", _plan_in_child, all_configs, known, on_done=on_done)
    _counted.update({shapes[config_id]: made.counted for config_id, made in by_config.items()})
    flops = {config_id: made.train_flops for config_id, made in by_config.items()}
    first = {shape: number for number, shape in reversed(list(enumerate(shapes.values())))}
    largest: dict[str, float] = {}
    for config_id, shape in shapes.items():
        largest[shape] = max(largest.get(shape, 0.0), flops[config_id] or 0.0)

    def place(i: int) -> tuple[float, int, float]:
        shape = shapes[ids[i]]
        return -largest[shape], first[shape], -(flops[ids[i]] or 0.0)

    order = sorted(range(len(runs)), key=place)
    return tuple(dataclasses.replace(runs[i], planned_train_flops=flops[ids[i]]) for i in order), gpus


def fixed_slots(launch: LaunchConfig, gpus: int, per_gpu: int = 1) -> Slots:
    """Return the slots of this machine: `per_gpu` for each group of launch.devices GPUs, or one for as many
    CPU cores as a run has threads; launch.workers and launch.threads override both."""
    cores, devices = len(os.sched_getaffinity(0)), launch.devices
    threads = launch.threads or 1
    groups = Slots(1, 1, gpus, devices).groups
    workers = launch.workers or groups * per_gpu or max(1, cores // (threads * devices))
    if gpus and not launch.threads:
        threads = max(1, cores // (workers * devices))
    return Slots(workers, threads, gpus, devices)
