"""The weights of the run that was trained before: found, read and matched to a network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isoflop.config import Config, ConfigError, prior
from isoflop.config.errors import shown


def load(config: Config, weights: Path | None, model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of the prior run, on the CPU, whose names and shapes are those of `model`.

    Args:
        config: the run that needs it.
        weights: its file.
        model: a network of the prior run's shape.

    Raises:
        ConfigError: there is no such file, and which command makes it; or it holds no state dict, or one of
            another network.
    """
    if weights is None or not weights.is_file():
        before = prior.of(config)
        assert before is not None, "only for levers that need a prior run"
        file = shown(weights or prior.weights_path(before))
        raise ConfigError(
            f"lever={config.lever.name} needs {file}, which is missing: train it by {prior.command(before)}"
        )
    again = f"lever={config.lever.name}: {shown(weights)}: delete it, it is not of the run that is needed"
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{again}: it cannot be read as weights") from error
    if not isinstance(state, dict) or _shapes(state) != _shapes(model.state_dict()):
        raise ConfigError(f"{again}: its tensors are those of another network")
    return state


def _shapes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return name -> shape, None for what is no tensor."""
    return {name: getattr(value, "shape", None) for name, value in state.items()}
