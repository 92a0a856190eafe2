"""Which rows of a table from elsewhere belong together: run ids, configurations, and repetitions by seed."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import columns

Array = npt.NDArray[np.float64]
Labels = list[str | None]

SCALE_TOLERANCE = 0.01
"""Configurations whose mean x differ by no more than this ratio count as one compute scale."""
_IDS = ("run_id", "id", "run id", "name", "run_name")


@dataclasses.dataclass(frozen=True)
class ChosenColumns:
    """The columns that are fitted, by their names in the file. `of_runs`: each run has many rows."""

    x: str
    y: str
    group: tuple[str, ...]
    seed: str | None
    of_runs: bool


def labels(raw: pd.DataFrame, name: str) -> Labels:
    """Return a column as labels, unknown as None."""
    return [columns.label(value) for value in raw[name]]


def values(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Return the distinct known values of a column as labels: numbers in ascending order, words as they come.

    Raises ValueError as columns.find, with the option --by, and where no value is known.
    """
    column = table[columns.find(table, name, "by")]
    found = list(dict.fromkeys(value for value in map(columns.label, column) if value is not None))
    if not found:
        raise ValueError(f"--by {name}: no row has a value there")
    numbers = [columns.number(value) for value in found]
    known = [number for number in numbers if number is not None]
    if len(known) == len(found):
        found = [value for _, value in sorted(zip(known, found, strict=True))]
    return tuple(found)


def run_ids(raw: pd.DataFrame) -> list[str]:
    """Return a name for each row: the file's own if it is unique, else with the row number (from 1)."""
    column = _id_column(raw)
    if column is None:
        return [f"row {i}" for i in raw.index]
    names = labels(raw, column)
    times = Counter(names)
    return [
        str(name) if times[name] == 1 else f"{name}, row {i}"
        for name, i in zip(names, raw.index, strict=True)
    ]


def ids(raw: pd.DataFrame, chosen: ChosenColumns, x: Array) -> dict[str, Labels]:
    """Return run_id, config_id and place_id of each row; x (n,) is that of the rows, unknown as NaN.

    Rows of one configuration agree in the columns of `group`. Without a group they have equal x if a seed is
    given, else the same config_id; without these each row is a configuration.
    """
    runs: Labels = list(run_ids(raw))
    if chosen.of_runs:
        runs = [f"{raw['Name'][i]} at {chosen.x} {columns.label(raw[chosen.x][i])}" for i in raw.index]
    if chosen.group:
        configs = _joined(raw, chosen.group)
        return _ids(runs, configs, _place_ids(raw, chosen.seed, configs, x))
    if chosen.seed is not None:
        equal = [
            run if math.isnan(at) else f"{chosen.x} {at!r}" for run, at in zip(runs, x.tolist(), strict=True)
        ]
        return _ids(runs, equal, equal)
    if "config_id" not in raw:
        return _ids(runs, runs, runs)
    configs = labels(raw, "config_id")
    if "place_id" in raw:
        return _ids(runs, configs, labels(raw, "place_id"))
    return _ids(runs, configs, _place_ids(raw, "seed" if "seed" in raw else None, configs, x))


def _ids(runs: Labels, configs: Labels, place_ids: Labels) -> dict[str, Labels]:
    return {"run_id": runs, "config_id": configs, "place_id": place_ids}


def ambiguities(raw: pd.DataFrame, chosen: ChosenColumns, configs: Labels) -> list[str]:
    """Return warnings about rows that may belong together although they are not grouped, or the reverse."""
    if chosen.group:
        return []
    if chosen.seed is not None:
        same = int(pd.DataFrame({"c": configs, "s": labels(raw, chosen.seed)}).duplicated().sum())
        return (
            _several(f"{same} of {len(raw)} rows have the {chosen.x} and the {chosen.seed} of another row")
            if same
            else []
        )
    if "config_id" in raw:
        return []
    warnings = []
    column = _id_column(raw)
    if column is not None and not raw[column].is_unique:
        warnings.append(
            f"{column} has {len(set(raw[column]))} values in {len(raw)} rows, and each row is taken for a "
            f"configuration of its own: say --group {column} if the rows of one belong together, or the "
            "intervals are too narrow"
        )
    warnings += [
        f"each row is taken for a configuration of its own: say --seed {name} if seeds repeat one"
        for name in map(str, raw.columns)
        if name.lower().rpartition(".")[2] == "seed" and len(set(raw[name])) > 1
    ]
    return warnings


def _several(what: str) -> list[str]:
    return [f"{what}: say --group for what makes a configuration"]


def _id_column(raw: pd.DataFrame) -> str | None:
    """Return the column that names runs: the first with unique values, else the first."""
    by_name = {str(name).lower(): str(name) for name in raw.columns}
    candidates = [by_name[name] for name in _IDS if name in by_name and raw[by_name[name]].notna().all()]
    return next((name for name in candidates if raw[name].is_unique), candidates[0] if candidates else None)


def _joined(raw: pd.DataFrame, group: tuple[str, ...]) -> Labels:
    """Return the joined values of the group's columns for each row, None if one is unknown."""
    parts = [labels(raw, name) for name in group]
    if len(parts) == 1:
        return parts[0]
    return [
        None if None in row else ", ".join(f"{name}={value}" for name, value in zip(group, row, strict=True))
        for row in zip(*parts, strict=True)
    ]


def _place_ids(raw: pd.DataFrame, seed: str | None, configs: Labels, x: Array) -> Labels:
    """Return what rows share that differ by seed only: the configuration, or the configuration at one x.

    It is the configuration if that has each seed once.
    """
    if len(set(configs)) == len(configs):
        return configs
    if seed is not None and not pd.DataFrame({"c": configs, "s": labels(raw, seed)}).duplicated().any():
        return configs
    rows: dict[str | None, list[int]] = {}
    for i, config in enumerate(configs):
        if math.isfinite(x[i]):
            rows.setdefault(config, []).append(i)
    scale = np.zeros(len(x), dtype=int)
    for at in rows.values():
        scale[at] = distinct_scales(x[at]) + 1
    return [None if c is None else f"{c} at x {s}" for c, s in zip(configs, scale, strict=True)]


def distinct_scales(x: Array) -> npt.NDArray[np.intp]:
    """Number the distinct scales among x (k,) in ascending order; a scale spans at most SCALE_TOLERANCE."""
    scale = np.empty(len(x), dtype=np.intp)
    first, number = 0.0, -1
    for i in np.argsort(x, kind="stable"):
        if number < 0 or x[i] > first * (1 + SCALE_TOLERANCE):
            first, number = float(x[i]), number + 1
        scale[i] = number
    return scale
