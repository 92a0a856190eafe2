"""Batch normalisation of a network whose forward pass names what follows it, with fused kernels on request.

`norm_relu` and `norm_add_relu` are what the residual network calls. Of a plain batch norm they are torch's
operations, in the order they were always in; of a `FusedBatchNorm2d` on a GPU they are one operation of the
kernels beside (batch_norm.py). Counters of FLOPs see plain norms: only a trainer puts fused ones in.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def added(stream: Tensor, branch: Tensor, multiplier: float) -> Tensor:
    """Return stream + multiplier x branch, computed in one operation."""
    return torch.add(stream, branch, alpha=multiplier)


def norm_relu(norm: nn.Module, x: Tensor) -> Tensor:
    """Return relu(norm(x))."""
    if isinstance(norm, FusedBatchNorm2d) and norm.runs_fused(x):
        return norm.fused(x, relu=True)
    return F.relu(norm(x), inplace=True)


def norm_add_relu(norm: nn.Module, x: Tensor, stream: Tensor, multiplier: float) -> Tensor:
    """Return relu(stream + multiplier x norm(x))."""
    if isinstance(norm, FusedBatchNorm2d) and norm.runs_fused(x):
        return norm.fused(x, relu=True, stream=stream, multiplier=multiplier)
    return F.relu(added(stream, norm(x), multiplier), inplace=True)


class FusedBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d with the same parameters and buffers, by the fused kernels where they can run."""

    def runs_fused(self, x: Tensor) -> bool:
        """Return whether the kernels take this input: on a GPU, or anywhere in Triton's interpreter."""
        return x.is_cuda or interpreted()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], normalised."""
        return self.fused(x, relu=False) if self.runs_fused(x) else super().forward(x)

    def fused(
        self, x: Tensor, *, relu: bool, stream: Tensor | None = None, multiplier: float = 1.0
    ) -> Tensor:
        """Return relu(stream + multiplier x norm(x)), without a stream or a ReLU where they are not given.

        Args:
            x: [N, C, H, W], channels_last or contiguous.
            relu: whether a ReLU follows.
            stream: what to add, of the same shape.
            multiplier: factor of the normalised branch.

        Raises:
            ValueError: x is not of four dimensions, or has one value a channel in training, as in torch.
        """
        from isoflop.train.fused.batch_norm import FusedBatchNorm, Settings

        self._check_input_dim(x)
        if x.shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, got {x.shape[1]}")
        if stream is not None and stream.shape != x.shape:
            raise ValueError(f"cannot add {tuple(x.shape)} to a stream of {tuple(stream.shape)}")
        if stream is not None and stream.dtype != x.dtype:
            return F.relu(added(stream, self.fused(x, relu=False), multiplier), inplace=True)
        batch = self.training or self.running_mean is None
        if batch and x.numel() // max(1, x.shape[1]) < 2:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.size()}"
            )
        settings = Settings(batch, relu, multiplier, self.eps, self._track())
        running: Any = None
        if self.running_mean is not None and (not self.training or self.track_running_stats):
            running = (self.running_mean, self.running_var)
        result: Tensor = FusedBatchNorm.apply(x, stream, self.weight, self.bias, running, settings)
        return result

    def _track(self) -> float:
        """Count a batch in training; return its weight in the running statistics, as nn.BatchNorm2d does."""
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                return 1.0 / float(self.num_batches_tracked)
        return self.momentum or 0.0


def interpreted() -> bool:
    """Return whether Triton runs kernels in its interpreter (TRITON_INTERPRET=1), on any device."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def with_fused_norms(model: nn.Module) -> nn.Module:
    """Replace every nn.BatchNorm2d within `model` by a fused one of the same parameters and buffers.

    Raises:
        ValueError: Triton is not installed.
    """
    try:
        import triton  # noqa: F401
    except ModuleNotFoundError:
        raise ValueError(
            "launch.step=fused_graph needs Triton, which comes with torch for NVIDIA GPUs: set it to auto"
        ) from None
    for name, child in model.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(model, name, _fused(child))
        else:
            with_fused_norms(child)
    return model


def _fused(norm: nn.BatchNorm2d) -> FusedBatchNorm2d:
    # The empty twin draws nothing and shares every tensor, with the marks that learning rates are read from.
    twin = FusedBatchNorm2d.__new__(FusedBatchNorm2d)
    twin.__dict__.update(norm.__dict__)
    return twin
