"""One optimizer step with its Python work done once.

`torch.optim.Optimizer.step` gathers parameters, state and gradients into lists, groups them by device and
enters a profiler range at every call: about 75 us a step on a CPU, where a small cell's whole step takes 400
(docs/performance.md). These updates call the same fused kernels on lists made once, with the optimizer's own
state and settings, and are bit-identical to its step (tests/train/test_step.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Update = Callable[[], None]


def updates(optimizer: torch.optim.Optimizer) -> list[Update]:
    """What takes one step of `optimizer`, whose state must exist already; `lr` of its groups is read anew.

    An optimizer that has no fused kernel, or a parameter without a gradient in the first step, is left to
    `optimizer.step()`. Which parameters have gradients must not change from step to step.
    """
    make = _kernels().get(type(optimizer))
    settled = not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
    if make is None or not settled or not all(_plain(group) for group in optimizer.param_groups):
        return [_whole(optimizer)]
    parts = [(group, make(optimizer, group)) for group in optimizer.param_groups]
    return [_first_checked(optimizer, parts)]


def _kernels() -> dict[type, Callable[[Any, dict[str, Any]], Callable[[list[Any]], None]]]:
    return {torch.optim.SGD: _sgd, torch.optim.AdamW: _adamw}


def _plain(group: dict[str, Any]) -> bool:
    """Whether one fused call does a whole group: one device and type, and no variant of the algorithm."""
    kinds = {(p.device, p.dtype) for p in group["params"]}
    variants = ("amsgrad", "maximize", "differentiable", "dampening")
    return len(kinds) == 1 and bool(group["fused"]) and not any(group.get(name) for name in variants)


def _whole(optimizer: torch.optim.Optimizer) -> Update:
    def update() -> None:
        optimizer.step()

    return update


def _first_checked(
    optimizer: torch.optim.Optimizer, parts: list[tuple[dict[str, Any], Callable[[list[Any]], None]]]
) -> Update:
    """The fused update; the optimizer's own step instead if the first call finds a missing gradient."""
    owned = [(group["params"], kernel) for group, kernel in parts]
    checked = whole = False

    def update() -> None:
        nonlocal checked, whole
        if not checked:
            checked = True
            whole = any(p.grad is None for parameters, _ in owned for p in parameters)
        if whole:
            optimizer.step()
            return
        for parameters, kernel in owned:
            kernel([p.grad for p in parameters])

    return update


def _aliases(group: dict[str, Any]) -> list[Tensor]:
    """The parameters as tensors outside of autograd, so that no gradient mode needs to be switched."""
    return [p.detach() for p in group["params"]]


def _sgd(optimizer: torch.optim.SGD, group: dict[str, Any]) -> Callable[[list[Any]], None]:
    parameters, momentum = _aliases(group), group["momentum"]
    buffers = [optimizer.state[p]["momentum_buffer"] for p in group["params"]] if momentum else []
    nesterov, fused = group["nesterov"], torch._fused_sgd_

    def kernel(grads: list[Any]) -> None:
        fused(
            parameters,
            grads,
            buffers,
            weight_decay=group["weight_decay"],
            momentum=momentum,
            lr=group["lr"],
            dampening=0.0,
            nesterov=nesterov,
            maximize=False,
            is_first_step=False,
        )

    return kernel


def _adamw(optimizer: torch.optim.AdamW, group: dict[str, Any]) -> Callable[[list[Any]], None]:
    parameters, state = _aliases(group), [optimizer.state[p] for p in group["params"]]
    first, second = [s["exp_avg"] for s in state], [s["exp_avg_sq"] for s in state]
    counts, count, fused = [s["step"] for s in state], torch._foreach_add_, torch._fused_adamw_
    (beta1, beta2), eps = group["betas"], group["eps"]

    def kernel(grads: list[Any]) -> None:
        count(counts, 1)
        fused(
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
