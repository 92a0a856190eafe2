"""Gradient clipping by the norm of all gradients together (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from isoflop.train.torch_private import foreach_div, foreach_norm
from isoflop.train.update import Update

FLOPS_PER_PARAMETER = 3
"""Elementwise operations per parameter and step: the norm 2, the division 1."""


def clipping(parameters: Sequence[nn.Parameter], clip_norm: float) -> Update:
    """Return a function that divides all gradients by max(1, norm / clip_norm), in place.

    The norm is the Euclidean one of all gradients as one vector. The host reads nothing, so that the function
    can be captured in a CUDA graph: gradients are divided also where that changes nothing. A norm that is no
    finite number, be it that a gradient is none or that only the norm overflows, leaves NaN in the gradients,
    then in the weights and in the next loss, where it is noticed.

    Args:
        parameters: what is trained; those without a gradient are left out.
        clip_norm: largest norm of the gradients of the mean loss, in nats per unit of the weights.
    """

    def clip() -> None:
        grads: list[Any] = [p.grad for p in parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(foreach_norm(grads)))
        excess = norm / clip_norm
        # 0 x excess is 0, or NaN where excess is no finite number: finite gradients divided by infinity would
        # make a silent step of zero.
        foreach_div(grads, torch.clamp(excess, min=1.0) + 0.0 * excess)

    return clip
