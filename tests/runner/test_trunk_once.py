"""A trunk with three points, whole, and stopped once on its way: what its records account for."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from isoflop.config import Config
from isoflop.record import Record
from isoflop.record.heartbeat import HeartbeatWriter
from isoflop.runner import attempt, checkpoint, run, trajectory
from isoflop.runner.state import EarlierEnergy, TrainedPoint, TrainingState, Trajectory

MakeConfig = Callable[..., Config]
TRUNK = (
    *("schedule=steps", "schedule.epochs=null", "schedule.steps=24", "schedule.cooldowns=[0.25,0.5,1]"),
    "schedule.evaluations=3",
)
ENDS, BRANCHES = (6, 12, 24), (4, 8)
"""Steps of the points, and of the branches: a cooldown is a third of its point's length."""


def result(found: tuple[Record, ...]) -> list[tuple[object, ...]]:
    return [
        (r.run_id, r.error, r.loss, [(p.step, p.examples, p.val_error, p.val_loss) for p in r.curve])
        for r in found
    ]


def examples_spent(config: Config, found: tuple[Record, ...]) -> list[float]:
    """Steps that each point accounts for, by its FLOPs."""
    steps = []
    for record in found:
        assert record.compute is not None
        assert record.compute.train_flops_per_example is not None
        assert record.spent.flops is not None
        steps.append(record.spent.flops / record.compute.train_flops_per_example / config.optim.batch_size)
    return steps


def test_stopped_once_it_ends_as_if_it_had_not_been(
    make_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_config(*TRUNK)
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    assert [r.state for r in whole] == ["done"] * 3
    batch = config.optim.batch_size
    assert [r.compute and r.compute.examples_seen for r in whole] == [batch * end for end in ENDS]
    # A point pays for its branch and for the trunk since the branch before.
    own = [ENDS[0], ENDS[1] - BRANCHES[0], ENDS[2] - BRANCHES[1]]
    assert examples_spent(config, whole) == pytest.approx(own)
    assert [[p.step for p in r.curve][-1] for r in whole] == list(ENDS)

    stop_after(8)
    stopped = run.run(config)
    assert [r.state for r in stopped] == ["done", "interrupted", "interrupted"]
    assert "SIGTERM received after step " in str(stopped[1].reason)
    assert str(stopped[1].reason).endswith(" of 24: run it again to go on")
    state = checkpoint.read_state(config)
    assert state is not None
    assert (state.horizon_index, state.steps_done, state.charged_step) == (1, 8, BRANCHES[0])
    # The attempt went on for 3 steps after its checkpoint, and lost its machine.
    beat = checkpoint.heartbeat_of(1, 11, 24, state.trained_seconds + 4.0)
    HeartbeatWriter(config.directory, config.run_id).write(beat)

    stop_after(10**6)
    found = run.run(config)
    assert result(found) == result(whole)
    assert attempt.finished(config) == found
    assert [r.attempt for r in found] == [1, 2, 2]
    assert examples_spent(config, found) == pytest.approx(own)
    second = found[1].spent
    assert second.wasted_flops is not None
    assert second.flops is not None
    assert second.wasted_flops / second.flops == pytest.approx(3 / own[1])
    assert second.wasted_seconds == pytest.approx(4.0)
    assert [r.spent.wasted_flops for r in (found[0], found[2])] == [0, 0]
    assert not checkpoint.path_of(config).exists()


# ---- joules over attempts


class Meter:
    """Stands in for a meter: `answer` is what it measured of the windows that it is asked about."""

    def __init__(self, answer: tuple[Any, str | None], has_readings: bool = True) -> None:
        self.answer, self.has_readings = answer, has_readings

    def measurement(self, windows: Any) -> tuple[Any, str | None]:
        assert windows == ("a window",)
        return self.answer


def settled(meter: Any, windows: Any = ("a window",)) -> Trajectory:
    before = EarlierEnergy(("first",), "an earlier reason")  # type: ignore[arg-type]
    mine: Any = types.SimpleNamespace(_meter=meter)
    way = Trajectory(earlier_energy=before, windows=windows)
    return trajectory.RunTrainer._settled(mine, way)


def test_the_windows_of_an_attempt_become_joules_in_its_checkpoint() -> None:
    known = settled(Meter(("second", None)))
    assert known.earlier_energy == EarlierEnergy(("first", "second"), "an earlier reason")  # type: ignore[arg-type]
    unknown = settled(Meter((None, "why")))
    assert unknown.earlier_energy == EarlierEnergy(("first",), "why")  # type: ignore[arg-type]
    untouched = EarlierEnergy(("first",), "an earlier reason")  # type: ignore[arg-type]
    for each in (
        settled(None),
        settled(Meter((None, "why"), has_readings=False)),
        settled(Meter((None, "why")), ()),
    ):
        assert each.earlier_energy == untouched
    assert known.windows == unknown.windows == ()


def test_points_too_short_to_meter_share_the_joules_of_the_whole_run(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point of 30 examples, of 120 in 6 s and 80 in a replay of 4 s: 15% of the joules."""
    config = make_config("meter.window_seconds=10")
    asked: list[Any] = []

    def replayed(
        config: Config, trainer: Any, meter: Any, seconds: float, stopped: Callable[[], bool]
    ) -> int:
        asked.append((seconds, stopped()))
        meter.windows = (*meter.windows, types.SimpleNamespace(seconds=4.0))
        return 80

    def of_examples(measured: Any, factor: float, own: float | None, reason: str | None) -> Any:
        return (measured, factor, own, reason)

    monkeypatch.setattr(trajectory, "replay", replayed)
    monkeypatch.setattr(trajectory, "of_examples", of_examples)
    window: Any = types.SimpleNamespace(seconds=6.0)
    long_enough: Any = types.SimpleNamespace(seconds=10.0)

    def measurement(windows: Any, *, replayed: bool) -> tuple[str, None]:
        asked.append((len(windows), replayed))
        return "joules", None

    meter: Any = types.SimpleNamespace(windows=(window,), measurement=measurement)
    points = tuple(
        types.SimpleNamespace(examples_seen=seen, own_joules=own, own_joules_reason=reason)
        for seen, own, reason in ((30, 5.0, None), (120, None, "not read"))
    )
    trained: Any = types.SimpleNamespace(
        metered_examples=120, state=types.SimpleNamespace(awaiting_replay=points)
    )
    context: Any = types.SimpleNamespace(
        world=types.SimpleNamespace(from_main=lambda value: value),
        stop=types.SimpleNamespace(reason="SIGTERM"),
    )
    nothing: Any = None
    first, second = trajectory._points_by_run(config, trained, nothing, meter, (window,), context)
    assert asked == [(4.0, True), (2, True)]
    assert first.energy == ("joules", 30 / 200, 5.0, None)
    assert second.energy == ("joules", 120 / 200, None, "not read")
    assert (first.replay_seconds, second.replay_seconds) == (4.0, 0.0), "charged to the first that waited"

    meter.windows = ()
    del asked[:]
    first, second = trajectory._points_by_run(config, trained, nothing, meter, (long_enough,), context)
    assert asked == [(1, False)], "10 s need no replay"
    assert first.energy == ("joules", 30 / 120, 5.0, None)


def test_a_point_that_waits_keeps_what_was_read_on_its_way() -> None:
    mine: Any = types.SimpleNamespace(state=TrainingState(run_id="a"))
    fields: dict[str, Any] = dict.fromkeys(set(TrainedPoint.__struct_fields__) - {"loss_sums"}, 0)
    point = TrainedPoint(**fields)
    for energy, reason in ((types.SimpleNamespace(energy_joules=7.0), None), (None, "no sensor")):
        measured: Any = types.SimpleNamespace(trained=point, energy=energy, energy_reason=reason)
        trajectory.RunTrainer.defer(mine, measured)
    kept = [(p.own_joules, p.own_joules_reason) for p in mine.state.awaiting_replay]
    assert kept == [(7.0, None), (None, "no sensor")]


def test_processes_that_read_different_checkpoints_are_stopped() -> None:
    resumed: Any = types.SimpleNamespace(state=replace(TrainingState(run_id="a"), steps_done=8))

    def agree(resumed: Any, others: list[int | None]) -> Any:
        gathered: list[Any] = []

        def all_gather(mine: int | None) -> list[int | None]:
            gathered.append(mine)
            return [mine, *others]

        mine: Any = types.SimpleNamespace(
            _context=types.SimpleNamespace(world=types.SimpleNamespace(all_gather=all_gather))
        )
        found = trajectory.RunTrainer._agree_on(mine, resumed)
        return found, gathered

    assert agree(resumed, [8]) == (resumed, [8])
    assert agree(None, [None]) == (None, [None])
    for mine, other in ((resumed, 5), (resumed, None), (None, 8)):
        with pytest.raises(RuntimeError, match="out must be a folder they share"):
            agree(mine, [other])
