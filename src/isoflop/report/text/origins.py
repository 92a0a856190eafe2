"""Where a table's numbers come from: what the records say of code, machine and command."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from isoflop import record as records
from isoflop.record import Record
from isoflop.report.text.numerals import plural

MOST = 8
"""More values of one kind than this are counted instead of listed."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """One line of the provenance: its name, its values, and whether they are code."""

    name: str
    values: tuple[str, ...]
    code: bool = False


def _listed(values: Iterable[str | None]) -> tuple[str, ...]:
    """Each distinct value, the most frequent first, with its count where there are several."""
    counts = collections.Counter("unknown" if v is None else v for v in values)
    found = [v if len(counts) == 1 else f"{v} ({plural(n, 'run')})" for v, n in counts.most_common(MOST)]
    return (*found, *([f"and {len(counts) - MOST:,} more"] if len(counts) > MOST else []))


def _column(rows: pd.DataFrame, name: str) -> tuple[str, ...]:
    return _listed(None if pd.isna(v) else str(v) for v in rows[name])


def _gpu(record: Record) -> str | None:
    gpu = record.provenance.gpu
    if gpu is None:
        return f"none: {record.provenance.gpu_reason}"
    limit = gpu.power_limit_watts
    return f"{gpu.name}, driver {gpu.driver}" + (f", power limit {limit:g} W" if limit else "")


def _commit(record: Record) -> str | None:
    found = record.provenance
    return found.git_commit and found.git_commit + (" with uncommitted changes" if found.dirty else "")


def read(rows: pd.DataFrame, directory: Path) -> tuple[Record, ...]:
    """The records of the table's rows that are still in DIR/records; others are left out."""
    found = []
    for run_id in rows["run_id"]:
        path = records.path_of(directory, str(run_id))
        if path.is_file():
            try:
                found.append(records.read(path))
            except records.RecordError:
                continue
    return tuple(found)


def origins(rows: pd.DataFrame, directory: Path) -> tuple[Origin, ...]:
    """The provenance from the table, and more of it from the records where they are at hand."""
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
    found = read(rows, directory)
    if not found:
        return (*basic, Origin("Code", _column(rows, "git_commit"), code=True))
    versions = (
        ", ".join(f"{name} {version}" for name, version in sorted(r.provenance.versions.items()))
        for r in found
    )
    return (
        *basic,
        Origin("Code", _listed(_commit(r) for r in found), code=True),
        Origin(
            "Processor",
            _listed(f"{r.provenance.cpu}, {plural(r.provenance.threads, 'thread')}" for r in found),
        ),
        Origin("GPU", _listed(_gpu(r) for r in found)),
        Origin("Deterministic", _listed("yes" if r.provenance.deterministic else "no" for r in found)),
        Origin("Versions", _listed(versions)),
        Origin("Command", _listed(r.provenance.command for r in found), code=True),
    )
