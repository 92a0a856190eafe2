"""What a run is made of between two steps, and how it is put back: always in place, never by new tensors.

A captured CUDA graph and a prepared update hold the addresses of these tensors, so everything here copies
into storage that stays.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """Copies of everything that the next step depends on: `tensors` in the order of `Trainer`'s state, the
    position in the stream of images (`step`), and the random states of the CPU and of the GPU."""

    step: int
    tensors: tuple[Tensor, ...]
    cpu_random: Tensor
    cuda_random: Tensor | None


class Average:
    """Exponential moving average of a model: average <- decay x average + (1 - decay) x value at each step.

    It starts at the initial weights, whose share after t steps is decay^t: 1 / (1 - decay) steps must be
    short beside the run. Floating buffers (the running statistics of batch normalisation) are averaged like
    the weights they belong to; integer buffers stay as they were.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.tensors, self._values = floating(self.model), floating(model)
        self._weight = 1 - decay

    def update(self) -> None:
        """Take one step towards the model."""
        torch._foreach_lerp_(self.tensors, self._values, self._weight)

    def restart(self) -> None:
        """Be the model as it is now."""
        put(self.tensors, self._values)


def weights(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, as aliases outside of autograd."""
    return [tensor.detach() for tensor in (*model.parameters(), *model.buffers())]


def floating(model: nn.Module) -> list[Tensor]:
    """Those of `weights` that hold real numbers."""
    return [tensor for tensor in weights(model) if tensor.is_floating_point()]


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that get gradients."""
    return [p for p in model.parameters() if p.requires_grad]


def moments(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> list[Tensor]:
    """Every tensor that the optimizers remember, made now if they make them at their first step.

    All of torch's optimizers begin at zeros (SGD's first momentum is the gradient: 0 x momentum + gradient),
    so zeros are their state before the first step. Weights are left as they were, gradients as None.
    """
    before = copies(weights(model))
    found: list[Tensor] = []
    for optimizer in optimizers:
        rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        for p in trained(model):
            p.grad = torch.zeros_like(p)
        optimizer.step()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        held = (value for state in optimizer.state.values() for value in state.values())
        found += [value for value in held if isinstance(value, Tensor)]
    for p in trained(model):
        p.grad = None
    put(weights(model), before)
    clear(found)
    return found


def copies(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The same values in storage of their own."""
    return tuple(tensor.clone() for tensor in tensors)


def put(into: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write `values` into the storage of `into`; nothing waits for the device."""
    assert len(into) == len(values)
    if into:
        torch._foreach_copy_(list(into), list(values), non_blocking=True)


def clear(tensors: Sequence[Tensor]) -> None:
    """Write zeros."""
    if tensors:
        torch._foreach_zero_(list(tensors))
