"""What a run's records hold of its training over time, in the order in which it happened."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from isoflop.record import CurvePoint, Record, TrainingInterval
from isoflop.track.events import Interval

Event = Interval | CurvePoint
"""An interval of training or an evaluation; both have their step."""


def interval_of(read: TrainingInterval) -> Interval:
    """Return an interval as a tracker gets it."""
    return Interval(
        step=read.end_step,
        examples=read.examples,
        seconds=read.seconds,
        train_loss=read.mean_loss,
        learning_rate=read.learning_rate,
        examples_per_second=read.examples_per_second,
        watts=read.watts,
    )


def intervals_of(record: Record) -> tuple[Interval, ...]:
    """Return the intervals of a run's training, as far as its record holds them.

    A record that holds none (of an earlier version, or of a loop of the user's own) may still have mean
    training losses, and its evaluations tell examples a second and watts between them.
    """
    rates = {each.step: each for each in _between_evaluations(record.curve)}
    if record.intervals is not None:
        return _with_watts(tuple(map(interval_of, record.intervals)), rates)
    losses = {each.end_step: each for each in record.train_loss or ()}
    merged = []
    for step in sorted({*losses, *rates}):
        rate, loss = rates.get(step), losses.get(step)
        examples = loss.examples if loss else rate.examples if rate else 0
        merged.append(
            Interval(
                step=step,
                examples=examples,
                seconds=rate.seconds if rate else None,
                train_loss=loss.mean_loss if loss else None,
                examples_per_second=rate.examples_per_second if rate else None,
                watts=rate.watts if rate else None,
            )
        )
    return tuple(merged)


def _with_watts(read: tuple[Interval, ...], rates: Mapping[int, Interval]) -> tuple[Interval, ...]:
    """Return intervals with the mean powers between evaluations where all were too short for their own.

    Joules of a run that is too short to meter come from more than its own windows, once it is over.
    """
    if any(each.watts is not None for each in read):
        return read
    return tuple(
        dataclasses.replace(each, watts=rates[each.step].watts) if each.step in rates else each
        for each in read
    )


def _between_evaluations(curve: Sequence[CurvePoint]) -> Iterator[Interval]:
    """Yield the rate, and the mean power where joules are known, from each evaluation to the next."""
    for before, point in itertools.pairwise((None, *curve)):
        assert point is not None
        seconds = point.seconds - (before.seconds if before else 0.0)
        examples = point.examples - (before.examples if before else 0)
        if seconds <= 0:
            continue
        spent = before.energy_joules if before else 0.0
        known = point.energy_joules is not None and spent is not None
        yield Interval(
            step=point.step,
            examples=point.examples,
            seconds=point.seconds,
            examples_per_second=examples / seconds,
            watts=((point.energy_joules or 0.0) - (spent or 0.0)) / seconds if known else None,
        )


def in_order(intervals: Sequence[Interval], curve: Sequence[CurvePoint]) -> list[Event]:
    """Return both by rising step, an evaluation after the interval that ends there."""
    events: list[Event] = [*intervals, *curve]
    return sorted(events, key=lambda event: event.step)


def history(finished: tuple[Record, ...]) -> Iterator[tuple[Event, int]]:
    """Yield each interval and evaluation of a run once, with the steps of the whole run until then.

    The records of two horizons share their trunk; where they part, steps are taken that the other has not.
    """
    seen: set[Event] = set()
    steps_done = 0
    for record in finished:
        before = 0
        for event in in_order(intervals_of(record), record.curve):
            if event not in seen:
                steps_done += event.step - before
                seen.add(event)
                yield event, steps_done
            before = event.step
