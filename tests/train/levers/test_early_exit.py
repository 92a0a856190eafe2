"""Early exit: where examples leave and what it costs, the loss of all heads, the network left as it was."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config, ConfigError, compose
from isoflop.meter.flops import count as flops
from isoflop.train import levers, models, optim, parametrize
from isoflop.train.levers import InferenceWork
from isoflop.train.levers.early_exit import Leaving, WithExits, flops_to_exits
from isoflop.train.step.parts import loss_function

CPU, META = torch.device("cpu"), torch.device("meta")
IMAGE, CLASSES = (1, 8, 8), 10
FAMILIES = {
    "mlp": ("model.width=24", "model.depth=4"),
    "resnet": ("model.width=4", "model.depth=2"),
    "convmixer": ("model.width=8", "model.depth=3"),
    "vit": ("model.width=16", "model.depth=2", "model.head_width=8"),
}
HEADS = {"mlp": 4, "resnet": 3, "convmixer": 2, "vit": 2}
MUP = ("model.parametrization=mup", "model.base_width=8", "model.base_depth=1")


def config(family: str, *overrides: str, confidence: float = 0.9) -> Config:
    chosen = [f"model={family}", *FAMILIES[family], "lever=early_exit", f"lever.exit_confidence={confidence}"]
    return compose.compose_config([*chosen, *overrides], None)


def images(n: int = 32) -> Tensor:
    return torch.randn(n, *IMAGE, generator=torch.Generator().manual_seed(1))


def dense(run: Config, device: torch.device = CPU) -> nn.Module:
    return models.build(run.model, IMAGE, CLASSES, seed=run.seed, device=device)


def transformed(run: Config, device: torch.device = CPU) -> WithExits:
    made = levers.of(run).transform(dense(run, device), IMAGE, CLASSES)
    assert isinstance(made, WithExits)
    return made


def finished(run: Config, model: nn.Module) -> Leaving:
    made = levers.of(run).finish(copy.deepcopy(model), lambda: iter(()))
    assert isinstance(made, Leaving)
    return made.eval()


def trained(run: Config, steps: int = 10) -> WithExits:
    """The network after a few steps on noise, so that its confidences differ."""
    model = transformed(run)
    loss_of = levers.of(run).training_loss(model, loss_function(model, 0.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    labels = torch.randint(0, CLASSES, (32,), generator=torch.Generator().manual_seed(2))
    for _ in range(steps):
        loss_of(images(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_in_evaluation_mode_the_network_is_the_one_that_was_drawn(family: str) -> None:
    run = config(family)
    expected = dense(run).eval()(images())
    model = transformed(run)
    assert torch.equal(model.eval()(images()), expected)
    heads = model.train()(images())
    assert [each.shape for each in heads] == [(32, CLASSES)] * HEADS[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_that_of_the_last_head_and_the_weighted_mean_of_the_exits(family: str) -> None:
    run = config(family, "lever.exit_weight=0.3", "optim.label_smoothing=0.1")
    model, labels = transformed(run), torch.arange(32) % CLASSES
    got = levers.of(run).training_loss(model, loss_function(model, 0.1))(images(), labels)
    *exits, last = [F.cross_entropy(each, labels, label_smoothing=0.1) for each in model(images())]
    expected = last + 0.3 * sum(exits) / len(exits)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parametrization", [(), MUP])
def test_gradients_reach_every_head_and_all_is_trained(family: str, parametrization: tuple[str, ...]) -> None:
    run = config(family, *parametrization)
    model, labels = transformed(run), torch.arange(32) % CLASSES
    loss_of = levers.of(run).training_loss(model, loss_function(model, 0.0))
    loss_of(images(), labels).backward()
    for head in model.heads:
        readout = next(m for m in head.modules() if isinstance(m, nn.Linear))
        assert readout.weight.grad is not None
        assert readout.weight.grad.abs().max() > 0
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    # A second step, as readouts of zero pass no gradient on in the first.
    for _ in range(2):
        for each in optim.build(run.optim, model, run.model):
            each.step()
            each.zero_grad()
        loss_of(images(), labels).backward()
    roles = parametrize.roles(model)
    unmoved = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert {roles[name].kind for name in unmoved} <= {
        "input",
        "hidden",
        "bias",
        "gain",
        "embedding",
        "depthwise",
    }
    assert not [name for name in unmoved if name.startswith("heads")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parametrization", [(), MUP])
def test_heads_are_readouts_and_all_else_keeps_its_role(
    family: str, parametrization: tuple[str, ...]
) -> None:
    run = config(family, *parametrization)
    model = transformed(run)
    for head in model.heads:
        readout = next(m for m in head.modules() if isinstance(m, nn.Linear))
        role = vars(readout)["roles"]["weight"]
        assert (role.kind, role.fan_in) == ("readout", readout.in_features)
        assert bool(readout.weight.any()) is not bool(parametrization)  # mup starts them at zero
    exits = tuple(f"heads.{n}." for n in range(len(model.heads) - 1))
    kept = [str(role) for name, role in parametrize.roles(model).items() if not name.startswith(exits)]
    assert sorted(kept) == sorted(map(str, parametrize.roles(dense(run)).values()))


def test_the_heads_are_drawn_from_the_seed_alone_and_not_like_one_another() -> None:
    run = config("mlp")
    torch.manual_seed(5)
    first = transformed(run)
    before = torch.get_rng_state()
    second = transformed(run)
    assert torch.equal(torch.get_rng_state(), before)
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    weights = [p for name, p in first.named_parameters() if name.startswith("heads") and p.ndim == 2]
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])
    other = transformed(dataclasses.replace(run, seed=1))
    assert not torch.equal(other.state_dict()["heads.0.0.weight"], first.state_dict()["heads.0.0.weight"])


@pytest.mark.parametrize("family", FAMILIES)
def test_without_confidence_asked_for_all_leave_at_the_first_head(family: str) -> None:
    run = config(family, confidence=1e-9)
    model = trained(run)
    early = finished(run, model)
    expected = model.heads[0](model.stages[0](images()))
    torch.testing.assert_close(early(images()), expected)
    assert early.left.tolist() == [32, *[0] * (HEADS[family] - 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_where_no_head_is_sure_enough_the_logits_are_the_full_networks(family: str) -> None:
    run = config(family, confidence=1 - 1e-12)
    model = transformed(run).eval()
    early = finished(run, model)
    torch.testing.assert_close(early(images()), model(images()))
    assert early.left.tolist() == [*[0] * (HEADS[family] - 1), 32]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_example_has_the_logits_of_the_first_head_that_is_sure(family: str) -> None:
    """Against all heads computed for all examples, at a confidence at which some leave at several heads."""
    model = trained(config(family))
    given = images(64)
    with torch.no_grad():
        x, every = given, []
        for stage, head in zip(model.stages, model.heads, strict=True):
            x = stage(x)
            every.append(head(x))
    sure = torch.stack([each.softmax(1).amax(1) for each in every])
    confidence = float(sure[0].median())
    run = config(family, confidence=confidence)
    early = finished(run, model)
    answers = torch.cat([early(part) for part in given.split(24)])
    at = [next((i for i, c in enumerate(row) if c >= confidence), len(every) - 1) for row in sure.mT.tolist()]
    expected = torch.stack([every[head][row] for row, head in enumerate(at)])
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-5)
    assert early.left.tolist() == [at.count(head) for head in range(len(every))]
    assert 0 < early.left[0] < 64


def test_the_expected_work_is_the_closed_form_of_the_perceptron() -> None:
    """Leaving at head i costs P w + i w^2 of the layers and (i + 1) w K of the heads, in MACs."""
    run = config("mlp")
    early = finished(run, transformed(run))
    width, to_exit = 24, [64 * 24 + i * 24**2 + (i + 1) * 24 * CLASSES for i in range(4)]
    assert flops_to_exits(early.network) == tuple(2 * macs for macs in to_exit)
    lever = levers.of(run)
    full = 2 * float(64 * width + 3 * width**2 + width * CLASSES)
    assert lever.inference(early, full).flops is None  # nothing was scored
    early.left.copy_(torch.tensor([5, 3, 0, 2]))
    expected = 2 * (5 * to_exit[0] + 3 * to_exit[1] + 2 * to_exit[3]) / 10
    assert lever.inference(early, full) == InferenceWork(expected, expected, 1.0)
    assert lever.inference(early, None) == InferenceWork(None, None, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_work_to_each_exit_is_what_the_counters_of_the_run_find(family: str) -> None:
    """In evaluation mode the network counts as without exits; in training mode every head counts too."""
    run = config(family)
    model = transformed(run, META)
    closed_form = models.forward_macs(run.model, IMAGE, CLASSES)
    counted = flops.count(model, IMAGE, closed_form_macs=closed_form)
    plain = flops.count(dense(run, META), IMAGE)
    assert counted.reason is None
    assert counted.forward_macs_per_example == plain.forward_macs_per_example
    channels = {"mlp": [24] * 3, "resnet": [4, 8], "convmixer": [8], "vit": [16]}[family]
    heads = 2 * CLASSES * sum(channels)
    last = flops_to_exits(transformed(run))[-1]
    assert last == counted.inference_flops_per_example + heads
    # Forward, and backward to weights and inputs: both are needed of every head.
    assert counted.train_flops_per_example == plain.train_flops_per_example + 3 * heads


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_load_into_a_network_that_was_drawn_anew(family: str) -> None:
    run = config(family)
    model = trained(run)
    other = transformed(dataclasses.replace(run, seed=7))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(images()), model(images()))
    assert torch.equal(other.train()(images())[0], model.train()(images())[0])
    meta = transformed(run, META)
    assert all(p.is_meta for p in meta.parameters())
    shapes = {name: value.shape for name, value in meta.state_dict().items()}
    assert shapes == {name: value.shape for name, value in model.state_dict().items()}


def test_flat_features_can_leave_early_too() -> None:
    run = config("mlp", confidence=1e-9)
    made = levers.of(run).transform(
        models.build(run.model, (64,), CLASSES, seed=0, device=CPU), (64,), CLASSES
    )
    early = finished(run, made)
    assert early(torch.randn(3, 64)).shape == (3, CLASSES)
    assert levers.of(run).inference(early, 1.0).flops == 2 * (64 * 24 + 24 * CLASSES)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=gpt", "data=python", "optim.batch_size=512"], "lever=early_exit is for models of images"),
        (["model=torchvision", "model.architecture=resnet18", "data=cifar10"], "blocks of the network"),
        (["model=mlp", "model.depth=1"], "set model.depth=2 or more"),
        (["model=vit", "model.depth=1"], "set model.depth=2 or more"),
    ],
)
def test_models_without_a_place_for_an_exit_are_refused_in_one_line(
    overrides: list[str], message: str
) -> None:
    run = compose.compose_config([*overrides, "lever=early_exit"], None)
    with pytest.raises(ConfigError, match=message) as refused:
        levers.of(run).check(CPU)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("wrong", ["lever.exit_confidence=1.0", "lever.exit_weight=0"])
def test_settings_out_of_range_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
        config("mlp", wrong)


def test_a_resnet_of_one_block_a_stage_has_exits() -> None:
    run = config("resnet", "model.depth=1", "model.block=bottleneck")
    levers.of(run).check(CPU)
    assert [each.shape for each in transformed(run)(images(2))] == [(2, CLASSES)] * 3
