"""One worker: python -m isoflop.parallel.measure.worker train TASK, started by torchrun (runner/rank.py)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import torch

from isoflop import config as configs
from isoflop.config import Config
from isoflop.meter.device import ceilings, peaks
from isoflop.parallel.measure.clock import Clock, barrier_seconds
from isoflop.parallel.measure.gradient import ConjugateGradient
from isoflop.parallel.measure.jobs import Assignment, Job
from isoflop.parallel.measure.matrix import MatrixProduct
from isoflop.parallel.measure.run import FAILURE, JOBS
from isoflop.parallel.measure.training import MOST_STEPS, Training
from isoflop.record import PeakRate, parallel, redact, write_bytes
from isoflop.record.parallel import PARALLEL_SCHEMA, ParallelRecord, SplitTiming
from isoflop.runner import attempt, energy, provenance, rank, ranks
from isoflop.runner.prepare import pick_device, prepare
from isoflop.runner.task import Task
from isoflop.train import precision
from isoflop.train.distributed import SINGLE, World, is_peer_failure
from isoflop.train.loop import deterministic

NOT_METERED = "metering is off: meter=none"
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp8": torch.bfloat16}
WARM_STEPS = 3
Work = Training | MatrixProduct | ConjugateGradient


def main(role: str, path: str) -> int:
    """Measure the jobs of a task as one worker; return 1 where torchrun must end the others."""
    assert role == "train"
    rank.die_with_parent(signal.SIGKILL)
    task = Task.read(Path(path))
    assignment = msgspec.json.decode((task.files.folder / JOBS).read_bytes(), type=Assignment)
    try:
        with _worker(task) as worker, worker.arithmetic():
            for job in assignment.jobs:
                worker.measure(job, assignment)
    except Exception as error:
        if not is_peer_failure(error):
            _leave(task.files.folder / FAILURE, error)
        return 1
    return 0


def _leave(path: Path, error: Exception) -> None:
    """Write why this worker ends, for the process that started torchrun."""
    text = redact.text((str(error).strip() or type(error).__name__).splitlines()[0])
    input_error = isinstance(error, ValueError)
    reason = text if input_error or isinstance(error, OSError) else f"{type(error).__name__}: {text}"
    with contextlib.suppress(OSError):
        write_bytes(path, msgspec.json.encode((input_error, reason)))


@contextlib.contextmanager
def _worker(task: Task) -> Iterator[Worker]:
    own = ranks.from_environment(os.environ)
    assert own is not None, "torchrun sets RANK"
    config = configs.from_dict(task.config)
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch, rank.local_index(own))
    alone = contextlib.nullcontext(SINGLE)
    with alone if own.world_size == 1 else rank.joined(config, own, device) as world:
        yield Worker(task, config, device, world)


class Worker:
    """One of the workers, and what it measures."""

    def __init__(self, task: Task, config: Config, device: torch.device, world: World) -> None:
        self._task, self.config, self._device, self._world = task, config, device, world
        self._machine = attempt.machine(config, device)

    def measure(self, job: Job, how: Assignment) -> None:
        """Time a job, and write its record in the main process. Collective."""
        started_at = provenance.now()
        clock = Clock(self._world, self._device, split=False)
        work = self._work(job, clock)
        steps = job.steps or _steps_of(work, clock, how.seconds)
        settings = job.settings | ({"engine": work.engine} if isinstance(work, Training) else {})
        work.run(min(WARM_STEPS, steps), clock)
        with energy.energy_meter(self._quiet, self._device, self._world, shared="nothing") as meter:
            timings = [self._timed(work, steps, clock, meter) for _ in range(how.repeats)]
            joules, no_joules = meter.measurement() if meter else (None, NOT_METERED)
        residual = work.residual()
        clock = Clock(self._world, self._device, split=True)
        if isinstance(work, Training):
            del work  # before the next model is made: two would share the memory
            work = self._work(job, clock)
        work.run(min(WARM_STEPS, steps), clock)
        split = [self._timed(work, steps, clock) for _ in range(how.repeats)]
        barrier = barrier_seconds(self._world, self._device) if self._world.group else None
        peak, no_peak = self._peak(job)
        flops = work.flops_per_step
        record = ParallelRecord(
            schema=PARALLEL_SCHEMA,
            group_id=job.group_id,
            payload=job.payload,
            scaling=job.scaling,
            workers=job.workers,
            nodes=self.config.launch.nodes,
            backend=self._backend,
            size=job.size,
            settings=settings,
            steps=steps,
            flops_per_step=flops,
            flops_per_step_reason="the counters do not agree on the model's FLOPs" if flops is None else None,
            exchanges_per_step=clock.exchanges / steps,
            exchanged_bytes_per_step=clock.exchanged_bytes / steps,
            wall_seconds=self._slowest(timings),
            split=self._means(split),
            barrier_seconds=barrier,
            barrier_seconds_reason="one worker waits for nobody" if barrier is None else None,
            residual=residual,
            residual_reason="a training step has no other result to be compared with"
            if residual is None
            else None,
            peak=peak,
            peak_reason=no_peak,
            energy=joules,
            energy_reason=no_joules,
            provenance=provenance.gather(
                *(self.config, self._machine),
                started_at=started_at,
                command_line=self._task.request.command_line or provenance.command(),
            ),
        )
        if self._world.is_main:
            parallel.write(record, Path(how.directory))

    @property
    def _quiet(self) -> Config:
        """The configuration whose meter leaves its polls in the task's folder, where they are not kept."""
        return dataclasses.replace(
            self.config,
            out=str(self._task.files.folder),
            meter=dataclasses.replace(self.config.meter, idle_seconds=0.0),
        )

    def arithmetic(self) -> contextlib.AbstractContextManager[None]:
        """Return the context that everything is measured in: torch's algorithms, and its fp32 products."""
        return deterministic(self.config.launch.deterministic, self.config.precision.compute)

    @property
    def _backend(self) -> Literal["none", "gloo", "nccl"]:
        if self._world.group is None:
            return "none"
        return "nccl" if self._device.type == "cuda" else "gloo"

    def _work(self, job: Job, clock: Clock) -> Work:
        """Make a payload of the job's size. Collective."""
        device, world = self._device, self._world
        if job.payload == "matmul":
            dtype = DTYPES[precision.resolve(self.config.precision.compute, device)]
            return MatrixProduct(job.amount, dtype, device, world)
        if job.payload == "cg":
            return ConjugateGradient(job.settings["side"], job.amount, device, world)
        optim = dataclasses.replace(self.config.optim, batch_size=job.amount)
        config = dataclasses.replace(self.config, optim=optim)
        prepared = world.run_on_all(lambda: prepare(config, device, reread_changed=False))
        return Training(config, prepared, device, world, clock)

    def _timed(self, work: Work, steps: int, clock: Clock, meter: energy.Meter | None = None) -> SplitTiming:
        clock.start()
        with energy.metered_window(meter):
            work.run(steps, clock)
            return clock.stop()

    def _slowest(self, timings: Sequence[SplitTiming]) -> tuple[float, ...]:
        """Return the wall seconds of the slowest worker of each timing. Collective."""
        gathered = self._world.all_gather([timing.wall_seconds for timing in timings])
        return tuple(max(of_one) for of_one in zip(*gathered, strict=True))

    def _means(self, timings: Sequence[SplitTiming]) -> tuple[SplitTiming, ...]:
        """Return the mean over the workers of each timing: means add up as the parts do. Collective."""
        gathered = self._world.all_gather([dataclasses.astuple(timing) for timing in timings])
        return tuple(
            SplitTiming(*(statistics.fmean(part) for part in zip(*of_one, strict=True)))
            for of_one in zip(*gathered, strict=True)
        )

    def _peak(self, job: Job) -> tuple[PeakRate | None, str | None]:
        """Return the peak rate of one worker, or None and why it is unknown.

        Of a GPU it is the datasheet's; of a core what `isoflop doctor --measure` found with so many threads.
        """
        dtype = precision.resolve(self.config.precision.compute, self._device)
        if job.payload != "training" and dtype == "fp8":
            dtype = "bf16"  # the matrix payload has no scaled product
        dtype = "fp32" if job.payload == "cg" else dtype
        if self._device.type == "cuda":
            gpu = self._machine.gpu
            peak = peaks.peak_rate(self._machine.device, dtype, gpu.memory_bytes if gpu else None)
            return peak, None if peak else f"no peak rate of {self._machine.device} in {dtype} is known"
        ceiling, reason = ceilings.find(self._machine.cpu, dtype, self._machine.threads)
        if ceiling is None:
            return None, reason
        return PeakRate(ceiling.flops_per_second, dtype, "measured by isoflop doctor --measure"), None


def _steps_of(work: Work, clock: Clock, seconds: float) -> int:
    """Return how many steps take about `seconds`."""
    steps = 1
    while True:
        clock.start()
        work.run(steps, clock)
        wall = clock.stop().wall_seconds
        # A short timing says little of a long one: the first steps of all are slower.
        if wall >= seconds / 2 or steps >= MOST_STEPS:
            return min(MOST_STEPS, max(1, round(steps * seconds / wall)))
        steps = min(MOST_STEPS, 2 * steps)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
