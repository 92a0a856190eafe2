"""Weights of the points of a run, kept where launch.keep_weights asks for them."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from isoflop.config import Config
from isoflop.record import write_bytes


def path_of(config: Config, horizon: float) -> Path:
    """Return where the weights of a point lie."""
    return config.directory / "weights" / f"{config.point_ids[horizon]}.pt"


def write(model: nn.Module, path: Path) -> None:
    """Write the weights and statistics of a network, as torch.load(path, weights_only=True) reads them back.

    Written as a whole or not at all, before the record: a point that is done has its weights.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, buffer)
    write_bytes(path, buffer.getvalue())
