"""The trainer: the state of one run, and the steps that advance it.

It never evaluates, meters or writes, and it never reads a device value inside a step, so the host runs ahead
of a GPU.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from isoflop.config import Config
from isoflop.train import distributed, levers, memory, models, optim, precision, state, step
from isoflop.train.data import DataSet, batches
from isoflop.train.distributed import SINGLE, World
from isoflop.train.evaluate import example_batches
from isoflop.train.levers import Lever
from isoflop.train.state import Average, Snapshot

WARMUP_STEPS = 3
FLAT = ("mlp", "gpt", "custom")
"""Families that are given images in torch's own layout: two without convolutions, for which it means nothing,
and models of the user's own, whose code may rely on it (`view`)."""


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


class Trainer:
    """One run in training: the model, the optimizers, the order of examples and the step it is at.

    Attributes:
        config, data, steps, device: as passed; `steps` is the length of the whole run.
        world: the processes that train the run together.
        precision: the setting precision.compute, `auto` resolved.
        autocast: context of a forward pass, for evaluation too; disabled in fp32 and tf32.
        memory_format: layout of images and weights.
        model: what is trained.
        optimizers: their groups carry `peak_lr`.
        choice: how steps are carried out (train/step), and why so; final after warm_up().
        loss_sum: scalar on the device, the sum of the losses of all steps so far.
        step: steps taken since the start.
        compile_seconds: what compiling or capturing the step took, in warm_up().
    """

    def __init__(
        self,
        config: Config,
        data: DataSet,
        steps: int,
        device: torch.device,
        *,
        kind: step.EngineKind | None = None,
        world: World = SINGLE,
        work: step.Workload | None = None,
        lever: Lever | None = None,
    ) -> None:
        """Draw the weights and make the training state.

        Args:
            config: the run's configuration.
            data: the data set, on `device`.
            steps: optimizer steps of the whole run.
            device: where the model lives.
            kind: engine, instead of the one that launch.step asks for.
            world: the processes that share every batch of this run.
            work: what the step will be used for, from which launch.step=auto chooses; None where unknown.
            lever: that of the run, with the weights that it needs; None for one that needs none.

        Raises:
            ValueError: the model does not exist, or launch.step is not for this device.
        """
        if device.type == "cpu":
            memory.keep_freed()
        self.config, self.data, self.steps, self.device = config, data, steps, device
        self.world, self.lever = world, lever or levers.of(config)
        self.precision = precision.resolve(config.precision.compute, device)
        channels_last = config.precision.channels_last and config.model.family not in FLAT
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.is_mixed)
        self.model = self._draw_model(config).train()
        self.choice = self._choose(kind, work)
        capturable = self.kind in step.GRAPHS
        self.optimizers = optim.build(
            config.optim, self.model, config.model, steps=steps, capturable=capturable
        )
        self._initial = state.clones(state.weights(self.model))
        self._masks = self.lever.masks(self.model, steps)
        decay = config.optim.ema_decay
        self._average = Average(self.model, decay) if decay is not None else None
        # float64: late losses, a millionth of the sum so far, are the difference of two such sums.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self._weights = state.weights(self.model)
        self._moments = state.moments(self.model, self.optimizers)
        averages = self._average.tensors if self._average else []
        # The order of a snapshot's tensors, in memory and in checkpoint files.
        self._state = [*self._weights, *averages, *self._moments, self.loss_sum]
        # Made at the first step or warm-up, not here: a trainer that is only inspected compiles nothing.
        self._engine: step.Engine | None = None
        self._capacity = max(steps, WARMUP_STEPS)
        self.compile_seconds = 0.0
        self._loss_marks: frozenset[int] = frozenset()
        self._loss_sums: list[tuple[int, Tensor]] = []
        self.restart()

    def _draw_model(self, config: Config) -> nn.Module:
        """Return a new model of `config` with its initial weights, on the device."""
        shape, classes = self.data.input_shape, self.data.classes
        drawn = models.build(config.model, shape, classes, seed=config.seed, device=torch.device("cpu"))
        model = self.lever.transform(drawn, shape, classes).to(self.device)
        if self.memory_format == torch.channels_last:
            model = model.to(memory_format=self.memory_format)
        model = precision.converted(model, config.precision.compute)
        return distributed.with_sync_batchnorm(model) if config.launch.sync_batchnorm else model

    def _choose(self, kind: step.EngineKind | None, work: step.Workload | None) -> step.Choice:
        if kind is not None:
            return step.Choice(kind, "named by the caller")
        launch, alone = self.config.launch, self.world.group is None
        return step.choose(
            launch.step,
            self.device,
            self.model,
            one_process=alone,
            work=work,
            deterministic=launch.deterministic,
        )

    @property
    def is_mixed(self) -> bool:
        """Whether the forward pass is under bf16 autocast."""
        return self.precision in precision.MIXED

    @property
    def kind(self) -> step.EngineKind:
        """The engine."""
        return self.choice.kind

    @property
    def scored_model(self) -> nn.Module:
        """The module to evaluate: the moving average with optim.ema_decay, else the trained model."""
        return self._average.model if self._average else self.model

    def finished_model(self) -> nn.Module:
        """Return what is scored at a point: the scored model, or what the lever makes of a copy of it."""
        if not self.lever.finishes:
            return self.scored_model
        examples = functools.partial(example_batches, self.data, self.memory_format)
        return self.lever.finish(copy.deepcopy(self.scored_model).eval(), examples).eval()

    @property
    def examples_seen(self) -> int:
        """Examples that went forward and backward since the start, in all processes, repeats counted."""
        return self.step * self.config.optim.batch_size

    def restart(self) -> None:
        """Return to before the first step: weights, statistics, optimizer, order of examples, randomness."""
        state.copy_into(self._weights, self._initial)
        state.zero([*self._moments, self.loss_sum])
        if self._average:
            self._average.restart()
        self._seek(0)
        torch.manual_seed(distributed.seed_of(self.config.seed, self.world.rank))

    def _seek(self, start_step: int) -> None:
        """Set the step and position the stream of batches at it."""
        self.step = start_step
        self._loss_sums.clear()
        if self._masks:
            self._masks.at(start_step)
        config = self.config
        self._batches: Iterator[tuple[Tensor, Tensor]] = batches(
            self.data,
            config,
            self.memory_format,
            start_step=start_step,
            share=(self.world.rank, self.world.size),
        )

    def can_reseed(self, config: Config, data: DataSet, steps: int) -> bool:
        """Return whether `reseed` accepts that run: it may differ in seed, rate, schedule, or be shorter.

        Not in the weight decay, which the engine holds, nor where optim.base_steps makes it depend on length.
        A model of the user's own is always built anew: it may hold what is neither weight nor buffer.
        """
        ours, theirs = self.config, config
        return (
            data is self.data
            and theirs.model.family != "custom"
            and ours.lever.kind == theirs.lever.kind == "settings"
            and steps <= self._capacity
            and ours.model == theirs.model
            and ours.data == theirs.data
            and ours.precision == theirs.precision
            and ours.launch == theirs.launch
            and ours.optim == dataclasses.replace(theirs.optim, lr=ours.optim.lr)
            and optim.scaled(ours.optim, self.steps)[1] == optim.scaled(theirs.optim, steps)[1]
        )

    def reseed(self, config: Config, steps: int) -> None:
        """Become the run of `config`, bit-identical to a new Trainer, and keep what was compiled or captured.

        Only for runs that `can_reseed` accepts.
        """
        assert self.can_reseed(config, self.data, steps)
        self.config, self.steps = config, steps
        self._initial = state.clones(state.weights(self._draw_model(config)))
        # Only the rates of the new optimizers are taken: the engine holds on to the state of the old ones.
        new = optim.build(config.optim, self.model, config.model, steps=steps)
        for ours, theirs in zip(self.optimizers, new, strict=True):
            for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
                group["peak_lr"] = other["peak_lr"]
        self.compile_seconds = 0.0
        self.restart()

    def snapshot(self) -> Snapshot:
        """Return a copy of the training state, to come back to."""
        on_gpu = self.device.type == "cuda"
        return Snapshot(
            self.step,
            state.clones(self._state),
            torch.get_rng_state(),
            torch.cuda.get_rng_state(self.device) if on_gpu else None,
        )

    def restore(self, saved: Snapshot) -> None:
        """Return to a snapshot of this trainer; training on from there is bit-identical."""
        state.copy_into(self._state, saved.tensors)
        self._seek(saved.step)
        torch.set_rng_state(saved.cpu_random)
        if saved.cuda_random is not None:
            torch.cuda.set_rng_state(saved.cuda_random, self.device)

    def take_over(self, saved: Snapshot) -> None:
        """Resume from a snapshot that the main process took.

        As `restore`, but in the other processes the random numbers that a model draws (dropout) are seeded
        anew, as each process has to draw its own.
        """
        self.restore(saved)
        if not self.world.is_main:
            torch.manual_seed(distributed.seed_of(self.config.seed, self.world.rank, saved.step))

    def warm_up(self) -> None:
        """Compile or capture, take a few steps so that kernels, workspaces and threads exist, and return to
        the state before.

        Raises:
            ValueError: launch.step asks for a graph and the step cannot be captured or compiled.
        """
        before = self.snapshot()
        self._ready_engine()
        self.advance(self.step + WARMUP_STEPS, (0.0,) * (self.step + WARMUP_STEPS))
        self.synchronise()
        self.restore(before)

    def _ready_engine(self) -> step.Engine:
        """Return the engine, compiled or captured at the first call; the training state is as it was."""
        if self._engine is None:
            before = self.snapshot()
            buffers = distributed.BufferAverage(self.world, self.model) if self.world.group else None
            parts = step.Parts(
                model=distributed.data_parallel(self.world, self.model),
                optimizers=self.optimizers,
                average=self._average,
                loss_sum=self.loss_sum,
                autocast=self.autocast if self.is_mixed else None,
                label_smoothing=self.config.optim.label_smoothing,
                of_bytes=self.config.data.is_text,
                clip_norm=self.config.optim.clip_norm,
                after_forward=buffers.start if buffers else None,
                after_backward=buffers.finish if buffers else None,
                lever_loss=self.lever.training_loss,
                after_update=self._masks.apply if self._masks else None,
            )
            began = time.perf_counter()
            key = step.compiler.shape_key(self.config, self.data.input_shape, self.data.classes, self.device)
            engine, self.choice = step.prepared(
                self.choice, parts, self._batches, self._capacity, key, self.device
            )
            self.compile_seconds = 0.0 if self.kind == "eager" else time.perf_counter() - began
            # Compiling and capturing take real steps, on real batches.
            self.restore(before)
            self._engine = engine
        return self._engine

    def advance(self, stop: int, factors: Sequence[float]) -> None:
        """Train until `stop` steps have been taken since the start.

        `factors` multiply the peak learning rates; they are indexed by the step since the start.
        """
        assert self.step <= stop <= len(factors), (self.step, stop, len(factors))
        engine = self._engine or self._ready_engine()
        piece_ends = {mark for mark in self._loss_marks if self.step < mark < stop}
        if self._masks and self.step < self._masks.from_step < stop:
            piece_ends.add(self._masks.from_step)
        if stop > self.step:
            piece_ends.add(stop)
        for piece_end in sorted(piece_ends):
            engine.advance(self._batches, factors[self.step : piece_end])
            self.step = piece_end
            if self._masks and self._masks.from_step == piece_end:
                self._masks.at(piece_end)
            if piece_end in self._loss_marks:
                # Copied on the device, without waiting for it: read later, by take_loss_sums().
                self._loss_sums.append((piece_end, self.loss_sum.clone()))

    def keep_loss_sums(self, marks: Iterable[int]) -> None:
        """From now on, keep the sum of the losses so far after each of these steps, for take_loss_sums()."""
        self._loss_marks = frozenset(marks)

    def take_loss_sums(self) -> tuple[tuple[int, float], ...]:
        """Return (step, sum of the losses of all steps up to it) at the marks passed since the last call.

        The mean over all processes, each of which computes the loss of its share of the batch. Collective;
        waits for the device. What is kept is dropped when the trainer goes to another step.
        """
        if not self._loss_sums:
            return ()
        steps = [step for step, _ in self._loss_sums]
        sums = torch.stack([loss_sum for _, loss_sum in self._loss_sums])
        self._loss_sums.clear()
        self.world.all_reduce(sums)
        return tuple(zip(steps, (sums / self.world.size).tolist(), strict=True))

    def read_loss_sum(self) -> float:
        """Return the sum of the losses of all steps so far, the mean over all processes. Collective; waits
        for the device."""
        loss_sum = self.loss_sum.clone()
        self.world.all_reduce(loss_sum)
        return float(loss_sum) / self.world.size

    def check_finite(self) -> None:
        """Check all losses so far, of all processes. Collective; waits for the device.

        Raises:
            DivergedError: one of them was NaN or infinite.
        """
        # One number stands for all of them: a sum with a NaN or an infinity in it is never finite again.
        if not math.isfinite(self.read_loss_sum()):
            raise DivergedError(f"the training loss was NaN or infinite by step {self.step} of {self.steps}")

    def synchronise(self) -> None:
        """Wait until the device has finished all work queued on it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


_kept: dict[torch.device, Trainer] = {}
"""The last trainer of this process whose step was costly to prepare, at most one."""


def warm_trainer(
    config: Config,
    data: DataSet,
    steps: int,
    device: torch.device,
    world: World = SINGLE,
    work: step.Workload | None = None,
    lever: Lever | None = None,
) -> Trainer:
    """Return a trainer at step 0, the process's last one on this device where that spares compiling again.

    The last trainer is reseeded if its step is the same; otherwise it is released before a new one is made.

    Args:
        config: the run's configuration.
        data: the data set, on `device`.
        steps: optimizer steps of the whole run.
        device: where the model lives.
        world: the processes that share every batch of this run.
        work: as in Trainer; a trainer that is used again keeps the engine that it has.
        lever: as in Trainer.

    Raises:
        ValueError: as Trainer.
    """
    kept = _kept.get(device)
    if kept is not None and kept.world is world and kept.can_reseed(config, data, steps):
        kept.reseed(config, steps)
        return kept
    if kept is not None:
        # All references go, so that two models never share the GPU's memory.
        _kept.clear()
        del kept
        memory.release(device)
    trainer = Trainer(config, data, steps, device, world=world, work=work, lever=lever)
    if trainer.kind != "eager":
        _kept[device] = trainer
    return trainer


@contextlib.contextmanager
def deterministic(enabled: bool, compute: str = "fp32") -> Iterator[None]:
    """Within, torch uses deterministic algorithms if `enabled`; its settings are put back afterwards.

    With the same machine, versions and number of threads two runs then give the same bits. In both cases fp32
    is fp32, where torch would let cuDNN run in tf32; unless `compute`, the setting
    precision.compute, is tf32.

    On a GPU cuBLAS reads CUBLAS_WORKSPACE_CONFIG once, at the process's first matrix product. It is set here
    and stays set; a process that has multiplied matrices on the GPU before must have it in its environment.
    """
    before = (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
    filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(enabled or before[0])
    # cuDNN's benchmark times its algorithms and takes the fastest, which can be another one in the next run.
    torch.backends.cudnn.benchmark = not enabled
    # Deterministic mode would fill every new tensor with NaN first, a debugging aid that costs time.
    torch.utils.deterministic.fill_uninitialized_memory = filling and not enabled  # type: ignore[attr-defined]
    try:
        with precision.of_products(compute):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.utils.deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]
