"""One complex multiply-accumulate is four real ones, and affine grids are free; both keep their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from isoflop.meter.flops.count import count
from isoflop.meter.flops.dispatch import stored_elements
from isoflop.meter.flops.written_out import WrittenOut


class Model(nn.Module):
    """A function of the input, as complex numbers, and of a complex weight; real numbers come out."""

    def __init__(self, sizes: tuple[int, ...], function: Callable[[torch.Tensor, Any], torch.Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(sizes, dtype=torch.complex64))
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(self.function(x.to(torch.complex64), self.weight))


KINDS: dict[str, tuple[tuple[int, ...], Callable[[torch.Tensor, Any], torch.Tensor], int]] = {
    # Of an input (4, 6): complex MACs of an example.
    "linear": ((5, 6), F.linear, 4 * 5 * 6),
    "matmul": ((6, 5), torch.matmul, 4 * 5 * 6),
    "einsum": ((6, 5), lambda x, w: torch.einsum("btd,de->bte", x, w), 4 * 5 * 6),
    "tensordot": ((6, 5), lambda x, w: torch.tensordot(x, w, 1), 4 * 5 * 6),
    "conv1d": ((5, 4, 3), F.conv1d, 4 * 5 * 3 * 4),
    "conv1d same": ((5, 4, 3), lambda x, w: F.conv1d(x, w, padding="same"), 6 * 5 * 3 * 4),
    "grouped": ((6, 2, 3), lambda x, w: F.conv1d(x, w, groups=2, stride=3), 2 * 6 * 2 * 3),
    "transposed": ((4, 5, 3), lambda x, w: F.conv_transpose1d(x, w, stride=2), 6 * 4 * 5 * 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_complex_products(kind: str) -> None:
    sizes, function, macs = KINDS[kind]
    result = count(Model(sizes, function), (4, 6))
    assert result.reason is None, result.reason
    assert result.forward_macs_per_example == result.fvcore_forward_macs_per_example == 4 * macs
    assert result.train_flops_per_example == 2 * 4 * macs * 2, "forward, and the weight's gradient"


def test_the_same_product_in_real_numbers() -> None:
    class Real(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.real, self.imaginary = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)

        def forward(self, x: torch.Tensor) -> Any:
            z = torch.zeros_like(x)
            return self.real(x) - self.imaginary(z), self.imaginary(x) + self.real(z)

    written_out = count(Real(), (1, 64))
    result = count(Model((64, 64), F.linear), (1, 64))
    assert written_out.forward_macs_per_example == result.forward_macs_per_example == 4 * 64 * 64
    assert written_out.train_flops_per_example == result.train_flops_per_example


def test_a_complex_convolution_keeps_its_values() -> None:
    generator = torch.Generator().manual_seed(3)
    x, weight, bias = (
        torch.randn(sizes, generator=generator, dtype=torch.complex64)
        for sizes in ((2, 4, 9), (6, 4, 3), (6,))
    )
    expected = F.conv1d(x, weight, bias, padding=1)
    with WrittenOut():
        torch.testing.assert_close(F.conv1d(x, weight, bias, padding=1), expected)


def test_a_complex_element_is_two_numbers() -> None:
    assert stored_elements(torch.zeros(3, 5, dtype=torch.complex64)) == 2 * 15
    assert stored_elements(torch.zeros(3, 1, dtype=torch.complex64).expand(3, 5)) == 2 * 3


def test_what_is_stored_is_that_of_tensors_alone() -> None:
    for other in (None, 3, 2.5, "sum", torch.float32):
        assert stored_elements(other) == 0
    assert stored_elements(torch.zeros(3, 5)) == 15
    assert stored_elements(torch.zeros(0, 5)) == 0
    assert stored_elements(torch.zeros(()).expand(4, 0)) == 0
    assert stored_elements(torch.zeros(1).expand(7)) == 1
    assert stored_elements(torch.eye(3).to_sparse()) == 9


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior has changed")
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("sides", [(4, 5), (1, 3), (2, 3, 4)])
def test_an_affine_grid_keeps_its_values(sides: tuple[int, ...], align_corners: bool) -> None:
    theta = torch.randn(2, len(sides), len(sides) + 1, generator=torch.Generator().manual_seed(3))
    expected = F.affine_grid(theta, [2, 1, *sides], align_corners)
    with WrittenOut():
        torch.testing.assert_close(F.affine_grid(theta, [2, 1, *sides], align_corners), expected)
