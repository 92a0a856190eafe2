"""The joint law of a language sweep, bits a byte in parameters and bytes, and what it says of new runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.joint import predict, solve
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.joint.solve import Solved
from isoflop.curve.language import shapes
from isoflop.table import held_out

Array = npt.NDArray[np.float64]

LAW = "chinchilla"
RESAMPLES = 400
RESOURCES = (shapes.SIZE, shapes.SEEN)
"""What the law is of: parameters without the embedding table, and bytes seen."""


def text_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of text that are not held out; none in a table of images."""
    if "domain" not in rows:
        return rows.iloc[:0]
    return rows[(rows["domain"] == "text").to_numpy() & ~held_out.mask(rows)]


def solve_law(rows: pd.DataFrame, size: str = shapes.SIZE, *, resamples: int, seed: int) -> Solved:
    """Fit the law to runs of text.

    Args:
        rows: one row a run.
        size: column of the size of the model.
        resamples: of configurations; 0 for none.
        seed: of the resamples.

    Raises:
        ValueError: the rows cannot determine the law.
    """
    resources = (size, shapes.SEEN)
    used = joint_rows.select(rows, resources, shapes.BITS)
    return solve.solve(JOINT_LAWS[LAW], used, resources, shapes.BITS, resamples=resamples, seed=seed)


def is_crossed(rows: pd.DataFrame) -> bool:
    """Return whether runs of text cross sizes and bytes, so that they can carry the law; it is not fitted."""
    text, law = text_rows(rows), JOINT_LAWS[LAW]
    if text.empty or not set(text.columns) >= {*RESOURCES, shapes.BITS}:
        return False
    used = joint_rows.select(text, RESOURCES, shapes.BITS)
    try:
        joint_rows.refuse_too_few(LAW, law.form.free_parameters, RESOURCES, used)
        return not joint_rows.collinearity_warnings(used, RESOURCES)
    except ValueError:
        return False


def refuse_one_path(solved: Solved) -> None:
    """Raise ValueError if the rows do not tell size from data, as with one size a budget.

    There the law of loss against compute describes the sweep, and the joint law would be a guess.
    """
    if solved.collinear:
        raise ValueError(f"sizes and budgets are not crossed: {'; '.join(solved.collinear)}")
    if useless := solved.law.useless(solved.fitted.parameters[:1]):
        raise ValueError(f"{' and '.join(useless)} explains nothing here")
    if not solved.has_intervals:
        raise ValueError(
            f"{solved.rows.configs} configurations with {solved.resamples} resamples give no interval"
        )


def predict_new_runs(rows: pd.DataFrame, at: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Predict bits a byte of new runs from the joint law of the others.

    Args:
        rows: one row a run; those held out are not fitted.
        at: RESOURCES (m, 2) of the new runs.
        resamples: of configurations.
        seed: of the resamples.

    Returns:
        (m, 3): the prediction and the ends of the 95% interval for a new run.

    Raises:
        ValueError: no runs of text, or they do not carry the law with an interval.
    """
    text = text_rows(rows)
    if text.empty:
        raise ValueError("no run of text")
    solved = solve_law(text, resamples=resamples, seed=seed)
    refuse_one_path(solved)
    predicted, ends = predict.new_runs(solved, at)
    assert ends is not None
    values = np.column_stack([predicted, ends])
    if not np.isfinite(values).all():
        raise ValueError("the resampled laws are not finite at the new runs")
    return values
