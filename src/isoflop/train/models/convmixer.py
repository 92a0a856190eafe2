"""ConvMixer (Trockman and Kolter 2022): patches mixed over space and over channels in turn.

A `patch` x `patch` convolution of that stride embeds the image in `width` channels (pixels beyond the last
whole patch are dropped); `depth` blocks of a depthwise `kernel` x `kernel` convolution with a shortcut and a
1x1 convolution without one follow, each with GELU and then batch norm; global average pooling and a linear
readout. Convolutions are He-initialised by fan-in, biases zero.

Only the depthwise half has a shortcut, so the stream is transformed `depth` times in a row: 1/sqrt(depth) on
the branches would not make depths alike, and mup scales this family over the width alone.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import ModelConfig
from isoflop.train.parametrize import RoleKind, tag_layer, tag_norm


class Mix(nn.Module):
    """Convolution, GELU, batch norm."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        kind: RoleKind,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
        self.norm = nn.BatchNorm2d(outputs)
        tag_layer(self.conv, kind, gain=math.sqrt(2))
        tag_norm(self.norm)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H', W']."""
        y: Tensor = self.norm(F.gelu(self.conv(x)))
        return y


class MixerBlock(nn.Module):
    """Mixes over space, added to its input, then over channels."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.space = Mix(width, width, kernel, "depthwise", padding=kernel // 2, groups=width)
        self.channels = Mix(width, width, 1, "hidden")

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same shape."""
        y: Tensor = self.channels(x + self.space(x))
        return y


class ConvMixer(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes].

    Raises:
        ValueError: the patch is larger than the image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        width: int,
        depth: int,
        *,
        patch: int,
        kernel: int,
    ) -> None:
        super().__init__()
        channels, height, across = image_shape
        if patch > min(height, across):
            raise ValueError(
                f"model.patch={patch} is larger than the {height}x{across} image: give a smaller one"
            )
        self.embed = Mix(channels, width, patch, "input", stride=patch)
        self.blocks = nn.Sequential(*(MixerBlock(width, kernel) for _ in range(depth)))
        self.readout = nn.Linear(width, classes)
        tag_layer(self.readout, "readout")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of normalised images."""
        logits: Tensor = self.readout(self.blocks(self.embed(images)).mean((2, 3)))
        return logits


def build(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> ConvMixer:
    """Return the configured mixer.

    Raises:
        ValueError: the patch is larger than the image.
    """
    assert config.width is not None
    assert config.depth is not None
    assert config.patch is not None
    assert config.kernel is not None
    return ConvMixer(
        image_shape, classes, config.width, config.depth, patch=config.patch, kernel=config.kernel
    )


def forward_macs(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> int:
    """Return the MACs of one example by formula: with T patches, C p^2 w T + d (k^2 w + w^2) T + w K."""
    assert config.width is not None
    assert config.depth is not None
    assert config.patch is not None
    assert config.kernel is not None
    channels, height, across = image_shape
    width, patches = config.width, (height // config.patch) * (across // config.patch)
    block = config.kernel**2 * width + width**2
    return (channels * config.patch**2 * width + config.depth * block) * patches + width * classes
