"""Levers: what changes a run beside the settings of the other groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isoflop.config import Config
from isoflop.train.levers import custom
from isoflop.train.levers.base import Examples, ForwardFlops, InferenceWork, Lever, Masks

__all__ = ["Examples", "ForwardFlops", "InferenceWork", "Lever", "Masks", "of"]

KINDS: dict[str, Callable[[Config, Path | None], Lever]] = {"settings": Lever, "custom": custom.make}


def of(config: Config, prior_weights: Path | None = None) -> Lever:
    """Return the lever of a run, with the weights that were trained for it before, if it needs any."""
    return KINDS[config.lever.kind](config, prior_weights)
