"""Let torch's tracer run on the meta device, where a forward pass takes microseconds and no memory.

While tracing, sizes reach Python as tensors, and the shape rule of `aten::convolution`, which is written in
Python, rejects them. `aten::_convolution`, the operation that a trace records for a convolution in any case,
is traced before that rule is applied; so convolutions are called by that name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def _plain(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    """Put the arguments of torch.conv1d to conv3d into the order of `aten::_convolution`."""
    return input, weight, bias, stride, padding, dilation, False, 0, groups


def _transposed(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> tuple[Any, ...]:
    """Put the arguments of torch.conv_transpose1d to 3d, whose order differs, into the same order."""
    return input, weight, bias, stride, padding, dilation, True, output_padding, groups


_ARGUMENTS: dict[Any, Callable[..., tuple[Any, ...]]] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _plain),
    **dict.fromkeys((torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _transposed),
}


class TraceableConvolutions(TorchFunctionMode):
    """Inside, batched convolutions with numeric padding call `aten::_convolution`; others are unchanged."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _ARGUMENTS:
            return func(*args, **kwargs)
        images, weight, bias, *settings = _ARGUMENTS[func](*args, **kwargs)
        stride, padding, dilation, transposed, output_padding, groups = settings
        # Unbatched input and padding="same" have no direct form as _convolution.
        if images.dim() != weight.dim() or isinstance(padding, str):
            return func(*args, **kwargs)
        sides = weight.dim() - 2
        stride, padding, dilation = _each(stride, sides), _each(padding, sides), _each(dilation, sides)
        shape = (stride, padding, dilation, transposed, _each(output_padding, sides), groups)
        switches = (False, False, False, False)  # benchmark, deterministic, cudnn, TF32: they change no shape
        return torch._convolution(images, weight, bias, *shape, *switches)


def _each(value: Any, sides: int) -> Any:
    """Return one value per spatial dimension of the kernel: torch accepts a single one for all of them."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * sides if len(numbers) == 1 else numbers
