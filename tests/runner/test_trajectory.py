"""Which meter a run has."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from isoflop.config import Config
from isoflop.runner import session, trajectory
from isoflop.runner.request import RunRequest

MakeConfig = Callable[..., Config]


@pytest.mark.parametrize("metering", ["run", "shape"])
def test_only_metering_by_shape_keeps_a_meter(
    metering: Any, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, own = contextlib.nullcontext(), contextlib.nullcontext()
    monkeypatch.setattr(session, "kept_meter", lambda config, device: kept)
    monkeypatch.setattr(trajectory, "energy_meter", lambda config, device, world, *, shared: own)
    world: Any = None
    request = dataclasses.replace(RunRequest(), metering=metering)
    meter = trajectory._meter_of(make_config(), torch.device("cpu"), request, world)
    assert (meter is kept) == (metering == "shape")
