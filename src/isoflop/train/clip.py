"""Gradient clipping by the norm of all gradients together (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from isoflop.train.torch_private import foreach_mul, foreach_norm
from isoflop.train.update import Update

FLOPS_PER_PARAMETER = 3
"""Elementwise operations per parameter and step: the norm 2, the scaling 1."""
SMALLEST_NORM = 1e-6
"""Added to the norm before it divides, as in torch.nn.utils.clip_grad_norm_."""


def clipping(parameters: Sequence[nn.Parameter], clip_norm: float) -> Update:
    """Return a function that scales all gradients by min(1, clip_norm / (norm + 1e-6)), in place.

    The norm is the Euclidean one of all gradients as one vector: bit for bit what
    torch.nn.utils.clip_grad_norm_ does, at half its Python work. The host reads nothing, so that the function
    can be captured in a CUDA graph; gradients are multiplied also where the factor is 1. A norm that is not a
    number, or infinite, leaves NaN in the gradients, then in the weights and in the next loss, where it is
    noticed.

    Args:
        parameters: what is trained; those without a gradient are left out.
        clip_norm: largest norm, in units of the loss over those of the weights.
    """

    def clip() -> None:
        grads: list[Any] = [p.grad for p in parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(foreach_norm(grads)))
        foreach_mul(grads, torch.clamp(clip_norm / (norm + SMALLEST_NORM), max=1.0))

    return clip
