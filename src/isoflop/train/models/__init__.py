"""Image classifiers and a language model, scaled by their width and depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from isoflop.config import ModelConfig
from isoflop.train import parametrize
from isoflop.train.models import convmixer, custom, gpt, mlp, resnet, torchvision, vit

# An input shape has three sizes for images and one for text: each family's signature says which it takes.
FAMILIES: dict[str, Callable[[ModelConfig, Any, int], nn.Module]] = {
    "mlp": mlp.build,
    "resnet": resnet.build,
    "convmixer": convmixer.build,
    "vit": vit.build,
    "gpt": gpt.build,
}

FORWARD_MACS: dict[str, Callable[[ModelConfig, Any, int], int]] = {
    "mlp": mlp.forward_macs,
    "resnet": resnet.forward_macs,
    "convmixer": convmixer.forward_macs,
    "vit": vit.forward_macs,
    "gpt": gpt.forward_macs,
}
"""Closed forms, written from the architecture, not from its modules: a cross-check of the FLOP counters."""


def forward_macs(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> int | None:
    """Return the forward MACs of one input (an image, or a window of text) by the family's formula.

    None for torchvision's models, and for one of the user's own.
    """
    formula = FORWARD_MACS.get(config.family)
    return None if formula is None else formula(config, input_shape, classes)


def build(
    config: ModelConfig, input_shape: tuple[int, ...], classes: int, *, seed: int, device: torch.device
) -> nn.Module:
    """Return a model with weights drawn from `seed` on the CPU, so that they are the same on every device.

    The ambient random state is untouched.

    Args:
        config: family and shape.
        input_shape: channels, height, width of an image, or (context,) of a window of text.
        classes: number of logits.
        seed: seed of the initial weights.
        device: where the model goes; on `meta` no weights are drawn and no memory is used.

    Raises:
        ValueError: the architecture does not exist, or cannot take such images, or a function of the user's
            own cannot build one.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta" if device.type == "meta" else "cpu"):
        torch.manual_seed(seed)
        if config.family == "torchvision":
            assert config.architecture is not None
            model = torchvision.build(config.architecture, input_shape, classes)
        elif config.family == "custom":
            model = custom.build(config, input_shape, classes, seed)
        else:
            model = FAMILIES[config.family](config, input_shape, classes)
            parametrize.initialise(model, parametrize.scale(config))
    return model.to(device)


def embedding_parameters(model: nn.Module) -> int:
    """Return the parameters of a language model's token table, whose rows are looked up and never multiplied.

    0 for models that have none. The readout is no part of it: its matrix is multiplied like any other. Nor
    are the learned positions of vit, which are added to every example's tokens.
    """
    return sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Embedding))


def parameters_without_embeddings(model: nn.Module) -> int:
    """Return the parameters of a language model without its token table (`embedding_parameters`)."""
    return sum(p.numel() for p in model.parameters()) - embedding_parameters(model)
