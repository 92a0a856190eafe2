"""One attempt at a run by this process, top to bottom: prepare, train and meter, write a record a point."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import torch

from isoflop import record as records
from isoflop import signals
from isoflop.config import Config
from isoflop.meter.device import hardware
from isoflop.record import Provenance, Record, State, window_losses
from isoflop.runner import assemble, checkpoint, failure, prior_work, provenance, same_data
from isoflop.runner.context import RunContext, WallClock
from isoflop.runner.energy import gpu_uuids
from isoflop.runner.prepare import Prepared, check_device, pick_device, prepare
from isoflop.runner.provenance import Machine
from isoflop.runner.request import RunRequest, Watch
from isoflop.runner.state import MeasuredPoint
from isoflop.runner.trajectory import train_and_meter
from isoflop.signals import InterruptedRunError
from isoflop.track import feed
from isoflop.train import precision
from isoflop.train.distributed import SINGLE, World, is_peer_failure
from isoflop.train.loop import DivergedError


def run_attempt(
    config: Config, request: RunRequest, *, watch: Watch | None = None, world: World = SINGLE
) -> tuple[Record, ...]:
    """Train one run and return its records, one a point; each is written as soon as its point is reached.

    Every process of a `world` calls this with the same arguments; the main process alone writes. Returns and
    raises as `runner.run.run`; a signal that comes before the run is prepared raises signals.StopNow.
    """
    clock, started_at = WallClock(), provenance.now()
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch, request.device_index)
    check_device(config, device)
    feed.check(config.tracker)
    gpus = [device.index] if device.type == "cuda" else []
    with (
        signals.watched() as stop,
        _prepared(config, device, request, stop, world) as prepared,
        _claimed(config, world),
        torch.random.fork_rng(gpus),
        feed.Feed(config) as tracker,
    ):
        world.run_on_all(lambda: _check_places(config, world))
        if request.again and world.is_main:
            checkpoint.discard(config)
        if not request.again:
            world.run_on_all(lambda: _check_same_data(config, prepared, world))
        if done := world.from_main(() if request.again else finished(config)):
            return done
        context = RunContext(provenance.next_attempt(config), clock, stop, tracker, world, watch)
        if world.is_main:
            tracker.begin(context.attempt)
        command = request.command_line or provenance.command()
        origin = provenance.gather(
            config, machine(config, device), started_at=started_at, command_line=command
        )
        writer = _RecordWriter(config, prepared, origin, request, context)
        try:
            for point in train_and_meter(config, prepared, device, request, context):
                writer.write_point(point)
        except OSError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            writer.write_failure(*_outcome_of(error, config, world))
        if world.is_main and all(_is_done(config, horizon) for horizon in config.point_ids):
            checkpoint.discard(config)
        written = writer.all_records()
        if world.is_main:
            tracker.end(written)
        return written


@contextlib.contextmanager
def _prepared(
    config: Config, device: torch.device, request: RunRequest, stop: signals.Stop, world: World
) -> Iterator[Prepared]:
    """Prepare the run for every process of the world; where there is one, a signal ends that at once."""

    def make() -> Prepared:
        # A run that is done needs nothing before it any more: OUT/prior may be gone.
        done = not request.again and finished(config)
        prior = prior_work.NOTHING if done else prior_work.found(config)
        return dataclasses.replace(prepare(config, device), prior=prior)

    with contextlib.nullcontext() if world.group else stop.at_once():
        prepared = world.run_on_all(make)
    yield prepared


def _check_places(config: Config, world: World) -> None:
    """Refuse, before anything is trained, what may not be replaced where the run will write.

    Raises:
        ValueError: a record is of a newer schema, or a folder is in the place of a record or a checkpoint.
        OSError: one of them cannot be read.
    """
    if world.is_main:
        for horizon in config.point_ids:
            records.find_state(_path(config, horizon))
        checkpoint.check_place(config)


def _check_same_data(config: Config, prepared: Prepared, world: World) -> None:
    if world.is_main:
        same_data.check(config, prepared.data.split_sha256)


@contextlib.contextmanager
def _claimed(config: Config, world: World) -> Iterator[None]:
    """Have the main process hold the run for the whole world."""
    with contextlib.ExitStack() as stack:
        claim = records.claim(config.directory, config.run_id) if world.is_main else contextlib.nullcontext()
        world.run_on_all(lambda: stack.enter_context(claim))
        yield


class _RecordWriter:
    """Writes the records of one attempt, and knows which horizons have one."""

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        origin: Provenance,
        request: RunRequest,
        context: RunContext,
    ) -> None:
        self._config, self._prepared, self._origin = config, prepared, origin
        self._request, self._context = request, context
        self._written: dict[float, Record] = {}

    def write_point(self, point: MeasuredPoint) -> None:
        """Write the record of a point, and charge it the wall time since the point before."""
        seconds = self._context.clock.charge()
        record = assemble.finished_record(
            *(self._config, self._prepared, point, self._origin),
            attempt=self._context.attempt,
            seconds=seconds,
            lr_interior=self._request.lr_interior,
        )
        windows = point.trained.test.window_nats
        if windows is not None and self._context.world.is_main:
            # Before the record: a point that is done has its windows.
            window_losses.write(windows, self._config.directory, record.run_id)
        self._keep(point.trained.horizon, record)

    def write_failure(self, state: State, reason: str) -> None:
        """Write the record of each horizon that this attempt was to reach and did not."""
        for horizon in self._config.point_ids:
            if horizon in self._written or (not self._request.again and _is_done(self._config, horizon)):
                continue
            record = provenance.record_without_point(
                *(self._config, self._origin, horizon),
                state=state,
                reason=reason,
                attempt=self._context.attempt,
                seconds=self._context.clock.charge(),
            )
            self._keep(horizon, record)

    def _keep(self, horizon: float, record: Record) -> None:
        """Write a record, unless it is a failure and would replace the record of a point."""
        self._written[horizon] = record
        replaces_point = record.state != "done" and _is_done(self._config, horizon)
        if self._context.world.is_main and not replaces_point:
            records.write(record, self._config.directory)

    def all_records(self) -> tuple[Record, ...]:
        """Return a record for each horizon: this attempt's, else the one on disk."""
        horizons = self._config.point_ids
        return tuple(self._written.get(h) or _read(self._config, h) for h in horizons)


def _path(config: Config, horizon: float) -> Path:
    return records.path_of(config.directory, config.point_ids[horizon])


def _is_done(config: Config, horizon: float) -> bool:
    return records.is_done(_path(config, horizon))


def _read(config: Config, horizon: float) -> Record:
    return records.read(_path(config, horizon))


def finished(config: Config) -> tuple[Record, ...]:
    """Return the records of the run where all its points are done, else none. Raises as records.find."""
    stored = [records.find(_path(config, horizon)) for horizon in config.point_ids]
    done = tuple(record for record in stored if record is not None and record.state == "done")
    return done if len(done) == len(stored) else ()


def _outcome_of(error: BaseException, config: Config, world: World) -> tuple[State, str]:
    """Return (state, reason) for an error among several processes.

    The process that fails first knows the cause and reports it; the others only notice that it is gone.
    """
    if world.group is not None and is_peer_failure(error):
        noticed = str(error).strip().splitlines()[0]
        reason = f"another process of this run ended or fell silent: {noticed}"
        return world.reported_failure() or ("failed", reason)
    state, reason = _outcome_here(error, config)
    if (state == "failed" or state == "oom") and not world.is_main:
        world.report_failure(state, f"process {world.rank}: {reason}")
    return state, reason


def _outcome_here(error: BaseException, config: Config) -> tuple[State, str]:
    """Return the state that an exception stands for, and the reason; a bug's traceback goes to DIR/logs."""
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    if isinstance(error, InterruptedRunError):
        return "interrupted", str(error)
    if isinstance(error, signals.StopNow):
        return "interrupted", f"{error} before training: run it again to go on"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "asked to stop twice: stopped at once"
    return failure.of(error, config.directory / "logs" / f"{config.run_id}.log")


@functools.cache
def _gpu(index: int) -> tuple[records.Gpu | None, str | None]:
    """Return what NVML knows of torch's GPU `index`, or None and why it is unknown."""
    (uuid,) = gpu_uuids(torch.device("cuda", index))
    gpus, reason = hardware.gpus()
    gpu = next((g for g in gpus if g.uuid == uuid), None)
    return gpu, None if gpu else (reason or f"NVML does not list {uuid}")


def machine(config: Config, device: torch.device) -> Machine:
    """Return the machine as this process sees it, which trains on `device`."""
    cpu = hardware.describe_cpu()
    gpu, reason = _gpu(device.index) if device.type == "cuda" else (None, "trained on the CPU")
    return Machine(
        cpu=cpu,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu,
        precision=precision.resolve(config.precision.compute, device),
        threads=torch.get_num_threads(),
        libraries=hardware.libraries(),
        gpu=gpu,
        gpu_reason=reason,
    )
