"""FLOPs of random convolutions, forward and backward, against the textbook formula."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from isoflop.meter.flops.count import count


@dataclasses.dataclass(frozen=True)
class Case:
    """A convolution, the sides of its images, and whether something before it needs gradients."""

    dimensions: int
    transposed: bool
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    groups: int
    sides: tuple[int, ...]
    settings: dict[str, Any]
    after_weights: bool

    def layer(self) -> nn.Module:
        kinds = {
            False: (nn.Conv1d, nn.Conv2d, nn.Conv3d),
            True: (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        }
        kind = kinds[self.transposed][self.dimensions - 1]
        return kind(self.inputs, self.outputs, self.kernel, groups=self.groups, **self.settings)

    def outer_sides(self) -> list[int]:
        """Sides of the output of a plain convolution: floor((n + 2p - d(k - 1) - 1) / s) + 1."""
        dimensions = zip(
            *(self.sides, self.kernel),
            *(self.settings[name] for name in ("stride", "padding", "dilation")),
            strict=True,
        )
        return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in dimensions]

    def forward_macs(self) -> int:
        """Each output of a plain convolution gathers, each input of a transposed one spreads, one kernel."""
        sides = self.sides if self.transposed else self.outer_sides()
        return math.prod(sides) * self.inputs * self.outputs // self.groups * math.prod(self.kernel)


class Scaled(nn.Module):
    """A convolution, of its input or of its input times a weight."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.convolution = case.layer()
        self.scale = nn.Parameter(torch.ones(())) if case.after_weights else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.convolution(x if self.scale is None else x * self.scale)
        return out


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dimensions = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(dimensions))

    groups = draw(st.integers(1, 4))
    kernel, dilation = each(1, 4), each(1, 3)
    sides = tuple(d * (k - 1) + 1 + extra for d, k, extra in zip(dilation, kernel, each(0, 5), strict=True))
    return Case(
        dimensions=dimensions,
        transposed=draw(st.booleans()),
        inputs=groups * draw(st.integers(1, 4)),
        outputs=groups * draw(st.integers(1, 4)),
        kernel=kernel,
        groups=groups,
        sides=sides,
        settings={
            "stride": each(1, 3),
            "padding": each(0, 0) if draw(st.booleans()) else tuple(k // 2 for k in kernel),
            "dilation": dilation,
            "bias": draw(st.booleans()),
        },
        after_weights=draw(st.booleans()),
    )


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=cases(), batch=st.integers(1, 5))
def test_random_convolutions_forward_and_backward(case: Case, batch: int) -> None:
    result = count(Scaled(case), (case.inputs, *case.sides), batch_size=batch)
    assert result.reason is None, result.reason
    macs = case.forward_macs()
    assert result.forward_macs_per_example == result.fvcore_forward_macs_per_example == macs
    gradients = 2 if case.after_weights else 1
    assert result.backward_flops_per_example == 2 * gradients * macs
    assert result.train_flops_per_example == 2 * (1 + gradients) * macs


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    tokens=st.integers(1, 9),
    keys=st.integers(1, 9),
    heads=st.integers(1, 3),
    width=st.integers(1, 8),
    value_width=st.integers(1, 8),
)
def test_random_attention_between_two_sequences(
    tokens: int, keys: int, heads: int, width: int, value_width: int
) -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.key = nn.Parameter(torch.ones(heads, keys, width))
            self.value = nn.Parameter(torch.ones(heads, keys, value_width))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            key, value = (each.expand(len(x), -1, -1, -1) for each in (self.key, self.value))
            return nn.functional.scaled_dot_product_attention(x, key, value)

    result = count(Cross(), (heads, tokens, width))
    assert result.reason is None, result.reason
    scores, mixing = heads * tokens * keys * width, heads * tokens * keys * value_width
    assert result.forward_macs_by_op == {"attention": scores + mixing}
    assert result.backward_flops_per_example == 2 * (scores + 2 * mixing)
