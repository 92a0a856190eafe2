"""A sweep, or a table from elsewhere, with the columns of its resources: those named, or those recognised."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from isoflop.config.costs import Prices
from isoflop.curve import graded, points
from isoflop.curve.joint import data_grid, repeated, rows
from isoflop.curve.joint.laws import JOINT_LAWS, UNIQUE
from isoflop.curve.laws import LAWS
from isoflop.curve.result import Excluded
from isoflop.table import (
    aggregate,
    categories,
    derived,
    external,
    formats,
    grouping,
    levers,
    pricing,
    selection,
    target,
)
from isoflop.table.external import CND, COUNTED, SWEEP

ROLE = {"n": "parameters", "d": "data", "unique": UNIQUE, "width": "width", "depth": "depth"}
"""Option that names a column -> role of the column in a law."""
DERIVED = "C/(6N)"
"""The column of data where a table has compute and parameters only: 6 FLOPs per parameter and token."""
JOULES = graded.JOULES | {"host_joules"}

_OF_CND = {"n": "N", "d": "D", "compute": "C", "y": "loss"}
_OF_SWEEP = {
    "d": "examples_seen",
    "unique": "train_n",
    "width": "width",
    "depth": "depth",
    "compute": "train_gflops",
}
"""As _OF_CND; n and y follow from the domain of the runs."""


@dataclasses.dataclass(frozen=True)
class ResourceTable:
    """A table of runs as joint_rows.select takes it.

    Attributes:
        table: one row a run.
        column: option (n, d, width, depth, compute) -> column of the table, for those that are known.
        sizes: further columns that are fitted.
        y: column of the error or loss.
        warnings: about the table.
        excluded: rows that the table leaves out.
        groups: values of the column by which the rows are to be divided, also those that no row has.
    """

    table: pd.DataFrame
    column: dict[str, str]
    sizes: tuple[str, ...]
    y: str
    warnings: tuple[str, ...]
    excluded: tuple[Excluded, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def chance(self) -> float | None:
        """The error of guessing if y is an error and all rows agree on it, else None."""
        known = set(self.table["chance_error"].dropna()) if "chance_error" in self.table else set()
        return float(known.pop()) if self.y == COUNTED and len(known) == 1 else None

    def split(self, expression: str) -> tuple[ResourceTable, pd.DataFrame]:
        """Return the rows to fit and those that a rule holds out. ValueError as selection.split."""
        parts = selection.split(self.table, expression)
        unknown = (f"--hold-out: {parts.unknown} rows whose value is unknown are in neither part",)
        warnings = (*self.warnings, *(unknown if parts.unknown else ()))
        return dataclasses.replace(self, table=parts.fit_rows, warnings=warnings), parts.held_rows

    def without(self, left: Sequence[Excluded]) -> ResourceTable:
        """Return the table without these runs, which are excluded with a warning that names them."""
        ids = [each.run_id for each in left]
        kept = self.table[~self.table["run_id"].isin(ids)].reset_index(drop=True)
        warning = f"left out: {', '.join(ids)}: {left[0].reason}"
        return dataclasses.replace(
            self, table=kept, warnings=(*self.warnings, warning), excluded=(*self.excluded, *left)
        )


def options_of(law: str) -> tuple[str, ...]:
    """Return the options that name the columns of a law's resources, in their order.

    Raises:
        ValueError: there is no such law in several resources.
    """
    if law in LAWS:
        raise ValueError(f"--law {law}: it is a law in one resource: say --laws {law}, with --x and --y")
    if law not in JOINT_LAWS:
        raise ValueError(f"--law {law}: no such law in several resources: give {', '.join(JOINT_LAWS)}")
    option = {role: name for name, role in ROLE.items()}
    return tuple(option[role] for role in JOINT_LAWS[law].inputs)


def read_resources(
    path: Path,
    needed: tuple[str, ...],
    options: Mapping[str, str | None],
    *,
    sizes: tuple[str, ...] = (),
    group: str | None = None,
    seed: str | None = None,
    chance: float | None = None,
    mixed: bool = False,
    where: str | None = None,
    by: str | None = None,
    y_unit: str | None = None,
    prices: Prices | None = None,
) -> ResourceTable:
    """Return the runs of a sweep's folder, or of a file that external.read_runs can read.

    Args:
        path: the folder or the file.
        needed: options whose columns must be known; d follows from n and compute.
        options: option (and y) -> name of its column or an expression of columns, None for the one that the
            table is recognised by.
        sizes: further columns that are fitted, or expressions.
        group, seed, chance: as in external.read_runs, but rows of equal resources are one configuration if
            `seed` is given without `group`.
        mixed: accept runs of several versions of the code.
        where: a condition (selection.where): only rows that meet it are read.
        by: a column whose values, before `where`, are the groups.
        y_unit: as in external.read_runs.
        prices: adds the columns dollars and grams_co2.

    Raises:
        ValueError: a column is not named or is missing, and as aggregate.aggregate, external.read_runs and
            points.refuse_mixed.
        OSError: the file cannot be opened.
    """
    swept = aggregate.aggregate(path, prices) if path.is_dir() else None
    wanted = [name for name in options.values() if name is not None]
    raw = formats.read_rows(path, wanted) if swept is None else swept.rows
    if formats.is_chart(raw):
        raise ValueError(f"{path}: a W&B chart has one resource only: export the table of runs")
    raw = raw if prices is None or swept is not None else pricing.price_rows(raw, prices)
    column_names = _choose(raw, path, needed, options)
    warnings: tuple[str, ...] = ()
    counts_new = {"n", "d"} <= set(needed) and "unique" not in needed
    if counts_new and options.get("d") is None and data_grid.is_grid(raw):
        # Every data set is passed over equally often: what varies is how many images there are.
        column_names["d"] = data_grid.DATA
        warnings = (f"data is {data_grid.DATA}: sizes and data sets are crossed, with equal epochs",)
    column: dict[str, str] = {}
    for option, name in column_names.items():
        raw, column[option] = derived.resolve(raw, name, option)
    found: list[str] = []
    for name in sizes:
        raw, size = derived.resolve(raw, name, "isoflop")
        found.append(size)
    sizes, y = tuple(found), column.pop("y")
    named = (*column.values(), *sizes)
    _refuse_graded(raw, named)
    if swept is not None:
        kept, of_where = selection.where(_with_chance(raw, y, chance), where)
        one = levers.one_arm(kept, path, by)
        table, numbers = one.rows.reset_index(drop=True), tuple(range(1, len(one.rows) + 1))
        groups = grouping.values(raw, by) if by is not None else ()
        said = (*of_where, *one.notes)
        runs = external.ExternalRuns(table, "", y, said, swept.excluded, str(path), numbers, groups)
    else:
        of_data = ("compute",) if "d" in needed and "d" not in column else ()
        fitted = tuple(column[name] for name in (*needed, *of_data) if name in column) + sizes
        together = ",".join(fitted) if seed is not None else None
        x = column.get("compute", fitted[0])
        runs = external.to_runs(
            *(raw, path),
            x=x,
            y=y,
            group=group or together,
            seed=seed,
            chance=chance,
            where=where,
            by=by,
            y_unit=y_unit,
        )
    if not mixed:
        points.refuse_mixed(runs.table, "the resources")
    notes = (*runs.warnings, *warnings, *categories.differing(runs.table, {by} if by is not None else ()))
    read = ResourceTable(runs.table, column, sizes, runs.y, notes, runs.excluded, runs.groups)
    return _with_data(read, needed)


def _refuse_graded(raw: pd.DataFrame, named: tuple[str, ...]) -> None:
    """Raise ValueError where a column follows from joules, whose grades a law in one resource reads."""
    for name in named:
        energy = sorted(derived.behind(raw, name) & JOULES)
        if energy:
            raise ValueError(f"{energy[0]} is graded, and its grades are read by --x {energy[0]} only")
        if graded.of_energy(raw, name).any():
            raise ValueError(
                f"{name} is priced by joules, which are graded, and their grades are read by --x {name} only"
            )


def _choose(
    raw: pd.DataFrame, path: Path, needed: tuple[str, ...], options: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the column of each option: the one that is named, or that the table of `path` is known by."""
    names, judged_on = raw.columns, target.of(raw, path)
    available = set(map(str, names))
    of_sweep = _OF_SWEEP | {"n": judged_on.size, "y": judged_on.y}
    known = _OF_CND if available == CND else of_sweep if available >= SWEEP else {}
    chosen = {option: name for option, name in known.items() if name in available}
    chosen |= {option: name for option, name in options.items() if name is not None}
    calculated = {"d"} if {"n", "compute"} <= set(chosen) else set()
    lacking = [f"--{name}" for name in (*needed, "y") if name not in chosen and name not in calculated]
    lacking = ["--d (or --compute)" if name == "--d" and "n" in needed else name for name in lacking]
    if lacking:
        raise ValueError(f"say {' and '.join(lacking)}: the columns are {', '.join(map(str, names))}")
    return chosen


def _with_chance(table: pd.DataFrame, y: str, chance: float | None) -> pd.DataFrame:
    """Return the rows of a sweep with `chance`, if given, as their error of guessing."""
    if chance is None:
        return table
    if y != COUNTED or not 0 < chance <= 1:
        raise ValueError(
            f"--chance {chance:g}: give the {COUNTED} of guessing, above 0 and at most 1, for it only"
        )
    return table.assign(chance_error=chance)


def _with_data(runs: ResourceTable, needed: tuple[str, ...]) -> ResourceTable:
    """Add D = C / 6N (Hoffmann et al. 2022) if data is needed and no column holds it."""
    if "d" not in needed or "d" in runs.column:
        return runs
    compute, n = (runs.column[name] for name in ("compute", "n"))
    cost, size = (rows.column(runs.table, name) for name in (compute, n))
    data = np.divide(cost, 6 * size, out=np.full(len(cost), math.nan), where=size > 0)
    warning = f"data is {compute} / (6 {n}): 6 FLOPs per parameter and token, {compute} in FLOP"
    return dataclasses.replace(
        runs,
        table=runs.table.assign(**{DERIVED: data}),
        column=runs.column | {"d": DERIVED},
        warnings=(*runs.warnings, warning),
    )


def companions(runs: ResourceTable) -> tuple[str, ...]:
    """Return the columns of parameters and data that are known in all rows and are not sizes themselves."""
    named = [runs.column[name] for name in ("n", "d") if name in runs.column]
    return tuple(
        name for name in named if name not in runs.sizes and (rows.column(runs.table, name) > 0).all()
    )


def data_companion(runs: ResourceTable) -> str | None:
    """Return the column of data if it is one of the companions."""
    data = runs.column.get("d")
    return data if data in companions(runs) else None


def note_on_repeats(runs: ResourceTable, needed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the warning that a law counts repeats as new data, where it does and passes vary."""
    if "d" not in needed or "unique" in needed or not {"d", "unique"} <= set(runs.column):
        return ()
    seen, unique = (rows.column(runs.table, runs.column[name]) for name in ("d", "unique"))
    passes = (seen / unique)[(seen > 0) & (unique > 0)]
    if not len(passes) or repeated.why_none(np.maximum(passes, 1.0)) is not None:
        return ()
    return (
        f"examples were seen up to {passes.max():.3g} times, and a repeat counts as a new one here: --law "
        "chinchilla_repeated fits what repeats are worth",
    )
