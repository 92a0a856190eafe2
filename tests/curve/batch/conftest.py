"""Simulated sweeps over batch sizes, of which the critical one is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from isoflop.table.loss_curves import LossCurve, LossCurves

CRITICAL, STEPS_MIN = 64.0, 40.0
"""Critical batch size, and least steps to LOSS, of every simulation."""
LOSS = 0.2
BATCHES = (4, 8, 16, 32, 64, 128, 256, 512)
EVALUATIONS = 40
Simulate = Callable[..., LossCurves]


def simulated(
    batches: Sequence[float] = BATCHES,
    *,
    seeds: int = 3,
    spread: float = 0.0,
    jitter: float = 0.0,
    rates: Sequence[float] = (0.5, 1.0, 2.0),
    length: float = 2.0,
    seed: int = 0,
) -> LossCurves:
    """Draw loss curves that fall as steps^-1/2 and are LOSS after STEPS_MIN (1 + CRITICAL / B) steps.

    Args:
        batches: batch sizes.
        seeds: runs a rate.
        spread: standard deviation of ln steps over runs.
        jitter: of ln loss over evaluations.
        rates: as multiples of the best; a rate a factor 2 from it takes 1.6 times the steps.
        length: of the runs, in multiples of the steps to LOSS at the best rate.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    curves = []
    for batch in batches:
        needed = STEPS_MIN * (1 + CRITICAL / batch)
        for rate in rates:
            for i in range(seeds):
                slower = np.exp(np.log(rate) ** 2 + spread * random.standard_normal())
                steps = np.unique(np.round(needed * length * np.arange(1, EVALUATIONS + 1) / EVALUATIONS))
                steps = steps[steps > 0]
                losses = LOSS * (steps / (needed * slower)) ** -0.5
                losses *= np.exp(jitter * random.standard_normal(len(steps)))
                curves.append(LossCurve(f"{batch}-{rate}-{i}", batch, 0.1 * rate, str(i), steps, losses))
    return LossCurves("simulated", tuple(curves), "val_loss", "images")


@pytest.fixture
def simulate() -> Simulate:
    """The function that draws loss curves."""
    return simulated
