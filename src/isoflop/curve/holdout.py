"""Runs held out by a rule fixed beforehand: the rest is fitted, and its forecast judged on them."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import points
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.result import FitReport, HeldOut, HeldOutRun

Array = npt.NDArray[np.float64]

OPERATORS: dict[str, Callable[[Array, float], Array]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_PART = re.compile(r"\s*(?P<name>[^<>=!]+?)\s*(?P<sign>>=|<=|==|!=|>|<)\s*(?P<value>[^<>=!\s]+)\s*")
MARGIN = 1.05


@dataclasses.dataclass(frozen=True)
class Condition:
    """One comparison of a column with a number."""

    name: str
    sign: str
    value: float


def parse(expression: str) -> tuple[Condition, ...]:
    """`train_gflops>1e6`, or several joined by `and`: conditions that all must hold.

    Raises:
        ValueError: it is no such expression.
    """
    found = []
    for part in re.split(r"\s+and\s+", expression):
        match = _PART.fullmatch(part)
        try:
            value = float(match["value"]) if match else np.nan
        except ValueError:
            value = np.nan
        if match is None or not np.isfinite(value):
            raise ValueError(
                f"--hold-out {expression}: give a column, one of {' '.join(OPERATORS)} and a number, such as "
                "'train_gflops>1e6'; join several by and"
            )
        found.append(Condition(match["name"], match["sign"], value))
    return tuple(found)


def held(table: pd.DataFrame, expression: str) -> npt.NDArray[np.bool_]:
    """Which rows the expression holds out (n,); rows whose value is unknown stay in.

    Raises:
        ValueError: not an expression, no such column, or all rows or none are held out.
    """
    mask = np.ones(len(table), dtype=bool)
    for condition in parse(expression):
        if condition.name not in table:
            close = points.nearest(condition.name, map(str, table.columns))
            raise ValueError(f"--hold-out {expression}: no column {condition.name}: {close}")
        mask &= OPERATORS[condition.sign](points.numbers(table, condition.name), condition.value)
    if mask.all() or not mask.any():
        raise ValueError(f"--hold-out {expression} holds out {'every row' if mask.all() else 'no row'}")
    return mask


def judged(table: pd.DataFrame, expression: str, *, x: str, y: str, method: Method) -> FitReport:
    """Fit the rows that are not held out, and judge the forecast and its interval on those that are.

    Raises:
        ValueError: as `held` and fit.fit_table; no held-out row can be used; the rest makes no forecast.
    """
    mask = held(table, expression)
    seen = table[mask]
    values_x, values_y = points.numbers(seen, x), points.numbers(seen, y)
    usable = np.isfinite(values_x) & np.isfinite(values_y) & (values_x > 0) & (values_y > 0)
    if not usable.any():
        raise ValueError(f"--hold-out {expression}: no held-out row has {x} and {y} above 0")
    largest = float(
        points.numbers(table[~mask], x)[np.isfinite(points.numbers(table[~mask], x))].max(initial=0.0)
    )
    ratio = float(values_x[usable].max() / largest) if largest > 0 else 1.0
    report = fit_table(
        table[~mask], x=x, y=y, method=dataclasses.replace(method, beyond=max(method.beyond, MARGIN * ratio))
    )
    if report.forecast is None:
        raise ValueError(f"--hold-out {expression}: no forecast: {report.forecast_reason}")
    ids = [str(run_id) for run_id in seen["run_id"][usable]]
    return dataclasses.replace(
        report, held_out=_judge(report, expression, ids, values_x[usable], values_y[usable])
    )


def _judge(report: FitReport, expression: str, ids: list[str], x: Array, y: Array) -> HeldOut:
    assert report.forecast is not None
    band = report.forecast.band
    middle, low, high = (
        np.exp(np.interp(np.log(x), np.log(band.x), np.log(side)))
        for side in (band.y, band.new_low, band.new_high)
    )
    rows = tuple(
        HeldOutRun(run_id, *(float(v) for v in values))
        for run_id, *values in zip(ids, x, y, middle, low, high, strict=True)
    )
    return HeldOut(
        expression=expression,
        runs=len(rows),
        log_rmse=float(np.sqrt(np.mean(np.log(middle / y) ** 2))),
        inside_new_run_interval=int(((low <= y) & (y <= high)).sum()),
        largest_ratio=float(x.max() / report.x_max),
        rows=rows,
    )
