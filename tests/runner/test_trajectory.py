"""Which meter a run has, and which examples its joules are divided by."""

from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from isoflop.config import Config
from isoflop.runner import checkpoint, session, trajectory
from isoflop.runner.checkpoint_check import PRESENT
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


@pytest.fixture
def run(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> trajectory.RunTrainer:
    """A run of 28 steps that is not trained: its state is set by the test."""
    for part in ("SegmentTrainer", "Evaluator"):
        monkeypatch.setattr(trajectory, part, lambda *arguments: None)
    plan = types.SimpleNamespace(all_steps=28, steps=28, horizons=())
    prepared: Any = types.SimpleNamespace(
        plan=plan,
        data=types.SimpleNamespace(split_sha256="split"),
        count=types.SimpleNamespace(train_flops_per_example=None),
    )
    trainer: Any = types.SimpleNamespace(
        steps=28, keep_loss_sums=lambda marks: None, take_over=lambda snapshot: None
    )
    context: Any = types.SimpleNamespace(clock=types.SimpleNamespace(earlier_seconds=0.0))
    return trajectory.RunTrainer(make_config(), prepared, trainer, None, context)


def test_metered_examples_are_those_of_this_attempt(
    run: trajectory.RunTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = run._config.optim.batch_size
    assert run.metered_examples == 0
    fresh = run.state
    run.state = replace(fresh, steps_done=28)
    assert run.metered_examples == 28 * batch
    run.state = fresh
    monkeypatch.setattr(checkpoint, "lost_work", lambda config, state: (3, 1.5))
    state = replace(fresh, steps_done=10, split_sha256="")
    resumed: Any = types.SimpleNamespace(state=state, snapshots={PRESENT: None})
    run._resume(resumed)
    assert (run.metered_examples, run.state.steps_done) == (0, 10)
    assert (run.state.wasted_steps, run.state.wasted_seconds, run.state.split_sha256) == (3, 1.5, "split")
    assert run._context.clock.earlier_seconds == 1.5
    run.state = replace(run.state, steps_done=28)
    assert run.metered_examples == 18 * batch
