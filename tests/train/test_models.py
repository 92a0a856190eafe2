from __future__ import annotations

import copy
import dataclasses
import hashlib
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from isoflop.config import ModelConfig, compose
from isoflop.meter.flops import count
from isoflop.train import models, parametrize
from isoflop.train.models import resnet

CPU, META = torch.device("cpu"), torch.device("meta")


def shape(family: str, **settings: object) -> ModelConfig:
    of_text = ["data=python", "optim.batch_size=256"] if family == "gpt" else []
    base = compose.compose_config([f"model={family}", *of_text], None).model
    return dataclasses.replace(base, **settings)  # type: ignore[arg-type]


MLP = shape("mlp", width=7, depth=3)
RESNET = shape("resnet", width=4, depth=2)
BOTTLENECK = shape("resnet", width=4, depth=2, block="bottleneck")
VIT = shape("vit", width=12, depth=2, head_width=4, patch=4)
CONVMIXER = shape("convmixer", width=6, depth=2, patch=2, kernel=5)
GPT = shape("gpt", width=12, depth=2, head_width=4, context=10)
IMAGES = [MLP, RESNET, BOTTLENECK, VIT, CONVMIXER]
OURS = [*IMAGES, GPT]
ALL = [*OURS, shape("torchvision")]


def named(config: ModelConfig) -> str:
    return f"{config.name}-{config.block}" if config.block else config.name


def input_shape(config: ModelConfig, image: tuple[int, int, int] = (3, 32, 32)) -> tuple[int, ...]:
    return (config.context,) if config.context else image


def inputs(config: ModelConfig, image: tuple[int, int, int] = (3, 32, 32)) -> torch.Tensor:
    """Four windows of text, or four images."""
    if config.context:
        return torch.randint(0, 10, (4, config.context))
    return torch.randn(4, *image)


@pytest.mark.parametrize("config", ALL, ids=named)
@pytest.mark.parametrize("image", [(1, 32, 32), (3, 32, 32), (1, 8, 8)])
def test_inputs_become_logits_and_gradients_reach_every_parameter(
    config: ModelConfig, image: tuple[int, int, int]
) -> None:
    model = models.build(config, input_shape(config, image), 10, seed=0, device=CPU)
    logits = model(inputs(config, image))
    assert logits.shape == ((4, config.context, 10) if config.context else (4, 10))
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("config", ALL, ids=named)
def test_weights_depend_on_the_seed_alone(config: ModelConfig) -> None:
    torch.manual_seed(1)
    shape = input_shape(config)
    one = models.build(config, shape, 10, seed=5, device=CPU).state_dict()
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1)), "the ambient random state was touched"
    torch.manual_seed(2)
    two = models.build(config, shape, 10, seed=5, device=CPU).state_dict()
    three = models.build(config, shape, 10, seed=6, device=CPU).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], three[name]) for name in one)


@pytest.mark.parametrize(
    ("config", "image", "digest"),
    [
        (shape("mlp", width=8, depth=1), (1, 8, 8), "983489628746c6b3"),
        (shape("mlp", width=16, depth=3), (3, 32, 32), "8c0d52ff5f9318a5"),
        (shape("resnet", width=4, depth=1), (1, 8, 8), "27b578baead57645"),
        (shape("resnet", width=8, depth=2), (3, 32, 32), "4f76d3aba26ad40c"),
    ],
    ids=["mlp-small", "mlp", "resnet-small", "resnet"],
)
def test_standard_initial_weights_are_those_before_roles_existed(
    config: ModelConfig, image: tuple[int, int, int], digest: str
) -> None:
    state = models.build(config, image, 10, seed=0, device=CPU).state_dict()
    hashed = hashlib.sha256()
    for name, value in state.items():
        hashed.update(name.encode() + value.contiguous().numpy().tobytes())
    assert hashed.hexdigest()[:16] == digest


@pytest.mark.parametrize("config", OURS, ids=named)
def test_every_parameter_has_a_role_and_starts_at_its_standard_deviation(config: ModelConfig) -> None:
    wide = dataclasses.replace(config, width=48)
    model = models.build(wide, input_shape(wide), 10, seed=0, device=CPU)
    roles = parametrize.roles(model)
    assert list(roles) == [name for name, _ in model.named_parameters()]
    for name, parameter in model.named_parameters():
        role, std = roles[name], parametrize.init_std(roles[name], parametrize.scale(wide))
        if parameter.ndim > 1 and role.kind != "embedding":
            assert role.fan_in == parameter[0].numel()
            assert role.fan_out == parameter.numel() // parameter.shape[1]
        if std:
            spread = 5 / (2 * parameter.numel()) ** 0.5
            assert parameter.std().item() == pytest.approx(std, rel=spread), name
        elif std == 0:
            assert not parameter.any(), name
    assert parametrize.roles(copy.deepcopy(model)) == roles


def test_parameters_counted_by_hand() -> None:
    def parameters(config: ModelConfig, image: tuple[int, int, int]) -> int:
        model = models.build(config, image, 10, seed=0, device=META)
        return sum(p.numel() for p in model.parameters())

    assert parameters(MLP, (1, 8, 8)) == (64 * 7 + 7) + 2 * (7 * 7 + 7) + (7 * 10 + 10)
    resnet20 = models.build(shape("resnet", width=16, depth=3), (3, 32, 32), 10, seed=0, device=META)
    basic = sum(p.numel() for name, p in resnet20.named_parameters() if "shortcut" not in name)
    assert basic == 269_722, "He et al. (2016) give 0.27 M for ResNet-20"
    assert parameters(shape("resnet", width=16, depth=3), (3, 32, 32)) == basic + (16 * 32 + 64) + (
        32 * 64 + 128
    )
    block = (12 * 36 + 36) + (12 * 12 + 12) + (12 * 48 + 48) + (48 * 12 + 12) + 2 * 24
    assert parameters(VIT, (3, 32, 32)) == (48 * 12 + 12) + 64 * 12 + 2 * block + 24 + (12 * 10 + 10)
    mix = (25 * 6 + 6) + 12 + (6 * 6 + 6) + 12
    assert parameters(CONVMIXER, (3, 32, 32)) == (12 * 6 + 6) + 12 + 2 * mix + (6 * 10 + 10)


def resnet_macs(width: int, depth: int, pixels: int, block: str) -> int:
    """Stem, three stages and readout of a residual network on square images of three channels."""
    total, inputs = 27 * width * pixels**2, width
    for stage in range(3):
        c = width * 2**stage
        for position in range(depth):
            before = pixels**2
            if stage and not position:
                pixels //= 2
            after = pixels**2
            if block == "basic":
                outputs, inner = c, (9 * inputs * c + 9 * c * c) * after
            else:
                outputs, inner = 4 * c, inputs * c * before + (9 * c * c + 4 * c * c) * after
            total += inner + (inputs * outputs * after if inputs != outputs else 0)
            inputs = outputs
    return total + inputs * 10


def vit_macs(width: int, depth: int, tokens: int, patch: int) -> int:
    """Embedding, blocks (12 width^2 a token and 2 tokens^2 width of attention) and readout."""
    block = 12 * tokens * width**2 + 2 * tokens**2 * width
    return 3 * patch**2 * width * tokens + depth * block + width * 10


@pytest.mark.parametrize(
    ("config", "forward_macs"),
    [
        (MLP, 3072 * 7 + 2 * 49 + 70),
        (RESNET, resnet_macs(4, 2, 32, "basic")),
        (BOTTLENECK, resnet_macs(4, 2, 32, "bottleneck")),
        (VIT, vit_macs(12, 2, 64, 4)),
        (CONVMIXER, 256 * (12 * 6 + 2 * (25 * 6 + 36)) + 60),
    ],
    ids=["mlp", "resnet", "bottleneck", "vit", "convmixer"],
)
def test_both_counters_find_the_closed_form(config: ModelConfig, forward_macs: int) -> None:
    model = models.build(config, (3, 32, 32), 10, seed=0, device=META)
    counted = count.count(model, (3, 32, 32))
    assert counted.reason is None
    assert counted.counters_agree
    assert counted.forward_macs_per_example == forward_macs
    assert counted.fvcore_forward_macs_per_example == forward_macs


def test_initial_signal_neither_dies_nor_explodes_with_depth() -> None:
    model = models.build(shape("mlp", width=256, depth=12), (1, 8, 8), 10, seed=0, device=CPU)
    x = torch.randn(512, 64)
    for layer in model.hidden:  # type: ignore[union-attr]
        x = layer(x).relu()
    assert 0.3 < x.square().mean() < 3


def test_attention_equals_torchs_own() -> None:
    model = models.build(VIT, (3, 32, 32), 10, seed=0, device=CPU)
    ours = model.blocks[0].attention  # type: ignore[union-attr, index]
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    assert isinstance(ours, nn.Module)
    joint, output = ours.query_key_value, ours.output
    with torch.no_grad():
        theirs.in_proj_weight.copy_(joint.weight)  # type: ignore[union-attr, arg-type]
        theirs.in_proj_bias.copy_(joint.bias)  # type: ignore[union-attr, arg-type]
        theirs.out_proj.weight.copy_(output.weight)  # type: ignore[union-attr, arg-type]
        theirs.out_proj.bias.copy_(output.bias)  # type: ignore[union-attr, arg-type]
    x = torch.randn(2, 5, 12)
    assert torch.allclose(ours(x), theirs(x, x, x)[0], atol=1e-6)


def test_images_that_do_not_fit_the_patch_are_refused() -> None:
    with pytest.raises(ValueError, match="patch=3 does not divide the 8x8 image"):
        models.build(dataclasses.replace(VIT, patch=3), (1, 8, 8), 10, seed=0, device=META)
    with pytest.raises(ValueError, match="patch=9 is larger than the 8x8 image"):
        models.build(dataclasses.replace(CONVMIXER, patch=9), (1, 8, 8), 10, seed=0, device=META)


def test_an_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean resnet18"):
        models.build(shape("torchvision", architecture="resnet118"), (3, 32, 32), 10, seed=0, device=META)


class Convolutions(TorchDispatchMode):
    """Notes (kernel, stride) of every convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, int]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.seen.add((args[1].shape[-1], args[3][0]))
        return func(*args, **(kwargs or {}))


def test_a_strided_shortcut_is_never_strided_for_onednn() -> None:
    """Its gradient corrupts memory. Values and gradients are those of torch, where NCHW is not harmed."""
    model = models.build(RESNET, (3, 32, 32), 10, seed=0, device=CPU)
    with Convolutions() as convolutions:
        model(torch.randn(2, 3, 32, 32))
    assert convolutions.seen == {(3, 1), (3, 2), (1, 1)}
    ours = resnet.Pointwise(4, 8, 1, 2, bias=False)
    theirs = nn.Conv2d(4, 8, 1, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(3, 4, 7, 8)
    outcomes = []
    for module in (ours, theirs):
        x = images.clone().requires_grad_()
        y = module(x)
        y.square().sum().backward()
        outcomes.append((y.detach(), x.grad, module.weight.grad))
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_zero_init_residual_starts_every_block_as_its_shortcut(block: str) -> None:
    config = shape("resnet", width=4, depth=2, block=block, zero_init_residual=True)
    model = models.build(config, (3, 8, 8), 10, seed=0, device=CPU)
    x = torch.randn(5, 4, 8, 8).relu()
    for made in model.blocks:  # type: ignore[union-attr]
        through = made(x)
        assert torch.equal(through, made.shortcut(x).relu())
        x = through
    plain = models.build(
        dataclasses.replace(config, zero_init_residual=False), (3, 8, 8), 10, seed=0, device=CPU
    )
    zeroed = {name for name, p in model.named_parameters() if not torch.equal(p, plain.get_parameter(name))}
    assert len(zeroed) == 6
    assert all(name.endswith("norm2.weight" if block == "basic" else "norm3.weight") for name in zeroed)


def test_zero_init_residual_is_refused_where_there_are_no_batch_norms_to_start_at_zero() -> None:
    with pytest.raises(ValueError, match="mlp takes no zero_init_residual: set it to false"):
        dataclasses.replace(MLP, zero_init_residual=True)
