"""The critical batch size on the page, where a sweep varies the batch size of one shape."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from isoflop.curve.batch import front
from isoflop.report.figures import batch as drawing
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text import batch_lines
from isoflop.table import loss_curves

LEAST = 3
"""Batch sizes from which on a sweep is one over batch sizes."""


@dataclasses.dataclass(frozen=True)
class BatchPanel:
    """The text with the drawing, a row a batch size, and warnings; or why there is no fit."""

    text: str
    drawing: Drawing | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    warnings: tuple[str, ...] = ()


def batch_panel(rows: pd.DataFrame, directory: Path | None) -> BatchPanel | None:
    """Fit the critical batch size to the lowest loss that all batch sizes reach.

    None where a sweep has fewer than LEAST batch sizes, or several shapes or settings: their batch sizes
    belong to something else.

    Args:
        rows: the runs of the page.
        directory: the folder of their records; None without any.
    """
    if directory is None or len(set(rows["batch_size"].dropna())) < LEAST or len(set(rows["parameters"])) > 1:
        return None
    try:
        curves = loss_curves.of_sweep(directory)
    except ValueError:
        return None
    try:
        fit = front.critical_batch(curves)
    except ValueError as error:
        return BatchPanel(f"Batch sizes differ, but no critical one was fitted: {error}.")
    sentences = (*batch_lines.found(fit), *batch_lines.limits(fit), *batch_lines.left_out(fit))
    said = (batch_lines.heading(fit), *sentences)
    return BatchPanel(
        " ".join(f"{each[:1].upper()}{each[1:]}." for each in said),
        drawing.draw(fit),
        batch_lines.columns(fit),
        batch_lines.rows(fit),
        fit.warnings,
    )
