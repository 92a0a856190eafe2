"""Which runs are replayed, for how long, and what their points get from it: a stub GPU at 300 W."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from isoflop.config import Config
from isoflop.meter.energy import window_meter
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.runner import energy as metering
from isoflop.runner import run
from isoflop.runner.replay import replay
from isoflop.train import data
from isoflop.train.loop import Trainer

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
UUID = "GPU-00000000-0000-0000-0000-000000000000"
TRUNK = ("schedule=steps", "schedule.epochs=null", "schedule.steps=80", "schedule.cooldowns=[0.25,0.5,1]")
METER = ("meter.idle_seconds=0", "meter.period_seconds=0.05")


@pytest.fixture
def stub(nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setenv("STUB_UPDATE", "0.02")
    monkeypatch.setattr(metering, "gpu_uuids", lambda device: (UUID,))
    monkeypatch.setattr(window_meter, "REACH_PERIODS", 100)


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes 10 ms or more."""
    advance = Trainer.advance

    def crawl(self: Trainer, stop: int, factors: Sequence[float]) -> Any:
        time.sleep(0.01 * (stop - self.step))
        return advance(self, stop, factors)

    monkeypatch.setattr(Trainer, "advance", crawl)


@pytest.mark.usefixtures("stub", "slow_steps")
def test_a_short_point_of_a_long_trunk_is_not_replayed(make_config: MakeConfig) -> None:
    """Its joules are those per example of the whole trunk with its branches, 0.98 s or more."""
    points = run.run(make_config(*TRUNK, *METER, "meter.window_seconds=0.7"))
    short = [point for point in points if point.time and point.time.train_seconds < 0.7]
    assert short, "20 steps take 0.2 s"
    for point in points:
        assert point.energy is not None, point.energy_reason
        assert not point.energy.replayed
        assert point.energy.source == ("shape" if point in short else "run")
        assert point.spent.wasted_seconds == 0
    pairs = [(point.energy, point.compute) for point in short]
    assert len({round(e.energy_joules / c.examples_seen, 9) for e, c in pairs if e and c}) == 1
    first = short[0]
    assert first.energy is not None
    assert first.time is not None
    assert first.energy.window_seconds >= 0.98
    assert first.energy.own_joules == pytest.approx(300 * first.time.train_seconds, abs=300 * 0.15)
    assert first.energy.energy_joules == pytest.approx(300 * first.time.train_seconds, rel=0.35)


@pytest.mark.usefixtures("stub", "slow_steps")
def test_a_short_trunk_is_lengthened_by_what_is_missing(make_config: MakeConfig) -> None:
    points = run.run(make_config(*TRUNK, *METER, "meter.window_seconds=2"))
    trained = sum(point.spent.seconds for point in points)
    for point in points:
        assert point.energy is not None, point.energy_reason
        assert (point.energy.source, point.energy.replayed) == ("shape", True)
        assert 2 <= point.energy.window_seconds < 4
    wasted = [point.spent.wasted_seconds for point in points]
    assert 0 < wasted[0] < 3, "the replay is charged once, and only for what was missing"
    assert wasted[1:] == [0, 0]
    assert wasted[0] < trained


def test_a_replay_ends_when_it_is_asked_to(make_config: MakeConfig) -> None:
    config = make_config()
    device = torch.device("cpu")
    trainer = Trainer(config, data.sets.load(config.data, device), 28, device)
    answers = iter([False, False, True])
    with WindowMeter(()) as meter:
        examples = replay(config, trainer, meter, 60.0, lambda: next(answers))
        windows = meter.windows
    assert examples == (1 + 2 + 4) * config.optim.batch_size, "three bursts, each twice as long"
    assert len(windows) == 1


def test_each_repetition_of_a_replay_is_a_window(make_config: MakeConfig) -> None:
    config = make_config()
    device = torch.device("cpu")
    trainer = Trainer(config, data.sets.load(config.data, device), 28, device)
    with WindowMeter(()) as meter:
        examples = replay(config, trainer, meter, 0.3)
        windows = meter.windows
    assert sum(window.seconds for window in windows) >= 0.3
    assert len(windows) == -(-examples // (28 * config.optim.batch_size))
