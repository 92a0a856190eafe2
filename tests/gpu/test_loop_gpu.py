"""The loop on a GPU: no step waits for the device, and every engine trains the same network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from isoflop.config import Config
from isoflop.train import data, schedule, step
from isoflop.train.evaluate import evaluate
from isoflop.train.loop import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]
GPU = torch.device("cuda", 0)
MakeConfig = Callable[..., Config]
STEPS = 40
SMALLEST = ("model=resnet", "model.width=1", "optim=sgd")
LARGEST = ("model=resnet", "model.width=16", "model.depth=3", "optim=sgd")
MLP = ("model=mlp", "model.width=64", "model.depth=2")
VIT = ("model=vit", "model.width=64", "model.depth=2", "model.patch=2")
RUNS = {
    "smallest": SMALLEST,
    "largest": LARGEST,
    "averaged": (*SMALLEST, "optim.ema_decay=0.9", "optim.label_smoothing=0.1"),
    "clipped": (*SMALLEST, "optim.clip_norm=0.1"),
    "adamw": MLP,
    "vit": VIT,
    "muon": (*MLP, "optim=muon"),
    "mup": (*MLP, "model.parametrization=mup", "model.base_width=16", "model.base_depth=1"),
}
KINDS: tuple[step.EngineKind, ...] = ("eager", "static", "graph")


def trainer(config: Config, kind: step.EngineKind, steps: int = STEPS) -> Trainer:
    return Trainer(config, data.sets.load(config.data, GPU), steps, GPU, kind=kind)


def advanced(made: Trainer, stop: int | None = None) -> Trainer:
    made.advance(
        made.steps if stop is None else stop, schedule.learning_rates(made.config.schedule, made.steps)
    )
    return made


def everything(of: Trainer) -> Tensor:
    tensors = [*of.model.state_dict().values(), *of.scored_model.state_dict().values()]
    tensors += [v for made in of.optimizers for held in made.state.values() for v in held.values()]
    return torch.cat([tensor.detach().flatten().double().cpu() for tensor in tensors])


@pytest.mark.parametrize("kind", ["eager", "compile", "graph"])
@pytest.mark.parametrize("name", list(RUNS))
def test_no_step_waits_for_the_device(
    name: str, kind: step.EngineKind, make_config: MakeConfig, no_waiting: Callable[[], None]
) -> None:
    """Over epochs, so that the next order of images is drawn too; checking the loss does wait."""
    if kind == "compile" and name != "smallest":
        pytest.skip("one run shows it: compiling takes a minute")
    made = trainer(make_config(*RUNS[name]), kind)
    made.warm_up()
    no_waiting()
    advanced(made)
    with pytest.raises(RuntimeError, match="synchroniz"):
        made.check_finite()


@pytest.mark.parametrize("name", list(RUNS))
@pytest.mark.usefixtures("exact")
def test_a_replayed_step_is_the_step_it_captured(name: str, make_config: MakeConfig) -> None:
    config = make_config(*RUNS[name], "precision=fp32")
    static, graph = (advanced(trainer(config, kind)) for kind in ("static", "graph"))
    assert graph.compile_seconds > 0
    assert torch.equal(everything(static), everything(graph))


@pytest.mark.parametrize("name", ["smallest", "largest", "adamw"])
@pytest.mark.usefixtures("exact")
def test_all_engines_and_precisions_learn_alike(name: str, make_config: MakeConfig) -> None:
    """After the same steps: fp32 engines to rounding, bf16 within the noise between three seeds."""
    losses: dict[tuple[str, str], float] = {}
    for precision in ("fp32", "bf16"):
        for kind in ("eager", "compile", "graph"):
            config = make_config(*RUNS[name], f"precision={precision}", "optim.lr=0.01")
            losses[precision, kind] = val_loss(advanced(trainer(config, kind)))
    seeds = [
        val_loss(advanced(trainer(make_config(*RUNS[name], "optim.lr=0.01", f"seed={s}"), "graph")))
        for s in range(3)
    ]
    spread = max(seeds) - min(seeds)
    reference = losses["fp32", "eager"]
    for (precision, kind), loss in losses.items():
        within = 0.05 * reference if precision == "fp32" else max(spread, 0.1 * reference)
        assert abs(loss - reference) < within, (precision, kind, losses, seeds)


def val_loss(made: Trainer) -> float:
    return evaluate(made.scored_model, made.data, "val", made.autocast, made.memory_format).loss


@pytest.mark.parametrize("name", list(RUNS))
@pytest.mark.usefixtures("exact")
def test_a_captured_graph_survives_restart_restore_and_reseed(name: str, make_config: MakeConfig) -> None:
    config = make_config(*RUNS[name], "seed=1")
    made = trainer(config, "graph")
    made.warm_up()
    advanced(made, 15)
    saved = made.snapshot()
    first = everything(advanced(made))
    made.restore(saved)
    assert torch.equal(first, everything(advanced(made)))
    made.restart()
    assert torch.equal(first, everything(advanced(made)))
    made.reseed(make_config(*RUNS[name], "seed=2", "optim.lr=0.002"), STEPS - 5)
    assert made.compile_seconds == 0
    other = trainer(make_config(*RUNS[name], "seed=2", "optim.lr=0.002"), "graph", STEPS - 5)
    assert torch.equal(everything(advanced(made)), everything(advanced(other)))


@pytest.mark.usefixtures("exact")
def test_evaluating_between_replays_changes_nothing(make_config: MakeConfig) -> None:
    config = make_config(*RUNS["averaged"])
    one, two = trainer(config, "graph"), trainer(config, "graph")
    advanced(one)
    for stop in (3, 10, 11, STEPS):
        advanced(two, stop)
        val_loss(two)
    assert torch.equal(everything(one), everything(two))


@pytest.mark.usefixtures("exact")
def test_dropout_in_a_graph_draws_anew_and_repeats_after_restart(make_config: MakeConfig) -> None:
    """Only where it is asked for: `auto` takes such models op by op."""
    made = trainer(make_config(*MLP), "graph")
    masks = torch.zeros((), device=GPU)

    def drop(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        dropped = torch.nn.functional.dropout(inputs[0], 0.5, made.model.training)
        masks.copy_((dropped == 0).sum())
        return dropped

    made.model.get_submodule("readout").register_forward_pre_hook(drop)
    seen = []
    for stop in range(1, 6):
        advanced(made, stop)
        seen.append(int(masks))
    assert len(set(seen)) > 1, "every replay dropped the same units"
    first = everything(made)
    made.restart()
    assert torch.equal(first, everything(advanced(made, 5)))


def test_a_model_that_reads_a_value_is_refused_in_one_line(make_config: MakeConfig) -> None:
    made = trainer(make_config(*MLP), "graph")
    # Detached: torch warns where a tensor that needs a gradient is read.
    readout = made.model.get_submodule("readout")
    readout.register_forward_pre_hook(lambda _, x: (x[0] * float(x[0].detach().sum()),))
    with pytest.raises(ValueError, match=r"cannot be a CUDA graph .*launch\.step=eager"):
        made.warm_up()


def test_auto_is_a_graph_and_weights_equal_the_cpus(make_config: MakeConfig) -> None:
    config = make_config(*MLP)
    assert config.launch.step == "auto"
    auto = Trainer(config, data.sets.load(config.data, GPU), STEPS, GPU)
    assert auto.kind == "graph"
    assert auto.precision == "bf16"
    cpu = torch.device("cpu")
    there = Trainer(dataclasses.replace(config), data.sets.load(config.data, cpu), STEPS, cpu)
    for a, b in zip(auto.model.parameters(), there.model.parameters(), strict=True):
        assert torch.equal(a.cpu(), b)
