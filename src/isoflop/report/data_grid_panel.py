"""The data grid on the page: error over parameters and images, where a sweep crosses the two."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.joint import data_grid
from isoflop.curve.joint.data_grid import DATA, PARAMETERS, GrowthPath
from isoflop.curve.joint.fit import fit_joint
from isoflop.curve.joint.result import JointFit
from isoflop.report.figures import data_grid as drawing
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import estimate, number, percent
from isoflop.table import held_out

LAW, Y, COMPUTE = "chinchilla", "test_error", "train_gflops"
RESAMPLES = 400


@dataclasses.dataclass(frozen=True)
class DataGridPanel:
    """The text with the drawing, a row a number of images, and warnings; or why there is no fit."""

    text: str
    drawing: Drawing | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    warnings: tuple[str, ...] = ()


COLUMNS = ("Images", "Best parameters (95%)", "Measured", "Parameters in proportion", "Error there (95%)")
"""Titles of `DataGridPanel.rows`."""


def data_grid_panel(rows: pd.DataFrame) -> DataGridPanel | None:
    """Fit error over parameters and training images; None where the sweep does not cross the two."""
    if not data_grid.is_grid(rows):
        return None
    try:
        fit = fit_joint(rows, LAW, (PARAMETERS, DATA), Y, RESAMPLES, compute=COMPUTE)
    except ValueError as error:
        return DataGridPanel(f"Sizes and data sets are crossed, but no law was fitted: {error}.")
    if fit.growth is None:
        return DataGridPanel(
            "Sizes and data sets are crossed, but no best size follows: " + "; ".join(fit.warnings) + "."
        )
    left_out = {each.run_id for each in fit.excluded}
    used = rows[~rows["run_id"].isin(left_out) & ~held_out.mask(rows)]
    growth = fit.growth
    return DataGridPanel(_text(fit, growth), drawing.draw(used, fit), _rows(growth), fit.warnings)


def _text(fit: JointFit, growth: GrowthPath) -> str:
    exponents = {each.name: estimate(each) for each in fit.parameters}
    return (
        f"{fit.formula}, over {number(fit.points)} runs, each training set passed over equally often: error "
        f"falls as parameters to the power −{exponents['exponent_parameters']} and as images to the power "
        f"−{exponents['exponent_data']}, down to {percent(fit.value('E'))}. The best number of parameters "
        "for n images, at which one more per cent of either lowers the error equally, grows as n to the "
        f"power {estimate(growth.growth)}. On the paper's path parameters grow in proportion to the data, so "
        f"that compute grows as n²: there error falls as compute to the power −{estimate(growth.exponent)}, "
        f"and k times less error takes k to the power {estimate(growth.alpha)} in compute."
    )


def _rows(growth: GrowthPath) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            number(data),
            estimate(best),
            "yes" if inside else "extrapolated",
            number(at.parameters),
            _percent(at.error.value, at.error.interval.low, at.error.interval.high),
        )
        for data, best, inside, at in zip(growth.data, growth.best, growth.reaches, growth.path, strict=True)
    )


def _percent(value: float, low: float | None, high: float | None) -> str:
    return f"{percent(value)} ({percent(low)} to {percent(high)})"
