"""What is told of training over time, from records of this version and of earlier ones."""

from __future__ import annotations

import dataclasses

import pytest

from isoflop.record import CurvePoint, Record, TrainingInterval
from isoflop.track import numbers
from isoflop.track.events import Interval
from isoflop.track.history import history, in_order, intervals_of
from isoflop.track.numbers import Series


def point(step: int, seconds: float, joules: float | None = None) -> CurvePoint:
    reason = "not metered" if joules is None else None
    return CurvePoint(step, 32 * step, seconds, 0.1, 0.5, None, "not counted", joules, reason)


def read(step: int, watts: float | None = None) -> TrainingInterval:
    reason = "too short" if watts is None else None
    return TrainingInterval(step, 32 * step, 0.1 * step, 1 / step, 0.01, 320.0, watts, reason)


def test_a_record_of_this_version_says_what_the_loop_read(done_record: Record) -> None:
    assert done_record.intervals
    rows = intervals_of(done_record)
    assert [row.step for row in rows] == [each.end_step for each in done_record.intervals]
    assert [row.train_loss for row in rows] == [each.mean_loss for each in done_record.intervals]
    assert rows[-1].step == done_record.curve[-1].step, "every evaluation ends an interval"
    assert {point.step for point in done_record.curve} <= {row.step for row in rows}


def test_intervals_are_of_what_was_trained(done_record: Record) -> None:
    """Losses add up to those of the intervals on a logarithmic grid, which are kept beside them."""
    assert done_record.intervals
    assert done_record.train_loss
    linear = [(each.end_step, each.mean_loss) for each in done_record.intervals]
    spaced = [(each.end_step, each.mean_loss) for each in done_record.train_loss]
    assert linear[-1][0] == spaced[-1][0] == done_record.curve[-1].step
    sums = []
    for rows in (linear, spaced):
        starts = (0, *(end for end, _ in rows))
        sums.append(sum(loss * (end - start) for start, (end, loss) in zip(starts, rows, strict=False)))
    assert sums[0] == pytest.approx(sums[1], rel=1e-9)
    assert done_record.optim is not None
    peak = done_record.optim.lr
    assert peak is not None
    assert all(0 <= each.learning_rate <= peak for each in done_record.intervals)
    assert done_record.intervals[-1].learning_rate < max(e.learning_rate for e in done_record.intervals)
    seconds = [each.seconds for each in done_record.intervals]
    assert seconds == sorted(seconds)
    assert done_record.time is not None
    assert seconds[-1] <= done_record.time.train_seconds


def test_a_record_of_an_earlier_version_says_what_its_evaluations_tell(done_record: Record) -> None:
    curve = (point(10, 1.0, 50.0), point(30, 2.0, 250.0), point(40, 4.0, 250.0))
    old = dataclasses.replace(done_record, intervals=None, intervals_reason="old", curve=curve)
    rows = {row.step: row for row in intervals_of(old)}
    assert [rows[step].examples_per_second for step in (10, 30, 40)] == [320.0, 640.0, 160.0]
    assert [rows[step].watts for step in (10, 30, 40)] == [50.0, 200.0, 0.0]
    losses = [row for row in rows.values() if row.train_loss is not None]
    assert done_record.train_loss
    assert len(losses) == len(done_record.train_loss)
    assert all(row.learning_rate is None for row in rows.values())


def test_watts_of_a_run_too_short_to_read_them_come_from_its_joules(done_record: Record) -> None:
    curve = (point(10, 1.0, 50.0), point(20, 2.0, 150.0))
    short = dataclasses.replace(done_record, curve=curve, intervals=(read(5), read(10), read(20)))
    assert [row.watts for row in intervals_of(short)] == [None, 50.0, 100.0]
    long = dataclasses.replace(done_record, curve=curve, intervals=(read(5, 70.0), read(10), read(20)))
    assert [row.watts for row in intervals_of(long)] == [70.0, None, None], "what was read stands"


def test_the_trunk_of_two_horizons_is_told_once(done_record: Record) -> None:
    short = dataclasses.replace(
        done_record, curve=(point(10, 1.0), point(15, 1.5)), intervals=(read(10), read(15))
    )
    whole = dataclasses.replace(
        done_record, curve=(point(10, 1.0), point(20, 2.0)), intervals=(read(10), read(20))
    )
    told = [(type(each).__name__, each.step, done) for each, done in history((short, whole))]
    assert told == [
        *(("Interval", 10, 10), ("CurvePoint", 10, 10), ("Interval", 15, 15), ("CurvePoint", 15, 15)),
        *(("Interval", 20, 25), ("CurvePoint", 20, 25)),
    ]


def test_an_evaluation_follows_the_interval_that_ends_there() -> None:
    order = in_order((Interval(10, 320), Interval(20, 640)), (point(10, 1.0),))
    assert [(type(each).__name__, each.step) for each in order] == [
        *(("Interval", 10), ("CurvePoint", 10), ("Interval", 20)),
    ]


def test_one_value_is_no_chart() -> None:
    series = Series(("examples",), drawn=())
    first = {"step": 1, "examples": 32, "val_error": 0.5}
    assert series.add(dict(first), 1) == []
    assert series.single == {"val_error": 0.5}
    second = {"step": 2, "examples": 64, "val_error": 0.4, "watts": 100.0}
    rows = series.add(dict(second), 2)
    assert rows == [(first, 1), ({"step": 2, "examples": 64, "val_error": 0.4}, 2)]
    assert series.single == {"watts": 100.0}
    known = Series(("examples",), drawn=("val_error",))
    assert known.add(dict(first), 1) == [(first, 1)], "more of them are known to come"


def test_settings_are_flat_and_without_what_is_not_set() -> None:
    identity = {"model": {"width": 8, "block": None}, "optim": {"betas": [0.9, 0.99]}, "seed": 1}
    assert numbers.settings(identity) == {"model.width": 8, "optim.betas": "[0.9, 0.99]", "seed": 1}
