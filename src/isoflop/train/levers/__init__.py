"""Levers: what changes a run beside the settings of the other groups."""

from __future__ import annotations

from pathlib import Path

from isoflop.config import Config
from isoflop.train.levers.base import Examples, ForwardFlops, InferenceWork, Lever, Masks
from isoflop.train.levers.int8 import Int8
from isoflop.train.levers.structured_pruning import StructuredPruning

__all__ = ["Examples", "ForwardFlops", "InferenceWork", "Lever", "Masks", "of"]

KINDS: dict[str, type[Lever]] = {
    "settings": Lever,
    "int8": Int8,
    "structured_pruning": StructuredPruning,
}


def of(config: Config, prior_weights: Path | None = None) -> Lever:
    """Return the lever of a run, with the weights that were trained for it before, if it needs any."""
    return KINDS[config.lever.kind](config, prior_weights)
