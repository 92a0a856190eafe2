"""Optimizers, and the arithmetic they cost."""

from __future__ import annotations

import torch
from torch import nn

from isoflop.config import OptimConfig

FLOPS_PER_PARAMETER = {"sgd": 8, "adamw": 14}
"""Elementwise operations a parameter and step. SGD-Nesterov: decay 2, momentum 2, look-ahead 2, step 2.
AdamW: decay 1, first moment 3, second moment 4, bias correction, root and epsilon 3, step 3."""


def build(config: OptimConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over all parameters, in torch's fused implementation."""
    if config.name == "sgd":
        assert config.momentum is not None
        return torch.optim.SGD(
            model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
            fused=True,
        )
    assert config.betas is not None
    return torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def flops_per_step(config: OptimConfig, model: nn.Module) -> float:
    """Elementwise work of one optimizer step on all trainable parameters."""
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return float(FLOPS_PER_PARAMETER[config.name] * parameters)
