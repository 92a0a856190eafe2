"""The width x depth heat map."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from isoflop.report.figures import canvas, style
from isoflop.table.target import BITS, Quantity

MOST_COLUMNS = 16
"""A grid of more widths shows colours without numbers."""


def mean_name(quantity: Quantity) -> str:
    """Return what the grid shows, such as `mean test error`."""
    return f"mean {quantity.name}"


def title(quantity: Quantity) -> str:
    """Return the title of the grid."""
    return f"{mean_name(quantity).capitalize()} by width and depth"


def mean_errors(rows: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """Return the mean test error, or loss of text, of all runs by depth (index) and width (columns), where
    both are known."""
    y = quantity.column
    known = rows.dropna(subset=["width", "depth", y])
    errors = known.pivot_table(y, "depth", "width", aggfunc="mean")
    return errors.set_axis(errors.index.astype(int), axis=0).set_axis(errors.columns.astype(int), axis=1)


def draw(rows: pd.DataFrame, quantity: Quantity) -> Figure:
    """Draw the width x depth heat map of mean test error in per cent or loss in bits, with its numbers.

    Raises:
        ValueError: no run has a width and a depth.
    """
    errors = quantity.scale * mean_errors(rows, quantity)
    if errors.empty:
        raise ValueError("no run has a width and a depth: nothing to draw")
    values = errors.to_numpy(float)
    tall, wide = values.shape
    figure = canvas.blank(min(12.0, 2.4 + 0.8 * wide), min(10.0, 1.4 + 0.52 * tall))
    axes = figure.add_subplot()
    image = axes.imshow(np.ma.masked_invalid(values), cmap="cividis", aspect="auto", origin="lower")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    decimals = 3 if quantity.unit == BITS else 1 if high >= 10 else 2
    numbers = wide <= MOST_COLUMNS
    for row, column in itertools.product(range(tall if numbers else 0), range(wide)):
        value = float(values[row, column])
        text = "–" if np.isnan(value) else f"{value:.{decimals}f}"
        dark = not np.isnan(value) and value < low + 0.55 * (high - low)
        colour = style.MUTED if np.isnan(value) else style.ON_DARK if dark else style.ON_PALE
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    every = max(1, -(-wide // MOST_COLUMNS))
    axes.set_xticks(range(0, wide, every), [f"{w:,}" for w in errors.columns[::every]])
    axes.set_yticks(range(tall), [f"{d:,}" for d in errors.index])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("Width (units or channels)")
    axes.set_ylabel("Depth (layers or blocks)")
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(f"Mean {quantity.axis_title[0].lower()}{quantity.axis_title[1:]}")
    bar.outline.set_visible(False)
    return figure
