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
    "gpt": {"width": 64, "depth": 1, "context": 8, "head_width": 16},
}
"""Base shapes wide enough for slopes to be those of wide networks: at half these widths, terms in 1/width
bend the largest slopes to 0.12."""
SEEDS = {"mlp": 4, "resnet": 3, "vit": 3, "gpt": 2}
LR = {
    "sgd": {"mlp": 0.05, "resnet": 0.05, "vit": 0.1, "gpt": 0.1},
    "adamw": dict.fromkeys(COORDINATES, 0.002),
}


def base_config(family: str) -> ModelConfig:
    """The family's shipped configuration, in the standard parametrization."""
    of_text = ["data=python", "optim.batch_size=256"] if family == "gpt" else []
    return compose.compose_config([f"model={family}", *of_text], None).model


def model_config(family: str, parametrization: str, multiple: float, **settings: object) -> ModelConfig:
    base = base_config(family)
    shape: dict[str, object] = {**COORDINATES.get(family, {}), **settings}
    width, depth = shape["width"], shape["depth"]
    assert isinstance(width, int)
    shape["width"] = round(width * multiple)
    if parametrization != "standard":
        shape |= {"parametrization": parametrization, "base_width": width, "base_depth": depth}
    return dataclasses.replace(base, **shape)  # type: ignore[arg-type]


def optim_config(name: str, **settings: object) -> OptimConfig:
    return dataclasses.replace(compose.compose_config([f"optim={name}"], None).optim, **settings)  # type: ignore[arg-type]


def input_shape(config: ModelConfig) -> tuple[int, ...]:
    return (config.context,) if config.context else IMAGE


def batch(config: ModelConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images, or windows of text, and their labels."""
    if config.context:
        text = torch.randint(0, CLASSES, (BATCH, config.context + 1), generator=generator)
        return text[:, :-1], text[:, 1:]
    images = torch.randn(BATCH, *IMAGE, generator=generator)
    return images, torch.randint(0, CLASSES, (BATCH,), generator=generator)


def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).flatten(0, -2), labels.flatten())


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Embeddings, linear layers and convolutions, and the residual stream behind the last block."""
    kinds = nn.Embedding | nn.Linear | nn.Conv2d
    return {n: m for n, m in model.named_modules() if isinstance(m, kinds) or n == "blocks"}


def activations(model: nn.Module, given: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs (pre-activations) of each of `layers`."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    hooks = []
    for name, layer in layers(model).items():

        def keep(_: nn.Module, taken: tuple[Tensor, ...], out: Tensor, name: str = name) -> None:
            inputs[name], outputs[name] = taken[0].detach().clone(), out.detach().clone()

        hooks.append(layer.register_forward_hook(keep))
    with torch.no_grad():
        model(given)
    for hook in hooks:
        hook.remove()
    return inputs, outputs


@functools.cache
def changes(config: ModelConfig, opt: OptimConfig, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Mean square change of each layer's output over a few steps on one batch: all of it, and what the
    layer's own step does to its first input."""
    inputs, labels = batch(config, torch.Generator().manual_seed(100 + seed))
    model = models.build(config, input_shape(config), CLASSES, seed=seed, device=CPU)
    optimizers = optim.build(opt, model, config)
    given, first = activations(model, inputs)
    for _ in range(STEPS):
        loss(model, inputs, labels).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    _, last = activations(model, inputs)
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


def depth_slopes(family: str, parametrization: str, opt: OptimConfig) -> tuple[float, float]:
    """Slope of log2 RMS change against log2 depth: of the stream, and of what the own step of a matrix in a
    block does to its first input (mean over the matrices)."""
    longer = {"context": 16} if family == "gpt" else {}
    stream, own = [], []
    for depth in (2, 4, 8, 16):
        base = model_config(family, parametrization, 1, width=32, head_width=8, depth=2, **longer)
        runs = [changes(dataclasses.replace(base, depth=depth), opt, seed) for seed in range(2)]
        stream.append(float(np.mean([run["blocks"] for run, _ in runs])))
        own.append(float(np.mean([v for _, run in runs for n, v in run.items() if n.startswith("blocks.")])))
    slope, own_slope = (float(np.polyfit(range(4), np.log2(s) / 2, 1)[0]) for s in (stream, own))
    return slope, own_slope


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_vits_stream_moves_alike_at_every_depth_under_mup_and_not_under_standard(name: str) -> None:
    opt = optim_config(name, lr=LR[name]["vit"], batch_size=BATCH)
    assert abs(depth_slopes("vit", "mup", opt)[0]) < 0.1
    assert depth_slopes("vit", "standard", opt)[0] > 0.3


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_under_completep_alone_both_the_stream_and_each_block_move_alike_at_every_depth(name: str) -> None:
    """Under mup each block moves less the more there are (lazily), under standard the stream moves more."""
    opt = optim_config(name, lr=LR[name]["gpt"], batch_size=BATCH)
    stream, own = depth_slopes("gpt", "completep", opt)
    assert abs(stream) < 0.25
    assert abs(own) < 0.25
    assert depth_slopes("gpt", "mup", opt)[1] < -0.25
    assert depth_slopes("gpt", "standard", opt)[0] > 0.6


def gradients(config: ModelConfig) -> dict[str, float]:
    """RMS gradient of each parameter at the start, but with a readout as large as training makes it."""
    assert config.width is not None
    generator = torch.Generator().manual_seed(0)
    inputs, labels = batch(config, generator)
    model = models.build(config, input_shape(config), CLASSES, seed=0, device=CPU)
    with torch.no_grad():
        model.get_parameter("readout.weight").normal_(0, 1 / config.width, generator=generator)
    loss(model, inputs, labels).backward()
    return {
        n: p.grad.square().mean().sqrt().item() for n, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize(("width", "depth"), [(4, 1), (1, 4)])
def test_adamws_epsilon_follows_the_gradients_under_completep(width: int, depth: int) -> None:
    """From 4 times the base depth, where the stream is almost the embedding, as it is in the limit."""
    base = dataclasses.replace(model_config("gpt", "completep", 1), depth=4)
    large = dataclasses.replace(base, width=64 * width, depth=4 * depth)
    roles = parametrize.roles(models.build(base, input_shape(base), CLASSES, seed=0, device=CPU))
    before, after = gradients(base), gradients(large)
    for name, role in roles.items():
        expected = parametrize.epsilon_multiplier(role, Scale("completep", width, depth), "adamw")
        assert 1 / 1.8 < after[name] / before[name] / expected < 1.8, name


def test_epsilon_is_torchs_own_but_where_completep_changes_it() -> None:
    def epsilons(parametrization: str, name: str, width: float) -> dict[str, float]:
        config = model_config("gpt", parametrization, width, width=16, head_width=8)
        model = models.build(config, input_shape(config), CLASSES, seed=0, device=CPU)
        names = {p: n for n, p in model.named_parameters()}
        optimizers = optim.build(optim_config(name), model, config)
        assert torch.optim.AdamW([torch.zeros(1)]).defaults["eps"] == optim.ADAMW_EPSILON
        return {names[p]: g["eps"] for g in optimizers[-1].param_groups for p in g["params"]}

    assert set(epsilons("mup", "adamw", 4).values()) == {1e-8}
    assert set(epsilons("completep", "adamw", 1).values()) == {1e-8}
    wide = epsilons("completep", "adamw", 4)
    assert wide.pop("readout.weight") == 1e-8
    assert set(wide.values()) == {0.25e-8}
    rest = epsilons("completep", "muon", 4)
    assert {n: e for n, e in wide.items() if "norm" in n or n.startswith("embed")}.items() <= rest.items()
    assert not any("attention" in name for name in rest)


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
        complete = parametrize.lr_multiplier(role, Scale("completep", m), optimizer)  # type: ignore[arg-type]
        assert complete == parametrize.lr_multiplier(role, size, optimizer), "the same over widths"  # type: ignore[arg-type]
        assert parametrize.lr_multiplier(role, Scale(), optimizer) == 1  # type: ignore[arg-type]
        decay = parametrize.weight_decay_multiplier(role, size, optimizer)  # type: ignore[arg-type]
        if kind in ("bias", "readout_bias", "gain", "embedding"):
            assert decay == 0
        else:
            assert decay * expected == pytest.approx(1), "lr x weight decay is the same at every width"


@pytest.mark.parametrize(
    ("parametrization", "branch", "rates"), [("mup", 0.5, [1, 0.5, 0.5]), ("completep", 0.25, [4, 1, 1])]
)
def test_branches_and_their_learning_rates_follow_the_depth(
    parametrization: parametrize.Parametrization, branch: float, rates: list[float]
) -> None:
    deep, on, off = Scale(parametrization, 1.0, 4.0), Role("hidden", branch=True), Role("hidden")
    assert parametrize.branch_multiplier(deep) == branch
    assert parametrize.branch_multiplier(Scale()) == 1
    assert [parametrize.lr_multiplier(on, deep, name) for name in ("sgd", "adamw", "muon")] == rates
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


@pytest.mark.parametrize(
    ("family", "parametrization"),
    [*((family, "mup") for family in ("mlp", "resnet", "vit", "convmixer", "gpt")), ("gpt", "completep")],
)
@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_a_base_is_standard_but_for_the_readout(family: str, parametrization: str, name: str) -> None:
    extra = {"width": 8, "depth": 2} | ({"head_width": 4} if family in ("vit", "gpt") else {})
    pair = [model_config(family, kind, 1, **extra) for kind in ("standard", parametrization)]
    built = [models.build(config, input_shape(config), CLASSES, seed=3, device=CPU) for config in pair]
    plain, scaled = (model.state_dict() for model in built)
    for key in plain:
        if key.startswith("readout"):
            assert not scaled[key].any()
            assert plain[key].any()
        else:
            assert torch.equal(plain[key], scaled[key]), key
    groups = [
        [
            (len(g["params"]), g["lr"], g["weight_decay"], g.get("eps"))
            for o in optim.build(optim_config(name), m, c)
            for g in o.param_groups
        ]
        for m, c in zip(built, pair, strict=True)
    ]
    assert groups[0] == groups[1]
    built[1].load_state_dict(plain)
    inputs, _ = batch(pair[0], torch.Generator().manual_seed(0))
    assert torch.equal(built[0](inputs), built[1](inputs))


def test_an_untagged_parameter_is_an_error_that_names_it() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    parametrize.tag_layer(model[0], "input")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match=r"parameter 1\.weight has no role: tag it where Linear is made"):
        parametrize.roles(model)
    parametrize.tag(model[1], weight=Role("readout", 4, 2))
    with pytest.raises(LookupError, match=r"1\.bias"):
        parametrize.initialise(model, Scale())
    assert set(parametrize.plain_roles(model).values()) == {Role("plain")}
