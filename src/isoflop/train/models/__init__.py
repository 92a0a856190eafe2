"""Image classifiers whose width and depth are the only dials."""

from __future__ import annotations

import torch
from torch import nn

from isoflop.config import ModelConfig
from isoflop.train.models import torchvision
from isoflop.train.models.mlp import MLP
from isoflop.train.models.resnet import ResNet

FAMILIES = {"mlp": MLP, "resnet": ResNet}


def build(
    config: ModelConfig, image_shape: tuple[int, int, int], classes: int, *, seed: int, device: torch.device
) -> nn.Module:
    """A model with weights drawn from `seed` on the CPU, so that they are the same on every device.

    With device `meta` no weights are drawn and no memory is used. The ambient random state is untouched.

    Raises:
        ValueError: the architecture does not exist.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta" if device.type == "meta" else "cpu"):
        torch.manual_seed(seed)
        if config.family == "torchvision":
            assert config.architecture is not None
            model = torchvision.build(config.architecture, image_shape, classes)
        else:
            assert config.width is not None
            assert config.depth is not None
            model = FAMILIES[config.family](image_shape, classes, config.width, config.depth)
    return model.to(device)
