"""Fit: what fit returns. Predictions, parameters and draws as data frames, a figure, JSON, a short text."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.api import shown, written
from isoflop.api.arguments import in_python
from isoflop.api.rows import Rows
from isoflop.curve import draws as curve_draws
from isoflop.curve import fit as curve_fit
from isoflop.curve.fit import FittedLaw, Method
from isoflop.curve.result import Band, Estimate, FitFile, FitReport, Forecast
from isoflop.report.text import misfit, notes
from isoflop.table import columns, selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

FORECAST = "forecast"
"""Name of the average of the laws by their evidence, where a law is named."""
MARGIN = 1.0 + 1e-9
"""A band that ends at x is taken to hold it."""


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """Scaling laws of y against x with their intervals, and the forecast that averages them.

    Shown in a notebook or printed, it says what the first screen of `isoflop fit` says.

    Attributes:
        result: everything that was fitted, as `isoflop fit --json` writes it (curve.result.FitFile): one
            report a pair of axes. The other members are of the first.
    """

    result: FitFile
    _rows: Rows
    _laws: tuple[FittedLaw, ...]
    _method: Method
    _hold_out: str | None

    @property
    def report(self) -> FitReport:
        """The laws of the first pair of axes, with intervals, tests and warnings."""
        return self.result.reports[0]

    @property
    def x(self) -> str:
        """Column of what is spent."""
        return self.report.x

    @property
    def y(self) -> str:
        """Column of what falls."""
        return self.report.y

    @property
    def laws(self) -> tuple[str, ...]:
        """Names of the laws that were fitted."""
        return tuple(each.law for each in self.report.fits)

    @property
    def forecast(self) -> Forecast | None:
        """The average of the laws by their evidence: members with weights, band, how far ahead it was tested
        and how its intervals held. None where there is none (report.forecast_reason); `predict` reads it."""
        return self.report.forecast

    @property
    def parameters(self) -> pd.DataFrame:
        """Parameters of all laws: law, parameter, value, low, high, unit, rejected.

        `low` and `high` are the ends of the interval, NaN where it is unbounded. `alpha` is 1 / b of the
        power laws. `rejected` says that the points reject the law, so that none of its parameters may stand
        alone. `forecast` has the local exponent at the largest x.
        """
        made = [
            (law.law, each, misfit.rejected(law))
            for law in self.report.fits
            for each in (*law.parameters, *([law.paper_alpha] if law.paper_alpha is not None else []))
        ]
        if self.forecast is not None and self.forecast.local_exponent is not None:
            made.append((FORECAST, self.forecast.local_exponent, False))
        names = ("law", "parameter", "value", "low", "high", "unit", "rejected")
        return pd.DataFrame([_row(*each) for each in made], columns=pd.Index(names))

    @property
    def runs(self) -> pd.DataFrame:
        """The runs that are fitted: run_id, config_id (what is resampled together), x, y by their names."""
        out = {each.run_id for each in self.report.excluded}
        if self.report.held_out is not None:
            out |= {each.run_id for each in self.report.held_out.rows}
        table = self._rows.table
        names = list(dict.fromkeys(("run_id", "config_id", self.x, self.y)))
        used = table.loc[~table["run_id"].isin(out), names]
        return used[(used[self.x] > 0) & (used[self.y] > 0)].reset_index(drop=True)

    @property
    def excluded(self) -> pd.DataFrame:
        """Rows and records that are not fitted: run_id and reason."""
        left_out = dict.fromkeys((*self.report.excluded, *self.result.dropped))
        return pd.DataFrame([(each.run_id, each.reason) for each in left_out], columns=["run_id", "reason"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What to beware of, what changes the result most first; then why other axes could not be fitted, and
        what the checks found."""
        said = notes.ranked(notes.of_file(self.result))
        unfitted = (f"not fitted: {each.run_id}: {each.reason}" for each in self.result.unfitted)
        return tuple(map(in_python, (*(each.shown for each in said), *unfitted, *self.result.notes)))

    @functools.cached_property
    def draws(self) -> pd.DataFrame:
        """The bootstrap of all laws, one value a row, as `isoflop fit --draws` writes it: x, y, law, kind
        (parameter, prediction or residual), draw (0 is the sample itself), name, at, value."""
        collected = curve_draws.Draws()
        for law in self._laws:
            collected.add(law)
        return collected.table()

    def predict(self, x: float | Sequence[float] | npt.ArrayLike, *, law: str | None = None) -> pd.DataFrame:
        """Predict y at x, with intervals at the level of the fit.

        Args:
            x: where, in the unit of the fitted column: one number or many, none below the smallest run.
                Beyond ten times the largest run the curves are computed anew, which takes about as long as
                the fit.
            law: a law by its name; without it the forecast, or, where there is none, the power law with a
                floor if it was fitted, else the first law.

        Returns:
            One row an x: x; y, the curve; low to high, the interval of the mean; new_low to new_high, that
            of a new run.

        Raises:
            ValueError: an x that is not above 0 or lies below the smallest run, or no such law.
        """
        at = np.atleast_1d(np.asarray(x, dtype=float))
        self._check_x(at)
        band = self._band(law or self._predicting, float(at.max()))
        grid = np.log(band.x)
        sides = {"y": band.y, "low": band.low, "high": band.high}
        sides |= {"new_low": band.new_low, "new_high": band.new_high}
        curves = {name: np.exp(np.interp(np.log(at), grid, np.log(side))) for name, side in sides.items()}
        return pd.DataFrame({"x": at, **curves})

    def plot(self, ax: Axes | None = None, *, laws: Sequence[str] = ()) -> Axes:
        """Draw the runs and the curve with its bands (isoflop.plot_fit). Returns the axes."""
        from isoflop.api.figures import plot_fit

        return plot_fit(self, ax, laws=laws)

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop fit --json` writes, or write it to a file."""
        return written.as_json(self.result, path)

    def to_latex(self) -> str:
        """Return the parameters of all laws with their intervals as a LaTeX table (booktabs)."""
        from isoflop.report import latex

        return latex.of_fit(self.report)

    def __repr__(self) -> str:
        """What the first screen of `isoflop fit` says, in plain text."""
        return shown.fit_text(self.result)

    def _repr_html_(self) -> str:
        """The same as HTML, which notebooks show."""
        return shown.fit_html(self.result)

    @property
    def _predicting(self) -> str:
        """Name of the curve that predicts where no law is named."""
        from isoflop.report.figures.curves import main_fit

        if self.forecast is not None:
            return FORECAST
        main = main_fit(self.report)
        if main is None:
            raise ValueError("no law could be fitted, so that nothing can be predicted: see the notes")
        return main.law

    def _check_x(self, at: Array) -> None:
        if at.ndim != 1 or not len(at) or not bool((np.isfinite(at) & (at > 0)).all()):
            raise ValueError(f"x must be numbers above 0, in the unit of {self.x}")
        least = self.report.x_min
        if at.min() < least / MARGIN:
            raise ValueError(
                f"x = {at.min():g} lies below the smallest run, {self.x} {least:g}: curves begin there"
            )

    def _band(self, name: str, largest: float) -> Band:
        """Return a curve that reaches `largest`."""
        band = _band_of(self.report, name)
        if largest <= band.x[-1] * MARGIN:
            return band
        table = self._rows.table
        if self._hold_out is not None:
            table = selection.split(table, self._hold_out).fit_rows
        one_law = name if name != FORECAST else self.laws[0]
        beyond = 1.01 * largest / self.report.x_max
        method = dataclasses.replace(self._method, laws=(one_law,), forecast=name == FORECAST, beyond=beyond)
        return _band_of(curve_fit.fit_table(table, x=self.x, y=self.y, method=method), name)


def _row(law: str, each: Estimate, rejected: bool) -> tuple[str, str, float, float, float, str, bool]:
    low, high = (np.nan if end is None else end for end in (each.interval.low, each.interval.high))
    name = "alpha" if each.name == "paper_alpha" else each.name
    return law, name, each.value, low, high, each.unit, rejected


def _band_of(report: FitReport, name: str) -> Band:
    """Return the curve of a law, or of the forecast. Raises ValueError where there is no such curve."""
    if name == FORECAST:
        if report.forecast is None:
            raise ValueError(f"no forecast: {report.forecast_reason}")
        return report.forecast.band
    names = [each.law for each in report.fits]
    if name not in names:
        raise ValueError(f"no law {name} was fitted: {columns.nearest(name, [*names, FORECAST])}")
    return report.fits[names.index(name)].band
