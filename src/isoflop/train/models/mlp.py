"""Multi-layer perceptron: `depth` hidden layers of `width` rectified units.

Weights are He-initialised (He et al. 2015), biases zero. There are no residual branches: mup scales it over
the width alone.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn

from isoflop.config import ModelConfig
from isoflop.train.parametrize import tag_layer


class MLP(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes]."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [math.prod(image_shape), *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.readout = nn.Linear(width, classes)
        for position, layer in enumerate(self.hidden):
            assert isinstance(layer, nn.Linear)
            tag_layer(layer, "hidden" if position else "input", gain=math.sqrt(2))
        tag_layer(self.readout, "readout")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of normalised images."""
        x = images.flatten(1)
        for layer in self.hidden:
            x = layer(x).relu_()
        logits: Tensor = self.readout(x)
        return logits


def build(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> MLP:
    """Return the configured perceptron."""
    assert config.width is not None
    assert config.depth is not None
    return MLP(image_shape, classes, config.width, config.depth)


def forward_macs(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> int:
    """Return the MACs of one example by formula: with P inputs, P w + (d - 1) w^2 + w K."""
    assert config.width is not None
    assert config.depth is not None
    width = config.width
    return math.prod(image_shape) * width + (config.depth - 1) * width**2 + width * classes
