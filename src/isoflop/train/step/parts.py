"""What every engine works on, and the loss that it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.train.state import Average

EngineKind = Literal["eager", "compile", "graph", "compiled_graph", "static", "compiled_static"]
"""`static` and `compiled_static` are the graphs' steps without the capture, for tests on machines without a
GPU."""
GRAPHS: tuple[EngineKind, ...] = ("graph", "compiled_graph", "static", "compiled_static")
"""Engines whose optimizers read their rates from the device."""
Stream = Iterator[tuple[Tensor, Tensor]]
LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Images [B, C, H, W] and labels [B], or bytes [B, T] and the bytes after them [B, T] -> mean loss."""


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """What a step works on.

    Attributes:
        model: what the forward pass calls: the network, or its wrapper where several processes train.
        optimizers: their groups carry `peak_lr`, from which each step's `lr` follows.
        average: moving average of the weights, or None.
        loss_sum: scalar on the device, the sum of all losses; not finite once any loss was not.
        autocast: context of a mixed-precision forward pass; None in fp32.
        label_smoothing: share of the target spread over all classes, in the training loss only.
        of_bytes: whether the model is a language model, as in loss_function.
        clip_norm: largest norm of all gradients together, None without limit.
        after_forward, after_backward: called around the backward pass where several processes train: they
            start and finish averaging the running statistics.
        lever_loss: (model, plain loss) -> training loss with a lever (train/levers).
        after_update: called after each update of the weights, before the average of them: a lever's masks.
    """

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    average: Average | None
    loss_sum: Tensor
    autocast: torch.autocast | None
    label_smoothing: float
    of_bytes: bool = False
    clip_norm: float | None = None
    after_forward: Callable[[], None] | None = None
    after_backward: Callable[[], None] | None = None
    lever_loss: Callable[[nn.Module, LossFunction], LossFunction] | None = None
    after_update: Callable[[], None] | None = None

    @property
    def loss(self) -> LossFunction:
        """The training loss, with what a lever makes of it."""
        plain = loss_function(self.model, self.label_smoothing, of_bytes=self.of_bytes)
        return plain if self.lever_loss is None else self.lever_loss(self.model, plain)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimizers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def loss_function(model: nn.Module, smoothing: float, *, of_bytes: bool = False) -> LossFunction:
    """Return the training loss of `model`, with `smoothing` of the target spread over all classes.

    `of_bytes`: the model gives logits [B, T, classes] for targets [B, T].
    """

    def loss_of_images(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images), labels, label_smoothing=smoothing)

    def loss_of_bytes(inputs: Tensor, targets: Tensor) -> Tensor:
        logits = model(inputs).flatten(0, 1)
        return F.cross_entropy(logits, targets.flatten(), label_smoothing=smoothing)

    return loss_of_bytes if of_bytes else loss_of_images


def in_precision(loss_of: LossFunction, autocast: torch.autocast | None) -> LossFunction:
    """Return `loss_of` under autocast.

    The context is entered anew in every step: autocast keeps the bf16 copies of the weights until it is left,
    and the next step's weights are others. In fp32 there is no context at all: entering a disabled one costs
    2% of the smallest step (docs/performance.md).
    """
    if autocast is None:
        return loss_of

    def mixed(images: Tensor, labels: Tensor) -> Tensor:
        with autocast:
            return loss_of(images, labels)

    return mixed


def then(loss_of: LossFunction, call: Callable[[], None] | None) -> LossFunction:
    """Return `loss_of` followed by `call`; outside of what is compiled, as `call` communicates."""
    if call is None:
        return loss_of

    def loss_then_call(images: Tensor, labels: Tensor) -> Tensor:
        loss = loss_of(images, labels)
        call()
        return loss

    return loss_then_call
