"""Check of the learning rates: was the best of each shape inside its grid?"""

from __future__ import annotations

import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.curve.check.shapes import ALIKE, CHOSEN_BY

CHECK = "learning_rate"
CARRIED = {"mup", "completep"}
"""Parametrizations that carry a rate from the base shape to the others."""
WIDEN = "widen the grid of learning rates beyond that edge at these shapes (sweep.lr_grid)"


def check(table: pd.DataFrame) -> Outcome:
    """Return the shapes whose best learning rate lies at an edge of its grid, or that no grid was tried."""
    rows = finding.known(table, "lr")
    if rows.empty:
        return finding.needs(CHECK, "lr")
    if not finding.known(rows, "lr_interior").empty and rows["lr_interior"].notna().all():
        edge = rows[rows["lr_interior"] == 0]
        shapes = rows["label"].nunique() if "label" in rows else rows["config_id"].nunique()
        return finding.outcome(
            CHECK,
            [_at_edge(edge)] if len(edge) else [],
            f"the best of a grid on validation for each of {shapes} shapes, none at its edge",
        )
    rates = sorted(rows["lr"].unique())
    if len(rates) == 1:
        return Outcome(CHECK, (_one_rate(rows, float(rates[0])),))
    # Rates that differ by a stated rule alone, over batch or length, are one choice: that of the base.
    if "base_lr" in rows and rows["base_lr"].notna().all() and len(rows["base_lr"].unique()) == 1:
        return Outcome(CHECK, (_one_rate(rows, float(rows["base_lr"].iloc[0])),))
    return _of_own_grids(rows, rates)


def _at_edge(edge: pd.DataFrame) -> Finding:
    subjects = finding.subjects(edge)
    sentence = (
        f"the best learning rate is at the edge of its grid for {finding.names(s.name for s in subjects)}"
    )
    return Finding(CHECK, "warning", subjects, sentence, WIDEN)


def _one_rate(rows: pd.DataFrame, rate: float) -> Finding:
    carried = "parametrization" in rows and set(rows["parametrization"].dropna()) <= CARRIED
    if carried:
        scaled = len(rows["lr"].unique()) > 1
        by_rule = " and to other batches and lengths by the recipe's rule" if scaled else ""
        sentence = (
            f"the learning rate is {rate:.4g} at the base shape, carried to the others by the "
            f"parametrization (mup or completep){by_rule}, not tuned to each"
        )
        what = "try two more rates, a factor 2 to either side, at the smallest and the largest shape"
        return Finding(CHECK, "note", (), sentence, what)
    return Finding(
        *(CHECK, "warning", ()),
        f"the learning rate is {rate:.4g} for every shape, not tuned to each: one that suits some shapes "
        "better than others bends the curve",
        "try rates a factor 2 apart for each shape (sweep.lr_grid), or model.parametrization=mup",
    )


def _of_own_grids(rows: pd.DataFrame, rates: list[float]) -> Outcome:
    """Return the outcome where runs at several rates are in the table: it seeks the best of each shape."""
    sizes = [name for name in ("width", "depth") if name in rows and rows[name].notna().any()]
    alike = [name for name in (*ALIKE, *sizes) if name in rows]
    span = f"{rates[0]:.4g} to {rates[-1]:.4g}"
    if not sizes:
        return finding.needs(CHECK, "width or depth, to tell the rates of one shape from those of another")
    score = next((name for name in CHOSEN_BY if name in rows and rows[name].notna().all()), None)
    if score is None:
        return finding.needs(CHECK, "val_loss, val_error or train_loss, to tell which rate is best")
    groups = [group for _, group in rows.groupby(alike, dropna=False, sort=False)]
    untried = [group for group in groups if group["lr"].nunique() < 2]
    if untried:
        sentence = (
            f"learning rates are {span}, but not several for every shape, so they are not tuned to each"
        )
        what = "try rates a factor 2 apart for each shape (sweep.lr_grid)"
        return Outcome(
            CHECK, (Finding(CHECK, "warning", finding.subjects(pd.concat(untried)), sentence, what),)
        )
    at_edge = []
    for group in groups:
        means = group.groupby("lr")[score].mean()
        if means.idxmin() in (means.index.min(), means.index.max()):
            at_edge.append(group[group["lr"] == means.idxmin()])
    return finding.outcome(
        CHECK,
        [_at_edge(pd.concat(at_edge))] if at_edge else [],
        f"several tried for every shape ({span}), the best by {score} inside for each; all runs are points",
    )
