"""Which rows of others' tables belong together: runs by name, configurations, and what seeds repeat."""

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
class Asked:
    """The columns that were asked for, by their names in the file. `of_runs`: each run is many rows."""

    x: str
    y: str
    group: tuple[str, ...]
    seed: str | None
    of_runs: bool


def labels(raw: pd.DataFrame, name: str) -> Labels:
    """A column as names, unknown as None."""
    return [columns.label(value) for value in raw[name]]


def run_ids(raw: pd.DataFrame) -> list[str]:
    """A name for each row: the file's own where it is unique, else with the row; rows count from 1."""
    column = _id_column(raw)
    if column is None:
        return [f"row {i}" for i in raw.index]
    found = labels(raw, column)
    times = Counter(found)
    return [
        str(name) if times[name] == 1 else f"{name}, row {i}"
        for name, i in zip(found, raw.index, strict=True)
    ]


def ids(raw: pd.DataFrame, asked: Asked, x: Array) -> dict[str, Labels]:
    """run_id, config_id and place_id of each row; x (n,) is that of the rows, unknown as NaN.

    A configuration is the values of the group's columns; without a group, rows of equal x where a seed is
    given, else what the file calls config_id, else the row alone.
    """
    runs: Labels = list(run_ids(raw))
    if asked.of_runs:
        runs = [f"{raw['Name'][i]} at {asked.x} {columns.label(raw[asked.x][i])}" for i in raw.index]
    if asked.group:
        configs = _joined(raw, asked.group)
        return _ids(runs, configs, _places(raw, asked.seed, configs, x))
    if asked.seed is not None:
        equal = [
            run if math.isnan(at) else f"{asked.x} {at!r}" for run, at in zip(runs, x.tolist(), strict=True)
        ]
        return _ids(runs, equal, equal)
    if "config_id" not in raw:
        return _ids(runs, runs, runs)
    configs = labels(raw, "config_id")
    if "place_id" in raw:
        return _ids(runs, configs, labels(raw, "place_id"))
    return _ids(runs, configs, _places(raw, "seed" if "seed" in raw else None, configs, x))


def _ids(runs: Labels, configs: Labels, places: Labels) -> dict[str, Labels]:
    return {"run_id": runs, "config_id": configs, "place_id": places}


def doubts(raw: pd.DataFrame, asked: Asked, configs: Labels) -> list[str]:
    """In words where rows may belong together otherwise than was said."""
    if asked.group:
        return []
    if asked.seed is not None:
        same = int(pd.DataFrame({"c": configs, "s": labels(raw, asked.seed)}).duplicated().sum())
        return (
            _several(f"{same} of {len(raw)} rows have the {asked.x} and the {asked.seed} of another row")
            if same
            else []
        )
    if "config_id" in raw:
        return []
    found = []
    column = _id_column(raw)
    if column is not None and not raw[column].is_unique:
        found.append(
            f"{column} has {len(set(raw[column]))} values in {len(raw)} rows, and each row is taken for a "
            f"configuration of its own: say --group {column} if the rows of one belong together, or the "
            "intervals are too narrow"
        )
    found += [
        f"each row is taken for a configuration of its own: say --seed {name} if seeds repeat one"
        for name in map(str, raw.columns)
        if name.lower().rpartition(".")[2] == "seed" and len(set(raw[name])) > 1
    ]
    return found


def _several(what: str) -> list[str]:
    return [f"{what}: say --group for what makes a configuration"]


def _id_column(raw: pd.DataFrame) -> str | None:
    """The column that names runs: the first unique one, else the first."""
    by_name = {str(name).lower(): str(name) for name in raw.columns}
    found = [by_name[name] for name in _IDS if name in by_name and raw[by_name[name]].notna().all()]
    return next((name for name in found if raw[name].is_unique), found[0] if found else None)


def _joined(raw: pd.DataFrame, group: tuple[str, ...]) -> Labels:
    """The values of the group's columns, None where one is unknown."""
    parts = [labels(raw, name) for name in group]
    if len(parts) == 1:
        return parts[0]
    return [
        None if None in row else ", ".join(f"{name}={value}" for name, value in zip(group, row, strict=True))
        for row in zip(*parts, strict=True)
    ]


def _places(raw: pd.DataFrame, seed: str | None, configs: Labels, x: Array) -> Labels:
    """What seeds repeat: the configuration if it has each seed once, else the configuration at one x."""
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
    """Number the distinct scales among x (k,) from the least up; a scale spans at most SCALE_TOLERANCE."""
    scale = np.empty(len(x), dtype=np.intp)
    first, number = 0.0, -1
    for i in np.argsort(x, kind="stable"):
        if number < 0 or x[i] > first * (1 + SCALE_TOLERANCE):
            first, number = float(x[i]), number + 1
        scale[i] = number
    return scale
