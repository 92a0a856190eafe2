"""Work of normalisations and activations, counted by hand; it is in none of the other counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isoflop.config import compose
from isoflop.meter.flops.count import count
from isoflop.runner import prepare


def test_each_element_of_a_norm_is_five_and_of_an_activation_one() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(256, 3),
    )
    counted = count(model, (1, 8, 8))
    assert counted.reason is None
    assert counted.norm_activation_forward_flops_per_example == 6 * 4 * 8 * 8
    assert counted.forward_macs_per_example == 4 * 8 * 8 * 9 + 256 * 3, "as without them"


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (nn.BatchNorm1d(16, affine=False), 4 * 16),
        (nn.LayerNorm(16), 5 * 16),
        (nn.LayerNorm(16, elementwise_affine=False), 4 * 16),
        (nn.GELU(), 16),
        (nn.Tanh(), 16),
        (nn.Softmax(dim=-1), 16),
        (nn.Dropout(), 0),
    ],
    ids=str,
)
def test_single_layers(layer: nn.Module, flops: int) -> None:
    counted = count(nn.Sequential(nn.Linear(8, 16), layer), (8,))
    assert counted.reason is None
    assert counted.norm_activation_forward_flops_per_example == flops
    assert counted.forward_macs_per_example == counted.fvcore_forward_macs_per_example == 8 * 16


@pytest.mark.slow
def test_the_share_that_the_compute_leaves_out_falls_as_one_over_the_width() -> None:
    """docs/method.md quotes these for a ResNet of depth 1 on 32x32 images."""
    shares = {}
    for width in (1, 2, 4, 8, 16, 32):
        config = compose.compose_config(["model=resnet", f"model.width={width}", "model.depth=1"], None)
        counted = prepare.count_flops(config.model, (3, 32, 32), 10, 32)
        beside, inference = (
            counted.norm_activation_forward_flops_per_example,
            counted.inference_flops_per_example,
        )
        assert beside is not None
        assert inference is not None
        shares[width] = beside / inference
    quoted = {1: 0.21, 2: 0.13, 4: 0.07, 8: 0.04, 16: 0.02, 32: 0.01}
    assert {width: round(share, 2) for width, share in shares.items()} == quoted


def test_a_model_that_cannot_be_traced_has_no_such_count() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no")

    assert count(Odd(), (8,)).norm_activation_forward_flops_per_example is None
