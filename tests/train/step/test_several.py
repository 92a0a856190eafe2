"""Several seeds advanced by one engine: each is bit for bit what it is alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from isoflop.config import Config
from isoflop.train import data, schedule, state, step
from isoflop.train.loop import Trainer

pytestmark = pytest.mark.slow
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
STEPS = 9


@pytest.mark.parametrize(
    "how", [("model=resnet", "model.width=2", "optim=sgd"), ("model=mlp", "precision=bf16")]
)
def test_each_network_is_the_one_trained_alone(
    how: tuple[str, ...], make_config: Callable[..., Config]
) -> None:
    """Seeds and rates differ; one half of the steps in one call, the rest in another."""
    configs = [make_config(*how, f"seed={seed}", f"optim.lr={0.01 * (seed + 1)}") for seed in range(3)]
    digits = data.sets.load(configs[0].data, DEVICE)
    alone, together = (
        [Trainer(config, digits, STEPS, DEVICE, kind="static") for config in configs] for _ in range(2)
    )
    factors = [schedule.learning_rates(config.schedule, STEPS) for config in configs]
    for trainer, rates in zip(alone, factors, strict=True):
        trainer.advance(STEPS, rates)
    parts = [
        step.Parts(
            trainer.model,
            trainer.optimizers,
            None,
            trainer.loss_sum,
            trainer.autocast if trainer.is_mixed else None,
            0.0,
        )
        for trainer in together
    ]
    saved = [trainer.snapshot() for trainer in together]
    streams = [trainer._batches for trainer in together]
    engine = step.Several(parts, streams, STEPS, capture=DEVICE.type == "cuda")
    engine.prepare(streams)
    for trainer, before in zip(together, saved, strict=True):
        trainer.restore(before)
    streams = [trainer._batches for trainer in together]
    engine.advance(streams, [each[:5] for each in factors])
    engine.advance(streams, [each[5:] for each in factors])
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(state.weights(one.model), state.weights(other.model), strict=True):
            assert torch.equal(a, b)
        assert torch.equal(one.loss_sum, other.loss_sum)
    assert not torch.equal(alone[0].loss_sum, alone[1].loss_sum)
