"""The training state between two steps: what it consists of, how it is copied and how it is put back.

Everything is written in place. A captured CUDA graph, a prepared update (update.py) and
DistributedDataParallel hold on to these very tensors: with a new tensor in the place of one, they would
silently go on with the old one.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """Copies of everything that the next step depends on.

    Attributes:
        step: steps taken so far, which is also the position in the stream of examples.
        tensors: the trainer's state tensors, in its own fixed order.
        cpu_random: state of torch's CPU generator.
        cuda_random: state of the GPU's generator; None on a CPU.
    """

    step: int
    tensors: tuple[Tensor, ...]
    cpu_random: Tensor
    cuda_random: Tensor | None

    def to(self, device: torch.device) -> Snapshot:
        """Return the snapshot with its tensors on a device; random states stay on the host."""
        return dataclasses.replace(self, tensors=tuple(tensor.to(device) for tensor in self.tensors))


class Average:
    """Exponential moving average of a model: average <- decay x average + (1 - decay) x value at each step.

    It starts at the initial weights, whose share after t steps is decay^t: 1 / (1 - decay) steps must be
    short beside the run. Floating-point buffers (the running statistics of batch normalisation) are averaged
    like the weights they belong to; integer buffers stay as they were.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.tensors, self._values = floating(self.model), floating(model)
        self._lerp = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Move the average by one step towards the model."""
        self._lerp(self.tensors, self._values, None)

    def restart(self) -> None:
        """Set the average to the model as it is now."""
        copy_into(self.tensors, self._values)


def buffers(model: nn.Module) -> list[Tensor]:
    """Return the buffers that training changes; a constant table is one that no state_dict holds."""
    stored = model.state_dict()
    return [buffer for name, buffer in model.named_buffers() if name in stored]


def weights(model: nn.Module) -> list[Tensor]:
    """Return parameters and `buffers`, as aliases outside of autograd."""
    return [tensor.detach() for tensor in (*model.parameters(), *buffers(model))]


def floating(model: nn.Module) -> list[Tensor]:
    """Return those of `weights` that hold real numbers."""
    return [tensor for tensor in weights(model) if tensor.is_floating_point()]


def floating_buffers(model: nn.Module) -> list[Tensor]:
    """Return those of `buffers` that hold real numbers, as aliases outside of autograd."""
    return [buffer.detach() for buffer in buffers(model) if buffer.is_floating_point()]


def trained(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that get gradients."""
    return [p for p in model.parameters() if p.requires_grad]


def moments(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]) -> list[Tensor]:
    """Return every state tensor of the optimizers, at its value before the first step.

    torch's optimizers make their state in their first step. Here it is made ahead, by a step with zero
    gradients and learning rates, so that it can be captured, copied and put back like the weights. All of
    these tensors begin at zero (SGD's first momentum is the gradient: 0 x momentum + gradient), so zeros are
    their state before the first step. Weights are left as they were, gradients as None.
    """
    before = clones(weights(model))
    tensors: list[Tensor] = []
    for optimizer in optimizers:
        rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        for p in trained(model):
            p.grad = torch.zeros_like(p)
        optimizer.step()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        _join_counters(optimizer)
        values = (value for state in optimizer.state.values() for value in state.values())
        tensors += [value for value in values if isinstance(value, Tensor)]
    for p in trained(model):
        p.grad = None
    # At rate 0 the weights should not have moved; that is not left to every optimizer's arithmetic.
    copy_into(weights(model), before)
    zero(tensors)
    return tensors


def _join_counters(optimizer: torch.optim.Optimizer) -> None:
    """Move the step counters of each group into one tensor, group["counter"], so that one addition does all.

    AdamW counts its steps for each parameter. The counters stay tensors of their own in the optimizer's
    state, as views of that one, and its own step works on them as before.
    """
    for group in optimizer.param_groups:
        states = [optimizer.state[p] for p in group["params"] if "step" in optimizer.state[p]]
        if states and all(isinstance(state["step"], Tensor) for state in states):
            group["counter"] = torch.stack([state["step"] for state in states])
            for state, count in zip(states, group["counter"], strict=True):
                state["step"] = count


def clones(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Return the same values in storage of their own."""
    return tuple(tensor.clone() for tensor in tensors)


def copy_into(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write `values` into the storage of `targets`, pair by pair; the host does not wait for the device."""
    for target, value in zip(targets, values, strict=True):
        target.copy_(value, non_blocking=True)


def zero(tensors: Iterable[Tensor]) -> None:
    """Write zeros into the storage of `tensors`."""
    for tensor in tensors:
        tensor.zero_()
