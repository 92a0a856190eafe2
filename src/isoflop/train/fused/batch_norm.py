"""Batch normalisation, an addition and a ReLU as one differentiable operation, in Triton.

    y = relu(stream + alpha x norm(x)),    norm(x) = weight (x - mean) / sqrt(variance + epsilon) + bias

with the stream and the ReLU each where they are wanted. Inputs may be float32, bfloat16, float16 or float64,
channels_last or contiguous; statistics are float32 (float64 for float64 inputs), and nothing is rounded to
the input's type before the result is.

The forward pass reads x twice and writes y; the backward pass reads x, y and the gradient twice. torch's own
operations also read and write the normalised branch, the sum, and a gradient for each.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from isoflop.train.fused import kernels

TILE_ELEMENTS = 4096
"""Elements of a tile: 16 KiB in float32, some tens of registers a thread."""
TILE_CHANNELS = 64
"""Channels of a tile at most: 128 bytes of bfloat16, a whole memory transaction."""
MOST_SHARES = 512
"""Shares of the rows that are reduced side by side at most: several for each multiprocessor of a big GPU."""
BLOCK_SHARES = 32


@dataclasses.dataclass(frozen=True)
class Settings:
    """What of the operation is wanted.

    Attributes:
        training: whether statistics are those of the batch, else the running ones.
        relu: whether a ReLU follows.
        alpha: factor of the normalised branch.
        epsilon: added to the variance.
        momentum: weight of the batch in the running statistics.
    """

    training: bool
    relu: bool
    alpha: float
    epsilon: float
    momentum: float


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a tensor [N, C, H, W] lies in memory and how kernels tile it."""

    rows: int
    channels: int
    pixels: int
    channels_last: bool
    block_rows: int
    block_channels: int
    shares: int
    rows_a_share: int

    @classmethod
    def of(cls, x: Tensor) -> Layout:
        """Return the layout of a tensor that is dense in channels_last or contiguous order."""
        images, channels, height, width = x.shape
        rows = images * height * width
        last = x.is_contiguous(memory_format=torch.channels_last)
        # Neighbours in memory share a tile: channels of a row, or pixels of a channel.
        block_channels = min(TILE_CHANNELS, triton.next_power_of_2(channels)) if last else 1
        block_rows = min(TILE_ELEMENTS // block_channels, triton.next_power_of_2(rows))
        blocks = triton.cdiv(rows, block_rows)
        blocks_a_share = triton.cdiv(blocks, MOST_SHARES)
        rows_a_share = blocks_a_share * block_rows
        shares = triton.cdiv(rows, rows_a_share)
        pixels = height * width
        return cls(rows, channels, pixels, last, block_rows, block_channels, shares, rows_a_share)

    @property
    def tiles(self) -> dict[str, Any]:
        """The compile-time arguments that describe a tile."""
        return {
            "CHANNELS_LAST": self.channels_last,
            "BLOCK_ROWS": self.block_rows,
            "BLOCK_CHANNELS": self.block_channels,
        }

    @property
    def channel_blocks(self) -> int:
        """Tiles side by side that hold all channels."""
        return int(triton.cdiv(self.channels, self.block_channels))

    @property
    def row_blocks(self) -> int:
        """Tiles below each other that hold all rows."""
        return int(triton.cdiv(self.rows, self.block_rows))


def dense(x: Tensor, like: Tensor | None = None) -> Tensor:
    """Return `x` without gaps, in the layout of `like`, else in its own where that is one of the two."""
    if like is not None:
        last = like.is_contiguous(memory_format=torch.channels_last)
        return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    if x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def accumulator(x: Tensor) -> torch.dtype:
    """Return the type in which sums are made."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _tl(dtype: torch.dtype) -> Any:
    return tl.float64 if dtype == torch.float64 else tl.float32


def batch_statistics(
    x: Tensor, layout: Layout, running: tuple[Tensor, Tensor] | None, settings: Settings
) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and 1 / sqrt(variance + epsilon), both [C], and update the running ones."""
    dtype = accumulator(x)
    means, deviations = x.new_empty((2, layout.shares, layout.channels), dtype=dtype)
    counts = x.new_empty(layout.shares, dtype=dtype)
    mean, scale = x.new_empty((2, layout.channels), dtype=dtype)
    kernels.statistics_kernel[layout.shares, layout.channel_blocks](
        x, means, deviations, counts, layout.rows, layout.channels, layout.pixels, layout.rows_a_share,
        **layout.tiles, ACCUMULATOR=_tl(dtype),
    )  # fmt: skip
    block = min(TILE_CHANNELS, triton.next_power_of_2(layout.channels))
    running_mean, running_var = running if running is not None else (mean, scale)
    kernels.combine_kernel[(triton.cdiv(layout.channels, block),)](
        means, deviations, counts, mean, scale, running_mean, running_var,
        layout.shares, layout.rows, layout.channels, settings.epsilon, settings.momentum,
        TRACKED=running is not None, BLOCK_SHARES=BLOCK_SHARES, BLOCK_CHANNELS=block, ACCUMULATOR=_tl(dtype),
    )  # fmt: skip
    return mean, scale


class FusedBatchNorm(torch.autograd.Function):
    """The operation of this file; `apply` takes (x, stream, weight, bias, running, settings).

    Triton launches on the current device, which need not be the one that the tensors are on.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        stream: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor, Tensor] | None,
        settings: Settings,
    ) -> Tensor:
        """Return y [N, C, H, W] in the layout of x."""
        with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
            return _forward(ctx, x, stream, weight, bias, running, settings)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, stream, weight and bias."""
        with torch.cuda.device_of(dy):  # type: ignore[no-untyped-call]
            return _backward(ctx, dy)


def _forward(
    ctx: Any,
    x: Tensor,
    stream: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    running: tuple[Tensor, Tensor] | None,
    settings: Settings,
) -> Tensor:
    x = dense(x)
    stream = None if stream is None else dense(stream, x)
    layout = Layout.of(x)
    if settings.training:
        mean, scale = batch_statistics(x, layout, running, settings)
    else:
        assert running is not None
        mean, scale = running[0], torch.rsqrt(running[1] + settings.epsilon)
    y = torch.empty_like(x)
    kernels.apply_kernel[layout.row_blocks, layout.channel_blocks](
        x, y if stream is None else stream, y, mean, scale,
        mean if weight is None else weight, mean if bias is None else bias,
        layout.rows, layout.channels, layout.pixels, settings.alpha,
        ADDED=stream is not None, RELU=settings.relu, AFFINE=weight is not None,
        **layout.tiles, ACCUMULATOR=_tl(accumulator(x)),
    )  # fmt: skip
    # Running statistics may be updated before the backward pass of an evaluation: what it needs is kept.
    mean = mean if settings.training else mean.clone()
    ctx.save_for_backward(x, y if settings.relu else None, weight, mean, scale)
    ctx.settings, ctx.layout, ctx.added = settings, layout, stream is not None
    return y


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, y, weight, mean, scale = ctx.saved_tensors
    settings, layout = ctx.settings, ctx.layout
    dy, dtype = dense(dy, x), accumulator(x)
    sums, products = x.new_empty((2, layout.shares, layout.channels), dtype=dtype)
    bias_gradient, weight_gradient = x.new_empty((2, layout.channels), dtype=dtype)
    output = x if y is None else y
    kernels.gradient_sums_kernel[layout.shares, layout.channel_blocks](
        x, output, dy, sums, products, mean, scale,
        layout.rows, layout.channels, layout.pixels, layout.rows_a_share, settings.alpha,
        RELU=settings.relu, **layout.tiles, ACCUMULATOR=_tl(dtype),
    )  # fmt: skip
    block = min(TILE_CHANNELS, triton.next_power_of_2(layout.channels))
    kernels.add_shares_kernel[(triton.cdiv(layout.channels, block),)](
        sums, products, bias_gradient, weight_gradient, layout.shares, layout.channels,
        BLOCK_SHARES=BLOCK_SHARES, BLOCK_CHANNELS=block, ACCUMULATOR=_tl(dtype),
    )  # fmt: skip
    dx = torch.empty_like(x)
    dstream = torch.empty_like(x) if ctx.added else None
    kernels.gradient_kernel[layout.row_blocks, layout.channel_blocks](
        x, output, dy, dx, dx if dstream is None else dstream, mean, scale,
        mean if weight is None else weight, bias_gradient, weight_gradient,
        layout.rows, layout.channels, layout.pixels, settings.alpha,
        TRAINING=settings.training, ADDED=ctx.added, RELU=settings.relu, AFFINE=weight is not None,
        **layout.tiles, ACCUMULATOR=_tl(dtype),
    )  # fmt: skip
    if weight is None:
        return dx, dstream, None, None, None, None
    return dx, dstream, weight_gradient.to(weight.dtype), bias_gradient.to(weight.dtype), None, None
