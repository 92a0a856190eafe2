"""Operations written out in others, so that both counters, forward and backward, keep to the convention.

- A complex convolution becomes four real ones, (a + bi) * (c + di) = (a*c - b*d) + (a*d + b*c)i. torch
  computes it with three, by Gauss's trick; one complex multiply-accumulate is four, whatever is run.
- The grid of affine_grid becomes elementwise products and their sum, which are free as all resampling is.
  torch computes its gradient by a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (
    *(torch.conv1d, torch.conv2d, torch.conv3d),
    *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
)


class WrittenOut(TorchFunctionMode):
    """Inside, these operations run as others, with the same values."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.affine_grid_generator, F.affine_grid):
            return affine_grid(*args, **kwargs)
        if func not in CONVOLUTIONS or not any(_is_complex(value) for value in (*args, *kwargs.values())):
            return func(*args, **kwargs)
        with self:  # off inside its own handler; the parts are real, and pass through
            return complex_convolution(func, args, kwargs)


def complex_convolution(
    convolve: Callable[..., torch.Tensor], args: Sequence[Any], kwargs: dict[str, Any]
) -> torch.Tensor:
    """Return a convolution of complex numbers, by four of real ones.

    Args:
        convolve: torch.conv1d to conv3d, or a transposed one.
        args: its positional arguments: input, weight, bias, and settings.
        kwargs: its other arguments.
    """
    given = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
    x, weight, bias = given.pop("input"), given.pop("weight"), given.pop("bias", None)

    def part(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return convolve(left, right, None, *args[3:], **given)

    real = part(x.real, weight.real) - part(x.imag, weight.imag)
    imaginary = part(x.real, weight.imag) + part(x.imag, weight.real)
    out = torch.complex(real, imaginary)
    return out if bias is None else out + bias.reshape(-1, *[1] * (weight.dim() - 2))


def affine_grid(theta: torch.Tensor, size: Sequence[int], align_corners: bool | None = None) -> torch.Tensor:
    """Return the sampling grid [N, *sides, d] of affine maps [N, d, d + 1], as functional.affine_grid.

    Args:
        theta: the maps.
        size: sizes of the images sampled for: N, channels and d sides.
        align_corners: whether -1 and 1 are the centres of the corner pixels, else their outer edges.
    """
    sides = [int(side) for side in size[2:]]
    axes = [_axis(side, bool(align_corners), theta) for side in sides]
    across = torch.meshgrid(*axes, indexing="ij")
    points = torch.stack([*reversed(across), torch.ones_like(across[0])], dim=-1)
    maps = theta.reshape(len(theta), *[1] * len(sides), len(sides), len(sides) + 1)
    return (points.unsqueeze(-2) * maps).sum(-1)


def _axis(side: int, align_corners: bool, like: torch.Tensor) -> torch.Tensor:
    """Return the coordinates of a row of pixels between -1 and 1; the only pixel is in the middle."""
    if side == 1:
        return like.new_zeros(1)
    end = 1.0 if align_corners else (side - 1) / side
    return torch.linspace(-end, end, side, device=like.device, dtype=like.dtype)


def _is_complex(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_complex()
