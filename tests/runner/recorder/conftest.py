"""A small recorder of a tiny network, which records for an instant and assumes a power of the processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from isoflop import Recorder

MakeRecorder = Callable[..., Recorder]


@pytest.fixture
def make_recorder(tmp_path: Path) -> MakeRecorder:
    """make_recorder(width=8, ...) -> a Recorder that writes to tmp_path/out, of a network of that width."""

    def make(**settings: Any) -> Recorder:
        width = settings.get("width", 8)
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(16, max(1, width)), nn.ReLU(), nn.Linear(max(1, width), 4)
        )
        given = {"name": "net", "data": "toy", "seed": 0, "width": width, "cpu_watts": 20.0}
        counted = {"model": net, "input_shape": (1, 4, 4), "device": "cpu"}
        return Recorder(tmp_path / "out", **(given | counted | settings))

    return make
