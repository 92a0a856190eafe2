"""The arms of a comparison: sweeps, files or data frames, or the parts of one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from isoflop.api import rows as api_rows
from isoflop.api.load import Origin, origin_of
from isoflop.api.rows import Choice
from isoflop.config import ConfigError
from isoflop.curve.compare.arms import ArmRuns
from isoflop.table import aggregate, canonical, columns, derived, external, formats, levers, selection, target
from isoflop.table.left_out import Excluded

MOST_ARMS = 8
"""Values of `by` beyond which a column is no choice of recipes."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the runs of an arm come from.

    Attributes:
        name: of the arm.
        source: of its runs, in messages.
        rows: the table of a sweep, or the raw rows of a file or data frame (formats.read_rows).
        folder: whether they are records of a sweep.
        excluded: records that gave no row.
    """

    name: str
    source: Path
    rows: pd.DataFrame
    folder: bool
    excluded: tuple[Excluded, ...] = ()


def of_path(name: str, path: Path, choice: Choice) -> Source:
    """Return a source that is a sweep's folder or a file. Raises as `load`."""
    if path.is_dir():
        table = aggregate.aggregate(path, choice.prices)
        return Source(name, path, table.rows, True, table.excluded)
    wanted = [each for each in (choice.x, choice.y) if each is not None] or external.CND
    return Source(name, path, formats.read_rows(path, wanted), False)


def of_frame(name: str, frame: pd.DataFrame) -> Source:
    """Return a source that is a data frame, such as load returns. Raises ValueError."""
    origin: Origin = origin_of(frame)
    if origin.folder:
        table = aggregate.RunTable(frame.reset_index(drop=True), origin.dropped)
        return Source(name, Path(origin.source), table.rows, True, table.excluded)
    try:
        return Source(name, Path(name), formats.of_frame(frame), False)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def arm(source: Source, choice: Choice, exclude: str | None) -> ArmRuns:
    """Return the runs of a whole source.

    Args:
        source: the runs.
        choice: columns and rows.
        exclude: as api.rows.left_out takes it.

    Raises:
        ValueError: as external.to_runs and derived.resolve.
    """
    if not source.folder:
        return _of_raw(source, source.name, source.rows, choice, exclude)
    kept, notes = _where(source, choice.where)
    one = levers.one_arm(kept, source.source)
    rows = one.rows.reset_index(drop=True)
    made = _of_records(source.name, rows, source.excluded, choice, exclude)
    return _with(made, notes=(*notes, *one.notes))


def split(source: Source, choice: Choice, exclude: str | None, baseline: str | None) -> list[ArmRuns]:
    """Return an arm for each value of choice.by, the baseline first.

    Args:
        source: the runs.
        choice: columns and rows.
        exclude: as api.rows.left_out takes it.
        baseline: the value that is the baseline; None for the least.

    Raises:
        ConfigError: the column has one value or too many, or the baseline is none of them.
    """
    assert choice.by is not None
    excluded = list(source.excluded)
    kept, _ = _where(source, choice.where)
    try:
        by = columns.find(kept, choice.by, "by")
    except ValueError as error:
        raise ConfigError(f"{source.source}: {error}") from error
    one = levers.one_arm(kept, source.source, by) if source.folder else levers.OneArm(kept)
    kept = one.rows
    labels = [columns.label(value) for value in kept[by]]
    names = _order({label for label in labels if label is not None}, baseline, source.source, by)
    unknown = [i for i, label in enumerate(labels) if label is None]
    run_ids = kept["run_id"].astype(str).tolist() if source.folder else [f"row {i}" for i in kept.index]
    excluded += [Excluded(run_ids[i], f"unknown {by}, by which the runs are split") for i in unknown]
    in_group = dataclasses.replace(choice, where=None, group=_without(choice.group, by))
    arms = []
    for name in names:
        part = kept[[label == name for label in labels]]
        left = excluded if name == names[0] else []  # named once
        called = name if _ascending(name)[0] else f"{by}={name}"
        if source.folder:
            made = _of_records(called, part.reset_index(drop=True), left, choice, exclude)
        else:
            made = _with(_of_raw(source, called, part, in_group, exclude), excluded=left)
        before = sum(columns.label(value) == name for value in source.rows[by])
        said = [f"--where {choice.where}: {len(part)} of {before} rows"] if choice.where else []
        arms.append(_with(made, notes=(*said, *(one.notes if name == names[0] else ()))))
    return arms


def _where(source: Source, condition: str | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows that `condition` keeps, and a note on how many these are."""
    try:
        return selection.where(source.rows, condition)
    except ValueError as error:
        raise ConfigError(f"{source.source}: {error}") from error


def _of_records(
    name: str, rows: pd.DataFrame, excluded: Iterable[Excluded], choice: Choice, exclude: str | None
) -> ArmRuns:
    """Return an arm of rows of a sweep's table.

    Args:
        name: of the arm.
        rows: the table, or a part of it.
        excluded: records that gave no row.
        choice: columns.
        exclude: as api.rows.left_out takes it.
    """
    rows, x = derived.resolve(rows, choice.x or "train_gflops", "x")
    rows, y = derived.resolve(rows, choice.y or target.of(rows, name).y, "y")
    if choice.chance is not None and y.endswith("_error"):
        rows = rows.assign(chance_error=choice.chance)
    return ArmRuns(name, rows, x, y, tuple(excluded), api_rows.left_out(exclude, rows))


def _of_raw(source: Source, name: str, raw: pd.DataFrame, choice: Choice, exclude: str | None) -> ArmRuns:
    """Return an arm of rows of a file or data frame.

    Args:
        source: of the rows.
        name: of the arm.
        raw: the rows, or a part of them.
        choice: columns; its condition is on `raw`.
        exclude: as api.rows.left_out takes it.
    """
    own = api_rows.external_runs(raw, source.source, choice)
    left_out: Sequence[Excluded] = ()
    if exclude is not None:
        left_out = api_rows.left_out(exclude, canonical.canonical(own, {})[0])
    return ArmRuns(name, own.table, own.x, own.y, own.excluded, tuple(left_out), own.warnings)


def _with(made: ArmRuns, *, excluded: Iterable[Excluded] = (), notes: Iterable[str] = ()) -> ArmRuns:
    """Return an arm with more rows that were left out, and notes before its warnings."""
    return dataclasses.replace(made, excluded=(*made.excluded, *excluded), warnings=(*notes, *made.warnings))


def _without(group: str | None, by: str) -> str | None:
    """Return `group` without the column of `by`, in which the configurations that pair up differ."""
    if group is None:
        return None
    names = [name.strip() for name in group.split(",") if name.strip() != by]
    if not names:
        raise ConfigError(
            f"--group {group} is the column of --by: group by what the arms share, such as a shape"
        )
    return ",".join(names)


def _order(names: set[str], baseline: str | None, source: Path, by: str) -> list[str]:
    """Return the values of `by` in ascending order, the baseline first."""
    if len(names) < 2:
        only = f"only the value {min(names)}" if names else "no known value"
        raise ConfigError(f"{source}: --by {by}: the column has {only}: there is nothing to compare")
    if len(names) > MOST_ARMS:
        raise ConfigError(
            f"{source}: --by {by}: the column has {len(names)} values: give one with at most {MOST_ARMS}, "
            "such as that of the recipe"
        )
    order = sorted(names, key=_ascending)
    if baseline is None:
        return order
    if baseline not in names:
        raise ConfigError(f"--baseline {baseline}: {by} is one of {', '.join(order)}")
    return [baseline, *(name for name in order if name != baseline)]


def _ascending(name: str) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by size, before text."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name
