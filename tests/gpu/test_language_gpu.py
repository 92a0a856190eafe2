"""Language models on a GPU: no step waits for the device, and every engine trains the same network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from isoflop.config import Config
from isoflop.train import data, loop, schedule, step
from isoflop.train.evaluate import evaluate
from isoflop.train.loop import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]
GPU = torch.device("cuda", 0)
MakeConfig = Callable[..., Config]
STEPS = 40
LARGER = ("model.context=64", "model.width=64", "model.depth=2", "model.head_width=32")
RUNS = {
    "recipe": (),
    "heads": (*LARGER, "optim.batch_size=256", "model.feedforward=swiglu"),
    "averaged": ("optim.ema_decay=0.9", "optim.label_smoothing=0.1"),
    "muon": ("optim=muon", "optim.lr=0.01", "optim.base_steps=null"),
    "standard": ("model.parametrization=standard", "model.base_width=null", "model.base_depth=null"),
}
TWO_PASSES = ("data.fraction=0.25", "data.passes=3")
"""So that the order of the next pass is drawn within a test's steps."""


@pytest.fixture
def configured(make_language_config: MakeConfig) -> MakeConfig:
    """configured("heads", "seed=1") -> the configuration of a run over more than one pass."""

    def make(name: str, *overrides: str) -> Config:
        passes = () if name == "heads" else TWO_PASSES
        return make_language_config("data.passes=3", *passes, *RUNS[name], *overrides)

    return make


def trainer(config: Config, kind: step.EngineKind, steps: int = STEPS) -> Trainer:
    return Trainer(config, data.load(config, GPU), steps, GPU, kind=kind)


def advanced(made: Trainer, stop: int | None = None) -> Trainer:
    factors = schedule.learning_rates(made.config.schedule, made.steps)
    made.advance(made.steps if stop is None else stop, factors)
    return made


def everything(of: Trainer) -> Tensor:
    tensors = [*of.model.state_dict().values(), *of.scored_model.state_dict().values()]
    tensors += [v for made in of.optimizers for held in made.state.values() for v in held.values()]
    return torch.cat([tensor.detach().flatten().double().cpu() for tensor in tensors])


def val_loss(made: Trainer) -> float:
    return evaluate(made.scored_model, made.data, "val", made.autocast, made.memory_format).loss


@pytest.mark.parametrize("kind", ["eager", "graph", "compiled_graph"])
@pytest.mark.parametrize("name", list(RUNS))
def test_no_step_waits_for_the_device(
    name: str, kind: step.EngineKind, configured: MakeConfig, no_waiting: Callable[[], None]
) -> None:
    """Over passes, so that the next order of windows is drawn too; checking the loss does wait."""
    if kind == "compiled_graph" and name != "recipe":
        pytest.skip("one run shows it: compiling takes a minute")
    made = trainer(configured(name), kind)
    made.warm_up()
    no_waiting()
    advanced(made)
    with pytest.raises(RuntimeError, match="synchroniz"):
        made.check_finite()


@pytest.mark.parametrize("name", list(RUNS))
@pytest.mark.usefixtures("exact")
def test_a_replayed_step_is_the_step_it_captured(name: str, configured: MakeConfig) -> None:
    config = configured(name, "precision=fp32")
    static, graph = (advanced(trainer(config, kind)) for kind in ("static", "graph"))
    assert graph.compile_seconds > 0
    assert torch.equal(everything(static), everything(graph))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_all_engines_learn_alike(precision: str, configured: MakeConfig) -> None:
    """fp32 to rounding that 40 steps enlarge, bf16 within a tenth."""
    config = configured("averaged", f"precision={precision}", "optim.lr=0.003")
    kinds: tuple[step.EngineKind, ...] = ("eager", "graph", "compiled_graph")
    losses = {kind: val_loss(advanced(trainer(config, kind))) for kind in kinds}
    within = 0.01 if precision == "fp32" else 0.1
    assert all(abs(loss / losses["eager"] - 1) < within for loss in losses.values()), losses


@pytest.mark.parametrize("name", list(RUNS))
@pytest.mark.usefixtures("exact")
def test_a_captured_graph_survives_restart_restore_and_reseed(name: str, configured: MakeConfig) -> None:
    """Without decay, which optim.base_steps would make depend on the length."""
    plain = "optim.weight_decay=0"
    made = trainer(configured(name, plain, "seed=1"), "graph")
    made.warm_up()
    advanced(made, 15)
    saved = made.snapshot()
    first = everything(advanced(made))
    made.restore(saved)
    assert torch.equal(first, everything(advanced(made)))
    made.restart()
    assert torch.equal(first, everything(advanced(made)))
    second = configured(name, plain, "seed=2", "optim.lr=0.002")
    made.reseed(second, STEPS - 5)
    assert made.compile_seconds == 0
    other = trainer(second, "graph", STEPS - 5)
    assert torch.equal(everything(advanced(made)), everything(advanced(other)))


def test_a_gpu_scores_what_a_cpu_scores(configured: MakeConfig) -> None:
    """The same weights and windows, in batches of another size."""
    config, cpu = configured("recipe", "precision=fp32"), torch.device("cpu")
    with loop.deterministic(False):
        there = Trainer(config, data.load(config, cpu), STEPS, cpu)
        here = trainer(config, "eager")
        for a, b in zip(here.model.parameters(), there.model.parameters(), strict=True):
            assert torch.equal(a.cpu(), b)
        assert val_loss(here) == pytest.approx(val_loss(there), rel=1e-5)
