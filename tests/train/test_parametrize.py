from __future__ import annotations

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import ModelConfig, OptimConfig, compose
from isoflop.train import models, optim, parametrize
from isoflop.train.parametrize import Role, RoleKind, Scale

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
IMAGE, CLASSES, STEPS, BATCH = (1, 8, 8), 10, 4, 16
MULTIPLES = (1, 2, 4, 8)

COORDINATES = {
    "mlp": {"width": 128, "depth": 3},
    "resnet": {"width": 16, "depth": 1},
    "vit": {"width": 64, "depth": 2, "patch": 4, "head_width": 16},
}
"""Base shapes wide enough for slopes to be those of wide networks: at half these widths, terms in 1/width
bend the largest slopes to 0.12."""
SEEDS = {"mlp": 4, "resnet": 3, "vit": 3}
LR = {"sgd": {"mlp": 0.05, "resnet": 0.05, "vit": 0.1}, "adamw": dict.fromkeys(COORDINATES, 0.002)}


def model_config(family: str, parametrization: str, multiple: float, **settings: object) -> ModelConfig:
    base = compose.compose_config([f"model={family}"], None).model
    shape: dict[str, object] = {**COORDINATES.get(family, {}), **settings}
    width, depth = shape["width"], shape["depth"]
    assert isinstance(width, int)
    shape["width"] = round(width * multiple)
    if parametrization == "mup":
        shape |= {"parametrization": "mup", "base_width": width, "base_depth": depth}
    return dataclasses.replace(base, **shape)  # type: ignore[arg-type]


def optim_config(name: str, **settings: object) -> OptimConfig:
    return dataclasses.replace(compose.compose_config([f"optim={name}"], None).optim, **settings)  # type: ignore[arg-type]


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Linear layers and convolutions, and the residual stream behind the last block."""
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d) or n == "blocks"}


def activations(model: nn.Module, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs (pre-activations) of each of `layers`."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    hooks = []
    for name, layer in layers(model).items():

        def keep(_: nn.Module, given: tuple[Tensor, ...], out: Tensor, name: str = name) -> None:
            inputs[name], outputs[name] = given[0].detach().clone(), out.detach().clone()

        hooks.append(layer.register_forward_hook(keep))
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return inputs, outputs


@functools.cache
def changes(config: ModelConfig, opt: OptimConfig, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Mean square change of each layer's output over a few steps on one batch: all of it, and what the
    layer's own step does to its first input."""
    generator = torch.Generator().manual_seed(100 + seed)
    images = torch.randn(BATCH, *IMAGE, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    model = models.build(config, IMAGE, CLASSES, seed=seed, device=CPU)
    optimizers = optim.build(opt, model, config)
    given, first = activations(model, images)
    for _ in range(STEPS):
        F.cross_entropy(model(images), labels).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    _, last = activations(model, images)
    with torch.no_grad():
        own = {name: layer(given[name]) for name, layer in layers(model).items()}
    return tuple(  # type: ignore[return-value]
        {name: (after[name] - first[name]).square().mean().item() for name in first} for after in (last, own)
    )


def slopes(
    family: str, parametrization: str, opt: OptimConfig, seeds: Iterable[int], *, own: bool = False
) -> dict[str, float]:
    """Slope of log2 RMS change against log2 width, by layer; the last is the logits."""
    squares: dict[str, list[float]] = defaultdict(list)
    for multiple in MULTIPLES:
        config = model_config(family, parametrization, multiple)
        runs = [changes(config, opt, seed)[own] for seed in seeds]
        for name in runs[0]:
            squares[name].append(float(np.mean([run[name] for run in runs])))
    widths = np.log2(MULTIPLES)
    return {name: float(np.polyfit(widths, np.log2(s) / 2, 1)[0]) for name, s in squares.items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("family", list(COORDINATES))
def test_coordinates_move_alike_at_every_width_under_mup_and_not_under_standard(
    family: str, optimizer: str
) -> None:
    opt, seeds = optim_config(optimizer, lr=LR[optimizer][family], batch_size=BATCH), range(SEEDS[family])
    mup = slopes(family, "mup", opt, seeds)
    assert len(mup) > 3
    assert all(abs(slope) < 0.1 for slope in mup.values()), mup
    standard = slopes(family, "standard", opt, seeds)
    assert max(abs(slope) for slope in (standard["readout"], *list(standard.values())[-3:-1])) > 0.3, standard


def test_muon_moves_each_matrix_alike_at_every_width_under_mup_and_not_under_standard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its Newton-Schulz steps in float32: products of bfloat16 take 60 times as long without AVX-512."""
    monkeypatch.setattr(torch, "bfloat16", torch.float32)
    opt = optim_config("muon", lr=0.01, batch_size=BATCH)
    mup = slopes("mlp", "mup", opt, range(2))
    assert all(abs(slope) < 0.1 for slope in mup.values()), mup
    own = slopes("mlp", "mup", opt, range(2), own=True)
    assert all(abs(own[name]) < 0.1 for name in ("hidden.1", "hidden.2")), own
    standard = slopes("mlp", "standard", opt, range(2), own=True)
    assert all(standard[name] > 0.3 for name in ("hidden.1", "hidden.2")), standard


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_vits_stream_moves_alike_at_every_depth_under_mup_and_not_under_standard(name: str) -> None:
    opt = optim_config(name, lr=LR[name]["vit"], batch_size=BATCH)

    def slope(parametrization: str) -> float:
        squares = []
        for depth in (2, 4, 8, 16):
            base = model_config("vit", parametrization, 1, width=32, head_width=8, depth=2)
            runs = [changes(dataclasses.replace(base, depth=depth), opt, seed)[0] for seed in range(2)]
            squares.append(float(np.mean([run["blocks"] for run in runs])))
        return float(np.polyfit(range(4), np.log2(squares) / 2, 1)[0])

    assert abs(slope("mup")) < 0.1
    assert slope("standard") > 0.3


TABLE: dict[RoleKind, tuple[str, str, str]] = {
    # Tensor Programs V, Table 3 (SGD, Adam), in multiples m of the width; Muon as this module derives it.
    "input": ("m", "1", "1"),
    "bias": ("m", "1", "1"),
    "gain": ("m", "1", "1"),
    "embedding": ("m", "1", "1"),
    "depthwise": ("m", "1", "1"),
    "hidden": ("1", "1/m", "1/m**.5"),
    "readout": ("1/m", "1/m", "1/m"),
    "readout_bias": ("1", "1", "1"),
}


@pytest.mark.parametrize("kind", list(TABLE))
@pytest.mark.parametrize("m", [0.5, 1.0, 8.0])
def test_learning_rates_match_the_table_of_the_paper(kind: RoleKind, m: float) -> None:
    for optimizer, formula in zip(("sgd", "adamw", "muon"), TABLE[kind], strict=True):
        expected = eval(formula, {"m": m})
        role, size = Role(kind), Scale("mup", m)
        assert parametrize.lr_multiplier(role, size, optimizer) == pytest.approx(expected)  # type: ignore[arg-type]
        assert parametrize.lr_multiplier(role, Scale(), optimizer) == 1  # type: ignore[arg-type]
        decay = parametrize.weight_decay_multiplier(role, size, optimizer)  # type: ignore[arg-type]
        if kind in ("bias", "readout_bias", "gain", "embedding"):
            assert decay == 0
        else:
            assert decay * expected == pytest.approx(1), "lr x weight decay is the same at every width"


def test_branches_and_their_learning_rates_shrink_with_the_root_of_depth() -> None:
    deep, on, off = Scale("mup", 1.0, 4.0), Role("hidden", branch=True), Role("hidden")
    assert parametrize.branch_multiplier(deep) == 0.5
    assert parametrize.branch_multiplier(Scale()) == 1
    assert [parametrize.lr_multiplier(on, deep, name) for name in ("sgd", "adamw", "muon")] == [1, 0.5, 0.5]
    assert [parametrize.lr_multiplier(off, deep, name) for name in ("sgd", "adamw", "muon")] == [1, 1, 1]


def test_initial_standard_deviations_by_hand() -> None:
    wide = Scale("mup", 4.0)
    hidden = Role("hidden", fan_in=32, fan_out=64, gain=math.sqrt(2))
    assert parametrize.init_std(hidden, wide) == parametrize.init_std(hidden, Scale()) == 0.25
    stem = Role("input", fan_in=27, fan_out=288, gain=math.sqrt(2), mode="fan_out")
    assert parametrize.init_std(stem, Scale()) == pytest.approx(1 / 12)
    assert parametrize.init_std(stem, wide) == pytest.approx(1 / 6), "what a quarter of the fan-out gives"
    readout = Role("readout", fan_in=32, fan_out=10)
    assert parametrize.init_std(readout, Scale()) is None
    assert parametrize.init_std(readout, wide) == 0
    assert parametrize.init_std(Role("bias"), Scale()) == 0


@pytest.mark.parametrize("family", ["mlp", "resnet", "vit", "convmixer"])
@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_mup_is_standard_at_its_base_but_for_the_readout(family: str, name: str) -> None:
    extra = {"width": 8, "depth": 2} | ({"head_width": 4} if family == "vit" else {})
    pair = [model_config(family, kind, 1, **extra) for kind in ("standard", "mup")]
    built = [models.build(config, IMAGE, CLASSES, seed=3, device=CPU) for config in pair]
    plain, scaled = (model.state_dict() for model in built)
    for key in plain:
        if key.startswith("readout"):
            assert not scaled[key].any()
            assert plain[key].any()
        else:
            assert torch.equal(plain[key], scaled[key]), key
    groups = [
        [
            (len(g["params"]), g["lr"], g["weight_decay"])
            for o in optim.build(optim_config(name), m, c)
            for g in o.param_groups
        ]
        for m, c in zip(built, pair, strict=True)
    ]
    assert groups[0] == groups[1]
    built[1].load_state_dict(plain)
    images = torch.randn(4, *IMAGE)
    assert torch.equal(built[0](images), built[1](images))


def test_an_untagged_parameter_is_an_error_that_names_it() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    parametrize.tag_layer(model[0], "input")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match=r"parameter 1\.weight has no role: tag it where Linear is made"):
        parametrize.roles(model)
    parametrize.tag(model[1], weight=Role("readout", 4, 2))
    with pytest.raises(LookupError, match=r"1\.bias"):
        parametrize.initialise(model, Scale())
    assert set(parametrize.plain_roles(model).values()) == {Role("plain")}
