"""Language model of bytes: a pre-norm decoder with rotary positions and an untied readout.

Each token is embedded in `width` channels; `depth` blocks of causal multi-head attention and a feedforward
network follow, with root mean square norms before each and after the last (Zhang and Sennrich 2019); the
readout has a matrix of its own. There are no biases. Queries and keys are turned by an angle that grows with
the position (Su et al. 2021), so that scores depend on distances alone and no position has parameters.

`feedforward` gelu has 4 x width units. swiglu (Shazeer 2020) multiplies 8/3 x width of them by as many gates,
rounded to a multiple of 8, which is about as many parameters.

A head has `head_width` channels whatever the width, so a wider model has more heads. Matrices start at
1/sqrt(fan-in), the embedding at a standard deviation of 0.5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import ModelConfig
from isoflop.train.models.vit import MLP_RATIO, branch_linear
from isoflop.train.parametrize import Role, branch_multiplier, scale, tag, tag_layer, tag_norm

EMBEDDING_STD = 0.5
NORM_EPSILON = 1e-6
ROTARY_BASE = 10_000.0
"""Wavelengths, in positions, run from 2 pi to almost 2 pi times this (Su et al. 2021)."""


def swiglu_units(width: int) -> int:
    """Return the units of a swiglu network: 8/3 x width to the nearest multiple of 8, at least 8."""
    return max(8, 8 * round(width / 3))


def normalisation(width: int, *, branch: bool) -> nn.RMSNorm:
    """Return a root mean square norm over the channels of a token."""
    made = nn.RMSNorm(width, eps=NORM_EPSILON)
    tag_norm(made, branch=branch)
    return made


class Rotary(nn.Module):
    """Turns pairs of channels by position x frequency, channel i with channel i + head_width / 2.

    The table of `context` positions is a buffer, which steps neither compute nor checkpoints hold.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, head_width: int, context: int) -> None:
        super().__init__()
        frequency = ROTARY_BASE ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
        angle = torch.outer(torch.arange(context, dtype=torch.float64), frequency)
        cosine, sine = angle.cos(), angle.sin()
        self.register_buffer("cosine", torch.cat((cosine, cosine), 1).float(), persistent=False)
        self.register_buffer("sine", torch.cat((-sine, sine), 1).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, heads, T, head_width] -> the same shape, each position turned by its angles; T <= context."""
        length, head_width = x.shape[-2:]
        partner = x.roll(head_width // 2, -1)
        return torch.addcmul(x * self.cosine[:length], partner, self.sine[:length])


class Attention(nn.Module):
    """Causal multi-head self-attention; queries, keys and values come from one product."""

    def __init__(self, width: int, head_width: int, rotary: Rotary) -> None:
        super().__init__()
        self.heads = width // head_width
        self.rotary = rotary
        self.query_key_value = branch_linear(width, 3 * width, parts=3, bias=False)
        self.output = branch_linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        joint = self.query_key_value(x).unflatten(2, (3 * self.heads, -1)).transpose(1, 2)
        turning, value = joint.split([2 * self.heads, self.heads], 1)  # [B, heads, T, head_width]
        query, key = self.rotary(turning).chunk(2, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


class Gelu(nn.Module):
    """Feedforward network of 4 x width rectified units (GELU)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = branch_linear(width, MLP_RATIO * width, bias=False)
        self.contract = branch_linear(MLP_RATIO * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        y: Tensor = self.contract(F.gelu(self.expand(x)))
        return y


class SwiGLU(nn.Module):
    """Feedforward network whose units are values times gates (SiLU); both come from one product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        units = swiglu_units(width)
        self.expand = branch_linear(width, 2 * units, parts=2, bias=False)
        self.contract = branch_linear(units, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        gate, value = self.expand(x).chunk(2, -1)
        y: Tensor = self.contract(F.silu(gate) * value)
        return y


class DecoderBlock(nn.Module):
    """Attention and a feedforward network, each a residual branch behind a norm, times `multiplier`."""

    def __init__(
        self, width: int, head_width: int, feedforward: str, rotary: Rotary, multiplier: float
    ) -> None:
        """Make the block.

        Args:
            width: channels of a token.
            head_width: channels of a head.
            feedforward: gelu or swiglu.
            rotary: the table of angles, which all blocks share.
            multiplier: factor on both branches.
        """
        super().__init__()
        self.multiplier = multiplier
        self.norm1 = normalisation(width, branch=True)
        self.attention = Attention(width, head_width, rotary)
        self.norm2 = normalisation(width, branch=True)
        self.feedforward = Gelu(width) if feedforward == "gelu" else SwiGLU(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        x = torch.add(x, self.attention(self.norm1(x)), alpha=self.multiplier)
        return torch.add(x, self.feedforward(self.norm2(x)), alpha=self.multiplier)


class GPT(nn.Module):
    """Tokens int64 [B, T] -> logits [B, T, classes] of the token after each; T <= context."""

    def __init__(
        self,
        classes: int,
        width: int,
        depth: int,
        *,
        head_width: int,
        context: int,
        feedforward: str,
        multiplier: float,
    ) -> None:
        """Make the network.

        Args:
            classes: kinds of token.
            width: channels of a token.
            depth: blocks.
            head_width: channels of a head, even.
            context: the longest window, in tokens.
            feedforward: gelu or swiglu.
            multiplier: factor on the residual branches.
        """
        super().__init__()
        self.embed = nn.Embedding(classes, width)
        tag(self.embed, weight=Role("embedding", fan_out=width, gain=EMBEDDING_STD))
        rotary = Rotary(head_width, context)
        self.blocks = nn.Sequential(
            *(DecoderBlock(width, head_width, feedforward, rotary, multiplier) for _ in range(depth))
        )
        self.norm = normalisation(width, branch=False)
        self.readout = nn.Linear(width, classes, bias=False)
        tag_layer(self.readout, "readout")

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of a batch of windows."""
        logits: Tensor = self.readout(self.norm(self.blocks(self.embed(tokens))))
        return logits


def build(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> GPT:
    """Return the configured decoder for windows of up to `input_shape` (one size) tokens."""
    assert config.width is not None
    assert config.depth is not None
    assert config.head_width is not None
    assert config.feedforward is not None
    (context,) = input_shape
    return GPT(
        classes,
        config.width,
        config.depth,
        head_width=config.head_width,
        context=context,
        feedforward=config.feedforward,
        multiplier=branch_multiplier(scale(config)),
    )


def forward_macs(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> int:
    """Return the MACs of one window by formula: of T tokens, T (d (4 w^2 + m w + 2 w T) + w K).

    A block's four attention matrices cost 4 w^2 a token; its feedforward network m w, where m is 8 w (gelu)
    or 3 times the units (swiglu); scores and mixing w T each, the causal mask ignored.
    """
    assert config.width is not None
    assert config.depth is not None
    (tokens,) = input_shape
    width = config.width
    units = 2 * MLP_RATIO * width if config.feedforward == "gelu" else 3 * swiglu_units(width)
    block = 4 * width**2 + units * width + 2 * width * tokens
    return tokens * (config.depth * block + width * classes)
