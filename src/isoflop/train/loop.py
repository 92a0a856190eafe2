"""The training loop: steps, and nothing that is not a step.

The trainer holds the state of one run. It never evaluates, meters or writes; it never reads a device value
inside a step, so the host runs ahead of a GPU.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config
from isoflop.train import models, optim
from isoflop.train.data import DataSet, batches

WARMUP_STEPS = 3


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything that training on from a step depends on; tensors are copies."""

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    loss_sum: Tensor
    random_state: Tensor


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


def resolve_precision(compute: str, device: torch.device) -> str:
    """`auto` is fp32 on a CPU and bf16 on a GPU."""
    if compute == "auto":
        return "bf16" if device.type == "cuda" else "fp32"
    return compute


class Trainer:
    """One run: the model, the optimizer, the order of images and the step it is at."""

    def __init__(self, config: Config, data: DataSet, steps: int, device: torch.device) -> None:
        self.config, self.data, self.steps, self.device = config, data, steps, device
        self.precision = resolve_precision(config.precision.compute, device)
        channels_last = config.precision.channels_last and config.model.family != "mlp"
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")
        model = models.build(config.model, data.image_shape, data.classes, seed=config.seed, device=device)
        self.model: nn.Module = model.to(memory_format=self.memory_format)
        self.optimizer = optim.build(config.optim, self.model)
        self.compile_seconds = 0.0
        self._initial = copy.deepcopy(self.model.state_dict())
        self.restart()

    def restart(self) -> None:
        """Put everything back to before the first step: weights, statistics, optimizer, order, randomness."""
        self.model.load_state_dict(self._initial)
        self.model.train()
        self.optimizer.state.clear()
        self.optimizer.zero_grad(set_to_none=True)
        self.step = 0
        self._loss_sum = torch.zeros((), device=self.device)
        self._batches: Iterator[tuple[Tensor, Tensor]] = batches(
            self.data, self.config.optim.batch_size, self.config.seed, self.memory_format
        )
        torch.manual_seed(self.config.seed)

    @property
    def examples_seen(self) -> int:
        """Images that went forward and backward since the start, repeats counted."""
        return self.step * self.config.optim.batch_size

    def warm_up(self) -> None:
        """Run a few steps so that kernels, workspaces and threads exist, then put everything back."""
        steps = min(WARMUP_STEPS, self.steps)
        self.advance(steps, (1.0,) * steps)
        self.synchronise()
        self.restart()

    @property
    def scored_model(self) -> nn.Module:
        """The module that evaluations use."""
        return self.model

    def snapshot(self) -> Snapshot:
        """A copy of the state, to come back to."""
        return Snapshot(
            self.step,
            copy.deepcopy(self.model.state_dict()),
            copy.deepcopy(self.optimizer.state_dict()),
            self._loss_sum.clone(),
            torch.get_rng_state(),
        )

    def restore(self, saved: Snapshot) -> None:
        """Go back to a snapshot of this trainer; training on from there is bit-identical."""
        self.restart()
        self.model.load_state_dict(saved.model)
        self.optimizer.load_state_dict(copy.deepcopy(saved.optimizer))
        self._loss_sum = saved.loss_sum.clone()
        self._batches = itertools.islice(self._batches, saved.step, None)
        self.step = saved.step
        torch.set_rng_state(saved.random_state)

    def advance(self, stop: int, factors: Sequence[float]) -> None:
        """Take steps until `stop` steps have been taken; `factors` on the learning rate, by step."""
        for step in range(self.step, stop):
            lr = self.config.optim.lr * factors[step]
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            images, labels = next(self._batches)
            with self.autocast:
                loss = F.cross_entropy(self.model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self._loss_sum += loss.detach()
        self.step = stop

    def check_finite(self) -> None:
        """Read the device once. Raises DivergedError if any loss so far was NaN or infinite."""
        if not torch.isfinite(self._loss_sum):
            raise DivergedError(f"the training loss was NaN or infinite by step {self.step} of {self.steps}")

    def synchronise(self) -> None:
        """Wait until the device has done everything asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@contextlib.contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Ask torch for deterministic algorithms where `enabled`, and put its settings back."""
    before = (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
    torch.use_deterministic_algorithms(enabled or before[0])
    torch.backends.cudnn.benchmark = not enabled
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
