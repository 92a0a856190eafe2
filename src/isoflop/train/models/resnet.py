"""CIFAR-style residual network of basic blocks (He et al. 2016, section 4.2).

A 3x3 stem of `width` channels, then three stages of `depth` basic blocks with width, 2 x width and 4 x width
channels, halving the image at the second and third; global average pooling and a linear readout. Width 16,
depth 3 is ResNet-20, with 1x1 convolutions on the two shortcuts that change shape (option B).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes]."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_shape[0], width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(3):
            for block in range(depth):
                outputs, stride = width * 2**stage, 2 if stage and not block else 1
                blocks.append(BasicBlock(channels, outputs, stride))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.readout = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of normalised images."""
        x = F.relu(self.norm(self.stem(images)), inplace=True)
        x = self.blocks(x).mean((2, 3))
        logits: Tensor = self.readout(x)
        return logits
