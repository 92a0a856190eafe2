"""A sweep or another's table with the columns of its resources: those asked for, or those it is known by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from isoflop.curve import points
from isoflop.curve.joint import rows
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.table import aggregate, columns, external, formats, rule
from isoflop.table.external import CND, COUNTED, SWEEP

ROLE = {"n": "parameters", "d": "data", "width": "width", "depth": "depth"}
"""The option that names a column -> the role the column has in a law."""
DERIVED = "C/(6N)"
"""The column of data where a table has compute and parameters only: 6 FLOPs per parameter and token."""
JOULES = ("energy_joules", "net_joules", "host_joules")

_OF_CND = {"n": "N", "d": "D", "compute": "C", "y": "loss"}
_OF_SWEEP = {
    "n": "parameters",
    "d": "examples_seen",
    "width": "width",
    "depth": "depth",
    "compute": "train_gflops",
    "y": "test_error",
}


@dataclasses.dataclass(frozen=True)
class Read:
    """A table of runs as joint_rows.select takes it. `column`: by option n, d, width, depth and compute the
    column of the table, of those that are known; `sizes` are further ones. `warnings` say in words what is
    doubtful."""

    table: pd.DataFrame
    column: dict[str, str]
    sizes: tuple[str, ...]
    y: str
    warnings: tuple[str, ...]

    @property
    def chance(self) -> float | None:
        """The error of guessing, if y is an error and all rows agree on it."""
        known = set(self.table["chance_error"].dropna()) if "chance_error" in self.table else set()
        return float(known.pop()) if self.y == COUNTED and len(known) == 1 else None

    def split(self, expression: str) -> tuple[Read, pd.DataFrame]:
        """The rows to fit, and those that a rule holds out. ValueError as rule.parse and rule.split."""
        parts = rule.split(self.table, rule.parse(expression))
        unknown = (f"--hold-out: {parts.unknown} rows whose value is unknown are in neither part",)
        warnings = (*self.warnings, *(unknown if parts.unknown else ()))
        return dataclasses.replace(self, table=parts.fit_rows, warnings=warnings), parts.held_rows


def options_of(law: str) -> tuple[str, ...]:
    """The options that name the columns of a law's resources, in their order.

    Raises:
        ValueError: there is no such law in several resources.
    """
    if law not in JOINT_LAWS:
        raise ValueError(f"--law {law}: no such law in several resources: give {', '.join(JOINT_LAWS)}")
    option = {role: name for name, role in ROLE.items()}
    return tuple(option[role] for role in JOINT_LAWS[law].roles)


def read(
    path: Path,
    needed: tuple[str, ...],
    asked: Mapping[str, str | None],
    *,
    sizes: tuple[str, ...] = (),
    group: str | None = None,
    seed: str | None = None,
    chance: float | None = None,
    mixed: bool = False,
) -> Read:
    """The runs of a sweep's folder, or of a file as others.read reads it.

    Args:
        path: the folder, or the file.
        needed: the options whose columns have to be known; d follows from n and compute.
        asked: the column by option, and y's; None where the table is known by its columns.
        sizes: further columns that are fitted.
        group, seed, chance: as in others.read, but rows of equal resources are one configuration if `seed`
            is given without `group`.
        mixed: take runs of several versions of the code together.

    Raises:
        ValueError: a column is not named or is not there, and as aggregate, others.read and
            points.refuse_mixed.
        OSError: the file cannot be opened.
    """
    folder = path.is_dir()
    raw = aggregate.aggregate(path).rows if folder else formats.load(path)
    if formats.is_chart(raw):
        raise ValueError(f"{path}: a W&B chart has one resource only: export the table of runs")
    chosen = _choose(raw.columns, needed, asked)
    column = {name: columns.find(raw, chosen[name], name) for name in chosen}
    sizes = tuple(columns.find(raw, name, "isoflop") for name in sizes)
    y = column.pop("y")
    if energy := [name for name in (*column.values(), *sizes) if name in JOULES]:
        raise ValueError(f"{energy[0]} is graded, and its grades are read by --x {energy[0]} only")
    if folder:
        found = external.Read(_with_chance(raw, y, chance), "", y, (), str(path))
    else:
        derived = ("compute",) if "d" in needed and "d" not in column else ()
        fitted = tuple(column[name] for name in (*needed, *derived) if name in column) + sizes
        together = ",".join(fitted) if seed is not None else None
        x = column.get("compute", fitted[0])
        found = external.take(raw, path, x=x, y=y, group=group or together, seed=seed, chance=chance)
    if not mixed:
        points.refuse_mixed(found.table, "the resources")
    return _with_data(Read(found.table, column, sizes, found.y, found.warnings), needed)


def _choose(names: Iterable[str], needed: tuple[str, ...], asked: Mapping[str, str | None]) -> dict[str, str]:
    """The column of each option that is asked for, or that a table with these columns is known by."""
    here = set(map(str, names))
    known = _OF_CND if here == CND else _OF_SWEEP if here >= SWEEP else {}
    found = {option: name for option, name in known.items() if name in here}
    found |= {option: name for option, name in asked.items() if name is not None}
    derived = {"d"} if {"n", "compute"} <= set(found) else set()
    lacking = [f"--{name}" for name in (*needed, "y") if name not in found and name not in derived]
    lacking = ["--d (or --compute)" if name == "--d" and "n" in needed else name for name in lacking]
    if lacking:
        raise ValueError(f"say {' and '.join(lacking)}: the columns are {', '.join(map(str, names))}")
    return found


def _with_chance(table: pd.DataFrame, y: str, chance: float | None) -> pd.DataFrame:
    """The rows of a sweep with the error of guessing that is given in place of their own."""
    if chance is None:
        return table
    if y != COUNTED or not 0 < chance <= 1:
        raise ValueError(
            f"--chance {chance:g}: give the {COUNTED} of guessing, above 0 and at most 1, for it only"
        )
    return table.assign(chance_error=chance)


def _with_data(found: Read, needed: tuple[str, ...]) -> Read:
    """With D = C / 6N, as for Hoffmann et al. 2022, where data is needed and no column holds it."""
    if "d" not in needed or "d" in found.column:
        return found
    compute, n = (found.column[name] for name in ("compute", "n"))
    cost, size = (rows.column(found.table, name) for name in (compute, n))
    data = np.divide(cost, 6 * size, out=np.full(len(cost), math.nan), where=size > 0)
    word = f"data is {compute} / (6 {n}): 6 FLOPs per parameter and token, {compute} in FLOP"
    return dataclasses.replace(
        found,
        table=found.table.assign(**{DERIVED: data}),
        column=found.column | {"d": DERIVED},
        warnings=(*found.warnings, word),
    )


def companions(found: Read) -> tuple[str, ...]:
    """The columns of parameters and data that are known in all rows and are not sizes themselves."""
    named = [found.column[name] for name in ("n", "d") if name in found.column]
    return tuple(
        name for name in named if name not in found.sizes and (rows.column(found.table, name) > 0).all()
    )
