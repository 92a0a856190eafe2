"""Structured pruning: shapes by formula, the least channels go, what is left computes and learns."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from isoflop.config import Config, ConfigError, prior
from isoflop.meter.flops import count
from isoflop.train import levers, models, optim, parametrize
from isoflop.train.levers.structured_pruning import StructuredPruning, kept
from isoflop.train.models import vit

MakeConfig = Callable[..., Config]

CPU, META = torch.device("cpu"), torch.device("meta")
IMAGE, CLASSES = (1, 8, 8), 10
SHAPES = {
    "mlp": ("model.width=20", "model.depth=3"),
    "resnet": ("model.width=10", "model.depth=2"),
    "bottleneck": ("model.width=6", "model.depth=1", "model.block=bottleneck"),
    "convmixer": ("model.width=12", "model.depth=2", "model.patch=2"),
    "vit": ("model.width=24", "model.depth=2", "model.patch=4", "model.head_width=4"),
}


@pytest.fixture
def pruned_config(make_config: MakeConfig):
    def make(name: str, share: float = 0.3, *overrides: str) -> Config:
        family = "resnet" if name == "bottleneck" else name
        lever = ("lever=structured_pruning", f"lever.prune_share={share}")
        return make_config(f"model={family}", *SHAPES.get(name, ()), *lever, *overrides)

    return make


def dense(config: Config, device: torch.device = CPU) -> nn.Module:
    return models.build(config.model, IMAGE, CLASSES, seed=0, device=device)


def saved(model: nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path)
    return path


def transformed(config: Config, trained: nn.Module, tmp_path: Path) -> tuple[StructuredPruning, nn.Module]:
    lever = levers.of(config, saved(trained, tmp_path / "dense.pt"))
    assert isinstance(lever, StructuredPruning)
    lever.check(CPU)
    return lever, lever.transform(dense(config), IMAGE, CLASSES)


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def macs(config: Config, share: float) -> int:
    """Forward MACs of the pruned network by formula."""
    model = config.model
    width, depth, image = kept(model.width, share), model.depth, 64
    if model.family == "mlp":
        return image * width + (depth - 1) * width**2 + width * CLASSES
    if model.family == "convmixer":
        patches = image // model.patch**2
        block = model.kernel**2 * width + width**2
        return (model.patch**2 * width + depth * block) * patches + width * CLASSES
    if model.family == "vit":
        patches = image // model.patch**2
        inner = kept(model.width // model.head_width, share) * model.head_width
        attention = 4 * width * inner * patches + 2 * inner * patches**2
        perceptron = 2 * width * kept(4 * model.width, share) * patches
        return model.patch**2 * width * patches + depth * (attention + perceptron) + width * CLASSES
    return resnet_macs(config, share)


def resnet_macs(config: Config, share: float) -> int:
    model = config.model
    stages = [kept(model.width * 2**stage, share) for stage in range(3)]
    expansion = 4 if model.block == "bottleneck" else 1
    outputs = [kept(model.width * 2**stage * expansion, share) for stage in range(3)]
    pixels = [64, 16, 4]
    inputs, total = stages[0], 9 * stages[0] * pixels[0]
    for stage, block in itertools.product(range(3), range(model.depth)):
        here, channels, out = pixels[stage], stages[stage], outputs[stage]
        if expansion == 1:
            total += 9 * (inputs * channels + channels * out) * here
        else:
            before = pixels[max(0, stage - 1)] if block == 0 else here
            total += inputs * channels * before + (9 * channels**2 + channels * out) * here
        if block == 0 and (stage or expansion > 1):
            total += inputs * out * here
        inputs = out
    return total + inputs * CLASSES


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_shapes_and_flops_are_those_of_the_formula_on_the_device_and_on_meta(
    pruned_config, tmp_path: Path, name: str, share: float
) -> None:
    config = pruned_config(name, share)
    _, real = transformed(config, dense(config), tmp_path)
    twin = levers.of(config).transform(dense(config, META), IMAGE, CLASSES)
    assert all(p.device == META for p in (*twin.parameters(), *twin.buffers()))
    assert shapes(twin) == shapes(real)
    counted = count.count(twin, IMAGE)
    assert counted.forward_macs_per_example == macs(config, share)
    assert macs(config, share) < 0.85 * models.forward_macs(config.model, IMAGE, CLASSES)


@pytest.mark.parametrize("name", SHAPES)
def test_channels_without_weight_are_those_that_go_and_the_function_stays(
    pruned_config, tmp_path: Path, name: str
) -> None:
    share = 0.25
    config = pruned_config(name, share)
    lever, small = transformed(config, dense(config), tmp_path)
    # A large network that computes what the small one does: its channels lie in the midst of dead ones.
    torch.manual_seed(1)
    for p in small.parameters():
        nn.init.normal_(p, 1.0 if p.ndim == 1 else 0.0, 0.3)
    large = dense(config)
    places = _spread(small, large, config)
    with torch.no_grad():
        for (key, p), q in zip(large.named_parameters(), small.parameters(), strict=True):
            p.zero_()
            p[torch.meshgrid(*places[key], indexing="ij")] = q
    _, again = transformed(config, large, tmp_path)
    images = torch.randn(5, *IMAGE)
    small.eval()
    again.eval()
    # Equal weights, and not the function of the large one: a vit's layer norms see its dead channels.
    torch.testing.assert_close(again(images), small(images))
    assert lever.inference(small, 7.0).density == pytest.approx(
        sum(p.numel() for p in small.parameters()) / sum(p.numel() for p in dense(config).parameters())
    )


def _spread(small: nn.Module, large: nn.Module, config: Config) -> dict[str, list[torch.Tensor]]:
    """For each parameter, and each of its sides, where the small network's entries lie in the large one's."""
    return {
        key: [
            _side(key, side, many, few, config)
            for side, (many, few) in enumerate(zip(p.shape, q.shape, strict=True))
        ]
        for (key, p), q in zip(large.named_parameters(), small.parameters(), strict=True)
    }


def _side(key: str, side: int, many: int, few: int, config: Config) -> torch.Tensor:
    by_head = ("query_key_value", 0), ("attention.output.weight", 1)
    if not any(name in key and side == of for name, of in by_head):
        return _chosen(many, few)
    head = config.model.head_width
    parts = 3 if "query_key_value" in key else 1
    one = _chosen(many // parts // head, few // parts // head)
    rows = (one[:, None] * head + torch.arange(head)).flatten()
    return torch.cat([rows + part * (many // parts) for part in range(parts)])


def _chosen(many: int, few: int) -> torch.Tensor:
    """`few` of `many` places, the same for every call, in order."""
    generator = torch.Generator().manual_seed(many)
    return torch.randperm(many, generator=generator)[:few].sort().values


@pytest.mark.parametrize("name", ["mlp", "resnet", "convmixer"])
def test_a_tiny_share_hardly_changes_the_function(pruned_config, tmp_path: Path, name: str) -> None:
    config = pruned_config(name, 0.004, "model.width=256", "model.depth=1")
    network = dense(config)
    network.train()
    images = torch.randn(64, *IMAGE)
    network(images)  # statistics for the batch norms
    _, small = transformed(config, network, tmp_path)
    network.eval()
    small.eval()
    with torch.no_grad():
        before, after = network(images), small(images)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in network.parameters())
    assert (after - before).norm() < 0.15 * before.norm()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_what_is_left_keeps_its_roles_and_learns(
    pruned_config, tmp_path: Path, name: str, optimizer: str
) -> None:
    config = pruned_config(name, 0.3, f"optim={optimizer}")
    _, model = transformed(config, dense(config), tmp_path)
    full, left = parametrize.roles(dense(config)), parametrize.roles(model)
    assert [(key, role.kind, role.branch) for key, role in left.items()] == [
        (key, role.kind, role.branch) for key, role in full.items()
    ]
    for key, p in model.named_parameters():
        if p.ndim in (2, 4) and key != "position":
            assert left[key].fan_in == p[0].numel()
        assert p.requires_grad
        assert p.is_leaf
    made = optim.build(config.optim, model, config.model, steps=10)
    images, labels = torch.randn(32, *IMAGE), torch.arange(32) % CLASSES
    losses = []
    for _ in range(10):
        loss = nn.functional.cross_entropy(model(images), labels)
        model.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        for each in made:
            each.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_ambient_random_state_and_batch_statistics_are_untouched(pruned_config, tmp_path: Path) -> None:
    config = pruned_config("resnet")
    state = torch.random.get_rng_state()
    _, model = transformed(config, dense(config), tmp_path)
    torch.testing.assert_close(torch.random.get_rng_state(), state)
    assert model.training
    statistics = {name: b for name, b in model.named_buffers() if "running_mean" in name}
    assert statistics
    assert all(not b.any() for b in statistics.values())


@pytest.mark.parametrize("given", [False, True])
def test_missing_weights_name_the_run_to_train(pruned_config, tmp_path: Path, given: bool) -> None:
    config = pruned_config("mlp")
    path = tmp_path / "absent.pt" if given else prior.weights_path(prior.of(config))
    with pytest.raises(ConfigError) as caught:
        levers.of(config, path if given else None).transform(dense(config), IMAGE, CLASSES)
    assert str(path) in str(caught.value)
    assert "launch.keep_weights=true" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "share", "overrides", "says"),
    [
        ("gpt", 0.3, ("data=python", "optim.batch_size=256", "model.width=16"), "model=gpt"),
        ("torchvision", 0.3, ("model.width=null", "model.depth=null"), "model=torchvision:"),
        ("mlp", 0.96, (), "20 channels of model.width"),
        ("vit", 0.9, (), "6 heads of model.width=24"),
    ],
)
def test_what_cannot_be_pruned_is_refused(
    pruned_config, name: str, share: float, overrides: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        levers.of(pruned_config(name, share, *overrides)).check(CPU)
    assert says in str(caught.value)
    assert str(caught.value).startswith("lever.")


def test_a_missing_package_is_one_line(pruned_config, without) -> None:
    without("torch_pruning")
    with pytest.raises(ImportError, match=r"needs torch-pruning, .*isoflop\[levers\]"):
        levers.of(pruned_config("mlp")).check(CPU)


@pytest.mark.parametrize(
    ("share", "heads"),
    [(share, heads) for share in (0.1, 0.3, 0.55, 0.7, 0.9) for heads in (2, 6, 20) if kept(heads, share)],
)
def test_heads_are_rounded_as_channels_are(pruned_config, tmp_path: Path, share: float, heads: int) -> None:
    config = pruned_config("vit", share)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, width=4 * heads, depth=1))
    _, model = transformed(config, dense(config), tmp_path)
    attention = next(each for each in model.modules() if isinstance(each, vit.Attention))
    assert attention.output.in_features == 4 * kept(heads, share)
