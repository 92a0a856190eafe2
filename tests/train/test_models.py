from __future__ import annotations

import dataclasses

import pytest
import torch

from isoflop import cli
from isoflop.config import ModelConfig
from isoflop.train import models

CPU, META = torch.device("cpu"), torch.device("meta")


def shape(family: str, **settings: object) -> ModelConfig:
    base = cli.compose_config([f"model={family}"], None).model
    return dataclasses.replace(base, **settings)  # type: ignore[arg-type]


MLP = shape("mlp", width=7, depth=3)
RESNET = shape("resnet", width=4, depth=2)
ALL = [MLP, RESNET, shape("torchvision")]


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_logits_and_gradients_reach_every_parameter(config: ModelConfig, channels: int) -> None:
    model = models.build(config, (channels, 32, 32), 10, seed=0, device=CPU)
    logits = model(torch.randn(4, channels, 32, 32))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.name)
def test_weights_depend_on_the_seed_alone(config: ModelConfig) -> None:
    torch.manual_seed(1)
    one = models.build(config, (3, 32, 32), 10, seed=5, device=CPU).state_dict()
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1)), "the ambient random state was touched"
    torch.manual_seed(2)
    two = models.build(config, (3, 32, 32), 10, seed=5, device=CPU).state_dict()
    three = models.build(config, (3, 32, 32), 10, seed=6, device=CPU).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], three[name]) for name in one)


def test_parameters_counted_by_hand() -> None:
    mlp = models.build(MLP, (1, 8, 8), 10, seed=0, device=META)
    assert sum(p.numel() for p in mlp.parameters()) == (64 * 7 + 7) + 2 * (7 * 7 + 7) + (7 * 10 + 10)
    resnet20 = models.build(shape("resnet", width=16, depth=3), (3, 32, 32), 10, seed=0, device=META)
    basic = sum(p.numel() for name, p in resnet20.named_parameters() if "shortcut" not in name)
    assert basic == 269_722, "He et al. (2016) give 0.27 M for ResNet-20"
    assert sum(p.numel() for p in resnet20.parameters()) == basic + (16 * 32 + 64) + (32 * 64 + 128)


def test_initial_signal_neither_dies_nor_explodes_with_depth() -> None:
    model = models.build(shape("mlp", width=256, depth=12), (1, 8, 8), 10, seed=0, device=CPU)
    x = torch.randn(512, 64)
    for layer in model.hidden:  # type: ignore[union-attr]
        x = layer(x).relu()
    assert 0.3 < x.square().mean() < 3


def test_an_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean resnet18"):
        models.build(shape("torchvision", architecture="resnet118"), (3, 32, 32), 10, seed=0, device=META)
