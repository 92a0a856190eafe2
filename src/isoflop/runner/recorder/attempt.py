"""One attempt at a recorded loop: its meter, its heartbeat, its hold on the run, and its record."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from isoflop import record as records
from isoflop.config.launch import METER_OFF
from isoflop.meter.device import hardware
from isoflop.meter.energy.energy_meter import wait_for_cuda
from isoflop.meter.energy.total import total
from isoflop.notices import notify
from isoflop.record import Energy, Provenance, Record, heartbeat
from isoflop.record.heartbeat import Heartbeat, HeartbeatWriter
from isoflop.runner import provenance
from isoflop.runner.provenance import Machine
from isoflop.runner.recorder import background, devices, outcome, record_of, world
from isoflop.runner.recorder.description import Description
from isoflop.runner.recorder.devices import Devices, MeterSettings, RankMeter
from isoflop.runner.recorder.loop_facts import LoopFacts
from isoflop.runner.recorder.progress import Progress
from isoflop.runner.recorder.record_of import Ended, Work
from isoflop.runner.state import EarlierEnergy
from isoflop.runner.timing import TrainingSeconds

LEAST_SECONDS = 1e-9
"""Training time of a loop that was metered for no time at all: rates divide by it."""
FRAMEWORKS = {
    "jax": "jax",
    "lightning": "lightning",
    "pytorch_lightning": "pytorch-lightning",
    "transformers": "transformers",
    "accelerate": "accelerate",
}
"""Module -> package of frameworks whose version stands in the provenance where the loop has imported them."""


class Clock:
    """Seconds in training and in evaluations, and wall time, by the monotonic clock."""

    def __init__(self) -> None:
        self._began = self._since = time.perf_counter()
        self.is_training, self._train, self._eval = False, 0.0, 0.0
        self.setup_seconds: float | None = None

    def switch(self) -> None:
        """Go from set-up or an evaluation to training, or from training to an evaluation."""
        now = time.perf_counter()
        if self.setup_seconds is None:
            self.setup_seconds = now - self._began
        elif self.is_training:
            self._train += now - self._since
        else:
            self._eval += now - self._since
        self.is_training, self._since = not self.is_training, now

    @property
    def train_seconds(self) -> float:
        """Seconds in training up to now."""
        return self._train + (time.perf_counter() - self._since if self.is_training else 0.0)

    @property
    def eval_seconds(self) -> float:
        """Seconds in evaluations that have ended."""
        return self._eval

    @property
    def wall_seconds(self) -> float:
        """Seconds since the attempt began."""
        return time.perf_counter() - self._began


class Attempt:
    """One attempt. Every process of a world makes one; the main process alone writes.

    Args:
        directory: folder of the sweep.
        description: what the user said of the run.
        facts: what is seen of the loop.
        settings: how to meter, None for not at all.
        steps: of the whole loop, if known.
    """

    def __init__(
        self,
        directory: Path,
        description: Description,
        facts: LoopFacts,
        settings: MeterSettings | None,
        steps: int | None,
    ) -> None:
        self._directory, self._description, self._facts = directory, description, facts
        self._settings, self._steps, self._run_id = settings, steps, description.run_id
        self._clock, self._started_at = Clock(), provenance.now()
        self._stack = contextlib.ExitStack()
        self._work, self._devices = Work(), Devices(())
        self._meter: RankMeter | None = None
        self._stopper: background.Stopper | None = None
        self._world = world.find()
        self._number = 1
        self._lost: Heartbeat | None = None
        self._beats = HeartbeatWriter(directory, self._run_id)
        self._from = self._latest = Progress()

    @property
    def is_main(self) -> bool:
        """Whether this process writes the record."""
        return self._world is None or self._world.is_main

    def begin(self) -> None:
        """Hold the run, count the model and open the first window. Collective; raises as Recorder.start."""
        try:
            if self._world is None:
                self._prepare()
            else:
                self._world.run_on_all(self._prepare)
            if self._settings is not None:
                polls = self._directory / "power" / f"{self._run_id}.jsonl"
                self._meter = RankMeter(self._devices, self._world, polls, self._settings)
                if self._meter.own:
                    self._stack.enter_context(self._meter.own)
        except BaseException:
            self._stack.close()
            raise
        self._stopper = self._stack.enter_context(background.stopping_by_exception())
        if self.is_main:
            self._stack.enter_context(background.repeating(lambda: self._write_beat(self._latest)))
        self.resume()
        if self.is_main:
            self._write_beat(self._latest)

    def _prepare(self) -> None:
        if self.is_main:
            before = records.find(records.path_of(self._directory, self._run_id))
            self._stack.enter_context(records.claim(self._directory, self._run_id))
            self._number = 1 + self._last_attempt(before)
            world.failure_path(self._directory, self._run_id).unlink(missing_ok=True)
        self._devices = self._facts.find_devices()
        batch_size = self._description.hyperparameters.get("batch_size")
        self._work = self._facts.count(batch_size if isinstance(batch_size, int) and batch_size > 0 else None)

    def _last_attempt(self, before: Record | None) -> int:
        """Return the number of the last attempt, and keep its heartbeat: how far it came."""
        last = heartbeat.last(self._directory, self._run_id)
        self._lost = last[0] if last else None
        return max(before.attempt if before else 0, self._lost.attempt if self._lost else 0)

    def go_on_from(self, progress: Progress) -> None:
        """Count what the attempt before did after `progress` as lost."""
        self._from = self._latest = progress

    def pause(self) -> None:
        """Close the window of training, if it is open."""
        if self._clock.is_training:
            wait_for_cuda()
            if self._meter and self._meter.own:
                self._meter.own.end()
            self._clock.switch()

    def resume(self) -> None:
        """Open a window of training, if none is."""
        if not self._clock.is_training:
            wait_for_cuda()
            if self._meter and self._meter.own:
                self._meter.own.begin()
            self._clock.switch()

    def so_far(self) -> tuple[float, float | None]:
        """Return seconds and joules of training up to now, in all attempts; unknown joules are None."""
        joules = self._meter.joules_so_far() if self._meter else None
        earlier = self._from.earlier
        if joules is None or earlier.reason:
            joules = None
        else:
            joules += sum(energy.energy_joules for energy in earlier.energies)
        return self._from.train_seconds + self._clock.train_seconds, joules

    def beat(self, progress: Progress) -> None:
        """Note how far the loop is, and show it to `isoflop status` once a second."""
        is_first = self._latest is self._from
        if is_first and self._lost and self._lost.steps_done and not self._from.step:
            notify(
                f"run {self._run_id}: attempt {self._number} starts from its first step; to resume, give "
                "recorder.load_state_dict what recorder.state_dict returned with the checkpoint"
            )
        self._latest = progress
        if self.is_main and self._beats.due():
            self._write_beat(progress)

    def _write_beat(self, progress: Progress) -> None:
        self._beats.write(
            Heartbeat(
                attempt=self._number,
                steps_done=progress.step,
                steps=self._steps or 0,
                train_seconds=self._from.train_seconds + self._clock.train_seconds,
                host=socket.gethostname(),
                pid=os.getpid(),
                slurm_job=os.environ.get("SLURM_JOB_ID"),
            )
        )

    def checkpoint(self, progress: Progress) -> Progress:
        """Return the progress with what this attempt took so far, for a checkpoint of the loop."""
        energy, reason = self._meter.at_checkpoint() if self._meter else (None, METER_OFF)
        if self._from.earlier.reason:
            earlier = self._from.earlier
        elif energy is None:
            earlier = EarlierEnergy(reason=reason or "read by the main process alone")
        else:
            earlier = EarlierEnergy((*self._from.earlier.energies, energy))
        return msgspec.structs.replace(
            self._with_losses(progress),
            train_seconds=self._from.train_seconds + self._clock.train_seconds,
            eval_seconds=self._from.eval_seconds + self._clock.eval_seconds,
            wall_seconds=self._from.wall_seconds + self._clock.wall_seconds,
            earlier=earlier,
        )

    def _with_losses(self, progress: Progress) -> Progress:
        """Return the progress with the steps of the attempt before that were taken again."""
        if self._lost is None:
            return progress
        steps = max(0, self._lost.steps_done - self._from.step)
        seconds = max(0.0, self._lost.train_seconds - self._from.train_seconds)
        return msgspec.structs.replace(
            progress,
            wasted_steps=self._from.wasted_steps + steps,
            wasted_seconds=self._from.wasted_seconds + seconds,
        )

    def end(self, progress: Progress, error: BaseException | None) -> Record:
        """Return the record of the attempt; the main process writes it. Collective without an `error`.

        Raises:
            OSError: the record cannot be written.
        """
        if self._stopper:
            self._stopper.settle()
        try:
            if error is None:
                self.pause()
                record = self._finished(self._with_losses(progress))
            else:
                record = self._unfinished(error)
            if self.is_main:
                self._write(record)
        finally:
            self._stack.close()
        return record

    def _write(self, record: Record) -> None:
        """Write a record, unless it is a failure and would replace that of a finished run."""
        path = records.path_of(self._directory, self._run_id)
        if record.state == "done" or not records.is_done(path):
            records.write(record, self._directory)
        if record.state == "done":
            heartbeat.remove(self._directory, self._run_id)
        else:
            self._write_beat(self._latest)  # what a resumed run will find that this attempt did
        world.failure_path(self._directory, self._run_id).unlink(missing_ok=True)

    def _finished(self, progress: Progress) -> Record:
        energy, reason = self._energy()
        clock = self._clock
        seconds = TrainingSeconds(
            train_seconds=max(LEAST_SECONDS, self._from.train_seconds + clock.train_seconds),
            warmup_seconds=0.0,
            compile_seconds=0.0,
            eval_seconds=self._from.eval_seconds + clock.eval_seconds,
            setup_seconds=clock.setup_seconds or 0.0,
            processes=self._world.size if self._world else 1,
            step_engine=None,
            step_choice=None,
        )
        wall = self._from.wall_seconds + clock.wall_seconds + progress.wasted_seconds
        ended = Ended(self._number, wall, energy, reason, seconds)
        return record_of.finished(self._description, self._work, progress, self._origin(), ended)

    def _energy(self) -> tuple[Energy | None, str | None]:
        """Return the joules of all attempts, or None and the reason."""
        if self._meter is None:
            return None, METER_OFF
        energy, reason = self._meter.measurement()
        reason = self._facts.moved_since(self._devices) or reason
        if self._from.earlier.reason:
            reason = f"an earlier attempt's energy is unknown: {self._from.earlier.reason}"
        if energy is None or reason:
            return None, reason or "read by the main process alone"
        return total((*self._from.earlier.energies, energy)), None

    def _unfinished(self, error: BaseException) -> Record:
        """Return the record of an attempt that an exception ended, and tell the main process of it."""
        log = self._directory / "logs" / f"{self._run_id}.log"
        if self._world is not None and not self.is_main:
            log = log.with_suffix(f".rank{self._world.rank}.log")
        state, reason = outcome.of(error, log)
        if self._world is not None:
            if self.is_main and outcome.may_be_a_peers(error):
                reported = world.reported_failure(self._directory, self._run_id)
                state, reason = reported or (state, reason)
            elif not self.is_main and state in ("failed", "oom"):
                reported = (state, f"process {self._world.rank}: {reason}")
                world.report_failure(self._directory, self._run_id, reported)
        return record_of.unfinished(
            *(self._description, self._work, self._origin()),
            state=state,
            reason=reason,
            attempt=self._number,
            seconds=self._clock.wall_seconds,
        )

    def _origin(self) -> Provenance:
        """Return where the record comes from."""
        device, gpu, no_gpu = devices.describe(self._devices)
        torch = devices.torch_module()
        machine = Machine(
            cpu=hardware.describe_cpu(),
            device=device,
            precision=self._facts.precision,
            threads=devices.threads(),
            libraries=dict(_frameworks()) | (hardware.libraries() if torch is not None else {}),
            gpu=gpu,
            gpu_reason=no_gpu,
        )
        return provenance.gather_loop(
            machine,
            deterministic=torch is not None and torch.are_deterministic_algorithms_enabled(),
            started_at=self._started_at,
            command_line=provenance.command(),
        )


def _frameworks() -> Iterator[tuple[str, str]]:
    """Yield the package and the version of each framework that the loop has imported."""
    for module, package in FRAMEWORKS.items():
        if module in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                yield package, importlib.metadata.version(package)
