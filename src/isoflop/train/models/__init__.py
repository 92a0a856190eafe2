"""Image classifiers, scaled by their width and depth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from isoflop.config import ModelConfig
from isoflop.train import parametrize
from isoflop.train.models import convmixer, mlp, resnet, torchvision, vit

FAMILIES: dict[str, Callable[[ModelConfig, tuple[int, int, int], int], nn.Module]] = {
    "mlp": mlp.build,
    "resnet": resnet.build,
    "convmixer": convmixer.build,
    "vit": vit.build,
}

FORWARD_MACS: dict[str, Callable[[ModelConfig, tuple[int, int, int], int], int]] = {
    "mlp": mlp.forward_macs,
    "resnet": resnet.forward_macs,
    "convmixer": convmixer.forward_macs,
    "vit": vit.forward_macs,
}
"""Closed forms, written from the architecture, not from its modules: a cross-check of the FLOP counters."""


def forward_macs(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> int | None:
    """Return the forward MACs of one example by the family's formula; None for torchvision's models."""
    formula = FORWARD_MACS.get(config.family)
    return None if formula is None else formula(config, image_shape, classes)


def build(
    config: ModelConfig, image_shape: tuple[int, int, int], classes: int, *, seed: int, device: torch.device
) -> nn.Module:
    """Return a model with weights drawn from `seed` on the CPU, so that they are the same on every device.

    The ambient random state is untouched.

    Args:
        config: family and shape.
        image_shape: channels, height, width.
        classes: number of logits.
        seed: seed of the initial weights.
        device: where the model goes; on `meta` no weights are drawn and no memory is used.

    Raises:
        ValueError: the architecture does not exist, or cannot take such images.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta" if device.type == "meta" else "cpu"):
        torch.manual_seed(seed)
        if config.family == "torchvision":
            assert config.architecture is not None
            model = torchvision.build(config.architecture, image_shape, classes)
        else:
            model = FAMILIES[config.family](config, image_shape, classes)
            parametrize.initialise(model, parametrize.scale(config))
    return model.to(device)
