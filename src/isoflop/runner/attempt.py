"""run(config) -> records: one cell from configuration to account, top to bottom."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from isoflop import record as records
from isoflop import signals
from isoflop.config import Config
from isoflop.config.launch import Shared
from isoflop.meter.device import hardware
from isoflop.record import Record, State
from isoflop.runner import assemble, checkpoint, provenance
from isoflop.runner.energy import gpu_uuids
from isoflop.runner.prepare import pick_device, prepare
from isoflop.runner.provenance import Machine
from isoflop.runner.trajectory import Wall, Watch, measure
from isoflop.signals import InterruptedRunError
from isoflop.track import feed as tracker
from isoflop.train.distributed import SINGLE, World, is_peer_failure
from isoflop.train.loop import DivergedError, resolve_precision


def run(
    config: Config,
    *,
    device_index: int = 0,
    command_line: str | None = None,
    lr_interior: bool | None = None,
    again: bool = False,
    shared: Shared = "nothing",
    watch: Watch | None = None,
    world: World = SINGLE,
) -> tuple[Record, ...]:
    """Train one cell, write a record a point to DIR/records as it is reached, and return the records.

    A cell whose points are all done is not trained but its records returned, unless `again`. A done record is
    only ever replaced by another done one. `shared`: what others use at the same time, so that its joules are
    unknown.

    Every process of a `world` calls this with the same configuration; its chief alone writes.

    There is one point, or one a horizon with schedule.cooldowns. A cell that was interrupted goes on from its
    last checkpoint. What happens to the cell is a state of its records, never an exception: diverged, oom,
    interrupted, failed (with the traceback in DIR/logs).

    Raises:
        ValueError: the input cannot be used; nothing was trained or written.
        RecordBusyError: another process is running this cell.
        OSError: a record could not be written; nothing of it is left behind.
    """
    wall, started_at = Wall(), provenance.now()
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch, device_index)
    tracker.check(config.tracker)
    prepared = world.run_on_all(lambda: prepare(config, device))
    gpus = [device.index] if device.type == "cuda" else []
    with (
        _claimed(config, world),
        torch.random.fork_rng(gpus),
        signals.watched() as stop,
        tracker.Feed(config) as feed,
    ):
        if again and world.is_main:
            checkpoint.forget(config)
        if done := world.from_main(() if again else finished(config)):
            return done
        attempt = provenance.next_attempt(config)
        if world.is_main:
            feed.begin(attempt)
        machine, command = _machine(config, device), command_line or provenance.command()
        origin = provenance.gather(config, machine, started_at=started_at, command_line=command)
        found: dict[float, Record] = {}
        try:
            for trained, energy, reason in measure(
                *(config, prepared, device),
                attempt=attempt,
                shared=shared,
                wall=wall,
                stop=stop,
                watch=watch,
                feed=feed,
                world=world,
            ):
                seconds = wall.charge()
                record = assemble.done(
                    *(config, prepared, trained, energy, reason, origin),
                    attempt=attempt,
                    seconds=seconds,
                    lr_interior=lr_interior,
                )
                found[trained.horizon] = _keep(config, record, world)
        except OSError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            state, words = _what_happened(error, config, world)
            for horizon in config.point_ids:
                if horizon in found or (not again and _is_done(config, horizon)):
                    continue
                lost = provenance.without_point(
                    *(config, origin, horizon),
                    state=state,
                    reason=words,
                    attempt=attempt,
                    seconds=wall.charge(),
                )
                found[horizon] = _keep(config, lost, world)
        if world.is_main and all(_is_done(config, horizon) for horizon in config.point_ids):
            checkpoint.forget(config)
        results = tuple(found[h] if h in found else _read(config, h) for h in config.point_ids)
        if world.is_main:
            feed.end(results)
        return results


@contextlib.contextmanager
def _claimed(config: Config, world: World) -> Iterator[None]:
    """The cell held by the chief for the whole world."""
    with contextlib.ExitStack() as stack:
        claim = records.claim(config.directory, config.run_id) if world.is_main else contextlib.nullcontext()
        world.run_on_all(lambda: stack.enter_context(claim))
        yield


def _path(config: Config, horizon: float) -> Path:
    return records.path_of(config.directory, config.point_ids[horizon])


def _is_done(config: Config, horizon: float) -> bool:
    return records.is_done(_path(config, horizon))


def _read(config: Config, horizon: float) -> Record:
    return records.read(_path(config, horizon))


def finished(config: Config) -> tuple[Record, ...]:
    """The records of this very cell where all its points are done, else none."""
    try:
        found = tuple(_read(config, horizon) for horizon in config.point_ids)
    except (records.RecordError, OSError):
        return ()
    return found if all(record.state == "done" for record in found) else ()


def _keep(config: Config, record: Record, world: World) -> Record:
    """Write a record, unless it would put an account of failure in the place of a point."""
    shadows = record.state != "done" and records.is_done(records.path_of(config.directory, record.run_id))
    if shadows or not world.is_main:
        return record
    records.write(record, config.directory)
    return record


def _what_happened(error: BaseException, config: Config, world: World) -> tuple[State, str]:
    """`_state_of` in a world: the cause is where the first process failed, not where others noticed."""
    if world.group is not None and is_peer_failure(error):
        noticed = str(error).strip().splitlines()[0]
        reason = f"another process of this run ended or fell silent: {noticed}"
        return world.reported_failure() or ("failed", reason)
    state, words = _state_of(error, config)
    if (state == "failed" or state == "oom") and not world.is_main:
        world.report_failure(state, f"process {world.rank}: {words}")
    return state, words


def _state_of(error: BaseException, config: Config) -> tuple[State, str]:
    """The state that an exception stands for, and the reason in words; a bug's traceback goes to DIR/logs."""
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    if isinstance(error, InterruptedRunError):
        return "interrupted", str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "asked to stop twice: stopped at once"
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    # Torch has a type for running out of memory on a GPU, and only a message for a CPU.
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        return "oom", first
    log = config.directory / "logs" / f"{config.run_id}.log"
    records.write_bytes(log, "".join(traceback.format_exception(error)).encode())
    return "failed", f"{type(error).__name__}: {first} (traceback in {log})"


@functools.cache
def _gpu(index: int) -> tuple[records.Gpu | None, str | None]:
    (uuid,) = gpu_uuids(torch.device("cuda", index))
    found, reason = hardware.gpus()
    gpu = next((g for g in found if g.uuid == uuid), None)
    return gpu, None if gpu else (reason or f"NVML does not list {uuid}")


def _machine(config: Config, device: torch.device) -> Machine:
    cpu = hardware.describe_cpu()
    gpu, reason = _gpu(device.index) if device.type == "cuda" else (None, "trained on the CPU")
    return Machine(
        cpu=cpu,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu,
        precision=resolve_precision(config.precision.compute, device),
        threads=torch.get_num_threads(),
        libraries=hardware.libraries(),
        gpu=gpu,
        gpu_reason=reason,
    )
