"""Multi-layer perceptron: `depth` hidden layers of `width` rectified units.

Weights are He-initialised (He et al. 2015), biases zero.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn


class MLP(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes]."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [math.prod(image_shape), *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.readout = nn.Linear(width, classes)
        for layer in self.hidden:
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of normalised images."""
        x = images.flatten(1)
        for layer in self.hidden:
            x = layer(x).relu_()
        logits: Tensor = self.readout(x)
        return logits
