"""Vision transformer (Dosovitskiy et al. 2021), pre-norm, without a class token.

The image is cut into patches of `patch` x `patch` pixels, each embedded linearly in `width` channels, and a
learned vector is added for each position. `depth` blocks of multi-head attention and a perceptron of
4 x width units (GELU) follow, with layer norms before each and after the last; the mean over the patches is
read out (Beyer et al. 2022: as good as a class token, and every token is one of the image).

A head has `head_width` channels whatever the width, so a wider model has more heads. Matrices start at
1/sqrt(fan-in), biases at zero, positions at 0.02.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import ModelConfig
from isoflop.train.parametrize import Role, branch_multiplier, scale, tag, tag_layer, tag_norm

MLP_RATIO = 4
POSITION_STD = 0.02


def branch_linear(inputs: int, outputs: int, *, parts: int = 1, bias: bool = True) -> nn.Linear:
    """Return a hidden linear layer of a residual branch."""
    made = nn.Linear(inputs, outputs, bias=bias)
    tag_layer(made, "hidden", gain=1.0, branch=True, parts=parts)
    return made


def normalisation(width: int, *, branch: bool) -> nn.LayerNorm:
    """Return a layer normalisation over the channels of a token."""
    made = nn.LayerNorm(width)
    tag_norm(made, branch=branch)
    return made


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one product."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.query_key_value = branch_linear(width, 3 * width, parts=3)
        self.output = branch_linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        joint = self.query_key_value(x).unflatten(2, (3, -1, self.head_width))  # [B, T, 3, heads, head_width]
        query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, T, head_width]
        mixed = F.scaled_dot_product_attention(query, key, value)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each a residual branch behind a layer norm, times `multiplier`."""

    def __init__(self, width: int, head_width: int, multiplier: float) -> None:
        super().__init__()
        self.multiplier = multiplier
        self.norm1 = normalisation(width, branch=True)
        self.attention = Attention(width, head_width)
        self.norm2 = normalisation(width, branch=True)
        self.expand = branch_linear(width, MLP_RATIO * width)
        self.contract = branch_linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        x = torch.add(x, self.attention(self.norm1(x)), alpha=self.multiplier)
        y = self.contract(F.gelu(self.expand(self.norm2(x))))
        return torch.add(x, y, alpha=self.multiplier)


class ViT(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes].

    Raises:
        ValueError: the patch does not divide the image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        width: int,
        depth: int,
        *,
        patch: int,
        head_width: int,
        multiplier: float,
    ) -> None:
        super().__init__()
        channels, height, across = image_shape
        if height % patch or across % patch:
            raise ValueError(
                f"model.patch={patch} does not divide the {height}x{across} image: give one that does"
            )
        self.embed = nn.Conv2d(channels, width, patch, patch)
        tag_layer(self.embed, "input", gain=1.0)
        self.position = nn.Parameter(torch.empty(height // patch * (across // patch), width))
        tag(self, position=Role("embedding", fan_out=width, gain=POSITION_STD))
        self.blocks = nn.Sequential(*(TransformerBlock(width, head_width, multiplier) for _ in range(depth)))
        self.norm = normalisation(width, branch=False)
        self.readout = nn.Linear(width, classes)
        tag_layer(self.readout, "readout")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of normalised images."""
        x = self.embed(images).flatten(2).transpose(1, 2) + self.position  # [B, T, width]
        x = self.norm(self.blocks(x)).mean(1)
        logits: Tensor = self.readout(x)
        return logits


def build(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> ViT:
    """Return the configured transformer.

    Raises:
        ValueError: the patch does not divide the image.
    """
    assert config.width is not None
    assert config.depth is not None
    assert config.patch is not None
    assert config.head_width is not None
    return ViT(
        image_shape,
        classes,
        config.width,
        config.depth,
        patch=config.patch,
        head_width=config.head_width,
        multiplier=branch_multiplier(scale(config)),
    )


def forward_macs(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> int:
    """Return the MACs of one example by formula: with T patches, C p^2 w T + d (12 w^2 T + 2 w T^2) + w K.

    A block's four attention matrices cost 4 w^2 T, its perceptron 8 w^2 T, scores and mixing w T^2 each.
    """
    assert config.width is not None
    assert config.depth is not None
    assert config.patch is not None
    channels, height, across = image_shape
    width, patches = config.width, height * across // config.patch**2
    block = (4 + 2 * MLP_RATIO) * width**2 * patches + 2 * width * patches**2
    return channels * config.patch**2 * width * patches + config.depth * block + width * classes
