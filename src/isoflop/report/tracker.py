"""Where a run's learning curve goes beside its record, which stays the only source of every fit."""

from __future__ import annotations

import csv
import dataclasses
import io

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import CurvePoint, Record

COLUMNS = tuple(f.name for f in dataclasses.fields(CurvePoint) if not f.name.endswith("_reason"))


def curve_csv(record: Record) -> str:
    """The learning curve as CSV with a header; an unknown value is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([getattr(point, name) for name in COLUMNS] for point in record.curve)
    return text.getvalue()


def track(config: Config, record: Record) -> None:
    """With tracker=csv, write DIR/curves/RUN_ID.csv atomically. Raises OSError if it cannot be written."""
    if config.tracker.name == "csv":
        path = config.directory / "curves" / f"{record.run_id}.csv"
        records.write_bytes(path, curve_csv(record).encode())
