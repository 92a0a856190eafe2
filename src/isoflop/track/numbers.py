"""The numbers a tracker shows of a run, under the names and in the units of the table (docs/method.md)."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from isoflop.record import CurvePoint, Record
from isoflop.table import text_columns
from isoflop.track.events import Interval

Value = float | int | str | bool
GIGA = 1e-9

CURVE_AXES = ("examples", "train_gflops", "energy_joules", "train_seconds")
"""Axes against which a score of the curve can be drawn."""
INTERVAL_AXES = ("examples", "train_seconds")
"""Axes against which training can be drawn."""
FINAL = (
    *("test_error", "test_loss", "test_bits_per_byte", "train_loss"),
    *("train_gflops", "energy_joules", "train_seconds", "mfu"),
)
"""Results by which runs are compared, of the columns of the table."""
_NOT_A_RESULT = (
    *("run_id", "config_id", "trunk_id", "place_id", "label", "seed", "started_at"),
    *("dollars_reason", "grams_co2_reason", "own_share"),
)


def scores(*, of_text: bool) -> tuple[str, ...]:
    """Return the names of the scores in a row of the curve, of a run on text or on images."""
    return ("val_error", "val_loss", *(("val_bits_per_byte",) if of_text else ()))


def curve_row(point: CurvePoint, *, of_text: bool = False) -> dict[str, Value]:
    """Return an evaluation by name, without what is unknown: GFLOPs, joules, seconds of training, errors in
    [0, 1], losses in nats and of text in bits per byte too."""
    row = {
        "step": point.step,
        "examples": point.examples,
        "train_gflops": None if point.train_flops is None else point.train_flops * GIGA,
        "energy_joules": point.energy_joules,
        "train_seconds": point.seconds,
        "val_error": point.val_error,
        "val_loss": point.val_loss,
        "val_bits_per_byte": text_columns.bits(point.val_loss) if of_text else None,
    }
    return {name: value for name, value in row.items() if value is not None}


def of_training(*, of_text: bool) -> tuple[str, ...]:
    """Return the names of what is drawn of training, in a row of an interval, of a run on text or images."""
    bits = ("train_bits_per_byte",) if of_text else ()
    return ("train_loss", *bits, "learning_rate", "examples_per_second", "watts")


def interval_row(interval: Interval, *, of_text: bool = False) -> dict[str, Value]:
    """Return an interval of training by name, without what is unknown: seconds of training, losses in nats
    and of text in bits per byte too, watts."""
    row = {
        "step": interval.step,
        "examples": interval.examples,
        "train_seconds": interval.seconds,
        "train_loss": interval.train_loss,
        "learning_rate": interval.learning_rate,
        "examples_per_second": interval.examples_per_second,
        "watts": interval.watts,
    }
    if of_text and interval.train_loss is not None:
        row["train_bits_per_byte"] = text_columns.bits(interval.train_loss)
    return {name: value for name, value in row.items() if value is not None}


def settings(identity: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return a configuration as {model.width: 8, ...}; what is not set (None) is left out, lists are text."""
    flat: dict[str, Value] = {}
    for name, value in identity.items():
        if isinstance(value, Mapping):
            flat |= settings(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = value if isinstance(value, Value) else str(value)
    return flat


Row = dict[str, Value]


class Series:
    """Rows of one kind. The first value of a name is held back until a second follows, unless more are known
    to come: one point is no chart, and belongs in the summary."""

    def __init__(self, axes: tuple[str, ...], drawn: tuple[str, ...]) -> None:
        """Begin without rows.

        Args:
            axes: what a row is drawn against, beside `step`.
            drawn: names of which several values will come.
        """
        self._axes = ("step", *axes)
        self._held: dict[str, tuple[Row, int]] = {}
        self._charted = set(drawn)

    def add(self, row: Row, steps_done: int) -> list[tuple[Row, int]]:
        """Return what is to be drawn now, as rows with their axes, each with its steps; the latest last."""
        axes = {name: row[name] for name in self._axes if name in row}
        rows: dict[int, Row] = {}
        for name in row.keys() - axes.keys():
            if name in self._held:
                held, at = self._held.pop(name)
                rows[at] = rows.get(at, {}) | held
                self._charted.add(name)
            if name in self._charted:
                rows[steps_done] = rows.get(steps_done, axes) | {name: row[name]}
            else:
                self._held[name] = axes | {name: row[name]}, steps_done
        return [(rows[at], at) for at in sorted(rows)]

    @property
    def single(self) -> Row:
        """The values that no other of their name followed, for a summary."""
        return {name: row[name] for name, (row, _) in self._held.items()}


def several(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the names of which rows hold more than one value."""
    counts = collections.Counter(name for row in rows for name in row)
    return tuple(name for name, count in counts.items() if count > 1)


def summary(record: Record) -> dict[str, Value]:
    """Return what is known of a run in the columns of the table, with its state and what it cost in all."""
    from isoflop.table import aggregate  # slow to import, and needed only once training is over

    row = {n: read(record) for n, read in aggregate.COLUMNS.items() if n not in _NOT_A_RESULT}
    row |= {
        "state": record.state,
        "reason": record.reason,
        "attempt": record.attempt,
        "failed": int(record.state != "done"),
        "spent_seconds": record.spent.seconds,
        "wasted_seconds": record.spent.wasted_seconds,
    }
    return {name: value for name, value in row.items() if value is not None}


def summaries(records: tuple[Record, ...]) -> dict[str, Value]:
    """Return the summary of the last record, and those of earlier horizons under at_HORIZON/."""
    if not records:
        return {"state": "killed", "failed": 1}
    rows = summary(records[-1])
    for record in records[:-1]:
        rows |= {f"at_{record.horizon:g}/{name}": value for name, value in summary(record).items()}
    return rows
