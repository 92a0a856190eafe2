"""The chain of products as torch runs it against the closed form of each family, and of known networks."""

import pytest
import torch
from torch import nn

from isoflop.config.compose import compose_config
from isoflop.parallel import chain, counted, shapes
from isoflop.parallel.shapes import Chain
from isoflop.runner import prepare

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=mlp", "model.depth=3"],
        ["model=resnet", "model.depth=2", "model.width=4"],
        ["model=resnet", "model.depth=2", "model.width=4", "model.block=bottleneck"],
        ["model=convmixer", "model.depth=3"],
        ["model=vit", "model.depth=3"],
        ["model=gpt", "recipe=language", "model.depth=3"],
    ],
)
def test_families(overrides):
    model = compose_config(overrides, None).model
    sizes = (model.context,) if model.context else (3, 16, 16)
    twin = prepare.weightless(model, sizes, 10)
    example = torch.zeros(2, *sizes, dtype=torch.int64 if model.context else torch.float32, device="meta")
    closed = shapes.chain_of(model.family, model.depth, model.block)
    assert chain.count(twin, example) == closed.products


def test_what_runs_beside_adds_nothing_and_what_follows_does():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))

        def forward(self, x):
            return self.d(self.a(x).relu_() + self.c(self.b(x)))  # the longer branch has two

    with torch.device("meta"):
        assert chain.count(Net(), torch.zeros(2, 4)) == 3


def test_a_shape_counted_by_torch():
    config = compose_config(["model=vit", "model.width=64", "model.depth=2", "data=cifar10"], None)
    made = counted.shape(config)
    assert (made.label, made.chain, made.batch_size) == ("vit w64 d2", Chain(14, 6), 32)
    twin = prepare.weightless(config.model, (3, 32, 32), 10)
    assert made.gradients == sum(p.numel() for p in twin.parameters())
    assert 2.5 < made.train_flops_per_example / made.forward_flops_per_example < 3.1


@pytest.mark.slow
def test_a_classifier_of_torchvision_has_a_counted_chain():
    config = compose_config(
        ["model=torchvision", "model.architecture=resnet18", "data=cifar10"],
        None,
    )
    made = counted.shape(config)
    assert made.chain == Chain(18, None)
    assert made.gradients == 11_181_642  # resnet18 with ten classes


def test_bytes_of_text_come_in_windows():
    config = compose_config(["model=gpt", "recipe=language", "model.width=32", "model.depth=1"], None)
    made = counted.shape(config)
    assert made.row_size == config.model.context
    assert made.rows == config.batch_rows
