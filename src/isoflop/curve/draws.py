"""The draws of a fit as one tidy table: parameters of each resample, and each law at each run.

One value a row, with the columns

    x, y      names of the axes; of a law in several resources, x joins their names by commas
    law       name of the law
    kind      parameter, prediction (y of the law at a run) or residual (ln of seen over predicted)
    draw      0 for the sample itself, 1 to r for its resamples
    name      of the parameter, or run_id
    at        x of the run; empty for parameters and for laws in several resources
    value     in the unit of the report
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isoflop import extras, record
from isoflop.curve.fit import FittedLaw
from isoflop.curve.joint.solve import Solved
from isoflop.table import csv_text

COLUMNS = ("x", "y", "law", "kind", "draw", "name", "at", "value")


def check(path: Path) -> None:
    """Raise ValueError where draws cannot be written to a path, before anything is fitted."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"{path}: give a file that ends in .csv or .parquet")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: give a file in a folder that exists")
    if path.suffix.lower() == ".parquet":
        extras.check(f"{path}: writing Parquet", "pyarrow")


@dataclasses.dataclass
class Draws:
    """Collects what a fit draws; `parts` are tables of COLUMNS, in the order of the fit."""

    parts: list[pd.DataFrame] = dataclasses.field(default_factory=list)

    def add(self, fitted: FittedLaw) -> None:
        """Add a law in one resource."""
        common = {"x": fitted.x, "y": fitted.y, "law": fitted.law}
        for each in fitted.parameters:
            # A reciprocal is drawn as its denominator, and reported as the number itself.
            values = 1.0 / each.draws if each.reciprocal else each.draws
            self._parameter(common, each.name, values)
        of_runs = {"draw": 0, "name": list(fitted.run_ids), "at": fitted.x_of_runs}
        residual = np.log(fitted.y_of_runs / fitted.fitted)
        self._add(common, {"kind": "prediction", **of_runs, "value": fitted.fitted})
        self._add(common, {"kind": "residual", **of_runs, "value": residual})

    def add_joint(self, solved: Solved) -> None:
        """Add a law in several resources."""
        common = {"x": ",".join(solved.resources), "y": solved.y, "law": solved.law.name}
        rows, parameters = solved.rows, solved.fitted.parameters
        for each in solved.law.describe(parameters, rows.log_x_max, solved.resources, solved.y):
            self._parameter(common, each.name, each.draws)
        residual = solved.fitted.residual
        of_runs = {"draw": 0, "name": list(rows.names), "at": np.nan}
        self._add(common, {"kind": "prediction", **of_runs, "value": rows.y / np.exp(residual)})
        self._add(common, {"kind": "residual", **of_runs, "value": residual})

    def table(self) -> pd.DataFrame:
        """Return all draws as one table of COLUMNS."""
        return pd.concat(self.parts, ignore_index=True) if self.parts else pd.DataFrame(columns=COLUMNS)

    def write(self, path: Path) -> None:
        """Write the table as CSV or Parquet, by the suffix, atomically. Raises OSError."""
        if path.suffix.lower() == ".parquet":
            record.write_bytes(path, self.table().to_parquet(index=False))
        else:
            record.write_bytes(path, csv_text.to_csv(self.table()).encode())

    def _parameter(self, common: dict[str, Any], name: str, values: Any) -> None:
        of = {"kind": "parameter", "draw": np.arange(len(values)), "name": name, "at": np.nan}
        self._add(common, {**of, "value": values})

    def _add(self, common: dict[str, Any], of: dict[str, Any]) -> None:
        self.parts.append(pd.DataFrame({**common, **of})[list(COLUMNS)])
