"""Engines that only a GPU has: compiled steps in a graph, and the compiler's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from isoflop.config import Config
from isoflop.runner import precompile
from isoflop.train import data, loop, schedule, step
from isoflop.train.evaluate import evaluate
from isoflop.train.loop import Trainer
from isoflop.train.step import Choice, compiler

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]
GPU = torch.device("cuda", 0)
MakeConfig = Callable[..., Config]
STEPS = 40
NETWORK = ("model=resnet", "model.width=8", "optim=sgd", "optim.lr=0.02")
KINDS: tuple[step.EngineKind, ...] = ("graph", "compiled_graph")


@pytest.fixture(autouse=True)
def settings_of_a_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """fp32 is fp32, and the compiler's cache is the test's own."""
    monkeypatch.setenv(compiler.CACHE_VARIABLE, "")
    with loop.deterministic(False):
        yield


def trained(config: Config, kind: step.EngineKind) -> Trainer:
    made = Trainer(config, data.sets.load(config.data, GPU), STEPS, GPU, kind=kind)
    made.warm_up()
    made.advance(STEPS, schedule.learning_rates(config.schedule, STEPS))
    return made


def val_loss(made: Trainer) -> float:
    return evaluate(made.scored_model, made.data, "val", made.autocast, made.memory_format).loss


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_all_graphs_learn_alike(precision: str, make_config: MakeConfig) -> None:
    """fp32 to rounding that 40 steps enlarge, bf16 within a tenth."""
    config = make_config(*NETWORK, f"precision={precision}", "optim.ema_decay=0.9")
    losses = {kind: val_loss(trained(config, kind)) for kind in KINDS}
    within = 0.05 if precision == "fp32" else 0.1
    assert all(abs(loss / losses["graph"] - 1) < within for loss in losses.values()), losses


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_is_used_again_by_another_seed(kind: step.EngineKind, make_config: MakeConfig) -> None:
    made = trained(make_config(*NETWORK, "seed=1"), kind)
    made.reseed(make_config(*NETWORK, "seed=2"), STEPS)
    assert made.compile_seconds == 0
    made.advance(STEPS, schedule.learning_rates(made.config.schedule, STEPS))
    fresh = trained(make_config(*NETWORK, "seed=2"), kind)
    assert val_loss(made) == pytest.approx(val_loss(fresh), rel=0.05)


def test_a_step_compiled_ahead_is_found_in_the_cache(make_config: MakeConfig) -> None:
    """Both passes, so that the run traces and loads and does not compile."""
    from torch._dynamo.utils import counters

    config = make_config(*NETWORK)
    digits = data.sets.load(config.data, GPU)
    precompile.compile_step(config, digits.input_shape, digits.classes, GPU)
    counters.clear()
    trained(config, "compiled_graph")
    assert counters["inductor"]["fxgraph_cache_hit"] == 2, dict(counters["inductor"])


def test_a_broken_compiler_leaves_a_working_graph(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise OSError("no space left")

    monkeypatch.setattr(compiler, "COMPILER", broken)
    config = make_config(*NETWORK)
    made = Trainer(config, data.sets.load(config.data, GPU), STEPS, GPU, kind="compiled_graph")
    made.choice = Choice("compiled_graph", "predicted", fallback="graph")
    made.warm_up()
    made.advance(STEPS, schedule.learning_rates(config.schedule, STEPS))
    made.check_finite()
    assert made.kind == "graph"
    assert "no space left" in made.choice.why
