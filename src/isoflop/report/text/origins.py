"""The provenance of a table: code, machine and command, from the records."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from isoflop import record as records
from isoflop.record import Record, redact
from isoflop.report.text.numerals import plural

MOST_VALUES = 8
"""More values of one kind than this are counted instead of listed."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """One line of the provenance: its name, its values, and whether they are code."""

    name: str
    values: tuple[str, ...]
    code: bool = False


def _listed(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return each distinct value, the most frequent first, with its count where there are several."""
    counts = collections.Counter("unknown" if v is None else v for v in values)
    shown = [
        v if len(counts) == 1 else f"{v} ({plural(n, 'run')})" for v, n in counts.most_common(MOST_VALUES)
    ]
    return (*shown, *([f"and {len(counts) - MOST_VALUES:,} more"] if len(counts) > MOST_VALUES else []))


def _column(rows: pd.DataFrame, name: str) -> tuple[str, ...]:
    return _listed(None if pd.isna(v) else str(v) for v in rows[name])


def _gpu(record: Record) -> str | None:
    gpu = record.provenance.gpu
    if gpu is None:
        return f"none: {record.provenance.gpu_reason}"
    limit = gpu.power_limit_watts
    return f"{gpu.name}, driver {gpu.driver}" + (f", power limit {limit:g} W" if limit else "")


def _commit(record: Record) -> str | None:
    code = record.provenance
    return code.git_commit and code.git_commit + (" with uncommitted changes" if code.dirty else "")


def read_records(rows: pd.DataFrame, directory: Path) -> tuple[Record, ...]:
    """Return the records of the table's rows that are still readable in DIR/records."""
    finished = []
    for run_id in rows["run_id"]:
        path = records.path_of(directory, str(run_id))
        if path.is_file():
            try:
                finished.append(records.read(path))
            except records.RecordError:
                continue
    return tuple(finished)


def origins(rows: pd.DataFrame, directory: Path) -> tuple[Origin, ...]:
    """Return the provenance from the table, and more of it from the records where they can be read."""
    dates = sorted(str(d) for d in rows["started_at"].dropna())
    days = "unknown" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    basic = [
        Origin("Data", _column(rows, "data")),
        Origin("Device", _column(rows, "device")),
        Origin("Precision", _column(rows, "precision")),
        Origin("Started", (days,)),
        Origin("isoflop", _column(rows, "isoflop_version")),
    ]
    if rows["energy_grade"].notna().any():
        basic.append(Origin("Energy grade", _column(rows, "energy_grade")))
    unknown = rows.loc[rows["energy_joules"].isna(), "energy_reason"]
    if len(unknown):
        counts = unknown.fillna("no reason recorded").value_counts()
        reasons = (f"{reason} ({plural(int(count), 'run')})" for reason, count in counts.items())
        basic.append(Origin("Energy unknown", tuple(reasons)))
    finished = read_records(rows, directory)
    if not finished:
        return (*basic, Origin("Code", _column(rows, "git_commit"), code=True))
    versions = (
        ", ".join(f"{name} {version}" for name, version in sorted(r.provenance.versions.items()))
        for r in finished
    )
    return (
        *basic,
        Origin("Code", _listed(_commit(r) for r in finished), code=True),
        Origin(
            "Processor",
            _listed(f"{r.provenance.cpu}, {plural(r.provenance.threads, 'thread')}" for r in finished),
        ),
        Origin("GPU", _listed(_gpu(r) for r in finished)),
        Origin("Deterministic", _listed("yes" if r.provenance.deterministic else "no" for r in finished)),
        Origin("Versions", _listed(versions)),
        Origin("Command", _listed(redact.text(r.provenance.command) for r in finished), code=True),
    )
