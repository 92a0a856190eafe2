"""load: the runs of a sweep's folder or of a file as a data frame."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from isoflop.api.arguments import named_as_in_python, prices
from isoflop.api.rows import Choice, Rows, of_file, of_raw, of_sweep
from isoflop.config import ConfigError
from isoflop.table import aggregate, columns, external, formats
from isoflop.table.aggregate import Dropped, RunTable

Runs: TypeAlias = "pd.DataFrame | str | os.PathLike[str]"
"""What the functions of the API take: a data frame, or the path of a folder or file, which they load."""

ATTRIBUTE = "isoflop"
"""Key of DataFrame.attrs under which a loaded table says where it is from (Origin)."""
UNNAMED = "data frame"
"""Source of a table of which no file is known."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a table is from.

    Attributes:
        source: the folder or file; UNNAMED for a data frame of the user's own.
        folder: whether it is the folder of a sweep.
        dropped: records of the folder that gave no row.
        cost: sets of prices, or their files, that the folder's runs are priced by.
    """

    source: str
    folder: bool
    dropped: tuple[Dropped, ...] = ()
    cost: tuple[str, ...] = ()

    def as_attribute(self) -> dict[str, Any]:
        """Return it in plain types: pandas compares and copies attributes."""
        return {
            "source": self.source,
            "folder": self.folder,
            "dropped": [[each.run_id, each.state, each.reason] for each in self.dropped],
            "cost": list(self.cost),
        }


def load(source: str | os.PathLike[str], *, cost: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Return runs as a data frame, one row a run.

    Of a folder of `isoflop sweep` it is the table of its finished runs that `isoflop aggregate` makes: units
    are in the names of its columns, what is unknown is NaN. Of a file it is its rows as `isoflop fit` reads
    them: CSV, TSV, Parquet, JSON, JSON lines or a W&B export, with numbers as floats.

    The frame remembers its source (`frame.attrs`), so that `isoflop.fit` names it in messages and finds what
    stands beside the records of a sweep. Rows may be chosen and columns added before it is fitted.

    Args:
        source: the folder of a sweep, or a file.
        cost: of a folder, sets of prices such as "us_2023", or YAML files of prices, that its runs are priced
            by; the columns are dollars and grams_co2.

    Raises:
        ValueError: no such folder or file, no finished record, no such prices, or the file does not parse.
            One line that says what to change.
        OSError: it cannot be opened.

    Examples:
        >>> import isoflop
        >>> runs = isoflop.load("results/digits-cpu")
        >>> runs[["label", "train_gflops", "test_error"]].head(2)  # doctest: +SKIP
    """
    path = Path(source)
    with named_as_in_python():
        if path.is_dir():
            table = aggregate.aggregate(path, prices(cost))
            sets = (cost,) if isinstance(cost, str) else tuple(cost or ())
            frame, origin = table.rows.copy(), Origin(str(path), True, table.dropped, sets)
        else:
            _refuse_prices(cost is not None, path)
            raw = formats.read_rows(path, external.CND)
            frame, origin = raw.apply(columns.if_numbers), Origin(str(path), False)
    frame.attrs[ATTRIBUTE] = origin.as_attribute()
    return frame


def origin_of(frame: pd.DataFrame) -> Origin:
    """Return where a data frame is from, as `load` noted it; else it is the user's own.

    So is what is left of a sweep's table without the columns that make it one.
    """
    noted = frame.attrs.get(ATTRIBUTE)
    if not isinstance(noted, dict):
        return Origin(UNNAMED, False)
    if noted["folder"] and not set(map(str, frame.columns)) >= external.SWEEP:
        return Origin(UNNAMED, False)
    dropped = tuple(Dropped(*each) for each in noted["dropped"])
    return Origin(noted["source"], noted["folder"], dropped, tuple(noted["cost"]))


def rows_of(runs: Runs, choice: Choice, *, custom: bool) -> tuple[Rows, Origin]:
    """Return the rows that are chosen, and where they are from.

    Args:
        runs: a data frame, or what `load` takes.
        choice: columns and rows.
        custom: of a sweep, one pair of axes instead of all.

    Raises:
        ValueError: neither a data frame nor a path, or as `load`, external.to_runs and selection.where.
    """
    if not isinstance(runs, pd.DataFrame):
        path = _path(runs)
        if not path.is_dir():  # with x and y known, rows and columns of JSON can be told apart
            return of_file(path, choice), Origin(str(path), False)
        table = aggregate.aggregate(path, choice.prices)
        choice.refuse_own()
        return of_sweep(table, path, choice, custom=custom), Origin(str(path), True, table.dropped)
    origin = origin_of(runs)
    source = Path(origin.source)
    if origin.folder:
        _refuse_prices(choice.prices is not None, source)
        choice.refuse_own()
        table = RunTable(runs.reset_index(drop=True), origin.dropped, prices(origin.cost or None))
        return of_sweep(table, source, choice, custom=custom), origin
    try:
        raw = formats.of_frame(runs)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return of_raw(raw, source, choice), origin


def _refuse_prices(given: bool, source: Path) -> None:
    """Raise ConfigError for prices that come too late, or of a file, whose columns `fit` names."""
    if given:
        raise ConfigError(
            f"--cost: give it where runs are read from records: load(folder, cost=...), not {source}"
        )


def _path(runs: object) -> Path:
    if isinstance(runs, (str, os.PathLike)):
        return Path(runs)
    raise ValueError(
        f"give a pandas DataFrame, or the path of a folder or file: this is a {type(runs).__name__}"
    )
