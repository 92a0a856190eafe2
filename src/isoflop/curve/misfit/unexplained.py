"""What a table's fit leaves unexplained, put together for its report.

The largest configurations, the columns beside x, the exponent at the largest x, and the sentences on them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.laws import LAWS, PLAIN, FitOptions, Law
from isoflop.curve.misfit import late, local_exponent
from isoflop.curve.misfit.determination import determination
from isoflop.curve.misfit.local_exponent import CurveDraws
from isoflop.curve.observations import Observations
from isoflop.curve.points import Points
from isoflop.curve.predict import Sample
from isoflop.curve.result import (
    Determination,
    Estimate,
    Forecast,
    Interval,
    LateDeviation,
    LawFit,
    LocalExponent,
)

Array = npt.NDArray[np.float64]

MAY_BEND = ("power_law_floor", "m3", "m4", "broken_power_law")
"""Laws whose local exponent changes with x."""
AHEAD = 10.0
LEAST_WEIGHT = 0.01
"""A law of less weight in the forecast is not named as one that it averages."""
TRAIN_LOSS = "train_loss"
OF_SIZE = frozenset(
    {
        *("width", "depth", "parameters", "params", "d_model", "n_layer", "n_layers", "layers", "n"),
        *("examples_seen", "tokens", "d", "train_n", "data_fraction", "epochs", "batch_size", "model size"),
    }
)
"""Columns of size and data, in lower case: what they explain is how compute is spent."""


@dataclasses.dataclass(frozen=True)
class Unexplained:
    """What the rows of a fit say beside its laws; each is None where there are too few rows."""

    late: LateDeviation | None
    determination: Determination | None


NONE = Unexplained(None, None)
"""Of rows that were not asked."""


def means_of(chosen: Points, sample: Sample) -> Observations:
    """Return the configuration means that the sample's fit uses: all, or those on the frontier."""
    if not sample.of_frontier:
        return chosen.means
    keep = np.zeros(len(chosen.means.x), dtype=bool)
    keep[chosen.mean_of[sample.weights[0] > 0]] = True
    return chosen.means.take(keep)


def exponent_at_end(
    fitted: Sequence[tuple[LawFit, Array]], forecast: Forecast | None, configs: int, level: float
) -> LocalExponent | None:
    """Return the exponent at the largest x: the forecast's, or without one that of the laws that may bend.

    The laws then weigh the same; None without any.

    Args:
        fitted: each law's fit with its parameters (1 + r, p).
        forecast: the predictive distribution.
        configs: number of configurations.
        level: of the interval without a forecast; the forecast has its own.
    """
    if forecast is not None and forecast.local_exponent is not None:
        counted = (member.law for member in forecast.members if member.weight >= LEAST_WEIGHT)
        return local_exponent.of_estimate(forecast.local_exponent, tuple(dict.fromkeys(counted)))
    bending = [(fit, parameters) for fit, parameters in fitted if fit.law in MAY_BEND]
    if not bending:
        return None
    curves: list[CurveDraws] = [
        functools.partial(LAWS[fit.law].log_predict, parameters) for fit, parameters in bending
    ]
    averaged = local_exponent.mixture(curves, [1.0] * len(bending))
    return local_exponent.local_exponent(averaged, configs, tuple(fit.law for fit, _ in bending), level)


def unexplained(table: pd.DataFrame, chosen: Points, x: str, y: str, options: FitOptions) -> Unexplained:
    """Return what the rows of a fit say beside its laws.

    Args:
        table: one row a run.
        chosen: the points of the fit.
        x, y: names of the columns of the axes.
        options: how the laws are fitted.
    """
    means = chosen.means
    settings = _settings(_rows(table, chosen), chosen)
    return Unexplained(
        late_of(table, chosen, options) if options.quantile is None else None,
        determination(settings, x, y, np.log(means.x), means.log_y),
    )


def _rows(table: pd.DataFrame, chosen: Points) -> pd.DataFrame:
    """Return the rows of the runs of a fit, in their order."""
    rows = table.set_index(table["run_id"].astype(str))
    return rows[~rows.index.duplicated()].loc[list(chosen.run_ids)]


def _settings(rows: pd.DataFrame, chosen: Points) -> pd.DataFrame:
    """Return one row a configuration mean, without the columns that vary within one."""
    first = rows.groupby(chosen.mean_of).head(1)
    index = chosen.mean_of[rows.index.get_indexer(first.index)]
    settings = first.iloc[np.argsort(index)]
    again = settings.iloc[chosen.mean_of].set_index(rows.index)
    same = [bool(((again[name] == rows[name]) | again[name].isna()).all()) for name in rows]
    return settings.loc[:, same]


def late_of(table: pd.DataFrame, chosen: Points, options: FitOptions = PLAIN) -> LateDeviation | None:
    """Return the largest configurations beside the curve of the others; None for too few.

    Args:
        table: one row a run.
        chosen: the points.
        options: how the laws are fitted.
    """
    means, rows = chosen.means, _rows(table, chosen)
    order = np.argsort(-means.v, kind="stable")[-late.MOST_CONFIGS :]
    if len(order) < late.LEAST_CONFIGS:
        return None
    loss = _mean_log_loss(rows, chosen)
    found, evidence, named = late.judge(
        np.log(means.x[order]), means.log_y[order], None if loss is None else loss[order]
    )
    top = order[-found.top :]
    runs = np.flatnonzero(np.isin(chosen.mean_of, top))
    labels = rows["label" if "label" in rows else "config_id"].astype(str).to_numpy()
    exponents, ahead = _with_and_without(means, top, options)
    bounds = Interval(math.exp(found.low), math.exp(found.high))
    return LateDeviation(
        names=tuple(str(labels[np.flatnonzero(chosen.mean_of == mean)[0]]) for mean in top),
        run_ids=tuple(chosen.run_ids[i] for i in runs),
        factor=Estimate("factor", math.exp(found.log_factor), bounds, "times the curve of the others"),
        log_evidence=evidence,
        training_loss=loss is not None,
        deviates=named,
        exponent=exponents[0],
        exponent_without=exponents[1],
        at_10x=ahead[0],
        at_10x_without=ahead[1],
    )


def _mean_log_loss(rows: pd.DataFrame, chosen: Points) -> Array | None:
    """Return ln of the training loss of each configuration mean (m,), None where some are unknown."""
    if TRAIN_LOSS not in rows:
        return None
    loss = pd.to_numeric(rows[TRAIN_LOSS], errors="coerce").to_numpy(float)
    if not (np.isfinite(loss) & (loss > 0)).all():
        return None
    count = len(chosen.means.x)
    return np.asarray(np.bincount(chosen.mean_of, np.log(loss), count) / chosen.means.repeats)


def _with_and_without(
    means: Observations, top: npt.NDArray[np.intp], options: FitOptions
) -> tuple[tuple[float | None, float | None], tuple[float | None, float | None]]:
    """Return b of the power law with and without the points `top`, and y at AHEAD times the largest x.

    The latter is by the power law with a floor, or the plain one where fewer than five points are left.
    """
    keep = np.ones(len(means.x), dtype=bool)
    keep[top] = False
    others = means.take(keep)
    at = np.log(AHEAD * means.x.max())
    each: list[tuple[float | None, float | None]] = []
    for observed in (means, others):
        if len(np.unique(observed.x)) < 3:
            each.append((None, None))
            continue
        one = np.ones((1, len(observed.x)))
        plain = LAWS["power_law"].fit(observed, one, options, None)
        law: Law = LAWS["power_law_floor"] if len(np.unique(observed.x)) > 4 else LAWS["power_law"]
        parameters = law.fit(observed, one, options, None)
        ahead = law.predict(parameters, np.array([at - np.log(observed.x.max())]))
        each.append((float(plain[0, 1]), float(ahead[0, 0])))
    (b, y), (b_without, y_without) = each
    return (b, b_without), (y, y_without)


def warnings(of_rows: Unexplained, y: str) -> tuple[str, ...]:
    """Return the notes of a report: a deviation of the largest configurations, and columns beside x.

    Args:
        of_rows: what the rows say.
        y: name of the column of the error or loss.
    """
    notes = []
    if of_rows.late is not None and of_rows.late.deviates:
        notes.append(late_note(of_rows.late, y))
    if of_rows.determination is not None and of_rows.determination.columns:
        notes.append(_columns_note(of_rows.determination, y))
    return tuple(notes)


def late_note(seen: LateDeviation, y: str) -> str:
    """Return what deviates, by how much, and what it changes."""
    one = len(seen.names) == 1
    low, high = seen.factor.interval.low, seen.factor.interval.high
    assert low is not None
    assert high is not None
    by = f"{seen.factor.value:.2f} times ({low:.2f} to {high:.2f})"
    judged = f"{y} and training loss" if seen.training_loss else y
    text = (
        f"the largest {'configuration' if one else 'two configurations'} ({', '.join(seen.names)}) "
        f"{'lies' if one else 'lie'} above the curve of the smaller ones, {by}, by {judged}: undertrained, "
        "or the curve breaks there"
    )
    if None in (seen.exponent, seen.exponent_without, seen.at_10x, seen.at_10x_without):
        return text
    return (
        f"{text}. Without {'it' if one else 'them'} b is {seen.exponent_without:.3g} in place of "
        f"{seen.exponent:.3g}, and {y} at 10 times the largest x {seen.at_10x_without:.3g} in place of "
        f"{seen.at_10x:.3g} (power law with a floor)"
    )


def _columns_note(seen: Determination, y: str) -> str:
    each = " and ".join(f"{column.column} explains {column.share:.0%}" for column in seen.columns)
    text = f"x explains {max(seen.x_share, 0.0):.0%} of the variance of ln {y}; of the rest, {each}"
    if {column.column.rpartition(".")[2].lower() for column in seen.columns} <= OF_SIZE:
        return f"{text}: how x is spent on size and data matters, see --isoflop and --law"
    return f"{text}: one curve of x does not describe these rows, fit them apart"
