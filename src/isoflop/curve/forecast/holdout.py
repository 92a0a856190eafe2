"""Runs held out by a rule fixed beforehand: the rest is fitted, and its forecast is judged on them.

Where the forecast was written down before the held-out runs were trained (DIR/held_out.json), that is the one
judged: a fit made afterwards may rest on runs that were trained since, and on methods chosen since.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import frontier, points
from isoflop.curve.fit import Method, fit_all, fit_table
from isoflop.curve.language import law as language
from isoflop.curve.language import shapes
from isoflop.curve.result import Band, FitFile, FitReport, HeldOut, HeldOutRun
from isoflop.table import held_out, selection, target
from isoflop.table.held_out import Prediction

Array = npt.NDArray[np.float64]

OF_FRONTIER = "power_law_floor"
"""The law that predicts held-out runs of a frontier."""
MARGIN = 1.15
"""The band ends at MARGIN times the largest held-out x."""


def fit_and_judge(table: pd.DataFrame, expression: str, *, x: str, y: str, method: Method) -> FitReport:
    """Fit the rows that are not held out, and judge the forecast and its interval on those that are.

    Args:
        table: one row a run.
        expression: the rule.
        x, y: names of columns.
        method: how the rest is fitted.

    Raises:
        ValueError: the expression does not split the rows (selection.split); the rest cannot be fitted
            (fit.fit_table) or gives no forecast; no held-out row has x and y above 0.
    """
    parts = selection.split(table, expression)
    values_x, values_y = (points.numbers(parts.held_rows, name) for name in (x, y))
    usable = np.isfinite(values_x) & np.isfinite(values_y) & (values_x > 0) & (values_y > 0)
    if not usable.any():
        raise ValueError(f"--hold-out {expression}: no held-out row has {x} and {y} above 0")
    fitted = points.numbers(parts.fit_rows, x)
    largest = float(fitted[np.isfinite(fitted)].max(initial=0.0))
    ratio = float(values_x[usable].max()) / largest if largest > 0 else 1.0
    reach = dataclasses.replace(method, beyond=max(method.beyond, MARGIN * ratio))
    report = fit_table(parts.fit_rows, x=x, y=y, method=reach)
    law, band = _predicting(report)
    if band is None:
        raise ValueError(f"--hold-out {expression}: no forecast: {report.forecast_reason}")
    if method.of_frontier:
        report, usable = _on_frontier(report, table, parts.held_rows, usable)
        if not usable.any():
            raise ValueError(f"--hold-out {expression}: no held-out row is on the frontier of all rows")
    ids = [str(run_id) for run_id in parts.held_rows["run_id"][usable]]
    at = values_x[usable]
    met = _compare(expression, ids, at, values_y[usable], _read(band, at), report.x_max)
    met = dataclasses.replace(met, law=law)
    unknown = (f"--hold-out: {parts.unknown} rows whose value is unknown are in neither part",)
    return dataclasses.replace(
        report, held_out=met, warnings=(*report.warnings, *(unknown if parts.unknown else ()))
    )


def _predicting(report: FitReport) -> tuple[str, Band | None]:
    """Return what predicts held-out runs, and its band: the forecast; on the frontier, where there is none, a
    law that was chosen beforehand, the power law with a floor if it is fitted, else the first."""
    if report.forecast is not None:
        return held_out.FORECAST, report.forecast.band
    if report.of != "frontier" or not report.fits:
        return held_out.FORECAST, None
    law = next((fit for fit in report.fits if fit.law == OF_FRONTIER), report.fits[0])
    return law.law, law.band


def _on_frontier(
    report: FitReport, table: pd.DataFrame, held: pd.DataFrame, usable: npt.NDArray[np.bool_]
) -> tuple[FitReport, npt.NDArray[np.bool_]]:
    """Return the report, and which held-out rows a frontier is judged on: those that are efficient among all.

    Args:
        report: the fit, to which a note on the others is added.
        table: all rows.
        held: those held out (n).
        usable: which of them have x and y above 0, (n,).
    """
    values = pd.DataFrame({name: points.numbers(table, name) for name in (report.x, report.y)}, table.index)
    known = ((values > 0) & (values < np.inf)).all(axis=1)
    of = table["place_id"].fillna(table["config_id"]) if "place_id" in table else table["config_id"]
    means = values[known].groupby(of[known]).mean()
    efficient = set(means.index[frontier.frontier(means[report.x], means[report.y])])
    kept = usable & of[held.index].isin(efficient).to_numpy()
    others = int((usable & ~kept).sum())
    if others:
        note = f"{others} held-out runs are not on the frontier of all runs and are not judged"
        report = dataclasses.replace(report, warnings=(*report.warnings, note))
    return report, kept


def fit_sweep(
    rows: pd.DataFrame,
    *,
    source: str,
    method: Method,
    axes: Sequence[tuple[str, str]] | None = None,
    stored: Prediction | None = None,
) -> FitFile:
    """Fit a sweep's table as fit.fit_all does, and judge the prediction for the first report's axes on the
    runs that were held out before training, which no report fits.

    Judged is the stored prediction; that of this fit only where none was written, or for other axes. Of text,
    it is that of the joint law, where there is one.

    Args:
        rows: one a run.
        source: as the file names it.
        method: of the fits.
        axes: names of x and y of each report; None for those of the rows' domain.
        stored: what held_out.json predicts of the held-out runs, None if it does not.

    Raises: as fit.fit_all.
    """
    axes = target.axes(rows) if axes is None else axes
    x, y = axes[0]
    held = rows[held_out.mask(rows)]
    known = held[(held[x] > 0) & (held[y] > 0)] if x in rows and y in rows else held.iloc[:0]
    if known.empty:
        return fit_all(rows, source=source, method=method, axes=axes)
    at = points.numbers(known, x)
    fits = fit_all(rows, source=source, method=_reaching(rows, at, x, method), axes=axes)
    first = fits.reports[0]
    if stored is not None and (stored.x, stored.y) == (x, y):
        first = _with_stored(first, known, stored)
    else:
        first = _with_own(first, rows, known)
    return dataclasses.replace(fits, reports=(first, *fits.reports[1:]))


def _with_own(report: FitReport, rows: pd.DataFrame, known: pd.DataFrame) -> FitReport:
    """Return the report with the held-out rows of `known` judged by what is fitted to the others."""
    at, y = (points.numbers(known, name) for name in (report.x, report.y))
    predicted, _ = _by_joint_law(rows, known, report.x, report.y)
    law = held_out.FORECAST if predicted is None else language.LAW
    if predicted is None:
        if report.forecast is None:
            return report
        predicted = _at(report, at)
    ids = [str(run_id) for run_id in known["run_id"]]
    judged = _compare(held_out.EXPRESSION, ids, at, y, predicted, report.x_max)
    return dataclasses.replace(report, held_out=dataclasses.replace(judged, law=law))


def _by_joint_law(rows: pd.DataFrame, runs: pd.DataFrame, x: str, y: str) -> tuple[Array | None, str | None]:
    """Predict runs of text by the joint law of the others in parameters and bytes, both known beforehand.

    Args:
        rows: one row a run; those held out are not fitted.
        runs: the n runs, with the columns language.RESOURCES.
        x, y: the axes of the prediction.

    Returns:
        (n, 3) as `predict`; or None with the reason, which is None itself for images and other axes.
    """
    if (x, y) != (shapes.COMPUTE, shapes.BITS):
        return None, None
    at = runs.reindex(columns=list(language.RESOURCES)).to_numpy(float)
    if not (at > 0).all():
        return None, f"{' or '.join(language.RESOURCES)} of a held-out run is unknown"
    try:
        return language.predict_new_runs(rows, at), None
    except ValueError as error:
        return None, str(error)


def _with_stored(report: FitReport, known: pd.DataFrame, stored: Prediction) -> FitReport:
    """Return the report with the stored prediction judged on the held-out rows of `known`.

    Rows that were not predicted are judged by nothing, which a warning says.
    """
    by_id = {each.run_id: (each.y, each.new_low, each.new_high) for each in stored.points}
    ids = [str(run_id) for run_id in known["run_id"]]
    in_it = np.array([run_id in by_id for run_id in ids])
    without = int((~in_it).sum())
    if without:
        why = stored.reason or "their compute was unknown"
        warning = f"{without} held-out runs were trained without a prediction: {why}"
        report = dataclasses.replace(report, warnings=(*report.warnings, warning))
    if not in_it.any():
        return report
    by = "" if stored.law == held_out.FORECAST else f" by the joint law {stored.law}"
    expression = (
        f"{held_out.EXPRESSION}, predicted there{by} from {stored.fitted_points} points at "
        f"{stored.predicted_at}"
    )
    rows, ids = known[in_it], [run_id for run_id in ids if run_id in by_id]
    predicted = np.array([by_id[run_id] for run_id in ids])
    values = points.numbers(rows, stored.x), points.numbers(rows, stored.y)
    judged = _compare(expression, ids, *values, predicted, report.x_max)
    return dataclasses.replace(report, held_out=dataclasses.replace(judged, law=stored.law))


@dataclasses.dataclass(frozen=True)
class Predicted:
    """What a fit of the other runs says of n runs.

    Attributes:
        law: held_out.FORECAST, or the name of the joint law.
        law_reason: why no joint law predicted runs of text; None where it did, and for images.
        resources: the columns that the law was read at.
        at: their values (n, k).
        values: (n, 3): the prediction and the ends of the 95% interval for a new run.
    """

    law: str
    law_reason: str | None
    resources: tuple[str, ...]
    at: Array
    values: Array


def predict(rows: pd.DataFrame, runs: pd.DataFrame, *, x: str, y: str, method: Method) -> Predicted:
    """Predict y of runs: of text by the joint law, where the others carry one; else by their forecast over x.

    Args:
        rows: one row a run; those held out are not fitted.
        runs: the n runs, with the column x and, of text, language.RESOURCES.
        x, y: names of columns.
        method: of the fit over x.

    Raises:
        ValueError: the rows cannot be fitted (fit.fit_table) or give no forecast.
    """
    by_joint_law, reason = _by_joint_law(rows, runs, x, y)
    if by_joint_law is not None:
        at = runs[list(language.RESOURCES)].to_numpy(float)
        return Predicted(language.LAW, None, language.RESOURCES, at, by_joint_law)
    at = points.numbers(runs, x)
    report = fit_table(rows, x=x, y=y, method=_reaching(rows, at, x, method))
    if report.forecast is None:
        raise ValueError(f"no forecast of {y} against {x}: {report.forecast_reason}")
    return Predicted(held_out.FORECAST, reason, (x,), at[:, None], _at(report, at))


def _reaching(rows: pd.DataFrame, at: Array, x: str, method: Method) -> Method:
    """Return the method with bands that end beyond the largest of `at` (n,)."""
    fitted = points.numbers(rows[~held_out.mask(rows)], x)
    largest = float(fitted[np.isfinite(fitted)].max(initial=0.0))
    ratio = float(at.max()) / largest if largest > 0 else 1.0
    return dataclasses.replace(method, beyond=max(method.beyond, MARGIN * ratio))


def _at(report: FitReport, x: Array) -> Array:
    """Return (n, 3): the forecast at x (n,) and the ends of the interval for a new run."""
    assert report.forecast is not None
    return _read(report.forecast.band, x)


def _read(band: Band, x: Array) -> Array:
    """Return (n, 3): the curve of a band at x (n,) and the ends of the interval for a new run."""
    sides = (band.y, band.new_low, band.new_high)
    return np.column_stack([np.exp(np.interp(np.log(x), np.log(band.x), np.log(side))) for side in sides])


def _compare(expression: str, ids: list[str], x: Array, y: Array, predicted: Array, x_max: float) -> HeldOut:
    """Compare predictions with held-out runs.

    Args:
        expression: the rule.
        ids: run ids (n) of the held-out runs.
        x, y: their values (n,).
        predicted: (n, 3): the prediction, and the ends of the interval for a new run.
        x_max: largest x that was fitted.
    """
    middle, low, high = predicted.T
    rows = tuple(
        HeldOutRun(run_id, *(float(v) for v in values))
        for run_id, *values in zip(ids, x, y, middle, low, high, strict=True)
    )
    return HeldOut(
        expression=expression,
        runs=len(rows),
        log_rmse=float(np.sqrt(np.mean(np.log(middle / y) ** 2))),
        inside_new_run_interval=int(((low <= y) & (y <= high)).sum()),
        largest_ratio=float(x.max() / x_max),
        rows=rows,
    )
