"""count_flops: the work of a PyTorch model per example, by independent counters that must agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from isoflop.meter.flops import count as flops
from isoflop.meter.flops.count import FlopCount

LEAST_BATCH = 2
"""Examples of a training pass: batch normalisation needs two."""


def count_flops(
    model: nn.Module,
    input: torch.Tensor | Sequence[int],
    *,
    batch_size: int | None = None,
    dtype: torch.dtype | None = None,
) -> FlopCount:
    """Count the floating-point work of a model per example: forward, and forward with backward.

    A multiply-accumulate is 2 FLOPs; convolutions, linear layers and attention count (docs/flops.md). The
    model is left unchanged and no data of the input is read. Whatever keeps the count from being trusted is
    named in the result's `reason`, and its numbers are then None.

    Args:
        model: on any device, in either mode.
        input: a batch as the model takes it, or the sizes of one example without the batch, such as
            (3, 224, 224).
        batch_size: examples of a training step; without it those of the batch, at least 2.
        dtype: of the input, where only sizes are given; without it that of the model's parameters.

    Raises:
        ValueError: sizes or a batch size that are no positive whole numbers, or a batch without an example.

    Examples:
        >>> import isoflop, torch
        >>> counted = isoflop.count_flops(torch.nn.Linear(64, 10), (64,))
        >>> counted.forward_macs_per_example, counted.train_flops_per_example
        (640.0, 2560.0)
    """
    sizes, batch, input_dtype = _sizes(input, batch_size, dtype)
    return flops.count(model, sizes, batch_size=batch, input_dtype=input_dtype or flops.floating_dtype(model))


def _sizes(
    given: torch.Tensor | Sequence[int], batch_size: int | None, dtype: torch.dtype | None
) -> tuple[tuple[int, ...], int, torch.dtype | None]:
    """Return the sizes of an example, the size of a batch, and the input's type where it is known."""
    if isinstance(given, torch.Tensor):
        if given.ndim < 1 or given.shape[0] < 1:
            raise ValueError("input: give a batch, whose first dimension counts its examples")
        if dtype is not None and dtype != given.dtype:
            raise ValueError(f"dtype={dtype}: the input is {given.dtype}: leave dtype out")
        sizes, dtype, batch = tuple(given.shape[1:]), given.dtype, max(LEAST_BATCH, given.shape[0])
    else:
        sizes, batch = tuple(given), LEAST_BATCH
    batch = batch if batch_size is None else batch_size
    if not all(isinstance(size, int) and size > 0 for size in (*sizes, batch)):
        raise ValueError(
            f"input={sizes}, batch_size={batch}: give positive whole numbers, the input's without the batch"
        )
    return sizes, batch, dtype
