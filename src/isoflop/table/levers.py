"""Levers: settings of a run that are compared with a baseline over the same sizes and seeds, in one folder.

Every reader of levers asks this module which rows one curve is of, and what a table without their columns
stands for.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from isoflop import record as records
from isoflop.table import aggregate, rate_search
from isoflop.table.lever_columns import LEVER as LEVER
from isoflop.table.lever_columns import NONE as NONE
from isoflop.table.lever_columns import SETTINGS as SETTINGS

BASELINE = "baseline"
"""Name of the baseline's arm."""
OWN, TOTAL = "train_gflops", "total_train_gflops"
"""Columns of training work: the run's own, and with the work that it needed beside (PRIOR)."""
PRIOR = "prior_train_gflops"
NOMINAL = "nominal_inference_gflops_per_example"
LEAST_IN_COMMON = 3
"""Configurations that a lever and the baseline need in common."""
FILE = "left_out.json"
"""File of a sweep's folder that names levers which its device cannot have."""
_NUMBERS = (
    *(PRIOR, TOTAL, "energy_joules", "prior_joules", "total_joules", "density"),
    *("inference_gflops_per_example", NOMINAL),
    *("inference_seconds_per_example", "inference_joules_per_example"),
)


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A lever that was not trained, and why."""

    lever: str
    why: str


@dataclasses.dataclass(frozen=True)
class OneArm:
    """The rows that one curve is of.

    Attributes:
        rows: the baseline's where several arms are there, else all.
        compared: the rows of all arms; None where there is one.
        notes: what is said of it.
    """

    rows: pd.DataFrame
    compared: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()


def completed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with every column that readers of levers use.

    Where there is no column of levers all rows are of the baseline, and a baseline needs no prior work.
    Totals that are not there are sums of their parts. Whatever else is not there is unknown (NaN).
    """
    rows = rows.copy()
    for name in (LEVER, SETTINGS):
        texts = rows[name] if name in rows else pd.Series(None, rows.index, dtype=object)
        rows[name] = texts.astype(object).where(texts.notna(), NONE if name == LEVER else "").astype(str)
    for name in _NUMBERS:
        rows[name] = pd.to_numeric(rows[name], errors="coerce") if name in rows else np.nan
    of_baseline = rows[LEVER] == NONE
    for total, own, prior in ((TOTAL, OWN, PRIOR), ("total_joules", "energy_joules", "prior_joules")):
        rows[prior] = rows[prior].mask(of_baseline & rows[prior].isna(), 0.0)
        rows[total] = rows[total].fillna(rows[own] + rows[prior])
    return rows


def at_baseline_shape(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the width and depth of the baseline that they stand against, where a search chose
    others: runs are paired by these."""
    known = {
        size: rows[f"baseline_{size}"].fillna(rows[size])
        for size in ("width", "depth")
        if {size, f"baseline_{size}"} <= set(rows)
    }
    return rows.assign(**known)


def arms(rows: pd.DataFrame) -> pd.Series[str]:
    """Return the arm of each row: BASELINE, or the lever, such as `pruning`.

    A lever that is there with several settings is told apart by them: `pruning (rounds=1)`.
    """
    known = completed(rows)
    several = known.groupby(LEVER)[SETTINGS].transform("nunique") > 1
    named = known[LEVER] + np.where(several, " (" + known[SETTINGS] + ")", "")
    return named.mask(known[LEVER] == NONE, BASELINE)


def one_arm(rows: pd.DataFrame, source: object = "", by: str | None = None) -> OneArm:
    """Return the rows that one curve is of: of several arms the baseline's alone, with a note.

    Args:
        rows: of a sweep's table, of which --where has left these.
        source: the folder, for messages.
        by: the column that divides the rows into curves; they stay where it is the lever's own.

    Raises:
        ValueError: runs of several levers and none of the baseline.
    """
    if LEVER not in rows or by in (LEVER, SETTINGS):
        return OneArm(rows)
    of_run = arms(rows)
    names = sorted(set(of_run) - {BASELINE})
    if of_run.nunique() < 2:
        return OneArm(rows)
    if (of_run != BASELINE).all():
        where = f"{source}: " if str(source) else ""
        raise ValueError(
            f"{where}runs of {len(names)} levers ({', '.join(names)}) and none of the baseline are no one "
            f"curve: say --where {_condition(rows, of_run, names[0])}"
        )
    return OneArm(rows[of_run == BASELINE], rows, (note(rows),))


def note(compared: pd.DataFrame, where: str = "by isoflop levers") -> str:
    """Return what is said of a fit to the baseline where the rows of all arms are `compared` elsewhere."""
    of_run = arms(compared)
    other = min(set(of_run) - {BASELINE})
    count = f"{int((of_run != BASELINE).sum())} of {len(compared)}"
    return (
        f"runs with a lever ({count}) are compared {where} and not part of this fit; "
        f"--where {_condition(compared, of_run, other)} fits another"
    )


def _condition(rows: pd.DataFrame, of_run: pd.Series[str], name: str) -> str:
    """Return the condition, quoted for a shell, that leaves the runs of one arm."""
    first = completed(rows)[of_run == name].iloc[0]
    settings = f' and {SETTINGS} == "{first[SETTINGS]}"' if name != first[LEVER] else ""
    return f"'{LEVER} == \"{first[LEVER]}\"{settings}'"


def trials(directory: Path | None) -> pd.DataFrame | None:
    """Return the trials of learning rates that a sweep's folder holds, a row each; none of them is a point.

    None without a folder, or where a record of a trial is damaged: then they cannot be counted.
    """
    if directory is None:
        return None
    paths = sorted((directory / rate_search.TRIALS / "records").glob("[!.]*.json"))
    try:
        return completed(aggregate.tabulate(records.read(path) for path in paths))
    except (records.RecordError, OSError):
        return None


def left_out(directory: Path | None) -> tuple[LeftOut, ...]:
    """Return the levers that DIR/left_out.json names; none without the file, or without a folder.

    Raises:
        ValueError: the file is no list of objects with `lever` and `why`.
        OSError: it cannot be read.
    """
    if directory is None or not (path := directory / FILE).is_file():
        return ()
    try:
        return tuple(msgspec.json.decode(path.read_bytes(), type=list[LeftOut]))
    except msgspec.DecodeError as error:
        raise ValueError(
            f'{path}: {error}: give a list such as [{{"lever": "fp8", "why": "no such type on this device"}}]'
        ) from None
