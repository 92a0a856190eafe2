"""levers: each lever of a folder or table against its baseline, what it moves, saves and costs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, overload

import pandas as pd

from isoflop.api import lever_table, shown, written
from isoflop.api.arguments import check_resamples, named_as_in_python
from isoflop.api.load import Runs, origin_of
from isoflop.config import ConfigError
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.levers import compare as comparing
from isoflop.curve.levers.result import LeversReport
from isoflop.report.text import lever_sentences
from isoflop.table import aggregate, columns, external, formats
from isoflop.table import levers as table_levers
from isoflop.table.aggregate import RunTable
from isoflop.table.left_out import Excluded

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Levers:
    """What levers move, save and cost, each against the baseline.

    Shown in a notebook or printed, it says what `isoflop levers` does.

    Attributes:
        result: everything that `isoflop levers --json` writes (curve.levers.result.LeversReport).
    """

    result: LeversReport

    @property
    def table(self) -> pd.DataFrame:
        """A row a lever: lever, settings, runs, configurations, in_common, reason (why it is not compared),
        density, prior_share, trials; with own_ and total_ before them, moved, law, gain with low and high at
        the middle error, gain_largest and gain_least, b, b_low, b_high, b_p, b_smallest_seen; and for each
        known column its ratio to the baseline, COLUMN_ratio, with COLUMN_ratio_low and COLUMN_ratio_high."""
        return lever_table.table(self.result)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the table says, in three to six sentences."""
        return lever_sentences.sentences(self.result)

    def plot(self) -> Figure:
        """Draw the curves of all levers with the baseline's, and their gains. Returns the figure."""
        from isoflop.report.figures import levers as drawing

        return drawing.figure(self.result)

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop levers --json` writes, or write it to a file."""
        return written.as_json(self.result, path)

    def __repr__(self) -> str:
        """What was found, in plain text."""
        return shown.levers_text(self.result)


def levers(
    runs: Runs,
    *,
    y: str | None = None,
    where: str | None = None,
    law: str | None = None,
    mixed: bool = False,
    level: float = 0.95,
    resamples: int = 1000,
    seed_of_resamples: int = 0,
) -> Levers:
    """Compare each lever with the baseline, over own training compute and with prior work counted in.

    The numbers are those of `isoflop levers` with the options of these names. Nothing is printed or written.

    Args:
        runs: the folder of a sweep whose runs differ in `lever`, its table.csv, or such a table as a data
            frame.
        y: the error or loss; without it what the runs are judged on.
        where: only rows that meet this condition, such as "lever != 'muon'".
        law: of all curves: power_law or power_law_floor; with a floor where the runs call for it, without it.
        mixed: compare runs of several code versions, machines or data sets.
        level: share of truths that an interval should hold; tests are made at 1 - level.
        resamples: of intervals and tests, at least 100.
        seed_of_resamples: their seed.

    Raises:
        ValueError: no run has a lever or none is of the baseline, too few runs of it, or as `compare`. One
            line that says what to change.

    Examples:
        >>> import isoflop, pandas as pd
        >>> sizes = {"width": [8.0, 16, 32, 64], "depth": 1.0, "train_gflops": [1.0, 10, 100, 1000]}
        >>> old = pd.DataFrame(sizes).assign(lever="none", test_error=[0.40, 0.21, 0.101, 0.05])
        >>> new = pd.DataFrame(sizes).assign(lever="muon", test_error=[0.35, 0.17, 0.086, 0.043])
        >>> table = pd.concat([old, new], ignore_index=True)
        >>> table["config_id"] = table["run_id"] = table["lever"] + table["width"].astype(str)
        >>> isoflop.levers(table, resamples=199).table["lever"].tolist()
        ['muon']
    """
    with named_as_in_python():
        check_resamples(resamples)
        settings = Settings(law=law, resamples=resamples, seed=seed_of_resamples, level=level, mixed=mixed)
        settings.check()
        return Levers(comparing.compare(read(runs, y, where), settings))


def read(runs: Runs, y: str | None = None, where: str | None = None) -> comparing.Runs:
    """Return the runs of a folder, of its table as a file, or of a data frame.

    Args:
        runs: these.
        y: the column of the error or loss; None for what the runs are judged on.
        where: a condition on rows.

    Raises:
        ValueError: no such folder, file or column, or a table without a column of levers.
    """
    folder, source = None, "data frame"
    excluded: tuple[Excluded, ...] = ()
    if isinstance(runs, pd.DataFrame):
        origin = origin_of(runs)
        source = origin.source
        folder = Path(origin.source) if origin.folder else None
        excluded = RunTable(runs, origin.dropped).excluded
        rows = runs.reset_index(drop=True)
    elif isinstance(runs, (str, os.PathLike)):
        path = Path(runs)
        source = str(path)
        if path.is_dir():
            table = aggregate.aggregate(path)
            folder, rows, excluded = path, table.rows, table.excluded
        else:
            rows = formats.read_rows(path, external.CND).apply(columns.if_numbers).reset_index(drop=True)
    else:
        raise ConfigError(f"give a pandas DataFrame or a path: this is a {type(runs).__name__}")
    lacking = [
        name for name in ("run_id", "config_id", table_levers.OWN, table_levers.LEVER) if name not in rows
    ]
    if folder is None and lacking:
        raise ConfigError(
            f"{source}: no column {lacking[0]}: give the folder of a sweep with levers, or its table.csv; "
            "parts of another table are compared by isoflop compare --by"
        )
    return comparing.of_table(rows, source, folder, excluded=excluded, y=y, where=where)
