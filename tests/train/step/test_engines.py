"""Engines, updates, averages and warm trainers: all must take the very same steps."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config
from isoflop.train import data, loop, optim, schedule, state, step, update
from isoflop.train.evaluate import evaluate
from isoflop.train.loop import Trainer
from isoflop.train.step import compiler

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]
STEPS = 12
AVERAGED = ("optim.ema_decay=0.8", "optim.label_smoothing=0.1")
RESNET = ("model=resnet", "model.width=2", "optim=sgd", "optim.lr=0.02", "optim.batch_size=32")
RUNS = {
    "mlp-adamw": ("model=mlp",),
    "resnet-sgd": RESNET,
    "averaged": (*RESNET, *AVERAGED),
    "clipped": (*RESNET, *AVERAGED, "optim.clip_norm=0.2"),
    "bf16": ("model=mlp", "precision=bf16"),
    "mup": ("model=mlp", "model.parametrization=mup", "model.base_width=4", "model.base_depth=1"),
}


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace and differentiate as torch.compile does, but run the graph op by op: seconds, not a minute."""
    monkeypatch.setattr(compiler, "COMPILER", "aot_eager")


def trainer(config: Config, kind: step.EngineKind | None = None, steps: int = STEPS) -> Trainer:
    return Trainer(config, data.sets.load(config.data, CPU), steps, CPU, kind=kind)


def advanced(made: Trainer, stop: int | None = None) -> Trainer:
    factors = schedule.learning_rates(made.config.schedule, made.steps)
    made.advance(made.steps if stop is None else stop, factors)
    return made


def everything(of: Trainer) -> Tensor:
    """Weights, statistics, average and optimizer state as one vector."""
    tensors = [*of.model.state_dict().values(), *of.scored_model.state_dict().values()]
    tensors += [v for made in of.optimizers for held in made.state.values() for v in held.values()]
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


@pytest.mark.parametrize("name", list(RUNS))
def test_the_graphs_step_is_the_eager_step_bit_for_bit(name: str, make_config: MakeConfig) -> None:
    config = make_config(*RUNS[name])
    eager, static = (advanced(trainer(config, kind)) for kind in ("eager", "static"))
    assert torch.equal(everything(eager), everything(static))
    assert torch.isclose(eager.loss_sum, static.loss_sum)


def test_muon_on_a_tensor_of_rates_is_muon_to_rounding(make_config: MakeConfig) -> None:
    config = make_config("model=mlp", "optim=muon", "optim.clip_norm=0.2")
    eager, static = (advanced(trainer(config, kind), 4) for kind in ("eager", "static"))
    assert torch.allclose(everything(eager), everything(static), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["averaged", "clipped", "bf16"])
def test_the_compiled_step_is_the_eager_step_to_rounding(name: str, make_config: MakeConfig) -> None:
    config = make_config(*RUNS[name])
    kinds: tuple[step.EngineKind, ...] = ("eager", "compile", "compiled_static")
    eager, *compiled = (advanced(trainer(config, kind)) for kind in kinds)
    assert eager.compile_seconds == 0
    for each in compiled:
        assert each.compile_seconds > 0
        assert torch.allclose(everything(eager), everything(each), rtol=1e-2, atol=1e-3)
    assert torch.equal(*map(everything, compiled)), "both take the same compiled passes"


@pytest.mark.parametrize("kind", ["eager", "static", "compile", "compiled_static"])
def test_advance_never_reads_a_value(
    kind: step.EngineKind, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(make_config(*RUNS["clipped"]), kind)
    made.warm_up()

    def read(*_: Any) -> None:
        raise AssertionError("a device value was read inside advance")

    for name in ("item", "__bool__", "__float__", "__int__", "tolist", "numpy"):
        monkeypatch.setattr(Tensor, name, read)
    advanced(made)
    with pytest.raises(AssertionError, match="was read"):
        made.check_finite()


@pytest.mark.parametrize("kind", ["eager", "static", "compile", "compiled_static"])
def test_a_reseeded_trainer_is_a_new_one_bit_for_bit(kind: step.EngineKind, make_config: MakeConfig) -> None:
    first = make_config(*RUNS["averaged"], "seed=1", "optim.lr=0.05")
    second = make_config(*RUNS["averaged"], "seed=2")
    warm = advanced(trainer(first, kind), 7)
    assert warm.can_reseed(second, warm.data, STEPS - 2)
    warm.reseed(second, STEPS - 2)
    assert (warm.step, warm.compile_seconds) == (0, 0.0)
    reseeded = everything(advanced(warm))
    assert torch.equal(reseeded, everything(advanced(trainer(second, kind, STEPS - 2))))
    warm.reseed(first, STEPS)
    assert torch.equal(everything(advanced(warm)), everything(advanced(trainer(first, kind))))


def test_a_reseeded_muon_keeps_the_weights_it_views(make_config: MakeConfig) -> None:
    config = make_config("model=mlp", "optim=muon")
    warm = advanced(trainer(make_config("model=mlp", "optim=muon", "seed=3", "optim.lr=0.1")))
    warm.reseed(config, STEPS)
    assert torch.equal(everything(advanced(warm)), everything(advanced(trainer(config))))


@pytest.mark.parametrize(
    "change",
    [
        "model.width=4",
        "optim.batch_size=16",
        "optim.weight_decay=0",
        "precision=bf16",
        "launch.step=compile",
        "data.fraction=0.5",
        "optim.ema_decay=0.9",
    ],
)
def test_another_step_is_not_taken_over(change: str, make_config: MakeConfig) -> None:
    made = trainer(make_config())
    assert made.can_reseed(make_config("seed=5", "optim.lr=1", "schedule.epochs=2"), made.data, STEPS)
    assert not made.can_reseed(make_config(change), made.data, STEPS)
    assert not made.can_reseed(make_config(), made.data, STEPS + 1)
    assert not made.can_reseed(make_config(), data.sets.load(made.config.data, CPU), STEPS)


@pytest.mark.parametrize("kind", ["eager", "static"])
def test_a_run_of_another_length_is_taken_over_unless_its_decay_differs(
    kind: step.EngineKind, make_config: MakeConfig
) -> None:
    """optim.base_steps makes both rates depend on the length; the engine holds the decay."""
    decaying = ("optim=adamw", f"optim.base_steps={STEPS}", "optim.weight_decay=0.1")
    made = trainer(make_config(*decaying), kind)
    assert made.can_reseed(make_config(*decaying, "seed=1"), made.data, STEPS)
    assert not made.can_reseed(make_config(*decaying), made.data, STEPS - 3)
    config = make_config(*decaying, "optim.weight_decay=0")
    warm = advanced(trainer(config, kind))
    warm.reseed(config, STEPS - 3)
    assert torch.equal(everything(advanced(warm)), everything(advanced(trainer(config, kind, STEPS - 3))))
    assert warm.optimizers[0].param_groups[0]["peak_lr"] > config.optim.lr


def test_only_what_was_costly_to_make_is_kept(make_config: MakeConfig) -> None:
    digits = data.sets.load(make_config().data, CPU)

    def make(*overrides: str) -> Trainer:
        return loop.warm_trainer(make_config(*overrides), digits, STEPS, CPU)

    assert make() is not make()
    kept = make("launch.step=compile")
    assert make("launch.step=compile", "seed=1") is kept
    assert make("launch.step=compile", "seed=1", "model.width=4") is not kept
    make()
    assert not loop._kept


def test_another_shape_frees_the_memory_of_the_last(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What refers to itself in a circle too, as a captured step does; before the new network is made."""
    digits = data.sets.load(make_config().data, CPU)
    monkeypatch.setattr(step, "choose", lambda *_, **__: step.Choice("static", "a test"))

    def make(*overrides: str) -> Trainer:
        made = loop.warm_trainer(make_config(*overrides), digits, STEPS, CPU)
        made.warm_up()
        return made

    kept = make()
    assert make("seed=1") is kept
    kept.model.circle = kept  # type: ignore[assignment]
    weights = weakref.ref(next(kept.model.parameters()))
    del kept
    alive = []
    draw = Trainer._draw_model

    def look_then_draw(self: Trainer, config: Config) -> nn.Module:
        alive.append(weights() is not None)
        return draw(self, config)

    monkeypatch.setattr(Trainer, "_draw_model", look_then_draw)
    make("model.width=4")
    assert alive == [False]
    loop._kept.clear()


def test_a_snapshot_holds_all_that_the_next_step_depends_on(make_config: MakeConfig) -> None:
    """Random numbers, the average, statistics and momenta are in the state too; nothing moves in memory."""
    for overrides in (("model=mlp", "optim=muon", *AVERAGED), RUNS["averaged"]):
        made = advanced(trainer(make_config(*overrides)), 5)
        with_dropout(made)
        saved, addresses = made.snapshot(), [t.data_ptr() for t in made.model.state_dict().values()]
        first = everything(advanced(made))
        draw = torch.rand(3)
        for _ in range(2):
            made.restore(saved)
            assert made.step == 5
            assert torch.equal(first, everything(advanced(made)))
            assert torch.equal(draw, torch.rand(3))
        assert addresses == [t.data_ptr() for t in made.model.state_dict().values()]


def with_dropout(made: Trainer) -> None:
    """Drop a fifth of what the readout sees."""
    readout = made.model.get_submodule("readout")
    readout.register_forward_pre_hook(lambda _, x: F.dropout(x[0], 0.2, made.model.training))


def test_warm_up_in_the_middle_changes_nothing(make_config: MakeConfig) -> None:
    config = make_config(*RUNS["averaged"])
    one, two = trainer(config), advanced(trainer(config), 5)
    two.warm_up()
    assert two.step == 5
    assert torch.equal(everything(advanced(one)), everything(advanced(two)))


def test_the_average_by_hand(make_config: MakeConfig) -> None:
    """Statistics of batch normalisation are averaged as the weights; counters are not."""
    made = trainer(make_config(*RESNET, "optim.ema_decay=0.75"))
    assert made.scored_model is not made.model
    expected = {name: value.double() for name, value in made.model.state_dict().items()}
    for stop in range(1, 6):
        advanced(made, stop)
        for name, value in made.model.state_dict().items():
            expected[name] = 0.75 * expected[name] + 0.25 * value.double()
    for name, value in made.scored_model.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected[name], rtol=1e-5, atol=1e-7), name
    plain = advanced(trainer(make_config(*RESNET)), 5)
    assert plain.scored_model is plain.model
    weights = [list(made.model.parameters()), list(plain.model.parameters())]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True)), "averaging changed training"


def test_label_smoothing_is_in_the_training_loss_alone(make_config: MakeConfig) -> None:
    """By hand: (1 - s) x cross-entropy + s x the mean over classes of -log p (Szegedy et al. 2016)."""
    made = trainer(make_config("optim.label_smoothing=0.3"))
    images, labels = next(data.batches(made.data, made.config, made.memory_format))
    logs = F.log_softmax(made.model(images).detach(), 1)
    hard = -logs[torch.arange(32), labels].mean()
    scores = [
        evaluate(each.model, each.data, "val", each.autocast, each.memory_format)
        for each in (made, trainer(make_config()))
    ]
    assert scores[0] == scores[1]
    advanced(made, 1)
    assert made.loss_sum.item() == pytest.approx((0.7 * hard - 0.3 * logs.mean()).item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["eager", "static"])
def test_one_bad_loss_among_good_ones_is_found(kind: step.EngineKind, make_config: MakeConfig) -> None:
    made = trainer(make_config(), kind)
    advanced(made, 4)
    made.check_finite()
    stream, calls = made._batches, 0

    def spoiled() -> Any:
        nonlocal calls
        for images, labels in stream:
            calls += 1
            yield (images * torch.inf if calls == 3 else images), labels

    made._batches = spoiled()
    saved = [tensor.clone() for tensor in state.weights(made.model)]
    advanced(made, 7)
    state.copy_into(state.weights(made.model), saved)
    advanced(made, 9)
    with pytest.raises(loop.DivergedError):
        made.check_finite()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(6, 4), nn.Linear(6, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.used(x))
        return out


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
        lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, fused=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True, fused=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, foreach=True),
        lambda p: torch.optim.Adagrad(p, lr=0.1),
    ],
)
@pytest.mark.parametrize("all_used", [True, False])
def test_an_update_is_the_optimizers_step_bit_for_bit(
    make: Callable[[Any], torch.optim.Optimizer], all_used: bool
) -> None:
    """Over both kernels, the variants they leave to the optimizer, and a layer that gets no gradient."""
    nets = [Net(), Net()]
    nets[1].load_state_dict(nets[0].state_dict())
    if all_used:
        for net in nets:
            net.unused.requires_grad_(False)
    pairs = [(net, make(state.trained(net))) for net in nets]
    state.moments(nets[0], [pairs[0][1]])
    takes: list[Any] = [update.updates(pairs[0][1]), [pairs[1][1].step]]
    for net in nets:
        net.zero_grad()
    generator = torch.Generator().manual_seed(0)
    for number in range(5):
        batch = torch.randn(8, 6, generator=generator)
        for (net, made), steps in zip(pairs, takes, strict=True):
            made.param_groups[0]["lr"] = 0.1 / (number + 1)
            net(batch).square().sum().backward()
            for take in steps:
                take()
            net.zero_grad()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_family_draws_nothing(make_config: MakeConfig) -> None:
    """Dropout would make the graph step op by op."""
    for family in ("mlp", "resnet", "convmixer", "vit"):
        extra = ("model.width=32",) if family == "vit" else ()
        config = make_config(f"model={family}", *extra)
        made = Trainer(config, data.sets.load(config.data, CPU), STEPS, CPU)
        assert not step.draws(made.model), family
        assert optim.build(config.optim, made.model, config.model)
