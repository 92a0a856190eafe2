"""The data grid on the page: error or loss over parameters and data, where a sweep crosses the two."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.joint import data_grid
from isoflop.curve.joint.data_grid import DATA, PARAMETERS, GrowthPath
from isoflop.curve.joint.fit import fit_joint
from isoflop.curve.joint.result import JointFit
from isoflop.curve.measured import MARK
from isoflop.curve.result import Estimate
from isoflop.report.figures import data_grid as drawing
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.amounts import amount, bare
from isoflop.report.text.numerals import estimate, number
from isoflop.table import held_out, target
from isoflop.table.target import Quantity, Target

LAW, COMPUTE = "chinchilla", "train_gflops"
RESAMPLES = 400


@dataclasses.dataclass(frozen=True)
class DataGridPanel:
    """The text with the drawing, a row an amount of data, and warnings; or why there is no fit."""

    text: str
    drawing: Drawing | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    warnings: tuple[str, ...] = ()


COLUMNS = ("Images", "Best parameters (95%)", "Measured", "Parameters in proportion", "Error there (95%)")
"""Titles of `DataGridPanel.rows` of a sweep on images."""


def columns(judged_on: Target) -> tuple[str, ...]:
    """Return the titles of `DataGridPanel.rows`."""
    return (
        judged_on.examples.capitalize(),
        *COLUMNS[1:-1],
        f"{judged_on.quantity.noun.capitalize()} there (95%)",
    )


def data_grid_panel(rows: pd.DataFrame, judged_on: Target | None = None) -> DataGridPanel | None:
    """Fit error or loss over parameters and data; None where the sweep does not cross the two."""
    if not data_grid.is_grid(rows):
        return None
    judged_on = judged_on or target.of(rows)
    try:
        fit = fit_joint(rows, LAW, (PARAMETERS, DATA), judged_on.y, RESAMPLES, compute=COMPUTE)
    except ValueError as error:
        return DataGridPanel(f"Sizes and data sets are crossed, but no law was fitted: {error}.")
    if fit.growth is None:
        return DataGridPanel(
            "Sizes and data sets are crossed, but no best size follows: " + "; ".join(fit.warnings) + "."
        )
    left_out = {each.run_id for each in fit.excluded}
    used = rows[~rows["run_id"].isin(left_out) & ~held_out.mask(rows)]
    growth = fit.growth
    return DataGridPanel(
        _text(fit, growth, judged_on),
        drawing.draw(used, fit, judged_on),
        _rows(growth, judged_on.quantity),
        fit.warnings,
    )


def _text(fit: JointFit, growth: GrowthPath, judged_on: Target) -> str:
    exponents = {each.name: estimate(each) for each in fit.parameters}
    noun, examples = judged_on.quantity.noun, judged_on.examples
    return (
        f"{fit.formula}, over {number(fit.points)} runs, each training set passed over equally often: "
        f"{noun} falls as parameters to the power −{exponents['exponent_parameters']} and as {examples} to "
        f"the power −{exponents['exponent_data']}, down to {amount(fit.value('E'), judged_on.quantity)}. "
        "The best number "
        f"of parameters for n {examples}, at which one more per cent of either lowers the {noun} equally, "
        f"grows as n to the power {estimate(growth.growth)}. On the paper's path parameters grow in "
        f"proportion to the data, so that compute grows as n²: there {noun} falls as compute to the power "
        f"−{estimate(growth.exponent)}, and k times less {noun} takes k to the power "
        f"{estimate(growth.alpha)} in compute.{_outside(growth)}"
    )


def _outside(growth: GrowthPath) -> str:
    """Return what the stars of the table mean, where it has one."""
    sizes = growth.best[0].measured
    if all(
        best.outside is None and at.outside is None for best, at in zip(growth.best, growth.path, strict=True)
    ):
        return ""
    return (
        f" A star marks numbers of parameters outside the sizes trained, {number(sizes.least)} to "
        f"{number(sizes.largest)}: nothing was measured there."
    )


def _rows(growth: GrowthPath, quantity: Quantity) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            number(data),
            estimate(best),
            "yes" if best.outside is None else "extrapolated",
            f"{number(at.parameters)}{'' if at.outside is None else MARK}",
            _bounded(at.error, quantity),
        )
        for data, best, at in zip(growth.data, growth.best, growth.path, strict=True)
    )


def _bounded(value: Estimate, quantity: Quantity) -> str:
    low, high = (bare(end, quantity) for end in (value.interval.low, value.interval.high))
    return f"{bare(value.value, quantity)} ({low} to {high})"
