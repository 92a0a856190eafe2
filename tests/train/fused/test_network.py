"""The residual network with fused norms: the same network, in training, evaluation and FLOPs."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from isoflop.config import Config, compose
from isoflop.train import data, models
from isoflop.train.fused.norm import FusedBatchNorm2d, with_fused_norms
from isoflop.train.loop import Trainer

pytest.importorskip("triton")
CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]


@pytest.mark.slow
@pytest.mark.skipif(
    torch.cuda.is_available(), reason="Triton is not interpreted: tests/gpu trains on the GPU"
)
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_of_the_network(block: str, precision: str, make_config: MakeConfig) -> None:
    """mup scales the residual branches, so that the multiplier is not 1."""
    how = ("model.parametrization=mup", "model.base_width=4", "model.base_depth=2", f"model.block={block}")
    config = make_config("model=resnet", "model.width=3", "model.depth=1", *how)
    plain = models.build(config.model, (1, 8, 8), 10, seed=0, device=CPU)
    fused = with_fused_norms(copy.deepcopy(plain))
    assert sum(isinstance(module, FusedBatchNorm2d) for module in fused.modules()) >= 9
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6)
    for each in (plain, fused):
        each.train().to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            F.cross_entropy(each(images.to(memory_format=torch.channels_last)), labels).backward()
    within = 1e-5 if precision == "fp32" else 0.1
    for (name, a), b in zip(plain.named_parameters(), fused.parameters(), strict=True):
        assert (a.grad - b.grad).norm() <= within * (1 + a.grad.norm()), name
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, fused.state_dict()[name], rtol=within, atol=within), name
    with torch.no_grad():
        assert torch.allclose(plain.eval()(images), fused.eval()(images), rtol=within, atol=within)


def test_only_a_trainer_that_is_asked_fuses(make_config: MakeConfig) -> None:
    config = make_config("model=resnet", "model.width=2", "optim=sgd")
    digits = data.sets.load(config.data, CPU)
    plain = Trainer(config, digits, 3, CPU)
    assert not any(isinstance(module, FusedBatchNorm2d) for module in plain.model.modules())
    fused = Trainer(config, digits, 3, CPU, kind="fused_graph")
    assert any(isinstance(module, FusedBatchNorm2d) for module in fused.model.modules())
    for a, b in zip(plain.model.parameters(), fused.model.parameters(), strict=True):
        assert torch.equal(a, b)
    rates = [[group["peak_lr"] for group in made.optimizers[0].param_groups] for made in (plain, fused)]
    assert rates[0] == rates[1], "learning rates by role are read from marks of the parameters"
    twin = models.build(config.model, (1, 8, 8), 10, seed=0, device=CPU)
    assert not any(isinstance(module, FusedBatchNorm2d) for module in twin.modules())


def test_the_setting_is_for_the_residual_network() -> None:
    with pytest.raises(ValueError, match=r"launch\.step=fused_graph is for model=resnet"):
        compose.compose_config(["model=mlp", "launch.step=fused_graph"], None)
