"""Low rank: the function at full rank, the work, the roles, and what the parametrization promises."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config, ConfigError, compose
from isoflop.meter.flops import count as flops
from isoflop.train import levers, models, optim, parametrize
from isoflop.train.levers import low_rank
from isoflop.train.parametrize import Role, tag_layer

CPU, META = torch.device("cpu"), torch.device("meta")
CLASSES = 10
FAMILIES = {
    "mlp": ("model.width=24", "model.depth=3"),
    "resnet": ("model.width=8", "model.depth=1"),
    "bottleneck": ("model.width=4", "model.depth=1"),
    "convmixer": ("model.width=16", "model.depth=2"),
    "vit": ("model.width=32", "model.depth=2", "model.head_width=8"),
    "gpt": ("model.width=32", "model.depth=1", "model.head_width=8", "model.context=6"),
    "swiglu": ("model.width=32", "model.depth=1", "model.head_width=8", "model.context=6"),
}


def config(family: str, *overrides: str, share: float = 0.25) -> Config:
    settings = {
        "bottleneck": ["model=resnet", "model.block=bottleneck"],
        "gpt": ["model=gpt", "data=python", "optim.batch_size=600"],
        "swiglu": ["model=gpt", "model.feedforward=swiglu", "data=python", "optim.batch_size=600"],
    }.get(family, [f"model={family}"])
    shape = FAMILIES[family]
    chosen = [*settings, *shape, "lever=low_rank", f"lever.rank_share={share}", *overrides]
    return compose.compose_config(chosen, None)


def input_shape(config: Config) -> tuple[int, ...]:
    return (config.model.context,) if config.model.context else (1, 8, 8)


def inputs(config: Config, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if config.model.context:
        return torch.randint(0, CLASSES, (n, config.model.context), generator=generator)
    return torch.randn(n, *input_shape(config), generator=generator)


def dense(config: Config, device: torch.device = CPU) -> nn.Module:
    return models.build(config.model, input_shape(config), CLASSES, seed=0, device=device)


def transformed(config: Config, device: torch.device = CPU) -> nn.Module:
    return levers.of(config).transform(dense(config, device), input_shape(config), CLASSES)


def hidden_layers(model: nn.Module) -> dict[str, Any]:
    roles = parametrize.roles(model)
    return {
        name.removesuffix(".weight"): model.get_submodule(name.removesuffix(".weight"))
        for name, role in roles.items()
        if role.kind == "hidden"
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_at_full_rank_the_function_is_that_of_the_dense_network(family: str) -> None:
    """Within 1e-5 of the logits' size, in training mode, so that batch norms see what they see there."""
    run = config(family)
    model = dense(run)
    wide = copy.deepcopy(model)
    for name, layer in hidden_layers(wide).items():
        parent, _, own = name.rpartition(".")
        setattr(wide.get_submodule(parent), own, low_rank.factored(layer, min(layer.weight.flatten(1).shape)))
    given = inputs(run)
    expected, got = model(given).detach(), wide(given).detach()
    assert len(hidden_layers(wide)) == 2 * len(hidden_layers(model))
    assert (expected - got).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))


def test_the_factors_are_the_best_approximation_of_what_was_drawn_in_equal_parts() -> None:
    matrix = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    right, left = low_rank.spectral(matrix, 5)
    values = torch.linalg.svdvals(matrix)
    # Eckart and Young: what is left over are the smaller singular values.
    assert torch.linalg.matrix_norm(matrix - left @ right) == pytest.approx(
        values[5:].norm().item(), rel=1e-5
    )
    torch.testing.assert_close(left.mT @ left, values[:5].diag(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(right @ right.mT, values[:5].diag(), rtol=1e-4, atol=1e-5)


def test_a_matrix_that_starts_at_zero_still_learns() -> None:
    layer = nn.Linear(6, 4)
    tag_layer(layer, "hidden", gain=0.0)
    nn.init.zeros_(layer.weight)
    pair = low_rank.factored(layer, 2)
    given = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pair(given), layer_bias(pair).expand(5, 4))
    pair(given).sum().backward()
    assert any(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in pair.named_parameters() if "weight" in n
    )


def layer_bias(pair: nn.Sequential) -> Tensor:
    bias = pair[1].bias
    assert isinstance(bias, Tensor)
    return bias


def pairs_macs(run: Config, share: float) -> float:
    """Forward MACs of the run's network, by formula, with every hidden matrix as two if that is cheaper."""
    assert run.model.width is not None
    assert run.model.depth is not None
    width, depth, family = run.model.width, run.model.depth, run.model.family

    def matrix(rows: int, columns: int) -> int:
        rank = max(1, round(share * min(rows, columns)))
        return min(rank * (rows + columns), rows * columns)

    if family == "mlp":
        return 64 * width + (depth - 1) * matrix(width, width) + width * CLASSES
    if family == "convmixer":
        assert run.model.patch is not None
        assert run.model.kernel is not None
        patches = (8 // run.model.patch) ** 2
        embed = run.model.patch**2 * width
        return (
            patches * (embed + depth * (run.model.kernel**2 * width + matrix(width, width))) + width * CLASSES
        )
    if family == "resnet":
        total = 9 * width * 64
        for stage in range(3):
            channels, pixels = width * 2**stage, (8 // 2**stage) ** 2
            before = channels // 2 if stage else channels
            total += pixels * (matrix(channels, 9 * before) + matrix(channels, 9 * channels))
            total += pixels * matrix(channels, before) if stage else 0
        return total + 4 * width * CLASSES
    tokens = 6 if family == "gpt" else (8 // (run.model.patch or 1)) ** 2
    block = matrix(3 * width, width) + matrix(width, width) + 2 * width * tokens
    block += matrix(4 * width, width) + matrix(width, 4 * width)
    embed = 0 if family == "gpt" else (run.model.patch or 0) ** 2 * width * tokens
    readout = width * CLASSES * (tokens if family == "gpt" else 1)
    return embed + tokens * depth * block + readout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "share"),
    [*((name, 0.25) for name in ("mlp", "resnet", "convmixer", "vit", "gpt")), ("resnet", 0.6), ("vit", 0.6)],
)
def test_the_counted_work_is_the_closed_form(family: str, share: float) -> None:
    """At 0.6 square matrices stay as they are, and the others are factored."""
    run = config(family, share=share)
    dtype = torch.int64 if run.model.context else torch.float32
    expected = pairs_macs(run, share)
    counted = flops.count(
        transformed(run, META), input_shape(run), input_dtype=dtype, closed_form_macs=expected
    )
    assert counted.reason is None
    assert counted.forward_macs_per_example == expected
    work = levers.of(run).inference(nn.Identity(), counted.inference_flops_per_example)
    assert (work.flops, work.density) == (2 * expected, 1.0)


def test_a_square_matrix_at_a_quarter_of_its_rank_costs_half() -> None:
    run = config("mlp")
    counted = [
        flops.count(made, (1, 8, 8)).forward_macs_per_example for made in (dense(run), transformed(run))
    ]
    assert counted[0] - counted[1] == 2 * 24**2 / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_roles_are_the_same_on_meta_and_no_weight_stays_without_a_role(family: str) -> None:
    run = config(family)
    real, meta = transformed(run), transformed(run, META)
    shapes = {name: p.shape for name, p in real.named_parameters()}
    assert shapes == {name: p.shape for name, p in meta.named_parameters()}
    assert all(p.is_meta for p in meta.parameters())
    roles = parametrize.roles(real)
    assert roles == parametrize.roles(meta)
    for name, role in roles.items():
        if role.kind == "hidden":
            weight = real.get_parameter(name)
            positions = weight[0, 0].numel()
            assert (role.fan_in, role.fan_out) == (weight.shape[1] * positions, len(weight) * positions), name


def test_of_a_joint_matrix_the_second_factor_alone_has_parts_and_branches_stay_branches() -> None:
    roles = parametrize.roles(transformed(config("vit")))
    joint = "blocks.0.attention.query_key_value"
    assert roles[f"{joint}.0.weight"] == Role("hidden", fan_in=32, fan_out=8, branch=True)
    assert roles[f"{joint}.1.weight"] == Role("hidden", fan_in=8, fan_out=96, branch=True, parts=3)
    assert roles[f"{joint}.1.bias"].branch
    swiglu = parametrize.roles(transformed(config("swiglu")))
    assert swiglu["blocks.0.feedforward.expand.1.weight"].parts == 2


def test_strides_and_the_ambient_generator_stay() -> None:
    run = config("resnet")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = transformed(run)
    assert torch.equal(torch.get_rng_state(), before)
    shortcut, convolution = model.get_submodule("blocks.1.shortcut.0"), model.get_submodule("blocks.1.conv1")
    for pair in (shortcut, convolution):
        assert isinstance(pair, nn.Sequential)
        assert (pair[0].stride, pair[1].stride) == ((2, 2), (1, 1))
        assert (pair[0].out_channels, pair[1].out_channels) == (pair[1].in_channels, 16)


def test_a_layer_in_two_places_stays_one() -> None:
    layer = nn.Linear(16, 16)
    tag_layer(layer, "hidden")
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    assert low_rank.factor(twice, 0.25) == 1
    assert twice[0] is twice[2]
    assert sum(p.numel() for p in twice.parameters()) == 4 * 32 + 16


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_every_optimizer_trains_every_family(family: str, optimizer: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch, "bfloat16", torch.float32)  # slow without AVX-512, as in test_parametrize
    mup = ("model.parametrization=mup", "model.base_width=8", "model.base_depth=1")
    run = config(family, f"optim={optimizer}", *mup)
    model = transformed(run)
    optimizers = optim.build(run.optim, model, run.model)
    given, labels = inputs(run, 16), torch.arange(16) % CLASSES
    labels = labels[:, None].expand(-1, 6) if run.model.context else labels
    losses = []
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(8):
        loss = F.cross_entropy(model(given).flatten(0, -2), labels.flatten())
        loss.backward()
        for each in optimizers:
            each.step()
            each.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    unmoved = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not [name for name in unmoved if parametrize.roles(model)[name].kind == "hidden"]


def changes(run: Config, steps: int = 4) -> dict[str, float]:
    """Mean square change of each linear layer's output over a few steps on one batch."""
    model = transformed(run)
    optimizers = optim.build(run.optim, model, run.model)
    given, labels = inputs(run, 16), torch.arange(16) % CLASSES
    outputs: list[dict[str, Tensor]] = [{}, {}]

    def watched(into: dict[str, Tensor]) -> None:
        layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
        hooks = [
            m.register_forward_hook(lambda _, __, out, name=name: into.update({name: out.detach().clone()}))
            for name, m in layers.items()
        ]
        with torch.no_grad():
            model(given)
        for hook in hooks:
            hook.remove()

    watched(outputs[0])
    for _ in range(steps):
        F.cross_entropy(model(given), labels).backward()
        for each in optimizers:
            each.step()
            each.zero_grad()
    watched(outputs[1])
    return {name: (outputs[1][name] - first).square().mean().item() for name, first in outputs[0].items()}


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 0.05), ("adamw", 0.002)])
def test_coordinates_move_alike_at_every_width_under_mup_and_not_under_standard(
    optimizer: str, lr: float
) -> None:
    """Slope of log2 RMS change against log2 width, of the factors as of every other layer."""

    def slopes(*parametrization: str) -> dict[str, float]:
        squares: dict[str, list[float]] = {}
        for width in (128, 256, 512, 1024):
            run = config(
                "mlp", f"model.width={width}", f"optim={optimizer}", f"optim.lr={lr}", *parametrization
            )
            seeded = [changes(dataclasses.replace(run, seed=seed)) for seed in range(3)]
            for name in seeded[0]:
                squares.setdefault(name, []).append(float(np.mean([each[name] for each in seeded])))
        return {n: float(np.polyfit(range(4), np.log2(s) / 2, 1)[0]) for n, s in squares.items()}

    mup = slopes("model.parametrization=mup", "model.base_width=128", "model.base_depth=3")
    assert {"hidden.1.0", "hidden.1.1", "hidden.2.0", "hidden.2.1"} <= set(mup)
    assert all(abs(slope) < 0.1 for slope in mup.values()), mup
    assert max(abs(slope) for slope in slopes().values()) > 0.3


def test_a_network_that_would_be_left_as_it_is_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^lever.rank_share=0.7 spares no work .* set it lower[^\n]*$"):
        transformed(config("mlp", share=0.7))
    with pytest.raises(ConfigError, match="deeper model"):
        transformed(config("mlp", "model.depth=1"), META)


def test_models_without_roles_are_refused_in_one_line() -> None:
    run = compose.compose_config(
        ["model=torchvision", "model.architecture=resnet18", "data=cifar10", "lever=low_rank"], None
    )
    with pytest.raises(ConfigError, match=r"^lever low_rank .* torchvision:resnet18 carry no roles[^\n]*$"):
        levers.of(run).check(CPU)
    with pytest.raises(ConfigError, match="carry no roles"):
        levers.of(config("mlp")).transform(nn.Sequential(nn.Linear(4, 4)), (4,), 4)
