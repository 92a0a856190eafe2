"""The training loop: steps, and nothing that is not a step.

The trainer holds the state of one run. It never evaluates, meters or writes; it never reads a device value
inside a step, so the host runs ahead of a GPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from isoflop.config import Config
from isoflop.train import distributed, memory, models, optim, state, step
from isoflop.train.data import DataSet, batches
from isoflop.train.distributed import SINGLE, World
from isoflop.train.state import Average, Snapshot

WARMUP_STEPS = 3


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


def resolve_precision(compute: str, device: torch.device) -> str:
    """`auto` is fp32 on a CPU and bf16 on a GPU."""
    if compute == "auto":
        return "bf16" if device.type == "cuda" else "fp32"
    return compute


class Trainer:
    """One run: the model, the optimizers, the order of images and the step it is at.

    `model` is what is trained, `scored_model` what is to be evaluated: the moving average of the weights
    with optim.ema_decay, else the same module. `kind` is how steps are carried out (train/step.py) and
    `compile_seconds` what compiling or capturing them took, in warm_up().
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
    ) -> None:
        """Draw the weights and make the state; `kind` overrides launch.step. A `world` shares the batches.

        Raises:
            ValueError: the model does not exist, or launch.step is not for this device.
        """
        if device.type == "cpu":
            memory.keep_freed()
        self.config, self.data, self.steps, self.device = config, data, steps, device
        self.world = world
        self.precision = resolve_precision(config.precision.compute, device)
        channels_last = config.precision.channels_last and config.model.family != "mlp"
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")
        self.model = self._drawn(config).train()
        self.kind = kind or step.choose(config.launch.step, device, self.model, one_process=world.group is None)
        on_device = self.kind in ("graph", "static")
        self.optimizers = optim.build(config.optim, self.model, config.model, capturable=on_device)
        self._initial = state.clones(state.weights(self.model))
        decay = config.optim.ema_decay
        self._average = Average(self.model, decay) if decay is not None else None
        self.loss_sum = torch.zeros((), device=device)
        self._weights = state.weights(self.model)
        self._moments = state.moments(self.model, self.optimizers)
        averages = self._average.tensors if self._average else []
        self._state = [*self._weights, *averages, *self._moments, self.loss_sum]
        self._engine: step.Engine | None = None
        self._capacity = max(steps, WARMUP_STEPS)
        self.compile_seconds = 0.0
        self.restart()

    def _drawn(self, config: Config) -> nn.Module:
        data = self.data
        model = models.build(
            config.model, data.image_shape, data.classes, seed=config.seed, device=self.device
        )
        model = model.to(memory_format=self.memory_format)
        return distributed.with_sync_batchnorm(model) if config.launch.sync_batchnorm else model

    @property
    def scored_model(self) -> nn.Module:
        """The module that evaluations use."""
        return self._average.model if self._average else self.model

    @property
    def examples_seen(self) -> int:
        """Images that went forward and backward since the start, repeats counted."""
        return self.step * self.config.optim.batch_size

    def restart(self) -> None:
        """Put everything back to before the first step: weights, statistics, optimizer, order, randomness."""
        state.copy_into(self._weights, self._initial)
        state.zero([*self._moments, self.loss_sum])
        if self._average:
            self._average.restart()
        self._seek(0)
        torch.manual_seed(distributed.seed_of(self.config.seed, self.world.rank))

    def _seek(self, start_step: int) -> None:
        self.step = start_step
        config = self.config
        self._batches: Iterator[tuple[Tensor, Tensor]] = batches(
            self.data,
            config.optim.batch_size,
            config.seed,
            self.memory_format,
            start_step=start_step,
            augment=config.data.augment,
            share=(self.world.rank, self.world.size),
        )

    def takes(self, config: Config, data: DataSet, steps: int) -> bool:
        """Whether `reseed` can make this trainer that run: seed, rate, schedule, a shorter length differ."""
        ours, theirs = self.config, config
        return (
            data is self.data
            and steps <= self._capacity
            and ours.model == theirs.model
            and ours.data == theirs.data
            and ours.precision == theirs.precision
            and ours.launch == theirs.launch
            and ours.optim == dataclasses.replace(theirs.optim, lr=ours.optim.lr)
        )

    def reseed(self, config: Config, steps: int) -> None:
        """Become the run of `config`, bit-identical to a new Trainer, and keep what was compiled or captured.

        Only for what `takes` accepts.
        """
        assert self.takes(config, self.data, steps)
        self.config, self.steps = config, steps
        self._initial = state.clones(state.weights(self._drawn(config)))
        fresh = optim.build(config.optim, self.model, config.model)
        for ours, theirs in zip(self.optimizers, fresh, strict=True):
            for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
                group["peak_lr"] = other["peak_lr"]
        self.compile_seconds = 0.0
        self.restart()

    def snapshot(self) -> Snapshot:
        """A copy of the state, to come back to."""
        on_gpu = self.device.type == "cuda"
        return Snapshot(
            self.step,
            state.clones(self._state),
            torch.get_rng_state(),
            torch.cuda.get_rng_state(self.device) if on_gpu else None,
        )

    def restore(self, saved: Snapshot) -> None:
        """Go back to a snapshot of this trainer; training on from there is bit-identical."""
        state.copy_into(self._state, saved.tensors)
        self._seek(saved.step)
        torch.set_rng_state(saved.cpu_random)
        if saved.cuda_random is not None:
            torch.cuda.set_rng_state(saved.cuda_random, self.device)

    def take_over(self, saved: Snapshot) -> None:
        """Go on from a snapshot of the chief's: as `restore`, but the random numbers that a model draws
        (dropout) are other ones in every other process."""
        self.restore(saved)
        if not self.world.is_main:
            torch.manual_seed(distributed.seed_of(self.config.seed, self.world.rank, saved.step))

    def warm_up(self) -> None:
        """Compile or capture, then run a few steps so that kernels, workspaces and threads exist; then put
        everything back.

        Raises:
            ValueError: launch.step=graph and the step cannot be captured.
        """
        before = self.snapshot()
        self._ready()
        self.advance(self.step + WARMUP_STEPS, (0.0,) * (self.step + WARMUP_STEPS))
        self.synchronise()
        self.restore(before)

    def _ready(self) -> step.Engine:
        """The engine, compiled or captured at the first call; the state is as it was."""
        if self._engine is None:
            before = self.snapshot()
            buffers = distributed.BufferAverage(self.world, self.model) if self.world.group else None
            parts = step.Parts(
                model=distributed.data_parallel(self.world, self.model),
                optimizers=self.optimizers,
                average=self._average,
                loss_sum=self.loss_sum,
                autocast=self.autocast if self.precision == "bf16" else None,
                label_smoothing=self.config.optim.label_smoothing,
                after_forward=buffers.start if buffers else None,
                after_backward=buffers.finish if buffers else None,
            )
            made = step.engine(self.kind, parts, self._batches, self._capacity)
            self.compile_seconds = step.prepare_seconds(made, self._batches, self.device)
            self.restore(before)
            self._engine = made
        return self._engine

    def advance(self, stop: int, factors: Sequence[float]) -> None:
        """Take steps until `stop` have been taken since the start; `factors` on the peak learning rates, by
        step since the start."""
        assert self.step <= stop <= len(factors), (self.step, stop, len(factors))
        engine = self._engine or self._ready()
        engine.advance(self._batches, factors[self.step : stop])
        self.step = stop

    def check_finite(self) -> None:
        """Read the device once. Raises DivergedError if any loss so far, of any process of the world, was NaN
        or infinite."""
        loss_sum = self.loss_sum.clone()
        self.world.all_reduce(loss_sum)
        if not torch.isfinite(loss_sum):
            raise DivergedError(f"the training loss was NaN or infinite by step {self.step} of {self.steps}")

    def synchronise(self) -> None:
        """Wait until the device has done everything asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


_kept: dict[torch.device, Trainer] = {}


def warm_trainer(
    config: Config, data: DataSet, steps: int, device: torch.device, world: World = SINGLE
) -> Trainer:
    """A trainer at step 0: the process's last one on this device, reseeded, where that saves compiling or
    capturing the same step again; else a new one, after the last is let go.

    Raises:
        ValueError: as Trainer.
    """
    kept = _kept.get(device)
    if kept is not None and kept.world is world and kept.takes(config, data, steps):
        kept.reseed(config, steps)
        return kept
    _kept.clear()
    del kept
    made = Trainer(config, data, steps, device, world=world)
    if made.kind != "eager":
        _kept[device] = made
    return made


@contextlib.contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Ask torch for deterministic algorithms where `enabled`, and put its settings back.

    Either way fp32 is fp32: torch would let cuDNN's convolutions of fp32 tensors run in tf32.

    With the same machine, versions and number of threads two runs then give the same bits. On a GPU cuBLAS
    reads CUBLAS_WORKSPACE_CONFIG once, at the process's first matrix product: it is set here and stays set,
    and a process that has multiplied matrices on the GPU before must have it in its environment.
    """
    before = (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
    products: Any = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    exact = [product.fp32_precision for product in products]
    filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(enabled or before[0])
    torch.backends.cudnn.benchmark = not enabled
    for product in products:
        product.fp32_precision = "ieee"
    torch.utils.deterministic.fill_uninitialized_memory = filling and not enabled  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        for product, was in zip(products, exact, strict=True):
            product.fp32_precision = was
        torch.utils.deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]
