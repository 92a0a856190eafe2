"""How many steps a run takes to a target loss, read off its evaluations."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Crossing:
    """Where a loss curve meets a target.

    Attributes:
        steps: optimizer steps to the target; None unless it was `reached`.
        outcome: reached; never, within `last` steps; or early, that is at the first evaluation already, so
            that the steps are only known to be fewer.
        last: steps of the last evaluation.
    """

    steps: float | None
    outcome: Literal["reached", "never", "early"]
    last: float


def smoothed(losses: Array) -> Array:
    """Return the losses (n,) with the median of three neighbours in place of each but the first and last.

    At a constant rate the loss jumps from evaluation to evaluation: one that is low by luck is not the first
    that the run reaches. A curve that only falls stays as it is.
    """
    if len(losses) < 3:
        return losses
    middle = np.median(np.stack([losses[:-2], losses[1:-1], losses[2:]]), axis=0)
    return np.concatenate([losses[:1], middle, losses[-1:]])


def crossing(steps: Array, losses: Array, target: float) -> Crossing:
    """Return the steps (n,) at which the smoothed losses (n,) first reach `target`.

    Between two evaluations ln loss is taken as linear in ln steps.

    Args:
        steps: of the evaluations, rising, above 0.
        losses: there, above 0; infinite from where the run diverged.
        target: the loss to reach.
    """
    level = smoothed(losses)
    below = np.flatnonzero(level <= target)
    if not len(below):
        return Crossing(None, "never", float(steps[-1]))
    i = int(below[0])
    if i == 0:
        return Crossing(None, "early", float(steps[-1]))
    if not np.isfinite(level[i - 1]):
        return Crossing(float(steps[i]), "reached", float(steps[-1]))
    share = np.log(level[i - 1] / target) / np.log(level[i - 1] / level[i])
    at = np.log(steps[i - 1]) + share * np.log(steps[i] / steps[i - 1])
    return Crossing(float(np.exp(at)), "reached", float(steps[-1]))


def lowest(losses: Array) -> float:
    """Return the least target that `crossing` finds on a curve."""
    return float(smoothed(losses).min())
