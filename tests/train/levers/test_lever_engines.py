"""Engines take the same steps with a lever, and go on from a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from isoflop.config import Config, prior
from isoflop.train import data, levers, models, schedule, step
from isoflop.train.levers.magnitude_pruning import prunable
from isoflop.train.loop import Trainer
from isoflop.train.step import compiler

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]
STEPS = 12
RESNET = (
    "model=resnet",
    "model.width=2",
    "optim=sgd",
    "optim.lr=0.02",
    "optim.batch_size=32",
    "optim.ema_decay=0.8",
)
LEVERS = {
    "distillation": ("lever=distillation", "lever.teacher_width=4", "lever.teacher_depth=1"),
    "pruning": ("lever=pruning", "lever.rounds=1", "lever.rewind_fraction=0.25"),
}


def trainer(config: Config, kind: step.EngineKind, tmp_path: Path) -> Trainer:
    """A trainer with its lever; the prior run ended with weights drawn from another seed."""
    before, loaded = prior.of(config), data.sets.load(config.data, CPU)
    path = tmp_path / "prior.pt"
    torch.save(
        models.build(before.model, loaded.input_shape, loaded.classes, seed=9, device=CPU).state_dict(), path
    )
    return Trainer(config, loaded, STEPS, CPU, kind=kind, lever=levers.of(config, path))


def advanced(made: Trainer, *stops: int) -> torch.Tensor:
    factors = schedule.learning_rates(made.config.schedule, made.steps)
    for stop in stops:
        made.advance(stop, factors)
    tensors = [*made.model.state_dict().values(), *made.finished_model().state_dict().values()]
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


@pytest.mark.parametrize("name", LEVERS)
def test_engines_take_the_same_steps_with_a_lever(
    name: str, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "COMPILER", "aot_eager")
    config = make_config(*RESNET, *LEVERS[name])
    eager = trainer(config, "eager", tmp_path)
    result = advanced(eager, STEPS)
    static = trainer(config, "static", tmp_path)
    static.warm_up()
    assert torch.equal(advanced(static, 2, 5, STEPS), result)
    compiled = advanced(trainer(config, "compiled_static", tmp_path), STEPS)
    assert torch.allclose(compiled, result, rtol=1e-2, atol=1e-3)
    if name == "pruning":
        weights = [
            torch.cat([w.weight.flatten() for w in prunable(m).values()])
            for m in (eager.model, eager.finished_model())
        ]
        assert torch.equal(weights[0] != 0, weights[1] != 0)
        assert 0.57 < float((weights[0] != 0).float().mean()) < 0.59


@pytest.mark.parametrize("name", LEVERS)
@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_run_with_a_lever_goes_on_from_a_snapshot_bit_for_bit(
    name: str, stop: int, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*RESNET, *LEVERS[name])
    whole = trainer(config, "eager", tmp_path)
    advanced(whole, stop)
    saved = whole.snapshot()
    result = advanced(whole, STEPS)
    resumed = trainer(config, "eager", tmp_path)
    resumed.restore(saved)
    assert torch.equal(advanced(resumed, STEPS), result)
    whole.restore(saved)
    assert torch.equal(advanced(whole, STEPS), result)
