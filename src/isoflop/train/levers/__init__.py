"""Levers: what changes a run beside the settings of the other groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isoflop.config import Config
from isoflop.train.levers import custom
from isoflop.train.levers.base import Examples, ForwardFlops, InferenceWork, Lever, Masks
from isoflop.train.levers.distillation import Distillation
from isoflop.train.levers.early_exit import EarlyExit
from isoflop.train.levers.int8 import Int8
from isoflop.train.levers.low_rank import LowRank
from isoflop.train.levers.magnitude_pruning import MagnitudePruning
from isoflop.train.levers.structured_pruning import StructuredPruning

__all__ = ["Examples", "ForwardFlops", "InferenceWork", "Lever", "Masks", "of"]

KINDS: dict[str, Callable[[Config, Path | None], Lever]] = {
    "settings": Lever,
    "search": Lever,
    "custom": custom.make,
    "distillation": Distillation,
    "magnitude_pruning": MagnitudePruning,
    "structured_pruning": StructuredPruning,
    "int8": Int8,
    "low_rank": LowRank,
    "early_exit": EarlyExit,
}


def of(config: Config, prior_weights: Path | None = None) -> Lever:
    """Return the lever of a run, with the weights that were trained for it before, if it needs any."""
    return KINDS[config.lever.kind](config, prior_weights)
