"""Figures as functions that take matplotlib's axes and return them; without axes they open a new figure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop import record
from isoflop.api.arguments import named_as_in_python
from isoflop.report.figures import batch, comparison, diagnostics, drawn_data, on_axes, paper
from isoflop.table import columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from isoflop.api.batch import CriticalBatchFit
    from isoflop.api.compare import Comparison
    from isoflop.api.fitted import Fit


def save_figure(
    of: Axes | Figure, path: str | os.PathLike[str], *, width: str | float = paper.TEXT_WIDTH
) -> Path:
    """Save a figure for a paper, and what it shows as a CSV beside it; return the path.

    It is laid out anew at that width: type of 7 to 9 points, panels beside each other where each has room,
    legends below them, fonts embedded (TrueType in PDF, outlines in SVG).

    Args:
        of: the figure, or axes of it.
        path: ends in .pdf, .svg or .png.
        width: as printed, such as "3.3in", "84mm" or "240pt", or inches.

    Raises:
        ValueError: an unknown ending, or no width.
        OSError: the folder cannot be written.

    Example:
        >>> import isoflop
        >>> fitted = isoflop.fit("results/digits-cpu", resamples=100)
        >>> isoflop.save_figure(fitted.plot(), "curve.pdf", width="3.3in")  # doctest: +SKIP
        PosixPath('curve.pdf')
    """
    target, figure = Path(path), of.get_figure(root=True)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in paper.FORMATS:
        raise ValueError(f"{target}: give a name that ends in .{', .'.join(paper.FORMATS)}")
    with named_as_in_python():
        inches = paper.inches(width)
    assert figure is not None
    data = drawn_data.as_csv(figure)
    paper.resized(figure, inches)
    record.write_bytes(target.with_suffix(".csv"), data.encode())
    record.write_bytes(target, paper.payload(figure, kind))
    return target


def plot_fit(fit: Fit, ax: Axes | None = None, *, laws: Sequence[str] = ()) -> Axes:
    """Draw the runs and the curve that predicts, on logarithmic axes.

    The curve is the forecast, or the law that `fit.predict` takes without one; its bands are the intervals of
    the mean and of a new run. Dashed and shaded is what lies beyond the largest run.

    Args:
        fit: what isoflop.fit returned.
        ax: where to draw; a new figure without it.
        laws: names of laws that are drawn too.

    Raises:
        ValueError: no such law was fitted.

    Examples:
        >>> import isoflop
        >>> fitted = isoflop.fit("results/digits-cpu", resamples=100)
        >>> isoflop.plot_fit(fitted, laws=["power_law"]).get_xlabel()
        'Training compute (GFLOPs)'
    """
    for name in laws:
        if name not in fit.laws:
            raise ValueError(f"no law {name} was fitted: {columns.nearest(name, fit.laws)}")
    with on_axes.styled(ax) as axes:
        on_axes.fit_on(axes, fit.report, fit.runs, laws)
    return axes


def plot_residuals(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw each run's y over the curve that predicts, against x. A trend says that the curve does not fit.

    Raises:
        ValueError: no law could be fitted.
    """
    with on_axes.styled(ax) as axes:
        on_axes.residuals_on(axes, fit.report, fit.runs)
    return axes


def plot_calibration(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw how often intervals of forecasts by smaller runs held larger ones, and how often they should.

    Raises:
        ValueError: there is no forecast, or too few runs to test it.
    """
    if fit.forecast is None or not fit.forecast.calibration:
        reason = fit.report.forecast_reason if fit.forecast is None else "; ".join(fit.forecast.warnings)
        raise ValueError(f"no calibration: {reason}")
    with on_axes.styled(ax) as axes:
        diagnostics.calibration_on(axes, fit.forecast.calibration)
    return axes


def plot_comparison(compared: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the runs of each arm and its curve with the interval of the mean, on logarithmic axes."""
    with on_axes.styled(ax) as axes:
        comparison.curves_on(axes, compared.result)
    return axes


def plot_gain(compared: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the compute-equivalent gain of each arm against y; above 1 it needs less than the baseline."""
    with on_axes.styled(ax) as axes:
        comparison.gains_on(axes, compared.result)
    return axes


def plot_critical_batch(fit: CriticalBatchFit, ax: Axes | None = None) -> Axes:
    """Draw steps against examples to the loss, the fitted curve, and lines of equal batch size."""
    with on_axes.styled(ax) as axes:
        batch.paint(axes, fit.result)
    return axes
