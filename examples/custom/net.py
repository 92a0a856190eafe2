"""A network of one's own for isoflop: `build` is called with what it names (docs/custom_model.md)."""

from __future__ import annotations

from torch import Tensor, nn


class Net(nn.Module):
    """Two convolutions and a mean over the image: [N, C, H, W] -> logits [N, classes]."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.readout = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        hidden = self.second(self.first(images).relu())
        logits: Tensor = self.readout(self.norm(hidden).relu().mean((2, 3)))
        return logits


def build(width: int, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return the network of a width."""
    return Net(image_shape[0], width, classes)
