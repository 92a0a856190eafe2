"""CIFAR-style residual network (He et al. 2016, section 4.2), of basic or bottleneck blocks.

A 3x3 stem of `width` channels, then three stages of `depth` blocks with width, 2 x width and 4 x width
channels, halving the image at the second and third; global average pooling and a linear readout. Width 16,
depth 3 of basic blocks is ResNet-20, with 1x1 convolutions on the two shortcuts that change shape (option
B). A bottleneck block's last convolution has four times the stage's channels (their section 4.1), so its
first shortcut changes shape too.

With `zero_init_residual` the last batch norm of every block starts with gain 0 (Goyal et al. 2017, section
5.1), so that each block starts as its shortcut and a deep network starts as a shallow one.

Convolutions are He-initialised by fan-out. Each is followed by a batch norm, which forgets the scale of its
weights; it does not forget how far a step turns them, so the learning rates of `parametrize` apply.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import ModelConfig
from isoflop.train.parametrize import RoleKind, branch_multiplier, scale, tag_layer, tag_norm

EXPANSION = {"basic": 1, "bottleneck": 4}


def convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    kind: RoleKind = "hidden",
    branch: bool = False,
) -> nn.Conv2d:
    """Return a convolution that keeps the image's size at stride 1, without bias: a batch norm follows it."""
    made = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    tag_layer(made, kind, gain=math.sqrt(2), mode="fan_out", branch=branch)
    return made


def normalisation(channels: int, *, branch: bool = False, zero: bool = False) -> nn.BatchNorm2d:
    """Return a batch normalisation of `channels`, whose gain starts at 1, or at 0."""
    made = nn.BatchNorm2d(channels)
    tag_norm(made, branch=branch, zero=zero)
    return made


class Pointwise(nn.Conv2d):
    """A 1x1 convolution with a stride that on a CPU reads every stride-th pixel first.

    On processors with AVX2 and no AVX-512 the gradient of oneDNN 3.13's strided 1x1 convolution writes out of
    bounds for fewer than 8 channels_last inputs. At stride 1 it does not, and the result is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride], rounded up."""
        if x.device.type != "cpu":
            return super().forward(x)
        down, across = self.stride
        return F.conv2d(x[:, :, ::down, ::across], self.weight)


def add_relu(stream: Tensor, branch: Tensor, multiplier: float) -> Tensor:
    """Return relu(stream + multiplier x branch)."""
    return F.relu(torch.add(stream, branch, alpha=multiplier), inplace=True)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return the identity, or a 1x1 convolution and batch norm where the shape changes."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    made = Pointwise(inputs, outputs, 1, stride, bias=False)
    tag_layer(made, "hidden", gain=math.sqrt(2), mode="fan_out")
    return nn.Sequential(made, normalisation(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut; the branch times `multiplier`."""

    def __init__(
        self, inputs: int, channels: int, stride: int, multiplier: float, *, zero_init: bool
    ) -> None:
        super().__init__()
        self.multiplier = multiplier
        self.conv1 = convolution(inputs, channels, 3, stride, branch=True)
        self.norm1 = normalisation(channels, branch=True)
        self.conv2 = convolution(channels, channels, 3, branch=True)
        self.norm2 = normalisation(channels, branch=True, zero=zero_init)
        self.shortcut = shortcut(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, channels, H / stride, W / stride]."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return add_relu(self.shortcut(x), self.norm2(self.conv2(y)), self.multiplier)


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last to four times the channels; the stride is on the 3x3."""

    def __init__(
        self, inputs: int, channels: int, stride: int, multiplier: float, *, zero_init: bool
    ) -> None:
        super().__init__()
        self.multiplier = multiplier
        outputs = channels * EXPANSION["bottleneck"]
        self.conv1 = convolution(inputs, channels, 1, branch=True)
        self.norm1 = normalisation(channels, branch=True)
        self.conv2 = convolution(channels, channels, 3, stride, branch=True)
        self.norm2 = normalisation(channels, branch=True)
        self.conv3 = convolution(channels, outputs, 1, branch=True)
        self.norm3 = normalisation(outputs, branch=True, zero=zero_init)
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, 4 x channels, H / stride, W / stride]."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = F.relu(self.norm2(self.conv2(y)), inplace=True)
        return add_relu(self.shortcut(x), self.norm3(self.conv3(y)), self.multiplier)


class ResNet(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes]."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        width: int,
        depth: int,
        *,
        block: str,
        multiplier: float,
        zero_init_residual: bool,
    ) -> None:
        super().__init__()
        self.stem = convolution(image_shape[0], width, 3, kind="input")
        self.norm = normalisation(width)
        make = BasicBlock if block == "basic" else BottleneckBlock
        blocks: list[nn.Module] = []
        inputs = width
        for stage in range(3):
            channels = width * 2**stage
            for position in range(depth):
                stride = 2 if stage and not position else 1
                blocks.append(make(inputs, channels, stride, multiplier, zero_init=zero_init_residual))
                inputs = channels * EXPANSION[block]
        self.blocks = nn.Sequential(*blocks)
        self.readout = nn.Linear(inputs, classes)
        tag_layer(self.readout, "readout")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of normalised images."""
        x = F.relu(self.norm(self.stem(images)), inplace=True)
        x = self.blocks(x).mean((2, 3))
        logits: Tensor = self.readout(x)
        return logits


def build(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> ResNet:
    """Return the configured residual network."""
    assert config.width is not None
    assert config.depth is not None
    assert config.block is not None
    multiplier = branch_multiplier(scale(config))
    return ResNet(
        image_shape,
        classes,
        config.width,
        config.depth,
        block=config.block,
        multiplier=multiplier,
        zero_init_residual=config.zero_init_residual,
    )


def forward_macs(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> int:
    """Return the MACs of one example by formula, with c channels and n pixels in a stage of d blocks.

    The stem costs 9 C w n. Basic: a block 18 c^2 n; in the second and third stage the first block's inputs
    have c/2 channels and its shortcut is a product, 14 c^2 n. Bottleneck: a block 17 c^2 n; the first of the
    first stage 18 c^2 n; the first of a later stage reads 2c channels at the m pixels before the stride,
    2 c^2 m + 21 c^2 n.
    """
    assert config.width is not None
    assert config.depth is not None
    assert config.block is not None
    channels, height, across = image_shape
    width, depth, basic = config.width, config.depth, config.block == "basic"
    pixels = [math.ceil(height / 2**stage) * math.ceil(across / 2**stage) for stage in range(3)]
    macs: int = 9 * channels * width * pixels[0]
    for stage, here in enumerate(pixels):
        square = (width * 2**stage) ** 2
        if basic:
            macs += square * here * (18 * depth - (4 if stage else 0))
        elif stage:
            macs += square * (2 * pixels[stage - 1] + here * (17 * depth + 4))
        else:
            macs += square * here * (17 * depth + 1)
    return macs + 4 * width * EXPANSION[config.block] * classes
