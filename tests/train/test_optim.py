from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from isoflop.config import ModelConfig, OptimConfig, compose
from isoflop.train import models, optim, parametrize

CPU, META = torch.device("cpu"), torch.device("meta")


def model_config(family: str, **settings: object) -> ModelConfig:
    of_text = ["data=python", "optim.batch_size=256"] if family == "gpt" else []
    base = compose.compose_config([f"model={family}", *of_text], None).model
    return dataclasses.replace(base, **settings)  # type: ignore[arg-type]


def of_heads(family: str, **settings: object) -> ModelConfig:
    """The family's configuration, with heads small enough for `settings` where it has heads."""
    text: dict[str, object] = {"context": 8, "feedforward": "swiglu"} if family == "gpt" else {}
    heads = {"head_width": 4} if family in ("vit", "gpt") else {}
    return model_config(family, **heads, **text, **settings)


def input_shape(config: ModelConfig) -> tuple[int, ...]:
    return (config.context,) if config.context else (1, 8, 8)


def optim_config(name: str, **settings: object) -> OptimConfig:
    return dataclasses.replace(compose.compose_config([f"optim={name}"], None).optim, **settings)  # type: ignore[arg-type]


MLP = model_config("mlp", width=6, depth=2)


def with_gradients(config: ModelConfig, image: tuple[int, ...] = (1, 4, 4)) -> nn.Module:
    """A model whose parameters, zeros too, and gradients are random numbers."""
    model = models.build(config, image, 3, seed=0, device=CPU)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().double().clone() for name, p in model.named_parameters()}


def decay_of(name: str, decay: float) -> float:
    return 0.0 if "bias" in name else decay


def test_one_step_of_sgd_by_hand() -> None:
    model, config = with_gradients(MLP), optim_config("sgd", lr=0.1, weight_decay=0.2)
    before = values(model)
    (sgd,) = optim.build(config, model, MLP)
    sgd.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        grad = parameter.grad.double() + decay_of(name, 0.2) * before[name]
        expected = before[name] - 0.1 * (grad + 0.9 * grad)  # Nesterov: gradient + momentum x buffer
        assert torch.allclose(parameter.double(), expected, atol=1e-6), name


def test_one_step_of_adamw_by_hand() -> None:
    model, config = with_gradients(MLP), optim_config("adamw", lr=0.1, weight_decay=0.2)
    before = values(model)
    (adamw,) = optim.build(config, model, MLP)
    adamw.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        grad = parameter.grad.double()
        step = 0.1 * grad / (grad.abs() + 1e-8)  # after bias correction the moments are g and g^2
        expected = before[name] * (1 - 0.1 * decay_of(name, 0.2)) - step
        assert torch.allclose(parameter.double(), expected, atol=1e-6), name


def newton_schulz(matrix: Tensor) -> Tensor:
    """Five quintic iterations (Jordan et al. 2024), in double precision."""
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_one_step_of_muon_by_hand(memory_format: torch.memory_format) -> None:
    shape = model_config("resnet", width=6, depth=1)
    model = with_gradients(shape, (1, 8, 8)).to(memory_format=memory_format)
    before, roles = values(model), parametrize.roles(model)
    for optimizer in optim.build(optim_config("muon", lr=0.1, weight_decay=0.2), model, shape):
        optimizer.step()
    for name, parameter in model.named_parameters():
        if roles[name].kind != "hidden":
            continue
        assert parameter.grad is not None
        rows = (parameter.grad.double() * (1 - 0.95**2)).flatten(
            1
        )  # (1 - mu) g, looked ahead: its scale is lost
        step = 0.1 * 0.2 * math.sqrt(max(rows.shape)) * newton_schulz(rows).view(parameter.shape)
        direction = before[name] * (1 - 0.1 * 0.2) - parameter.double()
        assert (direction - step).norm() < 0.03 * step.norm(), name  # torch iterates in bf16


def test_muon_on_views_equals_torchs_own_on_plain_layers() -> None:
    shape = model_config("mlp", width=6, depth=3)
    ours = with_gradients(shape)
    theirs = copy.deepcopy(ours)
    config = optim_config("muon", lr=0.02, weight_decay=0.1)
    muon, adamw = optim.build(config, ours, shape)
    matrices = [theirs.get_parameter(f"hidden.{i}.weight") for i in (1, 2)]
    plain = torch.optim.Muon(
        matrices,
        lr=0.02,
        weight_decay=0.1,
        momentum=0.95,
        adjust_lr_fn="match_rms_adamw",
    )
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            two.grad = one.grad.clone()
        muon.step()
        plain.step()
    for i in (1, 2):
        name = f"hidden.{i}.weight"
        assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name))
    name = "readout.weight"
    assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name)), "AdamW has the rest"
    muon.zero_grad()
    assert ours.hidden[1].weight.grad is None  # type: ignore[index, union-attr]
    assert ours.readout.weight.grad is not None  # type: ignore[union-attr]
    adamw.zero_grad()
    assert all(p.grad is None for p in ours.parameters())


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("family", ["resnet", "vit"])
def test_a_learning_rate_in_a_tensor_gives_the_same_steps(name: str, family: str) -> None:
    shape = of_heads(family, width=8, depth=1)
    models_ = [with_gradients(shape, (1, 8, 8)) for _ in range(2)]
    config = optim_config(name, lr=0.02, weight_decay=0.1)
    for model, capturable in zip(models_, (False, True), strict=True):
        for optimizer in optim.build(config, model, shape, capturable=capturable):
            for group in optimizer.param_groups:
                lr = group["peak_lr"] * 0.5
                group["lr"] = torch.tensor(lr) if capturable else lr
            for _ in range(3):
                optimizer.step()
            assert all(group["weight_decay"] in (0, 0.1) for group in optimizer.param_groups)
    for one, two in zip(*(model.parameters() for model in models_), strict=True):
        assert torch.allclose(one, two, rtol=1e-5, atol=1e-6)


def test_a_joint_query_key_value_is_three_matrices_to_muon() -> None:
    shape = model_config("vit", width=8, depth=1, head_width=4)
    model = with_gradients(shape, (1, 8, 8))
    weight = model.blocks[0].attention.query_key_value.weight  # type: ignore[union-attr, index]
    assert isinstance(weight, Tensor)
    assert weight.grad is not None
    weight.grad[8:16] *= 1e-3  # a small gradient of the keys alone: each of the three is orthogonalised
    before = weight.detach().clone()
    optim.build(optim_config("muon", lr=0.1, weight_decay=0.0), model, shape)[0].step()
    sizes = (weight.detach() - before).view(3, -1).norm(dim=1)
    assert sizes.max() < 1.5 * sizes.min()


def test_muon_notices_weights_that_moved() -> None:
    shape = model_config("resnet", width=4, depth=1)
    model = with_gradients(shape, (1, 8, 8))
    muon, _ = optim.build(optim_config("muon"), model, shape)
    model.to(memory_format=torch.channels_last)
    with pytest.raises(AssertionError, match="have moved"):
        muon.step()


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("family", ["mlp", "resnet", "vit", "convmixer", "gpt"])
def test_groups_are_few_hold_every_parameter_once_and_carry_their_peak(name: str, family: str) -> None:
    scaled = {"parametrization": "completep" if family == "gpt" else "mup", "base_width": 4, "base_depth": 1}
    shape = of_heads(family, width=16, depth=4, **scaled)
    model = models.build(shape, input_shape(shape), 10, seed=0, device=CPU)
    groups = [g for o in optim.build(optim_config(name, lr=0.5), model, shape) for g in o.param_groups]
    assert len(groups) <= 8
    shown = sorted(p.data_ptr() for g in groups for p in g["params"])
    assert len(shown) == len(set(shown))
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in model.parameters())
    assert all(g["lr"] == g["peak_lr"] for g in groups)
    lr_of = {p.data_ptr(): g["peak_lr"] for g in groups for p in g["params"]}
    for key, role in parametrize.roles(model).items():
        factor = parametrize.lr_multiplier(role, parametrize.scale(shape), name)  # type: ignore[arg-type]
        assert lr_of[model.get_parameter(key).data_ptr()] == pytest.approx(0.5 * factor)


def test_optimizer_state_goes_into_a_dictionary_and_back() -> None:
    shape = model_config("vit", width=8, depth=1, head_width=4)
    config = optim_config("muon", lr=0.02)
    one, two = (with_gradients(shape, (1, 8, 8)) for _ in range(2))
    first, second = (optim.build(config, model, shape) for model in (one, two))
    for optimizer, other in zip(first, second, strict=True):
        optimizer.step()
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        optimizer.step()
    two.load_state_dict(with_gradients(shape, (1, 8, 8)).state_dict())
    for a, b in zip(*(optim.build(config, m, shape) for m in (two, copy.deepcopy(two))), strict=True):
        assert len(a.state_dict()["param_groups"]) == len(b.state_dict()["param_groups"])
    three = with_gradients(shape, (1, 8, 8))
    for optimizer in optim.build(config, three, shape):
        optimizer.step()
    two.load_state_dict(three.state_dict())
    for other in second:
        other.step()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_batch_size_scales_learning_rate_and_decay_by_the_stated_rules() -> None:
    def peaks(name: str, **settings: object) -> tuple[float, float]:
        model = models.build(MLP, (1, 4, 4), 3, seed=0, device=CPU)
        config = optim_config(name, lr=0.1, weight_decay=0.2, **settings)
        group = optim.build(config, model, MLP)[-1].param_groups[0]
        return group["peak_lr"], group["weight_decay"]

    assert peaks("sgd", batch_size=512) == (0.1, 0.2), "no base: no rule"
    assert peaks("sgd", batch_size=512, base_batch_size=128) == (0.4, 0.2), "Goyal et al. 2017"
    for name in ("adamw", "muon"):
        lr, decay = peaks(name, batch_size=512, base_batch_size=128)
        assert (lr, decay) == (0.2, 0.4), "Malladi et al. 2022"


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_length_scales_learning_rate_and_decay_by_the_stated_rule(name: str) -> None:
    """Mlodozeniec et al. 2025, table 1: both by sqrt(m_B/m_D), so that steps x lr x decay is held."""
    config = optim_config(name, lr=0.1, weight_decay=0.2, base_steps=100)

    def peaks(steps: int) -> list[tuple[float, float]]:
        model = models.build(MLP, (1, 4, 4), 3, seed=0, device=CPU)
        optimizers = optim.build(config, model, MLP, steps=steps)
        return [(group["peak_lr"], group["weight_decay"]) for o in optimizers for group in o.param_groups]

    base, longer = peaks(100), peaks(400)
    assert base == peaks(100)
    assert base[0] == (0.1, 0.2)
    assert longer[0] == (0.05, 0.1)
    for (lr, decay), (shorter_lr, shorter_decay) in zip(longer, base, strict=True):
        assert (lr, decay) == (shorter_lr / 2, shorter_decay / 2)
        assert 400 * lr * decay == pytest.approx(100 * shorter_lr * shorter_decay)
    batch, data = 4.0, 16.0
    assert optim.scaled(config, round(100 * data / batch))[0] == pytest.approx(0.1 * math.sqrt(batch / data))


def test_at_equal_data_the_rule_for_length_is_that_for_batch_size() -> None:
    by_batch = optim_config("adamw", lr=0.1, weight_decay=0.2, batch_size=512, base_batch_size=128)
    by_length = optim_config("adamw", lr=0.1, weight_decay=0.2, batch_size=512, base_steps=1000)
    assert optim.scaled(by_length, 1000 * 128 // 512) == optim.scaled(by_batch, None)


def test_rules_for_length_that_are_not_known_or_double_are_refused() -> None:
    with pytest.raises(ValueError, match="base_steps: no rule is known for sgd: set it to null"):
        optim_config("sgd", base_steps=100)
    with pytest.raises(ValueError, match="by the number of steps: set base_batch_size to null"):
        optim_config("adamw", base_steps=100, base_batch_size=128)


def test_a_model_of_torchvision_has_one_group_and_no_muon() -> None:
    shape = model_config("torchvision")
    model = models.build(shape, (3, 32, 32), 10, seed=0, device=CPU)
    (sgd,) = optim.build(optim_config("sgd"), model, shape)
    (group,) = sgd.param_groups
    assert group["weight_decay"] == 0.0005
    assert len(group["params"]) == len(list(model.parameters()))
    with pytest.raises(ValueError, match="take sgd or adamw for torchvision"):
        optim.build(optim_config("muon"), model, shape)


def test_flops_of_a_step() -> None:
    shape = model_config("mlp", width=6, depth=2)
    model = models.build(shape, (1, 4, 4), 3, seed=0, device=META)
    parameters = (16 * 6 + 6) + (36 + 6) + (18 + 3)
    assert optim.flops_per_step(optim_config("sgd"), model) == 8 * parameters
    assert optim.flops_per_step(optim_config("adamw"), model) == 14 * parameters
    assert optim.flops_per_step(optim_config("adamw", clip_norm=1.0), model) == (14 + 3) * parameters
    products = 5 * (4 * 6**2 * 6 + 2 * 6**3)
    assert optim.flops_per_step(optim_config("muon"), model) == 14 * (parameters - 36) + 12 * 36 + products


@pytest.mark.parametrize("family", ["mlp", "resnet", "vit", "convmixer", "gpt"])
def test_products_of_muon_are_those_that_torch_counts(family: str) -> None:
    shape = of_heads(family, width=8, depth=2)
    model = with_gradients(shape, input_shape(shape))
    config = optim_config("muon")
    optimizers = optim.build(config, model, shape)
    with FlopCounterMode(display=False) as counter:
        for optimizer in optimizers:
            optimizer.step()
    kinds = parametrize.roles(model)
    elementwise = sum(
        (12 if kinds[name].kind == "hidden" else 14) * p.numel() for name, p in model.named_parameters()
    )
    assert counter.get_total_flops() == optim.flops_per_step(config, model) - elementwise
