"""One optimizer step with its Python work done once.

`torch.optim.Optimizer.step` gathers parameters, state and gradients into lists, groups them by device and
enters a profiler range at every call: about 75 us a step on a CPU, where a small run's whole step takes 400
(docs/performance.md). These updates call the same fused kernels on lists made once, with the optimizer's own
state and settings, and are bit-identical to its step (tests/train/test_step.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from isoflop.train.torch_private import fused_adamw, fused_sgd

Update = Callable[[], None]
Kernel = Callable[[list[Any]], None]
"""Updates the parameters of one group, given their gradients in order."""


def updates(optimizer: torch.optim.Optimizer) -> list[Update]:
    """Return functions that together take one step of `optimizer`, whose state `state.moments` has made.

    The `lr` of each group is read at every call, its other settings once. An optimizer that has no fused
    kernel, or a parameter without a gradient in the first step, is left to `optimizer.step()`. Which
    parameters have gradients must not change from step to step. Hooks of the optimizer are not called.
    """
    make = _KERNELS.get(type(optimizer))
    if make is None or not all(_is_plain(group) for group in optimizer.param_groups):
        return [_whole(optimizer)]
    return [_first_checked(optimizer, [(group, make(optimizer, group)) for group in optimizer.param_groups])]


def _is_plain(group: dict[str, Any]) -> bool:
    """Return whether one fused call does a whole group: one device and type, no variant of the algorithm."""
    kinds = {(p.device, p.dtype) for p in group["params"]}
    variants = ("amsgrad", "maximize", "differentiable", "dampening")
    return len(kinds) == 1 and bool(group["fused"]) and not any(group.get(name) for name in variants)


def _whole(optimizer: torch.optim.Optimizer) -> Update:
    def update() -> None:
        optimizer.step()

    return update


def _first_checked(optimizer: torch.optim.Optimizer, parts: list[tuple[dict[str, Any], Kernel]]) -> Update:
    """Return the fused update; it calls the optimizer's own step if its first call misses a gradient."""
    owned = [(group["params"], kernel) for group, kernel in parts]
    checked = whole = False

    def update() -> None:
        nonlocal checked, whole
        # Looking for missing gradients in every step would cost as much as what this module saves.
        if not checked:
            checked = True
            whole = any(p.grad is None for parameters, _ in owned for p in parameters)
        if whole:
            optimizer.step()
            return
        for parameters, kernel in owned:
            # The gradients are the only list made anew: each backward pass makes new tensors.
            kernel([p.grad for p in parameters])

    return update


def _aliases(group: dict[str, Any]) -> list[Tensor]:
    """Return the parameters as tensors outside of autograd, so that no gradient mode needs to be switched."""
    return [p.detach() for p in group["params"]]


def _sgd(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> Kernel:
    parameters, momentum = _aliases(group), group["momentum"]
    buffers = [optimizer.state[p]["momentum_buffer"] for p in group["params"]] if momentum else []
    nesterov = group["nesterov"]

    def kernel(grads: list[Any]) -> None:
        fused_sgd(
            parameters,
            grads,
            buffers,
            weight_decay=group["weight_decay"],
            momentum=momentum,
            lr=group["lr"],
            dampening=0.0,
            nesterov=nesterov,
            maximize=False,
            # A first step sets the buffer to the gradient; from zeros the usual one does too.
            is_first_step=False,
        )

    return kernel


def _adamw(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> Kernel:
    parameters, state = _aliases(group), [optimizer.state[p] for p in group["params"]]
    first, second = [s["exp_avg"] for s in state], [s["exp_avg_sq"] for s in state]
    # The kernel reads a counter per parameter; all of them are elements of one tensor (state.moments).
    counts, counter = [s["step"] for s in state], group["counter"]
    (beta1, beta2), eps = group["betas"], group["eps"]

    def kernel(grads: list[Any]) -> None:
        counter.add_(1)
        fused_adamw(
            parameters,
            grads,
            first,
            second,
            [],
            counts,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=eps,
            amsgrad=False,
            maximize=False,
        )

    return kernel


_KERNELS: dict[type, Callable[[torch.optim.Optimizer, dict[str, Any]], Kernel]] = {
    torch.optim.SGD: _sgd,
    torch.optim.AdamW: _adamw,
}
