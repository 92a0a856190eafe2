"""Where a network is cut for early exits, and the heads that read it there (early_exit.py)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from isoflop.config import Config
from isoflop.train import parametrize
from isoflop.train.models.convmixer import ConvMixer
from isoflop.train.models.mlp import MLP
from isoflop.train.models.resnet import ResNet
from isoflop.train.models.vit import ViT, normalisation

HEADS_SEED = 0x65786974
"""Added to a run's seed, so that the heads are not drawn like the first layers."""


class Parts(NamedTuple):
    """A network in parts.

    Attributes:
        stages: its layers up to each head.
        channels: what each stage but the last returns for each position.
        pooled: the dimensions over which a head takes the mean; none for mlp.
        normed: whether a head begins with a layer norm.
        last_head: what follows the last stage.
    """

    stages: list[nn.Module]
    channels: list[int]
    pooled: tuple[int, ...]
    normed: bool
    last_head: nn.Module


def cut(model: nn.Module) -> Parts:
    """Return the parts of a network, the same modules as in `model`."""
    match model:
        case MLP():
            first, *later = (nn.Sequential(layer, nn.ReLU(inplace=True)) for layer in model.hidden)
            layers: list[nn.Module] = [nn.Sequential(nn.Flatten(), *first), *later]
            width = model.readout.in_features
            return Parts(layers, [width] * (len(layers) - 1), (), False, model.readout)
        case ResNet():
            depth, widest = len(model.blocks) // 3, model.readout.in_features
            stem = (model.stem, model.norm, nn.ReLU(inplace=True))
            stages: list[nn.Module] = [
                nn.Sequential(*stem, *model.blocks[:depth]),
                model.blocks[depth : 2 * depth],
                model.blocks[2 * depth :],
            ]
            head = nn.Sequential(Mean((2, 3)), model.readout)
            return Parts(stages, [widest // 4, widest // 2], (2, 3), False, head)
        case ConvMixer():
            halves = _halves(model.embed, model.blocks)
            head = nn.Sequential(Mean((2, 3)), model.readout)
            return Parts(halves, [model.readout.in_features], (2, 3), False, head)
        case ViT():
            halves = _halves(Tokens(model), model.blocks)
            head = nn.Sequential(model.norm, Mean((1,)), model.readout)
            return Parts(halves, [model.readout.in_features], (1,), True, head)
        case _:
            raise AssertionError(type(model))


def _halves(before: nn.Module, blocks: nn.Sequential) -> list[nn.Module]:
    """Return `before` with the first half of the blocks, the smaller one, and the second half."""
    middle = len(blocks) // 2
    return [nn.Sequential(before, *blocks[:middle]), blocks[middle:]]


def exit_heads(parts: Parts, classes: int, config: Config, device: torch.device) -> list[nn.Module]:
    """Return the heads of all stages but the last, drawn from the run's seed on the CPU."""
    with torch.random.fork_rng(devices=[]), torch.device("meta" if device.type == "meta" else "cpu"):
        torch.manual_seed(config.seed + HEADS_SEED)
        heads = nn.ModuleList(_exit(parts, channels, classes) for channels in parts.channels)
        parametrize.initialise(heads, parametrize.scale(config.model))
    return [head.to(device) for head in heads]


def _exit(parts: Parts, channels: int, classes: int) -> nn.Module:
    """Return a head that is made like the network's own."""
    readout = nn.Linear(channels, classes)
    parametrize.tag_layer(readout, "readout")
    before = [normalisation(channels, branch=False)] if parts.normed else []
    return nn.Sequential(*before, *([Mean(parts.pooled)] if parts.pooled else []), readout)


class Mean(nn.Module):
    """Mean over some dimensions, which are dropped."""

    def __init__(self, dimensions: tuple[int, ...]) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        """[B, positions and channels] -> [B, channels]."""
        return x.mean(self.dimensions)


class Tokens(nn.Module):
    """The part of a vision transformer before its blocks: embedded patches and their positions."""

    def __init__(self, model: ViT) -> None:
        super().__init__()
        self.embed, self.position = model.embed, model.position
        parametrize.tag(self, position=vars(model)["roles"]["position"])

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, T, width]."""
        tokens: Tensor = self.embed(images).flatten(2).transpose(1, 2) + self.position
        return tokens
