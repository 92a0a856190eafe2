"""Masked weights are exactly zero after every step, whatever moves them, from the step that is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from isoflop.config import Config
from isoflop.runner.prepare import prepare
from isoflop.train.levers import Lever, Masks
from isoflop.train.loop import Trainer

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
STEPS, FROM_STEP = 12, 5


class Halved(Lever):
    """Holds every second input of each hidden matrix at zero."""

    def masks(self, model: nn.Module, steps: int) -> Masks:
        return Masks([(each.weight, kept(each.weight)) for each in layers(model)], FROM_STEP)


def layers(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)][:-1]


def kept(weight: Tensor) -> Tensor:
    return (torch.arange(weight.shape[1]) % 2 == 0).expand_as(weight)


def masked_weights(model: nn.Module) -> Tensor:
    return torch.cat([layer.weight.detach()[~kept(layer.weight)] for layer in layers(model)])


def trainer(config: Config, lever: bool, kind: str = "eager") -> Trainer:
    made = Halved(config) if lever else None
    return Trainer(config, prepare(config, CPU).data, STEPS, CPU, lever=made, kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["eager", "static"])
@pytest.mark.parametrize("optim", ["sgd", "adamw", "muon"])
def test_masks_hold_after_each_update_and_not_before_their_step(
    make_config: MakeConfig, optim: str, kind: str
) -> None:
    config = make_config("model.width=8", "model.depth=2", f"optim={optim}", "optim.weight_decay=0.1")
    ours, dense = trainer(config, True, kind), trainer(config, False, kind)
    factors = (1.0,) * STEPS
    ours.advance(FROM_STEP - 1, factors)
    dense.advance(FROM_STEP - 1, factors)
    for a, b in zip(ours.model.parameters(), dense.model.parameters(), strict=True):
        assert torch.equal(a, b), "until then nothing differs from the dense run: that is what rewinding is"
    assert masked_weights(ours.model).abs().min() > 0
    for step in range(FROM_STEP, STEPS + 1):
        ours.advance(step, factors)
        assert not masked_weights(ours.model).any()
    assert layers(ours.model)[0].weight[kept(layers(ours.model)[0].weight)].abs().min() > 0


def test_a_burst_over_the_step_masks_in_the_middle_of_it(make_config: MakeConfig) -> None:
    config = make_config("model.width=8", "optim.ema_decay=0.5")
    at_once, by_step = trainer(config, True), trainer(config, True)
    factors = (1.0,) * STEPS
    at_once.advance(STEPS, factors)
    for step in range(1, STEPS + 1):
        by_step.advance(step, factors)
    for a, b in zip(at_once.model.parameters(), by_step.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_snapshot_of_either_side_of_the_step_goes_on_as_if_never_left(make_config: MakeConfig) -> None:
    config = make_config("model.width=8", "optim=sgd")
    ours = trainer(config, True)
    factors = (1.0,) * STEPS
    ours.advance(FROM_STEP - 2, factors)
    before = ours.snapshot()
    ours.advance(FROM_STEP + 2, factors)
    after = ours.snapshot()
    ours.advance(STEPS, factors)
    end = [parameter.detach().clone() for parameter in ours.model.parameters()]
    for saved in (before, after):
        ours.restore(saved)
        ours.advance(STEPS, factors)
        assert all(torch.equal(a, b) for a, b in zip(end, ours.model.parameters(), strict=True))


def test_a_trainer_with_a_lever_is_never_reseeded(make_config: MakeConfig) -> None:
    config = make_config("model.width=8")
    pruned = dataclasses.replace(
        config, lever=dataclasses.replace(config.lever, name="int8", kind="int8")
    )
    ours = trainer(config, False)
    assert ours.can_reseed(config, ours.data, STEPS)
    assert not ours.can_reseed(pruned, ours.data, STEPS)
