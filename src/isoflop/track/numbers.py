"""The numbers a tracker shows of a run, under the names and in the units of the table (docs/method.md)."""

from __future__ import annotations

from isoflop.record import CurvePoint, Record
from isoflop.table import text_columns

Value = float | int | str | bool
GIGA = 1e-9

CURVE_AXES = ("examples", "train_gflops", "energy_joules", "train_seconds")
"""Axes against which a score of the curve can be drawn."""
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
