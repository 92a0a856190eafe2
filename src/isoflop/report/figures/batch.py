"""Steps against examples to a loss: batch sizes, the curve through them, lines of equal batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from isoflop import record
from isoflop.curve.batch.result import BatchSize, CriticalBatch
from isoflop.report.figures import canvas, drawn_data, paper, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text import batch_lines
from isoflop.report.text.numerals import number

Array = npt.NDArray[np.float64]

NAME = "batch"
SIZE_INCHES = (7.2, 4.8)
CURVE, CRITICAL = "#0072B2", "#D55E00"
PAD = 0.12
"""Share of the span that is left free at each side, where the lines' names stand."""


def draw(fit: CriticalBatch) -> Drawing:
    """Draw a fit of the critical batch size."""
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(*SIZE_INCHES)
        paint(figure.subplots(), fit)
        images = canvas.render(figure)
    title = f"Steps against {fit.examples} to {batch_lines.loss_text(fit)}"
    caption = (
        "A dot a batch size, at its best learning rate: the geometric mean over seeds, which are the small "
        "dots. Thin lines join equal batch sizes. The curve is (S / S_min − 1)(E / E_min − 1) = 1, with "
        f"broken lines at S_min, its least steps, and E_min, its least {fit.examples}; the diamond, at twice "
        "both, lies on the critical batch size."
    )
    if any(each.more_than is not None for each in fit.batch_sizes):
        caption += " A hollow triangle did not reach the loss within these steps."
    return Drawing(NAME, title, f"{title}: {'; '.join(batch_lines.found(fit))}", caption, *images)


def write(fit: CriticalBatch, path: Path) -> None:
    """Write the figure as its name's ending says, and its data as CSV beside it, each atomically.

    Raises:
        OSError: disk full or not writable.
    """
    figure = draw(fit).figure
    record.write_bytes(path.with_suffix(".csv"), drawn_data.as_csv(figure).encode())
    record.write_bytes(path, paper.payload(figure, path.suffix.lower().removeprefix(".")))


def paint(axes: Axes, fit: CriticalBatch) -> None:
    """Draw on axes: x is steps, y examples."""
    steps, examples = _extent(fit)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*canvas.limits(steps, PAD))
    axes.set_ylim(*canvas.limits(examples, PAD))
    axes.set_xlabel(f"Optimizer steps to {batch_lines.loss_text(fit)}")
    axes.set_ylabel(fit.examples.capitalize())
    canvas.ruled(axes)
    canvas.log_ticks(axes.xaxis, float(steps.min()), float(steps.max()))
    canvas.log_ticks(axes.yaxis, float(examples.min()), float(examples.max()))
    _iso_batch_lines(axes, fit)
    _curve(axes, fit)
    for each in fit.batch_sizes:
        _mark(axes, each)
    axes.plot([], [], "o", color=style.INK, ms=6, label="Batch size (mean over seeds)")
    axes.legend(frameon=False, fontsize=8, loc="best")


def _extent(fit: CriticalBatch) -> tuple[Array, Array]:
    """Return steps and examples that are to be in view: of runs, of the limits and of the corner."""
    kept = fit.fitted
    steps = [each.steps or 0.0 for each in kept] + [step for each in kept for step in each.steps_of_seeds]
    examples = [each.batch * step for each in kept for step in (each.steps or 0.0, *each.steps_of_seeds)]
    for each in fit.batch_sizes:
        if each.more_than is not None:
            steps.append(each.more_than)
            examples.append(each.more_than * each.batch)
    if fit.steps_min is not None:
        steps.append(fit.steps_min.value)
    if fit.examples_min is not None:
        examples.append(fit.examples_min.value)
    return np.asarray(steps, float), np.asarray(examples, float)


def _iso_batch_lines(axes: Axes, fit: CriticalBatch) -> None:
    """Draw E = B S for each batch size, with its name where the line leaves the panel."""
    low, high = (np.array(ends) for ends in (axes.get_xlim(), axes.get_ylim()))
    for each in fit.batch_sizes:
        x = np.array([low[0], low[1]])
        axes.plot(x, each.batch * x, color=style.GRID, lw=0.8, zorder=1)
        at = min(low[1], high[1] / each.batch)  # the upper right end within the panel
        if not low[0] < at <= low[1] or not high[0] < at * each.batch:
            continue
        size = batch_lines.size(each.batch)
        axes.annotate(
            f"batch {size}" if each is fit.batch_sizes[0] else size,
            (at, at * each.batch),
            xytext=(-2, -1) if at < low[1] else (-2, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=7.5,
            color=style.MUTED,
        )


def _curve(axes: Axes, fit: CriticalBatch) -> None:
    """Draw the curve over the batch sizes that are shown, and its limits."""
    steps_min, examples_min, critical = fit.steps_min, fit.examples_min, fit.critical_batch
    if critical is not None and steps_min is not None and examples_min is not None:
        batch = np.geomspace(critical.value * 1e-4, critical.value * 1e4, 201)
        x = steps_min.value * (1 + critical.value / batch)
        axes.plot(x, x * batch, color=CURVE, lw=1.6, zorder=3, label="Fitted curve")
        corner = 2 * steps_min.value, 2 * examples_min.value
        axes.plot(
            *corner, "D", color=CRITICAL, ms=7, zorder=5, label=f"Critical size {number(critical.value)}"
        )
    limits: dict[str, Any] = {"color": CURVE, "lw": 1.0, "ls": (0, (4, 3)), "zorder": 2}
    if steps_min is not None:
        axes.axvline(steps_min.value, **limits)
    if examples_min is not None:
        axes.axhline(examples_min.value, **limits)


def _mark(axes: Axes, each: BatchSize) -> None:
    if each.more_than is not None:
        axes.plot(
            each.more_than, each.more_than * each.batch, ">", color=style.MUTED, mfc="white", ms=7, zorder=4
        )
    if each.steps is None:
        return
    seeds = np.asarray(each.steps_of_seeds)
    axes.plot(seeds, seeds * each.batch, "o", color=style.MUTED, ms=3, alpha=0.6, zorder=3)
    axes.plot(each.steps, each.steps * each.batch, "o", color=style.INK, ms=6, zorder=4)
