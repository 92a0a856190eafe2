"""The step op by op, on any device, and with its two passes compiled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isoflop.train import update
from isoflop.train.clip import clipping
from isoflop.train.state import trained
from isoflop.train.step import compiler
from isoflop.train.step.parts import LossFunction, Parts, Stream, in_precision, then

PENDING_LOSSES = 256
"""Losses kept as separate tensors before they are added up."""


class Eager:
    """Op by op, on any device."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._loss_of = then(in_precision(self._make_loss(), parts.autocast), parts.after_forward)
        self._parameters = trained(parts.model)
        # What follows the backward pass, in order. One flat list of calls, as the loop below is the part of
        # a small run's step that Python's own speed bounds.
        self._updates = [parts.after_backward] if parts.after_backward else []
        if parts.clip_norm is not None:
            self._updates.append(clipping(self._parameters, parts.clip_norm))
        self._updates += [u for optimizer in parts.optimizers for u in update.updates(optimizer)]
        if parts.after_update:
            self._updates.append(parts.after_update)
        if parts.average:
            self._updates.append(parts.average.update)

    def _make_loss(self) -> LossFunction:
        return self._parts.loss

    def prepare(self, stream: Stream) -> None:
        """Do nothing: this engine compiles and captures nothing."""

    def advance(self, stream: Stream, factors: Sequence[float]) -> None:
        """Take one step for each of `factors`, which multiply the peak learning rates."""
        groups = [(group, group["peak_lr"]) for group in self._parts.groups]
        # Local names: looked up in every step, they are found faster than attributes.
        parameters, updates, loss_of = self._parameters, self._updates, self._loss_of
        losses: list[Tensor] = []
        for factor, (images, labels) in zip(factors, stream, strict=False):
            for group, peak in groups:
                group["lr"] = peak * factor
            # None, not zeros: the backward pass then hands over its gradients instead of adding to zeros.
            # Here and not right after the update: on a CPU that costs wide runs 3%.
            for parameter in parameters:
                parameter.grad = None
            loss = loss_of(images, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            for take in updates:
                take()
            # Summed on the device: reading a loss would make the host wait for the GPU in every step. Many
            # at a time: an addition a step would be another kernel to launch.
            losses.append(loss.detach())
            if len(losses) == PENDING_LOSSES:
                self._parts.loss_sum.add_(torch.stack(losses).sum())
                losses.clear()
        if losses:
            self._parts.loss_sum.add_(torch.stack(losses).sum())
        # Between two calls models are evaluated: the gradients' memory is free for that.
        for parameter in parameters:
            parameter.grad = None


class Compiled(Eager):
    """Forward and backward passes compiled by torch.compile, the optimizers' fused kernels as they are."""

    def _make_loss(self) -> LossFunction:
        return compiler.compiled(super()._make_loss())

    def prepare(self, stream: Stream) -> None:
        """Compile, by one forward and one backward pass."""
        images, labels = next(stream)
        self._loss_of(images, labels).backward()  # type: ignore[no-untyped-call]
        # What the forward pass started has to be awaited, as in every step.
        if self._parts.after_backward:
            self._parts.after_backward()
        for parameter in self._parameters:
            parameter.grad = None
