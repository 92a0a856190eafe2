"""Lever over baseline at the same configurations and seeds, without a law: error, training, inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from isoflop.curve.compare import paired, pairing
from isoflop.curve.levers.result import Part, Ratio
from isoflop.curve.result import Interval
from isoflop.table import levers

COLUMNS: tuple[tuple[Part, str], ...] = (
    ("training", levers.OWN),
    ("training", levers.TOTAL),
    ("training", "train_seconds"),
    ("training", "energy_joules"),
    ("training", "total_joules"),
    ("inference", "inference_gflops_per_example"),
    ("inference", levers.NOMINAL),
    ("inference", "inference_seconds_per_example"),
    ("inference", "inference_joules_per_example"),
)


def keys(baseline: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Return the columns by whose values configurations of two arms pair up.

    They are those of the shape (pairing.SHAPE) and the horizon, without what has one value in each arm and
    another in each, which is the lever itself; and further ones (pairing.FURTHER) as long as two
    configurations of an arm agree in all of them. Without widths and depths it is config_id.
    """
    known = [name for name in baseline if name in other and baseline[name].notna().any()]
    if not {"width", "depth"} <= set(known):
        return ["config_id"]
    chosen = [
        name for name in (*pairing.SHAPE, "horizon") if name in known and not _is_lever(baseline, other, name)
    ]
    for more in (name for name in pairing.FURTHER if name in known):
        if not any(_ambiguous(arm, chosen) for arm in (baseline, other)):
            break
        chosen.append(more)
    return chosen


def _is_lever(baseline: pd.DataFrame, other: pd.DataFrame, name: str) -> bool:
    first, second = (set(arm[name].dropna()) for arm in (baseline, other))
    return len(first) == len(second) == 1 and first != second


def _ambiguous(arm: pd.DataFrame, names: Sequence[str]) -> bool:
    """Return whether several configurations of an arm have equal values of these columns."""
    configs = arm[[*names, "config_id"]].drop_duplicates()
    return bool(configs.duplicated(list(names)).any())


def in_common(baseline: pd.DataFrame, other: pd.DataFrame) -> int:
    """Return how many configurations both arms have."""
    names = keys(baseline, other)
    first, second = (arm[names].drop_duplicates() for arm in (baseline, other))
    return len(first.merge(second, on=names))


def ratios(baseline: pd.DataFrame, other: pd.DataFrame, y: str, level: float) -> tuple[Ratio, ...]:
    """Return the ratio of y and of each of COLUMNS that paired.LEAST_PAIRS configurations of both know.

    Runs pair up by configuration and seed, or by configuration alone where no seed is known.

    Args:
        baseline, other: rows of levers.completed.
        y: the column of the error or loss.
        level: of the intervals.
    """
    names = keys(baseline, other)
    seeded = [
        *names,
        *(["seed"] if all("seed" in arm and arm["seed"].notna().all() for arm in (baseline, other)) else []),
    ]
    found = []
    for part, column in (("outcome", y), *COLUMNS):
        if column not in baseline or column not in other:
            continue
        logs = [_logs(arm, seeded, column) for arm in (baseline, other)]
        both = logs[0].merge(logs[1], on=seeded, suffixes=("_baseline", "_other"))
        both["ratio"] = both["log_other"] - both["log_baseline"]
        of_configs = both.dropna(subset="ratio").groupby(names, dropna=False)["ratio"].mean().to_numpy(float)
        if len(of_configs) >= paired.LEAST_PAIRS:
            found.append(_ratio(part, column, of_configs, level))
    return tuple(found)


def _logs(arm: pd.DataFrame, names: Sequence[str], column: str) -> pd.DataFrame:
    """Return the mean logarithm of a column by the values of others; NaN where none is known above 0."""
    values = pd.to_numeric(arm[column], errors="coerce")
    logs = arm[list(names)].assign(log=np.log(values.where(values > 0)))
    return logs.groupby(list(names), dropna=False)["log"].mean().reset_index()


def _ratio(part: Part, column: str, logs: np.ndarray, level: float) -> Ratio:
    error = float(logs.std(ddof=1) / np.sqrt(len(logs)))
    given = paired.student(paired.MEAN, "", float(logs.mean()), error, len(logs) - 1, level)
    low, high = (
        None if end is None else float(np.exp(end)) for end in (given.interval.low, given.interval.high)
    )
    return Ratio(part, column, float(np.exp(given.value)), Interval(low, high), len(logs))
