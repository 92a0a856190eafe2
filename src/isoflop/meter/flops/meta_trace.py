"""Let torch's tracer run where it would refuse: on the meta device, where a forward pass takes microseconds
and no memory; through compiled functions; through torch.func.functional_call.

While tracing, sizes reach Python as tensors, and the shape rule of `aten::convolution`, which is written in
Python, rejects them. `aten::_convolution`, the operation that a trace records for a convolution in any case,
is traced before that rule is applied; so convolutions are called by that name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import torch
import torch._dynamo
import torch.fx
import torch.nn.utils.stateless
from torch.overrides import TorchFunctionMode

from isoflop.meter.flops.written_out import WrittenOut


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


@contextlib.contextmanager
def traceable() -> Iterator[None]:
    """Inside, a trace goes through convolutions, compiled functions and torch.func.functional_call.

    The last two refuse to be traced, though they would only call what they wrap.
    """
    # torch.compile's wrapper asks whether a symbolic trace is running before it asks for a trace, and calls
    # the wrapped function if so. It holds the function it asks, so the answer must change, not the name.
    asked = torch.fx._symbolic_trace.is_fx_symbolic_tracing
    answer = asked.__code__
    with (
        mock.patch.object(torch.nn.utils.stateless, "_functional_call", _functional_call),
        torch._dynamo.config.patch(error_on_nested_fx_trace=False),
        TraceableConvolutions(),
        WrittenOut(),
    ):
        asked.__code__ = (lambda: True).__code__
        try:
            yield
        finally:
            asked.__code__ = answer


def _functional_call(
    module: torch.nn.Module,
    parameters_and_buffers: dict[str, torch.Tensor],
    args: Any = (),
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other parameters, as torch.func.functional_call, which refuses to be traced."""
    args = args if isinstance(args, tuple) else () if args is None else (args,)
    with torch.nn.utils.stateless._reparametrize_module(
        module, parameters_and_buffers, tie_weights=tie_weights, strict=strict
    ):
        return module(*args, **(kwargs or {}))


def _each(value: Any, sides: int) -> Any:
    """Return one value per spatial dimension of the kernel: torch accepts a single one for all of them."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * sides if len(numbers) == 1 else numbers
